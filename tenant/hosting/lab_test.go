package hosting_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/provisioners/virtfusion"
	"github.com/ezscale/ezscale/provisioners/virtfusion/lab"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/hosting"
)

// plant is a shop whose platform is a simulated VirtFusion, reached by the real driver.
type plant struct {
	*place
	*lab.Lab
}

// plantOf gives an emptied shop a platform of its own.
func plantOf(t *testing.T, base *place) plant {
	t.Helper()
	p := plant{fresh(base, t), lab.New(lab.Options{Clock: base.Clock.Now, InstallDelay: time.Minute})}
	if _, err := p.Owner.Exec(t.Context(), "DELETE FROM central.alerts"); err != nil {
		t.Fatal(err)
	}
	p.AddToken("good")
	server := httptest.NewServer(p.Handler())
	t.Cleanup(server.Close)
	driver, err := virtfusion.New(virtfusion.Config{BaseURL: server.URL, Token: "good", Client: &http.Client{Timeout: 10 * time.Second}})
	if err != nil {
		t.Fatal(err)
	}
	p.floor.driver = driver
	return p
}

// alerts is how often staff and the reseller were alerted of something.
func (p plant) alerts(kind string) (n int) {
	p.t.Helper()
	p.scalar(&n, "SELECT count(*) FROM central.alerts WHERE kind = $1", kind)
	return n
}

// runs checks that the service runs, on exactly one server that was installed once, is
// billed once from when it ran, and that its customer was told once.
func (p plant) runs(id uuid.UUID) {
	p.t.Helper()
	s := p.get(id)
	if s.Desired != hosting.WantActive || s.Observed != hosting.SeenActive || s.Operation != "" || s.Problem != "" {
		p.t.Errorf("the service is %s, %s, %s %s, %q", s.Desired, s.Observed, s.Operation, s.Step, s.Problem)
	}
	if u := p.usage(); !slices.Equal(u, []string{"start vps-s"}) {
		p.t.Errorf("the usage is %q", u)
	}
	var billed time.Time
	p.scalar(&billed, "SELECT at FROM central.usage_events WHERE subject = $1", "service/"+id.String())
	if !billed.Equal(s.BeganAt) {
		p.t.Errorf("billed from %s, it ran from %s", billed, s.BeganAt)
	}
	if p.count("timeline", "kind = 'service.active' AND customer_sees") != 1 || p.count("mails", "template = 'service_ready' AND to_address = 'ann@example.org'") != 1 {
		p.t.Error("the customer was not told once that it is ready")
	}
	all := p.Servers()
	if len(all) != 1 {
		p.t.Fatalf("there are %d servers", len(all))
	}
	if all[0].Builds != 1 || strconv.FormatInt(all[0].ID, 10) != string(s.Ref) {
		p.t.Errorf("server %d was installed %d times, the service has %s", all[0].ID, all[0].Builds, s.Ref)
	}
	if c, err := p.desk.Reveal(p.t.Context(), p.db, id, p.caller()); err != nil || c.User != "root" || c.Password == "" || c.Password != all[0].Password {
		p.t.Errorf("revealed %+v, %v; the server has %q", c, err, all[0].Password)
	}
}

// gone checks that nothing is left at the platform, and what was billed.
func (p plant) gone(id uuid.UUID, usage ...string) {
	p.t.Helper()
	if s := p.get(id); s.Observed != hosting.SeenGone || s.Operation != "" || s.HasCredentials() {
		p.t.Errorf("it is %+v", s)
	}
	if all := p.Servers(); len(all) != 0 {
		p.t.Errorf("%d servers are left", len(all))
	}
	if u := p.usage(); !slices.Equal(u, usage) {
		p.t.Errorf("the usage is %q, not %q", u, usage)
	}
}

