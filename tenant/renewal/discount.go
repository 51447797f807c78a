package renewal

import "github.com/ezscale/ezscale/billing"

// discounted are the lines of the next period as they are invoiced, and what a code takes
// off them. What counts is which invoice of the subscription it is, which is how many
// there were: nothing is counted down that could be counted twice.
func (s Subscription) discounted(next billing.Period) ([]billing.Line, billing.Money, error) {
	lines, none := s.lines(next), billing.Money{Currency: s.Amount.Currency}
	if s.Discount == nil || !s.Discount.Counts(s.nextInvoice()) {
		return lines, none, nil
	}
	return s.Discount.Apply(lines)
}

// nextInvoice is the number of the next invoice of the subscription; that of its order
// was the first.
func (s Subscription) nextInvoice() int { return s.Renewals + 2 }

// NextAmount is what the next invoice comes to before tax, with what a code takes off.
func (s Subscription) NextAmount() billing.Money {
	_, off, err := s.discounted(s.Next())
	if err != nil {
		return s.Amount
	}
	left, err := s.Amount.Sub(off)
	if err != nil {
		return s.Amount
	}
	return left
}

// DiscountLeft is how many more invoices the subscription's code counts for; negative:
// all of them.
func (s Subscription) DiscountLeft() int {
	switch {
	case s.Discount == nil:
		return 0
	case s.Discount.Cycles == 0:
		return -1
	}
	return max(s.Discount.Cycles-s.nextInvoice()+1, 0)
}
