package renewal

import (
	"time"

	"github.com/ezscale/ezscale/billing"
)

// Taken is what was taken off a period.
type Taken struct {
	Period   billing.Period    `json:"period"`
	Discount *billing.Discount `json:"discount,omitempty"` // nil: nothing
}

// note keeps what was taken off a period, in place of what was kept of the same time, and
// forgets what is over.
func (s *Subscription) note(p billing.Period, d *billing.Discount, now time.Time) {
	kept := []Taken{}
	for _, t := range s.Taken {
		if t.Period.To.After(now) && (!t.Period.From.Before(p.To) || !p.From.Before(t.Period.To)) {
			kept = append(kept, t)
		}
	}
	s.Taken = append(kept, Taken{p, d})
}

// codes are the terms of its codes that are for the plan it has; nil: none.
func (s Subscription) codes() *billing.Discount { return s.Discount.On(s.PlanID.String()) }

func loyal(d *billing.Discount) bool { return d != nil && d.Code == billing.LoyaltyCode }

// CustomerSince is from when loyalty counts: the account's first paid order.
func (s Subscription) CustomerSince() time.Time {
	if s.Since.IsZero() {
		return s.CreatedAt
	}
	return s.Since
}

// discountFor is what is taken off the next period: the best of the subscription's code,
// of loyalty and of an offer to stay. Which invoice of the subscription it is, is how many there were:
// nothing is counted down that could be counted twice.
func (s Subscription) discountFor(next billing.Period) (*billing.Discount, error) {
	lines := s.pricedFor(next.From).withMonth(s.lines(next))
	best, err := billing.Better(lines, s.codes().At(s.nextInvoice()), s.Loyalty.At(s.CustomerSince(), next.From, s.Zone()))
	if err != nil {
		return nil, err
	}
	return billing.Better(lines, best, s.stay())
}

// discounted are the lines of the next period as they are invoiced, and what is taken off
// them.
func (s Subscription) discounted(next billing.Period) ([]billing.Line, billing.Money, error) {
	lines, none := s.lines(next), billing.Money{Currency: s.Amount.Currency}
	d, err := s.discountFor(next)
	if err != nil || d == nil {
		return lines, none, err
	}
	return d.Apply(lines)
}

// LoyaltyOff is the share that loyalty takes off the next invoice, in words; empty:
// nothing, or a code takes more.
func (s Subscription) LoyaltyOff() string {
	if !s.Runs() || s.Cycle.Months() == 0 {
		return ""
	}
	if d, err := s.discountFor(s.Next()); err == nil && loyal(d) {
		return billing.Percent(d.Ppm)
	}
	return ""
}

// nextInvoice is the number of the next invoice of the subscription; that of its order
// was the first.
func (s Subscription) nextInvoice() int { return s.Renewals + 2 }

// NextAmount is what the next invoice comes to before tax, with what is taken off.
func (s Subscription) NextAmount() billing.Money {
	amount := s.pricedFor(s.Next().From).Amount
	_, off, err := s.discounted(s.Next())
	if err != nil {
		return amount
	}
	left, err := amount.Sub(off)
	if err != nil {
		return amount
	}
	return left
}

// DiscountLeft is how many more invoices the same is taken off by the subscription's codes;
// negative: all of them.
func (s Subscription) DiscountLeft() int { return s.codes().Left(s.nextInvoice()) }

// DiscountCodes names the codes that count for the next invoice; empty: none does.
func (s Subscription) DiscountCodes() string {
	d := s.codes().At(s.nextInvoice())
	if d == nil {
		return ""
	}
	return d.Codes()
}
