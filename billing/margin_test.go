package billing

import (
	"testing"

	"pgregory.net/rapid"
)

func TestWhatIsSoldBelowItsWholesalePrice(t *testing.T) {
	eur := func(minor int64) Money { return Money{Minor: minor, Currency: "EUR"} }
	rate := func(s, code string) Rate {
		r, err := ParseRate(s, code)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for name, c := range map[string]struct {
		sold     Sold
		costs    Rate
		month    int64
		loss     int64
		compared bool
	}{
		"it earns":                       {Sold{Amount: eur(599), Cycle: Monthly}, rate("4.20", "EUR"), 599, 0, true},
		"exactly":                        {Sold{Amount: eur(420), Cycle: Monthly}, rate("4.20", "EUR"), 420, 0, true},
		"a year's price":                 {Sold{Amount: eur(4800), Cycle: Annual}, rate("4.20", "EUR"), 400, 20, true},
		"a price with tax":               {Sold{Amount: eur(476), Cycle: Monthly, Held: 190_000}, rate("4.20", "EUR"), 400, 20, true},
		"a quarter, with tax":            {Sold{Amount: eur(1428), Cycle: Quarterly, Held: 190_000}, rate("4.205", "EUR"), 400, 21, true}, // half a cent, away from zero
		"another currency":               {Sold{Amount: eur(100), Cycle: Monthly}, rate("4.20", "USD"), 100, 0, false},
		"paid once":                      {Sold{Amount: eur(100), Cycle: OneTime}, rate("4.20", "EUR"), 0, 0, false},
		"by the hour, a full month":      {Sold{Amount: eur(400), Cycle: Hourly}, rate("4.20", "EUR"), 400, 20, true},
		"by the hour, nobody knows what": {Sold{Amount: eur(0), Cycle: Hourly}, rate("4.20", "EUR"), 0, 0, false},
	} {
		month, _, err := c.sold.AMonth()
		if err != nil || month != eur(c.month) {
			t.Errorf("%s: a month brings %v, %v", name, month, err)
		}
		loss, compared, err := c.sold.Loss(c.costs)
		if err != nil || compared != c.compared || loss != eur(c.loss) {
			t.Errorf("%s: loses %v, compared %v, %v", name, loss, compared, err)
		}
	}
}

// A higher wholesale price never loses less, and a higher retail price never more.
func TestALossFollowsThePrices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		minor := func(name string) int64 { return rapid.Int64Range(0, 1_000_000).Draw(t, name) }
		s := Sold{Amount: Money{Minor: minor("retail"), Currency: "EUR"}, Cycle: rapid.SampledFrom([]Cycle{Monthly, Quarterly, Annual, Triennial}).Draw(t, "cycle"), Held: rapid.Int64Range(0, 300_000).Draw(t, "tax")}
		low := Rate{Units: minor("wholesale") * rateOne / 7, Currency: "EUR"}
		high := Rate{Units: low.Units + minor("more"), Currency: "EUR"}
		dearer := s
		dearer.Amount.Minor += minor("raise")
		at := func(s Sold, r Rate) int64 {
			loss, ok, err := s.Loss(r)
			if err != nil || !ok || loss.Minor < 0 {
				t.Fatal(loss, ok, err)
			}
			return loss.Minor
		}
		if at(s, high) < at(s, low) || at(dearer, high) > at(s, high) {
			t.Fatalf("%+v at %v and %v: %d, %d, dearer %d", s, low, high, at(s, low), at(s, high), at(dearer, high))
		}
	})
}
