package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fleet"
)

// migrate measures migrations of a fleet: a column with an index, a column that is
// never null with a default, and finding out that nothing is to be done.
func (r *run) migrate(ctx context.Context) error {
	big := min(2000, r.Tenants)
	f, err := r.grow(ctx, big)
	if err != nil {
		return err
	}
	all, err := tenancy.TenantMigrations()
	if err != nil {
		return err
	}
	m := &fleetRun{f: f, base: len(all), all: all, big: big}
	if m.central, err = tenancy.OpenCentral(ctx, tenancy.Config{DSN: f.dsn}, 4); err != nil {
		return err
	}
	defer m.central.Close()
	if _, err := m.run(ctx, ""); err != nil { // makes the template
		return err
	}
	defer m.reset(ctx)
	addColumn := func(name string) string {
		return "ALTER TABLE accounts ADD COLUMN " + name + " text; CREATE INDEX accounts_by_" + name + " ON accounts (" + name + ")"
	}
	small, err := m.timed(ctx, addColumn("bench_a"), 200)
	if err != nil {
		return err
	}
	// The server was just started: its first work over the whole fleet reads every tenant's
	// catalog from files and logs each page whole.
	first, err := m.timed(ctx, addColumn("bench_first"), big)
	if err != nil {
		return err
	}
	whole, err := m.timed(ctx, addColumn("bench_b"), big)
	if err != nil {
		return err
	}
	steps, err := m.timed(ctx, "ALTER TABLE accounts ADD COLUMN bench_c text; ALTER TABLE accounts ALTER COLUMN bench_c SET DEFAULT 'x';\n"+
		"UPDATE accounts SET bench_c = 'x'; ALTER TABLE accounts ALTER COLUMN bench_c SET NOT NULL; CREATE INDEX accounts_by_bench_c ON accounts (bench_c)", big)
	if err != nil {
		return err
	}
	nothing, err := m.run(ctx, "")
	if err != nil {
		return err
	}
	over := fmt.Sprintf(" over %d tenants", big)
	r.promise("migrate", "column and index"+over, float64(big)/whole.Seconds(), "tenants/s", atLeast, 1000)
	r.report("migrate", "the same as the first work after the server's start", float64(big)/first.Seconds(), "tenants/s")
	r.promise("migrate", "NOT NULL with default, by steps"+over, float64(big)/steps.Seconds(), "tenants/s", atLeast, 400)
	r.promise("migrate", "nothing to do"+over, nothing.Seconds(), "s", atMost, 1)
	if big == 2000 {
		r.promise("migrate", "t(2,000) ÷ t(200)", float64(whole)/float64(small), "×", atMost, 11)
	}
	return nil
}

// fleetRun runs migrations that exist for the bench alone.
type fleetRun struct {
	f       *fleetServer
	central *tenancy.Central
	all     []tenancy.Migration
	base    int // how many of them are the program's
	big     int
}

// timed adds a migration, lets only the first n tenants need it, and runs it.
func (m *fleetRun) timed(ctx context.Context, sql string, n int) (time.Duration, error) {
	next := m.all[len(m.all)-1].Version + 1
	m.all = append(m.all, tenancy.Migration{Version: next, Name: fmt.Sprintf("%04d_bench", next), SQL: sql})
	owner, err := m.f.owner(ctx)
	if err != nil {
		return 0, err
	}
	defer owner.Close(ctx) //nolint:errcheck // nothing to lose
	if _, err := owner.Exec(ctx, "UPDATE central.tenants SET schema_version = $1 WHERE id > $2", next, n); err != nil {
		return 0, err
	}
	if _, err := owner.Exec(ctx, "UPDATE central.tenants SET schema_version = $1 WHERE id <= $2", next-1, n); err != nil {
		return 0, err
	}
	// What these two and the runs before left behind; autovacuum, which is off here, would have come by.
	if _, err := owner.Exec(ctx, "VACUUM central.tenants"); err != nil {
		return 0, err
	}
	return m.run(ctx, m.all[len(m.all)-1].Name)
}

func (m *fleetRun) run(ctx context.Context, name string) (time.Duration, error) {
	migrator, err := fleet.New(fleet.Config{
		OwnerDSN: m.f.dsn, Database: tenancy.Config{DSN: m.f.dsn, Lanes: m.f.lanes, ConnsPerLane: 1}, Central: m.central, Migrations: m.all,
	})
	if err != nil {
		return 0, err
	}
	at := time.Now()
	report, err := migrator.Run(ctx, fleet.Options{})
	took := time.Since(at)
	if err == nil && len(report.Failures) > 0 {
		err = fmt.Errorf("%s failed on %d tenants: %s", name, len(report.Failures), report.Failures[0].Err)
	}
	return took, err
}

// reset lets the fleet be as the program knows it, for the benches that come next.
func (m *fleetRun) reset(ctx context.Context) {
	owner, err := m.f.owner(ctx)
	if err != nil {
		return
	}
	defer owner.Close(ctx) //nolint:errcheck // nothing to lose
	rows, _ := owner.Query(ctx, `SELECT 'ALTER TABLE ' || a.attrelid::regclass || ' DROP COLUMN ' || string_agg(quote_ident(a.attname), ', DROP COLUMN ') FROM pg_attribute a
		JOIN pg_class c ON c.oid = a.attrelid AND c.relname = 'accounts' WHERE a.attname LIKE 'bench\_%' AND NOT a.attisdropped GROUP BY a.attrelid`)
	drops, _ := pgx.CollectRows(rows, pgx.RowTo[string])
	for some := range slices.Chunk(drops, 50) {
		_, _ = owner.PgConn().Exec(ctx, strings.Join(some, ";")).ReadAll()
	}
	version := m.all[m.base-1].Version
	_, _ = owner.Exec(ctx, "UPDATE central.tenants SET schema_version = $1", version)
	_, _ = owner.Exec(ctx, "UPDATE central.spares SET schema_version = $1", version)
	_, _ = owner.Exec(ctx, "UPDATE central.settings SET value = to_jsonb($1::int) WHERE name = 'template_version'", version)
}
