package billing

import (
	"errors"
	"time"
)

// Announced says from when on another price reaches what somebody pays for already.
type Announced struct {
	From time.Time // no period that begins earlier
	Told time.Time // when its payer was told; zero: nobody has to be
	Days int       // that lie at least between then and the first period at that price
}

// Begins is the moment from which periods that begin are of the new price.
func (a Announced) Begins() time.Time {
	if a.Told.IsZero() {
		return a.From
	}
	if told := a.Told.Add(time.Duration(a.Days) * day); told.After(a.From) {
		return told
	}
	return a.From
}

// mostAnnounced bounds how many periods First looks at.
const mostAnnounced = 1200

// First is the first period at the new price, of those from the n-th on: periods are of one
// price from their begin to their end. It is zero for a cycle without periods.
func (a Announced) First(c Cycle, anchor time.Time, n int, zone *time.Location) Period {
	begins := a.Begins()
	for end := n + mostAnnounced; n < end; n++ {
		p := c.Period(anchor, n, zone)
		if p.To.IsZero() {
			return Period{}
		}
		if !p.From.Before(begins) {
			return p
		}
	}
	return Period{}
}

// UnitPrice is what one of a part costs a cycle.
type UnitPrice struct {
	Kind, Code, Label string // an empty code or label fits any
	Unit              Money
}

// ErrPrice is returned for a price below nothing.
var ErrPrice = errors.New("billing: not a price")

func (u UnitPrice) fits(p Part) bool {
	return u.Kind == p.Kind && (u.Code == "" || u.Code == p.Code) && (u.Label == "" || u.Label == p.Label)
}

// Reprice gives each part the first price that fits it, times how many there are of it.
// Parts that none fits stay as they are.
func Reprice(parts []Part, prices []UnitPrice) ([]Part, error) {
	out := make([]Part, len(parts))
	for i, p := range parts {
		for _, u := range prices {
			if !u.fits(p) {
				continue
			}
			if u.Unit.Minor < 0 || u.Unit.Currency != p.Price.Currency {
				return nil, ErrPrice
			}
			price, err := u.Unit.Times(max(p.Quantity, 1))
			if err != nil {
				return nil, err
			}
			p.Price = price
			break
		}
		out[i] = p
	}
	return out, nil
}

// AgreedPrice is a price agreed on with one payer: an amount a cycle, or a share off the usual
// price. One of the two is set.
type AgreedPrice struct {
	Amount *Money
	OffPpm int64
}

// Of is what is paid instead of a price. It is never below nothing; a share is rounded
// once, half away from zero.
func (a AgreedPrice) Of(price Money) (Money, error) {
	if a.Amount != nil {
		if a.Amount.Minor < 0 || a.Amount.Currency != price.Currency {
			return Money{}, ErrPrice
		}
		return *a.Amount, nil
	}
	if a.OffPpm < 0 || a.OffPpm > PpmWhole {
		return Money{}, ErrPrice
	}
	return price.Ratio(PpmWhole-a.OffPpm, PpmWhole)
}
