package billing

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestMonthsOfABillDay(t *testing.T) {
	at := func(s string) time.Time {
		at, err := time.Parse("2006-01-02", s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	days := ChangeBillDay(nil, 15, at("2026-10-20")) // October stays as it is
	for moment, want := range map[string]string{
		"2026-10-31": "2026-10-01 2026-11-01",
		"2026-11-01": "2026-11-01 2026-11-15", // the short one
		"2026-11-15": "2026-11-15 2026-12-15",
		"2027-02-14": "2027-01-15 2027-02-15",
	} {
		p := BillMonth(days, at(moment))
		if got := fmt.Sprint(p.From.Format("2006-01-02 "), p.To.Format("2006-01-02")); got != want {
			t.Errorf("%s lies in %s, want %s", moment, got, want)
		}
	}
	if days = ChangeBillDay(days, 1, at("2026-10-25")); len(days) != 0 { // taken back before it began
		t.Errorf("%v", days)
	}
	if n := MonthLength(Period{From: at("2026-11-01"), To: at("2026-11-15")}); n != 30*24*time.Hour {
		t.Errorf("half of November is of a month of %s", n)
	}
}

// However often the bill day changes, months follow one another without a gap, none is longer
// than a month, all but those at a change begin on the bill day and are whole, and what began
// before a change stays as it was.
func TestMonthsTileTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Date(2026, 1, 10, 12, 0, 0, 0, time.UTC)
		var days []BillDay
		for range rapid.IntRange(0, 5).Draw(t, "changes") {
			now = now.Add(time.Duration(rapid.IntRange(0, 24*100).Draw(t, "later")) * time.Hour)
			next := ChangeBillDay(days, rapid.IntRange(1, 28).Draw(t, "day"), now)
			for _, back := range []time.Duration{0, 24 * time.Hour, 24 * 45 * time.Hour} {
				if was, is := BillMonth(days, now.Add(-back)), BillMonth(next, now.Add(-back)); !was.From.Equal(is.From) || !was.To.Equal(is.To) {
					t.Fatalf("the month at %s was %v and is %v", now.Add(-back), was, is)
				}
			}
			days = next
		}
		changes := map[time.Time]bool{}
		for _, d := range days {
			changes[d.From.UTC()] = true
		}
		for at := time.Date(2025, 12, 20, 0, 0, 0, 0, time.UTC); at.Year() < 2028; {
			m := BillMonth(days, at)
			if !m.Contains(at) || m.To.After(m.From.AddDate(0, 1, 0)) || m.From.Day() > 28 {
				t.Fatalf("%s lies in %v", at, m)
			}
			if m.To.Sub(m.From) != MonthLength(m) && !changes[m.From] {
				t.Fatalf("%v is short without a change", m)
			}
			if next := BillMonth(days, m.To); !next.From.Equal(m.To) {
				t.Fatalf("%v follows %v", next, m)
			}
			at = m.To
		}
	})
}
