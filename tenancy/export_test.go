package tenancy_test

import (
	"io"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestTablesStandBehindWhatTheyReferTo exports a tenant as those who sign up have it: built
// over two connections, its tables are made in any order.
func TestTablesStandBehindWhatTheyReferTo(t *testing.T) {
	w := tenancytest.New(t)
	ctx := t.Context()
	p := openPool(t, w, newBuilder(t, w.DSN))
	c, err := p.Claim(ctx, claimOf("exported"), signs(ctx))
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.Bind(c).Export(ctx, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, table := range m.Tables {
		order = append(order, table.Name)
	}
	rows, err := w.Owner.Query(ctx, `SELECT a.relname::text, b.relname::text FROM pg_constraint f JOIN pg_class a ON a.oid = conrelid JOIN pg_class b ON b.oid = confrelid
		WHERE connamespace = $1::text::regnamespace AND contype = 'f' AND a.oid <> b.oid`, c.ID.Schema())
	if err != nil {
		t.Fatal(err)
	}
	type reference struct{ From, To string }
	references, err := pgx.CollectRows(rows, pgx.RowToStructByPos[reference])
	if err != nil || len(references) < 20 {
		t.Fatalf("%d references: %v", len(references), err)
	}
	for _, r := range references {
		from, to := slices.Index(order, r.From), slices.Index(order, r.To)
		if to < 0 || from < to {
			t.Errorf("%s stands at %d and what it refers to, %s, at %d", r.From, from, r.To, to)
		}
	}
}
