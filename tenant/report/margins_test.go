package report_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/report"
)

// billedHere are months as they were billed, of one tenant.
type billedHere struct {
	of     tenancy.ID
	months []report.MonthCost
}

func (b billedHere) Planned(context.Context, tenancy.ID) ([]report.PlannedPrice, error) {
	day := func(n int) time.Time { return time.Date(2027, 1, n, 0, 0, 0, 0, time.UTC) }
	at := func(units int64) billing.Rate { return billing.Rate{Units: units * 1e8, Currency: "EUR"} }
	return []report.PlannedPrice{
		{SKU: "vps-s", Name: "VPS S", From: day(1), Was: at(400), Will: at(1100)}, {SKU: "vps-x", From: day(1), Will: at(1)}, {SKU: "vps-s", From: day(2), Was: at(1100), Will: at(400)},
	}, nil
}

// What will cost more, and which of what runs is sold below it then.
func TestPricesThatRise(t *testing.T) {
	w := tenancytest.New(t)
	mustOpen(t, w.DB(w.A))
	m, err := report.ReadMargins(t.Context(), w.DB(w.A), report.ByPlan, 3, billedHere{})
	must(t, err)
	got := m.Rising
	// Ten euros a month in each of the three cycles in euros, one euro below; one in dollars.
	if len(got) != 1 || got[0].Running != 4 || got[0].Losing != 3 || got[0].Unknown != 1 || got[0].Loss != eur(300) {
		t.Errorf("%+v", got)
	}
	if none, err := report.ReadMargins(t.Context(), w.DB(w.B), report.ByPlan, 3, billedHere{}); err != nil || len(none.Rising) != 0 {
		t.Errorf("another's: %+v, %v", none, err)
	}
}

func (b billedHere) Billed(_ context.Context, tenant tenancy.ID, from, to time.Time) (some []report.MonthCost, _ error) {
	for _, m := range b.months {
		if tenant == b.of && !m.From.Before(from) && m.From.Before(to) {
			some = append(some, m)
		}
	}
	return some, nil
}

// soldAhead are lines of the business: a year from the first of two months ago that is
// half credited, a month across their border, one without a time, one in dollars.
const soldAhead = `UPDATE invoices SET corrects_id = '00000000-0000-7000-8000-000000000201', net_minor = 500, tax_minor = 95, total_minor = 595 WHERE kind = 'credit_note';
INSERT INTO invoice_lines (invoice_id, position, kind, subscription_id, description, period_from, period_to, quantity, unit_minor, net_minor, tax_percent, tax_note) VALUES
('00000000-0000-7000-8000-000000000201', 1, 'plan', '00000000-0000-7000-8000-000000000102', 'a year', ?0::timestamptz, ?0::timestamptz + interval '365 days', 1, 36500, 36500, 19, ''),
('00000000-0000-7000-8000-000000000202', 1, 'plan', '00000000-0000-7000-8000-000000000101', 'a month', ?0::timestamptz + interval '30 days', ?0::timestamptz + interval '60 days', 1, 3000, 3000, 19, ''),
('00000000-0000-7000-8000-000000000203', 1, 'setup', NULL, 'help', NULL, NULL, 1, 500, 500, 19, '');
UPDATE invoices SET issued_at = ?0::timestamptz + interval '3 days' WHERE id = '00000000-0000-7000-8000-000000000203'`

