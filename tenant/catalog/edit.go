package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/place"
)

// Shelf is a product as the reseller's team sees it, with all of its plans.
type Shelf struct {
	ID          uuid.UUID
	Slug        string
	Type        Type
	Name        string
	Summary     string
	Description string
	TaxClass    string // of billing.Classes
	Position    int
	Visibility  Visibility
	ChangedAt   time.Time
	Plans       []FullPlan `bun:"-"`
	Options     []Option   `bun:"-"`
}

const shelfColumns = "id, slug, type, name, summary, coalesce(description, '') AS description, coalesce(tax_class, 'standard') AS tax_class, position, visibility, changed_at"

// Everything is all products with all plans, also the hidden and archived, in two
// statements; the archived last.
func Everything(ctx context.Context, tx *tenancy.Tx) ([]Shelf, error) {
	var all []Shelf
	if err := tx.NewRaw("SELECT "+shelfColumns+" FROM products ORDER BY visibility = 'archived', position, slug").Scan(ctx, &all); err != nil {
		return nil, fmt.Errorf("read the catalog: %w", err)
	}
	plans, err := full(ctx, tx, "true ORDER BY pl.visibility = 'archived', pl.position, pl.slug")
	if err != nil {
		return nil, err
	}
	for i := range all {
		for _, p := range plans {
			if p.ProductID == all[i].ID {
				all[i].Plans = append(all[i].Plans, p)
			}
		}
	}
	return all, nil
}

// PlanNames are all plans by their id, named with their product, in the catalog's order.
func PlanNames(ctx context.Context, tx *tenancy.Tx) ([]place.Choice, error) {
	var all []place.Choice
	err := tx.NewRaw(`SELECT pl.id::text AS value, p.name || ' ' || pl.name AS label FROM plans pl JOIN products p ON p.id = pl.product_id
		ORDER BY p.visibility = 'archived', p.position, p.slug, pl.visibility = 'archived', pl.position, pl.slug`).Scan(ctx, &all)
	if err != nil {
		return nil, fmt.Errorf("read the names of plans: %w", err)
	}
	return all, nil
}

var errNoProduct = fault.New(fault.NotFound, "product.not_found", "There is no such product.")

// ProductByID is one product with its plans and options. The fault is product.not_found.
func ProductByID(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (Shelf, error) {
	var s Shelf
	err := tx.NewRaw("SELECT "+shelfColumns+" FROM products WHERE id = ?", id).Scan(ctx, &s)
	if tenancy.IsNoRows(err) {
		return s, errNoProduct
	}
	if err != nil {
		return s, fmt.Errorf("read product: %w", err)
	}
	if s.Plans, err = full(ctx, tx, "p.id = ? ORDER BY pl.visibility = 'archived', pl.position, pl.slug", id); err != nil {
		return s, err
	}
	s.Options, err = optionsOf(ctx, tx, id)
	return s, err
}

func optionsOf(ctx context.Context, tx *tenancy.Tx, product uuid.UUID) ([]Option, error) {
	var rows []struct {
		Option
		Raw, Only []byte
	}
	err := tx.NewRaw(`SELECT id, code, label, help, kind, resource, minimum, maximum, step, position, visibility, choices AS raw, coalesce(start, minimum) AS start, plans AS only
		FROM options WHERE product_id = ? ORDER BY visibility = 'archived', position, code`, product).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read options: %w", err)
	}
	all := make([]Option, len(rows))
	for i, r := range rows {
		all[i] = r.Option
		if err := json.Unmarshal(r.Raw, &all[i].Choices); err != nil {
			return nil, fmt.Errorf("read option %s: %w", r.Code, err)
		}
		if len(r.Only) == 0 {
			continue
		}
		if err := json.Unmarshal(r.Only, &all[i].Plans); err != nil {
			return nil, fmt.Errorf("read option %s: %w", r.Code, err)
		}
	}
	return all, nil
}

// Types are the kinds of product with what people read.
func Types() [][2]string {
	return [][2]string{{"vps", "Virtual server"}, {"dedicated", "Dedicated server"}, {"web_hosting", "Web hosting"}, {"game_server", "Game server"},
		{"cloud_desktop", "Cloud desktop"}, {"vpn_server", "VPN server"}, {"license", "Licence"}, {"generic", "Something else"}}
}

// ProductForm is a product as a form sends it.
type ProductForm struct {
	ID          uuid.UUID // zero: a new one
	Slug        string
	Type        string
	Name        string
	Summary     string
	Description string
	TaxClass    string // empty: standard
	Position    string
	Visibility  string
}

// form collects what is wrong with fields.
type form map[string]string

func (f form) text(field, value string, most int, missing string) string {
	value = line(value)
	switch {
	case value == "" && missing != "":
		f[field] = missing
	case len([]rune(value)) > most:
		f[field] = fmt.Sprintf("Please use at most %d characters.", most)
	}
	return value
}

func line(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))), " ")
}

func (f form) slug(value string) string {
	value = strings.ToLower(line(value))
	if !slugs.MatchString(value) {
		f["slug"] = "Please use lower-case letters, digits and hyphens, such as cloud-vps."
	}
	return value
}

