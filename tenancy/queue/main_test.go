package queue_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/trace"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestMain(m *testing.M) {
	if dsn := os.Getenv("EZSCALE_TEST_WORKER"); dsn != "" {
		workUntilKilled(dsn) // this process is a worker of TestWorkersMayBeKilled
	}
	tenancytest.Main(m)
}

// cast is a directory for tests: whoever is in it lives.
type cast struct {
	mu   sync.Mutex
	byID map[tenancy.ID]tenancy.Tenant
}

func castOf(tenants ...tenancy.Tenant) *cast {
	c := &cast{byID: map[tenancy.ID]tenancy.Tenant{}}
	for _, t := range tenants {
		c.byID[t.ID] = t
	}
	return c
}

func (c *cast) ByID(id tenancy.ID) (tenancy.Tenant, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.byID[id]
	return t, ok
}

func (c *cast) RefreshTenant(context.Context, ...tenancy.ID) error { return nil }

func (c *cast) set(t tenancy.Tenant, s tenancy.Status) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t.Status = s
	c.byID[t.ID] = t
}

// note is a job that writes its text down.
type note struct {
	Text string `json:"text"`
}

func (note) Kind() string { return "test.note" }

// sweepUp is a job of the platform's.
type sweepUp struct {
	N int `json:"n"`
}

func (sweepUp) Kind() string { return "test.sweep_up" }

// heard collects what handlers saw.
type heard struct {
	mu  sync.Mutex
	all []string
}

func (h *heard) add(s string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, s)
}

func (h *heard) count(s string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, x := range h.all {
		if x == s {
			n++
		}
	}
	return n
}

func (h *heard) len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.all)
}

// work runs a queue for the rest of the test.
func work(t testing.TB, w *tenancytest.World, tenants queue.Tenants, k *queue.Workers) *queue.Queue {
	t.Helper()
	return workTraced(t, w, tenants, k, nil)
}

func workTraced(t testing.TB, w *tenancytest.World, tenants queue.Tenants, k *queue.Workers, tracer trace.Tracer) *queue.Queue {
	t.Helper()
	q, err := queue.Open(t.Context(), queue.Config{
		Database: tenancy.Config{DSN: w.DSN}, Pool: w.Pool, Central: w.Central, Tenants: tenants,
		Orphans: 100 * time.Millisecond, Grace: 5 * time.Second, Tracer: tracer,
	}, k)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := q.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait(); q.Close() })
	return q
}

func enqueue(t testing.TB, w *tenancytest.World, who tenancy.Tenant, job tenancy.Job, o tenancy.JobOptions) bool {
	t.Helper()
	var fresh bool
	err := w.DB(who).Update(t.Context(), func(tx *tenancy.Tx) (err error) {
		fresh, err = tx.Enqueue(t.Context(), job, o)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

func enqueueCentral(t testing.TB, w *tenancytest.World, job tenancy.Job, o tenancy.JobOptions) bool {
	t.Helper()
	var fresh bool
	err := w.Central.Update(t.Context(), func(tx *tenancy.CentralTx) (err error) {
		fresh, err = tx.Enqueue(t.Context(), job, o)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

func run(t testing.TB, c *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := c.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func scalar[T any](t testing.TB, c *pgx.Conn, sql string, args ...any) (v T) {
	t.Helper()
	if err := c.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func says(who tenancy.Tenant, text string) string { return fmt.Sprintf("%s: %s", who.Slug, text) }
