package virtfusion_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/provisioners/virtfusion"
	"github.com/ezscale/ezscale/provisioners/virtfusion/lab"
)

func order(key string) provisioners.CreateRequest {
	return provisioners.CreateRequest{Key: key, Owner: provisioners.Owner{Name: "Ada"}, Name: "web", Image: "11",
		Spec: provisioners.Spec{MemoryMB: 2048}, Parameters: map[string]any{"packageId": 1.0, "hypervisorGroupId": 1.0}}
}

// TestTwoAttemptsAtOnce: what two workers made of one key is one server after the next look.
func TestTwoAttemptsAtOnce(t *testing.T) {
	p := open(t, lab.Options{InstallDelay: time.Minute})
	d := p.driver(t, "good")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() { _, _ = d.Create(t.Context(), order("t1/a")) })
	}
	wg.Wait()
	p.clock.pass(time.Hour)
	c, err := d.Create(t.Context(), order("t1/a"))
	if err != nil {
		t.Fatal(err)
	}
	installed := 0
	for _, s := range p.Servers() {
		if s.Builds > 0 {
			installed++
		} else {
			t.Errorf("server %d was never installed and is still there", s.ID)
		}
	}
	if s := p.server(c.Ref); s.Builds != 1 {
		t.Errorf("the service's server was installed %d times; %d are installed", s.Builds, installed)
	}
}

func TestTwoOwnersOfOneAddressAndTwoServicesOfOneOwner(t *testing.T) {
	p := open(t, lab.Options{})
	d := p.driver(t, "good")
	refs := map[provisioners.Ref]bool{}
	for _, key := range []string{"t1/s1", "t1/s2", "t2/s1", strings.Repeat("very long ", 30), "Größe/1"} {
		req := order(key)
		req.Owner = provisioners.Owner{Key: "t1/x", Name: "Ada", Email: "ada@example.com"}
		c, err := d.Create(t.Context(), req)
		if err != nil {
			t.Fatalf("%q: %v", key, err)
		}
		refs[c.Ref] = true
	}
	if len(refs) != 5 {
		t.Errorf("%d servers of 5 keys", len(refs))
	}
	keys := map[string]bool{}
	if err := d.List(t.Context(), func(l provisioners.Listed) bool { keys[l.Key] = true; return true }); err != nil {
		t.Fatal(err)
	}
	if !keys["t1/s1"] || !keys["t2/s1"] || len(keys) != 4 { // the last two cannot be read back
		t.Errorf("keys: %v", keys)
	}
}

func TestListGoesThroughAllPages(t *testing.T) {
	p := open(t, lab.Options{})
	for i := range 450 {
		p.AddStray(fmt.Sprint("stray ", i))
	}
	seen := map[provisioners.Ref]bool{}
	d := p.driver(t, "good")
	if err := d.List(t.Context(), func(l provisioners.Listed) bool { seen[l.Ref] = true; return true }); err != nil || len(seen) != 450 {
		t.Errorf("%d of 450, %v", len(seen), err)
	}
	n := 0
	if err := d.List(t.Context(), func(provisioners.Listed) bool { n++; return n < 3 }); err != nil || n != 3 {
		t.Errorf("stopped after %d, %v", n, err)
	}
}

