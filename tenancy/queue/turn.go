package queue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/rivertype"

	"github.com/ezscale/ezscale/tenancy"
)

// turned is how jobs of one kind are done by whoever turns a tenant's clock.
type turned struct {
	one  func(ctx context.Context, db *tenancy.DB, args []byte) error
	many func(ctx context.Context, db *tenancy.DB, args [][]byte) error // nil: singly
}

// tick does what is due of one kind of the agenda.
type tick func(ctx context.Context, db *tenancy.DB, due time.Time) error

func oneOf[T tenancy.Job](f func(context.Context, *tenancy.DB, T) error) func(context.Context, *tenancy.DB, []byte) error {
	return func(ctx context.Context, db *tenancy.DB, args []byte) error {
		var job T
		if err := json.Unmarshal(args, &job); err != nil {
			return GiveUp(fmt.Errorf("read a job's arguments: %w", err))
		}
		return f(ctx, db, job)
	}
}

func manyOf[T tenancy.Job](f func(context.Context, *tenancy.DB, []T) error) func(context.Context, *tenancy.DB, [][]byte) error {
	return func(ctx context.Context, db *tenancy.DB, args [][]byte) error {
		jobs := make([]T, len(args))
		for i, a := range args {
			if err := json.Unmarshal(a, &jobs[i]); err != nil {
				return fmt.Errorf("read a job's arguments: %w", err)
			}
		}
		return f(ctx, db, jobs)
	}
}

// Turner does a tenant's jobs and due work by the tenant's own clock, which it turns from
// one moment at which something is due to the next: the same handlers as the workers', one
// after the other, in this process. Such a tenant's jobs wait where no worker looks for
// them (door.enqueue), and the clock's scan leaves its agenda alone.
//
// The clock moves only when nothing is left to do at the moment it stands at. Whoever is
// killed has done a part of that moment's work; the next goes on with the rest of it.
type Turner struct {
	Pool    *tenancy.Pool
	Central *tenancy.Central
	River   *pgxpool.Pool // see tenancy.OpenQueue
	Workers *Workers
	Log     *slog.Logger // nil: silent
}

// Turn says how far and by whose leave.
type Turn struct {
	Tenant tenancy.Tenant
	Now    time.Time     // where the clock stands
	To     time.Time     // where it is to stand; not after Now: what is due now is done
	Grain  time.Duration // due moments are rounded up to whole ones, so that what is due within one is done together; at least a second
	// Set keeps a new time before anything is done at it, with what was done since the
	// last; it may ask for an end, which is taken when that time's work is done. It must
	// return an error when the clock is not the caller's any more.
	Set func(ctx context.Context, now time.Time, since Turned) (stop bool, err error)
}

// Turned counts.
type Turned struct {
	Jobs     int64
	Failures int64 // jobs that failed for good
	Problem  string
}

// turnPage is how many jobs are taken at once, and how many handlers that do many see.
const turnPage = 200

// rounds bounds how often the work of one moment may beget more of that moment.
const rounds = 500

// turnTries is how often a job is tried by the tenant's clock. What fails in a sandbox fails
// for a reason of the program's, not of a network's.
const turnTries = 4

// Run turns the clock until it stands at t.To, somebody asks for an end, or ctx ends.
func (r *Turner) Run(ctx context.Context, t Turn) error {
	if t.Grain < time.Second {
		t.Grain = time.Second
	}
	db, now, count := r.Pool.Bind(t.Tenant), t.Now.UTC(), Turned{}
	for {
		if err := r.settle(ctx, db, now, &count); err != nil {
			return err
		}
		next, err := r.next(ctx, t.Tenant.ID, now)
		if err != nil {
			return err
		}
		at := t.To.UTC()
		if !next.IsZero() {
			if rounded := roundUp(next, t.Grain); rounded.Before(at) {
				at = rounded
			}
		}
		over := !at.After(now)
		if over {
			at = now
		}
		stop, err := t.Set(ctx, at, count)
		if err != nil || over {
			return err
		}
		if count = (Turned{}); stop {
			return nil
		}
		now = at
	}
}

func roundUp(t time.Time, grain time.Duration) time.Time {
	if whole := t.UTC().Truncate(grain); !whole.Equal(t) {
		return whole.Add(grain)
	}
	return t.UTC()
}

