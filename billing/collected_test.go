package billing

import (
	"testing"

	"pgregory.net/rapid"
)

func TestTheFeeForCollecting(t *testing.T) {
	for _, c := range []struct{ payment, ppm, fixed, want int64 }{
		{11900, 29_000, 25, 370}, // 2.9 % of 119.00 is 3.451, and 0.25
		{1999, 20_000, 0, 40},    // 2 % of 19.99 is 0.3998
		{25, 20_000, 0, 1},       // half a cent, away from zero
		{24, 20_000, 0, 0},
		{10, 29_000, 25, 10}, // never more than came
		{11900, 0, 0, 0},
		{0, 29_000, 25, 0},
	} {
		fee, err := CollectionFee{c.ppm, c.fixed}.Of(Money{c.payment, "EUR"})
		if err != nil || fee.Minor != c.want || fee.Currency != "EUR" {
			t.Errorf("%d at %d and %d: %v %v, want %d", c.payment, c.ppm, c.fixed, fee, err, c.want)
		}
	}
}

func TestWhatMayBePaidOut(t *testing.T) {
	for _, c := range []struct{ balance, collected, held, needed, want int64 }{
		{10000, 10000, 0, 0, 10000},
		{10000, 10000, 4000, 0, 6000},    // 40.00 are too young
		{10000, 10000, 4000, 5000, 5000}, // what is needed may be what is too young
		{10000, 10000, 1000, 9500, 500},
		{10000, 3000, 0, 0, 3000}, // the rest was paid ahead
		{10000, 3000, 3000, 0, 0}, // and does not make up for what is held back
		{2000, 2000, 2500, 0, 0},  // an invoice took of what was held back
		{-500, 3000, 0, 0, 0},
		{10000, -500, 0, 0, 0},
		{10000, 10000, 0, -300, 10000}, // what is owed to them adds nothing
	} {
		if got := Payable(c.balance, c.collected, c.held, c.needed); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// Whatever is collected, goes back, is kept and is paid out, the books hold what is owed to
// the reseller, are balanced, and nothing is paid out that is not there.
func TestCollectingBalances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fee := CollectionFee{rapid.Int64Range(0, 500_000).Draw(t, "ppm"), rapid.Int64Range(0, 100).Draw(t, "fixed")}
		var owed, fees, cash int64
		var posted []Posting
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			m := Money{rapid.Int64Range(1, 20_000).Draw(t, "minor"), "EUR"}
			switch rapid.SampledFrom([]string{"payment", "back", "payout"}).Draw(t, "step") {
			case "payment":
				kept, err := fee.Of(m)
				if err != nil || kept.Minor < 0 || kept.Minor > m.Minor {
					t.Fatalf("fee %v of %v: %v", kept, m, err)
				}
				posted = append(append(posted, PostCollected("stripe", m)...), PostCollectionFee(kept)...)
				owed, fees, cash = owed+m.Minor-kept.Minor, fees+kept.Minor, cash+m.Minor
			case "back":
				posted = append(posted, PostCollected("stripe", Money{-m.Minor, "EUR"})...)
				owed, cash = owed-m.Minor, cash-m.Minor
			case "payout":
				m.Minor = Payable(owed, owed, 0, 0)
				if m.Minor > max(owed, 0) {
					t.Fatalf("%d of %d paid out", m.Minor, owed)
				}
				posted = append(posted, PostPaidOut("transfer", m)...)
				owed -= m.Minor
			}
		}
		books, err := Balances(posted)
		if err != nil {
			t.Fatal(err)
		}
		var sum int64
		for _, m := range books {
			sum += m.Minor
		}
		if sum != 0 || -books[Prepaid].Minor != owed || -books[CollectionFees].Minor != fees || books[Cash("stripe")].Minor != cash {
			t.Fatalf("%v: owed %d, fees %d, cash %d", books, owed, fees, cash)
		}
	})
}
