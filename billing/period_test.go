package billing_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func TestPeriodsKeepTheAnchorsDay(t *testing.T) {
	anchor := time.Date(2027, 1, 31, 10, 30, 0, 0, time.UTC)
	for n, want := range []string{"2027-01-31", "2027-02-28", "2027-03-31", "2027-04-30"} {
		p := billing.Monthly.Period(anchor, n, time.UTC)
		if got := p.From.Format("2006-01-02"); got != want {
			t.Errorf("period %d begins on %s, want %s", n, got, want)
		}
	}
	leap := billing.Annual.Period(time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC), 1, time.UTC)
	if got := leap.From.Format("2006-01-02"); got != "2029-02-28" {
		t.Errorf("a year after 29 February is %s", got)
	}
}

func TestPeriodsFollowOneAnotherWithoutAGap(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		anchor := time.Unix(rapid.Int64Range(1_600_000_000, 2_000_000_000).Draw(t, "anchor"), 0)
		cycle := rapid.SampledFrom([]billing.Cycle{billing.Monthly, billing.Quarterly, billing.SemiAnnual, billing.Annual, billing.Biennial, billing.Triennial}).Draw(t, "cycle")
		n := rapid.IntRange(0, 60).Draw(t, "n")
		zone := rapid.SampledFrom([]*time.Location{time.UTC, berlin}).Draw(t, "zone")
		p, next := cycle.Period(anchor, n, zone), cycle.Period(anchor, n+1, zone)
		if !p.To.Equal(next.From) || !p.From.Before(p.To) {
			t.Fatalf("%v is followed by %v", p, next)
		}
		if first := cycle.Period(anchor, 0, zone).From; !first.Equal(anchor) {
			t.Fatalf("the first period begins at %v, not at its anchor %v", first, anchor)
		}
	})
}

// Whatever the clocks of the account's zone do, a period begins on the anchor's day, or the
// last one of a month without it, and at its time of day, unless the clocks skip that. Anchors
// lie around the days on which clocks are changed: by an hour or half of one, at night or at
// midnight, in spring and autumn of either half of the world.
func TestPeriodsKeepTheDayThroughAnyClock(t *testing.T) {
	zones := map[string]*time.Location{}
	names := []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut", "Africa/Cairo", "America/Santiago", "America/Havana", "Asia/Kathmandu", "Pacific/Kiritimati"}
	for _, name := range names {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		zones[name] = zone
	}
	naive := func(at time.Time) time.Time {
		return time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), time.UTC)
	}
	rapid.Check(t, func(t *rapid.T) {
		zone := zones[rapid.SampledFrom(names).Draw(t, "zone")]
		day := time.Date(2024, time.Month(rapid.IntRange(1, 48).Draw(t, "month")), rapid.IntRange(1, 31).Draw(t, "day"), 0, 0, 0, 0, time.UTC)
		if start, end := day.In(zone).ZoneBounds(); rapid.Bool().Draw(t, "at a change of the clocks") && !end.IsZero() {
			if day = end; rapid.Bool().Draw(t, "the one before") && !start.IsZero() {
				day = start
			}
		}
		anchor := day.Add(time.Duration(rapid.IntRange(-4*60, 4*60).Draw(t, "minutes")) * time.Minute)
		cycle := rapid.SampledFrom([]billing.Cycle{billing.Monthly, billing.Quarterly, billing.SemiAnnual, billing.Annual, billing.Biennial, billing.Triennial}).Draw(t, "cycle")
		n := rapid.IntRange(0, 36).Draw(t, "n")
		p, local := cycle.Period(anchor, n, zone), anchor.In(zone)
		if n == 0 && !p.From.Equal(anchor) {
			t.Fatalf("the first period begins at %v, not at its anchor %v", p.From.In(zone), local)
		}
		month := time.Date(local.Year(), local.Month()+time.Month(n*cycle.Months()), 1, 0, 0, 0, 0, time.UTC)
		want := month.AddDate(0, 0, min(local.Day(), month.AddDate(0, 1, -1).Day())-1).Add(naive(local).Sub(time.Date(local.Year(), local.Month(), local.Day(), 0, 0, 0, 0, time.UTC)))
		got := naive(p.From.In(zone))
		if got.Year() != want.Year() || got.YearDay() != want.YearDay() {
			t.Fatalf("period %d from %v begins on %v, want %v", n, local, got, want)
		}
		if off := got.Sub(want); off.Abs() > time.Hour || off != 0 && exists(want, zone) {
			t.Fatalf("period %d from %v begins at %v, want %v", n, local, got, want)
		}
		if next := cycle.Period(anchor, n+1, zone); !p.To.Equal(next.From) || !p.From.Before(p.To) {
			t.Fatalf("%v is followed by %v", p, next)
		}
		if at := p.From.Add(p.To.Sub(p.From) / 3); !cycle.Period(anchor, n, zone).Contains(at) {
			t.Fatalf("%v is not within %v", at, p)
		}
	})
}

// exists reports whether the clocks of a zone ever show a time.
func exists(shown time.Time, zone *time.Location) bool {
	for quarters := -60; quarters <= 60; quarters++ { // every offset there is
		at := shown.Add(time.Duration(quarters) * 15 * time.Minute).In(zone)
		if _, offset := at.Zone(); at.Add(time.Duration(offset) * time.Second).UTC().Equal(shown) {
			return true
		}
	}
	return false
}