// settle does everything that is due at a moment: jobs first, then one kind of the agenda
// after the other, with the jobs each begets. The order is the same whoever goes on.
func (r *Turner) settle(ctx context.Context, db *tenancy.DB, now time.Time, count *Turned) error {
	id := db.Tenant().ID
	ticked := map[string]time.Time{}
	for range rounds {
		if err := r.drain(ctx, db, now, count); err != nil {
			return err
		}
		kind, due, err := r.due(ctx, id, now, ticked)
		if err != nil || kind == "" {
			return err
		}
		ticked[kind] = due
		if err := r.Workers.ticks[kind](ctx, db, due); err != nil {
			if ctx.Err() != nil {
				return err
			}
			r.fail(ctx, id, "due."+kind, err, count)
		}
		count.Jobs++
	}
	return fmt.Errorf("turn the clock of %s: the work of %s does not end", id, now.Format(time.RFC3339))
}

// fail notes what cannot be done.
func (r *Turner) fail(ctx context.Context, id tenancy.ID, kind string, err error, count *Turned) {
	count.Failures++
	count.Problem = fmt.Sprintf("%s: %.300s", kind, err.Error())
	if r.Log != nil {
		r.Log.WarnContext(ctx, "a sandbox's job failed", "tenant", id.String(), "kind", kind, "error", err)
	}
}

// due is the first kind of the agenda that is due and was not done for this time already.
// One that leaves its time as it is would be done for ever.
func (r *Turner) due(ctx context.Context, id tenancy.ID, now time.Time, ticked map[string]time.Time) (string, time.Time, error) {
	var rows []struct {
		Kind  string
		DueAt time.Time
	}
	err := r.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		rows = nil
		return tx.NewRaw("SELECT kind, due_at FROM agenda WHERE tenant_id = ? AND due_at <= ? ORDER BY kind", id, now).Scan(ctx, &rows)
	})
	if err != nil {
		return "", time.Time{}, fmt.Errorf("look for due work of %s: %w", id, err)
	}
	for _, row := range rows {
		if last, done := ticked[row.Kind]; (!done || !last.Equal(row.DueAt)) && r.Workers.ticks[row.Kind] != nil {
			return row.Kind, row.DueAt, nil
		}
	}
	return "", time.Time{}, nil
}

// next is when something is due after a moment; zero: never.
func (r *Turner) next(ctx context.Context, id tenancy.ID, now time.Time) (at time.Time, err error) {
	err = r.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw(`SELECT coalesce(least((SELECT min(due_at) FROM agenda WHERE tenant_id = ?0 AND due_at > ?1),
			(SELECT min(scheduled_at) FROM river.river_job WHERE state = 'pending' AND queue = ?2 AND scheduled_at > ?1)), ?3)`,
			id, now, turnQueue(id), time.Time{}).Scan(ctx, &at)
	})
	if err != nil {
		return at, fmt.Errorf("look for what is due next of %s: %w", id, err)
	}
	return at, nil
}

// turnQueue is where the tenant's jobs wait; see door.enqueue.
func turnQueue(id tenancy.ID) string { return "twin-" + id.String() }

// turnJob is one job that waits.
type turnJob struct {
	ID      int64
	Kind    string
	Args    []byte
	Attempt int
}

// drain does the jobs that are due, in the order of their times, those of one kind
// together, until none is left.
func (r *Turner) drain(ctx context.Context, db *tenancy.DB, now time.Time, count *Turned) error {
	done := []int64{} // by the last step: they go with the next one's look, before which nothing else is done
	for {
		jobs, err := r.take(ctx, db.Tenant().ID, now, done)
		if err != nil || len(jobs) == 0 {
			return err
		}
		if done, err = r.work(ctx, db, now, jobs, count); err != nil {
			return err
		}
	}
}

// unhurried is the first part of a statement whose commit does not wait for the disk; see
// tenancy.DB on twins.
const unhurried = `WITH unhurried AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true) AS is)`

// take takes jobs that are done off the list and reads the next ones: those of the kind of
// the one that waits longest.
func (r *Turner) take(ctx context.Context, id tenancy.ID, now time.Time, done []int64) ([]turnJob, error) {
	rows, err := r.River.Query(ctx, unhurried+`, gone AS (DELETE FROM river.river_job USING unhurried WHERE id = ANY($4) AND state = 'pending'),
		first AS (SELECT kind FROM river.river_job WHERE state = 'pending' AND queue = $1 AND scheduled_at <= $2 AND id <> ALL($4) ORDER BY scheduled_at, id LIMIT 1)
		SELECT j.id, j.kind, j.args::text, j.attempt FROM river.river_job j JOIN first f ON f.kind = j.kind
		WHERE j.state = 'pending' AND j.queue = $1 AND j.scheduled_at <= $2 AND j.id <> ALL($4) ORDER BY j.scheduled_at, j.id LIMIT $3`, turnQueue(id), now, turnPage, done)
	if err != nil {
		return nil, fmt.Errorf("take jobs of %s: %w", id, err)
	}
	jobs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (j turnJob, err error) {
		var args string
		err = row.Scan(&j.ID, &j.Kind, &args, &j.Attempt)
		j.Args = []byte(args)
		return j, err
	})
	if err != nil {
		return nil, fmt.Errorf("take jobs of %s: %w", id, err)
	}
	return jobs, nil
}

