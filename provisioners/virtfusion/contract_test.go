package virtfusion_test

import (
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/provisioners/provisionertest"
	"github.com/ezscale/ezscale/provisioners/virtfusion"
	"github.com/ezscale/ezscale/provisioners/virtfusion/lab"
)

// clock is turned by the bench.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// place is a lab behind the validator, with its clock.
type place struct {
	*lab.Lab
	url   string
	clock *clock
}

func open(t testing.TB, o lab.Options) place {
	t.Helper()
	c := &clock{now: time.Date(2026, 10, 15, 12, 0, 0, 0, time.UTC)}
	o.Clock = c.Now
	l := lab.New(o)
	l.AddToken("good")
	s := httptest.NewServer(validated(t, l.Handler()))
	t.Cleanup(s.Close)
	return place{l, s.URL, c}
}

func (p place) driver(t testing.TB, token string) *virtfusion.Driver {
	t.Helper()
	d, err := virtfusion.New(virtfusion.Config{BaseURL: p.url, Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (p place) server(ref provisioners.Ref) lab.Server {
	for _, s := range p.Servers() {
		if strconv.FormatInt(s.ID, 10) == string(ref) {
			return s
		}
	}
	return lab.Server{}
}

func number(ref provisioners.Ref) int64 {
	n, _ := strconv.ParseInt(string(ref), 10, 64)
	return n
}

func bench(t testing.TB) *provisionertest.Bench {
	p := open(t, lab.Options{InstallDelay: time.Minute, TaskDelay: 5 * time.Second})
	return &provisionertest.Bench{
		Driver: p.driver(t, "good"), Parameters: map[string]any{"packageId": 1.0, "hypervisorGroupId": 2.0},
		Spec: provisioners.Spec{CPU: 1, MemoryMB: 2048, DiskGB: 40, TrafficGB: 2000, IPv4: 1}, Image: "11", OtherImage: "21",
		Ready: func() { p.clock.pass(2 * time.Minute) },
		Break: func(f provisionertest.Fault) {
			method := ""
			if f.Writes {
				method = "write"
			}
			p.Break(lab.Fault{Method: method, Status: f.Status, RetryAfter: f.RetryAfter, Body: f.Body, After: f.After, Skip: f.Skip, Times: f.Times})
		},
		Mend: p.Mend, Count: func() int { return len(p.Servers()) },
		DeleteBehind: func(r provisioners.Ref) { p.DeleteBehind(number(r)) },
		FailBuild:    func(r provisioners.Ref) { p.FailBuild(number(r)) },
		Fill:         func() { p.SetRoom(2, 0) },
		Stranger:     func() provisioners.Driver { return p.driver(t, "unknown") },
		Limited: func() []provisioners.Driver {
			p.AddToken("no users", lab.PermServers, lab.PermKeys)
			p.AddToken("no servers", lab.PermUsers, lab.PermKeys)
			p.AddToken("no keys", lab.PermUsers, lab.PermServers)
			return []provisioners.Driver{p.driver(t, "no users"), p.driver(t, "no servers"), p.driver(t, "no keys")}
		},
		Installs: func(r provisioners.Ref) int { return p.server(r).Builds },
		Password: func(r provisioners.Ref) string { return p.server(r).Password },
	}
}

func TestContract(t *testing.T) { provisionertest.Run(t, bench) }
