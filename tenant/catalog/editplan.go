package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// PlanForm is a plan as a form sends it.
type PlanForm struct {
	ID          uuid.UUID // zero: a new one
	ProductID   uuid.UUID
	SKU         string // empty: nothing is delivered by a platform
	Slug        string
	Name        string
	Summary     string
	Facts       string // lines of "Label: value"
	Recommended bool
	Position    string
	Visibility  string
	Stock       string // empty: no limit
	Upgrade     string // how it changes to something dearer; empty: prorated
	Downgrade   string // and to something cheaper; empty: at the renewal
	PauseDays   string // a customer may pause it so long within a year; empty: not at all
	TrialDays   string // it may be tried so long; empty: not at all
	TrialCard   bool   // and a card is saved first
	ByHand      bool   // the team delivers it, where there is no SKU
	Regions     []string
	Images      []string
	Prices      map[string]map[Cycle]string // typed amounts by currency and cycle; empty: not sold so
	Setup       map[string]string           // once, by currency
	Hour        map[string]string           // an hour, by currency; empty: not sold so
	HourCap     map[string]string           // that a month of hours costs at most, by currency; empty: no such most
	HoursMost   string                      // so many hours a month are billed at most; empty: all
}

// EditCycles are the cycles prices are entered for, besides the hour, whose price may be finer
// than an amount.
func EditCycles() []Cycle {
	return []Cycle{Monthly, Quarterly, SemiAnnual, Annual, Biennial, Triennial, OneTime}
}

// mostTrialDays is the longest trial a plan may have; a code may add to it.
const mostTrialDays = 90

// MaxPrice is the highest price that can be entered, in minor units.
const MaxPrice = 10_000_000_00

// ReadPrices reads what was typed, strictly: a plain amount with at most the currency's
// decimals. What is wrong stands at price.<currency>.<cycle> and setup.<currency>.
func (in PlanForm) ReadPrices() ([]FullPrice, map[string]string) {
	wrong := form{}
	var all []FullPrice
	for currency, cycles := range in.Prices {
		setup := wrong.amount("setup."+currency, in.Setup[currency], currency)
		for _, cycle := range EditCycles() {
			if strings.TrimSpace(cycles[cycle]) == "" {
				continue
			}
			at := "price." + currency + "." + string(cycle)
			all = append(all, FullPrice{Currency: currency, Cycle: cycle, Amount: wrong.amount(at, cycles[cycle], currency), Setup: setup})
		}
	}
	slices.SortFunc(all, func(a, b FullPrice) int {
		if c := strings.Compare(a.Currency, b.Currency); c != 0 {
			return c
		}
		return slices.Index(EditCycles(), a.Cycle) - slices.Index(EditCycles(), b.Cycle)
	})
	return all, wrong
}

func (f form) amount(field, typed, currency string) int64 {
	typed = strings.TrimSpace(typed)
	if typed == "" {
		return 0
	}
	m, err := billing.Parse(typed, currency)
	switch {
	case err != nil:
		f[field] = "Please enter an amount such as 12.50."
	case m.Minor < 0:
		f[field] = "A price is not less than nothing."
	case m.Minor > MaxPrice:
		f[field] = "This is more than can be charged."
	}
	return m.Minor
}