// work does jobs of one kind. It answers with those that are done and still on the list.
func (r *Turner) work(ctx context.Context, db *tenancy.DB, now time.Time, jobs []turnJob, count *Turned) (done []int64, err error) {
	how := r.Workers.turns[jobs[0].Kind]
	ids := make([]int64, len(jobs))
	args := make([][]byte, len(jobs))
	for i, j := range jobs {
		ids[i], args[i] = j.ID, j.Args
	}
	if how.many != nil && len(jobs) > 1 {
		if err := how.many(ctx, db, args); err == nil {
			count.Jobs += int64(len(jobs))
			return ids, nil
		} else if ctx.Err() != nil {
			return nil, err
		} else if r.Log != nil {
			r.Log.DebugContext(ctx, "jobs that fail together are done singly", "kind", jobs[0].Kind, "error", err)
		}
	}
	for i, j := range jobs {
		err := errors.New("nobody knows this kind of job")
		if how.one != nil {
			err = how.one(ctx, db, j.Args)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err == nil && i == len(jobs)-1 {
			count.Jobs++
			return []int64{j.ID}, nil
		}
		// At once: the next job may ask for another with the same key.
		if err := r.ended(ctx, db.Tenant().ID, now, j, err, count); err != nil {
			return nil, err
		}
	}
	return []int64{}, nil
}

// done takes jobs off the list. Their natural keys stay where they count: in the tenant's
// own tables.
func (r *Turner) done(ctx context.Context, ids []int64) error {
	if _, err := r.River.Exec(ctx, unhurried+" DELETE FROM river.river_job USING unhurried WHERE id = ANY($1) AND state = 'pending'", ids); err != nil {
		return fmt.Errorf("note that jobs are done: %w", err)
	}
	return nil
}

// ended notes what came of one job: it is done, comes again by the tenant's clock, or is
// dead and stays to be looked at.
func (r *Turner) ended(ctx context.Context, id tenancy.ID, now time.Time, j turnJob, failed error, count *Turned) error {
	count.Jobs++
	if failed == nil {
		return r.done(ctx, []int64{j.ID})
	}
	var again *RetryError
	var cancelled *rivertype.JobCancelError
	var snoozed *rivertype.JobSnoozeError
	wait := time.Duration(j.Attempt+1) * time.Minute
	switch {
	case errors.As(failed, &cancelled), !errors.As(failed, &again) && !errors.As(failed, &snoozed) && j.Attempt+1 >= turnTries, j.Attempt >= 24:
		r.fail(ctx, id, j.Kind, failed, count)
		_, err := r.River.Exec(ctx, `UPDATE river.river_job SET state = 'discarded', finalized_at = now(), attempt = attempt + 1, errors = array_append(errors, $2::jsonb) WHERE id = $1`,
			j.ID, attemptError(now, j.Attempt+1, failed))
		if err != nil {
			return fmt.Errorf("note that a job is dead: %w", err)
		}
		return nil
	case again != nil:
		wait = max(again.After, time.Second)
	case snoozed != nil:
		wait = max(snoozed.Duration, time.Second)
	}
	_, err := r.River.Exec(ctx, `UPDATE river.river_job SET scheduled_at = $2, attempt = attempt + 1, errors = array_append(errors, $3::jsonb) WHERE id = $1`,
		j.ID, now.Add(wait), attemptError(now, j.Attempt+1, failed))
	if err != nil {
		return fmt.Errorf("have a job done again: %w", err)
	}
	return nil
}

// attemptError is one failure the way River keeps it.
func attemptError(at time.Time, attempt int, err error) string {
	text, _ := json.Marshal(map[string]any{"at": at, "attempt": attempt, "error": err.Error(), "trace": ""}) // a time, a number and strings
	return string(text)
}

// Begin puts every kind of due work on the tenant's agenda at a moment, so that each says
// itself when it is due next.
func (r *Turner) Begin(ctx context.Context, t tenancy.Tenant, at time.Time) error {
	return r.Pool.Bind(t).Update(ctx, func(tx *tenancy.Tx) error {
		for _, kind := range r.kinds() {
			if err := tx.SetAgenda(ctx, kind, at); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *Turner) kinds() []string {
	all := make([]string, 0, len(r.Workers.ticks))
	for kind := range r.Workers.ticks {
		all = append(all, kind)
	}
	slices.Sort(all)
	return all
}
