package wholesale

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
)

// Short is what a reseller sells for less than it would cost it: subscriptions of one SKU
// at one retail price.
type Short struct {
	Tenant  tenancy.ID
	Name    string // of the reseller
	SKU     string
	SKUName string
	Count   int
	Retail  billing.Money // a month of one, net
	Was     billing.Money // what a month of one costs wholesale before the change; zero currency: it has no price
	Now     billing.Money // and after it
	Loss    billing.Money // a month, of all of them, after the change
	More    billing.Money // of that what the change adds
}

// Before reports whether it was sold for less than it costs before the change too.
func (s Short) Before() bool { return s.More.Minor < s.Loss.Minor }

// Outlook is what a change of the price book would make of what resellers sell already. It
// stands on what their shops told of it: the price of a cycle without coupons.
type Outlook struct {
	At       time.Time // from when it would be so
	Rows     []Short   // by reseller, those the change makes worse
	Losing   int       // subscriptions in Rows
	Compared int       // subscriptions that were looked at
	Unknown  int       // of them those that cannot be compared: in another currency, not by the month, without a price or not told
}

// Resellers are how many lose by it.
func (o Outlook) Resellers() int {
	seen := map[tenancy.ID]bool{}
	for _, r := range o.Rows {
		seen[r.Tenant] = true
	}
	return len(seen)
}

// Losses are what they lose a month by the change, by currency.
func (o Outlook) Losses() []billing.Money {
	sums := map[string]int64{}
	for _, r := range o.Rows {
		sums[r.More.Currency] += r.More.Minor
	}
	return moneyOf(sums)
}

// Seal names what the outlook says: who confirms it has seen this and nothing else.
func (o Outlook) Seal() string {
	h := sha256.New()
	for _, r := range o.Rows {
		_, _ = fmt.Fprintln(h, r.Tenant, r.SKU, r.Count, r.Retail, r.Was, r.Now)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// OutlookPrice is what SetPrice would make of what is sold, worked out by doing it and
// taking it back. Faults are SetPrice's.
func (d *Desk) OutlookPrice(ctx context.Context, n NewPrice, by audit.Origin) (Outlook, error) {
	return d.outlook(ctx, n.From, func(ctx context.Context, tx *tenancy.CentralTx) error { return n.set(ctx, tx, by) })
}

// OutlookTier is what SetTier would make of what is sold. Faults are SetTier's.
func (d *Desk) OutlookTier(ctx context.Context, n NewTier, by audit.Origin) (Outlook, error) {
	return d.outlook(ctx, n.From, func(ctx context.Context, tx *tenancy.CentralTx) error { return n.set(ctx, tx, by) })
}

// OutlookOverride is what SetOverride would make of what is sold. Faults are SetOverride's.
func (d *Desk) OutlookOverride(ctx context.Context, of tenancy.ID, n NewOverride, by audit.Origin) (Outlook, error) {
	return d.outlook(ctx, n.From, func(ctx context.Context, tx *tenancy.CentralTx) error { return n.set(ctx, tx, of, by) })
}

// OutlookTerms is what SetTerms would make of what is sold. Faults are SetTerms's.
func (d *Desk) OutlookTerms(ctx context.Context, of tenancy.ID, n NewTerms, by audit.Origin) (Outlook, error) {
	return d.outlook(ctx, n.From, func(ctx context.Context, tx *tenancy.CentralTx) error { return SetTerms(ctx, tx, of, n, by) })
}

// outlook works out what a change would do, and rolls it back.
func (d *Desk) outlook(ctx context.Context, at time.Time, change func(context.Context, *tenancy.CentralTx) error) (o Outlook, err error) {
	err = d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		o = Outlook{At: at}
		when := at
		if when.Before(tx.Now()) {
			when = tx.Now()
		}
		was, err := soldAt(ctx, tx, when)
		if err != nil {
			return err
		}
		if err := change(ctx, tx); err != nil {
			return err
		}
		now, err := soldAt(ctx, tx, when)
		if err != nil {
			return err
		}
		if err := o.compare(was, now); err != nil {
			return err
		}
		return errDry
	})
	if errors.Is(err, errDry) {
		err = nil
	}
	if err != nil {
		return Outlook{}, fmt.Errorf("what a change of prices would do: %w", err)
	}
	return o, nil
}

