package billing_test

import (
	"fmt"
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func hourRate(t interface{ Fatal(...any) }, s string) billing.Rate {
	r, err := billing.ParseRate(s, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func eurCents(n int64) billing.Money { return billing.Money{Minor: n, Currency: "EUR"} }

func ExampleHourPrice() {
	rate, _ := billing.ParseRate("0.0167", "EUR")
	h := billing.HourPrice{Rate: rate, Most: billing.Money{Minor: 999, Currency: "EUR"}}
	fmt.Println(h.Words("en"))
	for _, hours := range []int64{1, 100, 598, 599, 744} {
		m, _ := h.Over(hours)
		fmt.Println(hours, m)
	}
	// Output:
	// €0.0167 an hour, at most €9.99 a month
	// 1 0.02 EUR
	// 100 1.67 EUR
	// 598 9.99 EUR
	// 599 9.99 EUR
	// 744 9.99 EUR
}

// A most is an amount, a number of hours, or both, of which the lower counts.
func TestTheMostOfHours(t *testing.T) {
	for name, c := range map[string]struct {
		rate  string
		upTo  string // hours; empty: no such most
		most  int64
		hours string // used
		want  int64
		says  int64 // the most that is said
	}{
		"no most":                     {"0.02", "", 0, "744", 1488, 0},
		"under the amount":            {"0.02", "", 1200, "599", 1198, 1200},
		"at the amount":               {"0.02", "", 1200, "600", 1200, 1200},
		"over the amount":             {"0.02", "", 1200, "744", 1200, 1200},
		"an amount between two hours": {"0.07", "", 1000, "143", 1000, 1000},
		"the hour before it":          {"0.07", "", 1000, "142", 994, 1000},
		"a number of hours":           {"0.02", "600", 0, "744", 1200, 1200},
		"both, the amount is lower":   {"0.02", "600", 1100, "744", 1100, 1100},
		"both, the hours are lower":   {"0.02", "500", 1100, "744", 1000, 1000},
		"a part of a cent, rounded":   {"0.0042", "", 0, "1", 0, 0},
		"finer than a cent":           {"0.0042", "", 300, "744", 300, 300},
	} {
		tariff := billing.Tariff{Model: billing.Graduated, Tiers: []billing.Tier{{Unit: hourRate(t, c.rate)}}}
		if c.upTo != "" {
			tariff.Tiers = []billing.Tier{{Unit: hourRate(t, c.rate), UpTo: quantity(t, c.upTo)}, {Unit: hourRate(t, "0")}}
		}
		if c.most > 0 {
			tariff.Most = eurCents(c.most)
		}
		got, err := tariff.Price(quantity(t, c.hours))
		if err != nil || got.Net != eurCents(c.want) {
			t.Errorf("%s: %v, %v", name, got.Net, err)
		}
		if free, err := (billing.Tariff{Model: tariff.Model, Tiers: tariff.Tiers}).Price(quantity(t, c.hours)); err != nil || free.Most || got.Most != (c.most > 0 && free.Net.Minor > c.most) {
			t.Errorf("%s: cut %t, without a most %v, %v", name, got.Most, free.Net, err)
		}
		h, ok := tariff.HourPrice()
		if !ok || h.Most.Minor != c.says || h.Rate != hourRate(t, c.rate) {
			t.Errorf("%s: says %+v", name, h)
		}
	}
	bad := billing.Tariff{Model: billing.Graduated, Tiers: []billing.Tier{{Unit: hourRate(t, "1")}}, Most: billing.Money{Minor: 1, Currency: "USD"}}
	if bad.Check() == nil {
		t.Error("a most in another currency")
	}
	if _, ok := bad.HourPrice(); ok {
		t.Error("a price of an hour with it")
	}
}

// More hours never cost less, none costs more than the most, and what is said is what is paid.
func TestHoursFollowTheirPrice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := billing.HourPrice{Rate: billing.Rate{Units: rapid.Int64Range(1, 1_000_000_000_00).Draw(t, "rate"), Currency: "EUR"}, Most: eurCents(rapid.Int64Range(0, 100_000).Draw(t, "most"))}
		n := rapid.Int64Range(0, 744).Draw(t, "hours")
		over := func(n int64) int64 {
			m, err := h.Over(n)
			if err != nil || m.Currency != "EUR" {
				t.Fatal(m, err)
			}
			return m.Minor
		}
		exact, err := h.Rate.Over(big.NewInt(n), big.NewInt(1))
		if err != nil {
			t.Fatal(err)
		}
		want := exact.Minor
		if h.Most.Minor > 0 {
			want = min(want, h.Most.Minor)
		}
		if got := over(n); got != want || got > over(n+1) {
			t.Fatalf("%d hours cost %d, want %d; one more %d", n, got, want, over(n+1))
		}
		month, err := h.Month()
		if err != nil || month.Minor != over(billing.MonthHours) {
			t.Fatal(month, err)
		}
		same, ok := billing.Tariff{Model: billing.Graduated, Tiers: []billing.Tier{{Unit: h.Rate}}, Most: h.Most}.HourPrice()
		if !ok || same != h {
			t.Fatalf("%+v reads as %+v", h, same)
		}
	})
}

