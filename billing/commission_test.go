package billing

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func dayIn(month time.Month, d int) time.Time {
	return time.Date(2026, month, d, 0, 0, 0, 0, time.UTC)
}

func TestCommissionIsOfWhatWasInvoicedLessWhatWasCredited(t *testing.T) {
	month := Period{From: dayIn(11, 1), To: dayIn(12, 1)}
	eur := func(minor int64) Money { return Money{Minor: minor, Currency: "EUR"} }
	tiers := []TierSpan{
		{Tier: "a", Fee: eur(0), CommissionPPM: 150_000, Minimum: eur(30_000), Period: Period{From: dayIn(11, 11), To: dayIn(11, 21)}},
		{Tier: "b", Fee: eur(0), CommissionPPM: 25_000, Period: Period{From: dayIn(11, 21)}},
	}
	revenue := []RevenueEvent{
		{Key: "1", Kind: "invoiced", Currency: "EUR", Minor: 99_999, At: dayIn(11, 10)}, // a trial
		{Key: "2", Kind: "invoiced", Currency: "EUR", Minor: 1_001, At: dayIn(11, 11)},
		{Key: "3", Kind: "credited", Currency: "EUR", Minor: 500, At: dayIn(11, 20)},
		{Key: "4", Kind: "paid", Currency: "EUR", Minor: 1_001, At: dayIn(11, 20)},
		{Key: "5", Kind: "invoiced", Currency: "USD", Minor: 1_001, At: dayIn(11, 20)},
		{Key: "6", Kind: "credited", Currency: "EUR", Minor: 20, At: dayIn(11, 30)},
		{Key: "7", Kind: "invoiced", Currency: "EUR", Minor: 1, At: dayIn(12, 1)}, // next month's
	}
	got, err := Commission(month, revenue, tiers)
	if err != nil || len(got) != 2 {
		t.Fatal(got, err)
	}
	if got[0].Base != eur(501) || got[0].Net != eur(75) || len(got[0].Events) != 2 { // 75.15
		t.Errorf("first tier: %+v", got[0])
	}
	if got[1].Base != eur(-20) || got[1].Net != eur(-1) { // half a cent, away from zero
		t.Errorf("more credited than invoiced: %+v", got[1])
	}
	agreed, err := Agreed(month, tiers)
	if err != nil || agreed != eur(10_000) { // ten days of thirty
		t.Errorf("agreed: %v, %v", agreed, err)
	}
	for billed, want := range map[int64]int64{-5: 10_005, 0: 10_000, 9_999: 1, 10_000: 0, 10_001: 0} {
		if lack, err := ToTheMinimum(agreed, eur(billed)); err != nil || lack != eur(want) {
			t.Errorf("to the minimum of %d: %v, %v; want %d", billed, lack, err, want)
		}
	}
}

// Whatever is billed, with the difference it is at least what is agreed, and no more than
// the larger of both; a month on one tier is agreed whole; cutting it apart moves it by no
// more than a half of the smallest unit a part.
func TestAMonthComesToWhatIsAgreed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		month := Period{From: dayIn(11, 1), To: dayIn(12, 1)}
		minimum := Money{Minor: rapid.Int64Range(1, 1_000_000).Draw(t, "minimum"), Currency: "EUR"}
		var parts []TierSpan
		from := month.From
		for range rapid.IntRange(0, 4).Draw(t, "cuts") {
			to := from.Add(time.Duration(rapid.Int64Range(1, int64(month.To.Sub(from)/time.Microsecond)).Draw(t, "cut")) * time.Microsecond)
			if !to.Before(month.To) {
				break
			}
			parts = append(parts, TierSpan{Minimum: minimum, Period: Period{From: from, To: to}})
			from = to
		}
		parts = append(parts, TierSpan{Minimum: minimum, Period: Period{From: from}})
		agreed, err := Agreed(month, parts)
		if err != nil {
			t.Fatal(err)
		}
		if off := agreed.Minor - minimum.Minor; len(parts) == 1 && off != 0 || 2*max(off, -off) > int64(len(parts)) {
			t.Fatalf("%d parts of %v come to %v", len(parts), minimum, agreed)
		}
		billed := Money{Minor: rapid.Int64Range(-1000, 2_000_000).Draw(t, "billed"), Currency: "EUR"}
		lack, err := ToTheMinimum(agreed, billed)
		if err != nil || lack.Minor < 0 || billed.Minor+lack.Minor != max(billed.Minor, agreed.Minor) {
			t.Fatalf("%v billed, %v agreed, %v to it, %v", billed, agreed, lack, err)
		}
	})
}