// soldRow is what one reseller sells of one SKU at one price, and what it costs it.
type soldRow struct {
	TenantID       tenancy.ID
	Name           string
	SKU            string `bun:"sku"`
	SKUName        string `bun:"sku_name"`
	RetailMinor    int64
	RetailCurrency string // empty: not told
	RetailCycle    string
	Addons         string // that each has besides, by SKU how many: their prices are in PriceMinor
	Held           int64
	N              int
	Currency       string
	PriceMinor     string // empty: no price
	PPM            int64  `bun:"ppm"`
}

// soldSQL is what runs and is told of, with each reseller's price at a moment.
const soldSQL = `WITH terms AS MATERIALIZED (
	SELECT DISTINCT ON (x.tenant_id) x.tenant_id, x.tier, x.currency FROM tenant_terms x
	WHERE x.valid_from <= ?0 ORDER BY x.tenant_id, x.valid_from DESC
), sold AS MATERIALIZED (
	SELECT v.tenant_id, v.sku, coalesce(v.retail_minor, 0) AS retail_minor, coalesce(v.retail_currency, '') AS retail_currency, coalesce(v.retail_cycle, '') AS retail_cycle,
		CASE WHEN v.addons IS NULL THEN '{}' ELSE (SELECT coalesce(jsonb_object_agg(a.sku, a.n), '{}') FROM (SELECT x.sku, sum(x.n) AS n
			FROM jsonb_to_recordset(v.addons) AS x(sku text, n bigint, "from" text, "to" text) WHERE x."to" IS NULL GROUP BY 1) a) END AS addons, count(*) AS n
	FROM services v WHERE v.began_at IS NOT NULL AND v.ended_at IS NULL GROUP BY 1, 2, 3, 4, 5, 6
), priced AS MATERIALIZED (
	SELECT k.tenant_id, k.sku, (SELECT x.price_minor FROM (
			SELECT o.price_minor, 2 AS rank FROM wholesale_overrides o WHERE o.tenant_id = k.tenant_id AND o.sku = k.sku AND o.currency = t.currency
				AND o.valid_from <= ?0 AND (o.valid_to IS NULL OR o.valid_to > ?0)
			UNION ALL SELECT p.price_minor, CASE p.tier WHEN '' THEN 0 ELSE 1 END FROM wholesale_prices p WHERE p.sku = k.sku AND p.currency = t.currency AND p.tier IN ('', t.tier)
				AND p.valid_from <= ?0 AND (p.valid_to IS NULL OR p.valid_to > ?0)) x ORDER BY x.rank DESC LIMIT 1)::text AS price_minor
	FROM (SELECT tenant_id, sku FROM sold UNION SELECT s.tenant_id, a.sku FROM sold s CROSS JOIN LATERAL jsonb_object_keys(s.addons) AS a(sku)) k JOIN terms t USING (tenant_id)
)
SELECT s.tenant_id, n.name, s.sku, k.name AS sku_name, s.retail_minor, s.retail_currency, s.retail_cycle, s.n, t.currency, s.addons::text AS addons,
	coalesce((p.price_minor::numeric + CASE WHEN s.addons = '{}' THEN 0 ELSE ( -- null where one of them has no price
		SELECT CASE WHEN bool_and(q.price_minor IS NOT NULL) THEN sum(e.value::numeric * q.price_minor::numeric) END
		FROM jsonb_each_text(s.addons) AS e LEFT JOIN priced q ON q.tenant_id = s.tenant_id AND q.sku = e.key) END)::text, '') AS price_minor,
	coalesce(f.value, 0) AS held,
	coalesce((SELECT (ti.discount_percent * 10000)::bigint FROM tiers ti WHERE ti.tier = t.tier AND ti.currency = t.currency
		AND ti.valid_from <= ?0 AND (ti.valid_to IS NULL OR ti.valid_to > ?0)), 0) AS ppm
FROM sold s JOIN terms t USING (tenant_id) JOIN priced p USING (tenant_id, sku) JOIN tenants n ON n.id = s.tenant_id JOIN skus k ON k.sku = s.sku
LEFT JOIN tenant_figures f ON f.tenant_id = s.tenant_id AND f.name = 'price_tax_ppm' AND f.currency = ''
WHERE NOT n.sandbox AND k.kind = 'service'
ORDER BY lower(n.name), s.tenant_id, k.position, s.sku, s.retail_currency, s.retail_cycle, s.retail_minor, s.addons::text`

