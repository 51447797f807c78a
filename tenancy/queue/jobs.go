package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Jobs is for people who look after the queue: what waits, what runs, what is dead
// and why. It needs no worker in its process.
type Jobs struct {
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx]
	own    bool
}

// OpenJobs opens the view on the queue of a database. It connects to nothing.
func OpenJobs(ctx context.Context, db tenancy.Config, conns int32) (*Jobs, error) {
	pool, err := tenancy.OpenQueue(ctx, db, conns)
	if err != nil {
		return nil, err
	}
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Schema: "river"})
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open jobs: %w", err)
	}
	return &Jobs{pool: pool, client: client, own: true}, nil
}

// Close closes the connections, if they are the view's own.
func (j *Jobs) Close() {
	if j.own {
		j.pool.Close()
	}
}

// State is where a job stands, in the words of the console.
type State string

// The states of a job.
const (
	StateWaiting  State = "waiting"  // due, not begun
	StateLater    State = "later"    // scheduled
	StateRunning  State = "running"  // being worked
	StateRetrying State = "retrying" // failed, will be tried again
	StateDone     State = "done"     // kept for a day
	StateDead     State = "dead"     // out of attempts, or given up
)

// States lists them in the order people want to see them.
func States() []State {
	return []State{StateDead, StateRetrying, StateRunning, StateWaiting, StateLater, StateDone}
}

// riverStates are the states of River behind one of ours.
func riverStates(s State) []rivertype.JobState {
	switch s {
	case StateWaiting:
		return []rivertype.JobState{rivertype.JobStateAvailable, rivertype.JobStatePending}
	case StateLater:
		return []rivertype.JobState{rivertype.JobStateScheduled}
	case StateRunning:
		return []rivertype.JobState{rivertype.JobStateRunning}
	case StateRetrying:
		return []rivertype.JobState{rivertype.JobStateRetryable}
	case StateDone:
		return []rivertype.JobState{rivertype.JobStateCompleted}
	case StateDead:
		return []rivertype.JobState{rivertype.JobStateDiscarded, rivertype.JobStateCancelled}
	default:
		return nil
	}
}

func stateOf(s rivertype.JobState) State {
	for _, ours := range States() {
		for _, theirs := range riverStates(ours) {
			if s == theirs {
				return ours
			}
		}
	}
	return State(s)
}

// JobView is one job as people see it.
type JobView struct {
	ID          int64
	Kind        string
	Queue       string
	Tenant      tenancy.ID // zero: the platform's own
	State       State
	Attempt     int
	MaxAttempts int
	Args        json.RawMessage
	CreatedAt   time.Time
	DueAt       time.Time
	BegunAt     time.Time // of the last attempt; zero: never
	EndedAt     time.Time // zero: not yet
	Errors      []AttemptError
}

// AttemptError is why one attempt failed.
type AttemptError struct {
	At      time.Time
	Attempt int
	Error   string
}

// LastError is the last attempt's error; empty when there is none.
func (v JobView) LastError() string {
	if len(v.Errors) == 0 {
		return ""
	}
	return v.Errors[len(v.Errors)-1].Error
}

// Filter chooses jobs. Zero values choose all.
type Filter struct {
	State  State
	Kind   string
	Tenant tenancy.ID
	Before int64 // only ids below it: the next page
	Limit  int   // 0: 50; at most 200
}

// List returns jobs, newest first. An unknown state is the fault job.state.
func (j *Jobs) List(ctx context.Context, f Filter) ([]JobView, error) {
	if f.Limit <= 0 {
		f.Limit = 50
	}
	p := river.NewJobListParams().First(min(f.Limit, 200)).OrderBy(river.JobListOrderByID, river.SortOrderDesc)
	if f.State != "" {
		states := riverStates(f.State)
		if states == nil {
			return nil, fault.New(fault.Invalid, "job.state", "There is no such state of a job.")
		}
		p = p.States(states...)
	}
	if f.Kind != "" {
		p = p.Kinds(f.Kind)
	}
	if !f.Tenant.IsZero() {
		p = p.Metadata(`{"tenant": ` + f.Tenant.String() + `}`)
	}
	if f.Before > 0 {
		p = p.Where("id < @before", river.NamedArgs{"before": f.Before})
	}
	res, err := j.client.JobList(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	views := make([]JobView, len(res.Jobs))
	for i, row := range res.Jobs {
		views[i] = viewOf(row)
	}
	return views, nil
}

// Get returns one job; the fault job.not_found when there is none.
func (j *Jobs) Get(ctx context.Context, id int64) (JobView, error) {
	return answer(j.client.JobGet(ctx, id))
}

// Retry makes a job due now, also a dead one, which gets one more attempt. A job that
// is running is left alone.
func (j *Jobs) Retry(ctx context.Context, id int64) (JobView, error) {
	return answer(j.client.JobRetry(ctx, id))
}

// Cancel ends a job for good. One that is running is told to stop; one that has ended
// is left alone.
func (j *Jobs) Cancel(ctx context.Context, id int64) (JobView, error) {
	return answer(j.client.JobCancel(ctx, id))
}

func answer(row *rivertype.JobRow, err error) (JobView, error) {
	switch {
	case errors.Is(err, rivertype.ErrNotFound):
		return JobView{}, fault.New(fault.NotFound, "job.not_found", "There is no such job. Finished jobs are kept for a day.")
	case tenancy.IsTaken(err, ""):
		return JobView{}, fault.Wrap(err, fault.Conflict, "job.superseded", "The same work has been asked for again since, and that job is on its way.")
	case err != nil:
		return JobView{}, fmt.Errorf("job: %w", err)
	}
	return viewOf(row), nil
}

// Count returns how many jobs stand in each state. Those of sandboxes that wait for their
// own clock are not among them.
func (j *Jobs) Count(ctx context.Context) (map[State]int64, error) {
	rows, err := j.pool.Query(ctx, "SELECT state::text, count(*) FROM river.river_job WHERE NOT (state = 'pending' AND starts_with(queue, 'twin-')) GROUP BY state")
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	counts := map[State]int64{}
	var state string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&state, &n}, func() error {
		counts[stateOf(rivertype.JobState(state))] += n
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	return counts, nil
}

func viewOf(row *rivertype.JobRow) JobView {
	v := JobView{
		ID: row.ID, Kind: row.Kind, Queue: row.Queue, State: stateOf(row.State), Attempt: row.Attempt,
		MaxAttempts: row.MaxAttempts, Args: row.EncodedArgs, CreatedAt: row.CreatedAt, DueAt: row.ScheduledAt,
	}
	v.Tenant, _ = stampOf(row)
	if row.AttemptedAt != nil {
		v.BegunAt = *row.AttemptedAt
	}
	if row.FinalizedAt != nil {
		v.EndedAt = *row.FinalizedAt
	}
	for _, e := range row.Errors {
		v.Errors = append(v.Errors, AttemptError{At: e.At, Attempt: e.Attempt, Error: e.Error})
	}
	return v
}
