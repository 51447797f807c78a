package tenancy_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/tenancy"
)

// doors: what each answers to a tenant, to a lane that is not bound, and whom it
// stamps. A door that is not in the table fails the test: say here who may pass.
func (s *siege) doors(t *testing.T) {
	ctx := t.Context()
	lane, far := s.lane(t, s.A), s.lane(t, s.C)
	type door struct {
		call          string
		tenant, other bool // may a tenant call it; may a bare lane
	}
	b := s.B.ID.String()
	version := scalar[int](t, s.Owner, "SELECT schema_version FROM central.tenants WHERE id = $1", s.A.ID)
	migrated := fmt.Sprintf("door.migrated('{%s}', %d, %d)", s.A.ID, version, version)
	doors := map[string]door{
		"tenant":          {"door.tenant()", true, false},
		"clock":           {"door.clock()", true, false},
		"record_usage":    {"door.record_usage('k', '', 'vps', 'start', 1, now(), '{\"tenant\": " + b + "}')", true, false},
		"show_service":    {"door.show_service('{\"id\": \"00000000-0000-7000-8000-000000000001\", \"sku\": \"vps\", \"label\": \"\", \"platform_id\": \"00000000-0000-7000-8000-000000000002\", \"region\": \"\", \"ref\": \"\", \"desired\": \"active\", \"observed\": \"active\", \"problem\": \"\", \"address\": \"\", \"changed_at\": \"2026-01-01T00:00:00Z\", \"tenant_id\": " + b + "}')", true, false},
		"tell_collected":  {"door.tell_collected('pi_1', now())", true, false},
		"record_revenue":  {"door.record_revenue('[{\"key\": \"k\", \"kind\": \"paid\", \"currency\": \"EUR\", \"minor\": 1, \"at\": \"2026-01-01\", \"tenant_id\": " + b + "}]')", true, false},
		"set_figure":      {"door.set_figure('mrr', 'EUR', 1, now())", true, false},
		"raise_alert":     {"door.raise_alert(gen_random_uuid(), 'tenant " + b + " k', 'k', 't', '{\"tenant\": " + b + "}', now())", true, false},
		"set_agenda":      {"door.set_agenda('k', now())", true, false},
		"advance_agenda":  {"door.advance_agenda('k', now())", true, false},
		"touch_site":      {"door.touch_site(NULL)", true, false},
		"anchor_audit":    {"door.anchor_audit(1, '')", true, false},
		"enqueue":         {"door.enqueue('k', '{\"tenant\": " + b + "}', NULL, 'same', NULL)", true, false},
		"enqueue_all":     {"door.enqueue_all('[{\"kind\": \"k\", \"args\": {\"tenant\": " + b + "}, \"key\": \"many\", \"metadata\": {\"tenant\": " + b + "}}]')", true, false},
		"enqueue_central": {"door.enqueue_central('k', '{}', NULL, NULL, NULL)", false, false},
		"tenant_row":      {"door.tenant_row(" + b + ")", false, false},
		"newest":          {"door.newest()", false, false},
		"may_claim":       {"door.may_claim('x', 'y')", false, true},
		"claim":           {"door.claim('k', 's', 'n', 'e', 'active', 'en', 'EUR', 'UTC', NULL, now())", false, true},
		"settle_site":     {"door.settle_site('alpha', 'en', 'EUR', 'UTC')", true, false},
		"migrated":        {migrated, false, true},
	}
	for _, name := range s.names(t, "SELECT p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'door'") {
		d, known := doors[name]
		if !known {
			t.Errorf("door.%s is new: say in this table who may pass", name)
			continue
		}
		err := s.bind(s.A).Update(ctx, func(tx *tenancy.Tx) error { _, err := tx.NewRaw("SELECT " + d.call).Exec(ctx); return err })
		if d.tenant && err != nil {
			t.Errorf("a tenant may not pass door.%s: %v", name, err)
		}
		if !d.tenant {
			denied(t, "a tenant at door."+name, err)
			denied(t, "past the kernel at door."+name, raw(lane, s.A, "SELECT "+d.call))
		}
		err = send(lane, "BEGIN; SELECT "+d.call+"; ROLLBACK")
		_ = send(lane, "ROLLBACK") // behind a pooler an open transaction would keep the lane
		if d.other && err != nil {
			t.Errorf("a lane may not pass door.%s: %v", name, err)
		} else if !d.other {
			denied(t, "a bare lane at door."+name, err)
		}
	}
	denied(t, "a lane migrates a tenant of another", send(far, "SELECT "+migrated))
	both := fmt.Sprintf("door.migrated('{%s,%s}', %d, %d)", s.C.ID, s.A.ID, version, version)
	denied(t, "a lane migrates a tenant of another behind its own", send(far, "SELECT "+both))
	// What A passed is A's, whatever it wrote into its arguments.
	for what, sql := range map[string]string{
		"usage":    "SELECT count(*) FROM central.usage_events WHERE tenant_id <> $1",
		"agenda":   "SELECT count(*) FROM central.agenda WHERE tenant_id <> $1",
		"services": "SELECT count(*) FROM central.services WHERE tenant_id <> $1",
		"revenue":  "SELECT count(*) FROM central.revenue_events WHERE tenant_id <> $1",
		"payments": "SELECT count(*) FROM central.collected_news WHERE tenant_id <> $1",
		"figures":  "SELECT count(*) FROM central.tenant_figures WHERE tenant_id <> $1",
		"alerts":   "SELECT count(*) FROM central.alerts WHERE tenant_id IS DISTINCT FROM $1",
		"anchors":  "SELECT count(*) FROM central.audit_anchors WHERE tenant_id <> $1",
		"jobs":     "SELECT count(*) FROM river.river_job WHERE (metadata->>'tenant')::bigint IS DISTINCT FROM $1",
		"site":     "SELECT count(*) FROM central.tenants WHERE content_version > 1 AND id <> $1",
	} {
		if n := scalar[int](t, s.Owner, sql, s.A.ID); n != 0 {
			t.Errorf("%s: %d rows of others written by A", what, n)
		}
	}
	// A's unique key is not B's: both have their job and their usage.
	for _, call := range []string{doors["enqueue"].call, doors["record_usage"].call} {
		var answer *string
		err := s.bind(s.B).Update(ctx, func(tx *tenancy.Tx) error { return tx.NewRaw("SELECT "+call+"::text").Scan(ctx, &answer) })
		if err != nil || answer == nil || *answer == "false" {
			t.Errorf("A took B's key: %s: %v", call, err)
		}
	}
}

