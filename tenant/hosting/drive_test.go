package hosting_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/hosting"
)

// TestAServiceComesAliveOnce is the way everything takes when nothing goes wrong.
func TestAServiceComesAliveOnce(t *testing.T) {
	w := tenancytest.New(t)
	p, q := open(t, w, w.A), open(t, w, w.B)
	p.rack.install = 3
	id := p.order()
	if s := p.get(id); s.Observed != hosting.SeenNone || s.Operation != hosting.OpCreate || s.BeganAt != (time.Time{}) || len(p.usage()) != 0 {
		t.Errorf("before: %+v", s)
	}
	p.settle(id)
	p.whole(id)
	s := p.get(id)
	if s.Address != "203.0.113.10" || s.Power != provisioners.PowerOn || !s.NextAt.After(w.Clock.Now()) {
		t.Errorf("after: %+v", s)
	}
	if len(q.usage()) != 0 || q.count("timeline", "true") != 0 {
		t.Error("the other shop heard of it")
	}
	err := q.db.View(t.Context(), func(tx *tenancy.Tx) error { _, err := hosting.Get(t.Context(), tx, id); return err })
	if !fault.Is(err, "service.not_found") {
		t.Errorf("the other shop reads it: %v", err)
	}
	if bytes.Contains(s.Sealed, []byte("hunter")) {
		t.Error("the password is kept in clear")
	}
	var dump string
	p.scalar(&dump, "SELECT string_agg(x::text, ' ') FROM (SELECT args::text AS x FROM river.river_job UNION ALL SELECT text FROM "+w.A.ID.Schema()+".timeline UNION ALL SELECT detail::text FROM "+w.A.ID.Schema()+".audit_entries) x")
	if strings.Contains(dump, "hunter") {
		t.Error("the password stands in a job, the timeline or the audit trail")
	}
	p.update(func(tx *tenancy.Tx) error { // ordered again
		again, err := hosting.Order(t.Context(), tx, hosting.New{SubscriptionID: s.SubscriptionID, AccountID: p.account})
		if again.ID != id {
			t.Errorf("a second order made %s", again.ID)
		}
		return err
	})
	for range 3 { // and jobs come late
		if _, err := p.drive(id); err != nil {
			t.Error(err)
		}
	}
	p.whole(id)
}

// TestEveryFaultOfAPlatformEndsInOneServer breaks each call of a creation, before and
// after it was done, in every way there is.
func TestEveryFaultOfAPlatformEndsInOneServer(t *testing.T) {
	w := tenancytest.New(t)
	p := open(t, w, w.A)
	for _, method := range []string{"find", "make", "build", "state"} {
		for name, err := range map[string]error{
			"time-out": retryLater(0, provisioners.ErrUnavailable), "locked": retryLater(10*time.Second, provisioners.ErrLocked),
			"too many": retryLater(7*time.Minute, provisioners.ErrUnavailable), "token": retryLater(5*time.Minute, provisioners.ErrCredentials),
		} {
			for _, after := range []bool{false, true} {
				t.Run(fmt.Sprint(method, " ", name, " ", after), func(t *testing.T) {
					p := fresh(p, t)
					p.rack.install = 1
					p.rack.fails = func(m string, n int, done bool) error {
						if m == method && n <= 2 && done == after {
							return err
						}
						return nil
					}
					id := p.order()
					p.settle(id)
					p.whole(id)
				})
			}
		}
	}
}

