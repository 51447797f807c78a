package checkout_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/checkout"
)

// TestAnOrderByTheHour: of a plan that is sold by the month too. Today the fee for setting up is
// paid, and nothing for hours, of which its options are: at what was said, or a 720th of the month,
// and never more than it. A price of an hour that changed since the quote is refused.
func TestAnOrderByTheHour(t *testing.T) {
	r := newRig(t, tenancytest.New(t))
	plan := uuid.MustParse("00000000-0000-7000-8000-000000000011")
	hour := catalog.MeterForm{PlanID: plan, Code: "hours", Name: "Hours", Aggregation: "sessions", Feed: catalog.FeedHours, Model: "graduated", Tiers: map[string]string{"EUR": "0.015"}, Most: map[string]string{"EUR": "8.00"}}
	m, err := catalog.SaveMeter(t.Context(), r.DB(r.A), hour, audit.Origin{})
	must(t, err)
	r.exec(t, r.A, "INSERT INTO prices (plan_id, currency, cycle, amount_minor, setup_minor) VALUES (?, 'EUR', 'hourly', 0, 300)", plan)
	r.exec(t, r.A, `UPDATE options SET choices = jsonb_set(choices, '{0,hour}', '{"EUR": "0.6"}') WHERE code = 'ips'`)
	want := small()
	want.Cycle = catalog.Hourly
	q := r.quote(t, r.A, want)
	x := q.Items[0]
	if q.Net != euros(300) || !x.Amount.IsZero() || x.Setup != euros(300) || x.Trial != nil {
		t.Fatalf("today %s, a month %s, once %s, trial %v", q.Net, x.Amount, x.Setup, x.Trial)
	}
	for i, says := range []string{"€0.015 an hour, at most €8.00 a month", "€0.00417 an hour, at most €3.00 a month", "€0.006 an hour, at most €2.00 a month"} {
		if h := x.Parts[i].Hour; h.Words("en") != says || !x.Parts[i].Amount.IsZero() {
			t.Errorf("%s: %s", x.Parts[i].Label, h.Words("en"))
		}
	}
	if h := x.Hours(); h.Words("en") != "€0.02517 an hour, at most €13.00 a month" {
		t.Errorf("together: %s", h.Words("en"))
	}
	if again := checkout.Recurring(q.Items); len(again) != 0 {
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
	if n := r.count(t, r.A, `SELECT count(*) FROM subscriptions WHERE cycle = 'hourly' AND amount_minor = 0 AND (items->0->'hour'->>'month_minor')::int = 800 AND (items->1->'hour'->>'month_minor')::int = 300
		AND (items->2->'hour'->>'month_minor')::int = 200`); n != 1 {
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
