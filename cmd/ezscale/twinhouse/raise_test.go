package twinhouse_test

import (
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

// TestARaiseIsOfWhatIsUsedToo: a twin's raise concerns meters and hours as it does prices. For new
// customers only, who is there keeps what they were sold; otherwise the report shows what use
// comes to then.
func TestARaiseIsOfWhatIsUsedToo(t *testing.T) {
	e := open(t, 3)
	sub := e.metered(e.A)
	in := e.A.ID.Schema()
	_, err := catalog.SaveMeter(t.Context(), e.DB(e.A), catalog.MeterForm{PlanID: uuid.MustParse("00000000-0000-7000-8000-0000000000bb"), Code: "hours", Name: "Hours", Aggregation: "sessions",
		Feed: catalog.FeedHours, Model: "graduated", Tiers: map[string]string{"EUR": "0.02"}, Most: map[string]string{"EUR": "9.00"}}, audit.Origin{})
	must(t, err)
	_, err = e.Owner.Exec(t.Context(), `UPDATE `+in+`.subscriptions SET cycle = 'hourly', amount_minor = 0,
		items = '[{"kind":"plan","code":"s","label":"VPS Small","quantity":1,"amount_minor":0,"hour":{"rate":{"Units":200000000,"Currency":"EUR"},"most":{"Minor":900,"Currency":"EUR"},"month_minor":900}}]',
		hours = jsonb_build_array(jsonb_build_object('from', anchor_at, 'parts', '[{"kind":"plan","code":"s","label":"VPS Small","price":{"rate":{"Units":200000000,"Currency":"EUR"},"most":{"Minor":900,"Currency":"EUR"}}}]'::jsonb)) WHERE id = $1`, sub)
	must(t, err)
	_, err = e.Owner.Exec(t.Context(), "UPDATE "+in+".meters m SET created_at = s.created_at FROM "+in+".subscriptions s WHERE s.id = $1", sub)
	must(t, err)
	must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error { return metering.Live(t.Context(), tx, sub) }))
	unit := func(schema, code, where string) string {
		return scan[string](e, "SELECT string_agg(tiers->0->'prices'->'EUR'->>'unit' || coalesce('/' || (tiers->0->'prices'->'EUR'->>'most'), ''), ' ') FROM "+schema+".meters WHERE code = $1 AND "+where, code)
	}
	base, _ := e.twin(e.A, twins.Options{Seed: 1})
	fresh, freshShop := e.twin(e.A, twins.Options{Seed: 1, Raise: 10})
	all, allShop := e.twin(e.A, twins.Options{Seed: 1, Raise: 10, Running: true})
	for _, x := range []twins.Twin{base, fresh, all} {
		if x.State != twins.Ready {
			t.Fatal(x.Problem)
		}
	}
	if old, now := unit(freshShop.ID.Schema(), "hours", "retired_at IS NOT NULL"), unit(freshShop.ID.Schema(), "hours", "retired_at IS NULL"); old != "2/900" || now != "2.2/990" {
		t.Errorf("for new customers an hour costs %s, was %s", now, old)
	}
	if got := unit(allShop.ID.Schema(), "hours", "retired_at IS NULL"); got != "2.2/990" {
		t.Errorf("for everybody an hour costs %s", got)
	}
	if got := scan[string](e, "SELECT (items->0->'hour'->'rate'->>'Units') || ' ' || (items->0->'hour'->'most'->>'Minor') || ' ' || (items->0->'hour'->>'month_minor') FROM "+allShop.ID.Schema()+".subscriptions WHERE id = $1", sub); got != "220000000 990 990" {
		t.Errorf("what runs says %s", got)
	}
	for schema, want := range map[string]string{freshShop.ID.Schema(): "200000000 900", allShop.ID.Schema(): "220000000 990"} { // by which its months are priced
		if got := scan[string](e, "SELECT (hours->0->'parts'->0->'price'->'rate'->>'Units') || ' ' || (hours->0->'parts'->0->'price'->'most'->>'Minor') FROM "+schema+".subscriptions WHERE id = $1", sub); got != want {
			t.Errorf("its hours are priced at %s, want %s", got, want)
		}
	}
	if got := unit(allShop.ID.Schema(), "traffic", "retired_at IS NULL"); got != "11" {
		t.Errorf("a GB costs %s", got)
	}
	used := func(x twins.Twin) int64 {
		lived := e.advance(x.ID, 45*24*time.Hour)
		if lived.Failures != 0 {
			t.Fatal(lived.Problem)
		}
		_, tenant := e.get(x.ID)
		r, err := twin.Read(t.Context(), e.house.Pool.Bind(tenant), x.BeganAt)
		must(t, err)
		return r.Sum.Used.Minor
	}
	was, kept, more := used(base), used(fresh), used(all)
	if was == 0 || kept != was || more <= was || more > was*11/10+4 {
		t.Errorf("used %d, with a raise for new customers %d, for all %d", was, kept, more)
	}
}
