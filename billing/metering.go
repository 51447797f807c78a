package billing

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"
)

// Aggregation is how the events of a meter become one quantity a period.
type Aggregation string

// The aggregations.
const (
	MeterSum      Aggregation = "sum"           // of all values
	MeterMax      Aggregation = "max"           // the largest value
	MeterLast     Aggregation = "last"          // the latest value of the period
	MeterUnique   Aggregation = "unique"        // how many different marks
	MeterWeighted Aggregation = "time_weighted" // the mean over the period's time of a value that holds until the next
	MeterSessions Aggregation = "sessions"      // hours between start and stop, each session rounded up to whole steps
)

// Valid reports whether it is one of the aggregations.
func (a Aggregation) Valid() bool {
	switch a {
	case MeterSum, MeterMax, MeterLast, MeterUnique, MeterWeighted, MeterSessions:
		return true
	}
	return false
}

// The phases of a session; what is no session's has none.
const (
	PhaseStart = "start"
	PhaseStop  = "stop"
)

// MeterEvent is one thing that was measured.
type MeterEvent struct {
	Key   string // natural key: the same event twice counts once
	At    time.Time
	Value *big.Rat
	Phase string // of a session: start or stop
	Mark  string // the value that is counted once, or the name of the session
}

const (
	quantityDecimals = 6
	quantityDigits   = 15
)

// ErrMeasure is returned for text that is no quantity.
var ErrMeasure = errors.New("billing: not a quantity of a meter")

// ParseQuantity reads what a meter measures: a plain decimal, not negative, with at most
// fifteen digits and six decimals.
func ParseQuantity(s string) (*big.Rat, error) {
	whole, part, point := strings.Cut(s, ".")
	if whole == "" || point && part == "" || len(whole) > quantityDigits || len(part) > quantityDecimals || strings.Trim(whole+part, "0123456789") != "" {
		return nil, fmt.Errorf("%w: %.40q", ErrMeasure, s)
	}
	q, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil, fmt.Errorf("%w: %.40q", ErrMeasure, s)
	}
	return q, nil
}

// FormatQuantity writes a quantity for people: at most three decimals, none of them a zero
// at the end.
func FormatQuantity(q *big.Rat) string {
	s := q.FloatString(3)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	whole, part, _ := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if part != "" {
		whole += "." + part
	}
	return whole
}

// UsagePeriod is the month of a subscription, counted from its anchor as its monthly
// periods are, in which a time lies. What is used is invoiced by it whatever the cycle.
func UsagePeriod(anchor, at time.Time, zone *time.Location) Period {
	a, b := anchor.In(zone), at.In(zone)
	n := (b.Year()-a.Year())*12 + int(b.Month()) - int(a.Month())
	p := Monthly.Period(anchor, n, zone)
	for at.Before(p.From) {
		n--
		p = Monthly.Period(anchor, n, zone)
	}
	for !at.Before(p.To) {
		n++
		p = Monthly.Period(anchor, n, zone)
	}
	return p
}

// UsageMonth is the month of usage in which a time lies where a pause made one longer
// (Lengthened): no other goes on over that one. Zero: there is no longer one.
func UsageMonth(anchor time.Time, longer Period, at time.Time, zone *time.Location) Period {
	p := UsagePeriod(anchor, at, zone)
	switch {
	case longer.To.IsZero():
	case longer.Contains(at):
		p = longer
	case at.Before(longer.From) && p.To.After(longer.From):
		p.To = longer.From
	case !at.Before(longer.To) && p.From.Before(longer.To):
		p.From = longer.To
	}
	return p
}

// Lengthened is a month of usage within which a pause began: it ends later by as much, or with
// the month by the new anchor whose end is nearest to that. It stays one month: it has one
// allowance, and costs no more than the most of one.
func Lengthened(month, pause Period, anchor time.Time, zone *time.Location) Period {
	end := month.To.Add(pause.To.Sub(pause.From))
	p := UsagePeriod(anchor, end, zone)
	if p.From.After(pause.To) && end.Sub(p.From) < p.To.Sub(end) {
		return Period{month.From, p.From}
	}
	return Period{month.From, p.To}
}

