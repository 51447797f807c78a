package billing_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func TestLoyaltyByTenure(t *testing.T) {
	since, berlin := time.Date(2024, 2, 29, 23, 30, 0, 0, time.UTC), zoneOf(t, "Europe/Berlin") // 1 March in Berlin
	l := billing.DefaultLoyalty()
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		begins string
		want   int64
	}{
		{"2024-03-01 00:00", 0}, {"2025-02-28 23:29", 0}, {"2025-02-28 23:30", 50_000}, {"2026-02-28 23:29", 50_000}, {"2026-02-28 23:30", 100_000},
		{"2027-06-01 00:00", 150_000}, {"2029-02-28 23:30", 200_000}, {"2050-01-01 00:00", 200_000},
	} {
		var got int64
		if d := l.At(since, utc(c.begins), berlin); d != nil {
			got = d.Ppm
		}
		if got != c.want {
			t.Errorf("on %s: %d, want %d", c.begins, got, c.want)
		}
	}
	if d := billing.Loyalty(nil).At(since, utc("2050-01-01 00:00"), berlin); d != nil {
		t.Errorf("without steps: %+v", d)
	}
	for _, wrong := range []billing.Loyalty{
		{{0, 1}}, {{601, 1}}, {{1, 0}}, {{1, billing.PpmWhole + 1}}, {{12, 50}, {12, 60}}, {{12, 50}, {24, 50}}, {{24, 50}, {12, 60}},
		{{1, 1}, {2, 2}, {3, 3}, {4, 4}, {5, 5}, {6, 6}, {7, 7}, {8, 8}, {9, 9}},
	} {
		if err := wrong.Check(); !errors.Is(err, billing.ErrLoyalty) {
			t.Errorf("%v: %v", wrong, err)
		}
	}
}

func TestTheBetterDiscountCounts(t *testing.T) {
	lines := []billing.Line{{Kind: "plan", Quantity: 1, Unit: eur(2000)}, {Kind: "credit", Quantity: 1, Unit: eur(-300)}}
	ten, three := &billing.Discount{Code: "TEN", Ppm: 100_000}, &billing.Discount{Code: "THREE", Off: eur(300)}
	two := &billing.Discount{Code: "TWO", Off: eur(200)}
	for _, c := range []struct{ a, b, want *billing.Discount }{{ten, three, three}, {three, ten, three}, {ten, two, ten}, {two, ten, two}, {nil, ten, ten}, {ten, nil, ten}, {nil, nil, nil}} {
		if got, err := billing.Better(lines, c.a, c.b); err != nil || got != c.want {
			t.Errorf("%v or %v: %v, %v", c.a, c.b, got, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		lines := []billing.Line{{Kind: "plan", Quantity: 1, Unit: eur(rapid.Int64Range(0, 1e9).Draw(t, "plan"))}, {Kind: "option", Quantity: 1, Unit: eur(rapid.Int64Range(0, 1e9).Draw(t, "option"))}}
		a, b := &billing.Discount{Code: "A", Ppm: rapid.Int64Range(1, billing.PpmWhole).Draw(t, "a")}, &billing.Discount{Code: "B", Off: eur(rapid.Int64Range(1, 1e9).Draw(t, "b"))}
		best, err := billing.Better(lines, a, b)
		if err != nil {
			t.Fatal(err)
		}
		_, most, _ := best.Apply(lines)
		for _, d := range []*billing.Discount{a, b} {
			if _, off, _ := d.Apply(lines); off.Minor > most.Minor {
				t.Fatalf("%+v takes %s off and %+v only %s", d, off, best, most)
			}
		}
	})
}

// Time only adds: who has been a customer longer never gets less.
func TestLoyaltyGrows(t *testing.T) {
	zone := zoneOf(t, "America/New_York")
	rapid.Check(t, func(t *rapid.T) {
		since := time.Unix(rapid.Int64Range(1.5e9, 1.9e9).Draw(t, "since"), 0)
		one := since.Add(time.Duration(rapid.IntRange(0, 80_000).Draw(t, "hours")) * time.Hour)
		two := one.Add(time.Duration(rapid.IntRange(0, 80_000).Draw(t, "more")) * time.Hour)
		a, b := billing.DefaultLoyalty().At(since, one, zone), billing.DefaultLoyalty().At(since, two, zone)
		if a != nil && (b == nil || b.Ppm < a.Ppm) {
			t.Fatalf("%+v and later %+v", a, b)
		}
	})
}
