package billing_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

// Worked examples, each with where the law says so. Directive is 2006/112/EC, Regulation
// is 282/2011.
func TestPlaceOfSupply(t *testing.T) {
	at := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	german, oss := billing.TaxParty{Country: "DE"}, billing.TaxParty{Country: "DE", OSS: true}
	british := billing.TaxParty{Country: "GB"}
	own := []billing.TaxRate{{Country: "AU", Name: "GST", Class: billing.Standard, Ppm: 100_000, From: at.AddDate(-1, 0, 0), Source: "A New Tax System Act 1999"}}
	const french = "FR12345678901"
	for _, x := range []struct {
		law      string
		c        billing.TaxCase
		country  string
		ppm      int64
		category string
		says     string
	}{
		{"Directive art. 45: to a consumer at home", billing.TaxCase{Seller: german, Country: "DE"}, "DE", 190_000, "S", ""},
		{"Directive art. 44: to a business at home, its number changes nothing", billing.TaxCase{Seller: german, Country: "DE", TaxID: "DE123456789", Number: billing.NumberConfirmed}, "DE", 190_000, "S", ""},
		{"Directive art. 44 and 196: to a business of another member state", billing.TaxCase{Seller: german, Country: "FR", TaxID: french, Number: billing.NumberConfirmed}, "FR", 0, "AE", "Steuerschuldnerschaft des Leistungsempfängers"},
		{"Directive art. 226(11a): in the words of the seller's country", billing.TaxCase{Seller: billing.TaxParty{Country: "NL"}, Country: "FR", TaxID: french, Number: billing.NumberConfirmed}, "FR", 0, "AE", "Btw verlegd"},
		{"Regulation art. 18(1): a number nobody confirmed yet is no proof", billing.TaxCase{Seller: german, Country: "FR", TaxID: french, Number: billing.NumberPending}, "DE", 190_000, "S", ""},
		{"Regulation art. 18(1): with the one-stop shop, taxed as a consumer's", billing.TaxCase{Seller: oss, Country: "FR", TaxID: french, Number: billing.NumberPending}, "FR", 200_000, "S", ""},
		{"Regulation art. 18(2): a number the register refuses is a consumer's", billing.TaxCase{Seller: oss, Country: "FR", TaxID: french, Number: billing.NumberRefused}, "FR", 200_000, "S", ""},
		{"a seller that asks no register goes by the form", billing.TaxCase{Seller: german, Country: "FR", TaxID: french}, "FR", 0, "AE", "196"},
		{"Directive art. 58: to a consumer of another member state, by the one-stop shop", billing.TaxCase{Seller: oss, Country: "FR"}, "FR", 200_000, "S", ""},
		{"Directive art. 58 and 369a: Hungary's rate, the highest", billing.TaxCase{Seller: oss, Country: "HU"}, "HU", 270_000, "S", ""},
		{"Directive art. 59c: below 10,000 euros a year the seller's own rate", billing.TaxCase{Seller: german, Country: "FR"}, "DE", 190_000, "S", ""},
		{"Directive art. 7: Monaco is treated as France", billing.TaxCase{Seller: oss, Country: "MC"}, "FR", 200_000, "S", ""},
		{"Directive art. 6: the Canary Islands are outside", billing.TaxCase{Seller: oss, Country: "ES", Postcode: "35001"}, "DE", 0, "O", "Outside"},
		{"Directive art. 6: Büsingen is outside, for a German seller too", billing.TaxCase{Seller: german, Country: "DE", Postcode: "78266"}, "DE", 0, "O", "Outside"},
		{"Directive art. 59: to a consumer outside of the union", billing.TaxCase{Seller: oss, Country: "US"}, "DE", 0, "O", "Outside"},
		{"Directive art. 44: to a business outside of the union", billing.TaxCase{Seller: german, Country: "CH", TaxID: "CHE123456788"}, "DE", 0, "O", "Outside"},
		{"VATA 1994 sch. 4A para. 16: registered in the UK, a consumer pays its VAT", billing.TaxCase{Seller: billing.TaxParty{Country: "DE", Registered: "GB"}, Country: "GB"}, "GB", 200_000, "S", ""},
		{"VATA 1994 s. 8: a business of the UK accounts for it itself", billing.TaxCase{Seller: billing.TaxParty{Country: "DE", Registered: "GB"}, Country: "GB", TaxID: "GB123456789"}, "DE", 0, "O", "Outside"},
		{"MWSTG art. 10 and 8: registered in Switzerland, a consumer pays its tax", billing.TaxCase{Seller: billing.TaxParty{Country: "DE", Registered: "CH NO"}, Country: "CH"}, "CH", 81_000, "S", ""},
		{"MWSTG art. 45: a registered seller charges businesses too", billing.TaxCase{Seller: billing.TaxParty{Country: "DE", Registered: "CH"}, Country: "CH", TaxID: "CHE123456788"}, "CH", 81_000, "S", ""},
		{"mval § 3-30 and 14-4 (VOEC): registered in Norway, a consumer pays its tax", billing.TaxCase{Seller: billing.TaxParty{Country: "DE", Registered: "CH NO"}, Country: "NO"}, "NO", 250_000, "S", ""},
		{"mval § 11-3: a business of Norway accounts for it itself", billing.TaxCase{Seller: billing.TaxParty{Country: "DE", Registered: "NO"}, Country: "NO", TaxID: "NO123456789MVA"}, "DE", 0, "O", "Outside"},
		{"VATA 1994 s. 1: at home in the UK", billing.TaxCase{Seller: british, Country: "GB"}, "GB", 200_000, "S", ""},
		{"the Isle of Man is treated as the UK (VATA 1994 s. 96 and the Customs and Excise Agreement 1979)", billing.TaxCase{Seller: british, Country: "IM"}, "GB", 200_000, "S", ""},
		{"Directive art. 358a: a seller of outside in the non-union scheme", billing.TaxCase{Seller: billing.TaxParty{Country: "GB", OSS: true}, Country: "DE"}, "DE", 190_000, "S", ""},
		{"Directive art. 44: the same seller to a business of the union", billing.TaxCase{Seller: billing.TaxParty{Country: "GB", OSS: true}, Country: "FR", TaxID: french, Number: billing.NumberConfirmed}, "GB", 0, "O", "Outside"},
		{"without a registration a seller of outside charges nothing", billing.TaxCase{Seller: british, Country: "DE"}, "GB", 0, "O", "Outside"},
		{"MWSTG art. 25: at home in Switzerland", billing.TaxCase{Seller: billing.TaxParty{Country: "CH"}, Country: "CH"}, "CH", 81_000, "S", ""},
		{"mval § 5-1: at home in Norway", billing.TaxCase{Seller: billing.TaxParty{Country: "NO"}, Country: "NO"}, "NO", 250_000, "S", ""},
		{"§ 19 UStG: a small business", billing.TaxCase{Seller: billing.TaxParty{Country: "DE", SmallBusiness: true}, Country: "DE"}, "DE", 0, "E", "§ 19 UStG"},
		{"CGI art. 293 B: a small business of France", billing.TaxCase{Seller: billing.TaxParty{Country: "FR", SmallBusiness: true}, Country: "DE"}, "FR", 0, "E", "293 B"},
		{"Directive art. 151: exempt by certificate, such as an embassy", billing.TaxCase{Seller: german, Country: "DE", Exemption: "15.10/2026-7"}, "DE", 0, "E", "15.10/2026-7"},
		{"a rate that the seller entered: GST Act 1999 s. 9-25(5)", billing.TaxCase{Seller: german, Country: "AU", Own: own}, "AU", 100_000, "S", ""},
		{"what is not taxed at home is at the rate zero", billing.TaxCase{Seller: german, Country: "DE", Class: billing.Zero}, "DE", 0, "Z", ""},
		{"what is not taxed at home leaves like the rest", billing.TaxCase{Seller: german, Country: "US", Class: billing.Zero}, "DE", 0, "O", "Outside"},
		{"a class without a rate is taxed in full", billing.TaxCase{Seller: german, Country: "DE", Class: "reduced"}, "DE", 190_000, "S", ""},
		{"who has not said where it is charges nothing", billing.TaxCase{Country: "DE"}, "", 0, "", ""},
	} {
		x.c.At = at
		r := billing.TaxFor(x.c)
		if r.Country != x.country || r.Ppm != x.ppm || r.Category != x.category || !strings.Contains(r.Note, x.says) || x.says == "" && r.Note != "" {
			t.Errorf("%s: %+v", x.law, r)
		}
		if r.Ppm > 0 && !strings.Contains(r.Source, "valid from") {
			t.Errorf("%s: nothing says where the rate is from: %+v", x.law, r)
		}
	}
}

