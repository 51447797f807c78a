package wholesale_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// has gives a service add-ons in all three places: the shop's own, the ledger and what is shown.
func has(t testing.TB, w *tenancytest.World, ran ranHere, who tenancy.Tenant, nth int, all ...wholesale.RanAddon) {
	t.Helper()
	x := &ran[who.ID][nth]
	subject := "service/" + x.ID.String() + "/addon/"
	at := func(m time.Time) string { return m.Format("2006-01-02 15:04") }
	for i, a := range all {
		kind := "start"
		if i > 0 && all[i-1].Code == a.Code && all[i-1].To.Equal(a.From) {
			kind = "change"
		}
		use(t, w, who, kind, subject+a.Code, a.SKU, a.N, at(a.From))
		followed := i+1 < len(all) && all[i+1].Code == a.Code && all[i+1].From.Equal(a.To)
		if !a.To.IsZero() && !followed {
			use(t, w, who, "stop", subject+a.Code, a.SKU, a.N, at(a.To))
		}
	}
	x.Addons = all
	s := tenancy.ServiceShown{ID: x.ID, SKU: x.SKU, Desired: "active", Observed: "active", BeganAt: &x.BeganAt, ChangedAt: x.BeganAt.Add(time.Hour), Addons: all}
	must(t, w.DB(who).Update(t.Context(), func(tx *tenancy.Tx) error { return tx.ShowService(t.Context(), s) }))
}

func addonBook(t testing.TB, w *tenancytest.World) *wholesale.Desk {
	t.Helper()
	d := book(t, w)
	for sku, price := range map[string]string{"ipv4": "1.00", "panel": "12.00"} {
		must(t, d.SaveSKU(t.Context(), wholesale.SKU{Code: sku, Type: "addon", Name: strings.ToUpper(sku), Kind: wholesale.Service, State: "active", Position: 9}, anna))
		must(t, d.SetPrice(t.Context(), wholesale.NewPrice{SKU: sku, Currency: "EUR", Price: price, From: on(t, "2026-08-01")}, anna))
	}
	return d
}

