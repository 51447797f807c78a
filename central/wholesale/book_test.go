package wholesale_test

import (
	"testing"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestAPriceHoldsFromItsDayToTheNext(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := book(t, w)
	must(t, d.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: on(t, "2026-02-01")}, anna))
	set := func(tier, price, from string) {
		t.Helper()
		must(t, d.SetPrice(ctx, wholesale.NewPrice{SKU: "vps-s", Tier: tier, Currency: "EUR", Price: price, From: on(t, from)}, anna))
	}
	set("", "5.00", "2026-06-01")
	set("", "4.50", "2026-04-01") // between two that are there
	set("pro", "4", "2026-05-01")
	for at, want := range map[string]string{
		"2026-02-01": "3.675 EUR", "2026-03-31": "3.675 EUR", "2026-04-01": "3.9375 EUR", "2026-05-01": "3.50 EUR", "2026-06-01": "3.50 EUR",
	} {
		got, err := d.Price(ctx, w.A.ID, "vps-s", on(t, at))
		if err != nil || got.String() != want {
			t.Errorf("on %s: %v, %v; want %s", at, got, err, want)
		}
	}
	rows, err := d.Book(ctx, "vps-s")
	must(t, err)
	for _, r := range rows {
		if r.Tier == "pro" {
			must(t, d.EndPrice(ctx, r.ID, on(t, "2026-07-01"), anna))
		}
	}
	got, err := d.Price(ctx, w.A.ID, "vps-s", on(t, "2026-07-01"))
	must(t, err)
	if want := (billing.Rate{Units: 437_50000000, Currency: "EUR"}); got != want {
		t.Errorf("after the tier's price: %v, want %v", got, want)
	}
	// Who has no terms sees the prices for all; nobody sees another's.
	got, err = d.Price(ctx, w.B.ID, "vps-s", on(t, "2026-05-01"))
	if err != nil || got.String() != "4.50 EUR" {
		t.Errorf("without terms: %v, %v", got, err)
	}
	if _, err := d.Price(ctx, w.A.ID, "nothing", on(t, "2026-05-01")); !fault.Is(err, "price.none") {
		t.Errorf("a SKU that is none: %v", err)
	}
	list, err := d.PriceList(ctx, w.A.ID)
	if err != nil || len(list) != 3 || list[0].Code != "vps-s" || list[2].Net.Decimal() != "0.003675" {
		t.Errorf("price list: %+v, %v", list, err)
	}
	must(t, w.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		said, err := audit.List(ctx, tx, audit.Filter{TargetKind: "sku", TargetID: "vps-s"})
		if len(said) < 6 {
			t.Errorf("the trail has %d entries", len(said))
		}
		return err
	}))
}

func TestATierSaysHowManyDomains(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := book(t, w)
	room := func(who tenancy.Tenant) (n int) {
		must(t, w.Central.View(ctx, func(tx *tenancy.CentralTx) error {
			r, err := wholesale.RoomOf(ctx, tx, who.ID)
			n = r.Domains
			return err
		}))
		return n
	}
	w.Clock.Set(on(t, "2026-03-10"))
	set := func(tier, domains, from string) {
		must(t, d.SetTier(ctx, wholesale.NewTier{Tier: tier, Currency: "EUR", Name: tier, Fee: "1", Percent: "0", Domains: domains, From: on(t, from)}, anna))
	}
	set("small", "3", "2026-03-01")
	set("small", "4", "2026-05-01")
	set("large", "500", "2026-03-01")
	if n := room(w.A); n != wholesale.DefaultDomains {
		t.Errorf("without terms: %d", n)
	}
	must(t, d.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "small", Currency: "EUR", From: on(t, "2026-04-01")}, anna)) // it is in its trial
	must(t, d.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "large", Currency: "EUR", From: on(t, "2026-06-01")}, anna))
	must(t, d.SetTerms(ctx, w.B.ID, wholesale.NewTerms{Tier: "large", Currency: "EUR", From: on(t, "2026-04-01")}, anna))
	for _, x := range []struct {
		day  string
		a, b int
	}{{"2026-03-10", 3, 500}, {"2026-04-10", 3, 500}, {"2026-05-10", 4, 500}, {"2026-06-10", 500, 500}} {
		w.Clock.Set(on(t, x.day))
		if a, b := room(w.A), room(w.B); a != x.a || b != x.b {
			t.Errorf("on %s: %d and %d, want %d and %d", x.day, a, b, x.a, x.b)
		}
	}
}

func TestTheBookRefuses(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := book(t, w)
	march := on(t, "2026-03-01")
	price := func(sku, tier, currency, price string) error {
		return d.SetPrice(ctx, wholesale.NewPrice{SKU: sku, Tier: tier, Currency: currency, Price: price, From: march}, anna)
	}
	tier := func(name, fee, percent string) error {
		return d.SetTier(ctx, wholesale.NewTier{Tier: name, Currency: "EUR", Name: "X", Fee: fee, Percent: percent, From: march}, anna)
	}
	must(t, d.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: march}, anna))
	for _, test := range []struct {
		name string
		err  error
		code string
	}{
		{"an exponent", price("vps-s", "", "EUR", "1e3"), "price.invalid"},
		{"a sign", price("vps-s", "", "EUR", "-1"), "price.invalid"},
		{"too much", price("vps-s", "", "EUR", "99999999999999"), "price.invalid"},
		{"no currency", price("vps-s", "", "XXL", "1"), "price.invalid"},
		{"no such SKU", price("x", "", "EUR", "1"), "sku.unknown"},
		{"no such tier", price("vps-s", "gold", "EUR", "1"), "tier.unknown"},
		{"a tier's name", tier("A B", "1", "1"), "tier.invalid"},
		{"more than everything", tier("a", "1", "100.0001"), "tier.invalid"},
		{"domains in words", d.SetTier(ctx, wholesale.NewTier{Tier: "a", Currency: "EUR", Name: "A", Fee: "1", Percent: "0", Domains: "many", From: march}, anna), "tier.invalid"},
		{"fewer domains than none", d.SetTier(ctx, wholesale.NewTier{Tier: "a", Currency: "EUR", Name: "A", Fee: "1", Percent: "0", Domains: "-1", From: march}, anna), "tier.invalid"},
		{"nobody in the team", d.SetTier(ctx, wholesale.NewTier{Tier: "a", Currency: "EUR", Name: "A", Fee: "1", Percent: "0", Team: "0", From: march}, anna), "tier.invalid"},
		{"services in words", d.SetTier(ctx, wholesale.NewTier{Tier: "a", Currency: "EUR", Name: "A", Fee: "1", Percent: "0", Services: "some", From: march}, anna), "tier.invalid"},
		{"a fee below nothing", tier("a", "-1", "1"), "tier.invalid"},
		{"the kind of a SKU", d.SaveSKU(ctx, wholesale.SKU{Code: "vps-s", Type: "vps", Name: "x", Kind: wholesale.Metered, Unit: "GB", State: "active"}, anna), "sku.kind_fixed"},
		{"a spec that is a list", d.SaveSKU(ctx, wholesale.SKU{Code: "a", Type: "vps", Name: "x", Kind: wholesale.Service, State: "active", Spec: []byte("[]")}, anna), "sku.invalid"},
		{"another currency", d.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "pro", Currency: "USD", From: on(t, "2026-04-01")}, anna), "terms.currency_fixed"},
		{"terms on no tier", d.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "gold", Currency: "EUR", From: march}, anna), "tier.unknown"},
	} {
		if !fault.Is(test.err, test.code) {
			t.Errorf("%s: %v, want %s", test.name, test.err, test.code)
		}
	}
}