// Increments is how many steps of a session begin within a period. A session has as many
// as its length rounded up, and each belongs to the period in which it begins: over all
// periods they are the session's, however often its time is cut.
func Increments(start, stop time.Time, step time.Duration, p Period) int64 {
	if step <= 0 || !stop.After(start) {
		return 0
	}
	first := max(0, ceilSteps(p.From.Sub(start), step))
	last := min(ceilSteps(stop.Sub(start), step), ceilSteps(p.To.Sub(start), step))
	return max(0, last-first)
}

func ceilSteps(d, step time.Duration) int64 {
	n := int64(d / step)
	if d%step > 0 {
		n++
	}
	return n
}

// StepHours is how many hours so many steps are.
func StepHours(steps int64, step time.Duration) *big.Rat {
	return new(big.Rat).Mul(new(big.Rat).SetInt64(steps), big.NewRat(int64(step), int64(time.Hour)))
}

// Measure works out a period from all of a meter's events, in whatever order and however
// often they are given. Of a running period, until is now: a session that has not stopped
// and a value that holds are counted up to it. It is the rule that running totals are
// held to.
func Measure(a Aggregation, step time.Duration, p Period, until time.Time, events []MeterEvent) *big.Rat {
	events = distinct(events)
	if until.After(p.To) {
		until = p.To
	}
	switch a {
	case MeterWeighted:
		return MeanOver(p, Area(p, until, events))
	case MeterSessions:
		var steps int64
		for _, s := range SessionsOf(events) {
			stop := s.Stop
			if stop.IsZero() {
				stop = until
			}
			steps += Increments(s.Start, stop, step, p)
		}
		return StepHours(steps, step)
	}
	total, marks := new(big.Rat), map[string]bool{}
	for _, e := range events {
		if !p.Contains(e.At) {
			continue
		}
		switch a {
		case MeterSum:
			total.Add(total, e.Value)
		case MeterMax:
			if e.Value.Cmp(total) > 0 {
				total.Set(e.Value)
			}
		case MeterLast:
			total.Set(e.Value)
		case MeterUnique:
			marks[e.Mark] = true
		}
	}
	if a == MeterUnique {
		total.SetInt64(int64(len(marks)))
	}
	return total
}

// distinct are the events each once, in the order of their time and then their key.
func distinct(events []MeterEvent) []MeterEvent {
	seen, all := map[string]bool{}, make([]MeterEvent, 0, len(events))
	for _, e := range events {
		if !seen[e.Key] {
			seen[e.Key] = true
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(x, y MeterEvent) int { return cmp.Or(x.At.Compare(y.At), strings.Compare(x.Key, y.Key)) })
	return all
}

// Area is what a value that holds until the next comes to in a period up to a time, times
// microseconds; the value before the period holds into it.
func Area(p Period, until time.Time, events []MeterEvent) *big.Rat {
	area, value, since := new(big.Rat), new(big.Rat), p.From
	add := func(to time.Time) {
		if to.After(since) {
			area.Add(area, new(big.Rat).Mul(value, new(big.Rat).SetInt64(to.Sub(since).Microseconds())))
			since = to
		}
	}
	for _, e := range distinct(events) {
		if !e.At.Before(p.To) || e.At.After(until) {
			break
		}
		add(e.At)
		value = e.Value
	}
	add(until)
	return area
}

// MeanOver is an area, a value times microseconds, over the whole length of a period.
func MeanOver(p Period, area *big.Rat) *big.Rat {
	return new(big.Rat).Quo(area, new(big.Rat).SetInt64(max(1, p.To.Sub(p.From).Microseconds())))
}

// Session is a time something ran; Stop is zero while it does.
type Session struct {
	Mark        string
	Start, Stop time.Time
}

// SessionsOf pairs starts and stops by their marks: the earliest start and the latest stop
// of a mark are its session. A stop without a start is none yet.
func SessionsOf(events []MeterEvent) []Session {
	by := map[string]*Session{}
	var order []string
	for _, e := range events {
		s := by[e.Mark]
		if s == nil {
			s = &Session{Mark: e.Mark}
			by[e.Mark], order = s, append(order, e.Mark)
		}
		switch {
		case e.Phase == PhaseStart && (s.Start.IsZero() || e.At.Before(s.Start)):
			s.Start = e.At
		case e.Phase == PhaseStop && e.At.After(s.Stop):
			s.Stop = e.At
		}
	}
	var all []Session
	for _, mark := range order {
		if s := by[mark]; !s.Start.IsZero() {
			all = append(all, *s)
		}
	}
	return all
}
