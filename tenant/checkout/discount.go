package checkout

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/coupon"
)

// discount gives each thing its part of what a code takes off. A code that does not count
// is left out and stands in CouponErr.
func (q *Quote) discount(ctx context.Context, tx *tenancy.Tx, a Ask) error {
	if a.Coupon == "" {
		return nil
	}
	c, err := coupon.Find(ctx, tx, a.Coupon, coupon.Buyer{AccountID: q.AccountID, Country: q.Country, Currency: q.Currency, Plans: plansIn(q.Items), Visitor: a.Visitor})
	if err == nil {
		err = share(c, q.Currency, q.Items)
	}
	if err == nil {
		q.Coupon, q.Variant, q.Longer = c.Code, c.Variant, c.Days
	} else if coupon.Is(err) {
		q.CouponErr, err = err, nil
	}
	return err
}

func plansIn(items []Item) []uuid.UUID {
	all := make([]uuid.UUID, len(items))
	for i, x := range items {
		all[i] = x.PlanID
	}
	return all
}

// share spreads what a code takes off over the things it is for, by what they cost now.
// Each keeps its part for its renewals.
func share(c coupon.Coupon, currency string, items []Item) error {
	if c.Kind == coupon.Longer {
		return lengthen(c, items)
	}
	d, ok := c.Discount(currency)
	if !ok {
		return fault.Field("coupon", "coupon.currency", "This code does not count in your currency.")
	}
	costs := make([]billing.Money, len(items))
	for i, x := range items {
		costs[i] = billing.Money{Currency: currency}
		if !c.For(x.PlanID) {
			continue
		}
		costs[i] = x.Amount
		if c.Setup {
			var err error
			if costs[i], err = x.Amount.Add(x.Setup); err != nil {
				return err
			}
		}
	}
	parts, err := d.Share(costs)
	if err != nil {
		return err
	}
	for i, part := range parts {
		items[i].Discount = part
	}
	if !slices.ContainsFunc(parts, func(d *billing.Discount) bool { return d != nil }) {
		return fault.Field("coupon", "coupon.not_for_this", "This code is not for what is in your cart.")
	}
	return nil
}

// lengthen makes the trials longer that a code is for.
func lengthen(c coupon.Coupon, items []Item) error {
	some := false
	for i, x := range items {
		if x.Trial == nil || !c.For(x.PlanID) {
			continue
		}
		some = true
		longer := *x.Trial
		plain := longer.Days - longer.Longer
		longer.Days = billing.LongerTrial(plain, c.Days)
		longer.Longer = longer.Days - plain
		items[i].Trial = &longer
	}
	if !some {
		return fault.Field("coupon", "coupon.not_for_this", "This code makes a trial longer, and nothing in your cart begins with one it is for.")
	}
	return nil
}

// useCoupon counts the use of a quote's code, or refuses the order: the code may no
// longer be used, or takes off another amount than was quoted.
func useCoupon(ctx context.Context, tx *tenancy.Tx, q quoteRow) error {
	if q.coupon == "" {
		return nil
	}
	q.buyer.Plans = plansIn(q.items)
	c, err := coupon.Use(ctx, tx, q.coupon, q.variant, q.buyer)
	if err != nil {
		return err
	}
	now := slices.Clone(q.items)
	if err := share(c, q.Currency, now); err != nil {
		return err
	}
	for i, x := range q.items {
		if was, is := x.Discount, now[i].Discount; (was == nil) != (is == nil) || was != nil && *was != *is {
			return errPriceChanged
		}
		if was, is := x.Trial, now[i].Trial; (was == nil) != (is == nil) || was != nil && *was != *is {
			return errPriceChanged
		}
	}
	return nil
}

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
			return a.Cycle == one.Cycle && a.Times == one.Times && a.Free == one.Free && a.From.Equal(one.From)
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
	a := Again{Cycle: x.Picked.Cycle, Net: x.Amount, Full: x.Amount}
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
	_, off, err := x.Discount.Apply(x.lines())
	if err != nil {
		return a, err
	}
	if x.Discount.Cycles > 0 {
		a.Times = x.Discount.Cycles - first + 1
	}
	a.Net, err = x.Amount.Sub(off)
	if a.Times == 0 {
		a.Full = a.Net
	}
	return a, err
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
}

// Next is when a cycle that begins at from is due again, or due first after a trial; zero
// when never.
func (a Again) Next(from time.Time, zone *time.Location) time.Time {
	if !a.From.IsZero() {
		return a.From
	}
	if a.Free > 0 {
		return billing.BeginTrial(from, a.Free, zone).Until
	}
	return a.Cycle.Period(from, 0, zone).To
}

// FullFrom is when the full price is due first; zero when it is due next.
func (a Again) FullFrom(from time.Time, zone *time.Location) time.Time {
	switch {
	case a.Times == 0:
		return time.Time{}
	case a.Free > 0 || !a.From.IsZero():
		return a.Cycle.Period(a.Next(from, zone), a.Times, zone).From
	}
	return a.Cycle.Period(from, a.Times, zone).To
}
