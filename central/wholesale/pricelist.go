package wholesale

import (
	"context"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Listed is a SKU with what one reseller pays for it.
type Listed struct {
	SKU
	List  billing.Rate // agreed with the reseller, or else of the book, for its tier
	Net   billing.Rate // with the tier's discount off: what it costs the reseller
	Own   bool         // agreed with the reseller alone
	Until time.Time    // how long an own price holds; zero: no end is agreed
}

// listedRow is a Listed as the database answers.
type listedRow struct {
	SKU
	Currency   string
	PriceMinor string
	Own        bool
	Until      time.Time
	PPM        int64 `bun:"ppm"`
}

// listAt finds the terms, the tier and the prices that hold for a tenant at a moment. A
// reseller without terms yet is shown the prices for all in its own currency.
const listAt = `WITH terms AS (
		(SELECT tier, currency FROM tenant_terms WHERE tenant_id = ?0 ORDER BY (valid_from <= ?1) DESC,
			CASE WHEN valid_from <= ?1 THEN valid_from END DESC, valid_from LIMIT 1)
		UNION ALL SELECT '', currency FROM tenants WHERE id = ?0 AND NOT EXISTS (SELECT FROM tenant_terms WHERE tenant_id = ?0))
	SELECT ` + skuColumns + `, terms.currency, p.price_minor::text AS price_minor, p.own, p.until,
		coalesce((SELECT (t.discount_percent * 10000)::bigint FROM tiers t WHERE t.tier = terms.tier AND t.currency = terms.currency
			AND t.valid_from <= ?1 AND (t.valid_to IS NULL OR t.valid_to > ?1)), 0) AS ppm
	FROM terms CROSS JOIN skus s
	CROSS JOIN LATERAL (SELECT * FROM (
			SELECT o.price_minor, true AS own, o.valid_to AS until, '' AS tier FROM wholesale_overrides o
				WHERE o.tenant_id = ?0 AND o.sku = s.sku AND o.currency = terms.currency AND o.valid_from <= ?1 AND (o.valid_to IS NULL OR o.valid_to > ?1)
			UNION ALL SELECT p.price_minor, false, NULL, p.tier FROM wholesale_prices p WHERE p.sku = s.sku AND p.currency = terms.currency AND p.tier IN ('', terms.tier)
				AND p.valid_from <= ?1 AND (p.valid_to IS NULL OR p.valid_to > ?1)) x ORDER BY x.own DESC, x.tier DESC LIMIT 1) p
	WHERE ?2 IN ('', s.sku) ORDER BY s.position, s.sku`

// PriceList is what a reseller pays for every SKU that has a price for it now, retired
// ones included.
func (d *Desk) PriceList(ctx context.Context, tenant tenancy.ID) (all []Listed, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		all, err = PricesAt(ctx, tx, tenant, "", tx.Now())
		return err
	})
	return all, err
}

// Price is what one SKU costs a reseller at a moment, its discount taken off. Without a
// price it is the fault price.none.
func (d *Desk) Price(ctx context.Context, tenant tenancy.ID, sku string, at time.Time) (billing.Rate, error) {
	var found []Listed
	err := d.Central.View(ctx, func(tx *tenancy.CentralTx) (err error) {
		found, err = PricesAt(ctx, tx, tenant, sku, at)
		return err
	})
	if err != nil {
		return billing.Rate{}, err
	}
	if sku == "" || len(found) == 0 {
		return billing.Rate{}, fault.New(fault.NotFound, "price.none", "This has no wholesale price.")
	}
	return found[0].Net, nil
}

// PricesAt is what SKUs cost a reseller at a moment, within a transaction; an empty sku
// asks for all. What has no price then is left out.
func PricesAt(ctx context.Context, tx *tenancy.CentralTx, tenant tenancy.ID, sku string, at time.Time) ([]Listed, error) {
	var rows []listedRow
	if err := tx.NewRaw(listAt, tenant, at, plain(sku)).Scan(ctx, &rows); err != nil {
		return nil, fmt.Errorf("prices of %s: %w", tenant, err)
	}
	all := make([]Listed, len(rows))
	for i, r := range rows {
		list, err := billing.ParseMinorRate(r.PriceMinor, r.Currency)
		if err != nil {
			return nil, fmt.Errorf("price of %s: %w", r.Code, err)
		}
		net, err := list.Less(r.PPM)
		if err != nil {
			return nil, fmt.Errorf("price of %s: %w", r.Code, err)
		}
		all[i] = Listed{SKU: r.SKU, List: list, Net: net, Own: r.Own, Until: utcOrZero(r.Until)}
	}
	return all, nil
}
