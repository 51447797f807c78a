package wholesale

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Override is a price agreed with one reseller: it takes the place of the book's, for its
// tier and for all. The tier's discount comes off it as off every other price.
type Override struct {
	ID        uuid.UUID
	SKU       string
	Name      string // of the SKU
	Unit      string
	Price     billing.Rate
	From      time.Time
	To        time.Time // zero: no end is agreed
	Reason    string    // for staff
	CreatedBy string
	CreatedAt time.Time
}

// At reports whether the price holds at t.
func (o Override) At(t time.Time) bool { return period{o.From, o.To}.at(t) }

// overrideRow is an Override as the database has it.
type overrideRow struct {
	ID         uuid.UUID
	TenantID   tenancy.ID
	SKU        string `bun:"sku"`
	Name       string
	Unit       string
	Currency   string
	PriceMinor string
	ValidFrom  time.Time
	ValidTo    time.Time
	Reason     string
	CreatedBy  string
	CreatedAt  time.Time
}

const overrideSQL = `SELECT o.id, o.tenant_id, o.sku, s.name, s.unit, o.currency, o.price_minor::text AS price_minor, o.valid_from, o.valid_to, o.reason, o.created_by, o.created_at
	FROM wholesale_overrides o JOIN skus s USING (sku) `

func (r overrideRow) override() (Override, error) {
	rate, err := billing.ParseMinorRate(r.PriceMinor, r.Currency)
	return Override{r.ID, r.SKU, r.Name, r.Unit, rate, r.ValidFrom.UTC(), utcOrZero(r.ValidTo), r.Reason, r.CreatedBy, r.CreatedAt.UTC()}, err
}

// Agreed is what is agreed with one reseller, and what may be agreed on.
type Agreed struct {
	Prices []Override // by SKU, the newest first
	Lines  []ByHandLine
	SKUs   []SKU // code and name alone
}

// AgreedWith reads it in two statements.
func (d *Desk) AgreedWith(ctx context.Context, of tenancy.ID) (a Agreed, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		var rows []overrideRow
		err := tx.NewRaw(`SELECT coalesce(o.id, '00000000-0000-0000-0000-000000000000') AS id, s.sku, s.name, s.unit, coalesce(o.currency, '') AS currency, coalesce(o.price_minor::text, '') AS price_minor,
				o.valid_from, o.valid_to, coalesce(o.reason, '') AS reason, coalesce(o.created_by, '') AS created_by, o.created_at
			FROM skus s LEFT JOIN wholesale_overrides o ON o.sku = s.sku AND o.tenant_id = ? ORDER BY s.position, s.sku, o.valid_from DESC`, of).Scan(ctx, &rows)
		if err != nil {
			return err
		}
		a = Agreed{}
		for _, r := range rows {
			if n := len(a.SKUs); n == 0 || a.SKUs[n-1].Code != r.SKU {
				a.SKUs = append(a.SKUs, SKU{Code: r.SKU, Name: r.Name})
			}
			if r.ID == uuid.Nil {
				continue
			}
			o, err := r.override()
			if err != nil {
				return err
			}
			a.Prices = append(a.Prices, o)
		}
		a.Lines, err = linesByHand(ctx, tx, of)
		return err
	})
	if err != nil {
		return Agreed{}, fmt.Errorf("what is agreed with %s: %w", of, err)
	}
	return a, nil
}

// ownSpans are the prices agreed with all resellers, as the rule reads them.
func ownSpans(ctx context.Context, tx *tenancy.CentralTx) (map[tenancy.ID][]billing.PriceSpan, error) {
	var rows []overrideRow
	if err := tx.NewRaw(overrideSQL).Scan(ctx, &rows); err != nil {
		return nil, fmt.Errorf("agreed prices: %w", err)
	}
	all := map[tenancy.ID][]billing.PriceSpan{}
	for _, r := range rows {
		o, err := r.override()
		if err != nil {
			return nil, err
		}
		all[r.TenantID] = append(all[r.TenantID], billing.PriceSpan{SKU: o.SKU, Own: true, Rate: o.Price, Period: billing.Period{From: o.From, To: o.To}})
	}
	return all, nil
}

// NewOverride is a price as a person agrees on it with a reseller.
type NewOverride struct {
	SKU    string
	Price  string    // a decimal of whole units, as NewPrice
	From   time.Time // the first day
	To     time.Time // the first day it no longer holds; zero: no end
	Reason string
}

// currencyOf is the currency a reseller is billed in, or would be. Its row is locked: who
// changes what it pays waits for one another. Fault: tenant.unknown.
func currencyOf(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID) (currency string, err error) {
	err = tx.NewRaw(`SELECT coalesce((SELECT x.currency FROM tenant_terms x WHERE x.tenant_id = t.id ORDER BY x.valid_from DESC LIMIT 1), t.currency)
		FROM tenants t WHERE t.id = ? FOR UPDATE OF t`, of).Scan(ctx, &currency)
	if tenancy.IsNoRows(err) {
		return "", fault.New(fault.NotFound, "tenant.unknown", "There is no such reseller.")
	}
	return currency, err
}

