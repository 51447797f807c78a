package tenancy_test

import (
	"fmt"
	"testing"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// Sent statement by statement, as Citus wants it, a tenant's migrations make what they make
// as one message: the same columns, and the same constraints by the same names.
func TestScriptIsTheSameApart(t *testing.T) {
	tenancytest.SkipsOnCitus(t, "there it is sent one way only")
	w := tenancytest.New(t)
	ctx := t.Context()
	all, err := tenancy.TenantMigrations()
	if err != nil {
		t.Fatal(err)
	}
	script := ""
	for _, m := range all {
		script += m.SQL + "\n;\n"
	}
	for schema, apart := range map[string]bool{"whole": false, "apart": true} {
		if _, err := w.Owner.Exec(ctx, "CREATE SCHEMA "+schema); err != nil {
			t.Fatal(err)
		}
		if _, err := tenancy.SendScript(ctx, w.Owner, fmt.Sprintf("BEGIN; SET LOCAL search_path TO %s; %s; COMMIT", schema, script), apart); err != nil {
			t.Fatal(err)
		}
	}
	for what, sql := range map[string]string{
		"columns": `SELECT count(*) FROM (SELECT table_name, column_name, data_type, column_default, is_nullable, count(*) FROM information_schema.columns
			WHERE table_schema IN ('whole', 'apart') GROUP BY 1, 2, 3, 4, 5 HAVING count(*) <> 2) x`,
		"constraints": `SELECT count(*) FROM (SELECT conrelid::regclass::text ~ '^whole', conname, replace(replace(pg_get_constraintdef(oid), 'whole.', ''), 'apart.', '') AS def,
			count(*) OVER (PARTITION BY conname, split_part(conrelid::regclass::text, '.', 2), replace(replace(pg_get_constraintdef(oid), 'whole.', ''), 'apart.', '')) AS n
			FROM pg_constraint WHERE connamespace IN ('whole'::regnamespace, 'apart'::regnamespace)) x WHERE n <> 2`,
		"nothing": "SELECT 1 - least(1, count(*)) FROM pg_constraint WHERE connamespace = 'apart'::regnamespace",
	} {
		if n := scalar[int](t, w.Owner, sql); n != 0 {
			t.Errorf("%d %s differ", n, what)
		}
	}
}
