package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
)

// Run brings every schema to the newest version: template, spares, canaries, all. It
// returns a report also when it ended early or ctx did; the error is for what kept it
// from running at all (ErrBusy, *LintError, no database). Killed at any moment it may
// be run again and goes on: a schema and the note of its version are one transaction.
func (m *Migrator) Run(ctx context.Context, o Options) (Report, error) {
	began := time.Now() //nolint:forbidigo // the report says how long it really took
	if found := LintAll(m.all); len(found) > 0 {
		return Report{}, &LintError{Findings: found}
	}
	owner, err := m.lock(ctx)
	if err != nil {
		return Report{}, err
	}
	defer unlock(ctx, owner)
	r := &run{m: m, o: o.filled(), owner: owner, report: Report{RunID: uuid.Must(uuid.NewV7()).String(), Target: m.version}}
	if r.lanes, err = tenancy.LanesOf(ctx, owner); err != nil {
		return Report{}, err
	}
	if r.apart, err = tenancy.OnCitus(ctx, owner); err != nil {
		return Report{}, fmt.Errorf("fleet: %w", err)
	}
	if err := r.open(ctx); err != nil {
		return Report{}, err
	}
	r.all(ctx)
	r.report.Took = time.Since(began)
	return r.report, r.close(ctx)
}

// run is one run in progress.
type run struct {
	m      *Migrator
	o      Options
	owner  *pgx.Conn
	lanes  int
	apart  bool // statements are sent one by one, for Citus
	mu     sync.Mutex
	report Report
}

func (r *run) all(ctx context.Context) {
	if err := r.template(ctx); err != nil {
		r.stop(fmt.Sprintf("the template schema: %v", err))
		return
	}
	spares, err := r.behind(ctx, "SELECT id, schema_version FROM spares WHERE schema_version < ? ORDER BY id")
	if err == nil {
		r.stage(ctx, Spares, spares, true, r.o.MaxFailures)
	}
	failed := map[tenancy.ID]bool{}
	for round := 0; err == nil && r.report.Stopped == ""; round++ {
		var todo []schema
		todo, err = r.behind(ctx, "SELECT id, schema_version FROM tenants WHERE schema_version < ? AND status <> 'dropped' ORDER BY id")
		for _, f := range r.report.Failures {
			failed[f.ID] = true
		}
		todo = without(todo, failed)
		if err == nil && round == 0 {
			r.report.Skipped, err = r.done(ctx)
		}
		if err != nil || len(todo) == 0 {
			break
		}
		if round == 0 {
			n := min(max(r.o.Canaries, 0), len(todo))
			r.stage(ctx, Canaries, todo[:n], false, 1)
			todo = todo[n:]
		}
		// A spare of the old version may have been claimed meanwhile: the next round finds it.
		r.stage(ctx, Tenants, todo, false, r.o.MaxFailures)
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		r.stop(err.Error())
	}
}

func (r *run) stop(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.report.Stopped == "" {
		r.report.Stopped = why
	}
}

// schema is one tenant or spare and where it stands.
type schema struct {
	id    tenancy.ID
	was   int
	spare bool
}

func without(all []schema, failed map[tenancy.ID]bool) []schema {
	var rest []schema
	for _, s := range all {
		if !failed[s.id] {
			rest = append(rest, s)
		}
	}
	return rest
}

func (r *run) behind(ctx context.Context, query string) ([]schema, error) {
	var rows []struct {
		ID            tenancy.ID
		SchemaVersion int
	}
	err := r.m.cfg.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		rows = nil
		return tx.NewRaw(query, r.m.version).Scan(ctx, &rows)
	})
	if err != nil {
		return nil, fmt.Errorf("who is behind: %w", err)
	}
	all := make([]schema, len(rows))
	for i, x := range rows {
		all[i] = schema{id: x.ID, was: x.SchemaVersion}
	}
	return all, nil
}

func (r *run) done(ctx context.Context) (n int, err error) {
	err = r.m.cfg.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT count(*) FROM tenants WHERE schema_version >= ? AND status <> 'dropped'", r.m.version).Scan(ctx, &n)
	})
	return n, err
}

