package billing_test

import (
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func rules() []billing.TaxRule {
	return []billing.TaxRule{
		{Country: "DE", Name: "VAT", Ppm: 190_000, Class: billing.Standard},
		{Country: "DE", Name: "VAT", Ppm: 70_000, Class: "reduced"},
		{Class: billing.Zero},
		{Country: "CH", Name: "VAT", Ppm: 81_000},
	}
}

func drawLines(t *rapid.T) []billing.Line {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) billing.Line {
		l, err := billing.Line{
			Quantity: rapid.Int64Range(1, 50).Draw(t, "quantity"), Unit: eur(rapid.Int64Range(0, 1_000_000).Draw(t, "unit")),
			Tax: rapid.SampledFrom(rules()).Draw(t, "rule"),
		}.Priced()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}), 1, 12).Draw(t, "lines")
}

func TestTotalsAreTheirSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := drawLines(t)
		net, tax, total, sums, err := billing.Totals(lines)
		if err != nil {
			t.Fatal(err)
		}
		var n, x, byLine int64
		for _, l := range lines {
			byLine += l.Net.Minor
		}
		for _, s := range sums {
			n, x = n+s.Net.Minor, x+s.Tax.Minor
			// Tax once a rule, on its sum: half a cent off the exact tax at most.
			if off := s.Tax.Minor*billing.PpmWhole - s.Net.Minor*s.Rule.Ppm; 2*max(off, -off) > billing.PpmWhole {
				t.Fatalf("%v of %v is %v", s.Rule, s.Net, s.Tax)
			}
		}
		if n != net.Minor || n != byLine || x != tax.Minor || total.Minor != n+x {
			t.Fatalf("%v %v %v: %+v", net, tax, total, sums)
		}
		// The order of the lines is of no matter.
		slices.Reverse(lines)
		if _, _, again, _, err := billing.Totals(lines); err != nil || again != total {
			t.Fatalf("the other way round %v, %v", again, err)
		}
	})
}

func TestTotalsRefuse(t *testing.T) {
	line := func(minor int64) billing.Line { return billing.Line{Net: eur(minor), Tax: rules()[0]} }
	usd, fast, free := line(1), line(1), line(-1)
	usd.Net.Currency, fast.Tax.Ppm, free.Tax = "USD", billing.PpmWhole+1, rules()[1]
	for name, test := range map[string]struct {
		lines []billing.Line
		want  error
	}{
		"none":                  {nil, billing.ErrNothing},
		"two currencies":        {[]billing.Line{line(1), usd}, billing.ErrMixed},
		"more tax than the sum": {[]billing.Line{fast}, billing.ErrRate},
		"less than nothing":     {[]billing.Line{line(1), line(-2)}, billing.ErrNegative},
		"a rule below nothing":  {[]billing.Line{line(5), free}, billing.ErrNegative},
		"more than fits":        {[]billing.Line{line(math.MaxInt64), line(1)}, billing.ErrOverflow},
		"more than fits by tax": {[]billing.Line{line(math.MaxInt64)}, billing.ErrOverflow},
		"a line of no currency": {[]billing.Line{{}}, billing.ErrCurrency},
	} {
		if _, _, _, _, err := billing.Totals(test.lines); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, quantity := range []int64{0, -1, math.MinInt64} {
		if _, err := (billing.Line{Quantity: quantity, Unit: eur(1)}).Priced(); !errors.Is(err, billing.ErrQuantity) {
			t.Errorf("%d: %v", quantity, err)
		}
	}
}

// However an invoice is credited in pieces, each is within what is left and all come
// to it.
func TestCreditsInPiecesComeToTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		_, _, total, left, err := billing.Totals(drawLines(t))
		if err != nil {
			t.Fatal(err)
		}
		if total.IsZero() {
			return
		}
		for open := total.Minor; open > 0; {
			amount := rapid.Int64Range(1, open).Draw(t, "amount")
			if rapid.Bool().Draw(t, "all") {
				amount = open
			}
			parts, err := billing.Credit(left, eur(amount))
			if err != nil {
				t.Fatal(err)
			}
			sum := int64(0)
			for i, p := range parts {
				if p.Net.Minor < 0 || p.Tax.Minor < 0 || p.Net.Minor > left[i].Net.Minor || p.Tax.Minor > left[i].Tax.Minor {
					t.Fatalf("%+v of %+v", p, left[i])
				}
				left[i].Net.Minor -= p.Net.Minor
				left[i].Tax.Minor -= p.Tax.Minor
				sum += p.Net.Minor + p.Tax.Minor
			}
			if sum != amount {
				t.Fatalf("%d of %d were divided", sum, amount)
			}
			open -= amount
		}
		for _, s := range left {
			if !s.Net.IsZero() || !s.Tax.IsZero() {
				t.Fatalf("left over: %+v", s)
			}
		}
		if _, err := billing.Credit(left, eur(1)); err == nil {
			t.Fatal("a credit of nothing left")
		}
	})
}

