package billing_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing"
)

func TestWhatIsOwedByAge(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	eur := func(n int64) billing.Money { return billing.Money{Minor: n, Currency: "EUR"} }
	a := billing.Aged{Currency: "EUR"}
	for i, late := range []time.Duration{-time.Second, 0, 30*24*time.Hour - 1, 30 * 24 * time.Hour, 60 * 24 * time.Hour, 90 * 24 * time.Hour, 4000 * time.Hour} {
		a.Add(eur(1<<i), now.Add(-late), now)
	}
	if want := (billing.Aged{Currency: "EUR", NotDue: eur(1), Days30: eur(2 + 4), Days60: eur(8), Days90: eur(16), Older: eur(32 + 64)}); a != want || a.Total() != eur(127) {
		t.Errorf("%+v, in all %v", a, a.Total())
	}
}

// Whatever is booked between two accounts, a trial balance comes to nothing.
func TestTrialSums(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 20261122))
	for range 200 {
		var lines []billing.TrialLine
		for _, currency := range []string{"EUR", "JPY", "KWD"} {
			m := func(n int64) billing.Money { return billing.Money{Minor: n, Currency: currency} }
			books := map[string]*billing.TrialLine{}
			for _, name := range []string{"a", "b", "c"} {
				books[name] = &billing.TrialLine{Account: name, Currency: currency, Opening: m(0), Debit: m(0), Credit: m(0)}
			}
			for range rnd.IntN(20) {
				names := []string{"a", "b", "c"}
				rnd.Shuffle(3, func(i, j int) { names[i], names[j] = names[j], names[i] })
				n := rnd.Int64N(1_000_000)
				if rnd.IntN(2) == 0 {
					books[names[0]].Opening.Minor += n
					books[names[1]].Opening.Minor -= n
					continue
				}
				books[names[0]].Debit.Minor += n
				books[names[1]].Credit.Minor += n
			}
			lines = append(lines, *books["a"], *books["b"], *books["c"])
		}
		sums := billing.TrialSums(lines)
		if len(sums) != 3 || slices.ContainsFunc(sums, func(l billing.TrialLine) bool { return l.Opening.Minor != 0 || l.Closing().Minor != 0 }) {
			t.Fatalf("%+v", sums)
		}
	}
}
