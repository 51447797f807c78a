package billing

import "time"

// MostTrial is the longest trial, in days, with all that a code adds to it.
const MostTrial = 180

// trialNotice is how long before its end a customer is told that a trial ends.
const trialNotice = 3 * day

// Trial is a time in which something runs and nothing is owed for it.
type Trial struct {
	From  time.Time `json:"from,omitzero"`  // zero: it has not begun
	Until time.Time `json:"until,omitzero"` // the first moment that is paid for
}

// BeginTrial is a trial of some days from a moment, which ends at the same time of day in
// zone. Fewer days than one are one, and more than MostTrial are that many.
func BeginTrial(from time.Time, days int, zone *time.Location) Trial {
	days = min(max(days, 1), MostTrial)
	return Trial{From: from.UTC(), Until: from.In(zone).AddDate(0, 0, days).UTC()}
}

// LongerTrial is how many days a trial has to which a code adds some: never fewer than
// before, and never more than MostTrial.
func LongerTrial(days, more int) int {
	return max(days, min(days+max(min(more, MostTrial), 0), MostTrial))
}

// NoticeAt is when its customer is told that it ends: three days before, and of a short
// trial when half of it is over.
func (t Trial) NoticeAt() time.Time {
	return t.Until.Add(-min(trialNotice, t.Until.Sub(t.From)/2))
}

// TrialStep is what is due of a trial.
type TrialStep int

// The steps of a trial.
const (
	TrialRuns   TrialStep = iota // nothing is due
	TrialNotice                  // its customer is to be told that it ends
	TrialOver                    // the first period begins
)

// Step is what is due of a trial by now, and when it is looked at next; zero once it is
// over.
func (t Trial) Step(now time.Time) (TrialStep, time.Time) {
	switch {
	case !now.Before(t.Until):
		return TrialOver, time.Time{}
	case !now.Before(t.NoticeAt()):
		return TrialNotice, t.Until
	}
	return TrialRuns, t.NoticeAt()
}

// Cut is the trial of somebody who wants to pay from now on: it ends now, if it has not
// ended.
func (t Trial) Cut(now time.Time) Trial {
	if now.Before(t.Until) {
		t.Until = now.UTC()
	}
	return t
}
