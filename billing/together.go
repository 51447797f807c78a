package billing

import "time"

// MostTogether is how many lines one invoice over several renewals has at most; those of
// one renewal stay together.
const MostTogether = 400

// Renewing is a renewal that may share its invoice with others.
type Renewing struct {
	Account  string
	Day      string // on which its period begins, where the customer is
	Currency string
	Method   string // that it is collected with; empty: the usual one
	Chased   string // whose days are counted when it is not paid; empty: the usual ones
	Ahead    bool   // its invoice is made before the period begins
	Alone    bool   // it shares with none
	Lines    int    // that it puts on the invoice
}

// Together says which renewals share an invoice, as their indexes: those of one account,
// day, currency, method and days of dunning that are made at one time. Groups and what is in them keep the
// order in which they were given.
func Together(all []Renewing) (groups [][]int) {
	lines := map[int]int{} // of a group
	last := map[Renewing]int{}
	for i, r := range all {
		of := r
		of.Lines = 0
		at, known := last[of]
		if known && !r.Alone && lines[at]+r.Lines <= MostTogether {
			groups[at], lines[at] = append(groups[at], i), lines[at]+r.Lines
			continue
		}
		last[of], lines[len(groups)] = len(groups), r.Lines
		groups = append(groups, []int{i})
	}
	return groups
}

// TogetherAt is when the invoice of periods that begin on one day is made: as that day
// begins in zone, so many days ahead. All of a day have one moment, whatever the time of
// day their periods begin at, so that they can share an invoice. A short period is never
// made known before a quarter of it.
func TogetherAt(p Period, ahead int, zone *time.Location) time.Time {
	local := p.From.In(zone)
	if !p.To.IsZero() {
		ahead = min(ahead, int(p.To.Sub(p.From)/(4*day)))
	}
	return time.Date(local.Year(), local.Month(), local.Day()-min(ahead, mostTogetherAhead), 0, 0, 0, 0, zone).UTC()
}

// mostTogetherAhead is a quarter of the shortest month, so that a month's period and a
// year's are invoiced on one day.
const mostTogetherAhead = 6
