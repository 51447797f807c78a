package renewal

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/metering"
)

// terms are what a subscription has, as the engine takes it.
func (s Subscription) terms() billing.Terms {
	t := billing.Terms{Cycle: s.Cycle}
	var sum int64
	for _, it := range s.Items {
		sum += it.AmountMinor
		t.Parts = append(t.Parts, billing.Part{Kind: it.Kind, Code: it.Code, Label: it.words(s.Label), Quantity: it.Quantity, Price: billing.Money{Minor: it.AmountMinor, Currency: s.Amount.Currency}})
	}
	if len(t.Parts) == 0 || sum != s.Amount.Minor {
		t.Parts = []billing.Part{{Kind: "plan", Label: s.Label, Quantity: 1, Price: s.Amount}}
	}
	return t
}

func (it Item) words(label string) string {
	if it.Kind == "plan" {
		return label
	}
	return it.Label
}

// restarted is what is left of a code's discount when the periods are counted anew.
func (s Subscription) restarted() *billing.Discount { return s.left(s.Discount) }

// left is what is left of a discount for periods after those that were invoiced, counted
// anew; nil: nothing.
func (s Subscription) left(d *billing.Discount) *billing.Discount {
	return d.After(s.Renewals + 1)
}

// discounts takes off what a code takes off the period that runs, before and after, or
// off the first one where the periods are counted anew. It says which codes count no more
// because they are not for the plan that it becomes.
func (c changing) discounts(old, now *billing.Terms, to uuid.UUID, at time.Time) (lost string, err error) {
	d := c.s.discountAt(at)
	if old.Parts, err = d.Parts(old.Parts); err != nil {
		return "", err
	}
	if old.Cycle.Months() != now.Cycle.Months() || c.upgrade == billing.UpgradeFullPrice {
		switch {
		case stays(d) && c.s.Stays != nil:
			d = c.s.left(c.s.Stays.Discount)
		case !loyal(d):
			d = c.s.restarted()
		}
	}
	now.Parts, err = d.On(to.String()).Parts(now.Parts)
	return c.lost(to), err
}

// lost names the codes that are taken off the next invoice of the present plan and not of
// another one; empty: none.
func (c changing) lost(to uuid.UUID) string {
	left := c.s.codes().At(c.s.nextInvoice())
	if left == nil {
		return ""
	}
	var lost []string
	kept := left.On(to.String())
	for _, code := range left.ByCode() {
		if kept == nil || !slices.Contains(kept.ByCode(), code) {
			lost = append(lost, code)
		}
	}
	return strings.Join(lost, " and ")
}

// goes names the codes that are taken off the invoice after a change to a plan; empty: none.
func (c changing) goes(to uuid.UUID, restarts bool) string {
	next := c.s.codes().At(c.s.nextInvoice())
	if restarts { // the first of the periods that are counted anew is a part of the change
		next = c.s.restarted().At(2)
	}
	if next = next.On(to.String()); next == nil {
		return ""
	}
	return next.Codes()
}

// discountAt is what is taken off the period that runs at a time; nil: nothing. A code that
// is not for the plan it has by now counts from the change on no more.
func (s Subscription) discountAt(at time.Time) *billing.Discount {
	return s.invoicedWith(at).On(s.PlanID.String())
}

// invoicedWith is what was taken off the period that runs at a time; nil: nothing.
func (s Subscription) invoicedWith(at time.Time) *billing.Discount {
	if s.moved(at) {
		return s.Pause.Discount
	}
	if s.Stub.covers(at) {
		return s.Stub.Discount
	}
	for _, t := range s.Taken {
		if t.Period.Contains(at) {
			return t.Discount
		}
	}
	if s.Discount == nil {
		return nil
	}
	_, first := s.paid(at)
	return s.Discount.At(first + 1)
}

// moved reports whether a time lies in a period that a pause has moved.
func (s Subscription) moved(at time.Time) bool {
	return s.Pause != nil && slices.ContainsFunc(s.Pause.Moved, func(p billing.Period) bool { return p.Contains(at) })
}

// paid are the periods that are paid and not over, and which of those that are counted from
// the anchor the first is, from 0.
func (s Subscription) paid(now time.Time) (all []billing.Share, first int) {
	for n := s.Renewals + 1; n >= 0; n-- {
		p := s.Cycle.Period(s.AnchorAt, n, s.Zone())
		if !p.To.After(now) {
			break
		}
		if !p.To.After(s.Period.To) {
			all, first = append(all, billing.Share{Period: p, Whole: p}), n
		}
	}
	slices.Reverse(all)
	var before []billing.Share
	for _, p := range append(s.Pause.moved(), s.Stub.paid()...) {
		if p.Period.To.After(now) {
			before = append(before, p)
		}
	}
	return append(before, all...), first
}

// apart are the periods of shares, and the wholes they are of; nil: they are whole.
func apart(all []billing.Share) (periods, of []billing.Period) {
	parts := false
	for _, s := range all {
		periods, of = append(periods, s.Period), append(of, s.Whole)
		parts = parts || s.Period != s.Whole
	}
	if !parts {
		of = nil
	}
	return periods, of
}

