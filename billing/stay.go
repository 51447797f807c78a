package billing

import (
	"errors"
	"time"
)

// StayKind is what somebody who cancels is offered instead.
type StayKind string

// The kinds of offers. None is no offer.
const (
	StayNone      StayKind = ""
	StayDiscount  StayKind = "discount"  // a share off some invoices
	StayPause     StayKind = "pause"     // for some days
	StayDowngrade StayKind = "downgrade" // to a plan that costs less
)

// StayCode is what stands on invoices in place of a code.
const StayCode = "the offer to stay"

// StayOffer is what is offered to somebody who cancels for a reason. Fields of other
// kinds are zero.
type StayOffer struct {
	Kind   StayKind `json:"kind"`
	Ppm    int64    `json:"ppm,omitempty"`
	Cycles int      `json:"cycles,omitempty"` // invoices it counts for, the next one first
	Days   int      `json:"days,omitempty"`
	PlanID string   `json:"plan_id,omitempty"`
}

// Bounds of offers.
const (
	MostStayCycles = 36
	MostStayDays   = 365
)

// ErrStay is returned for what is no offer.
var ErrStay = errors.New("billing: not an offer to stay")

// Check returns ErrStay for an offer that lacks what its kind needs.
func (o StayOffer) Check() error {
	ok := false
	switch o.Kind {
	case StayNone:
		ok = o == StayOffer{}
	case StayDiscount:
		ok = o == StayOffer{Kind: o.Kind, Ppm: o.Ppm, Cycles: o.Cycles} && o.Ppm >= 1 && o.Ppm <= PpmWhole && o.Cycles >= 1 && o.Cycles <= MostStayCycles
	case StayPause:
		ok = o == StayOffer{Kind: o.Kind, Days: o.Days} && o.Days >= 1 && o.Days <= MostStayDays
	case StayDowngrade:
		ok = o == StayOffer{Kind: o.Kind, PlanID: o.PlanID} && o.PlanID != ""
	}
	if !ok {
		return ErrStay
	}
	return nil
}

// Discount is what an accepted offer of a share takes off a subscription whose next
// invoice has a number, the first invoice being 1: it counts for that one and those that
// follow, so many as were offered. nil: the offer is of another kind.
func (o StayOffer) Discount(next int) *Discount {
	if o.Kind != StayDiscount || o.Check() != nil {
		return nil
	}
	return &Discount{Code: StayCode, Ppm: o.Ppm, Cycles: max(next, 1) - 1 + o.Cycles}
}

// MadeOffer is one offer that was made to the customer of a subscription.
type MadeOffer struct {
	StayOffer
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
	TakenAt time.Time `json:"taken_at,omitzero"` // zero: it was not
}

// MayOffer reports whether an offer may be made by now: so many months must have passed
// since the last one that was taken, in the zone; 0: no offer is made twice.
func MayOffer(made []MadeOffer, months int, now time.Time, zone *time.Location) bool {
	for _, s := range made {
		if !s.TakenAt.IsZero() && (months == 0 || addMonths(s.TakenAt, months, zone).After(now)) {
			return false
		}
	}
	return true
}

// mostStays is how many offers are remembered of one subscription.
const mostStays = 20

// Offered adds an offer that is shown now. Shown again before it is taken it is the same
// offer, with what it has become: nobody is counted twice for looking twice.
func Offered(made []MadeOffer, o StayOffer, reason string, now time.Time) []MadeOffer {
	next := append([]MadeOffer{}, made...)
	if n := len(next); n > 0 && next[n-1].TakenAt.IsZero() {
		next[n-1].StayOffer, next[n-1].Reason = o, reason
		return next
	}
	next = append(next, MadeOffer{StayOffer: o, Reason: reason, At: now.UTC()})
	return next[max(0, len(next)-mostStays):]
}
