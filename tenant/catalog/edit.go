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
		where := "WHERE EXISTS (SELECT FROM products WHERE id = ?0)" // Citus inserts nothing for "true OR EXISTS"
		if in.ID == uuid.Nil {
			where = "WHERE true"
		}
		res, err := tx.NewRaw(`INSERT INTO products AS p (id, slug, type, name, summary, description, position, visibility, created_at, changed_at, tax_class)
			SELECT ?0, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, nullif(?9, 'standard') `+where+`
			ON CONFLICT (id) DO UPDATE SET slug = excluded.slug, type = excluded.type, name = excluded.name, summary = excluded.summary, description = excluded.description,
			position = excluded.position, visibility = excluded.visibility, changed_at = excluded.changed_at, tax_class = excluded.tax_class`,
			id, in.Slug, in.Type, in.Name, in.Summary, bun.NullZero(in.Description), position, visibility, tx.Now(), in.TaxClass).Exec(ctx)
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