// Any life of an invoice balances, and what is receivable is what is open.
func TestPostingsOfAnyLifeBalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		net, tax := rapid.Int64Range(0, 1<<40).Draw(t, "net"), rapid.Int64Range(0, 1<<40).Draw(t, "tax")
		all, open := billing.PostInvoice(eur(net), eur(tax)), net+tax
		for range rapid.IntRange(0, 8).Draw(t, "events") {
			n := rapid.Int64Range(-5, 1<<40).Draw(t, "amount")
			switch rapid.IntRange(0, 2).Draw(t, "event") {
			case 0:
				all, open = append(all, billing.PostPayment("stripe", eur(n))...), open-n
			case 1:
				all, open = append(all, billing.PostRefund("stripe", eur(n))...), open+n
			case 2:
				all, open = append(all, billing.PostCredit(eur(n), eur(n/5))...), open-n-n/5
			}
		}
		left, err := billing.Balances(all)
		if err != nil {
			t.Fatal(err)
		}
		sum := int64(0)
		for _, p := range all {
			if p.Amount.Minor <= 0 || p.Debit == p.Credit {
				t.Fatalf("%+v", p)
			}
		}
		for _, m := range left {
			sum += m.Minor
		}
		if sum != 0 || left[billing.Receivable].Minor != open {
			t.Fatalf("%v; open %d", left, open)
		}
	})
}

func TestStandardRates(t *testing.T) {
	at := func(s string) time.Time {
		d, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	for _, test := range []struct {
		country, day string
		want         int64
	}{
		{"EE", "2025-06-30", 220_000}, {"EE", "2025-07-01", 240_000}, {"FI", "2026-01-01", 255_000}, {"RO", "2025-07-31", 190_000},
		{"RO", "2026-11-21", 210_000}, {"SK", "2024-12-31", 200_000}, {"SK", "2025-01-01", 230_000}, {"CH", "2026-01-01", 81_000}, {"US", "2026-01-01", -1}, {"EE", "2023-01-01", -1},
	} {
		r, ok := billing.RateAt(billing.StandardRates(), test.country, billing.Standard, at(test.day))
		if ok != (test.want >= 0) || ok && r.Ppm != test.want {
			t.Errorf("%s on %s: %+v %v", test.country, test.day, r, ok)
		}
	}
	in := map[string]bool{}
	for _, r := range billing.StandardRates() {
		in[r.Country] = true
	}
	if len(in) != 30 {
		t.Errorf("%d countries", len(in))
	}
	union := 0
	for c := range in {
		if billing.InEU(c) {
			union++
		}
	}
	if union != 27 || billing.InEU("GB") || billing.InEU("") || billing.InEU(" D") || billing.InEU("E ") {
		t.Errorf("%d in the union", union)
	}
}

func TestDunningEndsItsTries(t *testing.T) {
	d, due := billing.DefaultDunning(), time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	var days []int
	for failed := 0; ; failed++ {
		at, more := d.Next(due, failed)
		if !more {
			break
		}
		days = append(days, int(at.Sub(due).Hours()/24))
	}
	if !slices.Equal(days, []int{0, 1, 3, 5, 7}) {
		t.Error(days)
	}
	if _, more := d.Next(due, -1); more {
		t.Error("a try after less than none")
	}
}

func TestTaxIDOf(t *testing.T) {
	for id, want := range map[string]bool{"DE123456789": true, "de 123.456-789": true, "EL123456789": false, "DE": false, "DE1": false, "DE!!": false, "DEABCDEF": false, "": false, "DE1234567890123": false} {
		if got := billing.TaxIDOf(id, "DE"); got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
	if !billing.TaxIDOf("EL123456789", "GR") || billing.TaxIDOf("GR123456789", "GR") || billing.TaxIDOf("12", "") {
		t.Error("Greece writes EL")
	}
}