// escapes are ways out of a *Tx, and who stops each: the kernel, which runs only
// statements about data, or Postgres with the state given.
func (s *siege) escapes(t *testing.T) {
	ctx := t.Context()
	b := s.B.ID.Schema()
	big := scalar[uint32](t, s.Owner, "SELECT lo_from_bytea(0, 'secret of beta')")
	if _, err := s.Owner.Exec(ctx, fmt.Sprintf("ALTER LARGE OBJECT %d OWNER TO %s", big, b)); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, sql, state string }{
		{"reset role", "RESET ROLE", ""},
		{"reset all", "RESET ALL", ""},
		{"discard all", "DISCARD ALL", ""},
		{"set role", "SET ROLE " + b, ""},
		{"set local role", "SET LOCAL ROLE " + b, ""},
		{"set search path", "SET LOCAL search_path TO " + b, ""},
		{"set session authorization", "SET SESSION AUTHORIZATION DEFAULT", ""},
		{"do block", "DO $$ BEGIN SET LOCAL ROLE " + b + "; END $$", ""},
		{"call", "CALL x()", ""},
		{"commit", "COMMIT", ""},
		{"rollback", "ROLLBACK", ""},
		{"prepare", "PREPARE x AS SELECT 1", ""},
		{"execute", "EXECUTE x", ""},
		{"declare a cursor", "DECLARE x CURSOR WITH HOLD FOR SELECT 1", ""},
		{"listen", "LISTEN ezscale_directory", ""},
		{"notify", "NOTIFY ezscale_directory, 'all'", ""},
		{"explain", "EXPLAIN ANALYZE SELECT * FROM " + b + ".accounts", ""},
		{"table", "TABLE " + b + ".accounts", ""},
		{"copy out", "COPY " + b + ".accounts TO STDOUT", ""},
		{"copy in", "COPY accounts FROM PROGRAM 'id'", ""},
		{"lock", "LOCK TABLE " + b + ".accounts", ""},
		{"savepoint", "SAVEPOINT s", ""},
		{"function", "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'RESET ROLE'", ""},
		{"grant", "GRANT ALL ON accounts TO PUBLIC", ""},
		{"alter role", "ALTER ROLE CURRENT_USER PASSWORD 'x'", ""},
		{"drop", "DROP TABLE accounts", ""},
		{"truncate", "TRUNCATE accounts", ""},
		{"nothing", "", ""},
		{"only a semicolon", ";", ""},
		{"behind a block comment", "/* */ RESET ROLE", ""},
		{"behind nested comments", "/* /* */ select 1 */ RESET ROLE", ""},
		{"behind a line comment", "--\rRESET ROLE --\nselect 1", ""},
		{"behind a byte order mark", "\ufeffRESET ROLE", ""},
		{"behind a no-break space", "\u00a0RESET ROLE", ""},
		{"parentheses", "((RESET ROLE))", ""},
		{"a word that begins like another", "selection", ""},
		{"many statements", "SELECT 1; COMMIT; RESET ROLE; BEGIN", "42601"},
		{"many statements behind an update", "UPDATE accounts SET name = name; RESET ROLE", "42601"},
		{"many statements behind a comment", "SELECT 1 /* ; */; SET ROLE " + b, "42601"},
		{"set_config role", "SELECT set_config('role', '" + b + "', true)", "42501"},
		{"set_config path", "SELECT set_config('search_path', '" + b + "', false)", "42501"},
		{"set_config in a nested query", "SELECT query_to_xml($$SELECT set_config('role', 'none', true)$$, true, true, '')", "42501"},
		{"set_config as a default of a merge", "WITH x AS (SELECT set_config('role', 'none', true) c) INSERT INTO accounts (name) SELECT c FROM x", "42501"},
		{"update pg_settings", "UPDATE pg_settings SET setting = '" + b + "' WHERE name = 'role'", "42501"},
		{"temporary table", "SELECT 1 AS id INTO TEMP accounts", "42501"},
		{"temporary table in pg_temp", "SELECT 1 AS id INTO pg_temp.accounts", "42501"},
		{"table in public", "SELECT 1 AS id INTO public.x", "42501"},
		{"table in the template", "SELECT 1 AS id INTO tpl.x", "42501"},
		{"table in another's schema", "SELECT 1 AS id INTO " + b + ".x", "42501"},
		{"session lock", "SELECT pg_advisory_lock(1)", "42501"},
		{"session lock, tried", "SELECT pg_try_advisory_lock(1, 2)", "42501"},
		{"session lock, shared", "SELECT pg_advisory_lock_shared(1)", "42501"},
		{"session lock, shared, tried", "SELECT pg_try_advisory_lock_shared(1, 2)", "42501"},
		{"pg_notify the queue", "SELECT pg_notify('river.river_control', '{}')", "42501"},
		{"pg_notify the directory", "SELECT pg_notify('ezscale_directory', 'all')", "42501"},
		{"large object of another", fmt.Sprintf("SELECT lo_get(%d)", big), "42501"},
		{"remove a large object of another", fmt.Sprintf("SELECT lo_unlink(%d)", big), "42501"},
		{"passwords", "SELECT rolpassword FROM pg_authid", "42501"},
		{"settings of logins", "SELECT usename FROM pg_shadow", "42501"},
		{"rules of access", "SELECT * FROM pg_hba_file_rules", "42501"},
		{"a file", "SELECT pg_read_file('PG_VERSION')", "42501"},
		{"a directory", "SELECT pg_ls_dir('.')", "42501"},
		{"import a file", "SELECT lo_import('/etc/passwd')", "42501"},
		{"end another's backend", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'ezscale' AND pid <> pg_backend_pid()", "42501"},
		{"reload the server", "SELECT pg_reload_conf()", "42501"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for how, run := range map[string]func(*tenancy.Tx) error{
				"exec": func(tx *tenancy.Tx) error { _, err := tx.NewRaw(test.sql).Exec(ctx); return err },
				"scan": func(tx *tenancy.Tx) error { var v []string; return tx.NewRaw(test.sql).Scan(ctx, &v) },
				"where": func(tx *tenancy.Tx) error {
					_, err := tx.NewSelect().TableExpr("accounts").Where("true) " + test.sql).Count(ctx)
					return err
				},
			} {
				err := s.bind(s.A).Update(ctx, run)
				switch {
				case err == nil:
					t.Errorf("%s: went through", how)
				case how == "where": // a broken statement, whatever it says
				case test.state == "" && !errors.Is(err, tenancy.ErrRefused):
					t.Errorf("%s: %v, want a refusal of the kernel", how, err)
				case test.state != "" && state(err) != test.state:
					t.Errorf("%s: %v, want %s", how, err, test.state)
				}
			}
			s.sane(t)
		})
	}
}