// SetOverride agrees on a price with a reseller, in the currency it is billed in: the one
// before it ends there, and one that is planned for later stays planned. Months that were
// billed are closed. The fault override.invalid is about fields; others are sku.unknown,
// tenant.unknown and price.closed.
func (d *Desk) SetOverride(ctx context.Context, of tenancy.ID, n NewOverride, by audit.Origin) error {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error { return n.set(ctx, tx, of, by) })
	if err != nil {
		return fmt.Errorf("agree on a price with %s: %w", of, err)
	}
	return nil
}

// set is SetOverride as a part of a larger change.
func (n NewOverride) set(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, by audit.Origin) error {
	currency, err := currencyOf(ctx, tx, of)
	if err != nil {
		return err
	}
	rate, err := n.tidy(currency)
	if err != nil {
		return err
	}
	if _, err := skuByName(ctx, tx, n.SKU, ""); err != nil {
		return err
	}
	if err := mustBeOpenFor(ctx, tx, of, n.From); err != nil {
		return err
	}
	return n.store(ctx, tx, of, rate, by)
}

func (n *NewOverride) tidy(currency string) (billing.Rate, error) {
	wrong := map[string]string{}
	rate, err := billing.ParseRate(n.Price, currency)
	if err != nil {
		wrong["price"] = "Enter an amount such as 3.90, not negative."
	}
	if n.From.IsZero() || n.From.Year() < 2000 || n.From.Year() > 2200 {
		wrong["from"] = "Choose the day from which it holds."
	}
	if !n.To.IsZero() && (!n.To.After(n.From) || n.To.Year() > 2200) {
		wrong["to"] = "Choose a later day, or none."
	}
	n.Reason = line("reason", n.Reason, 300, wrong)
	return rate, fault.Fields("override.invalid", wrong)
}

func (n NewOverride) store(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, rate billing.Rate, by audit.Origin) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	const same = " tenant_id = ?0 AND sku = ?1 AND currency = ?2 "
	_, err = tx.NewRaw("UPDATE wholesale_overrides SET valid_to = ?3 WHERE"+same+"AND valid_from < ?3 AND (valid_to IS NULL OR valid_to > ?3)",
		of, n.SKU, rate.Currency, n.From).Exec(ctx)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`INSERT INTO wholesale_overrides (id, tenant_id, sku, currency, price_minor, valid_from, valid_to, reason, created_by, created_at)
		VALUES (?4, ?0, ?1, ?2, ?5::numeric, ?3, least(?6::timestamptz, (SELECT min(valid_from) FROM wholesale_overrides WHERE`+same+`AND valid_from > ?3)), ?7, ?8, ?9)
		ON CONFLICT (tenant_id, sku, currency, valid_from) DO UPDATE SET price_minor = excluded.price_minor, valid_to = excluded.valid_to,
			reason = excluded.reason, created_by = excluded.created_by, created_at = excluded.created_at`,
		of, n.SKU, rate.Currency, n.From, id, rate.Minor(), bun.NullZero(n.To), n.Reason, by.Actor.Name, tx.Now()).Exec(ctx)
	if err != nil {
		return err
	}
	return by.Record(ctx, tx, "override.set", audit.Target{Kind: "tenant", ID: of.String()},
		map[string]any{"sku": n.SKU, "price": rate.String(), "from": day(n.From), "to": dayOrNever(n.To), "reason": n.Reason})
}

func dayOrNever(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return day(t)
}

// EndOverride ends a price agreed with a reseller at a moment; from then on the book's
// holds. One that was to begin later is taken back. Faults: override.unknown, price.closed,
// price.not_then.
func (d *Desk) EndOverride(ctx context.Context, of tenancy.ID, id uuid.UUID, at time.Time, by audit.Origin) error {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		if _, err := currencyOf(ctx, tx, of); err != nil {
			return err
		}
		var r overrideRow
		err := tx.NewRaw(overrideSQL+"WHERE o.id = ? AND o.tenant_id = ?", id, of).Scan(ctx, &r)
		if tenancy.IsNoRows(err) {
			return fault.New(fault.NotFound, "override.unknown", "There is no such price.")
		}
		if err != nil {
			return err
		}
		if err := mustBeOpenFor(ctx, tx, of, at); err != nil {
			return err
		}
		if !r.ValidTo.IsZero() && !at.Before(r.ValidTo) {
			return fault.Field("from", "price.not_then", "The price does not hold on that day.")
		}
		sql := "UPDATE wholesale_overrides SET valid_to = ?0 WHERE id = ?1"
		if !r.ValidFrom.Before(at) { // nothing was billed by it, and nothing will be
			sql = "DELETE FROM wholesale_overrides WHERE id = ?1 AND valid_from >= ?0"
		}
		if _, err := tx.NewRaw(sql, at, id).Exec(ctx); err != nil {
			return err
		}
		return by.Record(ctx, tx, "override.ended", audit.Target{Kind: "tenant", ID: of.String()}, map[string]any{"sku": r.SKU, "at": day(at)})
	})
	if err != nil {
		return fmt.Errorf("end a price of %s: %w", of, err)
	}
	return nil
}