// Revenue counts in the months it is for, costs as they were billed; told by plan, customer
// and month they come to the same.
func TestMargins(t *testing.T) {
	w := tenancytest.New(t)
	db := w.DB(w.A)
	mustOpen(t, db)
	now := db.Now().UTC()
	this := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	first, second := this.AddDate(0, -2, 0), this.AddDate(0, -1, 0)
	var services []struct{ ID uuid.UUID }
	must(t, db.Update(t.Context(), func(tx *tenancy.Tx) error {
		for _, q := range split(soldAhead) {
			if _, err := tx.NewRaw(q, first).Exec(t.Context()); err != nil {
				return err
			}
		}
		if _, err := tx.NewRaw("UPDATE services SET began_at = ?", first).Exec(t.Context()); err != nil {
			return err
		}
		return tx.NewRaw("SELECT id FROM services ORDER BY subscription_id").Scan(t.Context(), &services)
	}))
	b := billedHere{w.A.ID, []report.MonthCost{
		{From: first, To: second, Currency: "EUR", Services: map[uuid.UUID]int64{services[0].ID: 400, services[1].ID: 800, uuid.New(): 50}, Rest: 1000},
		{From: second, To: this, Currency: "EUR", Services: map[uuid.UUID]int64{services[0].ID: 400}, Rest: 1000},
	}}
	if first.Format("2006-01") != "2026-08" {
		t.Fatalf("the world begins two months after %s", first)
	}
	// August and September: half of the year's price is left, 50 a day for 61 days; the
	// month is 100 a day from 31 August on, and ends with September's 29th.
	const year, across = 50 * 61, 3000
	for by, rows := range map[report.By]int{report.ByPlan: 2, report.ByCustomer: 2, report.ByMonth: 2} {
		m, err := report.ReadMargins(t.Context(), db, by, 12, b)
		must(t, err)
		if len(m.Rows) != rows || !m.From.Equal(first) || !m.To.Equal(this) || m.Currency != "EUR" {
			t.Errorf("by %s: %+v", by, m)
		}
		sum := billing.Money{Minor: m.Rest.Minor, Currency: "EUR"}
		for _, r := range m.Rows {
			sum.Minor += r.Cost.Minor
		}
		if m.Sum.Revenue != eur(year+across+500) || m.Sum.Cost != eur(400+800+50+1000+400+1000) || sum != m.Sum.Cost || m.Sum.Margin.Minor != m.Sum.Revenue.Minor-m.Sum.Cost.Minor {
			t.Errorf("by %s in all: %+v, want revenue of %d; the rows cost %v", by, m.Sum, year+across+500, sum)
		}
	}
	// However they are told, the months are there to be drawn, with everything in them.
	for _, by := range []report.By{report.ByPlan, report.ByMonth} {
		m, err := report.ReadMargins(t.Context(), db, by, 12, b)
		must(t, err)
		if len(m.ByMonth) != 2 || m.ByMonth[0].ID != first.Format("2006-01") || m.ByMonth[1].Cost != eur(1400) || m.ByMonth[0].Cost.Minor+m.ByMonth[1].Cost.Minor != m.Sum.Cost.Minor ||
			m.ByMonth[0].Revenue.Minor+m.ByMonth[1].Revenue.Minor != m.Sum.Revenue.Minor || m.ByMonth[0].Margin.Minor != m.ByMonth[0].Revenue.Minor-m.ByMonth[0].Cost.Minor {
			t.Errorf("by %s, its months: %+v", by, m.ByMonth)
		}
	}
	last, err := report.ReadMargins(t.Context(), db, report.ByMonth, 1, b)
	must(t, err)
	if len(last.Rows) != 1 || last.Rows[0].ID != second.Format("2006-01") || last.Rows[0].Cost != eur(1400) || last.Rows[0].Revenue != eur(50*30+2900) {
		t.Errorf("the last month: %+v", last.Rows)
	}
	plan, err := report.ReadMargins(t.Context(), db, report.ByPlan, 2, b)
	must(t, err)
	for _, r := range plan.Rows {
		if (r.Label == "VPS S") != (r.Cost.Minor == 1600) || (r.Label == "Everything else") != (r.Cost.Minor == 50 && r.Revenue.Minor == 500) {
			t.Errorf("by plan: %+v", r)
		}
	}
	if none, err := report.ReadMargins(t.Context(), w.DB(w.B), report.ByPlan, 12, b); err != nil || none.Currency != "" {
		t.Errorf("another's: %+v, %v", none, err)
	}
}
