package billing

import "time"

// Dunning is what follows when an invoice is not paid, counted from the day it is due.
type Dunning struct {
	Tries        []time.Duration // when a saved method is charged, the first one included
	SuspendAfter time.Duration
	EndAfter     time.Duration
}

const day = 24 * time.Hour

// DefaultDunning charges on the day it is due and one, three, five and seven days
// later, suspends after seven and ends after twenty-one.
func DefaultDunning() Dunning {
	return Dunning{Tries: []time.Duration{0, day, 3 * day, 5 * day, 7 * day}, SuspendAfter: 7 * day, EndAfter: 21 * day}
}

// Next is when to try again after so many failed tries of an invoice due at due. It
// reports false when nothing more is tried.
func (d Dunning) Next(due time.Time, failed int) (time.Time, bool) {
	if failed < 0 || failed >= len(d.Tries) {
		return time.Time{}, false
	}
	return due.Add(d.Tries[failed]), true
}
