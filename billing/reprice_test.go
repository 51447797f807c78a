package billing_test

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func TestANewPriceReachesWholePeriods(t *testing.T) {
	berlin := zoneOf(t, "Europe/Berlin")
	anchor := utc("2026-01-31 10:00")
	for _, c := range []struct {
		name       string
		a          billing.Announced
		cycle      billing.Cycle
		from, want int
		begins     string
	}{
		{"from its day", billing.Announced{From: utc("2026-03-01 00:00")}, billing.Monthly, 0, 2, "2026-03-31 09:00"},
		{"on the very moment", billing.Announced{From: utc("2026-02-28 10:00")}, billing.Monthly, 0, 1, "2026-02-28 10:00"},
		{"the notice is too young", billing.Announced{From: utc("2026-03-01 00:00"), Told: utc("2026-03-15 12:00"), Days: 30}, billing.Monthly, 0, 3, "2026-04-30 09:00"},
		{"the notice is old", billing.Announced{From: utc("2026-03-01 00:00"), Told: utc("2026-01-15 12:00"), Days: 30}, billing.Monthly, 0, 2, "2026-03-31 09:00"},
		{"invoiced ahead", billing.Announced{From: utc("2026-03-01 00:00")}, billing.Monthly, 6, 6, "2026-07-31 09:00"},
		{"a year's", billing.Announced{From: utc("2026-02-01 00:00")}, billing.Annual, 0, 1, "2027-01-31 10:00"},
	} {
		if got := c.a.First(c.cycle, anchor, c.from, berlin); !got.From.Equal(utc(c.begins)) || got != c.cycle.Period(anchor, c.want, berlin) {
			t.Errorf("%s: %v, want from %s", c.name, got, c.begins)
		}
	}
	if got := (billing.Announced{}).First(billing.OneTime, anchor, 0, berlin); got != (billing.Period{}) {
		t.Errorf("what is paid once: %v", got)
	}
}

func TestNoPeriodIsOfAPriceThatWasNotAnnouncedInTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := func(name string) time.Time {
			return utc("2026-01-01 00:00").Add(time.Duration(rapid.Int64Range(0, 3*365*24).Draw(t, name)) * time.Hour)
		}
		a := billing.Announced{From: at("from"), Told: at("told"), Days: rapid.IntRange(0, 365).Draw(t, "days")}
		cycle := rapid.SampledFrom([]billing.Cycle{billing.Monthly, billing.Quarterly, billing.Annual, billing.Triennial}).Draw(t, "cycle")
		anchor, n := at("anchor"), rapid.IntRange(0, 40).Draw(t, "n")
		first := a.First(cycle, anchor, n, time.UTC)
		if first.From.Before(a.From) || first.From.Before(a.Told.AddDate(0, 0, a.Days)) || first.From.Before(cycle.Period(anchor, n, time.UTC).From) {
			t.Fatalf("%v is too early", first)
		}
		// The period before it is invoiced already, or begins too early.
		if before := cycle.Period(anchor, n, time.UTC); first != before {
			i := n
			for cycle.Period(anchor, i+1, time.UTC) != first {
				i++
			}
			if p := cycle.Period(anchor, i, time.UTC); !p.From.Before(a.Begins()) {
				t.Fatalf("%v would have been the first", p)
			}
		}
	})
}

func TestPartsAreRepriced(t *testing.T) {
	parts := []billing.Part{{Kind: "plan", Code: "vps/s", Label: "VPS Small", Quantity: 1, Price: eur(1000)}, {Kind: "option", Code: "ipv4", Label: "Addresses: 3", Quantity: 3, Price: eur(900)},
		{Kind: "option", Code: "backup", Label: "Backups: daily", Quantity: 1, Price: eur(200)}}
	got, err := billing.Reprice(parts, []billing.UnitPrice{{Kind: "plan", Unit: eur(1200)}, {Kind: "option", Code: "ipv4", Unit: eur(350)}, {Kind: "option", Code: "backup", Label: "Backups: weekly", Unit: eur(1)}})
	if err != nil || got[0].Price != eur(1200) || got[1].Price != eur(1050) || got[2].Price != eur(200) || parts[0].Price != eur(1000) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []billing.Money{eur(-1), {Minor: 1, Currency: "USD"}} {
		if _, err := billing.Reprice(parts, []billing.UnitPrice{{Kind: "plan", Unit: bad}}); !errors.Is(err, billing.ErrPrice) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		unit, n := rapid.Int64Range(0, 1e9).Draw(t, "unit"), rapid.Int64Range(1, 100).Draw(t, "n")
		was := billing.Part{Kind: "option", Code: "a", Quantity: n, Price: eur(unit * n)}
		same, err := billing.Reprice([]billing.Part{was}, []billing.UnitPrice{{Kind: "option", Code: "a", Unit: eur(unit)}})
		if err != nil || same[0] != was {
			t.Fatalf("the price it has: %v, %v", same, err)
		}
	})
}

func TestAnAgreedPrice(t *testing.T) {
	fixed := eur(700)
	for _, c := range []struct {
		a    billing.AgreedPrice
		want billing.Money
	}{{billing.AgreedPrice{Amount: &fixed}, fixed}, {billing.AgreedPrice{OffPpm: 150_000}, eur(849)}, {billing.AgreedPrice{OffPpm: billing.PpmWhole}, eur(0)}, {billing.AgreedPrice{}, eur(999)}} {
		if got, err := c.a.Of(eur(999)); err != nil || got != c.want {
			t.Errorf("%+v: %v, %v; want %v", c.a, got, err, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		price, off := rapid.Int64Range(0, 1e12).Draw(t, "price"), rapid.Int64Range(0, billing.PpmWhole).Draw(t, "off")
		got, err := billing.AgreedPrice{OffPpm: off}.Of(eur(price))
		if err != nil || got.Minor < 0 || got.Minor > price {
			t.Fatalf("%d less %d ppm is %v, %v", price, off, got, err)
		}
	})
}
