package billing

import "time"

// Cycle is how often a price is due.
type Cycle string

// The cycles, the shortest first.
const (
	Hourly     Cycle = "hourly"
	Monthly    Cycle = "monthly"
	Quarterly  Cycle = "quarterly"
	SemiAnnual Cycle = "semi_annual"
	Annual     Cycle = "annual"
	Biennial   Cycle = "biennial"
	Triennial  Cycle = "triennial"
	OneTime    Cycle = "one_time"
)

// Words say how often a cycle comes: "a month".
func (c Cycle) Words() string {
	switch c {
	case Hourly:
		return "a month beside its hours"
	case Monthly:
		return "a month"
	case Quarterly:
		return "a quarter"
	case SemiAnnual:
		return "half a year"
	case Annual:
		return "a year"
	case Biennial:
		return "two years"
	case Triennial:
		return "three years"
	case OneTime:
		return "once"
	}
	return string(c)
}

// Months is how many months a period of the cycle has; 0 for what is paid once. What is paid
// by the hour has periods of a month: its hours are counted and invoiced by them.
func (c Cycle) Months() int {
	switch c {
	case Hourly, Monthly:
		return 1
	case Quarterly:
		return 3
	case SemiAnnual:
		return 6
	case Annual:
		return 12
	case Biennial:
		return 24
	case Triennial:
		return 36
	default:
		return 0
	}
}

// Period is a time from its first moment up to, and without, its last: [From, To), UTC.
type Period struct{ From, To time.Time }

// Contains reports whether t lies in the period.
func (p Period) Contains(t time.Time) bool { return !t.Before(p.From) && t.Before(p.To) }

// Period is the nth period, from 0, of a subscription that began at the anchor. Each
// keeps the anchor's day and time of day in zone, and in a month that has no such day
// falls on its last: 31 January is followed by 28 February and that by 31 March. A
// cycle without months has one period without end: To is zero.
func (c Cycle) Period(anchor time.Time, n int, zone *time.Location) Period {
	months := c.Months()
	if months == 0 {
		return Period{From: anchor.UTC()}
	}
	return Period{From: addMonths(anchor, n*months, zone), To: addMonths(anchor, (n+1)*months, zone)}
}

// addMonths moves t by whole months in zone, keeping its day where the month has it. Of a time
// of day that the clocks skip there, or pass twice, Go takes one or the other; never is it
// another day, and no months on it is t itself.
func addMonths(t time.Time, months int, zone *time.Location) time.Time {
	if months == 0 {
		return t.UTC()
	}
	local := t.In(zone)
	year, month, day := local.Date()
	last := time.Date(year, month+time.Month(months)+1, 0, 0, 0, 0, 0, time.UTC) // in some zones a day has no midnight
	day = min(day, last.Day())
	to := time.Date(last.Year(), last.Month(), day, local.Hour(), local.Minute(), local.Second(), local.Nanosecond(), zone)
	if to.Day() != day { // the clocks skip it, and it was taken by those of after: by those of before it is later
		_, before := to.Zone()
		_, after := to.AddDate(0, 0, 1).Zone()
		to = to.Add(time.Duration(after-before) * time.Second)
	}
	return to.UTC()
}
