package billing

import (
	"testing"

	"pgregory.net/rapid"
)

func TestThePrepaidStage(t *testing.T) {
	for _, c := range []struct {
		balance, used, warn int64
		want                LimitStage
	}{
		{10000, 4900, 0, LimitFine},
		{10000, 8000, 0, LimitNear}, // a fifth is left
		{10000, 7999, 0, LimitFine},
		{10000, 9999, 0, LimitNear},
		{10000, 10000, 0, LimitReached},
		{10000, 5000, 5000, LimitNear},
		{10000, 4999, 5000, LimitFine},
		{0, 0, 0, LimitReached}, // nothing was paid ahead
		{-500, 0, 100, LimitReached},
	} {
		if got := PrepaidStage(c.balance, c.used, c.warn); got != c.want {
			t.Errorf("%d with %d used, warned at %d: %q, want %q", c.balance, c.used, c.warn, got, c.want)
		}
	}
}

// A balance never pays more than it is nor than is owed, leaves nothing unpaid while it has
// something, and pays the first before the next; the books agree with what it has left.
func TestDrawingOnABalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		balance := rapid.Int64Range(-1000, 10_000).Draw(t, "balance")
		owed := rapid.SliceOfN(rapid.Int64Range(-100, 4000), 0, 8).Draw(t, "owed")
		posted := PostTopUp("stripe", Money{balance, "EUR"})
		left, short := balance, false
		for i, part := range Draw(balance, owed) {
			if part < 0 || part > max(owed[i], 0) {
				t.Fatalf("%d of %d", part, owed[i])
			}
			if short && part > 0 {
				t.Fatal("a later one is paid before an earlier one")
			}
			short = short || part < owed[i]
			left -= part
			posted = append(posted, PostDrawn(Money{part, "EUR"})...)
		}
		if left < min(balance, 0) || short && left > 0 {
			t.Fatalf("%d left", left)
		}
		back := rapid.Int64Range(-500, 500).Draw(t, "back")
		posted = append(append(posted, PostPrepaidWithdrawn(Money{back, "EUR"})...), PostPrepaidPaidOut("stripe", Money{back, "EUR"})...)
		books, err := Balances(posted)
		if err != nil || -books[Prepaid].Minor != left-back || books[PrepaidRefunds].Minor != 0 {
			t.Fatalf("the books hold %v, %d are left: %v", books, left-back, err)
		}
	})
}
