package billing

import (
	"errors"
	"time"
)

// UpgradeMode is when and how a change to something dearer is paid.
type UpgradeMode string

// The ways of an upgrade.
const (
	UpgradeProrate   UpgradeMode = "prorate"    // at once: the rest of the time at the new price, less that at the old one
	UpgradeAtRenewal UpgradeMode = "at_renewal" // with the next period
	UpgradeFullPrice UpgradeMode = "full_price" // at once: a new cycle begins, and nothing is given for the rest of the old one
)

// Valid reports whether it is one of the ways.
func (m UpgradeMode) Valid() bool {
	return m == UpgradeProrate || m == UpgradeAtRenewal || m == UpgradeFullPrice
}

// DowngradeMode is when a change to something cheaper happens, and what becomes of what
// was paid too much.
type DowngradeMode string

// The ways of a downgrade.
const (
	DowngradeAtRenewal DowngradeMode = "at_renewal" // with the next period
	DowngradeCredit    DowngradeMode = "credit"     // at once; what is left is taken off the next invoices
	DowngradeRefund    DowngradeMode = "refund"     // at once; what is left goes back to where it came from
	DowngradeNothing   DowngradeMode = "nothing"    // at once; nothing is given back
)

// Valid reports whether it is one of the ways.
func (m DowngradeMode) Valid() bool {
	return m == DowngradeAtRenewal || m == DowngradeCredit || m == DowngradeRefund || m == DowngradeNothing
}

// Part is one part of what a cycle costs. Parts are compared with ==: what stays as it is
// is not part of a change.
type Part struct {
	Kind     string // plan, option
	Code     string
	Label    string
	Quantity int64
	Price    Money // a cycle, of all of them
}

// Terms are what somebody pays a cycle.
type Terms struct {
	Cycle Cycle
	Parts []Part
}

// Amount is what a cycle comes to.
func (t Terms) Amount() (sum Money, err error) {
	for i, p := range t.Parts {
		if i == 0 {
			sum = p.Price
		} else if sum, err = sum.Add(p.Price); err != nil {
			return Money{}, err
		}
	}
	if sum.Currency == "" {
		err = ErrNothing
	}
	return sum, err
}

// Change is a change of what somebody pays, at a moment of a time they have paid for.
type Change struct {
	At        time.Time
	Zone      *time.Location
	Paid      []Period // that are paid and not over, in order; At lies in the first
	Of        []Period // of each of Paid, the longer one whose price it has a share of; nil: they are whole
	Old, New  Terms
	Upgrade   UpgradeMode
	Downgrade DowngradeMode
	HourEnd   time.Time // of what is paid by the hour before or afterwards: the end of the hour that is begun at At, which is paid as before; zero: there is none
}

// ChangeLine is one line of a change: what is paid, or with a negative net given for
// time that was paid and is not used.
type ChangeLine struct {
	Part   Part
	Period Period // that the net is for
	Net    Money
	Text   string // what it is, and how it came about
}

// Changed is what a change comes to.
type Changed struct {
	Upgrade   bool
	AtRenewal bool // nothing happens before the next period
	Lines     []ChangeLine
	Net       Money         // of all lines; negative: too much was paid
	Return    DowngradeMode // what becomes of a negative net: credit or refund
	Forfeited Money         // worth of unused time for which nothing is given
	Restarts  bool          // the anchor is the moment of the change, or of the renewal
	From      time.Time     // when the new terms begin
	NextAt    time.Time     // begin of the first period that is still to be paid, at Amount
	Amount    Money         // a cycle, afterwards
}

var (
	// ErrSame is returned for a change that changes nothing.
	ErrSame = errors.New("billing: nothing changes")
	// ErrUnpaid is returned where the moment of a change is not paid for.
	ErrUnpaid = errors.New("billing: the time of the change is not paid")
)

// Price is what the change comes to.
//
// A longer cycle is an upgrade and a shorter one a downgrade; of one length, what costs
// more is the upgrade, and so is what costs the same. An upgrade that would leave money
// over is done as a downgrade. A cycle of another length begins anew with the change.
func (c Change) Price() (Changed, error) {
	was, now, err := c.amounts()
	if err != nil {
		return Changed{}, err
	}
	end := c.Paid[len(c.Paid)-1].To
	longer := c.New.Cycle.Months() - c.Old.Cycle.Months()
	r := Changed{Upgrade: longer > 0 || longer == 0 && now.Minor >= was.Minor, Amount: now, Net: Money{Currency: now.Currency}, Restarts: longer != 0, From: c.At, NextAt: end}
	r.Forfeited = r.Net
	if r.Upgrade && c.Upgrade == UpgradeProrate {
		if err := c.prorate(&r); err != nil || r.Net.Minor >= 0 {
			return r, err
		}
		r.Upgrade = false
	}
	switch {
	case r.Upgrade && c.Upgrade == UpgradeFullPrice:
		return r, c.fullPrice(&r)
	case !r.Upgrade && (c.Downgrade == DowngradeCredit || c.Downgrade == DowngradeRefund):
		r.Return = c.Downgrade
		return r, c.prorate(&r)
	case !r.Upgrade && c.Downgrade == DowngradeNothing && !r.Restarts:
		if err := c.prorate(&r); err != nil {
			return r, err
		}
		r.Forfeited.Minor, r.Net.Minor, r.Lines = -r.Net.Minor, 0, nil
		return r, nil
	}
	r.AtRenewal, r.From, r.NextAt, r.Lines, r.Net.Minor = true, end, end, nil, 0
	return r, nil
}

