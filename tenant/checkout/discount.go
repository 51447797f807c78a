package checkout

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/coupon"
)

// discount gives each thing its part of what codes take off, in whatever order they were
// entered. A code that does not count, or not with those before it, is left out, and the
// first of them stands in CouponErr.
func (q *Quote) discount(ctx context.Context, tx *tenancy.Tx, a Ask) error {
	var counting []coupon.Coupon
	for _, typed := range typedCodes(a.Coupon) {
		c, err := coupon.Find(ctx, tx, typed, coupon.Buyer{AccountID: q.AccountID, Country: q.Country, Currency: q.Currency, Plans: plansIn(q.Items), Visitor: a.Visitor})
		if err == nil {
			err = joins(c, counting)
		}
		if err == nil {
			err = shareAll(append(slices.Clone(counting), c), q.Currency, q.Items)
		}
		switch {
		case err == nil:
			counting = append(counting, c)
		case coupon.Is(err):
			if q.CouponErr == nil {
				q.CouponErr = err
			}
		default:
			return err
		}
	}
	if q.CouponErr != nil { // what the last one left of the things is of those that count
		if err := shareAll(counting, q.Currency, q.Items); err != nil {
			return err
		}
	}
	slices.SortFunc(counting, func(a, b coupon.Coupon) int { return strings.Compare(a.Code, b.Code) })
	var codes []string
	for _, c := range counting {
		codes = append(codes, c.Code)
		q.Longer += c.Days
		q.MoreCodes = len(counting) < c.Most
		if c.Variant == "" {
			continue
		}
		if q.Variants == nil {
			q.Variants = map[string]string{}
		}
		q.Variants[c.Code] = c.Variant
	}
	q.Coupon = strings.Join(codes, " ")
	return nil
}

// typedCodes are the codes somebody typed, with blanks between them; the same one once,
// and never more than may count anywhere.
func typedCodes(typed string) []string {
	var codes []string
	for _, one := range strings.Fields(typed) {
		if len(codes) <= coupon.MostOnOrder && !slices.ContainsFunc(codes, func(c string) bool { return strings.EqualFold(c, one) }) {
			codes = append(codes, one)
		}
	}
	return codes
}

// joins refuses a code that does not count with those that do.
func joins(c coupon.Coupon, counting []coupon.Coupon) error {
	for _, other := range counting {
		if c.Most < 2 || !coupon.Together(c, other) {
			return coupon.NotTogether(c, other)
		}
	}
	if len(counting) > 0 && len(counting) >= c.Most {
		return coupon.TooMany(c)
	}
	return nil
}

// shareAll gives each thing its part of what all codes take off, in place of what it had.
// What some of the codes are not for is refused, and the things stay as they were.
func shareAll(all []coupon.Coupon, currency string, items []Item) error {
	next := slices.Clone(items)
	for i, x := range next {
		next[i].Discount = nil
		if x.Trial != nil && x.Trial.Longer > 0 {
			plain := *x.Trial
			plain.Days, plain.Longer = plain.Days-plain.Longer, 0
			next[i].Trial = &plain
		}
	}
	for _, c := range all {
		one := slices.Clone(next)
		for i := range one {
			one[i].Discount = nil
		}
		if err := share(c, currency, one); err != nil {
			return err
		}
		for i := range next {
			next[i].Trial = one[i].Trial
			next[i].Discount = billing.Stack(next[i].Discount, one[i].Discount)
		}
	}
	copy(items, next)
	return nil
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
		month, err := x.fullMonth()
		if err != nil {
			return err
		}
		if costs[i] = month; c.Setup {
			if costs[i], err = month.Add(x.Setup); err != nil {
				return err
			}
		}
	}
	parts, err := d.Share(costs)
	if err != nil {
		return err
	}
	for i, part := range parts {
		if part != nil && part.Ppm == 0 && items[i].Picked.Cycle == billing.Hourly {
			part.Setup = false // an amount is taken off the hours: it would be twice otherwise
		}
		items[i].Discount = part
	}
	if !slices.ContainsFunc(parts, func(d *billing.Discount) bool { return d != nil }) {
		return fault.Field("coupon", "coupon.not_for_this", "This code is not for what is in your cart.")
	}
	return nil
}

