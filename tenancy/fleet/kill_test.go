package fleet_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fleet"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// manyTables is a migration that takes long enough to be killed in.
func manyTables() []tenancy.Migration {
	all, err := tenancy.TenantMigrations()
	if err != nil {
		panic(err)
	}
	for v := range 3 {
		var sql strings.Builder
		for i := range 4 {
			fmt.Fprintf(&sql, "CREATE TABLE extra_%d_%d (id uuid PRIMARY KEY, a text, b text UNIQUE);\n", v, i)
		}
		all = append(all, tenancy.Migration{Version: 9001 + v, Name: fmt.Sprintf("%d_many", 9001+v), SQL: sql.String()})
	}
	return all
}

// migrateUntilKilled is the life of a migrator process.
func migrateUntilKilled(dsn string) {
	ctx := context.Background()
	db := tenancy.Config{DSN: dsn}
	central, err := tenancy.OpenCentral(ctx, db, 2)
	if err == nil {
		var m *fleet.Migrator
		m, err = fleet.New(fleet.Config{OwnerDSN: dsn, Database: db, Central: central, Migrations: manyTables()})
		if err == nil {
			_, err = m.Run(ctx, fleet.Options{Progress: func(fleet.Progress) { fmt.Print(".") }})
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	os.Exit(0)
}

// TestMigratorsMayBeKilled kills migrators at random moments. Whenever we look, every
// schema is wholly at the version its row says, and in the end all are at the newest.
func TestMigratorsMayBeKilled(t *testing.T) {
	w := tenancytest.New(t)
	build(t, w, 40)
	kills := 0
	for round := 0; ; round++ {
		if round == 200 {
			t.Fatal("200 migrators did not finish the fleet")
		}
		cmd := exec.Command(os.Args[0], "-test.run=^$") //nolint:gosec // this test binary
		cmd.Env = append(os.Environ(), "EZSCALE_TEST_MIGRATOR="+w.DSN)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_, _ = out.Read(make([]byte, 1)) // it has begun
		// A random moment, later and later, so that a slow machine gets through too.
		time.Sleep(rand.N(time.Duration(40+4*round) * time.Millisecond)) //nolint:gosec // not a secret
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if cmd.ProcessState.ExitCode() == 0 {
			break // it was done before we came
		}
		if cmd.ProcessState.ExitCode() != -1 {
			t.Fatal("a migrator failed")
		}
		kills++
		// Postgres notices a death when it next reads from the connection.
		for scalar[int](t, w.Owner, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()") > 0 {
			time.Sleep(time.Millisecond)
		}
		assertWhole(t, w)
	}
	t.Logf("%d migrators killed", kills)
	if kills < 5 {
		t.Errorf("only %d kills", kills)
	}
	r := migrate(t, migrator(t, w, manyTables()), fleet.Options{})
	if !r.Complete() || r.Migrated != 0 {
		t.Errorf("the last process said it was done, and it was not: %+v", r)
	}
	assertWhole(t, w)
	if n := scalar[int](t, w.Owner, "SELECT count(*) FROM central.fleet_runs WHERE finished_at IS NULL"); n != 0 {
		t.Errorf("%d runs never ended", n)
	}
}

// assertWhole compares the extra tables of every schema with its version.
func assertWhole(t *testing.T, w *tenancytest.World) {
	t.Helper()
	rows, err := w.Owner.Query(t.Context(), `SELECT x.id, x.schema_version, count(c.oid)
		FROM (SELECT id, schema_version FROM central.tenants UNION ALL SELECT id, schema_version FROM central.spares) x
		LEFT JOIN pg_class c ON c.relnamespace = ('t_' || x.id)::regnamespace AND c.relkind = 'r' AND c.relname LIKE 'extra\_%'
		GROUP BY 1, 2`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var version, tables int
		if err := rows.Scan(&id, &version, &tables); err != nil {
			t.Fatal(err)
		}
		if want := 4 * max(version-9000, 0); tables != want {
			t.Errorf("tenant %d says version %d and has %d of %d extra tables", id, version, tables, want)
		}
	}
	if rows.Err() != nil {
		t.Fatal(rows.Err())
	}
}
