package billing_test

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func plan(code string, minor int64, currency string) billing.Part {
	return billing.Part{Kind: "plan", Code: code, Label: "VPS " + code, Quantity: 1, Price: billing.Money{Minor: minor, Currency: currency}}
}

func terms(c billing.Cycle, parts ...billing.Part) billing.Terms {
	return billing.Terms{Cycle: c, Parts: parts}
}

func utc(s string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestChange(t *testing.T) {
	begin := utc("2026-11-01 00:00") // a month of 30 days
	month := []billing.Period{billing.Monthly.Period(begin, 0, time.UTC)}
	both := append(month, billing.Monthly.Period(begin, 1, time.UTC))
	year := []billing.Period{billing.Annual.Period(begin, 0, time.UTC)}
	small, large, gold := plan("S", 1000, "EUR"), plan("L", 4000, "EUR"), plan("G", 1000, "EUR")
	ip := billing.Part{Kind: "option", Code: "ipv4", Label: "Addresses: 2", Quantity: 2, Price: eur(300)}
	for _, test := range []struct {
		name     string
		at       string
		paid     []billing.Period
		from, to billing.Terms
		up       billing.UpgradeMode
		down     billing.DowngradeMode
		want     string
	}{
		{"an upgrade in the middle pays the difference for the rest", "2026-11-16 00:00", month, terms("monthly", small), terms("monthly", large), "", "",
			"now 1500 [Not used of VPS S: 15 days of 30 days -500] [VPS L: 15 days of 30 days 2000]; 4000 from 2026-12-01"},
		{"at the first moment it is the whole difference", "2026-11-01 00:00", month, terms("monthly", small), terms("monthly", large), "", "",
			"now 3000 [Not used of VPS S: 30 days of 30 days -1000] [VPS L: 30 days of 30 days 4000]; 4000 from 2026-12-01"},
		{"the share is of the exact time", "2026-11-20 17:24", month, terms("monthly", small), terms("monthly", large), "", "",
			"now 1027 [Not used of VPS S: 10 days 6 hours of 30 days -343] [VPS L: 10 days 6 hours of 30 days 1370]; 4000 from 2026-12-01"},
		{"an option more leaves the plan alone", "2026-11-16 00:00", month, terms("monthly", small), terms("monthly", small, ip), "", "",
			"now 150 [Addresses: 2: 15 days of 30 days 150]; 1300 from 2026-12-01"},
		{"what costs the same changes at once and for nothing", "2026-11-16 00:00", month, terms("monthly", small), terms("monthly", gold), "", "",
			"now 0 [Not used of VPS S: 15 days of 30 days -500] [VPS G: 15 days of 30 days 500]; 1000 from 2026-12-01"},
		{"a period paid ahead is changed whole", "2026-11-16 00:00", both, terms("monthly", small), terms("monthly", large), "", "",
			"now 4500 [Not used of VPS S: 15 days of 30 days -500] [Not used of VPS S: 31 days of 31 days -1000] [VPS L: 15 days of 30 days 2000] [VPS L: 31 days of 31 days 4000]; 4000 from 2027-01-01"},
		{"a longer cycle begins at once and is paid whole", "2026-11-16 00:00", month, terms("monthly", small), terms("annual", plan("S", 10000, "EUR")), "", "",
			"now 9500 restarts [Not used of VPS S: 15 days of 30 days -500] [VPS S 10000]; 10000 from 2027-11-16"},
		{"an upgrade at renewal costs nothing today", "2026-11-16 00:00", month, terms("monthly", small), terms("monthly", large), "at_renewal", "",
			"at renewal 0; 4000 from 2026-12-01"},
		{"at the full price a new cycle begins", "2026-11-16 00:00", month, terms("monthly", small), terms("monthly", large), "full_price", "",
			"now 4000 restarts, 500 lost [VPS L 4000]; 4000 from 2026-12-16"},
		{"a downgrade waits for the renewal", "2026-11-16 00:00", month, terms("monthly", large), terms("monthly", small), "", "",
			"at renewal 0; 1000 from 2026-12-01"},
		{"or gives credit", "2026-11-16 00:00", month, terms("monthly", large), terms("monthly", small), "", "credit",
			"now -1500 credit [Not used of VPS L: 15 days of 30 days -2000] [VPS S: 15 days of 30 days 500]; 1000 from 2026-12-01"},
		{"or gives money back", "2026-11-16 00:00", month, terms("monthly", large), terms("monthly", small), "", "refund",
			"now -1500 refund [Not used of VPS L: 15 days of 30 days -2000] [VPS S: 15 days of 30 days 500]; 1000 from 2026-12-01"},
		{"or nothing", "2026-11-16 00:00", month, terms("monthly", large), terms("monthly", small), "", "nothing",
			"now 0, 1500 lost; 1000 from 2026-12-01"},
		{"a shorter cycle is a downgrade, whatever it costs a month", "2027-10-02 00:00", year, terms("annual", plan("S", 10000, "EUR")), terms("monthly", small), "", "",
			"at renewal 0 restarts; 1000 from 2027-11-01"},
		{"a longer cycle that leaves money over is a downgrade", "2026-11-01 00:00", month, terms("monthly", plan("XL", 20000, "EUR")), terms("quarterly", small), "", "",
			"at renewal 0 restarts; 1000 from 2026-12-01"},
		{"yen have no cents", "2026-11-11 00:00", month, terms("monthly", plan("S", 100, "JPY")), terms("monthly", plan("L", 200, "JPY")), "", "",
			"now 66 [Not used of VPS S: 20 days of 30 days -67] [VPS L: 20 days of 30 days 133]; 200 from 2026-12-01"},
		{"dinars have a thousand", "2026-11-11 00:00", month, terms("monthly", plan("S", 1000, "KWD")), terms("monthly", plan("L", 2500, "KWD")), "", "",
			"now 1000 [Not used of VPS S: 20 days of 30 days -667] [VPS L: 20 days of 30 days 1667]; 2500 from 2026-12-01"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := billing.Change{At: utc(test.at), Zone: time.UTC, Paid: test.paid, Old: test.from, New: test.to, Upgrade: test.up, Downgrade: test.down}
			if c.Upgrade == "" {
				c.Upgrade = billing.UpgradeProrate
			}
			if c.Downgrade == "" {
				c.Downgrade = billing.DowngradeAtRenewal
			}
			got, err := c.Price()
			if err != nil {
				t.Fatal(err)
			}
			if said := say(got); said != test.want {
				t.Errorf("got  %s\nwant %s", said, test.want)
			}
		})
	}
}

