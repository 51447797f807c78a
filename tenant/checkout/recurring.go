package checkout

import (
	"slices"
	"time"

	"github.com/ezscale/ezscale/billing"
)

// Recurring groups what the items cost again and again, by cycle and by how long codes
// are taken off, the shortest first.
func Recurring(items []Item) []Again {
	var all []Again
	for _, x := range items {
		if x.Picked.Cycle == billing.OneTime || x.Amount.IsZero() {
			continue
		}
		one, err := again(x)
		if err != nil {
			continue
		}
		i := slices.IndexFunc(all, func(a Again) bool {
			return a.Cycle == one.Cycle && a.Times == one.Times && a.Free == one.Free && a.From.Equal(one.From) && a.Hand == one.Hand
		})
		if i < 0 {
			all = append(all, one)
			continue
		}
		net, err := all[i].Net.Add(one.Net)
		if err != nil {
			continue
		}
		if full, err := all[i].Full.Add(one.Full); err == nil {
			all[i].Net, all[i].Full = net, full
		}
	}
	return all
}

func again(x Item) (Again, error) {
	a := Again{Cycle: x.Picked.Cycle, Net: x.Amount, Full: x.Amount, Hand: x.ByHand && x.Stub == nil}
	first := 2 // the number of the next invoice: today's is the first
	if x.Trial != nil {
		a.Free, first = x.Trial.Days, 1
	}
	if x.Stub != nil {
		a.From = x.Stub.Period.To
	}
	if x.Discount == nil || !x.Discount.Counts(first) {
		return a, nil
	}
	x.Setup, x.Stub = billing.Money{Currency: x.Setup.Currency}, nil // once
	a.Times = max(x.Discount.Left(first), 0)
	var err error
	if a.Net, err = x.costs(first); err != nil {
		return a, err
	}
	if a.Full = a.Net; a.Times > 0 { // and then what other codes still take off
		a.Full, err = x.costs(first + a.Times)
	}
	return a, err
}

// costs is what a cycle of it comes to before tax on the invoice of a number.
func (x Item) costs(invoice int) (billing.Money, error) {
	d := x.Discount.At(invoice)
	if d == nil {
		return x.Amount, nil
	}
	_, off, err := d.Apply(x.lines())
	if err != nil {
		return x.Amount, err
	}
	return x.Amount.Sub(off)
}

// Again is what is due every cycle, before tax: Net the next Times, Full from then on.
// Without a code, or with one that counts for all invoices, Times is zero and both are
// the same.
type Again struct {
	Cycle billing.Cycle
	Net   billing.Money
	Times int
	Full  billing.Money
	Free  int       // days that are tried first; 0: it was paid for today
	From  time.Time // the bill day until which today's payment is; zero: it is for a whole cycle
	Hand  bool      // the team delivers it: it begins then, and nobody knows the day yet
}

// Next is when a cycle that begins at from is due again, or due first after a trial; zero
// when never, or when nobody can say yet.
func (a Again) Next(from time.Time, zone *time.Location) time.Time {
	if a.Hand {
		return time.Time{}
	}
	if !a.From.IsZero() {
		return a.From
	}
	if a.Free > 0 {
		return billing.BeginTrial(from, a.Free, zone).Until
	}
	return a.Cycle.Period(from, 0, zone).To
}

// FullFrom is when the full price is due first; zero when it is due next, or when nobody
// can say yet.
func (a Again) FullFrom(from time.Time, zone *time.Location) time.Time {
	switch {
	case a.Times == 0 || a.Hand:
		return time.Time{}
	case a.Free > 0 || !a.From.IsZero():
		return a.Cycle.Period(a.Next(from, zone), a.Times, zone).From
	}
	return a.Cycle.Period(from, a.Times, zone).To
}
