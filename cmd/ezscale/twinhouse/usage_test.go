package twinhouse_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	twins "github.com/ezscale/ezscale/central/twin"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/metering"
	"github.com/ezscale/ezscale/tenant/twin"
)

// metered sells the shop's plan with meters, and has its first customer use something every
// day of two months: a full one, and half of the one under way.
func (e *estate) metered(who tenancy.Tenant) uuid.UUID {
	e.t.Helper()
	ctx, db := e.t.Context(), e.DB(who)
	plan := uuid.MustParse("00000000-0000-7000-8000-0000000000bb")
	for _, f := range []catalog.MeterForm{
		{PlanID: plan, Code: "traffic", Name: "Traffic", Unit: "GB", Aggregation: "sum", Feed: "api", Model: "graduated", Tiers: map[string]string{"EUR": "0.10"}},
		{PlanID: plan, Code: "users", Name: "Users", Aggregation: "unique", Attribute: "user", Feed: "api", Model: "graduated", Tiers: map[string]string{"EUR": "2.00"}},
		{PlanID: plan, Code: "calls", Name: "Calls", Aggregation: "sum", Feed: "api", Model: "graduated", Included: "100", Capped: true, Tiers: map[string]string{"EUR": "0"}},
		{PlanID: plan, Code: "desk", Name: "Desktop", Aggregation: "sessions", StepMinutes: "15", Feed: "api", Model: "graduated", Tiers: map[string]string{"EUR": "0.40"}},
	} {
		if _, err := catalog.SaveMeter(ctx, db, f, audit.Origin{}); err != nil {
			e.t.Fatal(err)
		}
	}
	sub := scan[uuid.UUID](e, "SELECT id FROM "+who.ID.Schema()+".subscriptions ORDER BY id LIMIT 1")
	began := e.Clock.Now().AddDate(0, -1, -15).Truncate(time.Hour)
	_, err := e.Owner.Exec(ctx, fmt.Sprintf(`UPDATE %s.subscriptions SET anchor_at = $1, created_at = $1, metered_at = $3, period_from = $2, period_to = $2::timestamptz + interval '1 month', renewals = 1, renews_at = $2::timestamptz + interval '1 month',
		metered_to = $2::timestamptz + interval '1 month' WHERE id = $4`, who.ID.Schema()), began, began.AddDate(0, 1, 0), began, sub)
	must(e.t, err)
	_, err = e.Owner.Exec(ctx, "UPDATE "+who.ID.Schema()+".meters SET created_at = $1", began)
	must(e.t, err)
	var events []metering.Event
	tell := func(day int, meter, value, phase string, at time.Time, attributes map[string]string) {
		events = append(events, metering.Event{Source: "edge", ID: fmt.Sprintf("%d/%s/%s/%v", day, meter, phase, attributes), SubscriptionID: sub, Meter: meter, At: at, Value: value, Phase: phase, Attributes: attributes})
	}
	for day := 0; began.AddDate(0, 0, day+1).Before(e.Clock.Now()); day++ {
		at := began.AddDate(0, 0, day).Add(9 * time.Hour)
		tell(day, "traffic", fmt.Sprint(day%7), "", at, nil)
		tell(day, "calls", "1", "", at, nil)
		tell(day, "users", "", "", at, map[string]string{"user": "ada@example.com"})
		mark := map[string]string{"session": fmt.Sprint("s", day)}
		tell(day, "desk", "", "start", at, mark)
		tell(day, "desk", "", "stop", at.Add(50*time.Minute), mark)
	}
	out, err := (&metering.Desk{}).Record(ctx, db, events)
	must(e.t, err)
	for i, o := range out {
		if o.Status != metering.Accepted && o.Status != metering.Late { // the first month is over
			e.t.Fatalf("%+v: %+v", events[i], o)
		}
	}
	return sub
}

// TestATwinUsesWhatItsOriginalUsed: what is metered goes on as in the last full month, a day
// at a time, at one rate however the clock is turned; it is invoiced, quotas hold, no name of
// a person goes along, and the original knows nothing of it.
func TestATwinUsesWhatItsOriginalUsed(t *testing.T) {
	e := open(t, 3)
	sub := e.metered(e.A)
	told := "SELECT count(*) FROM " + e.A.ID.Schema() + ".usage_events"
	before := scan[int](e, told)
	made, tenant := e.twin(e.A, twins.Options{Seed: 1})
	if made.State != twins.Ready {
		t.Fatal(made.Problem)
	}
	in := tenant.ID.Schema()
	if n := scan[int](e, "SELECT count(*) FROM "+in+".usage_events WHERE mark LIKE '%@%' OR attributes IS NOT NULL"); n != 0 {
		t.Errorf("%d events tell who used something", n)
	}
	lived := e.advance(made.ID, 75*24*time.Hour)
	if lived.Failures != 0 {
		t.Fatal(lived.Problem)
	}
	days := scan[int](e, "SELECT count(*) FROM "+in+".usage_events e JOIN "+in+".meters m ON m.id = e.meter_id WHERE e.source = 'twin' AND m.code = 'calls'")
	if days != 75 {
		t.Errorf("%d days were told, want 75", days)
	}
	lines := scan[string](e, `SELECT string_agg(x.said, '; ' ORDER BY x.period_from, x.code) FROM (SELECT l.period_from, m.code, m.code || ' ' || l.net_minor AS said
		FROM `+in+`.invoice_lines l JOIN `+in+`.meters m ON m.id = l.meter_id WHERE l.subscription_id = $1) x`, sub)
	if n := scan[int](e, "SELECT count(*) FROM "+in+".invoice_lines WHERE meter_id IS NOT NULL AND net_minor > 0"); n < 6 {
		t.Errorf("%d lines about usage: %s", n, lines)
	}
	r, err := twin.Read(t.Context(), e.house.Pool.Bind(tenant), made.BeganAt)
	must(t, err)
	if r.Sum.Used.Minor == 0 || r.Sum.Used.Minor >= r.Sum.Invoiced.Minor {
		t.Errorf("the report: %+v", r.Sum)
	}
	if n := scan[int](e, told); n != before {
		t.Errorf("the original has %d events, it had %d", n, before)
	}
	// Another one in smaller steps tells the same.
	other, second := e.twin(e.A, twins.Options{Seed: 1})
	for now := other.NowAt; now.Before(lived.NowAt); { // a lock that is just given back ends a step early
		now = e.advance(other.ID, min(15*24*time.Hour, lived.NowAt.Sub(now))).NowAt
	}
	sums := func(schema string) string {
		return scan[string](e, "SELECT string_agg(x::text, ';' ORDER BY x::text) FROM (SELECT m.code, date_trunc('day', t.period_from), t.quantity FROM "+schema+".usage_totals t JOIN "+schema+".meters m ON m.id = t.meter_id) x")
	}
	if a, b := sums(in), sums(second.ID.Schema()); a != b || a == "" {
		t.Errorf("in steps it is otherwise:\n%s\n%s", a, b)
	}
	// And what is told again counts once.
	had := scan[int](e, "SELECT count(*) FROM "+in+".usage_events")
	_, err = e.Owner.Exec(t.Context(), "UPDATE "+in+".shop_settings SET value = jsonb_set(value, '{told}', '70') WHERE name = 'twin_usage'")
	must(t, err)
	must(t, (&metering.Desk{}).Replay(t.Context(), e.house.Pool.Bind(tenant), time.Time{}))
	if n := scan[int](e, "SELECT count(*) FROM "+in+".usage_events"); n != had {
		t.Errorf("%d events, before it was repeated %d", n, had)
	}
}