// amounts checks what is asked and says what a cycle costs before and after.
func (c Change) amounts() (was, now Money, err error) {
	if c.Zone == nil || c.Old.Cycle.Months() == 0 || c.New.Cycle.Months() == 0 || len(c.Paid) == 0 {
		return was, now, ErrPeriod
	}
	if !c.Paid[0].Contains(c.At) {
		return was, now, ErrUnpaid
	}
	if c.Of != nil && len(c.Of) != len(c.Paid) {
		return was, now, ErrPeriod
	}
	if was, err = c.Old.Amount(); err != nil {
		return was, now, err
	}
	if now, err = c.New.Amount(); err != nil {
		return was, now, err
	}
	if _, err = now.Compare(was); err != nil {
		return was, now, err
	}
	if c.Old.Cycle == c.New.Cycle && len(c.Old.Parts) == len(c.New.Parts) && c.fresh(c.Old.Parts, c.New.Parts) == 0 {
		return was, now, ErrSame
	}
	return was, now, nil
}

// fresh counts the parts that are not among others.
func (c Change) fresh(parts, among []Part) (n int) {
	for i := range parts {
		if !has(among, &parts[i]) {
			n++
		}
	}
	return n
}

func has(parts []Part, p *Part) bool {
	for i := range parts {
		if parts[i] == *p {
			return true
		}
	}
	return false
}

// prorate gives what is left of the old parts and takes the same share of the new ones,
// or with another cycle the whole of its first period.
func (c Change) prorate(r *Changed) error {
	keeps := !r.Restarts
	r.Net.Minor, r.Lines = 0, make([]ChangeLine, 0, (len(c.Old.Parts)+len(c.New.Parts))*len(c.Paid))
	for i := range c.Old.Parts {
		if keeps && has(c.New.Parts, &c.Old.Parts[i]) {
			continue
		}
		for n := range c.Paid {
			of := c.paid(n)
			if err := r.share(&c.Old.Parts[i], &of, c.end(), true); err != nil {
				return err
			}
		}
	}
	if !keeps {
		return c.whole(r)
	}
	for i := range c.New.Parts {
		if has(c.Old.Parts, &c.New.Parts[i]) {
			continue
		}
		for n := range c.Paid {
			of := c.paid(n)
			if err := r.share(&c.New.Parts[i], &of, c.begin(&c.New.Parts[i]), false); err != nil {
				return err
			}
		}
	}
	return nil
}

// fullPrice begins a new cycle now, whatever is left of the old one.
func (c Change) fullPrice(r *Changed) (err error) {
	for _, part := range c.Old.Parts {
		for n := range c.Paid {
			left, err := c.paid(n).From(part.Price, c.At)
			if err != nil {
				return err
			}
			if r.Forfeited, err = r.Forfeited.Add(left); err != nil {
				return err
			}
		}
	}
	r.Restarts = true
	return c.whole(r)
}

// whole takes the price of a first period from now on.
func (c Change) whole(r *Changed) (err error) {
	first := c.New.Cycle.Period(c.At, 0, c.Zone)
	r.NextAt = first.To
	for _, part := range c.New.Parts {
		if from := c.begin(&part); from.After(first.From) && !part.Price.IsZero() {
			if err := r.share(&part, &Share{first, first}, from, false); err != nil {
				return err
			}
			continue
		}
		r.Lines = append(r.Lines, ChangeLine{Part: part, Period: first, Net: part.Price, Text: part.Label})
		if r.Net, err = r.Net.Add(part.Price); err != nil {
			return err
		}
	}
	return nil
}

// begin is when a part of the new terms begins to be paid for. What comes in the place of
// hours begins with the end of the hour that is begun: no time is paid for twice. What was paid by
// the month beside hours goes on at once.
func (c Change) begin(part *Part) time.Time {
	for i := range c.Old.Parts {
		if old := &c.Old.Parts[i]; old.Kind == part.Kind && old.Code == part.Code && !old.Price.IsZero() {
			return c.At
		}
	}
	if c.New.Cycle != Hourly && c.HourEnd.After(c.At) {
		return c.HourEnd
	}
	return c.At
}

// end is when what was paid ends: where hours follow it, with the end of the hour that is begun.
func (c Change) end() time.Time {
	if c.New.Cycle == Hourly && c.HourEnd.After(c.At) {
		return c.HourEnd
	}
	return c.At
}

// paid is one of the periods that are paid.
func (c Change) paid(n int) Share {
	if c.Of == nil {
		return Share{c.Paid[n], c.Paid[n]}
	}
	return Share{c.Paid[n], c.Of[n]}
}

// share adds a part's share of the rest of a period: to be given, or to be paid. What costs
// nothing has no line.
func (r *Changed) share(part *Part, s *Share, at time.Time, give bool) error {
	if part.Price.IsZero() || !at.Before(s.Period.To) {
		return nil
	}
	net, err := s.From(part.Price, at)
	if err != nil {
		return err
	}
	p := s.Period
	if p.From.Before(at) {
		p.From = at
	}
	var room [160]byte
	text := room[:0]
	if give {
		text = append(append(text, "Not used of "...), part.Label...)
		net.Minor = -net.Minor
	} else {
		text = append(text, part.Label...)
	}
	text = appendSpan(append(text, ": "...), p.To.Sub(p.From))
	text = appendSpan(append(text, " of "...), s.Whole.To.Sub(s.Whole.From))
	r.Lines = append(r.Lines, ChangeLine{Part: *part, Period: p, Net: net, Text: string(text)})
	r.Net, err = r.Net.Add(net)
	return err
}
