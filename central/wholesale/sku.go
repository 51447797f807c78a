package wholesale

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// The kinds of SKU.
const (
	Service = "service" // billed by the time it runs; its price is for a month
	Metered = "metered" // billed by the quantity reported; its price is for one unit
)

// SKU is something that can be bought wholesale.
type SKU struct {
	Code     string `bun:"sku"` // its name for ever: vps-s
	Type     string // as a retail product's: vps, game_server
	Name     string
	Summary  string
	Kind     string // Service or Metered
	Unit     string // month, GB, hour
	Spec     json.RawMessage
	State    string // active or retired
	Position int
}

// skuColumns are SKU's, in any query that calls the table s.
const skuColumns = "s.sku, s.type, s.name, s.summary, s.kind, s.unit, s.spec, s.state, s.position"

var errUnknownSKU = fault.New(fault.NotFound, "sku.unknown", "There is no such SKU.")

// SKUs are all there are, in the order of the price list.
func (d *Desk) SKUs(ctx context.Context) (all []SKU, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		all, err = skusIn(ctx, tx)
		return err
	})
	return all, err
}

func skusIn(ctx context.Context, tx *tenancy.CentralTx) (all []SKU, err error) {
	if err := tx.NewRaw("SELECT "+skuColumns+" FROM skus s ORDER BY s.position, s.sku").Scan(ctx, &all); err != nil {
		return nil, fmt.Errorf("list skus: %w", err)
	}
	return all, nil
}

// SKU is one of them, or the fault sku.unknown.
func (d *Desk) SKU(ctx context.Context, sku string) (found SKU, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		found, err = skuByName(ctx, tx, sku, "")
		return err
	})
	return found, err
}

func skuByName(ctx context.Context, tx *tenancy.CentralTx, sku, lock string) (found SKU, err error) {
	err = tx.NewRaw("SELECT "+skuColumns+" FROM skus s WHERE s.sku = ? "+lock, plain(sku)).Scan(ctx, &found)
	if tenancy.IsNoRows(err) {
		return SKU{}, errUnknownSKU
	}
	if err != nil {
		return SKU{}, fmt.Errorf("read sku: %w", err)
	}
	return found, nil
}

var (
	skuName  = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$`)
	typeName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,39}$`)
)

// SaveSKU makes a SKU or changes what it is; its kind is for ever, because lines were
// worked out by it. The fault sku.invalid is about fields.
func (d *Desk) SaveSKU(ctx context.Context, s SKU, by audit.Origin) error {
	if err := s.tidy(); err != nil {
		return err
	}
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		old, err := skuByName(ctx, tx, s.Code, "FOR UPDATE")
		if err != nil && !fault.Is(err, "sku.unknown") {
			return err
		}
		isNew := err != nil
		if !isNew && old.Kind != s.Kind {
			return fault.Field("kind", "sku.kind_fixed", "The kind of a SKU cannot change: what was billed was worked out by it.")
		}
		if !isNew && old.same(s) {
			return nil
		}
		_, err = tx.NewRaw(`INSERT INTO skus (sku, type, name, summary, kind, unit, spec, state, position, changed_at)
			VALUES (?, ?, ?, ?, ?, ?, ?::jsonb, ?, ?, ?)
			ON CONFLICT (sku) DO UPDATE SET type = excluded.type, name = excluded.name, summary = excluded.summary, unit = excluded.unit,
				spec = excluded.spec, state = excluded.state, position = excluded.position, changed_at = excluded.changed_at`,
			s.Code, s.Type, s.Name, s.Summary, s.Kind, s.Unit, string(s.Spec), s.State, s.Position, tx.Now()).Exec(ctx)
		if err != nil {
			return err
		}
		action := "sku.changed"
		if isNew {
			action = "sku.created"
		}
		return by.Record(ctx, tx, action, skuTarget(s.Code), map[string]any{"name": s.Name, "kind": s.Kind, "state": s.State, "spec": s.Spec})
	})
	if err != nil {
		return fmt.Errorf("save sku: %w", err)
	}
	return nil
}

// tidy reads the fields as a person typed them.
func (s *SKU) tidy() error {
	wrong := map[string]string{}
	s.Code = strings.TrimSpace(s.Code)
	if !skuName.MatchString(s.Code) {
		wrong["sku"] = "Use lower-case letters, digits, dots, dashes and underscores: vps-s."
	}
	if !typeName.MatchString(s.Type) {
		wrong["type"] = "Use a product type such as vps or game_server."
	}
	s.Name, s.Unit = line("name", s.Name, 80, wrong), line("unit", s.Unit, 20, wrong)
	if s.Summary = strings.Join(strings.Fields(plain(s.Summary)), " "); len([]rune(s.Summary)) > 300 {
		wrong["summary"] = "Please use at most 300 characters."
	}
	if s.Kind != Service && s.Kind != Metered {
		wrong["kind"] = "Choose service or metered."
	}
	if s.Kind == Service {
		s.Unit = "month"
		delete(wrong, "unit")
	}
	if s.State != "active" && s.State != "retired" {
		wrong["state"] = "Choose active or retired."
	}
	if s.Position < 0 || s.Position > 1_000_000 {
		wrong["position"] = "Choose a number from 0 to 1000000."
	}
	var object map[string]any
	if len(s.Spec) == 0 {
		s.Spec = json.RawMessage("{}")
	}
	if len(s.Spec) > 4000 || json.Unmarshal(s.Spec, &object) != nil || object == nil || bytes.Contains(s.Spec, []byte(`\u0000`)) {
		wrong["spec"] = "This has to be an object of JSON."
	}
	return fault.Fields("sku.invalid", wrong)
}

func (s SKU) same(o SKU) bool {
	var a, b any
	_ = json.Unmarshal(s.Spec, &a)
	_ = json.Unmarshal(o.Spec, &b)
	x, _ := json.Marshal(a) // keys in order
	y, _ := json.Marshal(b)
	return bytes.Equal(x, y) && s.Code == o.Code && s.Type == o.Type && s.Name == o.Name && s.Summary == o.Summary &&
		s.Unit == o.Unit && s.State == o.State && s.Position == o.Position
}

// period is a time a price or a tier holds; a zero To has no end.
type period struct{ From, To time.Time }

func (p period) at(t time.Time) bool {
	return !t.Before(p.From) && (p.To.IsZero() || t.Before(p.To))
}
