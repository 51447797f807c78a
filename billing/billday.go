package billing

import "time"

// BillDay says that from a moment on months begin on a day of the month, 1 to 28, UTC.
type BillDay struct {
	From time.Time `json:"from"`
	Day  int       `json:"day"`
}

// BillMonth is the month of billing that a moment lies in: from a bill day to the next one.
// Before the first of days, which are in order, months are calendar months. Where the bill day
// changes there is one shorter month.
func BillMonth(days []BillDay, at time.Time) Period {
	at = at.UTC()
	now, next := BillDay{Day: 1}, time.Time{}
	for _, d := range days {
		if at.Before(d.From) {
			next = d.From.UTC()
			break
		}
		now = d
	}
	from := time.Date(at.Year(), at.Month(), now.Day, 0, 0, 0, 0, time.UTC)
	if from.After(at) {
		from = from.AddDate(0, -1, 0)
	}
	p := Period{From: from, To: from.AddDate(0, 1, 0)}
	if p.From.Before(now.From) {
		p.From = now.From.UTC()
	}
	if !next.IsZero() && next.Before(p.To) {
		p.To = next
	}
	return p
}

// MonthLength is the time that a price for a month is for, in a month of billing: a whole one
// from its first day on. Only the month in which the bill day changed is shorter.
func MonthLength(month Period) time.Duration {
	from := month.From.UTC()
	return from.AddDate(0, 1, 0).Sub(from)
}

// ChangeBillDay has months begin on another day once the month is over that a moment lies in:
// nothing that began before changes. A change that was to come is replaced.
func ChangeBillDay(days []BillDay, day int, now time.Time) []BillDay {
	kept := make([]BillDay, 0, len(days)+1)
	is := 1
	for _, d := range days {
		if !d.From.After(now) {
			kept, is = append(kept, d), d.Day
		}
	}
	if is == day {
		return kept
	}
	return append(kept, BillDay{From: BillMonth(kept, now).To, Day: day})
}
