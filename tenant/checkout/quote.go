package checkout

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/agreed"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// MaxItems is the most things one order holds.
const MaxItems = 8

// body is what of a quote is kept as JSON.
type body struct {
	Items   []Item `json:"items"`
	Country string `json:"country"`
	Taxes   []Tax  `json:"taxes"`
	Coupon  string `json:"coupon,omitempty"`
	Variant string `json:"variant,omitempty"` // of quotes made before there could be several codes

	Variants map[string]string `json:"variants,omitempty"` // by code
}

var (
	errEmpty   = fault.New(fault.Conflict, "checkout.empty", "There is nothing in your cart.")
	errTooMany = fault.New(fault.Conflict, "checkout.too_many_items", "One order holds at most "+strconv.Itoa(MaxItems)+" things. Please order the rest afterwards.")
)

// Preview prices a cart as an order placed now would be charged, and keeps nothing. What
// cannot be ordered is left out and stands in Problems.
func (d *Desk) Preview(ctx context.Context, db *tenancy.DB, a Ask) (q Quote, err error) {
	offers, err := d.Offers.Offers(ctx, db.Tenant().ID)
	if err != nil {
		return Quote{}, err
	}
	for asked := false; ; asked = true {
		err = db.View(ctx, func(tx *tenancy.Tx) error {
			q, err = price(ctx, tx, db.Tenant(), offers, a)
			return err
		})
		if err != nil || asked || d.Taxes == nil || len(q.open) == 0 {
			return q, err
		}
		if err := d.Taxes.Ask(ctx, db, q.open); err != nil {
			return q, err
		}
	}
}

// errAsk ends a transaction of which nothing is kept, because a tax service is asked first.
var errAsk = errors.New("checkout: a tax service is asked first")

// Quote prices a cart for an account and keeps the offer for QuoteFor, and with it what it
// takes of stocks. The fault is of
// the first thing that cannot be ordered, or checkout.empty, checkout.too_many_items,
// checkout.unknown_account; why its code does not count, at the field coupon; and
// whatever keeps the shop from selling.
func (d *Desk) Quote(ctx context.Context, db *tenancy.DB, a Ask) (q Quote, err error) {
	if err := MaySell(db.Tenant()); err != nil {
		return Quote{}, err
	}
	if len(a.Items) == 0 {
		return Quote{}, errEmpty
	}
	offers, err := d.Offers.Offers(ctx, db.Tenant().ID)
	if err != nil {
		return Quote{}, err
	}
	for asked := false; ; asked = true {
		if q, err = d.quote(ctx, db, offers, a, !asked && d.Taxes != nil); !errors.Is(err, errAsk) {
			return q, err
		}
		if err := d.Taxes.Ask(ctx, db, q.open); err != nil {
			return q, err
		}
	}
}

// quote is one try at a quote: errAsk where a tax service is to be asked first.
func (d *Desk) quote(ctx context.Context, db *tenancy.DB, offers []catalog.Offer, a Ask, mayAsk bool) (q Quote, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if q, err = price(ctx, tx, db.Tenant(), offers, a); err != nil {
			return err
		}
		if mayAsk && len(q.open) > 0 {
			return errAsk
		}
		if len(q.Problems) > 0 {
			return q.Problems[0].Err
		}
		if q.CouponErr != nil {
			return q.CouponErr
		}
		if err := q.holdStock(ctx, tx); err != nil {
			return err
		}
		return q.keep(ctx, tx)
	})
	return q, err
}

// MaySell refuses where the platform lets the shop sell nothing new. The fault is
// checkout.closed.
func MaySell(t tenancy.Tenant) error {
	if t.Restriction.SellsNew() {
		return nil
	}
	return fault.New(fault.Conflict, "checkout.closed", "This shop takes no new orders at the moment. What you have runs on.")
}

// buyer is what pricing asks of an account.
type buyer struct {
	Currency string
	Country  *string
	TaxID    *string `bun:"tax_id"`

	Kind, Postcode, Region, TaxCheck, TaxExemption string
	TimeZone                                       string
	BillDay                                        int
	Agreed                                         string // its prices; see agreed.Column
}