// fresh is the same shop with nothing in it and an empty rack.
func fresh(p *place, t *testing.T) *place {
	t.Helper()
	s := p.who.ID.Schema()
	for _, table := range []string{"services", "timeline", "mails"} {
		if _, err := p.Owner.Exec(t.Context(), "DELETE FROM "+s+"."+table); err != nil {
			t.Fatal(err)
		}
	}
	for _, sql := range []string{
		"ALTER TABLE central.usage_events DISABLE TRIGGER ALL", "DELETE FROM central.usage_events", "ALTER TABLE central.usage_events ENABLE TRIGGER ALL",
		"DELETE FROM central.services",
	} {
		if _, err := p.Owner.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	q := *p
	q.t, q.rack = t, newRack()
	q.floor = &floor{driver: q.rack}
	desk := *p.desk
	desk.Platforms, desk.Between = q.floor, nil
	q.desk = &desk
	return &q
}

// TestAnHourWithoutThePlatformCostsNothing has it down when the service is ordered.
func TestAnHourWithoutThePlatformCostsNothing(t *testing.T) {
	w := tenancytest.New(t)
	p := open(t, w, w.A)
	until := w.Clock.Now().Add(time.Hour)
	p.floor.down = func() error {
		if w.Clock.Now().Before(until) {
			return retryLater(0, fmt.Errorf("%w: HTTP 503", provisioners.ErrUnavailable))
		}
		return nil
	}
	id := p.order()
	s := p.settle(id)
	p.whole(id)
	if s.BeganAt.Before(until) {
		t.Errorf("billed from %s, while the platform was down until %s", s.BeganAt, until)
	}
	if n := p.count("timeline", "kind = 'service.slow' AND customer_sees"); n != 1 {
		t.Errorf("the customer was told %d times that it takes longer", n)
	}
	var alerts int
	p.scalar(&alerts, "SELECT count(*) FROM central.alerts WHERE kind = 'service.slow'")
	if alerts != 1 {
		t.Errorf("%d alerts", alerts)
	}
}

// TestAWorkerMayDieAnywhere kills the worker at every place, once and three times in a
// row, for every operation; in the end everything is as it is wanted, once.
func TestAWorkerMayDieAnywhere(t *testing.T) {
	w := tenancytest.New(t)
	base := open(t, w, w.A)
	var places []string
	record := fresh(base, t)
	record.rack.install = 1
	record.desk.Between = func(place string) {
		if !slices.Contains(places, place) {
			places = append(places, place)
		}
	}
	id := record.order()
	record.settle(id)
	record.update(func(tx *tenancy.Tx) error { return hosting.Terminate(t.Context(), tx, id, "over") })
	record.settle(id)
	if len(places) < 9 {
		t.Fatalf("only these places were passed: %q", places)
	}
	for _, where := range places {
		for _, nth := range []int{1, 2, 3} {
			t.Run(fmt.Sprintf("%s %d", where, nth), func(t *testing.T) {
				p := fresh(base, t)
				p.rack.install = 1
				deaths := mortal(p, where, nth)
				id := p.order()
				p.settle(id)
				if where != "before destroy" {
					p.whole(id)
					if *deaths == 0 {
						t.Error("the worker never died")
					}
				}
				p.update(func(tx *tenancy.Tx) error {
					return hosting.Suspend(t.Context(), tx, id, hosting.HoldBilling, "Not paid.")
				})
				if s := p.settle(id); s.Observed != hosting.SeenSuspended || !p.rack.machines[s.Ref].Suspended {
					t.Errorf("not suspended: %+v", s)
				}
				p.update(func(tx *tenancy.Tx) error { return hosting.Release(t.Context(), tx, id, hosting.HoldBilling) })
				p.settle(id)
				if err := p.desk.Rebuild(t.Context(), p.db, id, "ubuntu-24.04", "VPS Small", p.caller()); err != nil {
					t.Error(err)
				}
				mortal(p, where, nth)
				p.settle(id)
				p.whole(id)
				if s := p.get(id); s.Image != "ubuntu-24.04" || len(p.rack.machines[s.Ref].Builds) != 2 {
					t.Errorf("installed %q, it is %s", p.rack.machines[s.Ref].Builds, s.Image)
				}
				mortal(p, where, nth)
				p.update(func(tx *tenancy.Tx) error { return hosting.Terminate(t.Context(), tx, id, "over") })
				p.settle(id)
				p.over(id, "start vps-s", "stop vps-s")
			})
		}
	}
}

// mortal has the worker die at a place, the first so many times.
func mortal(p *place, where string, times int) *int {
	deaths := 0
	p.desk.Between = func(at string) {
		if at == where && deaths < times {
			deaths++
			panic(died{at})
		}
	}
	return &deaths
}

// over checks that nothing is left, and what was billed.
func (p *place) over(id uuid.UUID, usage ...string) {
	p.t.Helper()
	s := p.get(id)
	if s.Observed != hosting.SeenGone || s.Operation != "" || s.Problem != "" || !s.NextAt.IsZero() || s.HasCredentials() {
		p.t.Errorf("not over: %+v", s)
	}
	if len(p.rack.machines) != 0 {
		p.t.Errorf("%d machines are left", len(p.rack.machines))
	}
	if u := p.usage(); !slices.Equal(u, usage) {
		p.t.Errorf("the usage is %q, not %q", u, usage)
	}
}

// TestTwoWorkersAtOnceMakeOneServer runs many workers and jobs for one service.
func TestTwoWorkersAtOnceMakeOneServer(t *testing.T) {
	w := tenancytest.New(t)
	p := open(t, w, w.A)
	p.rack.install = 2
	id := p.order()
	for range 20 {
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { _ = p.desk.Drive(t.Context(), p.db, hosting.DriveJob{ServiceID: id}) })
		}
		all.Wait()
		w.Clock.Advance(6 * time.Second)
	}
	p.settle(id)
	p.whole(id)
	if p.rack.overlap != 0 {
		t.Errorf("%d calls overlapped", p.rack.overlap)
	}
}