func (f form) number(field, value string, least, most int) int {
	value = strings.TrimSpace(value)
	if value == "" {
		return least
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		f[field] = fmt.Sprintf("Please enter a whole number from %d to %d.", least, most)
	}
	return n
}

func (f form) visibility(value string) Visibility {
	v := Visibility(value)
	if v != Shown && v != Hidden && v != Archived {
		f["visibility"] = "Please choose one of these."
	}
	return v
}

// SaveProduct adds or changes a product; anonymous visitors see it at once. Faults:
// product.invalid about its fields, product.slug_taken, product.not_found.
func SaveProduct(ctx context.Context, db *tenancy.DB, in ProductForm, by audit.Origin) (uuid.UUID, error) {
	wrong := form{}
	in.Slug, in.Name = wrong.slug(in.Slug), wrong.text("name", in.Name, 60, "Please give a name.")
	in.Summary = wrong.text("summary", in.Summary, 200, "")
	if len(in.Description) > 20_000 {
		wrong["description"] = "Please use at most 20,000 characters."
	}
	in.Description = strings.ReplaceAll(strings.ToValidUTF8(in.Description, ""), "\x00", "")
	if !slices.ContainsFunc(Types(), func(t [2]string) bool { return t[0] == in.Type }) {
		wrong["type"] = "Please choose one of these."
	}
	if in.TaxClass == "" {
		in.TaxClass = billing.Standard
	}
	if !slices.Contains(billing.Classes(), in.TaxClass) {
		wrong["tax_class"] = "Please choose one of these."
	}
	position, visibility := wrong.number("position", in.Position, 0, 9999), wrong.visibility(in.Visibility)
	if err := fault.Fields("product.invalid", wrong); err != nil {
		return uuid.Nil, err
	}
	id, action := in.ID, "product.changed"
	err := db.Update(ctx, func(tx *tenancy.Tx) error {
		if in.ID == uuid.Nil {
			var err error
			if id, err = uuid.NewV7(); err != nil {
				return err
			}
			action = "product.added"
		}
		res, err := tx.NewRaw(`INSERT INTO products AS p (id, slug, type, name, summary, description, position, visibility, created_at, changed_at, tax_class)
			SELECT ?0, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, nullif(?10, 'standard') WHERE ?9 OR EXISTS (SELECT FROM products WHERE id = ?0)
			ON CONFLICT (id) DO UPDATE SET slug = excluded.slug, type = excluded.type, name = excluded.name, summary = excluded.summary, description = excluded.description,
			position = excluded.position, visibility = excluded.visibility, changed_at = excluded.changed_at, tax_class = excluded.tax_class`,
			id, in.Slug, in.Type, in.Name, in.Summary, bun.NullZero(in.Description), position, visibility, tx.Now(), in.ID == uuid.Nil, in.TaxClass).Exec(ctx)
		if err := kept(res, err, errNoProduct); err != nil {
			return err
		}
		return changed(ctx, tx, by, action, audit.Target{Kind: "product", ID: id.String()}, map[string]any{"name": in.Name, "visibility": visibility, "tax_class": in.TaxClass})
	})
	if tenancy.IsTaken(err, "products_slug_key") {
		err = fault.Field("slug", "product.slug_taken", "Another product has this address.")
	}
	return id, err
}

// kept turns the outcome of a write that found nothing into its fault.
func kept(res interface{ RowsAffected() (int64, error) }, err, missing error) error {
	if err != nil {
		return fmt.Errorf("save: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil {
		return err
	} else if n == 0 {
		return missing
	}
	return nil
}

// changed tells visitors' pages and the trail.
func changed(ctx context.Context, tx *tenancy.Tx, by audit.Origin, action string, target audit.Target, detail map[string]any) error {
	if err := tx.TouchSite(ctx, ""); err != nil {
		return err
	}
	return by.Record(ctx, tx, action, target, detail)
}

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
	Regions     []string
	Images      []string
	Prices      map[string]map[Cycle]string // typed amounts by currency and cycle; empty: not sold so
	Setup       map[string]string           // once, by currency
}

// EditCycles are the cycles prices are entered for.
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
		if o := offerOf(offers, plan.SKU); o == nil && plan.Visibility != Archived {
			wrong["sku"] = "This cannot be bought wholesale. Please choose another."
		} else if o != nil {
			plan.Delivery = delivery(*o, in.Regions, in.Images)
		}
	}
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
	if plan.Prices = prices; len(prices) == 0 && plan.Visibility == Shown {
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
// plan.slug_taken, plan.not_found, product.not_found.
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
		if err := p.write(ctx, tx, action == "plan.added"); err != nil {
			return err
		}
		return changed(ctx, tx, by, action, audit.Target{Kind: "plan", ID: p.ID.String()}, map[string]any{"name": p.Name, "sku": p.SKU, "visibility": p.Visibility, "prices": p.Prices, "trial_days": p.TrialDays})
	})
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
	if len(p.Delivery.Regions)+len(p.Delivery.Images) > 0 {
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
		p.ID, string(prices), bun.List(EditCycles())).Exec(ctx)
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
