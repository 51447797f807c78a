package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/riverqueue/river"

	"github.com/ezscale/ezscale/tenancy"
)

// Due registers f for what tenants put on the agenda under a kind (tx.SetAgenda). A
// scan enqueues one job for every tenant whose row is due, through the tenant's own
// door, so that only schemas with something due are opened. f does all that is due by
// tx.Now and, in the same transaction, sets the agenda to the next time; it may be
// called twice for one due time. When f gives up it moves the agenda first, or the
// next scan asks again.
func Due(w *Workers, kind string, f func(ctx context.Context, db *tenancy.DB, due time.Time) error, opts ...Option) {
	if slices.Contains(w.due, kind) {
		panic(fmt.Sprintf("queue: due work %q is registered twice", kind))
	}
	if len(w.due) == 0 {
		HandleCentral(w, w.desk.scan, Timeout(10*time.Minute))
	}
	w.due = append(w.due, kind)
	w.ticks[kind] = f
	river.AddWorkerArgs(w.river, dueJob{kind: kind}, newWorker(w, opts, func(ctx context.Context, job *river.Job[dueJob]) error {
		return w.desk.tenant(ctx, job.JobRow, func(ctx context.Context, db *tenancy.DB) error { return f(ctx, db, job.Args.Due) })
	}))
}

// Scans are the jobs that look for due work of every registered kind: the clock enqueues
// them, and so may whoever turns the clock.
func (w *Workers) Scans() []tenancy.Job {
	scans := make([]tenancy.Job, len(w.due))
	for i, kind := range w.due {
		scans[i] = scanJob{Due: kind}
	}
	return scans
}

// dueJob is a tenant's due work of one kind.
type dueJob struct {
	kind string
	Due  time.Time `json:"due"`
}

// Kind is the agenda's kind below a prefix of its own.
func (j dueJob) Kind() string { return "due." + j.kind }

// scanJob looks for what is due of one kind.
type scanJob struct {
	Due string `json:"due"`
}

// Kind names the job.
func (scanJob) Kind() string { return "agenda.scan" }

// agendaRow is one tenant that has something due.
type agendaRow struct {
	TenantID tenancy.ID
	DueAt    time.Time
}

// scanPage bounds how many rows are held at once.
const scanPage = 500

// scan enqueues the due work of one kind. A tenant that fails does not stop the
// others; the scan is then tried again, and enqueues nobody twice.
func (d *dispatcher) scan(ctx context.Context, c *tenancy.Central, job scanJob) error {
	var failed error
	for after := int64(0); ; {
		var rows []agendaRow
		err := c.View(ctx, func(tx *tenancy.CentralTx) error {
			rows = nil
			return tx.NewRaw(`SELECT a.tenant_id, a.due_at FROM agenda a
				WHERE a.kind = ? AND a.due_at <= ? AND a.tenant_id > ?
				AND NOT EXISTS (SELECT FROM twins w WHERE w.tenant_id = a.tenant_id) -- whose times are of another clock
				ORDER BY a.tenant_id LIMIT ?`,
				job.Due, tx.Now(), after, scanPage).Scan(ctx, &rows)
		})
		if err != nil {
			return errors.Join(failed, fmt.Errorf("scan %s: %w", job.Due, err))
		}
		for _, r := range rows {
			after = r.TenantID.Number()
			if err := d.enqueueDue(ctx, job.Due, r); err != nil {
				failed = errors.Join(failed, fmt.Errorf("tenant %s: %w", r.TenantID, err))
			}
		}
		if len(rows) < scanPage || ctx.Err() != nil {
			return errors.Join(failed, ctx.Err())
		}
	}
}

func (d *dispatcher) enqueueDue(ctx context.Context, kind string, r agendaRow) error {
	t, err := d.admit(ctx, r.TenantID)
	if err != nil {
		if _, isRetry := errors.AsType[*RetryError](err); isRetry {
			return err
		}
		return nil // gone or asleep: the row waits on the agenda
	}
	return d.cfg.Pool.Bind(t).Update(ctx, func(tx *tenancy.Tx) error {
		_, err := tx.Enqueue(ctx, dueJob{kind: kind, Due: r.DueAt.UTC()}, tenancy.JobOptions{Key: r.DueAt.UTC().Format(time.RFC3339Nano)})
		return err
	})
}