func (in *PlanForm) check(offers []Offer) (plan FullPlan, err error) {
	wrong := form{}
	plan = FullPlan{ID: in.ID, ProductID: in.ProductID, Slug: wrong.slug(in.Slug), Name: wrong.text("name", in.Name, 60, "Please give a name."),
		Summary: wrong.text("summary", in.Summary, 200, ""), Recommended: in.Recommended, SKU: line(in.SKU),
		Position: wrong.number("position", in.Position, 0, 9999), Visibility: wrong.visibility(in.Visibility), Facts: []Fact{}}
	plan.Upgrade, plan.Downgrade = billing.UpgradeMode(in.Upgrade), billing.DowngradeMode(in.Downgrade)
	if plan.Upgrade == "" {
		plan.Upgrade = billing.UpgradeProrate
	}
	if plan.Downgrade == "" {
		plan.Downgrade = billing.DowngradeAtRenewal
	}
	if line(in.PauseDays) != "" {
		plan.PauseDays = wrong.number("pause_days", in.PauseDays, 0, 365)
	}
	if line(in.TrialDays) != "" {
		plan.TrialDays, plan.TrialCard = wrong.number("trial_days", in.TrialDays, 0, mostTrialDays), in.TrialCard
	}
	if !plan.Upgrade.Valid() {
		wrong["upgrade"] = "Please choose one of these."
	}
	if !plan.Downgrade.Valid() {
		wrong["downgrade"] = "Please choose one of these."
	}
	if plan.SKU != "" {
		if o := offerOf(offers, plan.SKU); (o == nil || o.Type == AddonType) && plan.Visibility != Archived {
			wrong["sku"] = "This cannot be bought wholesale. Please choose another."
		} else if o != nil {
			plan.Delivery = delivery(*o, in.Regions, in.Images)
		}
	}
	plan.Delivery.ByHand = in.ByHand && plan.SKU == ""
	for _, raw := range strings.Split(in.Facts, "\n") {
		if raw = line(raw); raw == "" {
			continue
		}
		label, value, ok := strings.Cut(raw, ":")
		if label, value = strings.TrimSpace(label), strings.TrimSpace(value); !ok || label == "" || value == "" || len(raw) > 120 || len(plan.Facts) >= 20 {
			wrong["facts"] = "Please write at most 20 lines such as Memory: 4 GB."
			break
		}
		plan.Facts = append(plan.Facts, Fact{Label: label, Value: value})
	}
	if strings.TrimSpace(in.Stock) != "" {
		n := wrong.number("stock", in.Stock, 0, 1_000_000)
		plan.Stock = &n
	}
	prices, bad := in.ReadPrices()
	for k, v := range bad {
		wrong[k] = v
	}
	if plan.hours = in.hourMeter(wrong); plan.hours != nil {
		for currency := range plan.hours.Tiers[0].Prices { // the price itself is the meter's
			prices = append(prices, FullPrice{Currency: currency, Cycle: Hourly, Setup: wrong.amount("setup."+currency, in.Setup[currency], currency)})
		}
	}
	if plan.Prices = prices; len(prices) == 0 && !in.byTheHour() && plan.Visibility == Shown {
		wrong["prices"] = "Please enter at least one price."
	}
	return plan, fault.Fields("plan.invalid", wrong)
}

// delivery keeps what was chosen of an offer; all of it is no choice.
func delivery(o Offer, regions, images []string) Delivery {
	var d Delivery
	all := map[string]bool{}
	for _, r := range o.Regions {
		if slices.Contains(regions, r.Code) {
			d.Regions = append(d.Regions, r.Code)
		}
		for _, im := range r.Images {
			if !all[im.Code] && slices.Contains(images, im.Code) {
				d.Images = append(d.Images, im.Code)
			}
			all[im.Code] = true
		}
	}
	if len(d.Regions) == len(o.Regions) {
		d.Regions = nil
	}
	if len(d.Images) == len(all) {
		d.Images = nil
	}
	return d
}

// SavePlan adds or changes a plan with its prices; anonymous visitors see it at once.
// What was sold already keeps its price. Faults: plan.invalid about its fields,
// plan.slug_taken, plan.not_found, product.not_found, meter.code_taken, meter.too_many.
func SavePlan(ctx context.Context, db *tenancy.DB, offers []Offer, in PlanForm, by audit.Origin) (uuid.UUID, error) {
	p, err := in.check(offers)
	if err != nil {
		return uuid.Nil, err
	}
	action := "plan.changed"
	if p.ID == uuid.Nil {
		if p.ID, err = uuid.NewV7(); err != nil {
			return uuid.Nil, err
		}
		action = "plan.added"
	}
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if err := p.paidFor(ctx, tx); err != nil {
			return err
		}
		if err := p.write(ctx, tx, action == "plan.added"); err != nil {
			return err
		}
		if err := saveHours(ctx, tx, p.ID, p.hours); err != nil {
			return err
		}
		return changed(ctx, tx, by, action, audit.Target{Kind: "plan", ID: p.ID.String()}, map[string]any{"name": p.Name, "sku": p.SKU, "visibility": p.Visibility, "prices": p.Prices, "trial_days": p.TrialDays})
	})
	if tenancy.IsTaken(err, "meters_of_plan") {
		err = fault.Field("hours_most", "meter.code_taken", "Another meter of this plan has the code hours. Take it away first.")
	}
	if tenancy.IsTaken(err, "plans_product_id_slug_key") {
		err = fault.Field("slug", "plan.slug_taken", "Another plan of this product has this address.")
	}
	return p.ID, err
}