// What a service has besides its own product is a line of its own, by its own time, with
// evidence; prices agreed on and discounts count for it, its cost is its service's, and the
// audit agrees, and finds what does not.
func TestAddonsAreBilledAndAudited(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d, ran := addonBook(t, w), ranHere{}
	must(t, d.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: on(t, "2026-09-01")}, anna))
	must(t, d.SetOverride(ctx, w.A.ID, wholesale.NewOverride{SKU: "ipv4", Price: "0.60", From: on(t, "2026-09-16"), Reason: "many"}, anna))
	id := serve(t, w, ran, w.A, 0, "vps-s", "2026-08-01", "")
	serve(t, w, ran, w.A, 1, "vps-s", "2026-08-01", "")
	has(t, w, ran, w.A, 0,
		wholesale.RanAddon{Code: "ip", SKU: "ipv4", N: 1, From: on(t, "2026-08-01"), To: on(t, "2026-09-11")}, // over half of it more of them
		wholesale.RanAddon{Code: "ip", SKU: "ipv4", N: 3, From: on(t, "2026-09-11"), To: on(t, "2026-09-21")},
		wholesale.RanAddon{Code: "ip", SKU: "ipv4", N: 1, From: on(t, "2026-09-26")}, // and once more
		wholesale.RanAddon{Code: "panel", SKU: "panel", N: 1, From: on(t, "2026-09-16")})
	w.Clock.Set(on(t, "2026-09-30"))
	seen, err := d.Preview(ctx, w.A.ID)
	must(t, err)
	if !slices.ContainsFunc(seen.Lines, func(l wholesale.PreviewLine) bool { return l.SKU == "panel" && l.Net.Minor == 600 }) {
		t.Errorf("the preview: %+v", seen.Lines)
	}
	w.Clock.Set(on(t, "2026-10-02"))
	mustRun(t, d, "2026-09")
	wantLines(t, lines(t, w, w.A, "2026-09"),
		"fee 2026-09 4900 Platform fee, tier Pro",
		"service 2026-09 840 VPS S: 2 service months at 4.20 EUR",
		"service 2026-09 40 IPV4: 0.6666 service months at 0.60 EUR", // 3 for 5 days and 1 for 5
		"service 2026-09 83 IPV4: 0.8333 service months at 1.00 EUR", // 1 for 10 days and 3 for 5
		"service 2026-09 600 PANEL: 0.5 service months at 12.00 EUR", // from the 16th
		"discount 2026-09 -195 12.5 % off services and metered units (Pro)",
	)
	costs, err := d.BilledCosts(ctx, w.A.ID, month(t, "2026-09"), month(t, "2026-09"))
	must(t, err)
	if got := costs[0].Services[id]; got != 1001 { // 420 + 40 + 83.33 + 600, less the discount in whole cents
		t.Errorf("the service cost %d", got)
	}
	audit := func() []wholesale.Difference {
		got, err := d.Audit(ctx, month(t, "2026-09"), ran)
		must(t, err)
		return got.Differences
	}
	if got := audit(); len(got) > 0 {
		t.Fatalf("%+v", got)
	}
	for _, test := range []struct {
		name, kind string
		break_     func()
	}{
		{"an add-on nobody bills", "unbilled", func() {
			ran[w.A.ID][1].Addons = []wholesale.RanAddon{{Code: "panel", SKU: "panel", N: 1, From: on(t, "2026-09-02")}}
		}},
		{"one that is billed and is not", "overbilled", func() { ran[w.A.ID][0].Addons = ran[w.A.ID][0].Addons[:3] }},
		{"more of them than are billed", "sku", func() { ran[w.A.ID][0].Addons[3].N = 2 }},
		{"one that ended sooner", "times", func() { ran[w.A.ID][0].Addons[1].To = on(t, "2026-09-20") }},
		{"evidence that is gone", "amount", func() { ownerExec(t, w, "DELETE FROM central.wholesale_evidence WHERE subject LIKE '%/addon/panel'") }},
		{"a picture that is stale", "projection", func() { ownerExec(t, w, "UPDATE central.services SET addons = NULL") }},
	} {
		saved := slices.Clone(ran[w.A.ID])
		for i := range ran[w.A.ID] {
			ran[w.A.ID][i].Addons = slices.Clone(saved[i].Addons)
		}
		test.break_()
		if got := audit(); !slices.ContainsFunc(got, func(x wholesale.Difference) bool { return x.Kind == test.kind }) {
			t.Errorf("%s is not found as %s: %+v", test.name, test.kind, got)
		}
		ran[w.A.ID] = saved
	}
	booksBalance(t, w)
}

// Who sells at a loss is asked of the service with all that it has.
func TestAddonsCountInWhoWouldSellAtALoss(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := addonBook(t, w)
	must(t, d.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "start", Currency: "EUR", From: on(t, "2026-09-01")}, anna))
	began := on(t, "2026-09-01")
	minor := int64(1000)
	for _, addons := range []any{nil, []wholesale.RanAddon{{Code: "ip", SKU: "ipv4", N: 2, From: began}, {Code: "panel", SKU: "panel", N: 1, From: began, To: on(t, "2026-09-02")}}} {
		must(t, w.DB(w.A).Update(ctx, func(tx *tenancy.Tx) error {
			return tx.ShowService(ctx, tenancy.ServiceShown{ID: uuid.New(), SKU: "vps-s", Desired: "active", Observed: "active", BeganAt: &began, ChangedAt: began, Addons: addons,
				Retail: tenancy.Retail{Minor: &minor, Currency: "EUR", Cycle: "monthly"}})
		}))
	}
	w.Clock.Set(on(t, "2026-11-20"))
	o, err := d.OutlookPrice(ctx, wholesale.NewPrice{SKU: "ipv4", Currency: "EUR", Price: "3.50", From: on(t, "2026-12-01")}, anna)
	must(t, err)
	if len(o.Rows) != 1 || o.Compared != 2 || o.Rows[0].Was.Minor != 620 || o.Rows[0].Now.Minor != 1120 || o.Rows[0].Loss.Minor != 120 {
		t.Errorf("%+v", o)
	}
}
