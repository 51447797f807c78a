package queue_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// count is a job whose effect would show if it happened twice: it adds one to a sum.
type count struct {
	N int `json:"n"`
}

func (count) Kind() string { return "test.count" }

// countWorkers does it the way every handler must: the natural key decides, in the
// transaction of the effect.
func countWorkers(begun func()) *queue.Workers {
	k := queue.NewWorkers()
	queue.Handle(k, func(ctx context.Context, db *tenancy.DB, job count) error {
		begun()
		return db.Update(ctx, func(tx *tenancy.Tx) error {
			res, err := tx.NewRaw("INSERT INTO effects (n) VALUES (?) ON CONFLICT DO NOTHING", job.N).Exec(ctx)
			if err != nil {
				return err
			}
			time.Sleep(time.Duration(job.N%7) * time.Millisecond) // a chance to die between the two
			if n, _ := res.RowsAffected(); n == 0 {
				return nil
			}
			_, err = tx.NewRaw("UPDATE sums SET sum = sum + 1").Exec(ctx)
			return err
		})
	})
	return k
}

// killCast is what the worker processes know of the tenants.
func killCast() *cast {
	var all []tenancy.Tenant
	for n := range int64(50) {
		id, _ := tenancy.NumberedID(n + 1)
		all = append(all, tenancy.Tenant{ID: id, Slug: id.Schema(), Status: tenancy.Active})
	}
	return castOf(all...)
}

// workUntilKilled is the life of a worker process.
func workUntilKilled(dsn string) {
	ctx := context.Background()
	db := tenancy.Config{DSN: dsn, Lanes: tenancytest.Lanes, ConnsPerLane: 2}
	pool, err := tenancy.Open(ctx, db)
	if err == nil {
		var q *queue.Queue
		q, err = queue.Open(ctx, queue.Config{Database: db, Pool: pool, Tenants: killCast(), Orphans: 100 * time.Millisecond}, countWorkers(func() { fmt.Print(".") }))
		if err == nil {
			err = q.Run(ctx)
		}
	}
	fmt.Fprintln(os.Stderr, "worker ended by itself:", err)
	os.Exit(3)
}

// TestWorkersMayBeKilled kills worker processes at random moments while jobs run. In
// the end every job is done and every effect there exactly once.
func TestWorkersMayBeKilled(t *testing.T) {
	const kills, perRound = 32, 15
	w := tenancytest.New(t)
	tenants := []tenancy.Tenant{w.A, w.B}
	for _, who := range tenants {
		s := who.ID.Schema()
		for _, sql := range []string{
			"CREATE TABLE %s.effects (n int PRIMARY KEY)", "ALTER TABLE %[1]s.effects OWNER TO %[1]s",
			"CREATE TABLE %s.sums (sum int NOT NULL)", "ALTER TABLE %[1]s.sums OWNER TO %[1]s", "INSERT INTO %s.sums VALUES (0)",
		} {
			run(t, w.Owner, fmt.Sprintf(sql, s))
		}
	}
	enqueued := 0
	for range kills {
		for range perRound {
			for _, who := range tenants {
				enqueue(t, w, who, count{enqueued}, tenancy.JobOptions{Key: fmt.Sprint(enqueued)})
			}
			enqueued++
		}
		cmd := exec.Command(os.Args[0], "-test.run=^$") //nolint:gosec // this test binary
		cmd.Env = append(os.Environ(), "EZSCALE_TEST_WORKER="+w.DSN)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 1)); err != nil { // a job has begun
			t.Fatal("the worker did not begin: ", err)
		}
		time.Sleep(rand.N(150 * time.Millisecond)) //nolint:gosec // a random moment
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != -1 {
			t.Fatal("the worker was not killed but ended: ", err)
		}
	}
	interrupted := scalar[int](t, w.Owner, "SELECT count(*) FROM river.river_job WHERE state = 'running'")
	t.Logf("%d kills, %d jobs; %d were left in the middle by the last", kills, 2*enqueued, interrupted)
	work(t, w, killCast(), countWorkers(func() {}))
	const undone = "SELECT count(*) FROM river.river_job WHERE state <> 'completed'"
	eventually(t, "all jobs are done", func() bool { return scalar[int](t, w.Owner, undone) == 0 })
	for _, who := range tenants {
		s := who.ID.Schema()
		rows := scalar[int](t, w.Owner, "SELECT count(*) FROM "+s+".effects")
		sum := scalar[int](t, w.Owner, "SELECT sum FROM "+s+".sums")
		if rows != enqueued || sum != enqueued {
			t.Errorf("%s: %d effects with the sum %d; want %d", who.Slug, rows, sum, enqueued)
		}
	}
	again := scalar[int](t, w.Owner, "SELECT count(*) FROM river.river_job WHERE attempt > 1")
	t.Logf("%d jobs were begun more than once", again)
	if again == 0 {
		t.Error("no kill hit a running job: the test showed nothing")
	}
}