func (p FullPlan) write(ctx context.Context, tx *tenancy.Tx, fresh bool) error {
	facts, err := json.Marshal(p.Facts)
	if err != nil {
		return err
	}
	var where *string
	if p.Delivery.ByHand || len(p.Delivery.Regions)+len(p.Delivery.Images) > 0 {
		raw, err := json.Marshal(p.Delivery)
		if err != nil {
			return err
		}
		text := string(raw)
		where = &text
	}
	prices, err := json.Marshal(p.Prices)
	if err != nil {
		return err
	}
	if p.Prices == nil {
		prices = []byte("[]")
	}
	if fresh {
		res, err := tx.NewRaw(`INSERT INTO plans (id, product_id, slug, name, summary, facts, recommended, position, visibility, sku, stock, delivery, created_at, changed_at, upgrade, downgrade, pause_days)
			SELECT ?0, x.id, ?2, ?3, ?4, ?5::jsonb, ?6, ?7, ?8, ?9, ?10, ?11::jsonb, ?12, ?12, ?13, ?14, ?15 FROM products x WHERE x.id = ?1`,
			p.ID, p.ProductID, p.Slug, p.Name, p.Summary, string(facts), p.Recommended, p.Position, p.Visibility, bun.NullZero(p.SKU), p.Stock, where, tx.Now(), string(p.Upgrade), string(p.Downgrade), bun.NullZero(p.PauseDays)).Exec(ctx)
		if err := kept(res, err, errNoProduct); err != nil {
			return err
		}
	} else {
		res, err := tx.NewRaw(`UPDATE plans SET slug = ?, name = ?, summary = ?, facts = ?::jsonb, recommended = ?, position = ?, visibility = ?, sku = ?, stock = ?, delivery = ?::jsonb, upgrade = ?, downgrade = ?, pause_days = ?, changed_at = ? WHERE id = ?`,
			p.Slug, p.Name, p.Summary, string(facts), p.Recommended, p.Position, p.Visibility, bun.NullZero(p.SKU), p.Stock, where, string(p.Upgrade), string(p.Downgrade), bun.NullZero(p.PauseDays), tx.Now(), p.ID).Exec(ctx)
		if err := kept(res, err, errNoPlan); err != nil {
			return err
		}
	}
	if err := p.writeTrial(ctx, tx); err != nil {
		return err
	}
	_, err = tx.NewRaw(`WITH want AS (SELECT * FROM jsonb_to_recordset(?1::jsonb) AS r(currency text, cycle text, amount bigint, setup bigint)),
		gone AS (DELETE FROM prices x WHERE x.plan_id = ?0 AND x.cycle IN (?2) AND NOT EXISTS (SELECT FROM want w WHERE w.currency = x.currency AND w.cycle = x.cycle))
		INSERT INTO prices (plan_id, currency, cycle, amount_minor, setup_minor) SELECT ?0, currency, cycle, amount, setup FROM want
		ON CONFLICT (plan_id, currency, cycle) DO UPDATE SET amount_minor = excluded.amount_minor, setup_minor = excluded.setup_minor`,
		p.ID, string(prices), bun.List(append([]Cycle{Hourly}, EditCycles()...))).Exec(ctx)
	if err != nil {
		return fmt.Errorf("save prices: %w", err)
	}
	return nil
}

func (p FullPlan) writeTrial(ctx context.Context, tx *tenancy.Tx) error {
	_, err := tx.NewRaw("UPDATE plans SET trial_days = ?, trial_card = ? WHERE id = ?", bun.NullZero(p.TrialDays), bun.NullZero(p.TrialCard && p.TrialDays > 0), p.ID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("save the trial of a plan: %w", err)
	}
	return nil
}