// An hour is paid from its begin to its end.
func TestTheHourThatIsBegun(t *testing.T) {
	start := time.Date(2026, 3, 1, 10, 20, 0, 0, time.UTC)
	for at, want := range map[time.Duration]time.Duration{0: 0, 1: time.Hour, 59 * time.Minute: time.Hour, time.Hour: time.Hour, time.Hour + 1: 2 * time.Hour, 47*time.Hour + 30*time.Minute: 48 * time.Hour, -time.Minute: 0} {
		if got := billing.HourEnd(start, start.Add(at)); !got.Equal(start.Add(want)) {
			t.Errorf("after %s: %s, want %s", at, got.Sub(start), want)
		}
	}
}

// From hours to a month: what is left of the month after the begun hour is paid, and with what
// was paid by the hour no time is paid for twice, and none is free.
func TestFromHoursToAMonth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		anchor := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
		month := billing.Monthly.Period(anchor, 0, time.UTC)
		at := anchor.Add(time.Duration(rapid.Int64Range(0, int64(month.To.Sub(anchor))-1).Draw(t, "at")))
		price := eurCents(rapid.Int64Range(1, 1_000_000).Draw(t, "price"))
		part := func(m billing.Money) []billing.Part {
			return []billing.Part{{Kind: "plan", Label: "Drift", Quantity: 1, Price: m}}
		}
		c := billing.Change{
			At: at, Zone: time.UTC, Paid: []billing.Period{month}, Upgrade: billing.UpgradeProrate, Downgrade: billing.DowngradeCredit,
			Old: billing.Terms{Cycle: billing.Hourly, Parts: part(eurCents(0))}, New: billing.Terms{Cycle: billing.Monthly, Parts: part(price)},
			HourEnd: billing.HourEnd(anchor, at),
		}
		got, err := c.Price()
		if err != nil {
			t.Fatal(err)
		}
		want, err := billing.Rest(price, month, c.HourEnd)
		if err != nil || got.Net != want || got.Restarts || got.AtRenewal || !got.NextAt.Equal(month.To) {
			t.Fatalf("at %s: %+v, want %s (%v)", at, got, want, err)
		}
		back := billing.Change{At: at, Zone: time.UTC, Paid: c.Paid, Upgrade: c.Upgrade, Downgrade: c.Downgrade, Old: c.New, New: c.Old}
		gone, err := back.Price()
		left, _ := billing.Rest(price, month, at)
		if err != nil || gone.Net.Minor != -left.Minor || left.Minor > 0 && gone.Return != billing.DowngradeCredit {
			t.Fatalf("back at %s: %+v, want %s given (%v)", at, gone, left, err)
		}
		c.New.Cycle = billing.Annual // it begins anew, less the begun hour
		year, err := c.Price()
		first := billing.Annual.Period(at, 0, time.UTC)
		if want, _ := billing.Rest(price, first, c.HourEnd); err != nil || year.Net != want || !year.Restarts || !year.NextAt.Equal(first.To) {
			t.Fatalf("for a year at %s: %+v, want %s (%v)", at, year, want, err)
		}
	})
}
