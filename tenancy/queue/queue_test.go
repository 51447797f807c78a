package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestAJobArrivesBound: what a handler gets is the tenant the database stamped.
func TestAJobArrivesBound(t *testing.T) {
	w := tenancytest.New(t)
	var got heard
	k := queue.NewWorkers()
	queue.Handle(k, func(ctx context.Context, db *tenancy.DB, n note) error {
		// The schema the handle reaches, as Postgres sees it.
		var schema string
		err := db.View(ctx, func(tx *tenancy.Tx) error {
			return tx.NewRaw("SELECT current_schema()").Scan(ctx, &schema)
		})
		if err == nil && schema != db.Tenant().ID.Schema() {
			err = fmt.Errorf("bound to %s and in %s", db.Tenant().ID, schema)
		}
		got.add(says(db.Tenant(), n.Text))
		return err
	})
	queue.HandleCentral(k, func(_ context.Context, _ *tenancy.Central, j sweepUp) error {
		got.add(fmt.Sprint("platform ", j.N))
		return nil
	})
	work(t, w, castOf(w.A, w.B, w.C), k)

	enqueue(t, w, w.A, note{"hello"}, tenancy.JobOptions{})
	enqueue(t, w, w.B, note{"hello"}, tenancy.JobOptions{})
	enqueueCentral(t, w, sweepUp{1}, tenancy.JobOptions{})
	eventually(t, "all three are worked", func() bool { return got.len() == 3 })
	if got.count("alpha: hello") != 1 || got.count("beta: hello") != 1 || got.count("platform 1") != 1 {
		t.Error(got.all)
	}

	// A transaction that fails leaves no job.
	err := w.DB(w.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		_, err := tx.Enqueue(t.Context(), note{"never"}, tenancy.JobOptions{})
		return errors.Join(err, errors.New("no"))
	})
	if err == nil || scalar[int](t, w.Owner, "SELECT count(*) FROM river.river_job WHERE args->>'text' = 'never'") != 0 {
		t.Error("a rolled back transaction left its job", err)
	}

	// One key, one job; for each tenant and kind.
	if !enqueue(t, w, w.A, note{"once"}, tenancy.JobOptions{Key: "k"}) || enqueue(t, w, w.A, note{"once"}, tenancy.JobOptions{Key: "k"}) {
		t.Error("a key is not unique")
	}
	if !enqueue(t, w, w.B, note{"once"}, tenancy.JobOptions{Key: "k"}) {
		t.Error("a tenant took its neighbour's key")
	}
	if !enqueueCentral(t, w, sweepUp{2}, tenancy.JobOptions{Key: "k"}) || enqueueCentral(t, w, sweepUp{2}, tenancy.JobOptions{Key: "k"}) {
		t.Error("a central key is not unique")
	}
	eventually(t, "the unique ones are worked", func() bool {
		return got.count("alpha: once") == 1 && got.count("beta: once") == 1 && got.count("platform 2") == 1
	})
	if enqueue(t, w, w.A, note{"once"}, tenancy.JobOptions{Key: "k"}) {
		t.Error("a key is free again as soon as its job is done")
	}
}

