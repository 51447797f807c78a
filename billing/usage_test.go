package billing

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A price agreed with a reseller alone wins over its tier's and the book's, from its first
// moment to its last; the tier's discount comes off it as off every other.
func TestAPriceOfOnesOwn(t *testing.T) {
	month := Period{From: dayIn(11, 1), To: dayIn(12, 1)}
	eur := func(s string) Rate {
		r, err := ParseRate(s, "EUR")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	prices := []PriceSpan{
		{SKU: "vps", Own: true, Rate: eur("3.00"), Period: Period{From: dayIn(11, 11), To: dayIn(11, 21)}},
		{SKU: "vps", Own: true, Rate: Rate{Units: 1, Currency: "USD"}, Period: Period{From: dayIn(11, 1)}}, // of another currency
		{SKU: "vps", Rate: eur("4.20"), Period: Period{From: dayIn(1, 1)}},
		{SKU: "vps", Tier: "pro", Rate: eur("3.90"), Period: Period{From: dayIn(11, 16)}},
		{SKU: "vps", Tier: "max", Rate: eur("0.10"), Period: Period{From: dayIn(1, 1)}},
		{SKU: "gb", Own: true, Rate: eur("0.001"), Period: Period{From: dayIn(11, 11), To: dayIn(11, 21)}},
	}
	tiers := []TierSpan{{Tier: "pro", Fee: Money{Currency: "EUR"}, DiscountPPM: 125_000, Period: Period{From: dayIn(1, 1)}}}
	events := []UsageEvent{
		{Key: "1", Subject: "a", SKU: "vps", Kind: "start", Quantity: 1, At: dayIn(10, 1)},
		{Key: "2", Subject: "a", SKU: "gb", Kind: "quantity", Quantity: 1000, At: dayIn(11, 11)},
		{Key: "3", Subject: "a", SKU: "gb", Kind: "quantity", Quantity: 1000, At: dayIn(11, 21)}, // has no price any more
	}
	lines, missing, err := BillUsage(month, events, prices, tiers)
	if err != nil || len(missing) != 1 || missing[0].Start != "3" {
		t.Fatal(missing, err)
	}
	var got []string
	for _, l := range lines {
		got = append(got, l.SKU+" at "+l.Rate.Decimal()+": "+l.Net.String())
		if l.Discount != 125_000 {
			t.Errorf("%s has a discount of %d", l.SKU, l.Discount)
		}
	}
	want := []string{"gb at 0.001: 1.00 EUR", "vps at 3.00: 1.00 EUR", "vps at 3.90: 1.30 EUR", "vps at 4.20: 1.40 EUR"} // ten days of thirty each
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Cutting a price's days in two changes nothing, whoever's it is.
func TestCuttingAPriceChangesNothing(t *testing.T) {
	month := Period{From: dayIn(11, 1), To: dayIn(12, 1)}
	tiers := []TierSpan{{Tier: "pro", Fee: Money{Currency: "EUR"}, Period: Period{From: dayIn(1, 1)}}}
	rapid.Check(t, func(t *rapid.T) {
		moment := func(name string) time.Time {
			return dayIn(10, 20).Add(time.Duration(rapid.IntRange(0, 60*24*60).Draw(t, name)) * time.Minute)
		}
		own := Period{From: moment("from")}
		own.To = own.From.Add(time.Duration(rapid.IntRange(2, 60*24*40).Draw(t, "minutes")) * time.Minute)
		rate := Rate{Units: rapid.Int64Range(0, 2_000_00000000).Draw(t, "price"), Currency: "EUR"}
		book := PriceSpan{SKU: "vps", Rate: Rate{Units: 420_00000000, Currency: "EUR"}, Period: Period{From: dayIn(1, 1)}}
		whole := PriceSpan{SKU: "vps", Own: true, Rate: rate, Period: own}
		at := own.From.Add(own.To.Sub(own.From) / 2)
		first, second := whole, whole
		first.To, second.From = at, at
		begin := moment("begin")
		events := []UsageEvent{{Key: "1", Subject: "a", SKU: "vps", Kind: "start", Quantity: 1, At: begin}, {Key: "2", Subject: "a", SKU: "vps", Kind: "stop", Quantity: 1, At: begin.AddDate(0, 0, 17)}}
		one, _, err := BillUsage(month, events, []PriceSpan{book, whole}, tiers)
		if err != nil {
			t.Fatal(err)
		}
		two, _, err := BillUsage(month, events, []PriceSpan{second, book, first}, tiers)
		if err != nil || len(one) != len(two) {
			t.Fatal(one, two, err)
		}
		for i := range one {
			if one[i].Net != two[i].Net || one[i].Rate != two[i].Rate {
				t.Fatalf("%+v became %+v", one[i], two[i])
			}
		}
	})
}
