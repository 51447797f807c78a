package renewal

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/agreed"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/hosting"
)

// changing is a subscription with all that a change of it depends on.
type changing struct {
	s       Subscription
	service hosting.Service // zero: none
	plan    catalog.FullPlan
	plans   []catalog.FullPlan // of the product, the present one among them
	picked  catalog.Picked
	upgrade billing.UpgradeMode
	down    billing.DowngradeMode
}

// Changeable says why a subscription cannot be changed now; nil: it can.
func (s Subscription) Changeable(now time.Time) error {
	switch {
	case s.State == PastDue || s.State == Suspended:
		return fault.New(fault.Conflict, "change.overdue", "An invoice is overdue. Please pay it first; then the subscription can be changed.")
	case s.State == Paused:
		return fault.New(fault.Conflict, "change.paused", "This subscription is paused. It can be changed once it continues.")
	case s.State != Active:
		return fault.New(fault.Conflict, "change.not_running", "This subscription does not run, so there is nothing to change.")
	case !s.CancelAt.IsZero():
		return fault.New(fault.Conflict, "change.cancelled", "This subscription is cancelled. Take the cancellation back to change it.")
	case s.Change != nil:
		return fault.New(fault.Conflict, "change.under_way", "A change of this subscription is under way. Please wait until it is made, or take it back.")
	case s.Cycle.Months() == 0:
		return fault.New(fault.Conflict, "change.not_possible", "What is paid once cannot be changed.")
	case !s.Period.To.After(now):
		return fault.New(fault.Conflict, "change.renewing", "This subscription is being renewed. Please come back when its invoice is paid.")
	}
	return nil
}

// quoted reads a subscription of an account (uuid.Nil: of anybody) about which a quote is
// made, locked where the quote is accepted. Fault: subscription.not_found.
func quoted(ctx context.Context, tx *tenancy.Tx, id, account uuid.UUID, locked bool) (s Subscription, err error) {
	if locked {
		return theirs(ctx, tx, id, account)
	}
	if s, err = Get(ctx, tx, id); err == nil && account != uuid.Nil && s.AccountID != account {
		err = errNone
	}
	return s, err
}

// readChanging reads a subscription for a change. Faults: subscription.not_found and
// those of Changeable.
func readChanging(ctx context.Context, tx *tenancy.Tx, id, account uuid.UUID, locked bool) (c changing, err error) {
	if c.s, err = quoted(ctx, tx, id, account, locked); err != nil {
		return c, err
	}
	if err := c.s.Changeable(tx.Now()); err != nil {
		if fault.Is(err, "change.renewing") {
			if owed := refuseUsage(ctx, tx, c.s.ID); owed != nil {
				return c, owed
			}
		}
		return c, err
	}
	if c.s.ServiceID != uuid.Nil {
		if c.service, err = hosting.Get(ctx, tx, c.s.ServiceID); err != nil {
			return c, err
		}
		if err := c.service.Resizable(); err != nil {
			return c, err
		}
	}
	if c.plans, err = catalog.Siblings(ctx, tx, c.s.PlanID); err != nil {
		return c, err
	}
	if err := agreed.Apply(ctx, tx, c.s.AccountID, c.plans); err != nil {
		return c, err
	}
	i := slices.IndexFunc(c.plans, func(p catalog.FullPlan) bool { return p.ID == c.s.PlanID })
	if i < 0 {
		return c, fmt.Errorf("subscription %s has no plan", id)
	}
	c.plan, c.upgrade, c.down = c.plans[i], c.plans[i].Upgrade, c.plans[i].Downgrade
	c.picked, err = pickedOf(ctx, tx, c.s)
	return c, err
}

// pickedOf is what was chosen at the last change, or in the order.
func pickedOf(ctx context.Context, tx *tenancy.Tx, s Subscription) (p catalog.Picked, err error) {
	if s.Picked.Plan != "" {
		return s.Picked, nil
	}
	var text string
	err = tx.NewRaw(`SELECT x->>'picked' FROM orders o JOIN quotes q ON q.id = o.quote_id, jsonb_array_elements(coalesce(q.body->'items', '[]')) AS x
		WHERE o.id = ? AND x->>'subscription_id' = ?`, s.OrderID, s.ID.String()).Scan(ctx, &text)
	if tenancy.IsNoRows(err) || err == nil && text == "" {
		return catalog.Picked{}, nil
	}
	if err != nil {
		return p, fmt.Errorf("read what was ordered: %w", err)
	}
	return p, json.Unmarshal([]byte(text), &p)
}

// want fills in what an ask leaves as it is. An option that the asker does not name is as
// it was.
func (c changing) want(a ChangeAsk) (catalog.FullPlan, catalog.Picked, error) {
	in := c.picked
	in.Product, in.Plan, in.Cycle = c.plan.Product, c.plan.Slug, c.s.Cycle
	if a.Plan != "" {
		in.Plan = a.Plan
	}
	if a.Cycle != "" {
		in.Cycle = a.Cycle
	}
	in.Options = maps.Clone(in.Options)
	if in.Options == nil {
		in.Options = map[string]string{}
	}
	maps.Copy(in.Options, a.Options)
	p, ok := catalog.Find(c.plans, in.Path())
	switch {
	case !ok:
		return p, in, fault.Field("plan", "change.unknown_plan", "There is no such plan.")
	case !p.ForSale() && p.ID != c.plan.ID:
		return p, in, fault.Field("plan", "change.plan_archived", p.Name+" is not sold any more. Please choose another plan.")
	}
	return p, in, nil
}

