package renewal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// MostAhead is the most cycles that are paid ahead at once, and MostAheadMonths how many
// months they may come to.
const (
	MostAhead       = 24
	MostAheadMonths = 60
)

// MayPrepay is how many cycles can be paid ahead of a subscription; 0: none.
func (s Subscription) MayPrepay(now time.Time) int {
	if s.Changeable(now) != nil || s.Amount.Minor <= 0 || s.Cycle == billing.Hourly {
		return 0
	}
	return min(MostAhead, MostAheadMonths/s.Cycle.Months())
}

// unmade is the subscription without an invoice of the next period that was made ahead:
// what nobody has paid is withdrawn when an offer is accepted.
func (s Subscription) unmade() Subscription {
	for s.Renewals >= 0 && s.Next().From.After(s.Period.To) {
		s.Renewals--
	}
	return s
}

// prepay is the quote of some cycles paid ahead: each period as its renewal would have
// invoiced it, at the price it was sold for. A credit stays for the renewals after.
func (c changing) prepay(ctx context.Context, tx *tenancy.Tx, a ChangeAsk, at time.Time) (ChangeQuote, error) {
	s := c.s.unmade()
	if s.Cycle == billing.Hourly {
		return ChangeQuote{}, fault.Field("cycles", "prepay.bad_cycles", "Hours are paid when they are over, and not ahead. Change to a longer period to pay ahead.")
	}
	most := s.MayPrepay(at)
	if a.Prepay < 1 || a.Prepay > most {
		return ChangeQuote{}, fault.Field("cycles", "prepay.bad_cycles", fmt.Sprintf("Give a number of periods from 1 to %d.", most))
	}
	if last := s.Cycle.Period(s.AnchorAt, s.Renewals+a.Prepay, s.Zone()); s.pricedFor(last.From).Amount != s.Amount {
		return ChangeQuote{}, fault.New(fault.Conflict, "prepay.price_changes", "The price changes within these periods. Please pay ahead for fewer, or once it has changed.")
	}
	q := ChangeQuote{SubscriptionID: s.ID, AccountID: s.AccountID, At: at, Was: s.Label, Ask: a, Amount: s.Amount}
	q.Terms = Terms{PlanID: s.PlanID, Label: s.Label, Cycle: s.Cycle, AmountMinor: s.Amount.Minor, Items: s.Items, Picked: s.Picked}
	ahead := billing.Ahead{Anchor: s.AnchorAt, Zone: s.Zone(), First: s.Renewals + 1, Terms: s.terms(), Running: s.discountAt(at)}
	for x := s; len(ahead.Discounts) < a.Prepay; x.Renewals++ {
		d, err := x.discountFor(x.Next())
		if err != nil {
			return q, err
		}
		ahead.Discounts = append(ahead.Discounts, d)
	}
	for i := range ahead.Terms.Parts { // as the renewal's own lines say it
		ahead.Terms.Parts[i].Label = s.lines(billing.Period{})[i].Description
	}
	var err error
	q.Price, err = ahead.Price()
	switch {
	case errors.Is(err, billing.ErrUneven):
		return q, fault.New(fault.Conflict, "prepay.code_ends", "What is taken off changes within these periods. Please pay ahead for fewer, or once it has changed.")
	case err != nil:
		return q, fault.Wrap(err, fault.Invalid, "change.too_much", "This comes to more than we can calculate.")
	}
	return q, q.tax(ctx, tx)
}

// prepaid gives a subscription the periods that were paid ahead, by an offer made at a
// time.
func (s *Subscription) prepaid(cycles int, asked time.Time) {
	*s = s.unmade()
	if d := s.discountAt(asked); loyal(d) || stays(d) || len(s.Taken) > 0 {
		for n := range cycles {
			s.note(s.Cycle.Period(s.AnchorAt, s.Renewals+1+n, s.Zone()), d, asked)
		}
	}
	s.Renewals += cycles
	s.Period = s.Cycle.Period(s.AnchorAt, s.Renewals, s.Zone())
}