func price(ctx context.Context, tx *tenancy.Tx, t tenancy.Tenant, offers []catalog.Offer, a Ask) (Quote, error) {
	if len(a.Items) > MaxItems {
		return Quote{}, errTooMany
	}
	who := buyer{Currency: t.Currency}
	if a.AccountID != uuid.Nil {
		err := tx.NewRaw(`SELECT currency, country, tax_id, time_zone, coalesce(bill_day, 0) AS bill_day, coalesce(kind, '') AS kind, coalesce(billing->>'postcode', '') AS postcode, coalesce(billing->>'region', '') AS region, coalesce(tax_check::text, '') AS tax_check,
			coalesce(tax_exemption::text, '') AS tax_exemption, `+agreed.Column("accounts.id")+` AS agreed FROM accounts WHERE id = ? AND closed_at IS NULL`, a.AccountID).Scan(ctx, &who)
		if tenancy.IsNoRows(err) {
			return Quote{}, fault.New(fault.NotFound, "checkout.unknown_account", "There is no such account.")
		}
		if err != nil {
			return Quote{}, fmt.Errorf("read the account: %w", err)
		}
	}
	q := Quote{AccountID: a.AccountID, Currency: who.Currency, Country: text(who.Country), CreatedAt: tx.Now(), ExpiresAt: tx.Now().Add(QuoteFor)}
	none := billing.Money{Currency: q.Currency}
	q.Net, q.Tax, q.Total, q.Off = none, none, none, none
	plans, err := plansOf(ctx, tx, who.Agreed, a.Items)
	if err != nil {
		return Quote{}, err
	}
	for i, picked := range a.Items {
		item, err := configure(tx, plans, offers, q.AccountID, q.Currency, picked)
		if err != nil {
			if fault.From(err).Kind == fault.Internal {
				return Quote{}, err
			}
			q.Problems = append(q.Problems, Problem{Index: i, Err: err})
			continue
		}
		q.Items = append(q.Items, item)
	}
	if len(q.Items) == 0 {
		return q, nil
	}
	q.counted = slices.ContainsFunc(plans, func(p catalog.FullPlan) bool { return p.Stock != nil })
	if err := q.try(ctx, tx, plans); err != nil {
		return Quote{}, err
	}
	if err := q.stub(who, tx.Now()); err != nil {
		return Quote{}, err
	}
	if err := q.discount(ctx, tx, a); err != nil {
		return Quote{}, err
	}
	all, off, err := lines(q.Items)
	if err != nil {
		return Quote{}, err
	}
	if q.Off = off; off.Currency == "" {
		q.Off = none
	}
	if len(all) == 0 { // everything is tried first
		return q, nil
	}
	taxed, err := account.TaxedOf(who.Kind, account.Address{Country: q.Country, Postcode: who.Postcode, Region: who.Region}, text(who.TaxID), who.TaxCheck, who.TaxExemption, tx.Now())
	if err != nil {
		return Quote{}, err
	}
	priced, err := invoicing.PriceFor(ctx, tx, taxed, all)
	if err != nil {
		return Quote{}, err
	}
	q.open = priced.Open
	q.Net, q.Tax, q.Total, q.TaxIn = priced.Net, priced.Tax, priced.Total, priced.TaxIn
	for _, s := range priced.Taxes {
		q.Taxes = append(q.Taxes, Tax{Label: taxLabel(s.Rule), Note: s.Rule.Note, Amount: s.Tax})
	}
	return q, nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// plansOf are the plans of things, at the prices agreed on with the account as they were
// read with it.
func plansOf(ctx context.Context, tx *tenancy.Tx, own string, items []catalog.Picked) ([]catalog.FullPlan, error) {
	paths := make([]catalog.Path, len(items))
	for i, x := range items {
		paths[i] = x.Path()
	}
	plans, err := catalog.ByPaths(ctx, tx, paths)
	if err != nil {
		return nil, err
	}
	prices, err := agreed.Read(own)
	if err != nil {
		return nil, err
	}
	return plans, agreed.Put(plans, prices, tx.Now())
}

// configure checks one thing as it is sold now. Faults: those of catalog.Configure,
// plan.not_found, checkout.out_of_stock, checkout.held.
func configure(tx *tenancy.Tx, plans []catalog.FullPlan, offers []catalog.Offer, account uuid.UUID, currency string, picked catalog.Picked) (Item, error) {
	p, ok := catalog.Find(plans, picked.Path())
	if !ok {
		return Item{}, fault.New(fault.NotFound, "plan.not_found", "There is no such plan.")
	}
	if err := inStock(p, account, tx); err != nil {
		return Item{}, err
	}
	c, err := catalog.Configure(p, offers, currency, picked)
	if err != nil {
		return Item{}, err
	}
	return Item{
		PlanID: p.ID, Type: p.Type, SKU: p.SKU, TaxClass: p.TaxClass, Label: c.Label, Picked: c.Picked, RegionName: c.RegionName, ImageName: c.ImageName,
		Spec: c.Spec, Parts: c.Items, Chosen: c.Chosen, Amount: c.Amount, Setup: c.Setup, Once: c.Once, Additions: c.Additions, ByHand: p.Delivery.ByHand,
	}, nil
}

func outOfStock(label string) error {
	return fault.New(fault.Conflict, "checkout.out_of_stock", label+" is sold out. Please choose another plan, or come back later.")
}

// lines are what an invoice over what is due today of the items says, and what codes take
// off them.
func lines(items []Item) (all []billing.Line, off billing.Money, err error) {
	for _, x := range items {
		if x.Trial != nil {
			continue
		}
		own := x.lines()
		if d := x.Discount.At(1); d != nil {
			var less billing.Money
			if own, less, err = d.Apply(own); err != nil {
				return nil, off, fmt.Errorf("take the discount off: %w", err)
			}
			if off.Currency == "" {
				off = less
			} else if off, err = off.Add(less); err != nil {
				return nil, off, fmt.Errorf("take the discount off: %w", err)
			}
		}
		all = append(all, own...)
	}
	return all, off, nil
}

func (x Item) lines() (all []billing.Line) {
	sub := ""
	if x.SubscriptionID != uuid.Nil {
		sub = x.SubscriptionID.String()
	}
	for i, part := range x.Parts {
		words, quantity, unit := part.Label, part.Quantity, part.Unit
		if x.Stub != nil {
			quantity, unit = 1, x.Stub.Parts[i]
		}
		if part.Kind == "plan" {
			if x.Stub != nil {
				words += ", " + x.Stub.Words()
			} else {
				words += per(x.Picked.Cycle)
			}
			if x.RegionName != "" {
				words += ", " + x.RegionName
			}
		}
		all = append(all, billing.Line{Kind: part.Kind, SubscriptionID: sub, Description: words, Quantity: quantity, Unit: unit, PriceID: priceID(part), Awaits: x.Picked.Cycle.Months() > 0, Tax: billing.TaxRule{Class: x.TaxClass}})
	}
	return append(all, x.once()...)
}

// SetupFee is what setting up costs, without the add-ons that are charged once.
func (x Item) SetupFee() billing.Money {
	fee := x.Setup
	for _, o := range x.Once {
		if !x.Setup.IsZero() {
			fee.Minor -= o.Amount.Minor
		}
	}
	return fee
}

// once is what is asked for once, with the first invoice.
func (x Item) once() (all []billing.Line) {
	sub := ""
	if x.SubscriptionID != uuid.Nil {
		sub = x.SubscriptionID.String()
	}
	for _, o := range x.onceItems() {
		all = append(all, billing.Line{Kind: o.Kind, SubscriptionID: sub, Description: o.Label, Quantity: o.Quantity, Unit: o.Each(x.Setup.Currency), Tax: billing.TaxRule{Class: x.TaxClass}})
	}
	return all
}

// onceItems are what once asks for. The price of setting up has no code.
func (x Item) onceItems() (all []renewal.Item) {
	if fee := x.SetupFee(); !fee.IsZero() {
		all = append(all, renewal.Item{Kind: "setup", Label: "Setting up " + x.Label, Quantity: 1, AmountMinor: fee.Minor})
	}
	for _, o := range x.Once {
		if !x.Setup.IsZero() {
			all = append(all, renewal.Item{Kind: "setup", Code: o.Code, Label: x.Label + ": " + o.Label, Quantity: o.Quantity, AmountMinor: o.Amount.Minor})
		}
	}
	return all
}

func priceID(part catalog.Item) string {
	if part.PriceID == uuid.Nil {
		return ""
	}
	return part.PriceID.String()
}

// per says what a price is for, after a product's name.
func per(c billing.Cycle) string {
	switch c {
	case billing.Monthly:
		return ", 1 month"
	case billing.OneTime:
		return ""
	case billing.Hourly:
		return ", by the hour"
	default:
		return ", " + strconv.Itoa(c.Months()) + " months"
	}
}

// taxLabel is "VAT 19 %".
func taxLabel(r billing.TaxRule) string {
	name := r.Name
	if name == "" {
		name = "Tax"
	}
	percent := strconv.FormatFloat(float64(r.Ppm)/10_000, 'f', -1, 64)
	return strings.TrimSpace(name + " " + percent + " %")
}

func (q *Quote) keep(ctx context.Context, tx *tenancy.Tx) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	q.ID = id
	raw, err := json.Marshal(body{Items: q.Items, Country: q.Country, Taxes: q.Taxes, Coupon: q.Coupon, Variants: q.Variants})
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`INSERT INTO quotes (id, kind, account_id, currency, net_minor, tax_minor, total_minor, body, created_at, expires_at)
		VALUES (?, 'checkout', ?, ?, ?, ?, ?, ?::jsonb, ?, ?)`,
		q.ID, q.AccountID, q.Currency, q.Net.Minor, q.Tax.Minor, q.Total.Minor, string(raw), q.CreatedAt, q.ExpiresAt).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep the quote: %w", err)
	}
	return nil
}

// TakesMoney reports whether the shop has a way to be paid.
func TakesMoney(ctx context.Context, db *tenancy.DB) (on bool, err error) {
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT EXISTS (SELECT FROM gateways WHERE state = 'on' AND (code <> 'sandbox' OR ?))", db.Tenant().MayTest()).Scan(ctx, &on)
	})
	return on, err
}