// TestTheRealDriverAndABrokenVirtFusion breaks the calls of a creation one by one: lost
// answers of what was done, cut connections, locks, limits and failures. It ends in one
// server each time.
func TestTheRealDriverAndABrokenVirtFusion(t *testing.T) {
	w := tenancytest.New(t)
	base := open(t, w, w.A)
	for name, faults := range map[string][]lab.Fault{
		"created, and the answer lost":           {{Method: "POST", Path: "/servers", After: true, Times: 1}},
		"created, and a gateway time-out":        {{Method: "POST", Path: "/servers", Status: 504, After: true, Times: 2}},
		"the user made, and the answer lost":     {{Method: "POST", Path: "/users", After: true, Times: 1}},
		"installing, and the answer lost":        {{Path: "/build", After: true, Times: 1}},
		"every write done, and its answer lost":  {{Method: "write", After: true, Times: 1}, {Method: "write", After: true, Skip: 1, Times: 1}, {Method: "write", After: true, Skip: 2, Times: 1}},
		"locked when it is to be installed":      {{Path: "/build", Status: 423, Times: 4}},
		"locked for every write":                 {{Method: "write", Status: 423, Times: 5}},
		"failing in every way, one after other":  {{Status: 500, Times: 1}, {Status: 502, Times: 1}, {Times: 1}, {Status: 423, Times: 1}, {Status: 429, RetryAfter: "3", Times: 1}, {Status: 503, Times: 1}},
		"a proxy's page instead of the answer":   {{Method: "POST", Path: "/servers", Status: 200, Body: "<html>", After: true, Times: 1}},
		"while it is looked at: cut, then a 503": {{Method: "GET", Path: "/servers/", Times: 2}, {Method: "GET", Path: "/servers/", Status: 503, Times: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			p := plantOf(t, base)
			for _, f := range faults {
				p.Break(f)
			}
			id := p.order()
			p.settle(id)
			p.runs(id)
		})
	}
}

