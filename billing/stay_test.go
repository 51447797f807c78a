package billing_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func TestStayOffers(t *testing.T) {
	for _, test := range []struct {
		offer billing.StayOffer
		ok    bool
	}{
		{billing.StayOffer{}, true},
		{billing.StayOffer{Kind: billing.StayDiscount, Ppm: 200_000, Cycles: 3}, true},
		{billing.StayOffer{Kind: billing.StayDiscount, Ppm: 200_000}, false},
		{billing.StayOffer{Kind: billing.StayDiscount, Ppm: 1_000_001, Cycles: 1}, false},
		{billing.StayOffer{Kind: billing.StayDiscount, Ppm: 1, Cycles: 1, Days: 5}, false},
		{billing.StayOffer{Kind: billing.StayPause, Days: 30}, true},
		{billing.StayOffer{Kind: billing.StayPause, Days: 366}, false},
		{billing.StayOffer{Kind: billing.StayDowngrade, PlanID: "x"}, true},
		{billing.StayOffer{Kind: billing.StayDowngrade}, false},
		{billing.StayOffer{Kind: "gift"}, false},
		{billing.StayOffer{Days: 1}, false},
	} {
		if err := test.offer.Check(); (err == nil) != test.ok {
			t.Errorf("%+v: %v", test.offer, err)
		}
	}
	taken := []billing.MadeOffer{{TakenAt: utc("2026-01-31 10:00")}, {At: utc("2026-02-01 00:00")}}
	for now, want := range map[string]bool{"2026-07-31 09:59": false, "2026-07-31 10:00": true} {
		if billing.MayOffer(taken, 6, utc(now), time.UTC) != want {
			t.Errorf("at %s: %v", now, !want)
		}
	}
	if billing.MayOffer(taken, 0, utc("2099-01-01 00:00"), time.UTC) || !billing.MayOffer(taken[1:], 0, utc("2026-02-01 00:00"), time.UTC) {
		t.Error("once, and never again")
	}
}

// The fourth invoice comes next: a fifth off three invoices is off that one and two more.
func ExampleStayOffer_Discount() {
	d := billing.StayOffer{Kind: billing.StayDiscount, Ppm: 200_000, Cycles: 3}.Discount(4)
	for n := 3; n <= 7; n++ {
		fmt.Print(n, " ", d.Counts(n), "; ")
	}
	// Output: 3 true; 4 true; 5 true; 6 true; 7 false;
}

// An offer counts for as many invoices as it says, from the next one on, and is never
// counted twice for being looked at.
func TestStaysAreCountedOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		next, cycles := rapid.IntRange(1, 500).Draw(t, "next"), rapid.IntRange(1, billing.MostStayCycles).Draw(t, "cycles")
		o := billing.StayOffer{Kind: billing.StayDiscount, Ppm: rapid.Int64Range(1, billing.PpmWhole).Draw(t, "ppm"), Cycles: cycles}
		d, counted := o.Discount(next), 0
		for n := next; n < next+cycles+5; n++ {
			if d.Counts(n) {
				counted++
			}
		}
		if counted != cycles {
			t.Fatalf("it counts for %d of %d", counted, cycles)
		}
		var made []billing.MadeOffer
		takes := 0
		for i := range rapid.IntRange(1, 60).Draw(t, "steps") {
			made = billing.Offered(made, o, "other", time.Unix(int64(i), 0))
			if rapid.Bool().Draw(t, "take") {
				made[len(made)-1].TakenAt = time.Unix(int64(i), 0)
				takes++
			}
		}
		open, taken := 0, 0
		for i, s := range made {
			if !s.TakenAt.IsZero() {
				taken++
			} else if open++; i != len(made)-1 {
				t.Fatalf("an offer nobody took was followed by another")
			}
		}
		if open > 1 || taken > takes {
			t.Fatalf("%d open, %d of %d taken", open, taken, takes)
		}
	})
}