// Prices with tax: 23.80 with 19 % is 20.00 and 3.80; a business abroad pays the 20.00.
func TestFromGross(t *testing.T) {
	vat := billing.TaxRule{Country: "DE", Ppm: 190_000, Category: "S"}
	reverse := billing.TaxRule{Country: "FR", Category: "AE"}
	home := func(billing.Line) int64 { return 190_000 }
	for _, x := range []struct {
		rule     billing.TaxRule
		net, tax int64
	}{{vat, 2000, 380}, {reverse, 2000, 0}, {billing.TaxRule{Country: "FR", Ppm: 200_000, Category: "S"}, 1983, 397}, {billing.TaxRule{Category: "E", Note: billing.NoteSmallBusiness}, 2380, 0}} {
		lines, sums, err := billing.FromGross([]billing.Line{{Quantity: 2, Unit: eur(1190), Net: eur(2380), Tax: x.rule}}, home)
		if err != nil || len(sums) != 1 || sums[0].Net.Minor != x.net || sums[0].Tax.Minor != x.tax || lines[0].Net != sums[0].Net {
			t.Errorf("%+v: %+v %+v %v", x.rule, lines, sums, err)
		}
	}
	if _, _, err := billing.FromGross([]billing.Line{{Quantity: 1, Unit: eur(-1), Net: eur(-1), Tax: vat}}, home); err == nil {
		t.Error("a negative sum is taxed")
	}
}