// TestVirtFusionSaysWhenToComeBack: a Retry-After is kept, and nothing is asked meanwhile.
func TestVirtFusionSaysWhenToComeBack(t *testing.T) {
	w := tenancytest.New(t)
	p := plantOf(t, open(t, w, w.A))
	p.Break(lab.Fault{Method: "POST", Path: "/servers", Status: 429, RetryAfter: "420", Times: 1})
	id := p.order()
	asked := w.Clock.Now()
	if _, err := p.drive(id); err != nil {
		t.Fatal(err)
	}
	if next := p.get(id).NextAt; next.Sub(asked) < 7*time.Minute {
		t.Errorf("asked again after %s", next.Sub(asked))
	}
	p.Calls()
	for range 6 {
		w.Clock.Advance(time.Minute)
		if _, err := p.drive(id); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(p.Calls()); n != 0 {
		t.Errorf("%d calls before the time was over", n)
	}
	p.settle(id)
	p.runs(id)
}

// TestAnHourOfVirtFusionsFailures has the platform fail for an hour, from the order on or
// in the middle of the creation: nothing is billed meanwhile, nobody is asked to
// do anything, and both sides are told once.
func TestAnHourOfVirtFusionsFailures(t *testing.T) {
	w := tenancytest.New(t)
	base := open(t, w, w.A)
	for name, f := range map[string]lab.Fault{
		"down from the order on":         {},
		"503 from the order on":          {Status: 503},
		"the token refused":              {Status: 401},
		"down after the user was made":   {Skip: 2},
		"503 after the server was made":  {Status: 503, Path: "/build"},
		"504 while it was installed":     {Status: 504, Method: "GET", Path: "/servers/", Skip: 2},
		"locked for an hour, by a task":  {Status: 423, Path: "/build"},
		"429 without a time for an hour": {Status: 429},
	} {
		t.Run(name, func(t *testing.T) {
			p := plantOf(t, base)
			p.Break(f)
			until := w.Clock.Now().Add(time.Hour)
			id := p.order()
			for calls := 0; w.Clock.Now().Before(until); calls++ {
				if calls > 60 {
					t.Fatal("the platform is asked without a pause")
				}
				if _, err := p.drive(id); err != nil {
					t.Fatal(err)
				}
				s := p.get(id)
				if s.NextAt.IsZero() || s.Problem != "" {
					t.Fatalf("given up: %+v", s)
				}
				w.Clock.Set(s.NextAt)
			}
			if u := p.usage(); len(u) != 0 {
				t.Errorf("billed while it was down: %q", u)
			}
			p.Mend()
			p.settle(id)
			p.runs(id)
			if n := p.count("timeline", "kind = 'service.slow' AND customer_sees"); n != 1 {
				t.Errorf("the customer was told %d times that it takes longer", n)
			}
			if n := p.count("timeline", "kind = 'service.slow_because' AND NOT customer_sees"); n != 1 || p.alerts("service.slow") != 1 {
				t.Errorf("the reseller was told %d times why, with %d alerts", n, p.alerts("service.slow"))
			}
		})
	}
}

// TestAServerDeletedAtVirtFusionItself is looked at, told to everybody, and billed to the
// moment it was seen gone.
func TestAServerDeletedAtVirtFusionItself(t *testing.T) {
	w := tenancytest.New(t)
	base := open(t, w, w.A)
	t.Run("while it ran", func(t *testing.T) {
		p := plantOf(t, base)
		id := p.order()
		p.settle(id)
		p.DeleteBehind(p.Servers()[0].ID)
		// A look that comes to nothing proves nothing.
		p.Break(lab.Fault{Status: 503})
		w.Clock.Advance(4 * time.Hour)
		if err := p.desk.Tick(t.Context(), p.db, w.Clock.Now()); err != nil {
			t.Fatal(err)
		}
		if s := p.get(id); s.Observed != hosting.SeenActive || len(p.usage()) != 1 {
			t.Errorf("a platform that fails made it %s", s.Observed)
		}
		p.Mend()
		w.Clock.Advance(time.Hour)
		if err := p.desk.Tick(t.Context(), p.db, w.Clock.Now()); err != nil {
			t.Fatal(err)
		}
		p.gone(id, "start vps-s", "stop vps-s")
		s := p.get(id)
		var stopped time.Time
		p.scalar(&stopped, "SELECT at FROM central.usage_events WHERE kind = 'stop' AND subject = $1", "service/"+id.String())
		if !stopped.Equal(w.Clock.Now()) || !s.EndedAt.Equal(stopped) || s.Problem == "" {
			t.Errorf("billed until %s, ended %s, %q", stopped, s.EndedAt, s.Problem)
		}
		if p.count("timeline", "kind = 'service.lost' AND customer_sees") != 1 || p.count("timeline", "kind = 'service.failed' AND NOT customer_sees") != 1 || p.alerts("service.failed") != 1 {
			t.Error("not told to all in the timeline and by an alert")
		}
		if p.count("mails", "template = 'service_gone' AND to_address = 'ann@example.org'") != 1 || p.count("mails", "template = 'service_failed' AND to_address = 'rita@example.org'") != 1 {
			t.Error("not told to all by mail")
		}
		if _, err := p.drive(id); err != nil || len(p.Servers()) != 0 {
			t.Errorf("a late job made another: %v", err)
		}
	})
	t.Run("while it was installed", func(t *testing.T) {
		p := plantOf(t, base)
		id := p.order()
		if _, err := p.drive(id); err != nil || len(p.Servers()) != 1 {
			t.Fatalf("%d servers, %v", len(p.Servers()), err)
		}
		p.DeleteBehind(p.Servers()[0].ID)
		s := p.settle(id)
		if s.Observed != hosting.SeenFailed || s.Problem == "" || len(p.usage()) != 0 || p.alerts("service.failed") != 1 {
			t.Errorf("it is %s, %q, usage %q", s.Observed, s.Problem, p.usage())
		}
		p.update(func(tx *tenancy.Tx) error { _, err := hosting.Retry(t.Context(), tx, id); return err })
		p.settle(id)
		p.runs(id)
	})
}

// TestDuplicateJobsAtVirtFusion runs the same job by many workers at once, and again
// after it is done.
func TestDuplicateJobsAtVirtFusion(t *testing.T) {
	w := tenancytest.New(t)
	p := plantOf(t, open(t, w, w.A))
	id := p.order()
	for range 16 {
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { _ = p.desk.Drive(t.Context(), p.db, hosting.DriveJob{ServiceID: id}) })
		}
		all.Wait()
		w.Clock.Advance(6 * time.Second)
	}
	p.settle(id)
	p.runs(id)
	made, built := 0, 0
	for _, c := range p.Calls() {
		if c.Method == http.MethodPost && c.Path == "/api/v1/servers" {
			made++
		}
		if c.Method == http.MethodPost && c.Path == "/api/v1/servers/"+string(p.get(id).Ref)+"/build" {
			built++
		}
	}
	if made != 1 || built != 1 {
		t.Errorf("VirtFusion was asked %d times to create and %d times to install", made, built)
	}
}

