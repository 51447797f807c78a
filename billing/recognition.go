package billing

import (
	"errors"
	"fmt"
	"time"
)

// DeferredRevenue is what is invoiced for a time that has not passed: owed to customers as
// service, and revenue as it is given.
const DeferredRevenue = "deferred_revenue"

// Deferral is a line of an invoice whose net is earned over a time.
type Deferral struct {
	Line   int    // its position, from 0
	Net    Money  // negative: of a discount, which is earned like what it is taken off
	Period Period // zero: it begins later
}

// Deferrals are the lines that are earned over a time that is not over when they are
// issued. A line without a period of its own (a setup, a discount, a credit) is earned with
// its subscription's others: it is no service by itself. What was used, what is sold once,
// fees and what is over are earned when they are issued.
func Deferrals(lines []Line, at time.Time) []Deferral {
	type ahead struct {
		period Period
		awaits bool
	}
	of := map[string]ahead{}
	for _, l := range lines {
		if a, known := of[l.SubscriptionID]; l.SubscriptionID != "" && l.MeterID == "" && (l.Awaits || timed(l.Period)) {
			if !known || l.Period.To.After(a.period.To) {
				of[l.SubscriptionID] = ahead{l.Period, l.Awaits}
			}
		}
	}
	var all []Deferral
	for i, l := range lines {
		p, awaits := l.Period, l.Awaits
		if a, known := of[l.SubscriptionID]; known && !timed(p) {
			p, awaits = a.period, a.awaits
		}
		switch {
		case l.MeterID != "" || l.Net.IsZero():
		case awaits:
			all = append(all, Deferral{Line: i, Net: l.Net})
		case timed(p) && p.To.After(at):
			all = append(all, Deferral{Line: i, Net: l.Net, Period: p})
		}
	}
	return all
}

func timed(p Period) bool { return !p.From.IsZero() && p.To.After(p.From) }

// Earned is what of a net for a period is earned at a time: its share of the time, exact
// and rounded once, as a price is prorated (see Rest). It is always taken of the whole, so
// that what months earn sums to the net.
func Earned(net Money, p Period, at time.Time) (Money, error) {
	left, err := Rest(net, p, at)
	if err != nil {
		return Money{}, err
	}
	return net.Sub(left)
}

// Cuts are the ends of calendar months in a zone after one time and up to another, and
// with it if it is one.
func Cuts(after, to time.Time, zone *time.Location) []time.Time {
	local := after.In(zone)
	var all []time.Time
	for n := 1; ; n++ {
		cut := time.Date(local.Year(), local.Month()+time.Month(n), 1, 0, 0, 0, 0, zone)
		if cut.After(to) {
			return all
		}
		if cut.After(after) {
			all = append(all, cut.UTC())
		}
	}
}

// ErrTake is returned for taking more than is left, or less than nothing.
var ErrTake = errors.New("billing: not what is left")

// Take divides an amount that is credited over what is left unearned of lines, by how much
// that is. The parts sum to the amount, and no line gives more than it has: none of
// another sign than what is left of it.
func Take(left []Money, amount Money) ([]Money, error) {
	var sum int64
	for _, l := range left {
		sum += l.Minor
	}
	if amount.Minor < 0 || amount.Minor > sum {
		return nil, fmt.Errorf("%w: %s of %d", ErrTake, amount, sum)
	}
	parts := make([]Money, len(left))
	var soFar, given int64
	for i, l := range left {
		soFar += l.Minor
		due, err := Money{Minor: amount.Minor, Currency: amount.Currency}.Ratio(soFar, max(sum, 1))
		if err != nil {
			return nil, err
		}
		parts[i] = Money{Minor: due.Minor - given, Currency: amount.Currency}
		given = due.Minor
	}
	return parts, nil
}

// PostInvoiceAhead is PostInvoice where a part of the net is earned later.
func PostInvoiceAhead(net, ahead, tax Money) []Posting {
	return movements(
		Posting{Receivable, Revenue, Money{net.Minor - ahead.Minor, net.Currency}, "net"},
		Posting{Receivable, DeferredRevenue, ahead, "net, for a time ahead"},
		Posting{Receivable, TaxPayable, tax, "tax"},
	)
}

// PostCreditAhead is PostCredit where a part of the net was not earned yet.
func PostCreditAhead(net, ahead, tax Money) []Posting {
	return movements(
		Posting{Revenue, Receivable, Money{net.Minor - ahead.Minor, net.Currency}, "net credited"},
		Posting{DeferredRevenue, Receivable, ahead, "net credited, for a time ahead"},
		Posting{TaxPayable, Receivable, tax, "tax credited"},
	)
}

// PostEarned is what time that passed moves.
func PostEarned(amount Money) []Posting {
	return movements(Posting{DeferredRevenue, Revenue, amount, "earned"})
}

// PostDeferred takes back what was counted as earned before its time.
func PostDeferred(amount Money) []Posting {
	return movements(Posting{Revenue, DeferredRevenue, amount, "for a time ahead"})
}
