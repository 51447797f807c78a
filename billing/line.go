package billing

import (
	"errors"
	"fmt"
)

// TaxRule is how a line is taxed and why. Rules are compared with ==: lines of one
// rule are taxed together.
type TaxRule struct {
	Country string // whose tax it is, ISO 3166; empty: nobody's
	Region  string // of it, where it has a tax of its own; empty: the whole country's
	Name    string // as it stands on the invoice: VAT
	Ppm     int64  // parts per million: 19 % is 190000
	Class   string // standard, reduced, zero; empty: standard
	Note    string // what the law wants said: reverse charge, exempt
	Source  string // where the rate was taken from, and since when it holds

	Category string // of EN 16931: S, Z, E, AE or O; empty: by Ppm
	Reason   string // of the list VATEX why nothing is charged; empty: none fits
}

// Line is one position of an invoice. Quantity of Unit is Net, unless Net was
// prorated; tax is taken on the sum of each rule and not here.
type Line struct {
	Kind           string // plan, option, setup, usage, adjustment
	SubscriptionID string // empty: none
	Description    string
	Period         Period // zero: none
	Awaits         bool   // it is for a time that begins with its payment; no document says it
	Quantity       int64
	UnitCode       string // of UN/ECE Recommendation 20; empty: pieces, C62
	Unit           Money
	Net            Money
	Tax            TaxRule
	MeterID        string // whose usage it is; empty: no meter's
	Round          int    // which of its month's invoices it stands on, from 0
	PriceID        string // of what set its price after it was sold; empty: nothing did
}

// TaxSum is what lines of one rule come to.
type TaxSum struct {
	Rule     TaxRule
	Net, Tax Money
}

var (
	// ErrNothing is returned for an invoice without lines.
	ErrNothing = errors.New("billing: there are no lines")
	// ErrNegative is returned where the lines of a rule, or all lines, come to less than nothing.
	ErrNegative = errors.New("billing: the sum is negative")
	// ErrRate is returned for a rate of tax that is not between 0 and 100 per cent.
	ErrRate = errors.New("billing: not a rate of tax")
	// ErrQuantity is returned for a quantity below one.
	ErrQuantity = errors.New("billing: not a quantity")
)

// PpmWhole is one hundred per cent.
const PpmWhole = 1_000_000

// Priced is the line with Net as Quantity of Unit. A negative unit is a discount.
func (l Line) Priced() (Line, error) {
	if l.Quantity < 1 {
		return l, fmt.Errorf("%w: %d", ErrQuantity, l.Quantity)
	}
	net, err := l.Unit.Times(l.Quantity)
	l.Net = net
	return l, err
}

// Totals sums the lines: tax once per rule on the sum of its lines, rules in the order
// in which they first appear. All lines are of one currency, and neither a rule nor
// the whole may come to less than nothing.
func Totals(lines []Line) (net, tax, total Money, sums []TaxSum, err error) {
	if len(lines) == 0 {
		return net, tax, total, nil, ErrNothing
	}
	place := map[TaxRule]int{}
	for _, l := range lines {
		if l.Tax.Ppm < 0 || l.Tax.Ppm > PpmWhole {
			return net, tax, total, nil, fmt.Errorf("%w: %d ppm", ErrRate, l.Tax.Ppm)
		}
		i, known := place[l.Tax]
		if !known {
			i = len(sums)
			place[l.Tax] = i
			sums = append(sums, TaxSum{Rule: l.Tax, Net: Money{Currency: l.Net.Currency}})
		}
		if sums[i].Net, err = sums[i].Net.Add(l.Net); err != nil {
			return net, tax, total, nil, err
		}
	}
	net, tax = Money{Currency: lines[0].Net.Currency}, Money{Currency: lines[0].Net.Currency}
	for i, s := range sums {
		if s.Net.Minor < 0 {
			return net, tax, total, nil, fmt.Errorf("%w: %s", ErrNegative, s.Net)
		}
		if sums[i].Tax, err = s.Net.Ratio(s.Rule.Ppm, PpmWhole); err != nil {
			return net, tax, total, nil, err
		}
		if net, err = net.Add(s.Net); err != nil {
			return net, tax, total, nil, err
		}
		if tax, err = tax.Add(sums[i].Tax); err != nil {
			return net, tax, total, nil, err
		}
	}
	total, err = net.Add(tax)
	return net, tax, total, sums, err
}

// MaxMinor is the most an invoice may come to, in minor units: with it, sums over all
// invoices of a shop still fit.
const MaxMinor = 1_000_000_000_000
