// Package queue makes things happen later and for certain. River keeps the jobs in
// Postgres, where they are enqueued in the transaction that causes them; gocron says
// when something is due; a job arrives here as a call with a handle that is bound to
// its tenant. The package knows no job.
//
// A job may run more than once: its worker may die after the work and before the
// note of it. Handlers are idempotent by natural keys.
package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"github.com/ezscale/ezscale/tenancy"
)

// Workers is the list of the jobs a program can do. Fill it with Handle, HandleCentral
// and Due before it is given to Open; one Workers belongs to one Queue.
type Workers struct {
	river *river.Workers
	desk  *dispatcher
	due   []string
	turns map[string]turned // by kind: how whoever turns a tenant's clock does its jobs
	ticks map[string]tick   // by kind of the agenda
}

// NewWorkers makes an empty list.
func NewWorkers() *Workers {
	return &Workers{river: river.NewWorkers(), desk: &dispatcher{}, turns: map[string]turned{}, ticks: map[string]tick{}}
}

// Option changes how jobs of one kind are worked.
type Option func(*options)

type options struct{ timeout time.Duration }

// Timeout bounds one attempt of a job; the usual is a minute.
func Timeout(d time.Duration) Option { return func(o *options) { o.timeout = d } }

// Handle registers f for the tenants' jobs of T's kind. The tenant comes from where
// the database stamped it and from nowhere else. f is not called for a tenant that is
// dropped (the job is cancelled), in maintenance or archived (it waits). Registering
// a kind twice is a mistake of the program and panics.
func Handle[T tenancy.Job](w *Workers, f func(ctx context.Context, db *tenancy.DB, args T) error, opts ...Option) {
	river.AddWorker(w.river, newWorker(w, opts, func(ctx context.Context, job *river.Job[T]) error {
		return w.desk.tenant(ctx, job.JobRow, func(ctx context.Context, db *tenancy.DB) error { return f(ctx, db, job.Args) })
	}))
	var kind T
	w.turns[kind.Kind()] = turned{one: oneOf(f)}
}

// HandleMany registers, beside Handle, how many jobs of T's kind are done at once where
// that is cheaper: a year of a sandbox twin is that of a whole shop. f does what Handle's
// would do for each, or fails and has done nothing; then they are done singly.
func HandleMany[T tenancy.Job](w *Workers, f func(ctx context.Context, db *tenancy.DB, all []T) error) {
	var kind T
	t, known := w.turns[kind.Kind()]
	if !known {
		panic(fmt.Sprintf("queue: many of %q are handled, and not one", kind.Kind()))
	}
	t.many = manyOf(f)
	w.turns[kind.Kind()] = t
}

// HandleCentral registers f for the platform's own jobs of T's kind. A job that bears
// a tenant's stamp is cancelled: no tenant can have the platform's work done.
func HandleCentral[T tenancy.Job](w *Workers, f func(ctx context.Context, c *tenancy.Central, args T) error, opts ...Option) {
	river.AddWorker(w.river, newWorker(w, opts, func(ctx context.Context, job *river.Job[T]) error {
		return w.desk.central(ctx, job.JobRow, func(ctx context.Context, c *tenancy.Central) error { return f(ctx, c, job.Args) })
	}))
}

// worker is one kind's worker as River wants it.
type worker[T tenancy.Job] struct {
	river.WorkerDefaults[T]
	options
	desk *dispatcher
	work func(context.Context, *river.Job[T]) error
}

func newWorker[T tenancy.Job](w *Workers, opts []Option, work func(context.Context, *river.Job[T]) error) *worker[T] {
	k := &worker[T]{desk: w.desk, work: work}
	for _, o := range opts {
		o(&k.options)
	}
	return k
}

func (k *worker[T]) Work(ctx context.Context, job *river.Job[T]) error { return k.work(ctx, job) }

func (k *worker[T]) Timeout(*river.Job[T]) time.Duration { return k.timeout }

// NextRetry is asked by River after a failure; the zero time means its usual schedule.
func (k *worker[T]) NextRetry(job *river.Job[T]) time.Time { return k.desk.nextRetry(job.ID) }

// A RetryError says when trying again may work. Any other error is tried again on the
// usual schedule (1 s, 16 s, 81 s, … growing with the fourth power), up to 25 times.
type RetryError struct {
	After time.Duration
	Err   error
}

// Error is for the log and the list of dead jobs.
func (e *RetryError) Error() string { return fmt.Sprintf("again in %v: %v", e.After, e.Err) }

// Unwrap returns the reason.
func (e *RetryError) Unwrap() error { return e.Err }

// Retry makes an error that has the job tried again after some time. The attempt
// counts, and its error is kept.
func Retry(after time.Duration, err error) error { return &RetryError{After: max(after, 0), Err: err} }

// GiveUp makes an error that ends the job: trying again cannot help. It is kept with
// its error, and its unique key is free again.
func GiveUp(err error) error { return river.JobCancel(err) }

// dispatcher decides whether and for whom a job runs. Open gives it what it needs.
type dispatcher struct {
	cfg   Config
	pool  *pgxpool.Pool
	whole atomic.Bool // the database was seen to lie on one server
	again sync.Map    // job id → when, between a RetryError and River's question
}

var (
	errStamped   = errors.New("queue: a tenant's job has come to a handler of the platform")
	errUnstamped = errors.New("queue: a job without a tenant has come to a handler of tenants")
	errDropped   = errors.New("queue: the tenant is no more")
)

// stamp is what the doors write into a job's metadata.
type stamp struct {
	Tenant int64 `json:"tenant"`
}

