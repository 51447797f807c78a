package billing_test

import (
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing"
)

func TestDueAfter(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) time.Time {
		x, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for name, c := range map[string]struct {
		due, issued string
		days        int
		want        string
	}{
		"net 30 after three days ahead":   {"2026-11-15T10:00:00Z", "2026-11-12T10:00:00Z", 30, "2026-12-12T10:00:00Z"},
		"none of their own":               {"2026-11-15T10:00:00Z", "2026-11-12T10:00:00Z", 0, "2026-11-15T10:00:00Z"},
		"fewer than it is invoiced ahead": {"2026-11-15T10:00:00Z", "2026-11-12T10:00:00Z", 2, "2026-11-15T10:00:00Z"},
		"over the end of summer time":     {"2026-10-20T10:00:00Z", "2026-10-20T10:00:00Z", 14, "2026-11-03T11:00:00Z"},
		"a month's end":                   {"2027-01-31T23:30:00Z", "2027-01-31T23:30:00Z", 30, "2027-03-02T23:30:00Z"},
		"a leap day":                      {"2028-02-01T00:00:00Z", "2028-02-01T00:00:00Z", 28, "2028-02-29T00:00:00Z"},
	} {
		if got := billing.DueAfter(at(c.due), at(c.issued), c.days, berlin); !got.Equal(at(c.want)) {
			t.Errorf("%s: %s, want %s", name, got.Format(time.RFC3339), c.want)
		}
	}
}

// More days are never due sooner, and nobody has less time than without.
func TestMoreDaysAreNeverDueSooner(t *testing.T) {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	issued := time.Date(2026, 1, 1, 2, 30, 0, 0, time.UTC)
	for range 400 {
		issued = issued.Add(23*time.Hour + 7*time.Minute)
		due := issued.Add(72 * time.Hour)
		before := due
		for days := range billing.MostTermDays + 1 {
			at := billing.DueAfter(due, issued, days, zone)
			if at.Before(before) || at.Before(due) {
				t.Fatalf("issued %s, %d days: due %s, with a day less %s", issued, days, at, before)
			}
			before = at
		}
	}
}
