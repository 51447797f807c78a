package billing

import (
	"slices"
	"time"
)

// HourPart is one part of what is paid by the hour: a plan, or an option. Parts are compared
// with ==.
type HourPart struct {
	Kind    string    `json:"kind"`
	Code    string    `json:"code,omitempty"`
	Label   string    `json:"label"`
	Price   HourPrice `json:"price"`              // of all of it
	PriceID string    `json:"price_id,omitempty"` // of what set the price; empty: it is as it was sold
}

// HourSpan is what an hour costs from a time on, until the next span begins.
type HourSpan struct {
	From  time.Time  `json:"from"`
	Parts []HourPart `json:"parts"`
	Off   *Discount  `json:"off,omitempty"` // what is taken off a month of them; nil: nothing
}

// rate is what an hour of all parts costs, in a rate's units.
func (s HourSpan) rate() (units int64) {
	for _, p := range s.Parts {
		units += p.Price.Rate.Units
	}
	return units
}

// Holds reports whether the same is paid in two spans.
func (s HourSpan) Holds(other HourSpan) bool {
	return slices.Equal(s.Parts, other.Parts) && s.Off.Same(other.Off)
}

// AddHours adds a span that begins at next.From. Hours are counted from start, zero: none run
// then. The hour in which something changes is paid once, at the dearer of the two prices:
// whoever takes more pays for the hour in which they do, however soon they give it back, and who
// takes less has the hour that is begun as it was. So From becomes the begin or the end of that
// hour, and spans from then on make room.
func AddHours(spans []HourSpan, next HourSpan, start time.Time) (all []HourSpan, from time.Time) {
	held := -1
	if !start.IsZero() {
		hour := HourBegin(start, next.From)
		for i, s := range spans {
			if !s.From.After(hour) {
				held = i
			}
		}
		if next.From.After(hour) && held >= 0 && next.rate() < spans[held].rate() {
			hour = hour.Add(time.Hour)
		}
		next.From = hour
	}
	for _, s := range spans {
		if s.From.Before(next.From) {
			all = append(all, s)
		}
	}
	if n := len(all); n > 0 && all[n-1].Holds(next) {
		return all, next.From
	}
	return append(all, next), next.From
}

// HourBegin is the begin of the hour in which a time lies, of hours that are counted from start.
func HourBegin(start, at time.Time) time.Time {
	n := at.Sub(start) / time.Hour
	if begin := start.Add(n * time.Hour); !begin.After(at) {
		return begin
	}
	return start.Add((n - 1) * time.Hour)
}

// HourLine is what the hours of one part come to in a month.
type HourLine struct {
	Part  HourPart
	Hours int64
	Net   Money // rounded once, after what is taken off
	Most  bool  // it would have come to more
	Words string
}

// Hours are what the hours of a month come to, part by part, with what is taken off them. Each
// hour of a session belongs to the span in which it begins, and what stays the same through
// several spans is priced once, so that its most is the month's. Taken says of each code that is
// an amount how much of it was taken off the month before, and is added to; until is the time up
// to which what has not stopped is counted.
func Hours(spans []HourSpan, month Period, sessions []Session, until time.Time, taken map[string]int64) (all []HourLine, err error) {
	var groups []hourGroup
	for i, s := range spans {
		p := month
		if s.From.After(p.From) {
			p.From = s.From
		}
		if i+1 < len(spans) && spans[i+1].From.Before(p.To) {
			p.To = spans[i+1].From
		}
		if !p.From.Before(p.To) {
			continue
		}
		n := int64(0)
		for _, x := range sessions {
			stop := x.Stop
			if stop.IsZero() {
				stop = until
			}
			n += Increments(x.Start, stop, time.Hour, p)
		}
		if n == 0 {
			continue
		}
		g := slices.IndexFunc(groups, func(g hourGroup) bool { return g.off.Same(s.Off) })
		if g < 0 {
			g, groups = len(groups), append(groups, hourGroup{off: s.Off})
		}
		for _, part := range s.Parts {
			groups[g].add(part, n)
		}
	}
	for _, g := range groups {
		lines, err := g.priced(taken)
		if err != nil {
			return nil, err
		}
		all = append(all, lines...)
	}
	return all, nil
}

// hourGroup are parts off which the same is taken.
type hourGroup struct {
	off   *Discount
	lines []HourLine
}

func (g *hourGroup) add(part HourPart, hours int64) {
	for i := range g.lines {
		if g.lines[i].Part == part {
			g.lines[i].Hours += hours
			return
		}
	}
	g.lines = append(g.lines, HourLine{Part: part, Hours: hours})
}

func (g *hourGroup) priced(taken map[string]int64) ([]HourLine, error) {
	lines := make([]Line, len(g.lines))
	for i := range g.lines {
		x := &g.lines[i]
		var err error
		if x.Net, x.Most, err = x.Part.Price.over(x.Hours); err != nil {
			return nil, err
		}
		lines[i] = Line{Kind: x.Part.Kind, Quantity: 1, Unit: x.Net, Net: x.Net}
	}
	for _, d := range g.off.rest(taken) {
		less, offs, err := d.ApplyEach(lines)
		if err != nil {
			return nil, err
		}
		if d.Ppm == 0 {
			taken[d.Code] += offs[0].Minor
		}
		lines = less
	}
	for i := range lines {
		g.lines[i].Net, g.lines[i].Words = lines[i].Net, lines[i].Description
	}
	return g.lines, nil
}

// rest are the discounts of it, one by one in the order in which they are taken off; of amounts
// what was not taken before.
func (d *Discount) rest(taken map[string]int64) (all []Discount) {
	if d == nil {
		return nil
	}
	for _, one := range d.each() {
		if one.Ppm == 0 {
			if one.Off.Minor -= taken[one.Code]; one.Off.Minor <= 0 {
				continue
			}
		}
		all = append(all, one)
	}
	return all
}
