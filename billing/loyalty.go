package billing

import (
	"errors"
	"time"
)

// LoyaltyStep is what a customer of so many months gets off each renewal.
type LoyaltyStep struct {
	Months int   `json:"months"`
	Ppm    int64 `json:"ppm"` // parts per million of each line
}

// Loyalty is what is taken off renewals by how long somebody has been a customer: steps
// that grow in months and in share. Without a step nothing is.
type Loyalty []LoyaltyStep

// LoyaltyCode is what stands on invoices in place of a code.
const LoyaltyCode = "loyalty"

// DefaultLoyalty takes off 5 % after one year, 10 % after two, 15 % after three and 20 %
// after five.
func DefaultLoyalty() Loyalty {
	return Loyalty{{12, 50_000}, {24, 100_000}, {36, 150_000}, {60, 200_000}}
}

// MostLoyalty is how many steps there may be.
const MostLoyalty = 8

// ErrLoyalty is returned for steps that do not grow, or are out of bounds.
var ErrLoyalty = errors.New("billing: not steps of loyalty")

// Check answers with ErrLoyalty.
func (l Loyalty) Check() error {
	if len(l) > MostLoyalty {
		return ErrLoyalty
	}
	for i, s := range l {
		grows := i == 0 || s.Months > l[i-1].Months && s.Ppm > l[i-1].Ppm
		if s.Months < 1 || s.Months > 600 || s.Ppm < 1 || s.Ppm > PpmWhole || !grows {
			return ErrLoyalty
		}
	}
	return nil
}

// At is what a period that begins at a time has taken off for somebody who has been a
// customer since another: the last step whose months have passed in their time zone.
// nil: nothing.
func (l Loyalty) At(since, begins time.Time, zone *time.Location) *Discount {
	var d *Discount
	for _, s := range l {
		if addMonths(since, s.Months, zone).After(begins) {
			break
		}
		d = &Discount{Code: LoyaltyCode, Ppm: s.Ppm}
	}
	return d
}

// Better is the discount of two that takes more off lines; the first where they take the
// same. Either may be nil. Discounts are not added up: what a customer may expect off an
// invoice is the best of what they were promised.
func Better(lines []Line, a, b *Discount) (*Discount, error) {
	switch {
	case a == nil:
		return b, nil
	case b == nil:
		return a, nil
	}
	_, off, err := a.Apply(lines)
	if err != nil {
		return nil, err
	}
	_, other, err := b.Apply(lines)
	if err != nil {
		return nil, err
	}
	if more, err := other.Compare(off); err != nil || more <= 0 {
		return a, err
	}
	return b, nil
}