func say(r billing.Changed) string {
	out := "now"
	if r.AtRenewal {
		out = "at renewal"
	}
	out += fmt.Sprintf(" %d", r.Net.Minor)
	if r.Return != "" {
		out += " " + string(r.Return)
	}
	if r.Restarts {
		out += " restarts"
	}
	if !r.Forfeited.IsZero() {
		out += fmt.Sprintf(", %d lost", r.Forfeited.Minor)
	}
	for _, l := range r.Lines {
		out += fmt.Sprintf(" [%s %d]", l.Text, l.Net.Minor)
	}
	return out + fmt.Sprintf("; %d from %s", r.Amount.Minor, r.NextAt.Format(time.DateOnly))
}

func TestChangeRefuses(t *testing.T) {
	begin := utc("2026-11-01 00:00")
	month := []billing.Period{billing.Monthly.Period(begin, 0, time.UTC)}
	small, large := terms("monthly", plan("S", 1000, "EUR")), terms("monthly", plan("L", 4000, "EUR"))
	for _, test := range []struct {
		name string
		c    billing.Change
		want error
	}{
		{"what is the same", billing.Change{At: begin, Paid: month, Old: small, New: small}, billing.ErrSame},
		{"a time before what is paid", billing.Change{At: begin.Add(-1), Paid: month, Old: small, New: large}, billing.ErrUnpaid},
		{"a time after it", billing.Change{At: month[0].To, Paid: month, Old: small, New: large}, billing.ErrUnpaid},
		{"nothing paid", billing.Change{At: begin, Old: small, New: large}, billing.ErrPeriod},
		{"what is paid once", billing.Change{At: begin, Paid: month, Old: small, New: terms("one_time", plan("L", 1, "EUR"))}, billing.ErrPeriod},
		{"another currency", billing.Change{At: begin, Paid: month, Old: small, New: terms("monthly", plan("L", 1, "USD"))}, billing.ErrMixed},
		{"no parts", billing.Change{At: begin, Paid: month, Old: small, New: terms("monthly")}, billing.ErrNothing},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.c.Zone = time.UTC
			if _, err := test.c.Price(); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// moment draws a period of any cycle, with short months, leap years and changes of the clock.
func moment(t *rapid.T) (billing.Cycle, *time.Location, time.Time, billing.Period) {
	cycle := rapid.SampledFrom([]billing.Cycle{"monthly", "quarterly", "semi_annual", "annual", "biennial", "triennial"}).Draw(t, "cycle")
	zone, err := time.LoadLocation(rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"}).Draw(t, "zone"))
	if err != nil {
		t.Fatal(err)
	}
	anchor := time.Date(2027, 1, 31, 0, 0, 0, 0, zone).Add(time.Duration(rapid.Int64Range(0, 3*366*24*3600*1_000_000).Draw(t, "anchor")) * time.Microsecond)
	return cycle, zone, anchor, cycle.Period(anchor, rapid.IntRange(0, 14).Draw(t, "n"), zone)
}

// within draws a moment of what is left of a period.
func within(t *rapid.T, from time.Time, p billing.Period) time.Time {
	return from.Add(time.Duration(rapid.Int64Range(0, int64(p.To.Sub(from))-1).Draw(t, "later")))
}

// For any chain of changes, what was paid is the sum of what each stretch costs; the
// stretches of a price over a whole period are the price, and no chain is further from
// the exact sum than its roundings.
func TestChangesSumToThePrice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cycle, zone, _, p := moment(t)
		code := rapid.SampledFrom([]string{"EUR", "JPY", "KWD"}).Draw(t, "currency")
		price := func() int64 { return rapid.Int64Range(0, 10_000_000).Draw(t, "price") }
		now := plan("0", price(), code)
		same := billing.Money{Currency: code} // what only ever one price would have cost, in the same stretches
		one := now.Price
		paid, exact, at := now.Price, new(big.Rat), p.From
		changes := rapid.IntRange(0, 12).Draw(t, "changes")
		stretch := func(part billing.Part, from, to time.Time) {
			exact.Add(exact, new(big.Rat).Mul(big.NewRat(part.Price.Minor, int64(p.To.Sub(p.From))), big.NewRat(int64(to.Sub(from)), 1)))
			a, err := billing.Rest(one, p, from)
			b, err2 := billing.Rest(one, p, to)
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			same.Minor += a.Minor - b.Minor
		}
		for i := range changes {
			when := within(t, at, p)
			next := plan(fmt.Sprint(i+1), price(), code)
			got, err := billing.Change{At: when, Zone: zone, Paid: []billing.Period{p}, Old: terms(cycle, now), New: terms(cycle, next),
				Upgrade: billing.UpgradeProrate, Downgrade: billing.DowngradeRefund}.Price()
			if err != nil {
				t.Fatal(err)
			}
			stretch(now, at, when)
			paid.Minor += got.Net.Minor
			now, at = next, when
		}
		stretch(now, at, p.To)
		if same != one {
			t.Fatalf("the stretches of %v come to %v", one, same)
		}
		off := new(big.Rat).Sub(new(big.Rat).SetInt64(paid.Minor), exact)
		if off.Abs(off).Cmp(new(big.Rat).SetInt64(int64(changes))) > 0 {
			t.Fatalf("%v paid over %d changes, %s is exact", paid, changes, exact.FloatString(3))
		}
	})
}

