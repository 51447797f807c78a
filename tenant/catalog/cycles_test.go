package catalog_test

import (
	"testing"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// Every cycle of months can be priced, each at its own price, and sold; what is left out
// of the next form is sold no more.
func TestPricesOfEveryCycle(t *testing.T) {
	w := tenancytest.New(t)
	db, by := w.DB(w.A), audit.Origin{Actor: audit.Actor{Kind: "reseller", Name: "Rita"}}
	product, err := catalog.SaveProduct(t.Context(), db, catalog.ProductForm{Slug: "licence", Type: "license", Name: "Licence", Visibility: "public"}, by)
	if err != nil {
		t.Fatal(err)
	}
	typed := map[catalog.Cycle]string{catalog.Monthly: "10", catalog.Annual: "100", catalog.Biennial: "180", catalog.Triennial: "240", catalog.OneTime: "500"}
	f := catalog.PlanForm{ProductID: product, Slug: "pro", Name: "Pro", Visibility: "public", TrialDays: "14", Prices: map[string]map[catalog.Cycle]string{"EUR": typed}}
	if f.ID, err = catalog.SavePlan(t.Context(), db, nil, f, by); err != nil {
		t.Fatal(err)
	}
	read := func() (p catalog.FullPlan) {
		t.Helper()
		if err := db.View(t.Context(), func(tx *tenancy.Tx) (err error) { p, err = catalog.ByID(t.Context(), tx, f.ID); return err }); err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := read()
	for cycle, minor := range map[catalog.Cycle]int64{catalog.Monthly: 1000, catalog.Annual: 10000, catalog.Biennial: 18000, catalog.Triennial: 24000, catalog.OneTime: 50000} {
		c, err := catalog.Configure(p, nil, "EUR", catalog.Picked{Product: "licence", Plan: "pro", Cycle: cycle})
		if err != nil || c.Amount.Minor != minor || (c.TrialDays == 14) != (cycle != catalog.OneTime) {
			t.Errorf("%s: %s, %d days, %v", cycle, c.Amount, c.TrialDays, err)
		}
	}
	delete(typed, catalog.Triennial)
	if _, err := catalog.SavePlan(t.Context(), db, nil, f, by); err != nil {
		t.Fatal(err)
	}
	if _, sold := read().Price("EUR", catalog.Triennial); sold {
		t.Error("three years are still sold")
	}
}