// pastTheKernel is Postgres alone, with many statements in one simple message: the
// tenants of the lane are within reach of RESET ROLE, everything else is not.
func (s *siege) pastTheKernel(t *testing.T) {
	lane := s.lane(t, s.A)
	b, c := s.B.ID.Schema(), s.C.ID.Schema()
	for _, sql := range []string{
		"TABLE " + b + ".accounts", "COPY " + b + ".accounts TO STDOUT", "LOCK TABLE " + b + ".accounts", "TRUNCATE " + b + ".accounts",
		"CREATE TABLE " + b + ".x (i int)", "DROP TABLE " + b + ".accounts", "ALTER TABLE " + b + ".accounts ADD x int",
		"CREATE INDEX ON " + b + ".accounts (name)", "DROP SCHEMA " + b + " CASCADE", "GRANT ALL ON SCHEMA " + b + " TO PUBLIC",
		"ALTER SCHEMA " + b + " RENAME TO mine", "CREATE SCHEMA mine", "CREATE TEMP TABLE accounts (i int)", "CREATE TABLE public.x (i int)",
		"CREATE TABLE tpl.x (i int)", "CREATE FUNCTION door.tenant2() RETURNS int LANGUAGE sql AS 'SELECT 1'",
		"CREATE ROLE x", "ALTER ROLE " + b + " PASSWORD 'x'", "CREATE DATABASE x", "CREATE EXTENSION lo", "ALTER SYSTEM SET jit = on",
		"COPY accounts TO PROGRAM 'id'", "COPY accounts TO '/tmp/x'", "VACUUM pg_class; SELECT 1/0",
		"REFERENCES", "CREATE TABLE k (id uuid REFERENCES " + b + ".accounts)", "CREATE VIEW v AS SELECT * FROM " + b + ".accounts",
		"DO $$ BEGIN PERFORM * FROM " + b + ".accounts; END $$",
		"CREATE FUNCTION pg_temp.f() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM " + b + ".accounts'",
		// Another lane stays shut even for the lane itself.
		"SET LOCAL ROLE " + c, "RESET ROLE; SET ROLE " + c, "RESET ROLE; TABLE " + c + ".accounts", "RESET ROLE; GRANT " + c + " TO " + b,
		"SET SESSION AUTHORIZATION " + c, "SET SESSION AUTHORIZATION ezscale", "RESET ROLE; SET ROLE ezscale", "RESET ROLE; SET ROLE ez_central",
		"RESET ROLE; SET ROLE river", "RESET ROLE; TABLE central.tenants", "RESET ROLE; TABLE river.river_job",
	} {
		err := raw(lane, s.A, sql)
		if st := state(err); err == nil || st != "42501" && st != "25001" && st != "42601" {
			t.Errorf("%s: %v, want 42501", sql, err)
		}
	}
	// What Postgres alone does not stop, so that nobody believes it does.
	for _, sql := range []string{"RESET ROLE; SET LOCAL ROLE " + b + "; TABLE " + b + ".accounts", "SELECT pg_advisory_xact_lock(1)"} {
		if err := raw(lane, s.A, sql); err != nil {
			t.Errorf("%s: %v: it is stopped now; docs/tenancy.md says it is not", sql, err)
		}
	}
	s.sane(t)
}

