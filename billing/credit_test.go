package billing

import (
	"errors"
	"testing"

	"pgregory.net/rapid"
)

func TestACreditWithoutTax(t *testing.T) {
	eur := func(minor int64) Money { return Money{Minor: minor, Currency: "EUR"} }
	left := []TaxSum{{Rule: TaxRule{Name: "VAT", Ppm: 190_000}, Net: eur(10_000), Tax: eur(1_900)}}
	for net, tax := range map[int64]int64{1: 0, 3: 1, 1_000: 190, 3_333: 633, 10_000: 1_900} { // 0.57 of a cent is one
		got, err := CreditNet(left, eur(net))
		if err != nil || len(got) != 1 || got[0].Net != eur(net) || got[0].Tax != eur(tax) || got[0].Rule != left[0].Rule {
			t.Errorf("%d: %+v, %v", net, got, err)
		}
	}
	for _, net := range []int64{0, -1, 10_001} {
		if got, err := CreditNet(left, eur(net)); err == nil {
			t.Errorf("%d is credited: %+v", net, got)
		}
	}
	if _, err := CreditNet(left, Money{Minor: 1, Currency: "USD"}); !errors.Is(err, ErrMixed) {
		t.Errorf("in another currency: %v", err)
	}
}

// Any chain of credits down to nothing comes to the invoice, to the cent, and none is ever
// more than what is left.
func TestCreditsComeToTheInvoice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var left []TaxSum
		sum := int64(0)
		for i := range rapid.IntRange(1, 3).Draw(t, "rates") {
			net, ppm := rapid.Int64Range(0, 500_000).Draw(t, "net"), rapid.Int64Range(0, 300_000).Draw(t, "rate")
			tax, err := Money{Minor: net, Currency: "EUR"}.Ratio(ppm, PpmWhole)
			if err != nil {
				t.Fatal(err)
			}
			left, sum = append(left, TaxSum{Rule: TaxRule{Ppm: ppm, Class: string(rune('a' + i))}, Net: Money{Minor: net, Currency: "EUR"}, Tax: tax}), sum+net
		}
		for sum > 0 {
			net := rapid.Int64Range(1, sum).Draw(t, "credit")
			got, err := CreditNet(left, Money{Minor: net, Currency: "EUR"})
			if err != nil {
				t.Fatal(err)
			}
			back := int64(0)
			for i, c := range got {
				back += c.Net.Minor
				left[i].Net.Minor -= c.Net.Minor
				left[i].Tax.Minor -= c.Tax.Minor
				if c.Net.Minor < 0 || c.Tax.Minor < 0 || left[i].Net.Minor < 0 || left[i].Tax.Minor < 0 {
					t.Fatalf("credits %+v leave %+v", got, left)
				}
			}
			if sum -= net; back != net {
				t.Fatalf("%d credited as %d", net, back)
			}
		}
		for _, s := range left {
			if s.Net.Minor != 0 || s.Tax.Minor != 0 {
				t.Fatalf("all is credited, and %+v is left", left)
			}
		}
	})
}
