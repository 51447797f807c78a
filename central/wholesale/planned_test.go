package wholesale_test

import (
	"testing"

	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// A reseller sees which of its prices will be others, and from when; what does not concern
// it is no change.
func TestPricesToCome(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := book(t, w)
	must(t, d.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: on(t, "2026-09-01")}, anna))
	w.Clock.Set(on(t, "2026-11-20"))
	must(t, d.SetPrice(ctx, wholesale.NewPrice{SKU: "vps-s", Currency: "EUR", Price: "5.00", From: on(t, "2026-12-01")}, anna))
	must(t, d.SetPrice(ctx, wholesale.NewPrice{SKU: "vps-s", Currency: "USD", Price: "6.00", From: on(t, "2026-12-02")}, anna))
	must(t, d.SetPrice(ctx, wholesale.NewPrice{SKU: "vps-s", Tier: "start", Currency: "EUR", Price: "1.00", From: on(t, "2026-12-03")}, anna))
	must(t, d.SetOverride(ctx, w.A.ID, wholesale.NewOverride{SKU: "vps-m", Price: "8.00", From: on(t, "2026-12-05"), To: on(t, "2026-12-20"), Reason: "x"}, anna))
	must(t, d.SetTier(ctx, wholesale.NewTier{Tier: "pro", Currency: "EUR", Name: "Pro", Fee: "49", Percent: "0", From: on(t, "2027-01-01")}, anna))
	must(t, d.SetPrice(ctx, wholesale.NewPrice{SKU: "vps-s", Currency: "EUR", Price: "9.00", From: on(t, "2028-01-01")}, anna)) // too far ahead
	now, plans, err := d.PriceListAndPlans(ctx, w.A.ID)
	must(t, err)
	if len(now) != 3 || now[0].Net.Decimal() != "3.675" {
		t.Errorf("now: %+v", now)
	}
	var got []string
	for _, p := range plans {
		word := "falls"
		if p.Rises() {
			word = "rises"
		}
		got = append(got, p.From.Format("2006-01-02")+" "+p.SKU+" "+word+" from "+p.Was.Decimal()+" to "+p.Will.Decimal())
	}
	wantLines(t, got,
		"2026-12-01 vps-s rises from 3.675 to 4.375",
		"2026-12-05 vps-m falls from 7.35 to 7.00",
		"2026-12-20 vps-m rises from 7.00 to 7.35",
		"2027-01-01 vps-s rises from 4.375 to 5.00",
		"2027-01-01 vps-m rises from 7.35 to 8.40",
		"2027-01-01 traffic rises from 0.003675 to 0.0042")
	if _, plans, err := d.PriceListAndPlans(ctx, w.B.ID); err != nil || len(plans) != 0 {
		t.Errorf("without terms: %+v, %v", plans, err)
	}
}
