package tenancy_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/migrations"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

var update = flag.Bool("update", false, "write migrations/baseline.sql anew")

// TestTheBaselineIsWhatTheMigrationsMake: a tenant that was built today and one that was
// there from the first day cannot be told apart.
func TestTheBaselineIsWhatTheMigrationsMake(t *testing.T) {
	tenancytest.SkipsOnCitus(t, "it makes role, schema and tables in one message; the SQL is the same there")
	all, err := tenancy.TenantMigrations()
	if err != nil {
		t.Fatal(err)
	}
	var history strings.Builder
	for _, m := range all {
		history.WriteString(m.SQL + "\n;\n")
	}
	w := tenancytest.New(t)
	lived := tenancytest.Shape(t, w.Owner, buildOf(t, w.Owner, 900_001, history.String()))
	newest := all[len(all)-1].Version
	if *update {
		text := fmt.Sprintf("-- Version %d: what the tenants' migrations up to it come to. Written by `go test ./tenancy -run Baseline -update`; do not edit.\n%s", newest, lived)
		if err := os.WriteFile(filepath.Join(tenancytest.Root(), "migrations", "baseline.sql"), []byte(text), 0o644); err != nil { //nolint:gosec // a source file
			t.Fatal(err)
		}
		migrations.TenantBaseline = text
	}
	script, version, err := tenancy.TenantScript()
	if err != nil {
		t.Fatal(err)
	}
	if version != newest {
		t.Errorf("the script leads to version %d, the migrations to %d", version, newest)
	}
	if built := tenancytest.Shape(t, w.Owner, buildOf(t, w.Owner, 900_002, script)); built != lived {
		t.Errorf("a schema made of the baseline and what follows differs from one made of the migrations:\n%s", firstDifference(built, lived))
	}
	// Who builds makes the same tables over two connections.
	id, err := newBuilder(t, w.DSN).Build(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if built := tenancytest.Shape(t, w.Owner, id); built != lived {
		t.Errorf("a spare differs from a schema made of the migrations:\n%s", firstDifference(built, lived))
	}
	if !strings.Contains(lived, "INSERT INTO audit_head") || !strings.Contains(lived, "REVOKE DELETE, TRUNCATE, UPDATE ON ledger_postings") {
		t.Error("the shape of a schema knows neither rows nor rights")
	}
}

// buildOf runs script as tenant number does in a schema of its own.
func buildOf(t *testing.T, owner *pgx.Conn, number int64, script string) tenancy.ID {
	t.Helper()
	id, err := tenancy.NumberedID(number)
	if err != nil {
		t.Fatal(err)
	}
	message := fmt.Sprintf("BEGIN; CREATE ROLE %[1]s NOINHERIT; CREATE SCHEMA %[1]s AUTHORIZATION %[1]s; SET LOCAL ROLE %[1]s; SET LOCAL search_path TO %[1]s, pg_temp;\n%[2]s; COMMIT",
		id.Schema(), script)
	if _, err := owner.PgConn().Exec(t.Context(), message).ReadAll(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, err := owner.PgConn().Exec(context.Background(), fmt.Sprintf("DROP SCHEMA %[1]s CASCADE; DROP ROLE %[1]s", id.Schema())).ReadAll()
		if err != nil {
			t.Error(err)
		}
	})
	return id
}

func firstDifference(a, b string) string {
	got, want := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("line %d\n  %s\n  %s", i+1, got[i], want[i])
		}
	}
	return fmt.Sprintf("%d lines and %d", len(got), len(want))
}
