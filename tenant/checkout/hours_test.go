package checkout_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/checkout"
)

// TestAnOrderByTheHour: of a plan that is sold by the month too. Today the fee for setting up and a
// month of the options are paid, and nothing for hours; there is no trial. A price of an hour that
// changed since the quote is refused.
func TestAnOrderByTheHour(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	plan := uuid.MustParse("00000000-0000-7000-8000-000000000011")
	hour := catalog.MeterForm{PlanID: plan, Code: "hours", Name: "Hours", Aggregation: "sessions", Feed: catalog.FeedHours, Model: "graduated", Tiers: map[string]string{"EUR": "0.015"}, Most: map[string]string{"EUR": "8.00"}}
	m, err := catalog.SaveMeter(t.Context(), r.DB(r.A), hour, audit.Origin{})
	must(t, err)
	r.exec(t, r.A, "INSERT INTO prices (plan_id, currency, cycle, amount_minor, setup_minor) VALUES (?, 'EUR', 'hourly', 0, 300)", plan)
	r.exec(t, r.A, trials)
	want := small()
	want.Cycle = catalog.Hourly
	q := r.quote(t, r.A, want)
	x := q.Items[0]
	if q.Net != euros(300+300+200) || x.Amount != euros(300+200) || x.Setup != euros(300) || x.Trial != nil {
		t.Fatalf("today %s, a month %s, once %s, trial %v", q.Net, x.Amount, x.Setup, x.Trial)
	}
	if h := x.Parts[0].Hour; h.Words("en") != "€0.015 an hour, at most €8.00 a month" {
		t.Errorf("an hour: %s", h.Words("en"))
	}
	if again := checkout.Recurring(q.Items); len(again) != 1 || again[0].Net != euros(500) || again[0].Cycle != billing.Hourly {
		t.Errorf("then %+v", again)
	}
	hour.ID, hour.Tiers = m.ID, map[string]string{"EUR": "0.02"}
	_, err = catalog.SaveMeter(t.Context(), r.DB(r.A), hour, audit.Origin{})
	must(t, err)
	if _, err := r.desk.Place(t.Context(), r.DB(r.A), r.accept(r.A, q.ID)); !fault.Is(err, "checkout.price_changed") {
		t.Errorf("an hour that costs more since: %v", err)
	}
	o := r.order(t, r.A, want)
	r.pay(t, r.A, o)
	if n := r.count(t, r.A, "SELECT count(*) FROM subscriptions WHERE cycle = 'hourly' AND amount_minor = 500 AND (items->0->'hour'->>'month_minor')::int = 800 AND jsonb_array_length(items) = 3"); n != 1 {
		t.Errorf("%d subscriptions by the hour", n)
	}
	bare := catalog.Picked{Product: "vps", Plan: "small", Cycle: catalog.Hourly}
	r.exec(t, r.A, "UPDATE prices SET setup_minor = 0 WHERE cycle = 'hourly'")
	q = r.quote(t, r.A, bare)
	if !q.Total.IsZero() || len(checkout.Recurring(q.Items)) != 0 {
		t.Errorf("nothing but hours: today %s", q.Total)
	}
	if o := r.order(t, r.A, bare); o.InvoiceID == nil || r.count(t, r.A, "SELECT count(*) FROM invoices WHERE total_minor = 0 AND state = 'paid'") != 1 {
		t.Errorf("its invoice: %v", o.InvoiceID)
	}
}
