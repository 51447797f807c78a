package wholesale

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// CollectionTerms are what the platform takes a reseller's customers' payments on, in its
// own account, from a moment on.
type CollectionTerms struct {
	From     time.Time // zero: none were ever set
	Allowed  bool
	Fee      billing.CollectionFee
	Currency string // the one the reseller is billed in; no other is taken
	HoldDays int    // before what came may be paid out
	SetBy    string
}

// Percent is the fee's share as people write it: 2.9.
func (t CollectionTerms) Percent() string { return percent(t.Fee.Ppm) }

// Fixed is the fee's amount.
func (t CollectionTerms) Fixed() billing.Money {
	return billing.Money{Minor: t.Fee.Fixed, Currency: t.Currency}
}

// maxHold is the most days a payment is held back.
const maxHold = 180

type collectionRow struct {
	ValidFrom time.Time
	Allowed   bool
	Ppm       int64
	Fixed     int64
	HoldDays  int
	SetBy     string
	Currency  string
}

func (r collectionRow) terms() CollectionTerms {
	return CollectionTerms{From: utcOrZero(r.ValidFrom), Allowed: r.Allowed, Fee: billing.CollectionFee{Ppm: r.Ppm, Fixed: r.Fixed}, Currency: r.Currency, HoldDays: r.HoldDays, SetBy: r.SetBy}
}

// collectionAt are a reseller's terms at a moment; before the first, those.
func collectionAt(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, at time.Time) (CollectionTerms, error) {
	var r collectionRow
	err := tx.NewRaw(`SELECT c.valid_from, coalesce(c.allowed, false) AS allowed, coalesce(c.fee_ppm, 0) AS ppm, coalesce(c.fee_minor, 0) AS fixed, coalesce(c.hold_days, 0) AS hold_days, coalesce(c.set_by, '') AS set_by,
			coalesce((SELECT t.currency FROM tenant_terms t WHERE t.tenant_id = x.id ORDER BY t.valid_from DESC LIMIT 1), '') AS currency
		FROM (SELECT ?0::bigint AS id) x LEFT JOIN LATERAL (SELECT * FROM collection_terms c WHERE c.tenant_id = x.id
			ORDER BY c.valid_from <= ?1 DESC, CASE WHEN c.valid_from <= ?1 THEN c.valid_from END DESC, c.valid_from LIMIT 1) c ON true`, of, at).Scan(ctx, &r)
	if err != nil {
		return CollectionTerms{}, fmt.Errorf("terms of collecting for %s: %w", of, err)
	}
	return r.terms(), nil
}

// CollectionTerms are what the platform takes a reseller's payments on now. It takes none
// where it has no account itself, whatever was agreed.
func (d *Desk) CollectionTerms(ctx context.Context, of tenancy.ID) (t CollectionTerms, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		t, err = collectionAt(ctx, tx, of, tx.Now())
		return err
	})
	t.Allowed = t.Allowed && d.Taker != nil
	return t, err
}

// NewCollectionTerms is what staff sets, as it is typed.
type NewCollectionTerms struct {
	Allowed  bool
	Percent  string // 0 to 50
	Fixed    string // a decimal of whole units; empty: nothing
	HoldDays string // 0 to 180
}

