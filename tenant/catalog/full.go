package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Visibility says who may see and buy something.
type Visibility string

// The visibilities. What is hidden can be bought by whoever has its address; what is
// archived cannot be bought and stays with those who have it.
const (
	Shown    Visibility = "public"
	Hidden   Visibility = "hidden"
	Archived Visibility = "archived"
)

// FullPlan is a plan with everything that decides what it costs and what is delivered.
type FullPlan struct {
	ID                uuid.UUID
	ProductID         uuid.UUID
	Product           string // its slug
	ProductName       string
	TaxClass          string // of its product
	Type              Type
	ProductVisibility Visibility
	Slug              string
	Name              string
	Summary           string
	Facts             []Fact
	Recommended       bool
	Position          int
	Visibility        Visibility
	SKU               string                       // empty: nothing is delivered by a platform
	Stock             *int                         // nil: as many as the platform takes
	Held              map[string]billing.StockHold // of the stock, kept for accounts that check out
	Delivery          Delivery
	Upgrade           billing.UpgradeMode   // how somebody who has it changes to something dearer
	Downgrade         billing.DowngradeMode // and to something cheaper
	PauseDays         int                   // a customer may pause it so long within a year; 0: not at all
	TrialDays         int                   // a customer may try it so long; 0: not at all
	TrialCard         bool                  // and saves a card first
	Prices            []FullPrice           // all currencies, the shortest cycle first
	Options           []Option              // of the product, in order, without the archived
	Meters            []Meter               // it is billed by, in order, without the retired
	ChangedAt         time.Time

	hours *Meter // that the editor of the plan makes; nil: none
}

// Delivery narrows where a plan is offered and with which images; empty: all there are.
type Delivery struct {
	ByHand  bool     `json:"by_hand,omitempty"` // the shop's team delivers it; no platform does
	Regions []string `json:"regions,omitempty"`
	Images  []string `json:"images,omitempty"`
}

// FullPrice is what a plan costs a cycle in one currency.
type FullPrice struct {
	Currency string `json:"currency"`
	Cycle    Cycle  `json:"cycle"`
	Amount   int64  `json:"amount"`
	Setup    int64  `json:"setup"`

	Usual    int64     `json:"-"` // what others pay, where Amount was agreed on with whoever asks
	AgreedID uuid.UUID `json:"-"` // uuid.Nil: it was not
	Hour     HourPrice `json:"-"` // what was agreed on for an hour; zero: it is the meter's
	Kept     bool      `json:"-"` // it is not sold so any more, and who has it keeps it
}

// The kinds of options.
const (
	OneOf    = "choice"
	Quantity = "quantity"
	Slider   = "slider" // a number between two others, which begins with one of its own
	Addon    = "addon"  // so many of a thing of its own, none at first; it goes at the end of what is paid
	Once     = "once"   // so many of a thing that is charged once, with what it is bought with
)

// Option is what a customer may choose on top of a plan. A choice has one of its
// choices; of anything that is counted there is one choice, whose prices are those of
// one step.
type Option struct {
	ID         uuid.UUID  `json:"id"`
	Code       string     `json:"code"`
	Label      string     `json:"label"`
	Help       string     `json:"help"`
	Kind       string     `json:"kind"`
	Resource   string     `json:"resource"` // what of the service it adds to; empty: nothing
	Minimum    int        `json:"minimum"`
	Maximum    int        `json:"maximum"`
	Step       int        `json:"step"`
	Choices    []Choice   `json:"choices"`
	Position   int        `json:"position"`
	Visibility Visibility `json:"visibility"`

	Start int         `json:"start"` // what a slider begins with
	Plans []uuid.UUID `json:"plans"` // it can be had with; empty: all of its product
}

// Counted reports whether a number is chosen, and not one of several.
func (o Option) Counted() bool { return o.Kind != OneOf }

// Single reports whether there is one of an add-on or none.
func (o Option) Single() bool { return (o.Kind == Addon || o.Kind == Once) && o.Maximum == o.Step }

