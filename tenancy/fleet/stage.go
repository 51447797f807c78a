package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// batch migrates schemas of one lane over a connection of their own: in groups while that
// goes well, and each that is in a group's way alone.
func (r *run) batch(ctx context.Context, todo []schema, spare bool, p *progress) {
	var conn *pgx.Conn
	defer func() {
		if conn != nil {
			hangUp(ctx, conn)
		}
	}()
	size := together
	if p.stage == Canaries {
		size = 1
	}
	yes := true
	for len(todo) > 0 {
		var err error
		if n := r.grouped(todo, size); n > 1 {
			began := time.Now() //nolint:forbidigo // others wait for it in real time
			var done int
			done, err = r.group(ctx, &conn, todo[:n])
			for range done {
				p.step(&yes)
			}
			todo = todo[done:]
			if err != nil || time.Since(began) > groupTime {
				size /= 2
			}
			if err == nil {
				continue
			}
		}
		if ctx.Err() != nil {
			return
		}
		s := todo[0]
		todo = todo[1:]
		s.spare = spare
		err = r.attempts(ctx, &conn, s)
		if ctx.Err() != nil && err != nil {
			return // stopped or cancelled: nothing is wrong with this one
		}
		if err != nil {
			r.fail(ctx, s, err)
		}
		ok := err == nil
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

// attempts migrates a schema alone, and again when somebody is in the way for a moment.
func (r *run) attempts(ctx context.Context, conn **pgx.Conn, s schema) error {
	for n := 1; ; n++ {
		err := r.connect(ctx, conn, s.id)
		if err == nil {
			err = r.migrate(ctx, *conn, s)
		}
		if err == nil || ctx.Err() == nil && r.arrived(ctx, s) {
			return nil
		}
		if n >= r.o.Attempts || !passing(err) {
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
func (r *run) migrate(ctx context.Context, conn *pgx.Conn, s schema) error {
	return r.send(ctx, conn, begin(r.o.LockTimeout)+r.bound(s)+r.noted([]schema{s}))
}

// begin opens a transaction of the migrator's.
//
// Its commit does not wait for the disk: a crash of the server within the next moment
// takes schema and note back together, and the next run does them again. The run's own
// end waits, and with it everything before it is on disk. Other tenants are migrated at
// the same time, so that an index needs no workers of its own; asking whether it does
// took a twentieth of the server's time.
func begin(lockTimeout time.Duration) string {
	return fmt.Sprintf("BEGIN;\nSET LOCAL lock_timeout = %d; SET LOCAL synchronous_commit = off; SET LOCAL max_parallel_maintenance_workers = 0;\n", lockTimeout.Milliseconds())
}

// bound is what a schema needs, run as its tenant.
func (r *run) bound(s schema) string {
	n := s.id.Schema()
	return "SET LOCAL ROLE " + n + "; SET LOCAL search_path TO " + n + ", pg_temp;\n" + r.m.script(s.was)
}

// noted ends the transaction with the note of its schemas' version, tied to no tenant.
func (r *run) noted(all []schema) string {
	numbers := make([]string, len(all))
	for i, s := range all {
		numbers[i] = s.id.String()
	}
	return fmt.Sprintf("\nSET LOCAL ROLE NONE; SET LOCAL search_path TO pg_catalog, pg_temp;\nSELECT door.migrated('{%s}', %d, %d);\nCOMMIT",
		strings.Join(numbers, ","), all[0].was, r.m.version)
}

// send sends one message, and rolls back what it fails in.
func (r *run) send(ctx context.Context, conn *pgx.Conn, message string) error {
	_, err := tenancy.SendScript(ctx, conn, message, r.apart)
	if err != nil {
		rollBack(ctx, conn, "ROLLBACK")
	}
	return err
}

// rollBack undoes with how, or hangs up, which does so too.
func rollBack(ctx context.Context, conn *pgx.Conn, how string) {
	if conn.IsClosed() {
		return
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if _, err := conn.PgConn().Exec(clean, how).ReadAll(); err != nil {
		hangUp(ctx, conn)
	}
}