// SetCollectionTerms lets the platform take a reseller's payments on these terms from now
// on, or no more. What was begun before keeps its terms. Where it is taken back, the shop
// takes no new payments that way within a minute. Faults: collection.invalid about fields,
// collection.no_account, balance.no_terms.
func (d *Desk) SetCollectionTerms(ctx context.Context, of tenancy.ID, n NewCollectionTerms, by audit.Origin) error {
	if n.Allowed && d.Taker == nil {
		return fault.New(fault.Conflict, "collection.no_account", "The platform has no account at a gateway of its own: set its keys first.")
	}
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		currency, err := balanceCurrency(ctx, tx, of)
		if err != nil {
			return err
		}
		t, err := n.read(currency)
		if err != nil {
			return err
		}
		if err := lockBalance(ctx, tx, of); err != nil {
			return err
		}
		was, err := collectionAt(ctx, tx, of, tx.Now())
		if err != nil {
			return err
		}
		if !was.From.IsZero() && was.Allowed == t.Allowed && was.Fee == t.Fee && was.HoldDays == t.HoldDays {
			return nil
		}
		_, err = tx.NewRaw(`INSERT INTO collection_terms (tenant_id, valid_from, allowed, fee_ppm, fee_minor, hold_days, set_by) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (tenant_id, valid_from) DO UPDATE SET allowed = excluded.allowed, fee_ppm = excluded.fee_ppm, fee_minor = excluded.fee_minor, hold_days = excluded.hold_days, set_by = excluded.set_by`,
			of, tx.Now(), t.Allowed, t.Fee.Ppm, t.Fee.Fixed, t.HoldDays, by.Actor.Name).Exec(ctx)
		if err != nil {
			return err
		}
		if !t.Allowed {
			if err := endCollection(ctx, tx, of); err != nil {
				return err
			}
		}
		return by.Record(ctx, tx, "wholesale.collection_set", audit.Target{Kind: "tenant", ID: of.String()},
			map[string]any{"allowed": t.Allowed, "percent": t.Percent(), "fixed": t.Fixed().String(), "hold_days": t.HoldDays})
	})
	if err != nil {
		return fmt.Errorf("set the terms of collecting for %s: %w", of, err)
	}
	return nil
}

func (n NewCollectionTerms) read(currency string) (t CollectionTerms, err error) {
	t = CollectionTerms{Allowed: n.Allowed, Currency: currency}
	wrong := map[string]string{}
	ppm, ok := parsePercent(strings.TrimSpace(n.Percent))
	if !ok || ppm > 500_000 {
		wrong["collect_percent"] = "Enter per cent from 0 to 50, such as 2.9."
	}
	t.Fee.Ppm = ppm
	if s := strings.TrimSpace(n.Fixed); s != "" {
		m, err := billing.Parse(s, currency)
		if err != nil || m.Minor < 0 || m.Minor > leastTopUp*10 {
			wrong["collect_fixed"] = "Enter an amount such as 0.25, at most " + billing.Money{Minor: leastTopUp * 10, Currency: currency}.Format("en") + "."
		}
		t.Fee.Fixed = m.Minor
	}
	days, err := strconv.Atoi(strings.TrimSpace(n.HoldDays))
	if err != nil || days < 0 || days > maxHold {
		wrong["collect_hold"] = fmt.Sprintf("Enter days from 0 to %d.", maxHold)
	}
	t.HoldDays = days
	return t, fault.Fields("collection.invalid", wrong)
}

// EndCollectionJob has a shop take no new payments through the platform.
type EndCollectionJob struct {
	Tenant tenancy.ID `json:"tenant"`
}

// Kind names the job.
func (EndCollectionJob) Kind() string { return "wholesale.end_collection" }

func endCollection(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID) error {
	_, err := tx.Enqueue(ctx, EndCollectionJob{Tenant: of}, tenancy.JobOptions{Key: of.String() + "/" + tx.Now().UTC().Format("2006-01-02T15:04")})
	return err
}

// endForgotten ends it for shops that go on though they may not: one that began just when
// it was taken back.
func endForgotten(ctx context.Context, tx *tenancy.CentralTx) error {
	var all []struct{ TenantID tenancy.ID }
	err := tx.NewRaw(`SELECT f.tenant_id FROM tenant_figures f WHERE f.name = 'collecting' AND f.currency = '' AND f.value = 1
		AND NOT coalesce((SELECT c.allowed FROM collection_terms c WHERE c.tenant_id = f.tenant_id AND c.valid_from <= ? ORDER BY c.valid_from DESC LIMIT 1), false) ORDER BY 1`, tx.Now()).Scan(ctx, &all)
	if err != nil {
		return fmt.Errorf("look for shops that collect without terms: %w", err)
	}
	for _, x := range all {
		if err := endCollection(ctx, tx, x.TenantID); err != nil {
			return err
		}
	}
	return nil
}
