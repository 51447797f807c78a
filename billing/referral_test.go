package billing_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func TestReferralVerdicts(t *testing.T) {
	paid := utc("2026-11-01 10:00")
	good := billing.ReferralFacts{Least: 1000, Paid: 1190, PaidAt: paid, Wait: 14 * 24 * time.Hour, MostAYear: 3}
	for _, test := range []struct {
		name   string
		change func(*billing.ReferralFacts)
		now    string
		want   string
	}{
		{"both", func(*billing.ReferralFacts) {}, "2026-11-15 10:00", "granted  true true"},
		{"a moment early", func(*billing.ReferralFacts) {}, "2026-11-15 09:59", "waiting  false false"},
		{"paid by credit", func(f *billing.ReferralFacts) { f.Paid = 0 }, "2026-12-15 10:00", "joined  false false"},
		{"too little", func(f *billing.ReferralFacts) { f.Paid = 999 }, "2026-12-15 10:00", "joined  false false"},
		{"free, where any sum is enough", func(f *billing.ReferralFacts) { f.Paid, f.Least = 0, 0 }, "2026-12-15 10:00", "joined  false false"},
		{"a part went back", func(f *billing.ReferralFacts) { f.Paid, f.Returned = 400, true }, "2026-11-03 10:00", "refused given_back false false"},
		{"one card", func(f *billing.ReferralFacts) { f.Alike = billing.ReferralSameCard }, "2026-11-01 10:00", "refused same_card false false"},
		{"the second of two", func(f *billing.ReferralFacts) { f.Granted = 2 }, "2026-11-15 10:00", "granted  true true"},
		{"one too many", func(f *billing.ReferralFacts) { f.Granted = 3 }, "2026-11-15 10:00", "granted limit false true"},
		{"no limit", func(f *billing.ReferralFacts) { f.Granted, f.MostAYear = 300, 0 }, "2026-11-15 10:00", "granted  true true"},
		{"switched off", func(f *billing.ReferralFacts) { f.NoTerms = true }, "2026-11-15 10:00", "refused no_terms false false"},
		{"closed", func(f *billing.ReferralFacts) { f.Closed = true }, "2026-11-15 10:00", "refused closed false false"},
	} {
		f := good
		test.change(&f)
		v := f.Decide(utc(test.now))
		if got := fmt.Sprintf("%s %s %v %v", v.State, v.Reason, v.Referrer, v.Newcomer); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}

// Twenty euros were paid on the first; the money may go back for fourteen days.
func ExampleReferralFacts_Decide() {
	paid := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	f := billing.ReferralFacts{Least: 1000, Paid: 2000, PaidAt: paid, Wait: 14 * 24 * time.Hour}
	v := f.Decide(paid)
	fmt.Println(v.State, v.LookAt.Format(time.DateOnly))
	v = f.Decide(v.LookAt)
	fmt.Println(v.State, v.Referrer, v.Newcomer)
	// Output:
	// waiting 2026-11-15
	// granted true true
}

// Credit is given only for money that stayed as long as it had to, to two who are not
// one; whoever looks when told to is told the end.
func TestReferralsAreEarned(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := billing.ReferralFacts{
			Least: rapid.Int64Range(0, 5000).Draw(t, "least"), Paid: rapid.Int64Range(-10, 9000).Draw(t, "paid"), PaidAt: time.Unix(rapid.Int64Range(1.7e9, 1.9e9).Draw(t, "at"), 0),
			Wait: time.Duration(rapid.IntRange(0, 90).Draw(t, "wait")) * 24 * time.Hour, Returned: rapid.Bool().Draw(t, "returned"), Alike: rapid.SampledFrom([]string{"", "", "", billing.ReferralSamePerson}).Draw(t, "alike"),
			Closed: rapid.Bool().Draw(t, "closed"), Granted: rapid.IntRange(0, 5).Draw(t, "granted"), MostAYear: rapid.IntRange(0, 5).Draw(t, "most"),
		}
		now := f.PaidAt.Add(time.Duration(rapid.Int64Range(0, int64(100*24*time.Hour)).Draw(t, "later")))
		v := f.Decide(now)
		if v.Referrer && !v.Newcomer || v.Newcomer != (v.State == billing.ReferralGranted) || (v.State == billing.ReferralRefused) != (v.Reason != "" && v.State != billing.ReferralGranted) {
			t.Fatalf("%+v", v)
		}
		if v.Newcomer && (f.Paid <= 0 || f.Paid < f.Least || f.Returned || f.Alike != "" || f.Closed || now.Before(f.PaidAt.Add(f.Wait))) {
			t.Fatalf("given for nothing: %+v of %+v", v, f)
		}
		if v.Referrer && f.MostAYear > 0 && f.Granted >= f.MostAYear {
			t.Fatalf("more than a year allows: %+v of %+v", v, f)
		}
		if v.State == billing.ReferralWaiting {
			if !v.LookAt.After(now) || f.Decide(v.LookAt).State != billing.ReferralGranted {
				t.Fatalf("looked at %v it is %+v", v.LookAt, f.Decide(v.LookAt))
			}
		}
	})
}