// TestAFullVirtFusion refuses for good: everybody is told, nothing is billed, and the
// reseller has it tried again.
func TestAFullVirtFusion(t *testing.T) {
	w := tenancytest.New(t)
	p := plantOf(t, open(t, w, w.A))
	p.SetRoom(2, 0)
	id := p.order()
	s := p.settle(id)
	if s.Observed != hosting.SeenFailed || s.Problem != "The platform has no room left for it." || len(p.usage()) != 0 || len(p.Servers()) != 0 {
		t.Errorf("it is %s, %q, usage %q", s.Observed, s.Problem, p.usage())
	}
	if p.count("timeline", "kind = 'service.stuck' AND customer_sees") != 1 || p.alerts("service.failed") != 1 || p.count("mails", "template = 'service_failed'") != 1 {
		t.Error("not told to all")
	}
	p.SetRoom(2, 1<<19)
	p.update(func(tx *tenancy.Tx) error { _, err := hosting.Retry(t.Context(), tx, id); return err })
	p.settle(id)
	p.runs(id)
}

// TestWhatEndsAtABrokenVirtFusion ends services whose calls fail on the way: also one
// whose creation was done and never answered.
func TestWhatEndsAtABrokenVirtFusion(t *testing.T) {
	w := tenancytest.New(t)
	base := open(t, w, w.A)
	end := func(p plant, id uuid.UUID) {
		p.update(func(tx *tenancy.Tx) error { return hosting.Terminate(p.t.Context(), tx, id, "over") })
		w.Clock.Advance(2 * time.Minute)
		p.settle(id)
	}
	for name, f := range map[string]lab.Fault{
		"deleted, and the answer lost": {Method: "DELETE", After: true, Times: 2}, "locked": {Method: "DELETE", Status: 423, Times: 5},
		"failing": {Method: "DELETE", Status: 500, Times: 5}, "cut": {Times: 5}, "429": {Status: 429, RetryAfter: "60", Times: 3},
	} {
		t.Run(name, func(t *testing.T) {
			p := plantOf(t, base)
			id := p.order()
			p.settle(id)
			p.Break(f)
			end(p, id)
			p.gone(id, "start vps-s", "stop vps-s")
		})
	}
	t.Run("created without an answer, and not wanted any more", func(t *testing.T) {
		p := plantOf(t, base)
		p.Break(lab.Fault{Method: "POST", Path: "/servers", After: true, Times: 1})
		id := p.order()
		if _, err := p.drive(id); err != nil {
			t.Fatal(err)
		}
		if s := p.get(id); s.Ref != "" || len(p.Servers()) != 1 {
			t.Fatalf("the service has %q, there are %d servers", s.Ref, len(p.Servers()))
		}
		end(p, id)
		p.gone(id)
	})
	t.Run("suspended and released with lost answers", func(t *testing.T) {
		p := plantOf(t, base)
		id := p.order()
		p.settle(id)
		for _, path := range []string{"/suspend", "/unsuspend"} {
			p.Break(lab.Fault{Path: path, After: true, Times: 1})
			p.Break(lab.Fault{Path: path, Status: 423, Times: 1})
		}
		p.update(func(tx *tenancy.Tx) error {
			return hosting.Suspend(t.Context(), tx, id, hosting.HoldBilling, "Not paid.")
		})
		if s := p.settle(id); s.Observed != hosting.SeenSuspended || !p.Servers()[0].Suspended {
			t.Errorf("it is %s", s.Observed)
		}
		p.update(func(tx *tenancy.Tx) error { return hosting.Release(t.Context(), tx, id, hosting.HoldBilling) })
		p.settle(id)
		if p.Servers()[0].Suspended {
			t.Error("it is suspended still")
		}
		p.runs(id)
	})
}