// A change and its opposite at the same instant cost nothing, whatever happened before.
func TestThereAndBackIsNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cycle, zone, _, p := moment(t)
		at := within(t, p.From, p)
		parts := func(name string) billing.Terms {
			all := terms(cycle, plan(name, rapid.Int64Range(0, 1_000_000).Draw(t, "plan"), "EUR"))
			for i := range rapid.IntRange(0, 3).Draw(t, "options") {
				all.Parts = append(all.Parts, billing.Part{Kind: "option", Code: fmt.Sprint(i), Label: "x", Quantity: 1, Price: eur(rapid.Int64Range(0, 10_000).Draw(t, "option"))})
			}
			return all
		}
		a, b := parts("a"), parts("b")
		var sum int64
		for _, step := range [][2]billing.Terms{{a, b}, {b, a}} {
			got, err := billing.Change{At: at, Zone: zone, Paid: []billing.Period{p}, Old: step[0], New: step[1], Upgrade: billing.UpgradeProrate, Downgrade: billing.DowngradeCredit}.Price()
			if err != nil {
				t.Fatal(err)
			}
			sum += got.Net.Minor
		}
		if sum != 0 {
			t.Fatalf("there and back costs %d", sum)
		}
	})
}

// The lines always come to the net, money is given back only where the way says so, and
// the next period begins where what is paid ends.
func TestChangeIsConsistent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cycle, zone, _, p := moment(t)
		to := rapid.SampledFrom([]billing.Cycle{cycle, cycle, "monthly", "annual"}).Draw(t, "to")
		got, err := billing.Change{
			At: within(t, p.From, p), Zone: zone, Paid: []billing.Period{p},
			Old:       terms(cycle, plan("a", rapid.Int64Range(0, 100_000).Draw(t, "old"), "EUR")),
			New:       terms(to, plan("b", rapid.Int64Range(0, 100_000).Draw(t, "new"), "EUR")),
			Upgrade:   rapid.SampledFrom([]billing.UpgradeMode{"prorate", "at_renewal", "full_price"}).Draw(t, "up"),
			Downgrade: rapid.SampledFrom([]billing.DowngradeMode{"at_renewal", "credit", "refund", "nothing"}).Draw(t, "down"),
		}.Price()
		if err != nil {
			t.Fatal(err)
		}
		var sum int64
		for _, l := range got.Lines {
			sum += l.Net.Minor
			if l.Text == "" || !l.Period.To.After(l.Period.From) || strings.Contains(l.Text, "  ") {
				t.Fatalf("a line without words or time: %+v", l)
			}
		}
		switch {
		case sum != got.Net.Minor:
			t.Fatalf("the lines come to %d, not %v", sum, got.Net)
		case got.Net.Minor < 0 && got.Return != billing.DowngradeCredit && got.Return != billing.DowngradeRefund:
			t.Fatalf("%v is given back without a way: %+v", got.Net, got)
		case got.AtRenewal && (sum != 0 || !got.From.Equal(p.To) || !got.NextAt.Equal(p.To)):
			t.Fatalf("a change at renewal that happens before: %+v", got)
		case !got.AtRenewal && !got.Restarts && !got.NextAt.Equal(p.To):
			t.Fatalf("the period was moved: %+v", got)
		case got.Forfeited.Minor < 0:
			t.Fatalf("less than nothing is lost: %+v", got)
		}
	})
}

func TestRestRoundsAsTheExactShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, _, _, p := moment(t)
		at := within(t, p.From, p)
		price := rapid.Int64Range(-1_000_000_000_000, 1_000_000_000_000).Draw(t, "price")
		got, err := billing.Rest(eur(price), p, at)
		if err != nil {
			t.Fatal(err)
		}
		exact := new(big.Rat).Mul(big.NewRat(price, 1), big.NewRat(int64(p.To.Sub(at)), int64(p.To.Sub(p.From))))
		off := exact.Sub(exact, big.NewRat(got.Minor, 1))
		if off.Abs(off).Cmp(big.NewRat(1, 2)) > 0 {
			t.Fatalf("%v is %s off", got, off.FloatString(6))
		}
	})
}

func ExampleChange_Price() {
	begin := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	eur := func(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }
	got, err := billing.Change{
		At: begin.AddDate(0, 0, 10), Zone: time.UTC, Paid: []billing.Period{billing.Monthly.Period(begin, 0, time.UTC)},
		Old:     billing.Terms{Cycle: billing.Monthly, Parts: []billing.Part{{Kind: "plan", Code: "s", Label: "VPS Small", Quantity: 1, Price: eur(900)}}},
		New:     billing.Terms{Cycle: billing.Monthly, Parts: []billing.Part{{Kind: "plan", Code: "l", Label: "VPS Large", Quantity: 1, Price: eur(2900)}}},
		Upgrade: billing.UpgradeProrate, Downgrade: billing.DowngradeAtRenewal,
	}.Price()
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, l := range got.Lines {
		fmt.Println(l.Net, l.Text)
	}
	fmt.Println(got.Net, "today, then", got.Amount, "from", got.NextAt.Format(time.DateOnly))
	// Output:
	// -6.00 EUR Not used of VPS Small: 20 days of 30 days
	// 19.33 EUR VPS Large: 20 days of 30 days
	// 13.33 EUR today, then 29.00 EUR from 2026-12-01
}

func TestAPlanChangeAllocatesLittle(t *testing.T) {
	begin := utc("2026-11-01 00:00")
	c := billing.Change{At: utc("2026-11-16 07:31"), Zone: time.UTC, Paid: []billing.Period{billing.Monthly.Period(begin, 0, time.UTC)},
		Old:     terms("monthly", plan("S", 1000, "EUR"), billing.Part{Kind: "option", Code: "ip", Label: "Addresses: 2", Quantity: 2, Price: eur(300)}),
		New:     terms("monthly", plan("L", 4000, "EUR"), billing.Part{Kind: "option", Code: "ip", Label: "Addresses: 4", Quantity: 4, Price: eur(600)}),
		Upgrade: billing.UpgradeProrate, Downgrade: billing.DowngradeAtRenewal}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := c.Price(); err != nil {
			t.Fatal(err)
		}
	}); n > 10 {
		t.Errorf("%v allocations", n)
	}
}
