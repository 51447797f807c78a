package wholesale_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// sell shows a service of a reseller with what its customer pays.
func sell(t testing.TB, w *tenancytest.World, who tenancy.Tenant, sku, currency, cycle string, minor int64) {
	t.Helper()
	began := on(t, "2026-09-01")
	must(t, w.DB(who).Update(t.Context(), func(tx *tenancy.Tx) error {
		s := tenancy.ServiceShown{ID: uuid.New(), SKU: sku, Desired: "active", Observed: "active", BeganAt: &began, ChangedAt: began}
		if currency != "" {
			s.Retail = tenancy.Retail{Minor: &minor, Currency: currency, Cycle: cycle}
		}
		return tx.ShowService(t.Context(), s)
	}))
}

// Before a price is saved it is known who would sell below it, and asking changes nothing.
func TestWhoWouldSellAtALoss(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := book(t, w)
	must(t, d.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: on(t, "2026-09-01")}, anna)) // 12.5 % off
	must(t, d.SetTerms(ctx, w.B.ID, wholesale.NewTerms{Tier: "start", Currency: "EUR", From: on(t, "2026-09-01")}, anna))
	for range 3 {
		sell(t, w, w.A, "vps-s", "EUR", "monthly", 599)
	}
	sell(t, w, w.A, "vps-s", "EUR", "annual", 5400)    // 4.50 a month
	sell(t, w, w.A, "vps-s", "USD", "monthly", 1)      // no rate for it
	sell(t, w, w.A, "vps-s", "EUR", "one_time", 1)     // not by the month
	sell(t, w, w.A, "vps-s", "", "", 0)                // not told
	sell(t, w, w.A, "vps-m", "EUR", "monthly", 1)      // a loss already, and not touched
	sell(t, w, w.B, "vps-s", "EUR", "monthly", 599)    // with tax: 5.03 without
	sell(t, w, w.B, "vps-s", "EUR", "quarterly", 1200) // 3.36: a loss already, at 4.20
	must(t, w.DB(w.B).Update(ctx, func(tx *tenancy.Tx) error { return tx.SetFigure(ctx, "price_tax_ppm", "", 190_000) }))
	w.Clock.Set(on(t, "2026-11-20"))
	before := count(t, w, "SELECT (SELECT count(*) FROM wholesale_prices) * 1000 + (SELECT count(*) FROM audit_entries)")

	n := wholesale.NewPrice{SKU: "vps-s", Currency: "EUR", Price: "5.50", From: on(t, "2026-12-01")}
	o, err := d.OutlookPrice(ctx, n, anna)
	must(t, err)
	var got []string
	for _, r := range o.Rows {
		already := ""
		if r.Before() {
			already = " already"
		}
		got = append(got, r.Name+" "+r.Retail.String()+" was "+r.Was.String()+" now "+r.Now.String()+" loses "+r.Loss.String()+already)
	}
	wantLines(t, got,
		w.A.Name+" 4.50 EUR was 3.68 EUR now 4.81 EUR loses 0.31 EUR", // 5.50 less 12.5 % is 4.8125
		w.B.Name+" 5.03 EUR was 4.20 EUR now 5.50 EUR loses 0.47 EUR",
		w.B.Name+" 3.36 EUR was 4.20 EUR now 5.50 EUR loses 2.14 EUR already")
	if o.Compared != 10 || o.Unknown != 3 || o.Losing != 3 || o.Resellers() != 2 || o.Losses()[0].String() != "2.08 EUR" {
		t.Errorf("in all: %+v, %v", o, o.Losses())
	}
	same, err := d.OutlookPrice(ctx, n, anna)
	if err != nil || same.Seal() != o.Seal() {
		t.Errorf("the same again is sealed otherwise: %v", err)
	}
	if after := count(t, w, "SELECT (SELECT count(*) FROM wholesale_prices) * 1000 + (SELECT count(*) FROM audit_entries)"); after != before {
		t.Error("asking left something behind")
	}

	// What is agreed with one, its tier, and a tier of others.
	o, err = d.OutlookOverride(ctx, w.A.ID, wholesale.NewOverride{SKU: "vps-s", Price: "6.00", From: on(t, "2026-12-01"), Reason: "x"}, anna)
	must(t, err)
	if len(o.Rows) != 1 || o.Rows[0].Now.String() != "5.25 EUR" || o.Rows[0].Retail.Minor != 450 {
		t.Errorf("a price of its own: %+v", o.Rows)
	}
	o, err = d.OutlookTier(ctx, wholesale.NewTier{Tier: "pro", Currency: "EUR", Name: "Pro", Fee: "0", Percent: "0", From: on(t, "2026-12-01")}, anna)
	must(t, err)
	if len(o.Rows) != 1 || o.Rows[0].SKU != "vps-m" || !o.Rows[0].Before() { // 4.20 is still below 4.50
		t.Errorf("a discount that ends: %+v", o.Rows)
	}
	o, err = d.OutlookTerms(ctx, w.B.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: on(t, "2026-12-01")}, anna)
	must(t, err)
	if len(o.Rows) != 0 {
		t.Errorf("a better tier: %+v", o.Rows)
	}
	must(t, d.SetPrice(ctx, wholesale.NewPrice{SKU: "vps-s", Tier: "start", Currency: "EUR", Price: "4.20", From: on(t, "2026-11-01")}, anna))
	o, err = d.OutlookPrice(ctx, n, anna)
	must(t, err)
	if o.Resellers() != 1 { // B's tier has a price of its own
		t.Errorf("a tier's own price: %+v", o.Rows)
	}
	n.Price = "1e9"
	if _, err := d.OutlookPrice(ctx, n, anna); !fault.Is(err, "price.invalid") {
		t.Errorf("junk: %v", err)
	}
}