// template brings the schema the unbound lanes look into to the newest version. It has
// the tables, so that drivers can prepare, and never a row.
func (r *run) template(ctx context.Context) error {
	r.tell(Progress{Stage: Template, Total: 1})
	was := 0
	err := r.owner.QueryRow(ctx, "SELECT value::int FROM central.settings WHERE name = 'template_version'").Scan(&was)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	if was < r.m.version {
		err = pgx.BeginFunc(ctx, r.owner, func(tx pgx.Tx) error {
			message := "SET LOCAL search_path TO tpl, pg_temp;\n" + r.m.script(was) + `;
				SET LOCAL search_path TO pg_catalog;
				DO $$ DECLARE t text; rows_of text; rows boolean; BEGIN
					-- Emptying gives every table and index a new file: only where a migration left rows.
					SELECT 'SELECT ' || string_agg(format('EXISTS (SELECT FROM tpl.%I)', relname), ' OR '), string_agg(format('tpl.%I', relname), ', ')
					INTO rows_of, t FROM pg_class WHERE relnamespace = 'tpl'::regnamespace AND relkind = 'r';
					EXECUTE rows_of INTO rows;
					IF rows THEN
						GRANT TRUNCATE ON ALL TABLES IN SCHEMA tpl TO CURRENT_USER; -- a migration may have taken it
						EXECUTE 'TRUNCATE ' || t;
					END IF;
				END $$`
			if _, err := tx.Conn().PgConn().Exec(ctx, message).ReadAll(); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, `INSERT INTO central.settings (name, value, changed_at) VALUES ('template_version', to_jsonb($1::int), now())
				ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at`, r.m.version)
			return err
		})
		if err != nil {
			return err
		}
	}
	r.tell(Progress{Stage: Template, Done: 1, Total: 1})
	return nil
}

func (r *run) tell(p Progress) {
	if r.o.Progress != nil {
		p.Failed = len(r.report.Failures)
		r.o.Progress(p)
	}
}

// open notes that the run has begun; runs before it that were killed end here.
func (r *run) open(ctx context.Context) error {
	err := r.m.cfg.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := tx.NewRaw("UPDATE fleet_runs SET finished_at = ?, stopped_because = 'interrupted' WHERE finished_at IS NULL", tx.Now()).Exec(ctx)
		if err != nil {
			return err
		}
		_, err = tx.NewRaw("INSERT INTO fleet_runs (id, target_version, started_at) VALUES (?, ?, ?)", r.report.RunID, r.m.version, tx.Now()).Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("fleet: note the run: %w", err)
	}
	return nil
}

func (r *run) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := r.m.cfg.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		var why *string
		if r.report.Stopped != "" {
			why = &r.report.Stopped
		}
		_, err := tx.NewRaw("UPDATE fleet_runs SET finished_at = ?, migrated = ?, failed = ?, stopped_because = ? WHERE id = ?",
			tx.Now(), r.report.Migrated, len(r.report.Failures), why, r.report.RunID).Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("fleet: note the end of the run: %w", err)
	}
	return nil
}

// fail notes that a schema was not migrated. Its tenant shows maintenance from now on;
// nobody else does.
func (r *run) fail(ctx context.Context, s schema, cause error) {
	f := Failure{ID: s.id, Spare: s.spare, Version: s.was, Err: cause.Error()}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err := r.m.cfg.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := tx.NewRaw(`INSERT INTO fleet_failures (run_id, tenant_id, version, error, at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (run_id, tenant_id) DO UPDATE SET error = excluded.error`, r.report.RunID, s.id, s.was, f.Err, tx.Now()).Exec(ctx)
		if err != nil || s.spare {
			return err
		}
		_, err = tx.NewRaw("UPDATE tenants SET migration_error = ? WHERE id = ?", f.Err, s.id).Exec(ctx)
		return err
	})
	if err != nil {
		r.m.cfg.Log.ErrorContext(ctx, "fleet: a failure was not noted", "tenant", s.id.String(), "error", err)
	}
	r.m.cfg.Log.WarnContext(ctx, "fleet: a schema was not migrated", "tenant", s.id.String(), "at", s.was, "error", cause)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Failures = append(r.report.Failures, f)
}
