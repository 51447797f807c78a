package wholesale

import (
	"context"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Terms are which tier a reseller is on and in which currency it is billed, from a moment
// on. Before the first of them a reseller is not billed: that is how a trial is free.
type Terms struct {
	From     time.Time
	Tier     string
	Currency string
	SetBy    string
	SetAt    time.Time
}

// Terms are all of a reseller's, the newest first.
func (d *Desk) Terms(ctx context.Context, tenant tenancy.ID) (all []Terms, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		all, err = termsIn(ctx, tx, tenant)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("terms of %s: %w", tenant, err)
	}
	return all, nil
}

func termsIn(ctx context.Context, tx *tenancy.CentralTx, tenant tenancy.ID) (all []Terms, err error) {
	err = tx.NewRaw(`SELECT valid_from AS "from", tier, currency, set_by, created_at AS set_at FROM tenant_terms
		WHERE tenant_id = ? ORDER BY valid_from DESC`, tenant).Scan(ctx, &all)
	return all, err
}

// NewTerms is how a reseller is billed from a moment on.
type NewTerms struct {
	Tier     string
	Currency string
	From     time.Time
}

// SetTerms puts a reseller on a tier from a moment on. Faults: terms.invalid about
// fields, tier.unknown, price.closed, and terms.currency_fixed once an invoice was issued.
func (d *Desk) SetTerms(ctx context.Context, tenant tenancy.ID, n NewTerms, by audit.Origin) error {
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error { return SetTerms(ctx, tx, tenant, n, by) })
	if err != nil {
		return fmt.Errorf("set terms of %s: %w", tenant, err)
	}
	return nil
}

// SetTerms is Desk.SetTerms as a part of a larger change.
func SetTerms(ctx context.Context, tx *tenancy.CentralTx, tenant tenancy.ID, n NewTerms, by audit.Origin) error {
	wrong := map[string]string{}
	if wrongCurrency(n.Currency) {
		wrong["currency"] = "Choose a currency."
	}
	if n.From.IsZero() || n.From.Year() < 2000 || n.From.Year() > 2200 {
		wrong["from"] = "Choose the day from which it holds."
	}
	if err := fault.Fields("terms.invalid", wrong); err != nil {
		return err
	}
	var known []string
	if err := tx.NewRaw("SELECT slug FROM tenants WHERE id = ? FOR UPDATE", tenant).Scan(ctx, &known); err != nil {
		return err
	}
	if len(known) == 0 {
		return fault.New(fault.NotFound, "tenant.unknown", "There is no such reseller.")
	}
	if err := mustBeOpenFor(ctx, tx, tenant, n.From); err != nil {
		return err
	}
	if err := mustKnowTier(ctx, tx, n.Tier, n.Currency); err != nil {
		return err
	}
	var other int
	err := tx.NewRaw(`SELECT (SELECT count(*) FROM wholesale_invoices WHERE tenant_id = ? AND currency <> ?)
		+ (SELECT count(*) FROM tenant_terms WHERE tenant_id = ? AND currency <> ? AND valid_from <> ?)`,
		tenant, n.Currency, tenant, n.Currency, n.From).Scan(ctx, &other)
	if err != nil {
		return err
	}
	if other > 0 {
		return fault.Field("currency", "terms.currency_fixed", "A reseller is billed in one currency: the one its terms began with.")
	}
	_, err = tx.NewRaw(`INSERT INTO tenant_terms (tenant_id, valid_from, tier, currency, set_by, created_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (tenant_id, valid_from) DO UPDATE SET tier = excluded.tier, currency = excluded.currency, set_by = excluded.set_by, created_at = excluded.created_at`,
		tenant, n.From, n.Tier, n.Currency, by.Actor.Name, tx.Now()).Exec(ctx)
	if err != nil {
		return err
	}
	return by.Record(ctx, tx, "terms.set", audit.Target{Kind: "tenant", ID: tenant.String()},
		map[string]any{"tier": n.Tier, "currency": n.Currency, "from": day(n.From)})
}