func TestWindowsHasAnAdministrator(t *testing.T) {
	p := open(t, lab.Options{})
	d := p.driver(t, "good")
	req := order("t1/w")
	req.Image = "41"
	c, err := d.Create(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	got, err := d.ResetPassword(t.Context(), c.Ref)
	if err != nil || got.User != "Administrator" {
		t.Errorf("%q, %v", got.User, err)
	}
}

func TestCheckSaysWhatTheTokenLacks(t *testing.T) {
	p := open(t, lab.Options{})
	p.AddToken("little", lab.PermServers, lab.PermUsers)
	d := p.driver(t, "little")
	h, err := d.Check(t.Context())
	if err != nil || len(h.Notes) != 2 {
		t.Errorf("%+v, %v", h, err)
	}
	if room, err := d.Capacity(t.Context(), order("").Parameters, provisioners.Spec{MemoryMB: 1024, CPU: 1, DiskGB: 1}); err != nil || room.Free != -1 {
		t.Errorf("capacity without permission: %+v, %v", room, err)
	}
}

func TestCapacityIsBoundedByAddresses(t *testing.T) {
	p := open(t, lab.Options{})
	d := p.driver(t, "good")
	room, err := d.Capacity(t.Context(), map[string]any{"packageId": 1.0, "hypervisorGroupId": 3.0}, provisioners.Spec{})
	if err != nil || room.Free != 4 { // of memory there is room for eight
		t.Errorf("%+v, %v", room, err)
	}
}

func TestResize(t *testing.T) {
	p := open(t, lab.Options{})
	d := p.driver(t, "good")
	c, err := d.Create(t.Context(), order("t1/r"))
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Resize(t.Context(), c.Ref, provisioners.Spec{}, map[string]any{"packageId": 3.0}); err != nil {
		t.Fatal(err)
	}
	if s := p.server(c.Ref); s.MemoryMB != 8192 || s.Cores != 4 || s.DiskGB != 160 {
		t.Errorf("%+v", s)
	}
}

func TestARateLimitIsKeptTo(t *testing.T) {
	p := open(t, lab.Options{PerMinute: 3})
	d := p.driver(t, "good")
	var last error
	for range 5 {
		_, last = d.State(t.Context(), "1")
	}
	var r *provisioners.RetryError
	if !errors.As(last, &r) || r.After < 50*time.Second || r.After > 2*time.Minute {
		t.Errorf("%v", last)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []virtfusion.Config{
		{BaseURL: "", Token: "x"}, {BaseURL: "cp.example.com", Token: "x"}, {BaseURL: "https://cp.example.com"},
		{BaseURL: "https://cp.example.com", Token: "x", Settings: json.RawMessage(`{"delete_delay_minutes": -1}`)},
		{BaseURL: "https://cp.example.com", Token: "x", Settings: json.RawMessage(`[]`)},
	} {
		if _, err := virtfusion.New(c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

func TestTheLabKeepsItsState(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lab", "state.json")
	p := open(t, lab.Options{File: file})
	c, err := p.driver(t, "good").Create(t.Context(), order("t1/k"))
	if err != nil {
		t.Fatal(err)
	}
	again := open(t, lab.Options{File: file})
	if c2, err := again.driver(t, "good").Create(t.Context(), order("t1/k")); err != nil || c2.Ref != c.Ref || len(again.Servers()) != 1 {
		t.Errorf("after a restart: %+v, %v", c2, err)
	}
}

func TestTheLabsControlPath(t *testing.T) {
	l := lab.New(lab.Options{})
	s := httptest.NewServer(l.Handler())
	defer s.Close()
	ask := func(method, path, body string) int {
		req, _ := http.NewRequestWithContext(t.Context(), method, s.URL+path, strings.NewReader(body))
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	id := l.AddStray("x")
	for _, step := range []struct {
		method, path, body string
		want               int
	}{
		{"POST", "/_lab/faults", `{"status": 503}`, 201}, {"GET", "/api/v1/connect", "", 503}, {"GET", "/_lab/faults", "", 200},
		{"POST", "/_lab/faults", `{"status": 99}`, 422}, {"POST", "/_lab/faults", `no`, 422}, {"DELETE", "/_lab/faults", "", 204}, {"GET", "/api/v1/connect", "", 401},
		{"PUT", "/_lab/groups/1/memory/0", "", 204}, {"PUT", "/_lab/groups/9/memory/0", "", 404}, {"PUT", "/_lab/groups/1/memory/x", "", 404},
		{"DELETE", fmt.Sprint("/_lab/servers/", id), "", 204}, {"DELETE", fmt.Sprint("/_lab/servers/", id), "", 404}, {"POST", "/_lab/servers/1/fail", "", 404},
		{"POST", "/_lab/strays?name=y", "", 201}, {"GET", "/_lab/servers", "", 200},
	} {
		if got := ask(step.method, step.path, step.body); got != step.want {
			t.Errorf("%s %s: %d, want %d", step.method, step.path, got, step.want)
		}
	}
}

// FuzzAnswers: whatever a platform answers, the driver says something and does not fall over.
func FuzzAnswers(f *testing.F) {
	f.Add(200, `{"data":{"id":5,"state":"complete","remoteState":false,"network":{"interfaces":[{"ipv4":[{"address":"1.2.3.4"}]}]}}}`)
	f.Add(200, `{"data":{"id":5,"network":[],"remoteState":{"state":7}}}`)
	f.Add(422, `{"errors":["a"],"msg":3}`)
	f.Add(422, `{"message":"x","errors":{"b":["c"],"a":["d"]}}`)
	f.Add(404, `{"msg":"server not found"}`)
	f.Add(500, `{`)
	f.Fuzz(func(t *testing.T, code int, body string) {
		if code < 200 || code > 599 {
			return
		}
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = w.Write([]byte(body))
		}))
		defer s.Close()
		d, err := virtfusion.New(virtfusion.Config{BaseURL: s.URL, Token: "x", Settings: json.RawMessage(`{"no_live_state": true}`)})
		if err != nil {
			t.Fatal(err)
		}
		st, err := d.State(t.Context(), "5")
		if err == nil && st.Status == "" {
			t.Errorf("%d %q: no status and no error", code, body)
		}
		if _, err := d.Create(t.Context(), order("t1/z")); err == nil && code >= 300 {
			t.Errorf("%d %q: created", code, body)
		}
	})
}