// Steps are the numbers that can be chosen.
func (o Option) Steps() billing.Steps {
	s := billing.Steps{Minimum: o.Minimum, Maximum: o.Maximum, Step: o.Step, Start: o.Minimum}
	if o.Kind == Slider {
		s.Start = o.Start
	}
	return s
}

// For reports whether it can be had with a plan.
func (o Option) For(plan uuid.UUID) bool { return len(o.Plans) == 0 || slices.Contains(o.Plans, plan) }

// Choice is one of an option's. Amount is what it adds to the resource; prices are minor
// units by currency and cycle. A choice without any price costs nothing; one with prices
// but none for a currency is not sold in it. A cycle without a price of its own costs
// its months' worth; see Hours for what is paid by the hour.
type Choice struct {
	Code   string                     `json:"code"`
	Label  string                     `json:"label"`
	Amount int                        `json:"amount"`
	Prices map[string]map[Cycle]int64 `json:"prices,omitempty"`
	Hour   map[string]string          `json:"hour,omitempty"` // what an hour costs, in minor units, by currency; none: a share of its month
	SKU    string                     `json:"sku,omitempty"`  // of the wholesale add-on it is made of; empty: of none
}

// Hours is what an hour of the choice costs: what was said, or a 720th of its month, and never
// more a month than its month; of no rate where it costs nothing, false when it is not sold so.
func (c Choice) Hours(currency string) (h HourPrice, ok bool) {
	minor, monthly := c.Prices[currency][Monthly]
	month := billing.Money{Minor: minor, Currency: currency}
	if typed, said := c.Hour[currency]; said {
		rate, err := billing.ParseMinorRate(typed, currency)
		return HourPrice{Rate: rate, Most: month}, err == nil
	}
	if len(c.Prices) == 0 && len(c.Hour) == 0 || monthly && minor == 0 {
		return HourPrice{}, true
	}
	if !monthly {
		return h, false
	}
	h, err := billing.ByHours(month)
	return h, err == nil
}

// Price is what the choice costs a cycle besides its hours; false when it is not sold so.
func (c Choice) Price(currency string, cycle Cycle) (billing.Money, bool) {
	if cycle == Hourly {
		_, ok := c.Hours(currency)
		return billing.Money{Currency: currency}, ok
	}
	if len(c.Prices) == 0 && len(c.Hour) == 0 {
		return billing.Money{Currency: currency}, true
	}
	at := c.Prices[currency]
	if minor, ok := at[cycle]; ok {
		return billing.Money{Minor: minor, Currency: currency}, true
	}
	monthly, ok := at[Monthly]
	if months := cycle.Months(); ok && months > 0 {
		m, err := billing.Money{Minor: monthly, Currency: currency}.Times(int64(months))
		return m, err == nil
	}
	return billing.Money{}, false
}

// Path names a plan as its address does.
type Path struct{ Product, Plan string }

// InCurrency are the plan's prices in one currency.
func (p FullPlan) InCurrency(currency string) []Price {
	var out []Price
	for i := range p.Prices {
		x := p.Prices[i]
		if x.Currency == currency {
			price := Price{Cycle: x.Cycle, Amount: billing.Money{Minor: x.Amount, Currency: currency}, Setup: billing.Money{Minor: x.Setup, Currency: currency}, Usual: billing.Money{Minor: x.Usual, Currency: currency}, AgreedID: x.AgreedID}
			if !x.Kept {
				price.byTheHour(p.Meters)
			}
			if price.Hours != nil && x.AgreedID != uuid.Nil {
				price.UsualHours, price.Hours = price.Hours, &x.Hour
			}
			if x.Kept || price.Cycle != Hourly || price.Hours != nil {
				out = append(out, price)
			}
		}
	}
	return out
}

// Price is what the plan costs a cycle in a currency.
func (p FullPlan) Price(currency string, cycle Cycle) (Price, bool) {
	for _, x := range p.InCurrency(currency) {
		if x.Cycle == cycle {
			return x, true
		}
	}
	return Price{}, false
}

