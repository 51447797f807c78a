package lab_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/provisioners/virtfusion/lab"
)

// bench is a lab driven by plain HTTP, with a clock that is turned by hand.
type bench struct {
	t *testing.T
	*lab.Lab
	url string
	now time.Time
}

func open(t *testing.T, o lab.Options) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	o.Clock = func() time.Time { return b.now }
	b.Lab = lab.New(o)
	b.AddToken("all")
	srv := httptest.NewServer(b.Handler())
	t.Cleanup(srv.Close)
	b.url = srv.URL
	return b
}

// as makes a call with a token; what it says is read where it is an object.
func (b *bench) as(token, method, path, body string) (int, map[string]any, http.Header) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, nil // the connection was cut
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	said := map[string]any{}
	_ = json.Unmarshal(text, &said)
	return res.StatusCode, said, res.Header
}

func (b *bench) call(method, path, body string) (int, map[string]any) {
	b.t.Helper()
	status, said, _ := b.as("all", method, path, body)
	return status, said
}

// id is that of what a call made.
func (b *bench) id(method, path, body string) int64 {
	b.t.Helper()
	status, said := b.call(method, path, body)
	made, _ := said["data"].(map[string]any)
	if status != http.StatusCreated || made == nil {
		b.t.Fatalf("%s %s: %d %v", method, path, status, said)
	}
	return int64(made["id"].(float64))
}

func (b *bench) user(name string) int64 {
	b.t.Helper()
	return b.id("POST", "/users", fmt.Sprintf(`{"name": %q, "email": %q, "extRelationId": "%s"}`, name, name+"@example.com", name))
}

func order(user int64, group, size int) string {
	return fmt.Sprintf(`{"packageId": %d, "userId": %d, "hypervisorId": %d, "ipv4": 1}`, size, user, group)
}

// stands is where a server is on its way, and whether a task runs on it.
func (b *bench) stands(id int64) string {
	b.t.Helper()
	status, said := b.call("GET", fmt.Sprint("/servers/", id), "")
	if status != http.StatusOK {
		return fmt.Sprint(status)
	}
	o := said["data"].(map[string]any)
	text := o["state"].(string)
	if o["tasks"].(map[string]any)["active"] == true {
		text += ", busy"
	}
	if o["suspended"] == true {
		text += ", suspended"
	}
	return text
}

// TestAServersLife: allocated, queued, complete; each task keeps it busy, and what is asked
// meanwhile is refused.
func TestAServersLife(t *testing.T) {
	b := open(t, lab.Options{InstallDelay: time.Minute, TaskDelay: 10 * time.Second})
	id := b.id("POST", "/servers", order(b.user("ida"), 1, 1))
	at := fmt.Sprint("/servers/", id)
	for _, step := range []struct {
		method, path, body string
		status             int
		after              time.Duration
		stands             string
	}{
		{"POST", "/build", `{"operatingSystemId": 999}`, 422, 0, "allocated"},
		{"POST", "/build", `{"operatingSystemId": 11, "sshKeys": [5]}`, 422, 0, "allocated"},
		{"POST", "/build", `{"operatingSystemId": 11}`, 200, 0, "queued, busy"},
		{"POST", "/build", `{"operatingSystemId": 11}`, 423, 0, "queued, busy"},
		{"POST", "/power/restart", "", 423, 59 * time.Second, "queued, busy"},
		{"DELETE", "", "", 423, time.Second, "complete"},
		{"POST", "/power/somehow", "", 404, 0, "complete"},
		{"POST", "/power/restart", "", 200, 0, "complete, busy"},
		{"POST", "/suspend", "", 423, 10 * time.Second, "complete"},
		{"POST", "/suspend", "", 204, 0, "complete, suspended"},
		{"POST", "/build", `{"operatingSystemId": 11}`, 409, 0, "complete, suspended"},
		{"POST", "/unsuspend", "", 204, 0, "complete"},
		{"DELETE", "?delay=5", "", 204, 5*time.Minute - time.Second, "complete"},
		{"DELETE", "?delay=0", "", 204, 0, "complete"}, // the first word stands
		{"GET", "", "", 200, time.Second, "404"},
	} {
		status, said := b.call(step.method, at+step.path, step.body)
		b.now = b.now.Add(step.after)
		if got := b.stands(id); status != step.status || got != step.stands {
			t.Fatalf("%s %s: %d, and it is %s; want %d and %s\n%v", step.method, step.path, status, got, step.status, step.stands, said)
		}
	}
}

