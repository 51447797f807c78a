package queue_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jonboulle/clockwork"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// scheduler runs a scheduler on a clock of the test's until stop is called.
func scheduler(t testing.TB, w *tenancytest.World, clock clockwork.Clock, k *queue.Workers) (s *queue.Scheduler, stop func()) {
	t.Helper()
	s, err := queue.NewScheduler(queue.ScheduleConfig{Central: w.Central, Clock: clock, Session: func(ctx context.Context) (*pgx.Conn, error) {
		return tenancy.OpenSession(ctx, tenancy.Config{DSN: w.DSN}, tenancy.RiverLogin)
	}}, k)
	if err != nil {
		t.Fatal(err)
	}
	if err := queue.Schedule(s, "sweep", time.Minute, sweepUp{1}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return s, stop
}

func TestTwoSchedulersTickOnce(t *testing.T) {
	w := tenancytest.New(t)
	clock := clockwork.NewFakeClockAt(tenancytest.Start)
	one, stopOne := scheduler(t, w, clock, queue.NewWorkers())
	const jobs, minutes = "SELECT count(*) FROM river.river_job WHERE kind = 'test.sweep_up'", "SELECT count(DISTINCT unique_key) FROM river.river_job WHERE kind = 'test.sweep_up'"
	eventually(t, "a scheduler ticks as soon as it runs", func() bool { return scalar[int](t, w.Owner, jobs) == 1 })
	two, _ := scheduler(t, w, clock, queue.NewWorkers())
	// turn turns the clock minute by minute until somebody ticks. A scheduler whose last tick has
	// not returned, though its job is there, passes a minute over: the next is as good.
	turn := func(schedulers int) {
		t.Helper()
		before := scalar[int](t, w.Owner, jobs)
		for range 5 {
			// A clock that is turned before they wait for it passes their minute unseen.
			if err := clock.BlockUntilContext(t.Context(), schedulers); err != nil {
				t.Fatal(err)
			}
			clock.Advance(time.Minute)
			for end := time.Now().Add(6 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
				if scalar[int](t, w.Owner, jobs) > before {
					return
				}
			}
		}
		t.Fatalf("nobody ticks after %d", before)
	}
	for range 5 {
		turn(2)
	}
	eventually(t, "each job is of a tick", func() bool { return one.Ticks()["sweep"] == int64(scalar[int](t, w.Owner, jobs)) })
	if n := two.Ticks()["sweep"]; n != 0 || !one.Leads() || two.Leads() {
		t.Errorf("one leads: %v; two leads: %v and ticked %d times", one.Leads(), two.Leads(), n)
	}

	// The leader's connection breaks: somebody leads again, and no minute has two jobs.
	run(t, w.Owner, "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())")
	turn(2)
	// The leader goes: the other takes over.
	if two.Leads() {
		t.Log("the second took over when the connection broke")
	}
	stopOne()
	turn(1)
	if !two.Leads() {
		t.Error("nobody leads")
	}
	if all, keys := scalar[int](t, w.Owner, jobs), scalar[int](t, w.Owner, minutes); all != keys || all < 8 {
		t.Errorf("%d jobs of %d minutes", all, keys)
	}
}

// TestDueWork: what tenants put on the agenda is done once for each due time, however
// many ticks and nodes there are, and ticks that were missed are made up for.
func TestDueWork(t *testing.T) {
	w := tenancytest.New(t)
	var got heard
	workers := func() *queue.Workers {
		k := queue.NewWorkers()
		queue.Due(k, "renewals", func(ctx context.Context, db *tenancy.DB, _ time.Time) error {
			return db.Update(ctx, func(tx *tenancy.Tx) error {
				got.add(says(db.Tenant(), tx.Now().Format("15:04")))
				return tx.SetAgenda(ctx, "renewals", tx.Now().Add(time.Hour)) // hourly
			})
		})
		queue.HandleCentral(k, func(context.Context, *tenancy.Central, sweepUp) error { return nil })
		return k
	}
	clock := clockwork.NewFakeClockAt(w.Clock.Now()) // ticks; w.Clock is the transactions'
	people := castOf(w.A, w.B, w.C)
	k1, k2 := workers(), workers()
	work(t, w, people, k1)
	work(t, w, people, k2)
	scheduler(t, w, clock, k1)
	scheduler(t, w, clock, k2)
	plan := func(who tenancy.Tenant, in time.Duration) {
		t.Helper()
		err := w.DB(who).Update(t.Context(), func(tx *tenancy.Tx) error {
			return tx.SetAgenda(t.Context(), "renewals", tx.Now().Add(in))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	plan(w.A, 5*time.Minute)
	plan(w.B, 24*time.Hour)
	scans := 0
	advance := func(d time.Duration) { // one tick after d: all between were missed
		t.Helper()
		w.Clock.Advance(d)
		clock.Advance(d)
		scans++
		eventually(t, "the scan is over", func() bool {
			return scalar[int](t, w.Owner, "SELECT count(*) FROM river.river_job WHERE kind = 'agenda.scan' AND state = 'completed'") > scans
		})
		eventually(t, "no job is open", func() bool {
			return scalar[int](t, w.Owner, "SELECT count(*) FROM river.river_job WHERE state <> 'completed'") == 0
		})
	}
	eventually(t, "the first tick finds nothing due", func() bool {
		return scalar[int](t, w.Owner, "SELECT count(*) FROM river.river_job WHERE kind = 'agenda.scan' AND state = 'completed'") == 1
	})
	advance(time.Minute)
	if got.len() != 0 {
		t.Fatal("worked before it was due: ", got.all)
	}
	advance(10 * time.Minute)
	if got.len() != 1 || got.count("alpha: 09:41") != 1 {
		t.Fatal(got.all)
	}
	advance(time.Minute) // nothing new is due
	if got.len() != 1 {
		t.Fatal(got.all)
	}
	advance(3 * time.Hour) // three renewals were missed; one visit does them
	if got.len() != 2 || got.count("alpha: 12:42") != 1 {
		t.Fatal(got.all)
	}
	advance(24 * time.Hour)
	if got.len() != 4 || got.count("beta: 12:42") != 1 || got.count("alpha: 12:42") != 2 {
		t.Fatal(got.all)
	}
	if n := scalar[int](t, w.Owner, "SELECT count(*) FROM river.river_job WHERE kind = 'due.renewals'"); n != 4 {
		t.Errorf("%d visits were enqueued", n)
	}
}

func TestSchedulesThatMakeNoSense(t *testing.T) {
	w := tenancytest.New(t)
	s, err := queue.NewScheduler(queue.ScheduleConfig{Central: w.Central}, queue.NewWorkers())
	if err != nil {
		t.Fatal(err)
	}
	for _, every := range []time.Duration{0, -time.Second, time.Millisecond, 25 * time.Hour} {
		if err := queue.Schedule(s, "x", every, sweepUp{}); err == nil {
			t.Errorf("every %v was accepted", every)
		}
	}
}