// HourAt is what an hour of the plan costs everybody, where one of its prices stands for hours.
func (p FullPlan) HourAt(x FullPrice) (HourPrice, bool) {
	price := Price{Cycle: x.Cycle, Amount: billing.Money{Minor: x.Amount, Currency: x.Currency}}
	if price.byTheHour(p.Meters); price.Hours == nil {
		return HourPrice{}, false
	}
	return *price.Hours, true
}

// Listed is the row of the plan's prices for a currency and cycle, as it is kept.
func (p FullPlan) Listed(currency string, cycle Cycle) (FullPrice, bool) {
	i := slices.IndexFunc(p.Prices, func(x FullPrice) bool { return x.Currency == currency && x.Cycle == cycle })
	if i < 0 {
		return FullPrice{}, false
	}
	return p.Prices[i], true
}

// ForSale reports whether the plan may be bought: public or known by its address.
func (p FullPlan) ForSale() bool { return p.Visibility != Archived && p.ProductVisibility != Archived }

type fullRow struct {
	ID                uuid.UUID
	ProductID         uuid.UUID
	Product           string
	ProductName       string
	TaxClass          string
	Type              Type
	ProductVisibility Visibility
	Slug              string
	Name              string
	Summary           string
	Facts             []byte
	Recommended       bool
	Position          int
	Visibility        Visibility
	SKU               *string `bun:"sku"`
	Stock             *int
	Held              []byte
	Delivery          []byte
	Upgrade           billing.UpgradeMode
	Downgrade         billing.DowngradeMode
	PauseDays         int
	TrialDays         int
	TrialCard         bool
	Prices            []byte
	Options           []byte
	Meters            []byte
	ChangedAt         time.Time
}

// fullRows reads plans with their prices and options in one statement.
const fullRows = `
SELECT pl.id, pl.product_id, p.slug AS product, p.name AS product_name, coalesce(p.tax_class, 'standard') AS tax_class, p.type, p.visibility AS product_visibility,
       pl.slug, pl.name, pl.summary, pl.facts, pl.recommended, pl.position, pl.visibility, pl.sku, pl.stock, pl.held, pl.delivery,
       coalesce(pl.upgrade, 'prorate') AS upgrade, coalesce(pl.downgrade, 'at_renewal') AS downgrade, coalesce(pl.pause_days, 0) AS pause_days,
       coalesce(pl.trial_days, 0) AS trial_days, coalesce(pl.trial_card, false) AS trial_card,
       greatest(p.changed_at, pl.changed_at) AS changed_at,
       (SELECT jsonb_agg(jsonb_build_object('currency', pr.currency, 'cycle', pr.cycle, 'amount', pr.amount_minor, 'setup', pr.setup_minor)
          ORDER BY pr.currency, array_position(ARRAY['hourly','monthly','quarterly','semi_annual','annual','biennial','triennial','one_time'], pr.cycle))
        FROM prices pr WHERE pr.plan_id = pl.id) AS prices,
       (SELECT jsonb_agg(jsonb_build_object('id', o.id, 'code', o.code, 'label', o.label, 'help', o.help, 'kind', o.kind, 'resource', o.resource,
          'minimum', o.minimum, 'maximum', o.maximum, 'step', o.step, 'choices', o.choices, 'start', coalesce(o.start, o.minimum), 'plans', o.plans, 'position', o.position, 'visibility', o.visibility) ORDER BY o.position, o.code)
        FROM options o WHERE o.product_id = p.id AND o.visibility <> 'archived') AS options,
       (SELECT jsonb_agg(` + meterJSON + ` ORDER BY m.position, m.code) FROM meters m WHERE m.plan_id = pl.id AND m.retired_at IS NULL) AS meters
FROM plans pl JOIN products p ON p.id = pl.product_id
WHERE `

