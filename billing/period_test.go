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