// TestManyJobsAtOnce: what is added together is what would have been added one by one.
func TestManyJobsAtOnce(t *testing.T) {
	w := tenancytest.New(t)
	enqueue(t, w, w.A, note{"known"}, tenancy.JobOptions{Key: "known"})
	enqueue(t, w, w.B, note{"not A's"}, tenancy.JobOptions{Key: "free"})
	later := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	err := w.DB(w.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		return tx.EnqueueAll(t.Context(), []tenancy.Queued{
			{Job: note{"1"}}, {Job: note{"2"}, Options: tenancy.JobOptions{Key: "known"}},
			{Job: note{"3"}, Options: tenancy.JobOptions{Key: "free"}}, {Job: note{"4"}, Options: tenancy.JobOptions{Key: "free"}},
			{Job: note{"5"}, Options: tenancy.JobOptions{Queue: "mail", At: later}}, {Job: note{"6"}},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := w.Owner.Query(t.Context(), `SELECT args->>'text' || ' ' || queue || ' ' || state || CASE WHEN scheduled_at = $2 THEN ' later' ELSE '' END
		FROM river.river_job WHERE metadata->>'tenant' = $1 ORDER BY id`, w.A.ID.String(), later)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	want := []string{"known default available", "1 default available", "3 default available", "5 mail scheduled later", "6 default available"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v %q, want %q", err, got, want)
	}
}

// TestForgery: neither side's jobs can be passed off as the other's.
func TestForgery(t *testing.T) {
	w := tenancytest.New(t)
	k := queue.NewWorkers()
	called := func(ctx context.Context, db *tenancy.DB, n note) error {
		t.Errorf("worked for %s: %v", db.Tenant().Slug, n)
		return nil
	}
	queue.Handle(k, called)
	queue.HandleCentral(k, func(context.Context, *tenancy.Central, sweepUp) error {
		t.Error("a tenant had the platform's work done")
		return nil
	})
	q := work(t, w, castOf(w.A, w.B, w.C), k)
	enqueue(t, w, w.A, sweepUp{66}, tenancy.JobOptions{})
	enqueueCentral(t, w, note{"for nobody"}, tenancy.JobOptions{})
	for _, sql := range []string{
		`INSERT INTO river.river_job (kind, args, max_attempts, metadata) VALUES ('test.note', '{}', 1, '{"tenant": 2}')`,
		`UPDATE river.river_job SET metadata = '{"tenant": 2}'`,
		`DELETE FROM river.river_job`,
		`SELECT id FROM river.river_job`,
		`SELECT door.enqueue_central('test.sweep_up', '{}', NULL, NULL, NULL)`,
	} {
		err := w.DB(w.A).Update(t.Context(), func(tx *tenancy.Tx) error {
			_, err := tx.NewRaw(sql).Exec(t.Context())
			return err
		})
		if !tenancy.IsDenied(err) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	eventually(t, "both are refused", func() bool {
		dead, err := q.Jobs().List(t.Context(), queue.Filter{State: queue.StateDead})
		return err == nil && len(dead) == 2 && dead[0].LastError() != "" && dead[1].LastError() != ""
	})
}

func TestWhoseJobsRun(t *testing.T) {
	w := tenancytest.New(t)
	var got heard
	k := queue.NewWorkers()
	queue.Handle(k, func(_ context.Context, db *tenancy.DB, n note) error {
		got.add(says(db.Tenant(), n.Text))
		return nil
	})
	people := castOf(w.A, w.B, w.C)
	people.set(w.A, tenancy.Suspended)
	people.set(w.B, tenancy.Maintenance)
	people.set(w.C, tenancy.Dropped)
	q := work(t, w, people, k)
	for _, who := range []tenancy.Tenant{w.A, w.B, w.C} {
		enqueue(t, w, who, note{"x"}, tenancy.JobOptions{})
	}
	stateFor := func(who tenancy.Tenant) (queue.State, string) {
		jobs, err := q.Jobs().List(t.Context(), queue.Filter{Tenant: who.ID})
		if err != nil || len(jobs) != 1 {
			t.Fatal(jobs, err)
		}
		return jobs[0].State, jobs[0].LastError()
	}
	for _, test := range []struct {
		name string
		who  tenancy.Tenant
		want queue.State
	}{
		{"a suspended tenant's jobs run", w.A, queue.StateDone},
		{"a tenant's jobs wait for the end of its maintenance", w.B, queue.StateLater},
		{"a dropped tenant's jobs are cancelled", w.C, queue.StateDead},
	} {
		eventually(t, test.name, func() bool { s, _ := stateFor(test.who); return s == test.want })
	}
	if got.len() != 1 || got.count("alpha: x") != 1 {
		t.Error(got.all)
	}
	if _, why := stateFor(w.C); !strings.Contains(why, "no more") {
		t.Errorf("the dropped tenant's job died of %q", why)
	}
}

func TestErrorsSteer(t *testing.T) {
	w := tenancytest.New(t)
	var got heard
	k := queue.NewWorkers()
	queue.Handle(k, func(ctx context.Context, _ *tenancy.DB, n note) error {
		got.add(n.Text)
		switch {
		case n.Text == "hopeless":
			return queue.GiveUp(errors.New("the address does not exist"))
		case n.Text == "twice" && got.count("twice") < 3:
			return queue.Retry(time.Millisecond, errors.New("the other side is busy"))
		case n.Text == "tomorrow":
			return queue.Retry(24*time.Hour, errors.New("the other side is closed"))
		case n.Text == "panic":
			panic("an index out of range")
		case n.Text == "slow":
			<-ctx.Done() // the attempt's time is over
			return ctx.Err()
		}
		return nil
	}, queue.Timeout(2*time.Second))
	q := work(t, w, castOf(w.A, w.B), k)
	for _, text := range []string{"hopeless", "twice", "tomorrow", "panic", "slow"} {
		enqueue(t, w, w.A, note{text}, tenancy.JobOptions{Key: text})
	}
	find := func(text string) queue.JobView {
		jobs, err := q.Jobs().List(t.Context(), queue.Filter{Kind: "test.note"})
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range jobs {
			if strings.Contains(string(j.Args), `"`+text+`"`) {
				return j
			}
		}
		t.Fatal("no job ", text)
		return queue.JobView{}
	}
	for text, want := range map[string]queue.State{
		"hopeless": queue.StateDead, "twice": queue.StateDone, "tomorrow": queue.StateRetrying,
	} {
		eventually(t, text+" becomes "+string(want), func() bool { return find(text).State == want })
	}
	if j := find("hopeless"); !strings.Contains(j.LastError(), "does not exist") || j.Attempt != 1 || j.Tenant != w.A.ID {
		t.Errorf("hopeless: %+v", j)
	}
	if j := find("twice"); got.count("twice") != 3 || len(j.Errors) != 2 {
		t.Errorf("twice: worked %d times, %+v", got.count("twice"), j)
	}
	if j := find("tomorrow"); time.Until(j.DueAt) < 23*time.Hour || !strings.Contains(j.LastError(), "closed") {
		t.Errorf("tomorrow: due %v, %q", j.DueAt, j.LastError())
	}
	eventually(t, "a panic is an error like any other", func() bool { return strings.Contains(find("panic").LastError(), "out of range") })
	eventually(t, "an attempt's time is bounded", func() bool { return len(find("slow").Errors) > 0 })

	// What given up leaves behind does not block the same work from being asked for again.
	if !enqueue(t, w, w.A, note{"hopeless"}, tenancy.JobOptions{Key: "hopeless"}) {
		t.Error("the key of a dead job is still taken")
	}
}

func TestPeopleLookAfterJobs(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	jobs, err := queue.OpenJobs(ctx, tenancy.Config{DSN: w.DSN}, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer jobs.Close()
	for i := range 5 {
		enqueue(t, w, w.A, note{fmt.Sprint(i)}, tenancy.JobOptions{})
	}
	enqueue(t, w, w.B, note{"b"}, tenancy.JobOptions{At: time.Now().Add(time.Hour)})
	enqueueCentral(t, w, sweepUp{1}, tenancy.JobOptions{})
	count, err := jobs.Count(ctx)
	if err != nil || count[queue.StateWaiting] != 6 || count[queue.StateLater] != 1 {
		t.Error(count, err)
	}
	page, err := jobs.List(ctx, queue.Filter{Tenant: w.A.ID, Limit: 3})
	if err != nil || len(page) != 3 || page[0].ID < page[1].ID {
		t.Fatal(page, err)
	}
	rest, err := jobs.List(ctx, queue.Filter{Tenant: w.A.ID, Before: page[2].ID})
	if err != nil || len(rest) != 2 || rest[0].ID >= page[2].ID {
		t.Error(rest, err)
	}
	for _, j := range append(page, rest...) {
		if j.Tenant != w.A.ID {
			t.Errorf("job of %s among alpha's", j.Tenant)
		}
	}
	later, err := jobs.List(ctx, queue.Filter{State: queue.StateLater})
	if err != nil || len(later) != 1 || later[0].Tenant != w.B.ID {
		t.Fatal(later, err)
	}
	if j, err := jobs.Retry(ctx, later[0].ID); err != nil || j.State != queue.StateWaiting {
		t.Error("retry now:", j, err)
	}
	if j, err := jobs.Cancel(ctx, page[0].ID); err != nil || j.State != queue.StateDead {
		t.Error("cancel:", j, err)
	}
	if j, err := jobs.Retry(ctx, page[0].ID); err != nil || j.State != queue.StateWaiting {
		t.Error("a dead job is not revived:", j, err)
	}
	if _, err := jobs.Retry(ctx, 1<<40); !fault.Is(err, "job.not_found") {
		t.Error(err)
	}
	if _, err := jobs.List(ctx, queue.Filter{State: "asleep"}); !fault.Is(err, "job.state") {
		t.Error(err)
	}

	// A dead job whose work was asked for again since may not come back beside it.
	enqueue(t, w, w.A, note{"u"}, tenancy.JobOptions{Key: "u"})
	first, err := jobs.List(ctx, queue.Filter{Tenant: w.A.ID, Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jobs.Cancel(ctx, first[0].ID); err != nil {
		t.Fatal(err)
	}
	enqueue(t, w, w.A, note{"u"}, tenancy.JobOptions{Key: "u"})
	if _, err := jobs.Retry(ctx, first[0].ID); !fault.Is(err, "job.superseded") {
		t.Error(err)
	}
}

// TestAStopWaitsForRunningJobs: what has begun is finished, and nothing is lost.
func TestAStopWaitsForRunningJobs(t *testing.T) {
	w := tenancytest.New(t)
	var got heard
	begun, release := make(chan struct{}), make(chan struct{})
	k := queue.NewWorkers()
	queue.Handle(k, func(ctx context.Context, _ *tenancy.DB, n note) error {
		close(begun)
		<-release
		if ctx.Err() != nil {
			return ctx.Err()
		}
		got.add(n.Text)
		return nil
	})
	q, err := queue.Open(t.Context(), queue.Config{
		Database: tenancy.Config{DSN: w.DSN}, Pool: w.Pool, Central: w.Central, Tenants: castOf(w.A, w.B), Grace: time.Minute,
	}, k)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- q.Run(ctx) }()
	enqueue(t, w, w.A, note{"finish me"}, tenancy.JobOptions{})
	<-begun
	stop()
	select {
	case err := <-stopped:
		t.Fatal("stopped with a job running", err)
	case <-time.After(200 * time.Millisecond):
	}
	close(release)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if state := scalar[string](t, w.Owner, "SELECT state::text FROM river.river_job"); got.count("finish me") != 1 || state != "completed" {
		t.Error(got.all, state)
	}
}