// price is the quote of an ask at a moment.
func (c changing) price(ctx context.Context, tx *tenancy.Tx, offers []catalog.Offer, a ChangeAsk, at time.Time) (ChangeQuote, error) {
	if a.Prepay != 0 {
		return c.prepay(ctx, tx, a, at)
	}
	if a.ToBillDay {
		return c.move(ctx, tx, a, at)
	}
	if len(a.Buy) > 0 {
		return c.buy(ctx, tx, a, at)
	}
	got, err := c.target(offers, a)
	if err != nil {
		return ChangeQuote{}, err
	}
	s := c.s
	c.addons(got)
	q := ChangeQuote{SubscriptionID: s.ID, AccountID: s.AccountID, At: at, Was: s.Label, Ask: a, Amount: got.Amount, Facts: got.Chosen, WasHours: s.Cycle == billing.Hourly}
	q.Terms = Terms{PlanID: got.Plan.ID, Label: got.Label, Cycle: got.Picked.Cycle, AmountMinor: got.Amount.Minor, Picked: got.Picked, SKU: got.Plan.SKU, Spec: got.Spec, Additions: got.Additions}
	if got.Plan.ID == c.plan.ID {
		q.Terms.Label = s.Label
	}
	now := billing.Terms{Cycle: got.Picked.Cycle}
	for _, it := range got.Items {
		mine := Item{Kind: it.Kind, Code: it.Code, Label: it.Label, Quantity: it.Quantity, AmountMinor: it.Amount.Minor, PriceID: it.PriceID, Hour: HourOf(it.Hour)}
		for _, had := range s.Items { // what stays as it was keeps what set its price
			if had.Kind == it.Kind && had.Code == it.Code && had.Label == it.Label && had.AmountMinor == it.Amount.Minor {
				mine.PriceID = had.PriceID
			}
		}
		q.Terms.Items = append(q.Terms.Items, mine)
		now.Parts = append(now.Parts, billing.Part{Kind: it.Kind, Code: it.Code, Label: mine.words(q.Terms.Label), Quantity: it.Quantity, Price: it.Amount})
	}
	old := s.terms()
	if q.Lost, err = c.discounts(&old, &now, got.Plan.ID, at); err != nil {
		return q, err
	}
	if c.service.Spec.DiskGB > q.Terms.Spec.DiskGB {
		q.KeepsDisk = c.service.Spec.DiskGB
	}
	shares, _ := s.paid(at)
	paid, of := apart(shares)
	change := billing.Change{At: at, Zone: s.Zone(), Paid: paid, Of: of, Old: old, New: now, Upgrade: c.upgrade, Downgrade: c.down}
	switch {
	case now.Cycle != billing.Hourly:
		if change.HourEnd, err = metering.HourEnd(ctx, tx, s.ID, at); err != nil {
			return q, err
		}
	case betweenHours(old, now):
		change.Upgrade = billing.UpgradeProrate
	case old.Cycle == billing.Monthly:
		change.HourEnd = s.nextHour(at)
	}
	q.Price, err = change.Price()
	if !q.Price.AtRenewal {
		q.HourEnd = change.HourEnd
	}
	q.Goes = c.goes(got.Plan.ID, q.Price.Restarts && !q.Price.AtRenewal)
	switch {
	case errors.Is(err, billing.ErrSame):
		return q, fault.New(fault.Conflict, "change.nothing", "Nothing would change. Please choose something else.")
	case errors.Is(err, billing.ErrUnpaid), errors.Is(err, billing.ErrPeriod):
		return q, fault.New(fault.Conflict, "change.renewing", "This subscription is being renewed. Please come back when its invoice is paid.")
	case err != nil:
		return q, fault.Wrap(err, fault.Invalid, "change.too_much", "This comes to more than we can calculate.")
	}
	if err := s.mustBePaid(ctx, tx, q.Price.NextAt); err != nil {
		return q, err
	}
	return q, q.tax(ctx, tx)
}

// lines are what an invoice over the change says.
func (q ChangeQuote) lines() []billing.Line {
	var all []billing.Line
	for i, l := range q.Price.Lines {
		line := billing.Line{Kind: l.Part.Kind, SubscriptionID: q.SubscriptionID.String(), Description: l.Text, Period: l.Period, Quantity: 1, Unit: l.Net, Net: l.Net}
		if i < len(q.Bought) { // as the order's invoice has it
			line.Quantity, line.Unit = max(l.Part.Quantity, 1), q.Bought[i].Each(l.Net.Currency)
		}
		all = append(all, line)
	}
	return all
}

// tax fills in what is to be paid today, or given back.
func (q *ChangeQuote) tax(ctx context.Context, tx *tenancy.Tx) error {
	nothing := billing.Money{Currency: q.Amount.Currency}
	q.Net, q.Tax, q.Total, q.Back = nothing, nothing, nothing, nothing
	if q.Price.Net.IsZero() {
		return nil
	}
	who, err := account.ForInvoice(ctx, tx, q.AccountID)
	if err != nil {
		return err
	}
	lines := q.lines()
	if q.Price.Net.Minor < 0 {
		back := billing.Money{Minor: -q.Price.Net.Minor, Currency: q.Price.Net.Currency}
		lines = []billing.Line{{Kind: "plan", Description: "Back", Quantity: 1, Unit: back}}
	}
	p, err := invoicing.PriceFor(ctx, tx, who.Taxed(tx.Now()), lines)
	if err != nil {
		return err
	}
	q.open = p.Open
	if q.Price.Net.Minor < 0 {
		q.Back = p.Total
		return nil
	}
	q.Net, q.Tax, q.Total = p.Net, p.Tax, p.Total
	for _, sum := range p.Taxes {
		q.Taxes = append(q.Taxes, ChangeTax{Label: taxLabel(sum.Rule), Note: sum.Rule.Note, Amount: sum.Tax})
	}
	return nil
}

// taxLabel is "VAT 19 %".
func taxLabel(r billing.TaxRule) string {
	name := r.Name
	if name == "" {
		name = "Tax"
	}
	return name + " " + strconv.FormatFloat(float64(r.Ppm)/10_000, 'f', -1, 64) + " %"
}