func full(ctx context.Context, tx *tenancy.Tx, where string, args ...any) ([]FullPlan, error) {
	var rows []fullRow
	if err := tx.NewRaw(fullRows+where, args...).Scan(ctx, &rows); err != nil {
		return nil, fmt.Errorf("read plans: %w", err)
	}
	all := make([]FullPlan, len(rows))
	for i, r := range rows {
		var err error
		if all[i], err = r.plan(); err != nil {
			return nil, fmt.Errorf("read plan %s: %w", r.ID, err)
		}
	}
	return all, nil
}

func (r fullRow) plan() (FullPlan, error) {
	p := FullPlan{
		ID: r.ID, ProductID: r.ProductID, Product: r.Product, ProductName: r.ProductName, TaxClass: r.TaxClass, Type: r.Type, ProductVisibility: r.ProductVisibility,
		Slug: r.Slug, Name: r.Name, Summary: r.Summary, Recommended: r.Recommended, Position: r.Position, Visibility: r.Visibility,
		Stock: r.Stock, Upgrade: r.Upgrade, Downgrade: r.Downgrade, PauseDays: r.PauseDays, TrialDays: r.TrialDays, TrialCard: r.TrialCard, ChangedAt: r.ChangedAt,
	}
	if r.SKU != nil {
		p.SKU = *r.SKU
	}
	for _, x := range []struct {
		raw []byte
		to  any
	}{{r.Facts, &p.Facts}, {r.Held, &p.Held}, {r.Delivery, &p.Delivery}, {r.Prices, &p.Prices}, {r.Options, &p.Options}, {r.Meters, &p.Meters}} {
		if len(x.raw) == 0 {
			continue
		}
		if err := json.Unmarshal(x.raw, x.to); err != nil {
			return p, err
		}
	}
	p.Options = slices.DeleteFunc(p.Options, func(o Option) bool { return !o.For(p.ID) })
	return p, nil
}

var errNoPlan = fault.New(fault.NotFound, "plan.not_found", "There is no such plan.")

// ByPath returns a plan by its address, whatever its visibility. The fault is plan.not_found.
func ByPath(ctx context.Context, tx *tenancy.Tx, at Path) (FullPlan, error) {
	all, err := ByPaths(ctx, tx, []Path{at})
	if err == nil && len(all) == 0 {
		err = errNoPlan
	}
	if err != nil {
		return FullPlan{}, err
	}
	return all[0], nil
}

// ByPaths returns those of the plans that there are, whatever their visibility, in one statement.
func ByPaths(ctx context.Context, tx *tenancy.Tx, at []Path) ([]FullPlan, error) {
	var args []any
	where := ""
	for _, x := range at {
		if slugs.MatchString(x.Product) && slugs.MatchString(x.Plan) {
			if where != "" {
				where += " OR "
			}
			where += "(p.slug = ? AND pl.slug = ?)"
			args = append(args, x.Product, x.Plan)
		}
	}
	if where == "" {
		return nil, nil
	}
	return full(ctx, tx, where, args...)
}

// ByID returns a plan by its id, whatever its visibility. The fault is plan.not_found.
func ByID(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (FullPlan, error) {
	all, err := full(ctx, tx, "pl.id = ?", id)
	if err == nil && len(all) == 0 {
		err = errNoPlan
	}
	if err != nil {
		return FullPlan{}, err
	}
	return all[0], nil
}

// Siblings are a plan and the others of its product, whatever their visibility, in order.
func Siblings(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) ([]FullPlan, error) {
	return full(ctx, tx, "pl.product_id = (SELECT product_id FROM plans WHERE id = ?) ORDER BY pl.position, pl.slug", id)
}

// Find is the plan of that address among all.
func Find(all []FullPlan, at Path) (FullPlan, bool) {
	i := slices.IndexFunc(all, func(p FullPlan) bool { return p.Product == at.Product && p.Slug == at.Plan })
	if i < 0 {
		return FullPlan{}, false
	}
	return all[i], true
}