// fullMonth is what a cycle of it comes to, with a full month of what is paid by the hour.
func (x Item) fullMonth() (billing.Money, error) {
	sum := x.Amount
	for _, part := range x.Parts {
		if part.Hour.Rate.IsZero() {
			continue
		}
		month, err := part.Hour.Month()
		if err != nil {
			return sum, err
		}
		if sum, err = sum.Add(month); err != nil {
			return sum, err
		}
	}
	return sum, nil
}

// Hours is what an hour of it costs, with its options; of no rate where it is paid otherwise.
func (x Item) Hours() billing.HourPrice {
	all := make([]billing.HourPrice, len(x.Parts))
	for i, part := range x.Parts {
		all[i] = part.Hour
	}
	return billing.SumHours(all...)
}

// HoursOff says what is taken off the hours of the first months; empty: nothing, or it is not paid
// by the hour.
func (x Item) HoursOff(locale string) string {
	d := x.Discount.At(1)
	if d == nil || x.Picked.Cycle != billing.Hourly {
		return ""
	}
	switch left := x.Discount.Left(1); {
	case left < 0:
		return d.Words(locale)
	case left == 1:
		return d.Words(locale) + " in the first month"
	default:
		return d.Words(locale) + " in the first " + strconv.Itoa(left) + " months"
	}
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
		longer.Days = billing.LongerTrial(longer.Days, c.Days)
		longer.Longer = longer.Days - plain
		items[i].Trial = &longer
	}
	if !some {
		return fault.Field("coupon", "coupon.not_for_this", "This code makes a trial longer, and nothing in your cart begins with one it is for.")
	}
	return nil
}

// useCoupons counts the uses of a quote's codes, or refuses the order: one may no longer
// be used, or not with the others, or takes off another amount than was quoted. They are
// used in the order in which they stand with the quote, which is that of their names: two
// orders cannot lock each other out.
func useCoupons(ctx context.Context, tx *tenancy.Tx, q quoteRow) error {
	codes := strings.Fields(q.coupon)
	if len(codes) == 0 {
		return nil
	}
	q.buyer.Plans = plansIn(q.items)
	var all []coupon.Coupon
	for _, code := range codes {
		c, err := coupon.Use(ctx, tx, code, q.variants[code], q.buyer)
		if err != nil {
			return err
		}
		for _, other := range all {
			if !coupon.Together(c, other) {
				return errPriceChanged
			}
		}
		all = append(all, c)
	}
	now := slices.Clone(q.items)
	if err := shareAll(all, q.Currency, now); err != nil {
		return err
	}
	for i, x := range q.items {
		if !x.Discount.Same(now[i].Discount) {
			return errPriceChanged
		}
		if was, is := x.Trial, now[i].Trial; (was == nil) != (is == nil) || was != nil && *was != *is {
			return errPriceChanged
		}
	}
	return nil
}

// stackOf is what each of several codes of an order took off, with its variant, as it is
// kept; nil: there is one code, or none.
func stackOf(q quoteRow) (*string, error) {
	codes := strings.Fields(q.coupon)
	if len(codes) < 2 {
		return nil, nil
	}
	type one struct {
		Off     int64  `json:"off"`
		Variant string `json:"variant,omitempty"`
	}
	stack := map[string]one{}
	for _, code := range codes {
		stack[code] = one{Variant: q.variants[code]}
	}
	for _, x := range q.items {
		d := x.Discount.At(1)
		if x.Trial != nil || d == nil {
			continue
		}
		_, offs, err := d.ApplyEach(x.lines())
		if err != nil {
			return nil, fmt.Errorf("take the discounts off: %w", err)
		}
		for i, code := range d.ByCode() {
			s := stack[code]
			s.Off += offs[i].Minor
			stack[code] = s
		}
	}
	raw, err := json.Marshal(stack)
	text := string(raw)
	return &text, err
}