// target is what an ask comes to. Faults: change.unknown_plan, change.plan_archived,
// change.sold_out, and those of catalog.Configure.
func (c changing) target(offers []catalog.Offer, a ChangeAsk) (catalog.Configured, error) {
	p, in, err := c.want(a)
	if err != nil {
		return catalog.Configured{}, err
	}
	// What is charged once was, with the order.
	p.Options = slices.DeleteFunc(slices.Clone(p.Options), func(o catalog.Option) bool { return o.Kind == catalog.Once })
	other := p.ID != c.plan.ID
	if other && p.Stock != nil && *p.Stock == 0 {
		return catalog.Configured{}, fault.Field("plan", "change.sold_out", p.Name+" is sold out. Please choose another plan.")
	}
	if !other { // who has it keeps it, and may change its options
		p.Visibility, p.ProductVisibility = catalog.Shown, catalog.Shown
		if _, sold := p.Price(c.s.Amount.Currency, c.s.Cycle); !sold && in.Cycle == c.s.Cycle {
			p.Prices = append(slices.Clone(p.Prices), catalog.FullPrice{Currency: c.s.Amount.Currency, Cycle: c.s.Cycle, Amount: c.s.planMinor(), Kept: true})
		}
	}
	if other && c.service.ID != uuid.Nil && (p.SKU == "") != c.service.ByHand() {
		return catalog.Configured{}, fault.Field("plan", "change.other_delivery", p.Name+" is delivered in another way. Please order it anew.")
	}
	if c.service.ID != uuid.Nil {
		in.Region, in.Image, in.Hostname = c.service.Region, "", ""
		if p.SKU == c.service.SKU {
			offers = roomFor(offers, p.SKU, in.Region)
		}
	}
	got, err := catalog.Configure(p, offers, c.s.Amount.Currency, in)
	if err != nil {
		return got, err
	}
	got.Picked.Image, got.Picked.Hostname = c.picked.Image, c.picked.Hostname
	got.Items = c.kept(got)
	got.Amount = billing.Money{Currency: c.s.Amount.Currency}
	for _, it := range got.Items {
		if got.Amount, err = got.Amount.Add(it.Amount); err != nil {
			return got, fault.Wrap(err, fault.Invalid, "configuration.too_much", "This comes to more than we can calculate.")
		}
	}
	return got, nil
}

// roomFor says that there is room where the service already is.
func roomFor(offers []catalog.Offer, sku, region string) []catalog.Offer {
	out := slices.Clone(offers)
	for i := range out {
		if out[i].SKU != sku {
			continue
		}
		out[i].Regions = slices.Clone(out[i].Regions)
		for j := range out[i].Regions {
			if out[i].Regions[j].Code == region {
				out[i].Regions[j].Available = true
			}
		}
	}
	return out
}

// kept gives what does not change the price it was sold for.
func (c changing) kept(got catalog.Configured) []catalog.Item {
	out := slices.Clone(got.Items)
	if got.Picked.Cycle != c.s.Cycle {
		return out
	}
	for i := range out {
		for _, old := range c.s.Items {
			same := old.Kind == out[i].Kind && old.Quantity == out[i].Quantity && (old.Code == out[i].Code && old.Label == out[i].Label || old.Kind == "plan" && got.Plan.ID == c.plan.ID)
			if same {
				out[i].Code, out[i].Label, out[i].Amount.Minor = old.Code, old.Label, old.AmountMinor
				out[i].Hour = old.Hour.HourPrice
			}
		}
	}
	return out
}

// ChangeChoice is what a subscription can be changed to.
type ChangeChoice struct {
	Subscription Subscription
	Plan         catalog.FullPlan   // the present one
	Plans        []catalog.FullPlan // that it can become, the present one among them
	Picked       catalog.Picked     // as it is
}

// Choices reads what a subscription can be changed to: the plans of its product that are
// sold in its currency and delivered where it is. Faults: as QuoteChange.
func Choices(ctx context.Context, tx *tenancy.Tx, offers []catalog.Offer, id, account uuid.UUID) (out ChangeChoice, err error) {
	c, err := readChanging(ctx, tx, id, account, false)
	if err != nil {
		return out, err
	}
	out = ChangeChoice{Subscription: c.s, Plan: c.plan, Picked: c.picked}
	out.Picked.Product, out.Picked.Plan, out.Picked.Cycle = c.plan.Product, c.plan.Slug, c.s.Cycle
	for _, p := range c.plans {
		if p.ID == c.plan.ID || c.offered(p, offers) {
			out.Plans = append(out.Plans, p)
		}
	}
	return out, nil
}

// offered reports whether a plan could be had instead.
func (c changing) offered(p catalog.FullPlan, offers []catalog.Offer) bool {
	if !p.ForSale() || len(p.InCurrency(c.s.Amount.Currency)) == 0 || p.Visibility == catalog.Hidden {
		return false
	}
	if c.service.ID == uuid.Nil {
		return true
	}
	return slices.ContainsFunc(catalog.Places(p, catalog.OfferFor(offers, p)), func(r catalog.Region) bool { return r.Code == c.service.Region })
}
