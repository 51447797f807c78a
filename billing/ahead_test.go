package billing_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func TestPayingAhead(t *testing.T) {
	berlin := zoneOf(t, "Europe/Berlin")
	anchor := time.Date(2027, 8, 31, 10, 0, 0, 0, berlin)
	a := billing.Ahead{Anchor: anchor, Zone: berlin, First: 1, Discounts: make([]*billing.Discount, 6), Terms: terms("monthly", plan("S", 1000, "EUR"), billing.Part{Kind: "option", Code: "ipv4", Label: "Addresses: 2", Quantity: 2, Price: eur(333)})}
	r, err := a.Price()
	if err != nil || r.Net != eur(6*1333) || len(r.Lines) != 12 || r.Amount != eur(1333) {
		t.Fatalf("%+v, %v", r, err)
	}
	// From the last of September to the last of March, over a leap February and both
	// changes of the clocks, each at ten in Berlin.
	if from, to := r.Lines[0].Period.From, r.NextAt; !from.Equal(time.Date(2027, 9, 30, 10, 0, 0, 0, berlin)) || !to.Equal(time.Date(2028, 3, 31, 10, 0, 0, 0, berlin)) {
		t.Errorf("from %s to %s", from, to)
	}
	if feb := r.Lines[10].Period; !feb.From.Equal(time.Date(2028, 2, 29, 10, 0, 0, 0, berlin)) {
		t.Errorf("the last begins on %s", feb.From)
	}
	half := &billing.Discount{Code: "HALF", Ppm: 500_000}
	for i := range a.Discounts {
		a.Discounts[i] = half
	}
	a.Running = &billing.Discount{Code: "HALF", Ppm: 500_000}
	if r, err = a.Price(); err != nil || r.Net != eur(6*(500+166)) { // 166.5 is taken off 333, rounded away from zero
		t.Errorf("at half the price: %+v, %v", r.Net, err)
	}
	a.Discounts[4] = nil
	if _, err = a.Price(); !errors.Is(err, billing.ErrUneven) {
		t.Errorf("a code that ends in between: %v", err)
	}
	a.Discounts = a.Discounts[4:]
	if _, err = a.Price(); !errors.Is(err, billing.ErrUneven) {
		t.Errorf("a code that has just ended: %v", err)
	}
	for _, wrong := range []billing.Ahead{{}, {Zone: berlin, Terms: a.Terms}, {Zone: berlin, Discounts: a.Discounts, Terms: terms("one_time", plan("S", 1, "EUR"))}, {Zone: berlin, Discounts: a.Discounts, First: -1, Terms: a.Terms}} {
		if _, err := wrong.Price(); !errors.Is(err, billing.ErrPeriod) {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
}

// Whatever is paid ahead costs what its periods would have cost in turn, and they follow
// one another without a gap.
func TestPayingAheadIsPayingInTurn(t *testing.T) {
	zones := []*time.Location{time.UTC, zoneOf(t, "Europe/Berlin"), zoneOf(t, "America/New_York")}
	rapid.Check(t, func(t *rapid.T) {
		a := billing.Ahead{
			Anchor: time.Unix(rapid.Int64Range(1.7e9, 1.9e9).Draw(t, "anchor"), 0), Zone: rapid.SampledFrom(zones).Draw(t, "zone"),
			First: rapid.IntRange(0, 30).Draw(t, "first"), Discounts: make([]*billing.Discount, rapid.IntRange(1, 24).Draw(t, "cycles")),
			Terms: terms(rapid.SampledFrom([]billing.Cycle{billing.Monthly, billing.Quarterly, billing.Annual}).Draw(t, "cycle"),
				plan("S", rapid.Int64Range(0, 1e9).Draw(t, "plan"), "EUR"), plan("X", rapid.Int64Range(0, 1e9).Draw(t, "option"), "EUR")),
		}
		if rapid.Bool().Draw(t, "code") {
			a.Running = &billing.Discount{Code: "C", Ppm: rapid.Int64Range(1, billing.PpmWhole).Draw(t, "ppm")}
			for i := range a.Discounts {
				a.Discounts[i] = a.Running
			}
		}
		whole, err := a.Price()
		if err != nil {
			t.Fatal(err)
		}
		sum, until := int64(0), whole.From
		for n := range a.Discounts {
			one := a
			one.First, one.Discounts = a.First+n, a.Discounts[n:n+1]
			r, err := one.Price()
			if err != nil || !r.From.Equal(until) {
				t.Fatalf("period %d begins on %s and not on %s, %v", n, r.From, until, err)
			}
			sum, until = sum+r.Net.Minor, r.NextAt
		}
		if whole.Net.Minor != sum || !whole.NextAt.Equal(until) {
			t.Fatalf("ahead %s until %s, in turn %d until %s", whole.Net, whole.NextAt, sum, until)
		}
	})
}
