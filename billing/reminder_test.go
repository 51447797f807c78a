package billing_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func TestRemindersByExample(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	of := time.Date(2027, 4, 10, 7, 30, 0, 0, time.UTC) // 09:30 in Berlin, in summer
	r := billing.Reminders{30, 7}
	first, second := time.Date(2027, 3, 11, 8, 30, 0, 0, time.UTC), time.Date(2027, 4, 3, 7, 30, 0, 0, time.UTC) // the first is in winter: 09:30 too
	for _, x := range []struct {
		now  time.Time
		due  int
		next time.Time
	}{
		{first.Add(-time.Nanosecond), 0, first},
		{first, 30, second},
		{first.AddDate(0, 0, 2), 30, second},
		{first.AddDate(0, 0, 2).Add(time.Nanosecond), 0, second}, // too late for it
		{second, 7, time.Time{}},
		{of, 0, time.Time{}},
	} {
		if due, next := r.Due(of, x.now, berlin), r.Next(of, of, x.now, berlin); due != x.due || !next.Equal(x.next) {
			t.Errorf("at %s: %d due, next %s", x.now, due, next)
		}
	}
	if at := r.Next(of, second, first, berlin); !at.IsZero() {
		t.Errorf("not before its invoice is made: %s", at)
	}
	for _, bad := range []billing.Reminders{{0}, {-1}, {91}, {7, 7}, {7, 30}, {5, 4, 3, 2, 1}, {28}} {
		if err := bad.Check(min(27, 366)); !errors.Is(err, billing.ErrReminders) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if err := (billing.Reminders{90, 1}).Check(366); err != nil {
		t.Error(err)
	}
}

// TestRemindersGoOutOnce walks from look to look, as the agenda does: each reminder is due
// at exactly one of them, in turn.
func TestRemindersGoOutOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		days := rapid.SliceOfNDistinct(rapid.IntRange(1, billing.MostReminderDays), 0, billing.MostReminders, rapid.ID[int]).Draw(t, "days")
		slices.Sort(days)
		slices.Reverse(days)
		zone := time.FixedZone("", rapid.IntRange(-12, 14).Draw(t, "zone")*3600)
		of := time.Unix(rapid.Int64Range(1_700_000_000, 1_900_000_000).Draw(t, "of"), 0)
		r := billing.Reminders(days)
		if err := r.Check(366); err != nil {
			t.Fatal(err)
		}
		var out []int
		for now := of.AddDate(-1, 0, 0); ; {
			now = r.Next(of, of, now, zone)
			if now.IsZero() {
				break
			}
			out = append(out, r.Due(of, now, zone))
		}
		if !slices.Equal(out, days) {
			t.Fatalf("of %v went out %v", days, out)
		}
	})
}
