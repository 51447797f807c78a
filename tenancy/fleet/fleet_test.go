package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fleet"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// later is what the program ships and more files, numbered from 9001.
func later(t testing.TB, files ...string) []tenancy.Migration {
	t.Helper()
	all, err := tenancy.TenantMigrations()
	if err != nil {
		t.Fatal(err)
	}
	for i, sql := range files {
		all = append(all, tenancy.Migration{Version: 9001 + i, Name: fmt.Sprintf("%d_later", 9001+i), SQL: sql})
	}
	return all
}

func migrator(t testing.TB, w *tenancytest.World, all []tenancy.Migration) *fleet.Migrator {
	t.Helper()
	m, err := fleet.New(fleet.Config{OwnerDSN: w.DSN, Database: tenancy.Config{DSN: w.DSN}, Central: w.Central, Migrations: all})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func migrate(t testing.TB, m *fleet.Migrator, o fleet.Options) fleet.Report {
	t.Helper()
	r, err := m.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
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

// have is how many schemas of tenants and spares have the column.
func have(t testing.TB, w *tenancytest.World, column string) int {
	t.Helper()
	return scalar[int](t, w.Owner, `SELECT count(*) FROM information_schema.columns
		WHERE table_schema ~ '^t_[0-9]+$' AND table_name = 'accounts' AND column_name = $1`, column)
}

func build(t testing.TB, w *tenancytest.World, n int) {
	t.Helper()
	b, err := tenancy.NewBuilder(w.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for range n {
		if _, err := b.Build(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

const column = "ALTER TABLE accounts ADD COLUMN nickname text;\nCREATE INDEX accounts_by_nickname ON accounts (nickname);"

func TestTheFleetMoves(t *testing.T) {
	w := tenancytest.New(t)
	build(t, w, 2)
	run(t, w.Owner, "INSERT INTO "+w.A.ID.Schema()+".accounts (id, name, currency, created_at, changed_at) VALUES (gen_random_uuid(), 'one', 'EUR', now(), now())")
	m := migrator(t, w, later(t, column, "ALTER TABLE accounts ADD COLUMN score int;\nALTER TABLE accounts ALTER COLUMN score SET DEFAULT 7;\nUPDATE accounts SET score = 7;\nALTER TABLE accounts ALTER COLUMN score SET NOT NULL;"))

	steps, err := m.DryRun(t.Context())
	if err != nil || len(steps) < 2 {
		t.Fatal(steps, err)
	}
	if s := steps[len(steps)-1]; s.Version != 9002 || s.Tenants != 3 || s.Spares != 2 || !s.Template || len(s.Findings) != 0 {
		t.Errorf("the dry run says %+v", s)
	}
	if have(t, w, "nickname") != 0 {
		t.Fatal("the dry run was none")
	}
	if s, err := m.Status(t.Context()); err != nil || s.Current() {
		t.Error(s, err)
	}

	var stages []fleet.Stage
	r := migrate(t, m, fleet.Options{Canaries: 1, Progress: func(p fleet.Progress) {
		if len(stages) == 0 || stages[len(stages)-1] != p.Stage {
			stages = append(stages, p.Stage)
		}
	}})
	if !r.Complete() || r.Migrated != 5 || r.Skipped != 0 || r.Target != 9002 {
		t.Errorf("%+v", r)
	}
	if got := fmt.Sprint(stages); got != "[template spares canaries tenants]" {
		t.Error("the order was ", got)
	}
	if have(t, w, "nickname") != 5 || have(t, w, "score") != 5 {
		t.Error("not everybody has the columns")
	}
	if got := scalar[string](t, w.Owner, "SELECT name || score FROM "+w.A.ID.Schema()+".accounts"); got != "one7" {
		t.Error("the row became ", got)
	}
	if s, err := m.Status(t.Context()); err != nil || !s.Current() || s.Tenants[9002] != 3 || s.Spares[9002] != 2 || s.Template != 9002 {
		t.Error(s, err)
	}
	if got := scalar[string](t, w.Owner, "SELECT migrated || ' ' || failed || ' ' || (finished_at IS NOT NULL)::text || coalesce(stopped_because, '') FROM central.fleet_runs"); got != "5 0 true" {
		t.Error("the run is noted as ", got)
	}

	// Through the front door the tenants see their new column, and only theirs.
	for _, who := range []tenancy.Tenant{w.A, w.B} {
		err := w.DB(who).View(t.Context(), func(tx *tenancy.Tx) error {
			var n int
			return tx.NewRaw("SELECT count(nickname) FROM accounts").Scan(t.Context(), &n)
		})
		if err != nil {
			t.Error(err)
		}
	}

	again := migrate(t, m, fleet.Options{})
	if !again.Complete() || again.Migrated != 0 || again.Skipped != 3 {
		t.Errorf("a second run did something: %+v", again)
	}
}

// TestTheTemplateIsEmpty: lanes look into it while nobody is bound. It has every table,
// no row, and lets nobody read.
func TestTheTemplateIsEmpty(t *testing.T) {
	w := tenancytest.New(t)
	migrate(t, migrator(t, w, nil), fleet.Options{})
	tables := scalar[int](t, w.Owner, "SELECT count(*) FROM pg_class WHERE relnamespace = 'tpl'::regnamespace AND relkind = 'r'")
	tenants := scalar[int](t, w.Owner, "SELECT count(*) FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind = 'r'", w.A.ID.Schema())
	if tables == 0 || tables != tenants {
		t.Errorf("the template has %d tables, a tenant %d", tables, tenants)
	}
	rows := scalar[int](t, w.Owner, `SELECT coalesce(sum((xpath('/row/n/text()', query_to_xml(format('SELECT count(*) AS n FROM tpl.%I', relname), false, true, '')))[1]::text::int), 0)
		FROM pg_class WHERE relnamespace = 'tpl'::regnamespace AND relkind = 'r'`)
	if rows != 0 {
		t.Errorf("the template has %d rows", rows)
	}
	lane, err := tenancy.OpenSession(t.Context(), tenancy.Config{DSN: w.DSN}, tenancy.LaneLogin(0))
	if err != nil {
		t.Fatal(err)
	}
	defer lane.Close(t.Context())
	if _, err := lane.Exec(t.Context(), "SELECT id FROM accounts"); !tenancy.IsDenied(err) {
		t.Error("unbound, a lane reads the template: ", err)
	}
}

// TestOnlyTheFailedTenantStops: the others go on, and a later run takes up the rest.
func TestOnlyTheFailedTenantStops(t *testing.T) {
	w := tenancytest.New(t)
	obstacle := "ALTER TABLE " + w.B.ID.Schema() + ".accounts ADD COLUMN nickname int"
	run(t, w.Owner, obstacle)
	m := migrator(t, w, later(t, "CREATE TABLE extras (id uuid PRIMARY KEY);", column))
	r := migrate(t, m, fleet.Options{Canaries: -1})
	if r.Complete() || r.Stopped != "" || r.Migrated != 2 || len(r.Failures) != 1 || r.Failures[0].ID != w.B.ID || !strings.Contains(r.Failures[0].Err, "nickname") {
		t.Fatalf("%+v", r)
	}
	who := func() string {
		return scalar[string](t, w.Owner, `SELECT string_agg(slug || ' ' || schema_version || CASE WHEN migration_error IS NULL THEN '' ELSE ' failing' END, ', ' ORDER BY slug) FROM central.tenants`)
	}
	was := r.Failures[0].Version
	if got, want := who(), fmt.Sprintf("alpha 9002, beta %d failing, gamma 9002", was); got != want {
		t.Errorf("%s; want %s", got, want)
	}
	if scalar[bool](t, w.Owner, "SELECT to_regclass($1) IS NOT NULL", w.B.ID.Schema()+".extras") {
		t.Error("half a migration stayed")
	}
	if n := scalar[int](t, w.Owner, "SELECT count(*) FROM central.fleet_failures WHERE tenant_id = $1 AND error LIKE '%nickname%'", w.B.ID.Number()); n != 1 {
		t.Error("the failure is not noted")
	}
	if s, err := m.Status(t.Context()); err != nil || s.Failing != 1 || s.Current() {
		t.Error(s, err)
	}

	run(t, w.Owner, "ALTER TABLE "+w.B.ID.Schema()+".accounts DROP COLUMN nickname")
	r = migrate(t, m, fleet.Options{})
	if !r.Complete() || r.Migrated != 1 || r.Skipped != 2 {
		t.Errorf("%+v", r)
	}
	if got := who(); got != "alpha 9002, beta 9002, gamma 9002" {
		t.Error(got)
	}
}

func TestCanariesGoFirst(t *testing.T) {
	w := tenancytest.New(t)
	run(t, w.Owner, "ALTER TABLE "+w.A.ID.Schema()+".accounts ADD COLUMN nickname int") // the first by number
	r := migrate(t, migrator(t, w, later(t, column)), fleet.Options{Canaries: 1, MaxFailures: 100})
	if r.Stopped != "1 of the canaries failed" || r.Migrated != 0 || len(r.Failures) != 1 {
		t.Fatalf("%+v", r)
	}
	if n := have(t, w, "nickname"); n != 1 {
		t.Errorf("%d schemas were touched after the canary died", n-1)
	}
	if why := scalar[string](t, w.Owner, "SELECT stopped_because FROM central.fleet_runs"); why != r.Stopped {
		t.Error(why)
	}
}

func TestTooManyFailuresEndARun(t *testing.T) {
	w := tenancytest.New(t)
	for _, who := range []tenancy.Tenant{w.A, w.B, w.C} {
		run(t, w.Owner, "ALTER TABLE "+who.ID.Schema()+".accounts ADD COLUMN nickname int")
	}
	r := migrate(t, migrator(t, w, later(t, column)), fleet.Options{Canaries: -1, MaxFailures: 2, Workers: 1})
	if r.Stopped == "" || len(r.Failures) != 2 {
		t.Errorf("%+v", r)
	}
}

// TestSomebodyInTheWay: a session that holds a table for a moment delays only its tenant.
func TestSomebodyInTheWay(t *testing.T) {
	w := tenancytest.New(t)
	tx, err := w.Owner.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "LOCK TABLE "+w.A.ID.Schema()+".accounts"); err != nil {
		t.Fatal(err)
	}
	done := make(chan fleet.Report, 1)
	m := migrator(t, w, later(t, column))
	go func() {
		r, err := m.Run(context.WithoutCancel(t.Context()), fleet.Options{Canaries: -1, LockTimeout: 20 * time.Millisecond, Attempts: 100})
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	watch, err := pgx.Connect(t.Context(), w.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close(t.Context())
	for scalar[int](t, watch, "SELECT count(*) FROM central.tenants WHERE schema_version = 9001") == 0 {
		if len(done) > 0 {
			t.Fatalf("the run ended without any tenant: %+v", <-done)
		}
		time.Sleep(time.Millisecond) // gamma lives in another lane: its worker goes on
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := <-done; !r.Complete() || r.Migrated != 3 {
		t.Errorf("%+v", r)
	}
}

func TestOneRunAtATime(t *testing.T) {
	w := tenancytest.New(t)
	m := migrator(t, w, later(t, column))
	var busy error
	r := migrate(t, m, fleet.Options{Progress: func(p fleet.Progress) {
		if p.Stage == fleet.Template && p.Done == 1 {
			_, busy = m.Run(t.Context(), fleet.Options{})
		}
	}})
	if !errors.Is(busy, fleet.ErrBusy) || !r.Complete() {
		t.Errorf("%v, %+v", busy, r)
	}
	for range 20 { // who is done has let go
		if _, err := m.Run(t.Context(), fleet.Options{}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRefusedMigrationsDoNotBegin(t *testing.T) {
	w := tenancytest.New(t)
	m := migrator(t, w, later(t, column, "ALTER TABLE accounts ADD COLUMN b text DEFAULT 'x';"))
	_, err := m.Run(t.Context(), fleet.Options{})
	var lint *fleet.LintError
	if !errors.As(err, &lint) || len(lint.Findings) != 1 || !strings.Contains(err.Error(), "9002_later.sql:1: add column default") {
		t.Error(err)
	}
	if have(t, w, "nickname") != 0 {
		t.Error("a run with a refused migration began")
	}
}

// TestCatalogBudget: ten thousand tenants multiply every table and index.
func TestCatalogBudget(t *testing.T) {
	w := tenancytest.New(t)
	count := func(kinds string) int {
		return scalar[int](t, w.Owner, "SELECT count(*) FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind::text = ANY(string_to_array($2, ','))", w.A.ID.Schema(), kinds)
	}
	tables, indexes, others := count("r,p"), count("i,I"), count("S,v,m,c,f")
	t.Logf("%d tables, %d indexes", tables, indexes)
	if tables == 0 || tables > 60 || indexes > 95 || others != 0 {
		t.Errorf("%d tables (at most 60), %d indexes (at most 95), %d sequences, views and types (none)", tables, indexes, others)
	}
}
