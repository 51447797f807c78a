package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// slugs is what a product's address may be; anything else is asked of nobody.
var slugs = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// productRow is one product and, where it has any, one of its public plans and one of
// that plan's prices.
type productRow struct {
	ProductSlug string    `bun:"product_slug"`
	Type        Type      `bun:"type"`
	ProductName string    `bun:"product_name"`
	Summary     string    `bun:"product_summary"`
	ChangedAt   time.Time `bun:"changed_at"`
	PlanSlug    *string   `bun:"plan_slug"`
	PlanName    *string   `bun:"plan_name"`
	PlanSummary *string   `bun:"plan_summary"`
	Facts       []byte    `bun:"facts"`
	Recommended *bool     `bun:"recommended"`
	TrialDays   *int      `bun:"trial_days"`
	Cycle       *Cycle    `bun:"cycle"`
	Currency    *string   `bun:"currency"`
	Amount      *int64    `bun:"amount_minor"`
	Setup       *int64    `bun:"setup_minor"`
	Hours       []byte    `bun:"hours"` // meters of the plan that may be a price of an hour
}

// publicRows reads the shelf in one statement, in the order it is shown.
const publicRows = `
SELECT p.slug AS product_slug, p.type, p.name AS product_name, p.summary AS product_summary,
       greatest(p.changed_at, pl.changed_at) AS changed_at,
       pl.slug AS plan_slug, pl.name AS plan_name, pl.summary AS plan_summary, pl.facts, pl.recommended, pl.trial_days,
       pr.cycle, pr.currency, pr.amount_minor, pr.setup_minor,
       CASE WHEN pr.cycle = 'hourly' OR pr.cycle = 'monthly' AND pr.amount_minor = 0
            THEN (SELECT jsonb_agg(` + meterJSON + `) FROM meters m WHERE m.plan_id = pl.id AND m.feed IN ('hours', 'life') AND m.retired_at IS NULL) END AS hours
FROM products p
LEFT JOIN plans pl ON pl.product_id = p.id AND pl.visibility = 'public'
LEFT JOIN prices pr ON pr.plan_id = pl.id AND pr.currency = ?
WHERE p.visibility = 'public' AND (? = '' OR p.slug = ?)
ORDER BY p.position, p.slug, pl.position, pl.slug,
         array_position(ARRAY['hourly','monthly','quarterly','semi_annual','annual','biennial','triennial','one_time'], pr.cycle)`

// Public is everything on the shelf that anyone may see, with prices in currency. A
// plan without a price in that currency is listed without one.
func Public(ctx context.Context, tx *tenancy.Tx, currency string) ([]Product, error) {
	return public(ctx, tx, currency, "")
}

// PublicProduct is one product that anyone may see. The fault is product.not_found.
func PublicProduct(ctx context.Context, tx *tenancy.Tx, currency, slug string) (Product, error) {
	missing := fault.New(fault.NotFound, "product.not_found", "There is no such product.")
	if !slugs.MatchString(slug) {
		return Product{}, missing
	}
	found, err := public(ctx, tx, currency, slug)
	if err != nil {
		return Product{}, err
	}
	if len(found) == 0 {
		return Product{}, missing
	}
	return found[0], nil
}

func public(ctx context.Context, tx *tenancy.Tx, currency, slug string) ([]Product, error) {
	var rows []productRow
	if err := tx.NewRaw(publicRows, currency, slug, slug).Scan(ctx, &rows); err != nil {
		return nil, fmt.Errorf("read the catalog: %w", err)
	}
	var shelf []Product
	for _, r := range rows {
		if n := len(shelf); n == 0 || shelf[n-1].Slug != r.ProductSlug {
			shelf = append(shelf, Product{Slug: r.ProductSlug, Type: r.Type, Name: r.ProductName, Summary: r.Summary})
		}
		if err := shelf[len(shelf)-1].take(r); err != nil {
			return nil, fmt.Errorf("read the catalog: product %s: %w", r.ProductSlug, err)
		}
	}
	return shelf, nil
}

// take adds a row's plan and price to the product.
func (p *Product) take(r productRow) error {
	if r.ChangedAt.After(p.ChangedAt) {
		p.ChangedAt = r.ChangedAt
	}
	if r.PlanSlug == nil {
		return nil
	}
	if n := len(p.Plans); n == 0 || p.Plans[n-1].Slug != *r.PlanSlug {
		plan := Plan{Slug: *r.PlanSlug, Name: *r.PlanName, Summary: *r.PlanSummary, Recommended: *r.Recommended}
		if err := json.Unmarshal(r.Facts, &plan.Facts); err != nil {
			return fmt.Errorf("facts of plan %s: %w", plan.Slug, err)
		}
		if r.TrialDays != nil {
			plan.TrialDays = *r.TrialDays
		}
		p.Plans = append(p.Plans, plan)
	}
	if r.Cycle == nil {
		return nil
	}
	amount, err := billing.New(*r.Amount, *r.Currency)
	if err != nil {
		return err
	}
	plan, price := &p.Plans[len(p.Plans)-1], Price{Cycle: *r.Cycle, Amount: amount, Setup: billing.Money{Minor: *r.Setup, Currency: amount.Currency}}
	if len(r.Hours) > 0 {
		var all []Meter
		if err := json.Unmarshal(r.Hours, &all); err != nil {
			return fmt.Errorf("hours of plan %s: %w", plan.Slug, err)
		}
		price.byTheHour(all)
	}
	if price.Cycle != Hourly || price.Hours != nil {
		plan.Prices = append(plan.Prices, price)
	}
	return nil
}
