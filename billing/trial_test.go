package billing_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func TestTrialSteps(t *testing.T) {
	begun := utc("2026-11-22 10:00")
	trial := billing.BeginTrial(begun, 14, time.UTC)
	if trial.Until != utc("2026-12-06 10:00") {
		t.Fatalf("it ends at %v", trial.Until)
	}
	for _, test := range []struct {
		days int
		now  string
		step billing.TrialStep
		next string
	}{
		{14, "2026-11-22 10:00", billing.TrialRuns, "2026-12-03 10:00"},
		{14, "2026-12-03 09:59", billing.TrialRuns, "2026-12-03 10:00"},
		{14, "2026-12-03 10:00", billing.TrialNotice, "2026-12-06 10:00"},
		{14, "2026-12-06 09:59", billing.TrialNotice, "2026-12-06 10:00"},
		{14, "2026-12-06 10:00", billing.TrialOver, ""},
		{14, "2027-03-01 00:00", billing.TrialOver, ""},
		{2, "2026-11-22 10:00", billing.TrialRuns, "2026-11-23 10:00"}, // told when half of it is over
		{2, "2026-11-23 10:00", billing.TrialNotice, "2026-11-24 10:00"},
	} {
		step, next := billing.BeginTrial(begun, test.days, time.UTC).Step(utc(test.now))
		want := time.Time{}
		if test.next != "" {
			want = utc(test.next)
		}
		if step != test.step || !next.Equal(want) {
			t.Errorf("%d days at %s: %v, next %v", test.days, test.now, step, next)
		}
	}
}

// The days are the customer's: a trial over the end of summer time ends at the same hour.
func ExampleBeginTrial() {
	berlin, _ := time.LoadLocation("Europe/Berlin")
	trial := billing.BeginTrial(time.Date(2026, 10, 20, 9, 30, 0, 0, berlin), 7, berlin)
	fmt.Println(trial.Until.In(berlin).Format("2 January 15:04"), trial.Until.Sub(trial.From))
	// Output: 27 October 09:30 169h0m0s
}

// Whoever looks whenever they are told to sees the notice once and the end once, and the
// first paid period begins where the trial ends, so that no moment is paid for twice.
func TestTrialsComeToAnEnd(t *testing.T) {
	zones := []*time.Location{time.UTC, zoneOf(t, "Europe/Berlin"), zoneOf(t, "America/New_York")}
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		from := time.Unix(rapid.Int64Range(1.7e9, 1.9e9).Draw(t, "from"), 0)
		trial := billing.BeginTrial(from, rapid.IntRange(-3, 400).Draw(t, "days"), zone)
		if length := trial.Until.Sub(trial.From); length < 23*time.Hour || length > billing.MostTrial*24*time.Hour+time.Hour {
			t.Fatalf("it lasts %s", length)
		}
		var seen []billing.TrialStep
		for now := from; ; {
			step, next := trial.Step(now)
			seen = append(seen, step)
			if step == billing.TrialOver {
				break
			}
			if !next.After(now) {
				t.Fatalf("at %v it is looked at again at %v", now, next)
			}
			now = next
		}
		if fmt.Sprint(seen) != fmt.Sprint([]billing.TrialStep{billing.TrialRuns, billing.TrialNotice, billing.TrialOver}) {
			t.Fatalf("steps %v", seen)
		}
		at := from.Add(time.Duration(rapid.Int64Range(0, int64(400*24*time.Hour)).Draw(t, "cut")))
		cut := trial.Cut(at)
		if cut.Until.After(trial.Until) || cut.Until.After(at) && !cut.Until.Equal(trial.Until) {
			t.Fatalf("cut at %v it ends at %v", at, cut.Until)
		}
		if first := billing.Monthly.Period(cut.Until, 0, zone); !first.From.Equal(cut.Until) || !first.To.After(cut.Until) {
			t.Fatalf("the first period is %v", first)
		}
	})
}

func TestLongerTrials(t *testing.T) {
	for _, test := range []struct{ days, more, want int }{{14, 7, 21}, {14, 0, 14}, {14, -3, 14}, {14, 1 << 62, billing.MostTrial}, {90, 90, 180}, {90, 91, 180}} {
		if got := billing.LongerTrial(test.days, test.more); got != test.want {
			t.Errorf("%d and %d more: %d, want %d", test.days, test.more, got, test.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		days, more := rapid.IntRange(1, billing.MostTrial).Draw(t, "days"), rapid.Int().Draw(t, "more")
		if got := billing.LongerTrial(days, more); got < days || got > billing.MostTrial {
			t.Fatalf("%d", got)
		}
	})
}
