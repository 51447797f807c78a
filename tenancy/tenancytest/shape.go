package tenancytest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
)

// Shape is everything a tenant's schema consists of, as the SQL that makes it: tables with
// their columns, constraints and rows, then indexes, then rights the owner took from itself.
// Two schemas with the same Shape cannot be told apart by a program. The test fails when
// there is something in the schema that Shape does not know how to write down.
func Shape(t testing.TB, owner *pgx.Conn, schema tenancy.ID) string {
	t.Helper()
	ctx := context.Background()
	tx, err := owner.Begin(ctx)
	must(t, err)
	defer func() { must(t, tx.Rollback(ctx)) }()
	// Only then are names within the schema written without it.
	_, err = tx.Exec(ctx, "SET LOCAL search_path TO "+schema.Schema())
	must(t, err)
	for _, other := range linesOf(t, tx, unknownSQL, schema.Schema()) {
		t.Errorf("%s: Shape does not know how to write down: %s", schema.Schema(), other)
	}
	var b strings.Builder
	for _, table := range inOrder(t, tx, schema.Schema()) {
		parts := append(linesOf(t, tx, columnsSQL, table), linesOf(t, tx, constraintsSQL, table)...)
		fmt.Fprintf(&b, "CREATE TABLE %s (\n  %s\n);\n", table, strings.Join(parts, ",\n  "))
		for _, row := range linesOf(t, tx, fmt.Sprintf("SELECT r::text FROM %s AS r WHERE $1 <> '' ORDER BY 1", table), table) {
			fmt.Fprintf(&b, "INSERT INTO %[1]s SELECT (%[2]s::%[1]s).*;\n", table, quote(row))
		}
	}
	for _, statement := range append(linesOf(t, tx, indexesSQL, schema.Schema()), linesOf(t, tx, revokesSQL, schema.Schema())...) {
		b.WriteString(statement + ";\n")
	}
	return b.String()
}

// unknownSQL finds what a tenant's schema does not consist of.
const unknownSQL = `
	SELECT 'relation ' || relname FROM pg_class WHERE relnamespace = $1::regnamespace AND (relkind NOT IN ('r', 'i')
		OR relpersistence <> 'p' OR reloptions IS NOT NULL OR relrowsecurity OR relispartition OR relkind = 'r' AND relreplident <> 'd')
	UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = $1::regnamespace
	UNION ALL SELECT 'type ' || typname FROM pg_type WHERE typnamespace = $1::regnamespace AND typtype <> 'c' AND typcategory <> 'A'
	UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid WHERE c.relnamespace = $1::regnamespace AND NOT tgisinternal
	UNION ALL SELECT 'column ' || c.relname || '.' || attname FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN pg_type y ON y.oid = atttypid
		WHERE c.relnamespace = $1::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
		AND (attidentity <> '' OR attgenerated <> '' OR attstorage <> typstorage OR attacl IS NOT NULL OR attoptions IS NOT NULL)
	UNION ALL SELECT 'constraint ' || conname FROM pg_constraint WHERE connamespace = $1::regnamespace AND NOT convalidated
	UNION ALL SELECT 'index ' || i.indexrelid::regclass FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
		WHERE c.relnamespace = $1::regnamespace AND NOT (indisvalid AND indisready)
	ORDER BY 1`

const columnsSQL = `
	SELECT quote_ident(attname) || ' ' || format_type(atttypid, atttypmod)
		|| CASE WHEN attcollation <> y.typcollation THEN ' COLLATE ' || attcollation::regcollation ELSE '' END
		|| coalesce(' DEFAULT ' || pg_get_expr(adbin, adrelid, true), '') || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
	FROM pg_attribute a JOIN pg_type y ON y.oid = atttypid LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
	WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`

// constraintsSQL leaves out that a column is not null, which PostgreSQL 18 lists as well.
const constraintsSQL = `
	SELECT 'CONSTRAINT ' || quote_ident(conname) || ' ' || pg_get_constraintdef(oid, true)
	FROM pg_constraint WHERE conrelid = $1::regclass AND contype <> 'n' ORDER BY strpos('pucf', contype::text), conname COLLATE "C"`

const indexesSQL = `
	SELECT pg_get_indexdef(indexrelid, 0, true) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
	WHERE c.relnamespace = $1::regnamespace AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u', 'x'))
	ORDER BY c.relname COLLATE "C"`

const revokesSQL = `
	SELECT 'REVOKE ' || string_agg(mine, ', ' ORDER BY mine) || ' ON ' || quote_ident(relname) || ' FROM CURRENT_USER'
	FROM pg_class c, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) mine
	WHERE relnamespace = $1::regnamespace AND relkind = 'r' AND relacl IS NOT NULL
	AND NOT EXISTS (SELECT FROM aclexplode(relacl) e WHERE e.grantee = relowner AND e.privilege_type = mine)
	GROUP BY relname ORDER BY relname COLLATE "C"`

// inOrder lists the schema's tables so that each follows those it refers to.
func inOrder(t testing.TB, tx pgx.Tx, schema string) (order []string) {
	t.Helper()
	left := linesOf(t, tx, "SELECT quote_ident(relname) FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind = 'r' ORDER BY relname COLLATE \"C\"", schema)
	for len(left) > 0 {
		before := len(left)
		left = slices.DeleteFunc(left, func(table string) bool {
			for _, other := range linesOf(t, tx, `SELECT DISTINCT confrelid::regclass::text FROM pg_constraint
				WHERE conrelid = $1::regclass AND contype = 'f' AND confrelid <> conrelid`, table) {
				if !slices.Contains(order, other) {
					return false
				}
			}
			order = append(order, table)
			return true
		})
		if len(left) == before {
			t.Fatalf("these tables refer to each other in a circle: %v", left)
		}
	}
	return order
}

func linesOf(t testing.TB, tx pgx.Tx, query, about string) []string {
	t.Helper()
	rows, err := tx.Query(context.Background(), query, about)
	must(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	must(t, err)
	return lines
}

func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
