package billing_test

import (
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing"
)

// What others publish, where their rule is ours; see each for where it stands.

// https://docs.stripe.com/billing/subscriptions/prorations ("How prorations work"): from 10 to
// 20 dollars a month halfway is 5 dollars more: 5 back for unused time, 10 for what remains.
func TestProrationAsStripePublishesIt(t *testing.T) {
	for _, begin := range []time.Time{utc("2026-11-01 00:00"), utc("2027-01-31 09:30"), utc("2028-02-01 00:00")} { // months of 30, 28 and 29 days
		month := billing.Monthly.Period(begin, 0, time.UTC)
		got, err := billing.Change{At: begin.Add(month.To.Sub(month.From) / 2), Zone: time.UTC, Paid: []billing.Period{month},
			Old: terms("monthly", plan("S", 1000, "USD")), New: terms("monthly", plan("L", 2000, "USD")), Upgrade: billing.UpgradeProrate}.Price()
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Lines) != 2 || got.Lines[0].Net.Minor != -500 || got.Lines[1].Net.Minor != 1000 || got.Net.Minor != 500 || got.Amount.Minor != 2000 || !got.NextAt.Equal(month.To) {
			t.Errorf("halfway through %v: %s", month, say(got))
		}
	}
}

// https://docs.stripe.com/billing/subscriptions/billing-cycle: what begins on 2 September is
// billed on the 2nd of each month; what begins on 31 January on the last of February, of a
// leap year too, then on 31 March, 30 April and so on.
func TestDaysOfBillingAsStripePublishesThem(t *testing.T) {
	for begin, want := range map[string][]string{
		"2026-09-02 00:00": {"2026-09-02", "2026-10-02", "2026-11-02", "2026-12-02", "2027-01-02"},
		"2027-01-31 00:00": {"2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30", "2027-05-31"},
		"2028-01-31 00:00": {"2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30", "2028-05-31"},
	} {
		for n, day := range want {
			if got := billing.Monthly.Period(utc(begin), n, time.UTC).From.Format(time.DateOnly); got != day {
				t.Errorf("period %d of %s begins on %s, want %s", n, begin, got, day)
			}
		}
	}
}