// hatches: bun's ways to a database from a builder, and transactions that are over.
func (s *siege) hatches(t *testing.T) {
	ctx := t.Context()
	theft := "SELECT name FROM " + s.B.ID.Schema() + ".accounts"
	for name, run := range map[string]func(db *bun.DB) error{
		"query": func(db *bun.DB) error { return db.NewRaw(theft).Scan(ctx, new([]string)) },
		"exec":  func(db *bun.DB) error { _, err := db.ExecContext(ctx, "RESET ROLE"); return err },
		"conn":  func(db *bun.DB) error { _, err := db.Conn(ctx); return err },
		"begin": func(db *bun.DB) error { _, err := db.BeginTx(ctx, nil); return err },
		"run in tx": func(db *bun.DB) error {
			return db.RunInTx(ctx, nil, func(context.Context, bun.Tx) error { return nil })
		},
		"sql":  func(db *bun.DB) error { _, err := db.DB.QueryContext(ctx, theft); return err }, //nolint:rowserrcheck,sqlclosecheck // there are no rows
		"ping": func(db *bun.DB) error { return db.PingContext(ctx) },
		"prepare": func(db *bun.DB) error {
			stmt, err := db.PrepareContext(ctx, theft)
			if err == nil {
				return stmt.Close()
			}
			return err
		},
		"reset model": func(db *bun.DB) error { return db.ResetModel(ctx, (*loot)(nil)) },
	} {
		err := s.bind(s.A).Update(ctx, func(tx *tenancy.Tx) error { return run(tx.NewSelect().DB()) })
		if !errors.Is(err, tenancy.ErrNoTenant) {
			t.Errorf("builder.DB(), %s: %v, want no database behind it", name, err)
		}
	}
	for name, run := range map[string]func(*tenancy.Tx) error{
		"drop table": func(tx *tenancy.Tx) error {
			_, err := tx.NewSelect().NewDropTable().Table("accounts").Exec(ctx)
			return err
		},
		"create table": func(tx *tenancy.Tx) error {
			_, err := tx.NewSelect().NewCreateTable().Model((*loot)(nil)).Exec(ctx)
			return err
		},
		"truncate": func(tx *tenancy.Tx) error {
			_, err := tx.NewSelect().NewTruncateTable().Table("accounts").Exec(ctx)
			return err
		},
		"comment": func(tx *tenancy.Tx) error {
			_, err := tx.NewSelect().TableExpr("accounts").Comment("*/ RESET ROLE /*").Exec(ctx)
			return err
		},
	} {
		if err := s.bind(s.A).Update(ctx, run); err == nil {
			t.Errorf("%s went through", name)
		}
	}
	var kept *tenancy.Tx
	var builder *bun.SelectQuery
	if err := s.bind(s.A).View(ctx, func(tx *tenancy.Tx) error {
		kept, builder = tx, tx.NewSelect().TableExpr("accounts").Column("name")
		_, err := tx.NewRaw("DELETE FROM accounts").Exec(ctx)
		if state(err) != "25006" {
			t.Errorf("a view writes: %v", err)
		}
		return nil
	}); !errors.Is(err, tenancy.ErrRolledBack) {
		t.Errorf("a swallowed error: %v", err)
	}
	for name, run := range map[string]func() error{
		"scan":    func() error { return kept.NewRaw("SELECT name FROM accounts").Scan(ctx, new([]string)) },
		"exec":    func() error { _, err := kept.NewRaw("DELETE FROM accounts").Exec(ctx); return err },
		"count":   func() error { _, err := builder.Count(ctx); return err },
		"builder": func() error { return builder.Scan(ctx, new([]string)) },
		"rows": func() error {
			rows, err := builder.Rows(ctx)
			if err == nil {
				return errors.Join(rows.Err(), rows.Close()) //nolint:sqlclosecheck // its error is what is looked for
			}
			return err
		},
		"job": func() error { _, err := kept.Enqueue(ctx, late{}, tenancy.JobOptions{}); return err },
	} {
		if err := run(); !errors.Is(err, sql.ErrTxDone) {
			t.Errorf("a kept transaction, %s: %v, want it to be over", name, err)
		}
	}
	s.sane(t)
}

