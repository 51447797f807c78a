package reseller_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// owe gives a tenant an unpaid wholesale invoice that is due at due.
func owe(t testing.TB, w *tenancytest.World, tenant tenancy.ID, due time.Time) (id uuid.UUID) {
	t.Helper()
	id, run := uuid.Must(uuid.NewV7()), uuid.Must(uuid.NewV7())
	var n int
	if err := w.Owner.QueryRow(t.Context(), "SELECT count(*) + 1 FROM central.wholesale_runs").Scan(&n); err != nil {
		t.Fatal(err)
	}
	period := time.Date(2020, time.Month(n), 1, 0, 0, 0, 0, time.UTC)
	for _, q := range []struct {
		sql  string
		args []any
	}{
		{`INSERT INTO central.wholesale_runs (id, period, period_from, period_to, cut_off, state, invoices, total, started_at, started_by)
			VALUES ($1, $2, $3, $3, $3, 'done', 1, '{}', $3, 'test')`, []any{run, period.Format("2006-01"), period}},
		{`INSERT INTO central.wholesale_invoices (id, run_id, tenant_id, number, sequence, state, tier, currency, net_minor, tax_minor, total_minor, paid_minor,
			document, hash, prev_hash, issued_at, due_at, changed_at) VALUES ($1, $2, $3, $4, $5, 'open', 'starter', 'EUR', 100, 0, 100, 0, '{}', '', '', $6, $6, $6)`,
			[]any{id, run, tenant.Number(), id.String(), n, due}},
	} {
		if _, err := w.Owner.Exec(t.Context(), q.sql, q.args...); err != nil {
			t.Fatal(err)
		}
	}
	return id
}

func TestArrearsRestrictStepByStepAndEndWithThePayment(t *testing.T) {
	w := tenancytest.New(t)
	ctx := t.Context()
	d := &reseller.Desk{Central: w.Central, Platform: "localhost"}
	a := reseller.DefaultArrears()
	due := w.Clock.Now()
	invoice := owe(t, w, w.A.ID, due)
	directory := reseller.NewDirectory(w.Central, "localhost")
	stands := func(id tenancy.ID) tenancy.Tenant {
		t.Helper()
		found, err := directory.Tenant(ctx, id)
		if err != nil || len(found) == 0 {
			t.Fatal(found, err)
		}
		return found[0].Tenant
	}
	content := stands(w.A.ID).ContentVersion
	told := 0
	tell := func(_ context.Context, _ *tenancy.CentralTx, b reseller.Debtor, to tenancy.Restriction) error {
		if b.ID != w.A.ID || b.Was == to {
			t.Errorf("told of %+v to %q", b, to)
		}
		told++
		return nil
	}
	enforce := func(want int) {
		t.Helper()
		for i, want := range []int{want, 0} { // the second look changes nothing
			n, err := d.EnforceArrears(ctx, a, tell)
			if err != nil || n != want {
				t.Fatalf("look %d changed %d, not %d: %v", i+1, n, want, err)
			}
		}
	}
	enforce(0)
	for _, step := range []struct {
		after time.Duration
		want  tenancy.Restriction
	}{{a.NoNewSales, tenancy.NoNewSales}, {a.ReadOnly, tenancy.ReadOnly}, {a.Notice, tenancy.Notice}} {
		w.Clock.Set(due.Add(step.after - time.Second))
		enforce(0)
		w.Clock.Set(due.Add(step.after))
		enforce(1)
		got := stands(w.A.ID)
		if got.Restriction != step.want || got.Status != tenancy.Active || !got.Status.Serves() {
			t.Errorf("after %s: %+v", step.after, got)
		}
		if content++; got.ContentVersion != content {
			t.Errorf("pages from memory outlive %s", step.want)
		}
	}
	if other := stands(w.B.ID); other.Restriction != tenancy.Unrestricted {
		t.Errorf("who owes nothing is %q", other.Restriction)
	}
	if r, err := d.Get(ctx, w.A.ID); err != nil || !r.RestrictedSince.Equal(due.Add(a.NoNewSales)) {
		t.Errorf("restricted since %s: %v", r.RestrictedSince, err)
	}
	if _, err := w.Owner.Exec(ctx, "UPDATE central.wholesale_invoices SET state = 'paid', paid_minor = total_minor WHERE id = $1", invoice); err != nil {
		t.Fatal(err)
	}
	enforce(1)
	if got := stands(w.A.ID); got.Restriction != tenancy.Unrestricted {
		t.Errorf("after paying: %q", got.Restriction)
	}
	var entries int
	err := w.Owner.QueryRow(ctx, "SELECT count(*) FROM central.audit_entries WHERE target_id = $1 AND action IN ('tenant.restricted', 'tenant.unrestricted')", w.A.ID.String()).Scan(&entries)
	if err != nil || entries != 4 || told != 4 {
		t.Errorf("%d entries, told %d times: %v", entries, told, err)
	}
}

// What one restriction forbids, the ones after it forbid too.
func TestRestrictionsIncludeTheOnesBefore(t *testing.T) {
	for r, want := range map[tenancy.Restriction][3]bool{
		tenancy.Unrestricted: {true, true, false}, tenancy.NoNewSales: {false, true, false},
		tenancy.ReadOnly: {false, false, false}, tenancy.Notice: {false, false, true},
	} {
		if got := [3]bool{r.SellsNew(), r.Changes(), r.Tells()}; got != want {
			t.Errorf("%q: %v, not %v", r, got, want)
		}
	}
}
