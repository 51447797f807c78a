package billing_test

import (
	"testing"

	"github.com/ezscale/ezscale/billing"
)

// Worked examples of rates that a seller enters by region, kind of customer and class of
// product, each with where the law says so.
func TestRatesByRegion(t *testing.T) {
	rate := func(country, region, name string, ppm int64, change ...func(*billing.TaxRate)) billing.TaxRate {
		r := billing.TaxRate{Country: country, Region: region, Name: name, Class: billing.Standard, Ppm: ppm, From: on("2020-01-01"), Source: "law"}
		for _, c := range change {
			c(&r)
		}
		return r
	}
	adds := func(r *billing.TaxRate) { r.Adds = true }
	of := func(who billing.Customer) func(*billing.TaxRate) { return func(r *billing.TaxRate) { r.For = who } }
	class := func(c string) func(*billing.TaxRate) { return func(r *billing.TaxRate) { r.Class = c } }
	own := []billing.TaxRate{
		rate("CA", "", "GST", 50_000), rate("CA", "BC", "PST", 70_000, adds), rate("CA", "QC", "QST", 99_750, adds), rate("CA", "ON", "HST", 130_000),
		rate("CA", "NS", "HST", 150_000), rate("CA", "NS", "HST", 140_000, func(r *billing.TaxRate) { r.From = on("2025-04-01") }),
		rate("US", "TX", "Sales tax", 62_500), rate("US", "TX", "Sales tax", 50_000, class("service")), rate("US", "WA", "Sales tax", 65_000), rate("US", "OR", "Sales tax", 0),
		rate("US", "IA", "Sales tax", 60_000), rate("US", "IA", "Sales tax", 0, class("software"), of(billing.Businesses)),
		rate("AU", "", "GST", 100_000, of(billing.Consumers)), rate("NZ", "", "GST", 150_000, of(billing.Consumers)), rate("IN", "", "IGST", 180_000, of(billing.Consumers)),
	}
	american, canadian := billing.TaxParty{Country: "US"}, billing.TaxParty{Country: "CA"}
	for _, x := range []struct {
		law  string
		c    billing.TaxCase
		name string
		ppm  int64
	}{
		{"Excise Tax Act s. 165(1): Alberta has the GST alone", billing.TaxCase{Seller: canadian, Country: "CA", Region: "AB"}, "GST", 50_000},
		{"Excise Tax Act s. 165(2): Ontario's HST stands for both", billing.TaxCase{Seller: canadian, Country: "CA", Region: "ON"}, "HST", 130_000},
		{"PSTA (British Columbia) s. 34: on top of the GST, and not of it", billing.TaxCase{Seller: canadian, Country: "CA", Region: "BC"}, "GST + PST", 120_000},
		{"Act respecting the Québec sales tax s. 16: since 2013 not on the GST", billing.TaxCase{Seller: canadian, Country: "CA", Region: "QC"}, "GST + QST", 149_750},
		{"Nova Scotia's HST fell on 1 April 2025", billing.TaxCase{Seller: canadian, Country: "CA", Region: "NS"}, "HST", 140_000},
		{"Texas Tax Code s. 151.051", billing.TaxCase{Seller: american, Country: "US", Region: "TX"}, "Sales tax", 62_500},
		{"Texas Tax Code s. 151.351: a fifth of data processing is exempt", billing.TaxCase{Seller: american, Country: "US", Region: "TX", Class: "service"}, "Sales tax", 50_000},
		{"Iowa Code s. 423.3(104): software for businesses is exempt", billing.TaxCase{Seller: american, Country: "US", Region: "IA", Class: "software", Business: true}, "Sales tax", 0},
		{"and for consumers it is not", billing.TaxCase{Seller: american, Country: "US", Region: "IA", Class: "software"}, "Sales tax", 60_000},
		{"South Dakota v. Wayfair (2018): a seller of another country with a duty there", billing.TaxCase{Seller: billing.TaxParty{Country: "DE"}, Country: "US", Region: "WA"}, "Sales tax", 65_000},
		{"and none where it has no duty", billing.TaxCase{Seller: billing.TaxParty{Country: "DE"}, Country: "US", Region: "NV"}, "VAT", 0},
		{"Oregon has no sales tax", billing.TaxCase{Seller: american, Country: "US", Region: "OR"}, "Sales tax", 0},
		{"GST Act 1999 (Australia) s. 84-65 and 9-25(5): consumers pay", billing.TaxCase{Seller: billing.TaxParty{Country: "DE"}, Country: "AU"}, "GST", 100_000},
		{"and businesses with a number account for it themselves", billing.TaxCase{Seller: billing.TaxParty{Country: "DE"}, Country: "AU", TaxID: "51824753556"}, "VAT", 0},
		{"Goods and Services Tax Act 1985 (New Zealand) s. 8(3): remote services", billing.TaxCase{Seller: billing.TaxParty{Country: "DE"}, Country: "NZ"}, "GST", 150_000},
		{"IGST Act 2017 (India) s. 14: online services to those without a number", billing.TaxCase{Seller: billing.TaxParty{Country: "DE"}, Country: "IN", Region: "KA"}, "IGST", 180_000},
		{"a region is of its own country only: Germany has no Washington", billing.TaxCase{Seller: billing.TaxParty{Country: "DE"}, Country: "DE", Region: "WA"}, "VAT", 190_000},
	} {
		x.c.At, x.c.Own = on("2026-11-22"), own
		if r := billing.TaxFor(x.c); r.Name != x.name || r.Ppm != x.ppm {
			t.Errorf("%s: %+v", x.law, r)
		}
	}
}