// stampOf returns the tenant of a job; the zero ID for one of the platform's own.
func stampOf(row *rivertype.JobRow) (tenancy.ID, error) {
	var s stamp
	if err := json.Unmarshal(row.Metadata, &s); err != nil {
		return tenancy.ID{}, fmt.Errorf("queue: stamp: %w", err)
	}
	if s.Tenant == 0 {
		return tenancy.ID{}, nil
	}
	return tenancy.NumberedID(s.Tenant)
}

// realTime is by what jobs are measured and put off: River knows no other clock.
func realTime() time.Time { return time.Now() } //nolint:forbidigo // see above

func (d *dispatcher) central(ctx context.Context, row *rivertype.JobRow, f func(context.Context, *tenancy.Central) error) error {
	ctx = d.traced(ctx, row)
	id, err := stampOf(row)
	if err == nil && !id.IsZero() {
		err = errStamped
	}
	if err != nil {
		return d.finish(ctx, row, id, realTime(), river.JobCancel(err))
	}
	began := realTime()
	return d.finish(ctx, row, id, began, f(ctx, d.cfg.Central))
}

func (d *dispatcher) tenant(ctx context.Context, row *rivertype.JobRow, f func(context.Context, *tenancy.DB) error) error {
	ctx = d.traced(ctx, row)
	id, err := stampOf(row)
	if err == nil && id.IsZero() {
		err = errUnstamped
	}
	began := realTime()
	if err != nil {
		return d.finish(ctx, row, id, began, river.JobCancel(err))
	}
	t, err := d.admit(ctx, id)
	if err == nil {
		err = d.settle(ctx, id)
	}
	if err == nil {
		err = f(ctx, d.cfg.Pool.Bind(t))
	}
	return d.finish(ctx, row, id, began, err)
}

// settle waits, where tenants lie on nodes, until the rows are there of who enqueued a job.
func (d *dispatcher) settle(ctx context.Context, id tenancy.ID) error {
	if d.whole.Load() {
		return nil
	}
	spread, err := tenancy.Spread(ctx, d.pool)
	if err == nil && spread {
		return tenancy.Settled(ctx, d.pool, id)
	}
	d.whole.Store(err == nil)
	return err
}

// How long a job of a tenant that cannot be worked now sleeps. Sleeping is no attempt.
const (
	maintenanceSleep = 30 * time.Second
	archivedSleep    = time.Hour
)

// admit returns the tenant when its jobs may run. Suspension concerns what people may
// do; what is owed (mails, renewals, deliveries) goes on.
func (d *dispatcher) admit(ctx context.Context, id tenancy.ID) (tenancy.Tenant, error) {
	t, ok := d.cfg.Tenants.ByID(id)
	if !ok { // made on another node a moment ago, or dropped
		if err := d.cfg.Tenants.RefreshTenant(ctx, id); err != nil {
			return t, Retry(5*time.Second, err)
		}
		if t, ok = d.cfg.Tenants.ByID(id); !ok {
			return t, river.JobCancel(errDropped)
		}
	}
	switch t.Status {
	case tenancy.Dropped:
		return t, river.JobCancel(errDropped)
	case tenancy.Maintenance:
		return t, river.JobSnooze(maintenanceSleep)
	case tenancy.Archived:
		return t, river.JobSnooze(archivedSleep)
	default:
		return t, nil
	}
}

// The outcomes metrics and logs speak of.
const (
	Done     = "done"
	Failed   = "failed"   // will be tried again
	Dead     = "dead"     // was the last attempt
	GivenUp  = "given_up" // cancelled by its handler or by us
	Sleeping = "sleeping"
	Stopped  = "stopped" // interrupted by our own shutdown; runs again at once
)

// finish notes how an attempt ended and passes its error on to River.
func (d *dispatcher) finish(ctx context.Context, row *rivertype.JobRow, id tenancy.ID, began time.Time, err error) error {
	outcome := outcomeOf(ctx, row, err)
	endTrace(ctx, row, id, outcome)
	var again *RetryError
	if outcome == Failed && errors.As(err, &again) {
		d.again.Store(row.ID, realTime().Add(again.After))
	}
	took, waited := time.Since(began), began.Sub(row.ScheduledAt)
	if d.cfg.Metrics != nil {
		d.cfg.Metrics.JobEnded(row.Kind, outcome, max(waited, 0), took)
	}
	log := d.cfg.Log.With("job", row.ID, "kind", row.Kind, "attempt", row.Attempt, "outcome", outcome, "took", took)
	if !id.IsZero() {
		log = log.With("tenant", id.String())
	}
	switch outcome {
	case Done, Sleeping, Stopped:
		log.DebugContext(ctx, "job ended")
	case Failed:
		log.WarnContext(ctx, "job failed; it will be tried again", "error", err)
	default:
		log.ErrorContext(ctx, "job is dead", "error", err)
	}
	return err
}

func outcomeOf(ctx context.Context, row *rivertype.JobRow, err error) string {
	var cancelled *rivertype.JobCancelError
	var snoozed *rivertype.JobSnoozeError
	switch {
	case err == nil:
		return Done
	case errors.As(err, &snoozed):
		return Sleeping
	case errors.As(err, &cancelled), errors.Is(context.Cause(ctx), river.ErrJobCancelledRemotely):
		return GivenUp
	case errors.Is(ctx.Err(), context.Canceled):
		return Stopped
	case row.Attempt >= row.MaxAttempts:
		return Dead
	default:
		return Failed
	}
}

func (d *dispatcher) nextRetry(job int64) time.Time {
	at, ok := d.again.LoadAndDelete(job)
	if !ok {
		return time.Time{}
	}
	return at.(time.Time)
}
