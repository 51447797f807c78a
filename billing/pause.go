package billing

import "time"

// Year is the time within which pauses are counted.
const Year = 365 * day

// Later is the period moved by a time.
func (p Period) Later(by time.Duration) Period { return Period{From: p.From.Add(by), To: p.To.Add(by)} }

// Resumed is what is paid when a pause ends: the periods that were paid and not over
// when it began, each later by the pause. What was left of a price is left of it still,
// to the cent, and nothing is paid for the time of the pause.
func Resumed(paid []Period, pause Period) []Period {
	by := max(pause.To.Sub(pause.From), 0)
	moved := make([]Period, len(paid))
	for i, p := range paid {
		moved[i] = p.Later(by)
	}
	return moved
}

// PauseLeft is how long somebody may pause from now who may pause so long within a Year:
// what their pauses of the year before have left of it.
func PauseLeft(most time.Duration, past []Period, now time.Time) time.Duration {
	since := now.Add(-Year)
	for _, p := range past {
		if p.From.Before(since) {
			p.From = since
		}
		if p.To.After(now) {
			p.To = now
		}
		most -= max(p.To.Sub(p.From), 0)
	}
	return max(most, 0)
}
