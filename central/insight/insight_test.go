package insight_test

import (
	"fmt"
	"testing"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/central/insight"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

func exec(t *testing.T, w *tenancytest.World, sql string, args ...any) {
	t.Helper()
	err := w.Central.Update(t.Context(), func(tx *tenancy.CentralTx) error {
		_, err := tx.NewRaw(sql, args...).Exec(t.Context())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// tell says through the tenants' own doors what they would say.
func tell(t *testing.T, db *tenancy.DB, mrr, invoiced, credited int64) {
	t.Helper()
	err := db.Update(t.Context(), func(tx *tenancy.Tx) error {
		if err := tx.SetFigure(t.Context(), "mrr", "EUR", mrr); err != nil {
			return err
		}
		for kind, minor := range map[string]int64{"invoiced": invoiced, "credited": credited, "paid": invoiced} {
			for range 2 { // told twice, counted once
				if err := tx.RecordRevenue(t.Context(), tenancy.Revenue{Key: kind, Kind: kind, Currency: "EUR", Minor: minor, At: tx.Now()}); err != nil {
					return err
				}
			}
		}
		_, err := tx.RaiseAlert(t.Context(), tenancy.Alert{Key: "a", Kind: "service.failed", Text: "A server was not made."})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBusinessOverAllResellers(t *testing.T) {
	w := tenancytest.New(t)
	tell(t, w.DB(w.A), 10_000, 5_000, 500)
	tell(t, w.DB(w.B), 2_000, 1_000, 0)
	now := w.Clock.Now()
	exec(t, w, `INSERT INTO wholesale_runs (id, period, period_from, period_to, cut_off, state, invoices, total, started_at, finished_at, started_by)
		VALUES ('00000000-0000-7000-8000-000000000001', '2026-09', ?0::timestamptz - interval '1 month', ?0, ?0, 'done', 2, '{}', ?0, ?0, 'x'), ('00000000-0000-7000-8000-000000000002', '2026-10', ?0, ?0, ?0, 'running', 0, '{}', ?0, NULL, 'x')`, now)
	for i, inv := range []struct {
		tenant int64
		state  string
		net    int64
		due    string
	}{{w.A.ID.Number(), "open", 4_000, "-5 days"}, {w.B.ID.Number(), "paid", 800, "-5 days"}, {w.C.ID.Number(), "open", 100, "5 days"}} {
		paid := int64(0)
		if inv.state == "paid" {
			paid = inv.net
		}
		exec(t, w, `INSERT INTO wholesale_invoices (id, run_id, tenant_id, number, sequence, state, tier, currency, net_minor, tax_minor, total_minor, paid_minor, document, hash, prev_hash, issued_at, due_at, changed_at)
			VALUES (gen_random_uuid(), '00000000-0000-7000-8000-000000000001', ?, ?, ?, ?, 'base', 'EUR', ?4, 0, ?4, ?5, '{}', '', '', ?6, ?6::timestamptz + ?7::interval, ?6)`,
			inv.tenant, fmt.Sprint("W", i), i, inv.state, inv.net, paid, now, inv.due)
	}
	for i, ended := range []any{nil, now.AddDate(0, 0, -3), now.AddDate(0, 0, -31)} {
		exec(t, w, `INSERT INTO services (tenant_id, service_id, sku, label, platform_id, region, ref, desired, observed, problem, address, began_at, ended_at, changed_at)
			VALUES (?0, gen_random_uuid(), 'vps', 'VPS', gen_random_uuid(), 'x', ?1, 'active', 'active', '', '', ?2, ?3, ?2)`, w.A.ID.Number(), fmt.Sprint(i), now.AddDate(0, 0, -40), ended)
	}
	b, err := insight.Read(t.Context(), w.Central, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	if s := b.Services; s.Running != 1 || s.Before != 2 || s.Ended != 1 || s.Churn() != 50 {
		t.Errorf("services: %+v", s)
	}
	if b.Yearly[0].Minor != 144_000 {
		t.Errorf("a year is %v", b.Yearly)
	}
	for name, got := range map[string]struct {
		sums  []insight.Sum
		minor int64
		count int
	}{"retail": {b.Retail, 12_000, 2}, "wholesale": {b.Wholesale, 4_900, 3}, "owed": {b.Owed, 4_100, 2}, "overdue": {b.Overdue, 4_000, 1}} {
		if len(got.sums) != 1 || got.sums[0].Money != (billing.Money{Minor: got.minor, Currency: "EUR"}) || got.sums[0].Count != got.count {
			t.Errorf("%s is %+v, want %d of %d", name, got.sums, got.minor, got.count)
		}
	}
	if b.Period != "2026-09" || b.Left != 0 {
		t.Errorf("the last run is %q, %d resellers left", b.Period, b.Left)
	}
	if len(b.Restless) != 1 || b.Restless[0].Tenant != w.A.ID || b.Restless[0].Owed.Minor != 4_000 {
		t.Errorf("who owes: %+v", b.Restless)
	}
	last := b.Months[len(b.Months)-1]
	if len(b.Months) != 12 || last.Invoiced.Minor != 5_500 || last.Received.Minor != 6_000 {
		t.Errorf("%d months, the last %+v", len(b.Months), last)
	}
	if before := b.Months[len(b.Months)-2]; !before.Billed || before.Wholesale.Minor != 4_900 || before.Margin.Minor != -4_900 || last.Billed || last.Margin.Minor != 0 {
		t.Errorf("the month before: %+v, the last: %+v", before, last)
	}
}

func TestAnEmptyPlatformHasNoFigures(t *testing.T) {
	w := tenancytest.New(t)
	b, err := insight.Read(t.Context(), w.Central, "EUR")
	if err != nil || len(b.Retail)+len(b.Owed)+len(b.Restless)+b.Left != 0 || b.Period != "" || len(b.Months) != 12 {
		t.Errorf("%+v, %v", b, err)
	}
}