// TestAnEndDuringACreationLeavesNothing ends the service at every moment of its creation.
func TestAnEndDuringACreationLeavesNothing(t *testing.T) {
	w := tenancytest.New(t)
	base := open(t, w, w.A)
	for _, where := range []string{"", "claimed", "before create", "named", "name kept", "created", "asked", "settling", "settled"} {
		t.Run("at "+where, func(t *testing.T) {
			p := fresh(base, t)
			p.rack.install = 2
			id := p.order()
			if where != "" {
				mortal(p, where, 1)
				if at, err := p.drive(id); at != where {
					t.Fatalf("died at %q, %v", at, err)
				}
			}
			p.update(func(tx *tenancy.Tx) error { return hosting.Terminate(t.Context(), tx, id, "changed their mind") })
			w.Clock.Advance(2 * time.Minute)
			p.settle(id)
			p.over(id)
			if where == "" && p.rack.made != 0 {
				t.Error("a machine was made for nothing")
			}
		})
	}
}

// TestFinalErrorsAreToldAndMayBeRetried covers a full platform, a refusal, an
// installation that fails and one that disappears.
func TestFinalErrorsAreToldAndMayBeRetried(t *testing.T) {
	w := tenancytest.New(t)
	base := open(t, w, w.A)
	base.update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO webhook_endpoints (id, url, events, sealed_secrets, state, state_note, created_at, changed_at)
			VALUES (?, 'https://example.com', '[]', '', 'active', '', now(), now())`, uuid.New()).Exec(t.Context())
		return err
	})
	for name, breakIt := range map[string]func(*place){
		"full": func(p *place) {
			p.rack.fails = func(m string, _ int, after bool) error {
				if m == "make" && !after {
					return fmt.Errorf("422: %w", provisioners.ErrNoRoom)
				}
				return nil
			}
		},
		"refused": func(p *place) {
			p.rack.fails = func(m string, _ int, after bool) error {
				if m == "build" && !after {
					return fmt.Errorf("422: %w", provisioners.ErrRefused)
				}
				return nil
			}
		},
		"broken": func(p *place) {
			p.desk.Between = func(at string) {
				if at == "created" {
					for _, m := range p.rack.machines {
						m.Failed = true
					}
				}
			}
		},
		"disappeared": func(p *place) {
			p.desk.Between = func(at string) {
				if at == "created" {
					clear(p.rack.machines)
					p.rack.made = 0
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := fresh(base, t)
			breakIt(p)
			id := p.order()
			s := p.settle(id)
			if s.Observed != hosting.SeenFailed || s.Problem == "" || len(p.usage()) != 0 {
				t.Errorf("it is %s, %q, usage %q", s.Observed, s.Problem, p.usage())
			}
			var alerts int
			p.scalar(&alerts, "SELECT count(*) FROM central.alerts WHERE kind = 'service.failed' AND detail->>'service' = $1", id.String())
			if alerts != 1 {
				t.Errorf("staff hear of it %d times", alerts)
			}
			if n := p.count("mails", "template = 'service_failed' AND to_address = 'rita@example.org'"); n != 1 {
				t.Errorf("%d mails to the team", n)
			}
			if p.count("timeline", "kind = 'service.stuck' AND customer_sees") != 1 || p.count("timeline", "kind = 'service.failed' AND NOT customer_sees") != 1 {
				t.Error("not told to both")
			}
			if n := p.count("webhook_deliveries", "type = 'service.failed' AND body LIKE '%\"operation\":\"create\"%' AND body NOT LIKE '%422:%' AND body LIKE '%' || $1 || '%'", id.String()); n != 1 {
				t.Errorf("programs heard of it %d times", n)
			}
			if err := hosting.Power(t.Context(), p.db, id, provisioners.Restart, p.caller()); err == nil {
				t.Error("a failed service can be restarted")
			}
			p.rack.fails, p.desk.Between = nil, nil
			for _, m := range p.rack.machines {
				m.Failed = false
			}
			p.update(func(tx *tenancy.Tx) error { _, err := hosting.Retry(t.Context(), tx, id); return err })
			p.settle(id)
			p.whole(id)
		})
	}
}

// TestAServerDeletedBehindOurBackIsNoticed has the look at rest find it gone.
func TestAServerDeletedBehindOurBackIsNoticed(t *testing.T) {
	w := tenancytest.New(t)
	p := open(t, w, w.A)
	id := p.order()
	p.settle(id)
	clear(p.rack.machines)
	w.Clock.Advance(4 * time.Hour)
	if err := p.desk.Tick(t.Context(), p.db, w.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	s := p.get(id)
	if s.Observed != hosting.SeenGone || !s.EndedAt.Equal(w.Clock.Now()) || s.Problem == "" {
		t.Errorf("it is %+v", s)
	}
	if u := p.usage(); !slices.Equal(u, []string{"start vps-s", "stop vps-s"}) {
		t.Errorf("the usage is %q", u)
	}
	if p.count("mails", "template = 'service_gone' AND to_address = 'ann@example.org'") != 1 || p.count("mails", "template = 'service_failed' AND to_address = 'rita@example.org'") != 1 {
		t.Error("somebody was not told")
	}
	var due int
	p.scalar(&due, "SELECT count(*) FROM central.agenda WHERE kind = 'services'")
	if due != 0 {
		t.Error("something gone is looked at again")
	}
	p.update(func(tx *tenancy.Tx) error { return hosting.Terminate(t.Context(), tx, id, "gone") })
	p.settle(id)
	p.over(id, "start vps-s", "stop vps-s")
}

// TestWhatSomebodyElseChangedIsShownAndNotUndone covers drift.
func TestWhatSomebodyElseChangedIsShownAndNotUndone(t *testing.T) {
	w := tenancytest.New(t)
	p := open(t, w, w.A)
	id := p.order()
	s := p.settle(id)
	p.rack.machines[s.Ref].Suspended = true
	w.Clock.Advance(4 * time.Hour)
	if s = p.settle(id); s.Observed != hosting.SeenSuspended || s.Problem == "" || !p.rack.machines[s.Ref].Suspended {
		t.Errorf("it is %+v", s)
	}
	p.update(func(tx *tenancy.Tx) error { _, err := hosting.Retry(t.Context(), tx, id); return err })
	if s = p.settle(id); s.Observed != hosting.SeenActive || s.Problem != "" || p.rack.machines[s.Ref].Suspended {
		t.Errorf("after a repair it is %+v", s)
	}
	if u := p.usage(); len(u) != 1 {
		t.Errorf("the usage is %q", u)
	}
}

// TestHoldsAddUp covers two reasons, repetition, and changing one's mind at any step.
func TestHoldsAddUp(t *testing.T) {
	w := tenancytest.New(t)
	p := open(t, w, w.A)
	p.update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO webhook_endpoints (id, account_id, url, events, sealed_secrets, state, state_note, created_at, changed_at)
			VALUES (?, ?, 'https://example.com', '["service.suspended", "service.released"]', '', 'active', '', now(), now())`, uuid.New(), p.account).Exec(t.Context())
		return err
	})
	id := p.order()
	p.settle(id)
	hold := func(h hosting.Hold) {
		p.update(func(tx *tenancy.Tx) error { return hosting.Suspend(t.Context(), tx, id, h, "Because.") })
	}
	release := func(h hosting.Hold) {
		p.update(func(tx *tenancy.Tx) error { return hosting.Release(t.Context(), tx, id, h) })
	}
	hold(hosting.HoldBilling)
	hold(hosting.HoldBilling)
	hold(hosting.HoldReseller)
	p.settle(id)
	release(hosting.HoldBilling)
	if s := p.settle(id); s.Observed != hosting.SeenSuspended {
		t.Errorf("one hold is left, and it is %s", s.Observed)
	}
	release(hosting.HoldReseller)
	if s := p.settle(id); s.Observed != hosting.SeenActive {
		t.Errorf("no hold is left, and it is %s", s.Observed)
	}
	if n := p.count("mails", "template = 'service_suspended'"); n != 1 {
		t.Errorf("%d mails say that it is suspended", n)
	}
	if s, r := p.count("webhook_deliveries", "type = 'service.suspended'"), p.count("webhook_deliveries", "type = 'service.released'"); s != 1 || r != 1 || p.count("webhook_deliveries", "true") != 2 {
		t.Errorf("the customer's programs heard of %d suspensions and %d releases", s, r)
	}
	hold(hosting.HoldBilling)
	p.rack.fails = func(m string, _ int, after bool) error {
		if m == "suspend" && after {
			return retryLater(0, provisioners.ErrUnavailable) // done, and the answer lost
		}
		return nil
	}
	_, _ = p.drive(id)
	release(hosting.HoldBilling)
	p.rack.fails = nil
	s := p.settle(id)
	if s.Observed != hosting.SeenActive || p.rack.machines[s.Ref].Suspended {
		t.Errorf("released while it was being suspended, it is %+v", s)
	}
}