// Whatever is sold with tax comes to what it was priced at, to the cent, and lines come
// to the net of their rule.
func TestGrossStaysToTheCent(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var lines []billing.Line
		rules := []billing.TaxRule{{Country: "DE", Ppm: 190_000, Category: "S"}, {Country: "DE", Ppm: 70_000, Category: "S"}, {Country: "HU", Ppm: 270_000, Category: "S"}, {Country: "CH", Ppm: 81_000, Category: "S"}, {Category: "Z"}}
		want := map[billing.TaxRule]int64{}
		for range rapid.IntRange(1, 20).Draw(r, "lines") {
			l := billing.Line{Quantity: rapid.Int64Range(1, 50).Draw(r, "quantity"), Unit: eur(rapid.Int64Range(0, 100_000).Draw(r, "unit")), Tax: rapid.SampledFrom(rules).Draw(r, "rule")}
			l.Net = eur(l.Quantity * l.Unit.Minor)
			want[l.Tax] += l.Net.Minor
			lines = append(lines, l)
		}
		got, sums, err := billing.FromGross(lines, func(billing.Line) int64 { return 190_000 })
		if err != nil {
			r.Fatal(err)
		}
		nets := map[billing.TaxRule]int64{}
		for _, l := range got {
			nets[l.Tax] += l.Net.Minor
		}
		for _, s := range sums {
			if s.Net.Minor+s.Tax.Minor != want[s.Rule] || nets[s.Rule] != s.Net.Minor {
				r.Fatalf("%+v: %d of lines, %d with tax wanted", s, nets[s.Rule], want[s.Rule])
			}
			// The tax is the rate's of the net, to the cent that rounding can move it.
			if off := s.Tax.Minor*billing.PpmWhole - s.Net.Minor*s.Rule.Ppm; off > billing.PpmWhole || off < -billing.PpmWhole {
				r.Fatalf("%+v", s)
			}
		}
	})
}
