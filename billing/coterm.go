package billing

import (
	"strconv"
	"time"
)

// LastBillDay is the last day of the month on which an account's periods can begin: every
// month has it.
const LastBillDay = 28

// BillMoment is when a day of the month begins next in zone, at a time or after it.
func BillMoment(day int, at time.Time, zone *time.Location) time.Time {
	local := at.In(zone)
	for month := local.Month(); ; month++ {
		if m := time.Date(local.Year(), month, day, 0, 0, 0, 0, zone); !m.Before(at) {
			return m.UTC()
		}
	}
}

// Share is a time that is paid for as part of a longer one: its price is the share that it
// has of the price of the whole.
type Share struct {
	Period Period `json:"period"`
	Whole  Period `json:"whole"`
}

// Shares are whole periods, each of which is paid for itself.
func Shares(periods []Period) []Share {
	all := make([]Share, len(periods))
	for i, p := range periods {
		all[i] = Share{p, p}
	}
	return all
}

// Stub is the time from a moment to where a bill day begins next, as part of the cycle that
// ends there.
func Stub(c Cycle, from time.Time, day int, zone *time.Location) Share {
	to := BillMoment(day, from, zone)
	return Share{Period{from.UTC(), to}, Period{addMonths(to, -max(c.Months(), 1), zone), to}}
}

// From is what of it costs from a time on, exact to the nanosecond. What a stretch costs is
// the difference of two of them, so the parts of any whole sum to its price.
func (s Share) From(price Money, at time.Time) (Money, error) {
	if at.Before(s.Period.From) {
		at = s.Period.From
	}
	if at.After(s.Period.To) {
		at = s.Period.To
	}
	rest, err := Rest(price, s.Whole, at)
	if err != nil || s.Period.To.Equal(s.Whole.To) { // nothing of the whole comes after it
		return rest, err
	}
	after, err := Rest(price, s.Whole, s.Period.To)
	if err != nil {
		return Money{}, err
	}
	return rest.Sub(after)
}

// Until is the share that ends at a time, or as it does if that is sooner.
func (s Share) Until(at time.Time) Share {
	if s.Period.To.After(at) {
		s.Period.To = at
	}
	return s
}

// Move is a change of the day on which periods begin.
type Move struct {
	At      time.Time
	Zone    *time.Location
	Day     int     // from 1 to LastBillDay
	Paid    []Share // that are paid and not over, in order; At lies in the first
	Terms   Terms
	Shorten bool // to the day that comes next, with credit for what is paid after it; otherwise to the first after what is paid
}

// Moved is what a move comes to.
type Moved struct {
	Changed
	To   time.Time // where the next period begins
	Paid []Share   // what is paid and not over then
}

// Price is what the move comes to: the time from the end of what is paid to the bill day is
// paid at the price that runs, or what is paid after the bill day is given back as credit.
// Either way every moment before To is paid for once, and none after it.
func (m Move) Price() (r Moved, err error) {
	if m.Zone == nil || m.Terms.Cycle.Months() == 0 || len(m.Paid) == 0 || m.Day < 1 || m.Day > LastBillDay {
		return r, ErrPeriod
	}
	if !m.Paid[0].Period.Contains(m.At) {
		return r, ErrUnpaid
	}
	if r.Amount, err = m.Terms.Amount(); err != nil {
		return r, err
	}
	r.Net, r.Forfeited = Money{Currency: r.Amount.Currency}, Money{Currency: r.Amount.Currency}
	end := m.Paid[len(m.Paid)-1].Period.To
	r.To = BillMoment(m.Day, end, m.Zone)
	if soon := BillMoment(m.Day, m.At, m.Zone); m.Shorten && soon.Before(end) {
		r.To = soon
	}
	r.NextAt, r.From = r.To, end
	switch {
	case r.To.Equal(end):
		return r, ErrSame
	case r.To.After(end):
		stub := Stub(m.Terms.Cycle, end, m.Day, m.Zone)
		r.Upgrade, r.Paid = true, append(append([]Share{}, m.Paid...), stub)
		return r, m.add(&r, stub, false)
	}
	r.From, r.Return = r.To, DowngradeCredit
	for _, p := range m.Paid {
		if p.Period.From.Before(r.To) {
			r.Paid = append(r.Paid, p.Until(r.To))
		}
		if p.Period.To.After(r.To) {
			if p.Period.From.Before(r.To) {
				p.Period.From = r.To
			}
			if err := m.add(&r, p, true); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

// add puts the lines of a time on it: to be paid, or to be given.
func (m Move) add(r *Moved, s Share, give bool) error {
	for _, part := range m.Terms.Parts {
		net, err := s.From(part.Price, s.Period.From)
		if err != nil {
			return err
		}
		text := part.Label
		if give {
			text, net.Minor = "Not used of "+text, -net.Minor
		}
		text += ": " + Span(s.Period.To.Sub(s.Period.From)) + " of " + Span(s.Whole.To.Sub(s.Whole.From))
		r.Lines = append(r.Lines, ChangeLine{Part: part, Period: s.Period, Net: net, Text: text})
		if r.Net, err = r.Net.Add(net); err != nil {
			return err
		}
	}
	return nil
}

// Ordinal is a day of the month in words: 1st, 22nd, 13th.
func Ordinal(day int) string {
	end := "th"
	if day/10 != 1 {
		switch day % 10 {
		case 1:
			end = "st"
		case 2:
			end = "nd"
		case 3:
			end = "rd"
		}
	}
	return strconv.Itoa(day) + end
}
