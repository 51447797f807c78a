package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ezscale/ezscale/tenancy"
)

// perConn is how many schemas one connection sees: a backend remembers each for ever.
const perConn = 250

// stage migrates some schemas in parallel. Each worker takes a batch of one lane at a
// time. So many failures within the stage end the run.
func (r *run) stage(ctx context.Context, name Stage, todo []schema, spare bool, maxFailures int) {
	if len(todo) == 0 || r.report.Stopped != "" {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &progress{run: r, stage: name, total: len(todo), failuresBefore: len(r.report.Failures), maxFailures: maxFailures, cancel: cancel}
	p.step(nil)
	batches := make(chan []schema)
	var workers sync.WaitGroup
	for range min(r.o.Workers, len(todo)) {
		workers.Go(func() {
			for b := range batches {
				r.batch(ctx, b, spare, p)
			}
		})
	}
	for _, b := range r.batches(todo) {
		select {
		case batches <- b:
		case <-ctx.Done():
		}
	}
	close(batches)
	workers.Wait()
}

// batches sorts schemas by lane and cuts them into what one connection does.
func (r *run) batches(todo []schema) [][]schema {
	lanes := make([][]schema, r.lanes)
	for _, s := range todo {
		n := s.id.Lane(r.lanes)
		lanes[n] = append(lanes[n], s)
	}
	var all [][]schema
	for _, l := range lanes {
		for len(l) > perConn {
			all = append(all, l[:perConn])
			l = l[perConn:]
		}
		if len(l) > 0 {
			all = append(all, l)
		}
	}
	return all
}

// progress counts a stage and ends it when too much fails.
type progress struct {
	run            *run
	stage          Stage
	total, done    int
	failuresBefore int
	maxFailures    int
	cancel         context.CancelFunc
}

// step notes one schema's end; nil tells where we stand.
func (p *progress) step(migrated *bool) {
	p.run.mu.Lock()
	defer p.run.mu.Unlock()
	if migrated != nil {
		p.done++
		if *migrated {
			p.run.report.Migrated++
		}
	}
	failed := len(p.run.report.Failures) - p.failuresBefore
	if failed >= p.maxFailures && p.run.report.Stopped == "" {
		p.run.report.Stopped = fmt.Sprintf("%d of the %s failed", failed, p.stage)
		p.cancel()
	}
	p.run.tell(Progress{Stage: p.stage, Done: p.done, Total: p.total})
}

// batch migrates schemas of one lane over a connection of their own.
func (r *run) batch(ctx context.Context, todo []schema, spare bool, p *progress) {
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			hangUp(ctx, conn)
		}
	}()
	for _, s := range todo {
		s.spare = spare
		err := r.attempts(ctx, &conn, s)
		if ctx.Err() != nil && err != nil {
			return // stopped or cancelled: nothing is wrong with this one
		}
		ok := err == nil || r.arrived(ctx, s)
		if !ok {
			r.fail(ctx, s, err)
		}
		p.step(&ok)
	}
}

// arrived reports whether a schema is at the target although we were told otherwise: a
// connection may break between a commit and its answer.
func (r *run) arrived(ctx context.Context, s schema) (there bool) {
	err := r.m.cfg.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw(`SELECT EXISTS (SELECT FROM tenants WHERE id = ? AND schema_version = ?)
			OR EXISTS (SELECT FROM spares WHERE id = ? AND schema_version = ?)`, s.id, r.m.version, s.id, r.m.version).Scan(ctx, &there)
	})
	return err == nil && there
}

// attempts tries a schema again when somebody is in the way for a moment.
func (r *run) attempts(ctx context.Context, conn **pgx.Conn, s schema) error {
	for n := 1; ; n++ {
		err := r.connect(ctx, conn, s.id)
		if err == nil {
			err = r.migrate(ctx, *conn, s)
		}
		if err == nil || n >= r.o.Attempts || !passing(err) {
			return err
		}
		timer := time.NewTimer(time.Duration(n*n) * 50 * time.Millisecond)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}

func (r *run) connect(ctx context.Context, conn **pgx.Conn, id tenancy.ID) error {
	if *conn != nil && !(*conn).IsClosed() {
		return nil
	}
	c, err := tenancy.OpenSession(ctx, r.m.cfg.Database, tenancy.LaneLogin(id.Lane(r.lanes)))
	if err != nil {
		return err
	}
	*conn = c
	return nil
}

// passing reports whether trying again may help: a lock that was not to be had, a
// deadlock, a connection that broke.
func passing(err error) bool {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return true
	}
	switch pe.Code {
	case "55P03", "40P01", "40001", "57P01", "57P02", "57P03", "53300":
		return true
	}
	return false
}

// migrate is one schema's transaction, sent as one message: bound to the tenant for
// its statements, then unbound for the note of its version.
//
// Its commit does not wait for the disk: a crash of the server within the next moment
// takes schema and note back together, and the next run does them again. The run's own
// end waits, and with it everything before it is on disk. Other tenants are migrated at
// the same time, so that an index needs no workers of its own; asking whether it does
// took a twentieth of the server's time.
func (r *run) migrate(ctx context.Context, conn *pgx.Conn, s schema) error {
	n := s.id.Schema()
	message := fmt.Sprintf(`BEGIN;
SET LOCAL lock_timeout = %d; SET LOCAL synchronous_commit = off; SET LOCAL max_parallel_maintenance_workers = 0;
SET LOCAL ROLE %s; SET LOCAL search_path TO %s, pg_temp;
%s
SET LOCAL ROLE NONE; SET LOCAL search_path TO pg_catalog, pg_temp;
SELECT door.migrated(%d, %d, %d);
COMMIT`, r.o.LockTimeout.Milliseconds(), n, n, r.m.script(s.was), s.id.Number(), s.was, r.m.version)
	_, err := conn.PgConn().Exec(ctx, message).ReadAll()
	if err == nil {
		return nil
	}
	if conn.IsClosed() {
		return err
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if _, rollback := conn.PgConn().Exec(clean, "ROLLBACK").ReadAll(); rollback != nil {
		hangUp(ctx, conn)
	}
	return err
}
