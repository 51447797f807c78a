package renewal

import (
	"context"
	"errors"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// Stub is what a subscription paid before the anchor its periods are counted from.
type Stub struct {
	Quoted   time.Time         `json:"quoted,omitzero"` // of one that has not begun: the moment from which it was priced
	Day      int               `json:"day,omitempty"`   // and the day of the month on which it ends
	Paid     []billing.Share   `json:"paid,omitempty"`
	Discount *billing.Discount `json:"discount,omitempty"` // that it was invoiced with; nil: none
}

func (b *Stub) paid() []billing.Share {
	if b == nil {
		return nil
	}
	return b.Paid
}

func (b *Stub) covers(t time.Time) bool {
	for _, s := range b.paid() {
		if s.Period.Contains(t) {
			return true
		}
	}
	return false
}

// OnBillDay reports whether the periods of a subscription begin on its account's bill day.
func (s Subscription) OnBillDay() bool {
	return s.BillDay > 0 && billing.BillMoment(s.BillDay, s.AnchorAt, s.Zone()).Equal(s.AnchorAt)
}

// MayMove reports whether a subscription can be moved to its account's bill day.
func (s Subscription) MayMove(now time.Time) bool {
	return s.BillDay > 0 && !s.OnBillDay() && s.MeteredTo.IsZero() && s.Changeable(now) == nil
}

// beginStub begins what was sold with a stub: it runs until the bill day, from when whole
// periods follow. What was paid is the time from the quote on; as far as it begins later, or
// ends on another day because it was paid so late, the difference is credited, or asked for,
// with the next invoice.
func (s *Subscription) beginStub(now time.Time) error {
	was, is := billing.Stub(s.Cycle, s.Stub.Quoted, s.Stub.Day, s.Zone()), billing.Stub(s.Cycle, now, s.Stub.Day, s.Zone())
	parts, discount := s.terms().Parts, s.Discount
	if discount != nil && !discount.Counts(1) {
		discount = nil
	}
	parts, err := discount.Parts(parts)
	if err != nil {
		return err
	}
	for _, p := range parts {
		paid, err := was.From(p.Price, was.Period.From)
		if err != nil {
			return err
		}
		costs, err := is.From(p.Price, now)
		if err != nil {
			return err
		}
		s.Credit.Minor += paid.Minor - costs.Minor
	}
	s.restart()
	s.AnchorAt, s.Renewals, s.Period = is.Period.To, -1, is.Period
	s.Stub = &Stub{Paid: []billing.Share{is}, Discount: discount}
	return nil
}

// Move is a subscription's way to the bill day: what is paid then, and where its next period
// begins.
type Move struct {
	To   time.Time       `json:"to"`
	Paid []billing.Share `json:"paid"`
}

// move is the quote of a subscription that moves to its account's bill day. Faults:
// bill_day.none, bill_day.metered, change.nothing, change.renewing, change.unpaid.
func (c changing) move(ctx context.Context, tx *tenancy.Tx, a ChangeAsk, at time.Time) (ChangeQuote, error) {
	s := c.s
	q := ChangeQuote{SubscriptionID: s.ID, AccountID: s.AccountID, At: at, Was: s.Label, Ask: a, Amount: s.Amount}
	switch {
	case s.BillDay == 0:
		return q, fault.New(fault.Conflict, "bill_day.none", "This account has no bill day. Please choose one first.")
	case !s.MeteredTo.IsZero():
		return q, fault.New(fault.Conflict, "bill_day.metered", "What is billed by use keeps its own day: its months are counted from it.")
	}
	p, err := PolicyOf(ctx, tx)
	if err != nil {
		return q, err
	}
	q.Terms = Terms{PlanID: s.PlanID, Label: s.Label, Cycle: s.Cycle, AmountMinor: s.Amount.Minor, Items: s.Items, Picked: s.Picked}
	m := billing.Move{At: at, Zone: s.Zone(), Day: s.BillDay, Shorten: p.Shorten}
	m.Paid, _ = s.paid(at)
	if m.Terms = s.terms(); !p.Shorten || !billing.BillMoment(s.BillDay, at, s.Zone()).Before(s.Period.To) {
		m.Terms = s.pricedFor(s.Period.To).terms() // what is paid more is of the price that counts then
	}
	if m.Terms.Parts, err = s.discountAt(at).Parts(m.Terms.Parts); err != nil {
		return q, err
	}
	got, err := m.Price()
	switch {
	case errors.Is(err, billing.ErrSame):
		return q, fault.New(fault.Conflict, "change.nothing", "It renews on this day already.")
	case errors.Is(err, billing.ErrUnpaid), errors.Is(err, billing.ErrPeriod):
		return q, fault.New(fault.Conflict, "change.renewing", "This subscription is being renewed. Please come back when its invoice is paid.")
	case err != nil:
		return q, fault.Wrap(err, fault.Invalid, "change.too_much", "This comes to more than we can calculate.")
	}
	q.Price, q.Move = got.Changed, &Move{To: got.To, Paid: got.Paid}
	q.Price.Amount = s.Amount
	if err := s.mustBePaid(ctx, tx, got.To); err != nil {
		return q, err
	}
	return q, q.tax(ctx, tx)
}

// moveTo puts a move in place that was priced for a moment.
func (s *Subscription) moveTo(m Move, asked time.Time) {
	running := s.discountAt(asked)
	s.restart()
	s.AnchorAt, s.Renewals, s.Taken = m.To, -1, nil
	s.Stub = &Stub{Paid: m.Paid, Discount: running}
	if s.Pause != nil { // what it had moved is among what is paid
		s.Pause.Moved, s.Pause.Of, s.Pause.Discount = nil, nil, nil
	}
	if n := len(m.Paid); n > 0 {
		s.Period = m.Paid[n-1].Period
	}
}

// appliedMove ends a move that is paid, or for which credit is given.
func (d *Desk) appliedMove(ctx context.Context, tx *tenancy.Tx, s Subscription) error {
	c := *s.Change
	s.moveTo(*c.Move, c.Asked)
	s.Credit.Minor += c.BackMinor
	s.Change = nil
	if err := d.close(ctx, tx, s); err != nil {
		return err
	}
	err := put(ctx, tx, s, "changed/"+c.QuoteID.String(), activity.Event{
		Text:         s.Label + " renews on the " + billing.Ordinal(s.AnchorAt.In(s.Zone()).Day()) + " of the month from now on, the next time on " + s.date(s.AnchorAt) + ".",
		CustomerSees: true, Programs: news(s, webhook.SubscriptionChanged),
	})
	if err != nil {
		return err
	}
	return d.letter(ctx, tx, s, letterChanged(s, c))
}
