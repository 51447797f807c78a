package billing

import (
	"errors"
	"slices"
	"time"
)

// MostReminders is how many letters go out before one renewal, and MostReminderDays how
// long before it the first of them may.
const (
	MostReminders    = 4
	MostReminderDays = 90
)

// reminderLate is how long after its time a reminder still goes out: later than that,
// its news is old.
const reminderLate = 2 * day

// ErrReminders is returned for days that cannot be kept.
var ErrReminders = errors.New("billing: no days of reminders")

// Reminders are how many days before something letters go out about it, the most days
// first; nil: none do.
type Reminders []int

// Check is ErrReminders for days that repeat, are too many, or do not lie within what they
// come before: the longest is how many days that is.
func (r Reminders) Check(longest int) error {
	if len(r) > MostReminders {
		return ErrReminders
	}
	for i, d := range r {
		if d < 1 || d > min(longest, MostReminderDays) || i > 0 && d >= r[i-1] {
			return ErrReminders
		}
	}
	return nil
}

// at is when a reminder goes out: so many days earlier in zone, at the same time of day.
func (r Reminders) at(i int, of time.Time, zone *time.Location) time.Time {
	return of.In(zone).AddDate(0, 0, -r[i]).UTC()
}

// Due is the reminder about a moment that is to go out now, as its days; 0: none is. Of
// several whose time has come it is the last one, and one whose time came more than two
// days ago is left out.
func (r Reminders) Due(of, now time.Time, zone *time.Location) int {
	for i := range slices.Backward(r) {
		if at := r.at(i, of, zone); !now.Before(at) {
			if now.Sub(at) > reminderLate || !now.Before(of) {
				return 0
			}
			return r[i]
		}
	}
	return 0
}

// Next is when the next reminder about a moment goes out, after now and before a time;
// zero: none does.
func (r Reminders) Next(of, before, now time.Time, zone *time.Location) time.Time {
	for i := range r {
		if at := r.at(i, of, zone); at.After(now) && at.Before(before) {
			return at
		}
	}
	return time.Time{}
}
