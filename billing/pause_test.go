package billing_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func TestAPauseMovesWhatIsPaid(t *testing.T) {
	month := billing.Monthly.Period(utc("2026-11-01 00:00"), 0, time.UTC)
	next := billing.Monthly.Period(utc("2026-11-01 00:00"), 1, time.UTC)
	pause := billing.Period{From: utc("2026-11-11 00:00"), To: utc("2026-11-25 12:00")}
	moved := billing.Resumed([]billing.Period{month, next}, pause)
	want := []billing.Period{{From: utc("2026-11-15 12:00"), To: utc("2026-12-15 12:00")}, {From: utc("2026-12-15 12:00"), To: utc("2027-01-15 12:00")}}
	for i := range want {
		if moved[i] != want[i] {
			t.Errorf("period %d is %v, want %v", i, moved[i], want[i])
		}
	}
	// Twenty of thirty days were left, and are.
	if left, err := billing.Rest(eur(900), moved[0], pause.To); err != nil || left != eur(600) {
		t.Errorf("%s are left, %v", left, err)
	}
}

// However often a subscription is paused, what its stretches cost comes to the price, and
// the time that is used is the time that was paid.
func TestPausesLoseNothing(t *testing.T) {
	zones := []*time.Location{time.UTC, zoneOf(t, "Europe/Berlin"), zoneOf(t, "America/New_York")}
	rapid.Check(t, func(t *rapid.T) {
		anchor := time.Unix(rapid.Int64Range(1.7e9, 1.9e9).Draw(t, "anchor"), 0)
		cycle := rapid.SampledFrom([]billing.Cycle{billing.Monthly, billing.Quarterly, billing.Annual}).Draw(t, "cycle")
		p := cycle.Period(anchor, rapid.IntRange(0, 40).Draw(t, "n"), rapid.SampledFrom(zones).Draw(t, "zone"))
		price := eur(rapid.Int64Range(0, 1e9).Draw(t, "price"))
		length, begin, now := p.To.Sub(p.From), p.From, p.From
		used, cost := time.Duration(0), int64(0)
		spend := func(until time.Time) {
			before, err := billing.Rest(price, p, now)
			if err != nil {
				t.Fatal(err)
			}
			after, err := billing.Rest(price, p, until)
			if err != nil {
				t.Fatal(err)
			}
			used, cost = used+until.Sub(now), cost+before.Minor-after.Minor
		}
		paused := time.Duration(0)
		for range rapid.IntRange(0, 6).Draw(t, "pauses") {
			at := now.Add(time.Duration(rapid.Int64Range(0, int64(p.To.Sub(now))-1).Draw(t, "at")))
			spend(at)
			back := at.Add(time.Duration(rapid.Int64Range(0, int64(billing.Year)).Draw(t, "long")))
			left, _ := billing.Rest(price, p, at)
			p = billing.Resumed([]billing.Period{p}, billing.Period{From: at, To: back})[0]
			if still, err := billing.Rest(price, p, back); err != nil || still != left {
				t.Fatalf("%s were left before the pause and %s after it", left, still)
			}
			now, paused = back, paused+back.Sub(at)
		}
		spend(p.To)
		if used != length || cost != price.Minor || p.To.Sub(begin) != length+paused {
			t.Fatalf("used %s of %s for %d of %s", used, length, cost, price)
		}
	})
}

func TestPausesAreCountedWithinAYear(t *testing.T) {
	now := utc("2026-11-01 00:00")
	past := []billing.Period{
		{From: utc("2025-10-22 00:00"), To: utc("2025-11-11 00:00")}, // ten days of it count
		{From: utc("2026-03-01 00:00"), To: utc("2026-03-06 00:00")},
	}
	for _, c := range []struct {
		most, want time.Duration
		past       []billing.Period
	}{{30 * day, 30 * day, nil}, {30 * day, 15 * day, past}, {10 * day, 0, past}, {0, 0, nil}} {
		if got := billing.PauseLeft(c.most, c.past, now); got != c.want {
			t.Errorf("of %s: %s, want %s", c.most, got, c.want)
		}
	}
	// Whatever is asked for, no year holds more than may be paused in one.
	rapid.Check(t, func(t *rapid.T) {
		most := time.Duration(rapid.IntRange(0, 400).Draw(t, "most")) * day
		at, past := now, []billing.Period(nil)
		for range rapid.IntRange(1, 12).Draw(t, "pauses") {
			at = at.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "wait")) * time.Hour)
			long := min(time.Duration(rapid.IntRange(1, 9000).Draw(t, "ask"))*time.Hour, billing.PauseLeft(most, past, at))
			past = append(past, billing.Period{From: at, To: at.Add(long)})
			at = at.Add(long)
			if left := billing.PauseLeft(billing.Year, past, at); billing.Year-left > most {
				t.Fatalf("%v: %s of a year are paused", past, billing.Year-left)
			}
		}
	})
}