// TestWhatDoesNotFit is refused, and takes nothing.
func TestWhatDoesNotFit(t *testing.T) {
	b := open(t, lab.Options{Groups: []lab.Group{{ID: 7, Name: "Small", IPv4: 2, Net: "198.18.0.2", Hypervisors: []lab.Hypervisor{{ID: 1, Name: "a", MemoryMB: 4096, Cores: 8, DiskGB: 1000}, {ID: 2, Name: "b", MemoryMB: 4096, Cores: 8, DiskGB: 1000}}}}})
	ida := b.user("ida")
	made := func(body string, want int) {
		t.Helper()
		if status, said := b.call("POST", "/servers", body); status != want {
			t.Errorf("%s: %d, want %d: %v", body, status, want, said)
		}
	}
	made(order(ida, 7, 3), 422)   // more than a machine has
	made(order(ida, 8, 1), 422)   // no such group
	made(order(ida+1, 7, 1), 422) // nobody
	made(`{"packageId": 1}`, 422)
	made(strings.Replace(order(ida, 7, 1), `"ipv4": 1`, `"ipv4": 3`, 1), 422)
	if status, _ := b.call("POST", "/servers?dryRun=true", order(ida, 7, 2)); status != 201 {
		t.Errorf("only looked at: %d", status)
	}
	if all := b.Servers(); len(all) != 0 {
		t.Errorf("what was refused is there: %+v", all)
	}
	made(order(ida, 7, 2), 201)
	made(order(ida, 7, 2), 201)
	made(order(ida, 7, 1), 422) // full, and without an address
	all := b.Servers()
	if len(all) != 2 || all[0].Hypervisor == all[1].Hypervisor || all[0].IPv4[0] == all[1].IPv4[0] {
		t.Fatalf("%+v", all)
	}
	if !b.DeleteBehind(all[0].ID) || b.DeleteBehind(all[0].ID) {
		t.Error("removed behind our back, once")
	}
	made(order(ida, 7, 2), 201) // its room and its address are free
}

// TestTokensOpenWhatTheyMay, so often a minute.
func TestTokensOpenWhatTheyMay(t *testing.T) {
	b := open(t, lab.Options{PerMinute: 2})
	b.AddToken("reads", lab.PermPackages)
	for _, x := range []struct {
		token, path string
		status      int
	}{
		{"none", "/connect", 401}, {"reads", "/packages", 200}, {"reads", "/servers", 403}, {"reads", "/packages", 429}, {"all", "/servers", 200},
	} {
		status, _, head := b.as(x.token, "GET", x.path, "")
		if status != x.status || (status == 429) != (head.Get("Retry-After") != "") {
			t.Errorf("%s as %s: %d, Retry-After %q", x.path, x.token, status, head.Get("Retry-After"))
		}
	}
	b.now = b.now.Add(time.Minute)
	if status, _, _ := b.as("reads", "GET", "/packages", ""); status != 200 {
		t.Errorf("a minute later: %d", status)
	}
	b.RemoveToken("reads")
	if status, _, _ := b.as("reads", "GET", "/packages", ""); status != 401 {
		t.Errorf("locked out: %d", status)
	}
}

// TestFaultsAreCounted: so many go well, so many do not, and one whose answer is lost was done.
func TestFaultsAreCounted(t *testing.T) {
	b := open(t, lab.Options{})
	ida := b.user("ida")
	statuses := func(n int, method, path, body string) (all []int) {
		for range n {
			status, _ := b.call(method, path, body)
			all = append(all, status)
		}
		return all
	}
	b.Break(lab.Fault{Method: "write", Path: "/servers", Status: 503, Skip: 1, Times: 2})
	if got := statuses(4, "POST", "/servers", order(ida, 1, 1)); !slices.Equal(got, []int{201, 503, 503, 201}) || len(b.Servers()) != 2 {
		t.Errorf("%v, and %d are there", got, len(b.Servers()))
	}
	b.Break(lab.Fault{Method: "POST", Path: "/servers", After: true, Times: 1})
	if got := statuses(1, "POST", "/servers", order(ida, 1, 1)); got[0] != 0 || len(b.Servers()) != 3 {
		t.Errorf("a lost answer: %v, and %d are there", got, len(b.Servers()))
	}
	b.Break(lab.Fault{Status: 429, RetryAfter: "7"})
	if status, _, head := b.as("all", "GET", "/packages", ""); status != 429 || head.Get("Retry-After") != "7" {
		t.Errorf("%d, Retry-After %q", status, head.Get("Retry-After"))
	}
	b.Mend()
	if got := statuses(1, "GET", "/packages", ""); got[0] != 200 {
		t.Errorf("mended: %v", got)
	}
	var seen []int
	for _, c := range b.Calls() {
		if c.Path == "/api/v1/servers" {
			seen = append(seen, c.Status)
		}
	}
	if !slices.Equal(seen, []int{201, 503, 503, 201, 0}) || len(b.Calls()) != 0 {
		t.Errorf("it remembers %v", seen)
	}
}