func soldAt(ctx context.Context, tx *tenancy.CentralTx, at time.Time) (rows []soldRow, err error) {
	if err := tx.NewRaw(soldSQL, at).Scan(ctx, &rows); err != nil {
		return nil, fmt.Errorf("what is sold: %w", err)
	}
	return rows, nil
}

// costs is what a month of one costs, with the discount off.
func (r soldRow) costs() (net billing.Rate, ok bool, err error) {
	if r.PriceMinor == "" {
		return net, false, nil
	}
	rate, err := billing.ParseMinorRate(r.PriceMinor, r.Currency)
	if err == nil {
		net, err = rate.Less(r.PPM)
	}
	return net, err == nil, err
}

// loss is what a month of one loses; false: it cannot be compared.
func (r soldRow) loss() (retail, costs, loss billing.Money, ok bool, err error) {
	net, ok, err := r.costs()
	if err != nil || !ok || r.RetailCurrency == "" {
		return retail, costs, loss, false, err
	}
	s := billing.Sold{Amount: billing.Money{Minor: r.RetailMinor, Currency: r.RetailCurrency}, Cycle: billing.Cycle(r.RetailCycle), Held: r.Held}
	if loss, ok, err = s.Loss(net); err != nil || !ok {
		return retail, costs, loss, false, err
	}
	if retail, _, err = s.AMonth(); err == nil {
		costs, err = net.Round()
	}
	return retail, costs, loss, err == nil, err
}

// soldKey names what is compared before and after.
type soldKey struct {
	tenant               tenancy.ID
	sku, currency, cycle string
	addons               string
	minor                int64
}

func (r soldRow) key() soldKey {
	return soldKey{r.TenantID, r.SKU, r.RetailCurrency, r.RetailCycle, r.Addons, r.RetailMinor}
}

// compare finds what the change makes worse. Terms that only begin with the change have
// rows in the second list alone.
func (o *Outlook) compare(was, now []soldRow) error {
	before := make(map[soldKey]soldRow, len(was))
	for _, r := range was {
		before[r.key()] = r
	}
	for _, r := range now {
		o.Compared += r.N
		retail, costs, loss, ok, err := r.loss()
		if err != nil {
			return err
		}
		if !ok {
			o.Unknown += r.N
			continue
		}
		_, cost, earlier, _, err := before[r.key()].loss()
		if err != nil {
			return err
		}
		if loss.Minor <= earlier.Minor {
			continue
		}
		s := Short{Tenant: r.TenantID, Name: r.Name, SKU: r.SKU, SKUName: r.SKUName, Count: r.N, Retail: retail, Was: cost, Now: costs}
		if s.Loss, err = loss.Times(int64(r.N)); err != nil {
			return err
		}
		more := billing.Money{Minor: loss.Minor - earlier.Minor, Currency: loss.Currency}
		if s.More, err = more.Times(int64(r.N)); err != nil {
			return err
		}
		o.Rows, o.Losing = append(o.Rows, s), o.Losing+r.N
	}
	return nil
}