type loot struct {
	bun.BaseModel `bun:"table:loot"`
	ID            int
}

type late struct{}

func (late) Kind() string { return "test.late" }

// nothingStays: however a transaction ends, its rows are gone and the next tenant on the
// connection is itself.
func (s *siege) nothingStays(t *testing.T) {
	leak := func(ctx context.Context, tx *tenancy.Tx) {
		if err := sign(ctx, tx, "leak"); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}
	broken := errors.New("no")
	for name, run := range map[string]func(context.Context) error{
		"error": func(ctx context.Context) error {
			return s.bind(s.A).Update(ctx, func(tx *tenancy.Tx) error { leak(ctx, tx); return broken })
		},
		"panic": func(ctx context.Context) (err error) {
			defer func() { err = fmt.Errorf("%v", recover()) }()
			return s.bind(s.A).Update(ctx, func(tx *tenancy.Tx) error { leak(ctx, tx); panic("boom") })
		},
		"swallowed error": func(ctx context.Context) error {
			return s.bind(s.A).Update(ctx, func(tx *tenancy.Tx) error {
				leak(ctx, tx)
				_, _ = tx.NewRaw("SELECT 1/0").Exec(ctx)
				return nil
			})
		},
		"cancelled between statements": func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			return s.bind(s.A).Update(ctx, func(tx *tenancy.Tx) error { leak(ctx, tx); cancel(); return nil })
		},
		"timed out inside a statement": func(ctx context.Context) error {
			short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			return s.bind(s.A).Update(short, func(tx *tenancy.Tx) error {
				leak(short, tx)                                      // on a busy machine it is late already
				_, err := tx.NewRaw("SELECT pg_sleep(30)").Exec(ctx) // the wrong context on purpose
				return err
			})
		},
		"timed out by a context of its own": func(ctx context.Context) error {
			return s.bind(s.A).Update(ctx, func(tx *tenancy.Tx) error {
				leak(ctx, tx)
				short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
				defer cancel()
				var v []string
				return tx.NewRaw("SELECT pg_sleep(30)::text").Scan(short, &v)
			})
		},
		"forgotten rows": func(ctx context.Context) error {
			return s.bind(s.A).Update(ctx, func(tx *tenancy.Tx) error {
				leak(ctx, tx)
				rows, err := tx.NewSelect().ColumnExpr("generate_series(1, 100000)").Rows(ctx) //nolint:sqlclosecheck,rowserrcheck // forgotten on purpose
				if err == nil {
					rows.Next()
				}
				return err
			})
		},
		"killed backend": func(ctx context.Context) error {
			return s.bind(s.A).Update(ctx, func(tx *tenancy.Tx) error {
				leak(ctx, tx)
				var pid int
				if err := tx.NewRaw("SELECT pg_backend_pid()").Scan(ctx, &pid); err != nil {
					t.Error(err)
				}
				scalar[bool](t, s.Owner, "SELECT pg_terminate_backend($1::int, 5000)", pid)
				return nil // it finds out at the commit
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			done := make(chan error, 1)
			go func() { done <- run(t.Context()) }()
			select {
			case err := <-done:
				if err == nil {
					t.Error("committed")
				}
				t.Log(err)
			case <-time.After(15 * time.Second):
				t.Fatal("hangs")
			}
			s.sane(t)
		})
	}
}

// forcedSharing: tenants, in random order, over one connection a lane, with every
// kind of bad end mixed in.
func (s *siege) forcedSharing(t *testing.T) {
	const total, workers = 2000, 16
	tenants := []tenancy.Tenant{s.A, s.B, s.C}
	var next, foreign, committed, odd atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for next.Add(1) <= total {
				who := tenants[rand.N(len(tenants))]
				s.oneOfMany(who, rand.N(20), &foreign, &committed, &odd)
			}
		})
	}
	wg.Wait()
	stored := int64(0)
	for _, who := range tenants {
		stored += scalar[int64](t, s.Owner, "SELECT count(*) FROM "+who.ID.Schema()+".accounts WHERE name <> $1", who.Slug)
	}
	t.Logf("%d transactions: %d committed, %d foreign rows read, %d stored", total, committed.Load(), foreign.Load(), stored)
	if foreign.Load() != 0 || stored != 0 || odd.Load() != 0 || committed.Load() < total/2 {
		t.Errorf("%d foreign rows read, %d stored, %d unexpected errors, %d committed", foreign.Load(), stored, odd.Load(), committed.Load())
	}
}

func (s *siege) oneOfMany(who tenancy.Tenant, how int, foreign, committed, odd *atomic.Int64) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer func() { _ = recover() }()
	err := s.bind(who).Update(ctx, func(tx *tenancy.Tx) error {
		if err := sign(ctx, tx, who.Slug); err != nil {
			return err
		}
		if how == 3 {
			go func() { time.Sleep(rand.N(2 * time.Millisecond)); cancel() }()
		}
		var names []string
		if err := tx.NewRaw("SELECT name FROM accounts LIMIT 50").Scan(ctx, &names); err != nil {
			return err
		}
		for _, n := range names {
			if n != who.Slug {
				foreign.Add(1)
			}
		}
		switch how {
		case 0:
			return errors.New("rolled back")
		case 1:
			panic("rolled back")
		case 2:
			_, _ = tx.NewRaw("SELECT * FROM nowhere").Exec(ctx)
		case 4:
			_, _ = tx.NewSelect().ColumnExpr("generate_series(1, 1000)").Rows(ctx) //nolint:sqlclosecheck,rowserrcheck // forgotten on purpose
		}
		return nil
	})
	switch {
	case err == nil:
		committed.Add(1)
	case how > 4 || strings.Contains(err.Error(), "42501"):
		odd.Add(1)
		s.t.Logf("unexpected: %v", err)
	}
}
