package wholesale

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// What tiers agree on beyond a fee and a discount: a share of revenue, and a least amount a
// month. The rules are billing.Commission and billing.Agreed.

// Places of these lines on an invoice and within an adjustment: behind all lines of usage.
const (
	sharesFrom, minimumAt             = 900_000, 950_000
	adjustedSharesFrom, adjustedLeast = 8_000, 9_999
)

// shareSQL writes the evidence of a month's shares of revenue, one row for each invoice or
// credit note, and answers with the lines. What was billed for the month before is left
// out: so the same statement adjusts a month that is closed. Arguments as of ratedCTE, and
// ?5 the month's name.
const shareSQL = termsCTE + `, shares AS MATERIALIZED (
	SELECT e.tenant_id, t.tier, t.name AS tier_name, t.currency, t.commission_ppm AS ppm, e.key, e.kind, e.at, e.amount_minor,
		CASE e.kind WHEN 'credited' THEN -1 ELSE 1 END AS sign
	FROM revenue_events e JOIN terms t ON t.tenant_id = e.tenant_id AND t.currency = e.currency AND e.at >= t.a AND e.at < t.b
	WHERE e.tenant_id = ANY (?6::bigint[]) AND e.at >= ?1 AND e.at < ?2 AND e.recorded_at <= ?3
		AND e.kind IN ('invoiced', 'credited') AND e.amount_minor <> 0 AND t.commission_ppm > 0
), said AS MATERIALIZED (
	SELECT i.tenant_id, l.invoice_id, l.position, l.tier, l.net_minor
	FROM wholesale_invoices i JOIN who USING (tenant_id) JOIN wholesale_lines l ON l.invoice_id = i.id
	WHERE i.issued_at >= ?2 AND l.period = ?5 AND 'commission' IN (l.kind, l.adjusts)
), told AS (
	SELECT s.tenant_id, e.start_key FROM said s JOIN wholesale_evidence e ON e.invoice_id = s.invoice_id AND e.position = s.position
), fresh AS MATERIALIZED (
	SELECT s.* FROM shares s WHERE NOT EXISTS (SELECT FROM told t WHERE t.tenant_id = s.tenant_id AND t.start_key = s.key)
), due AS ( -- the whole month's share is rounded once
	SELECT s.tenant_id, s.tier, s.ppm, round(sum(s.sign * s.amount_minor) * s.ppm * 0.000001)::bigint AS net FROM shares s GROUP BY s.tenant_id, s.tier, s.ppm
), was AS (
	SELECT s.tenant_id, s.tier, sum(s.net_minor)::bigint AS net FROM said s GROUP BY s.tenant_id, s.tier
), placed AS MATERIALIZED (
	SELECT f.*, d.net - coalesce(w.net, 0) AS net, ?4::int + row_number() OVER (PARTITION BY f.tenant_id ORDER BY f.tier, f.ppm)::int AS position
	FROM (SELECT tenant_id, tier, ppm, max(tier_name) AS tier_name, max(currency) AS currency, sum(sign * amount_minor)::bigint AS base, count(*) AS subjects, min(at) AS first_at
		FROM fresh GROUP BY tenant_id, tier, ppm) f
	JOIN due d USING (tenant_id, tier, ppm) LEFT JOIN was w USING (tenant_id, tier)
), kept AS (
	INSERT INTO wholesale_evidence (invoice_id, position, subject, from_at, to_at, quantity, share, price_minor, amount_minor, start_key, stop_key)
	SELECT w.invoice_id, p.position, f.kind, f.at, f.at, f.sign, f.ppm * 0.000001, f.amount_minor, f.sign * f.amount_minor * f.ppm * 0.000001, f.key, ''
	FROM fresh f JOIN placed p USING (tenant_id, tier, ppm) JOIN who w USING (tenant_id)
)
SELECT p.tenant_id, p.position, 'commission' AS kind, '' AS adjusts, '' AS sku, p.tier, p.tier_name, p.currency, p.ppm,
	p.base::text AS price_minor, round(p.ppm * 0.000001, 6)::text AS quantity, p.net AS net_minor, p.subjects, p.first_at
FROM placed p ORDER BY p.tenant_id, p.position`

// leastSQL answers with the times in the month for which a minimum is agreed. A minimum ends
// as the fee does.
const leastSQL = termsCTE + ` SELECT t.tenant_id, t.tier, t.name, t.currency, t.minimum_minor, t.a, least(t.b, coalesce(n.archived_at, 'infinity')) AS b
	FROM terms t JOIN tenants n ON n.id = t.tenant_id
	WHERE t.minimum_minor > 0 AND t.a < coalesce(n.archived_at, 'infinity') ORDER BY t.tenant_id, t.a`

const leastEvidenceSQL = `INSERT INTO wholesale_evidence (invoice_id, position, subject, from_at, to_at, quantity, share, price_minor, amount_minor, start_key, stop_key)
	SELECT invoice_id, position, subject, from_at, to_at, 1, round(share, 12), price_minor, round(share * price_minor, 8), '', ''
	FROM (SELECT n.*, extract(epoch FROM to_at - from_at) * 1000000 / ` + monthMicros + ` AS share
		FROM jsonb_to_recordset(?0::jsonb) AS n(invoice_id uuid, position int, subject text, from_at timestamptz, to_at timestamptz, price_minor numeric)) x`

// used says which of these any tier asks for: most books need neither statement.
func (r *run) used(ctx context.Context) error {
	err := r.tx.NewRaw("SELECT coalesce(bool_or(commission_percent > 0), false), coalesce(bool_or(minimum_minor > 0), false) FROM tiers").Scan(ctx, &r.shares, &r.minimums)
	if err != nil || !r.shares {
		return err
	}
	var rows []struct{ TenantID int64 }
	err = r.tx.NewRaw("SELECT DISTINCT x.tenant_id FROM tenant_terms x JOIN tiers t USING (tier, currency) WHERE t.commission_percent > 0").Scan(ctx, &rows)
	r.sharing = make(map[int64]bool, len(rows))
	for _, x := range rows {
		r.sharing[x.TenantID] = true
	}
	return err
}

// share puts the shares of a month's revenue on the invoices of a batch; of a closed month
// what was told since.
func (r *run) share(ctx context.Context, who []billed, place map[int64]int, m Month, from int, adjusts bool, all []billed) error {
	if !r.shares {
		return nil
	}
	if r.sharing != nil { // what others sell need not be read
		who = slices.DeleteFunc(slices.Clone(who), func(w billed) bool { return !r.sharing[w.ID.Number()] })
	}
	if len(who) == 0 {
		return nil
	}
	lines, err := r.rate(ctx, shareSQL, who, m, from)
	if err != nil {
		return fmt.Errorf("shares of revenue: %w", err)
	}
	for _, l := range lines {
		l.period = m.Name
		base, err := billing.ParseMinorRate(l.PriceMinor, l.Currency)
		said := base.Decimal()
		if err != nil { // more was credited than invoiced
			said = l.PriceMinor + " minor units of"
		}
		l.description = fmt.Sprintf("%s %% of %s %s invoiced (%s)", percent(l.PPM), said, l.Currency, l.TierName)
		if adjusts {
			l.adjust()
		}
		w := &all[place[l.TenantID]]
		w.lines = append(w.lines, l)
	}
	return nil
}

// adjust makes a line of a closed month an adjustment.
func (l *ratedLine) adjust() {
	l.Kind, l.Adjusts = "adjustment", l.Kind
	l.description = "Adjustment of " + l.period + ": " + l.description
}

// leastTime is a time for which a minimum is agreed.
type leastTime struct {
	TenantID     int64
	Tier, Name   string
	Currency     string
	MinimumMinor int64
	A, B         time.Time
}

// leastOf are the times of a batch with a minimum, by reseller.
func (r *run) leastOf(ctx context.Context, who []billed, m Month) (map[int64][]leastTime, error) {
	if !r.minimums {
		return nil, nil
	}
	members := make([]map[string]int64, len(who))
	for i, w := range who {
		members[i] = map[string]int64{"tenant_id": w.ID.Number()}
	}
	list, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	var rows []leastTime
	if err := r.tx.NewRaw(leastSQL, string(list), m.From, m.To).Scan(ctx, &rows); err != nil {
		return nil, fmt.Errorf("agreed minimums: %w", err)
	}
	by := map[int64][]leastTime{}
	for _, t := range rows {
		by[t.TenantID] = append(by[t.TenantID], t)
	}
	return by, nil
}

// topUp is the line that makes up the difference to what is agreed, when billed is what the
// month's other lines come to. It may be of nothing.
func topUp(times []leastTime, m Month, billed int64) (l ratedLine, err error) {
	spans := make([]billing.TierSpan, len(times))
	for i, t := range times {
		spans[i] = billing.TierSpan{Tier: t.Tier, Minimum: billing.Money{Minor: t.MinimumMinor, Currency: t.Currency}, Period: billing.Period{From: t.A.UTC(), To: t.B.UTC()}}
	}
	agreed, err := billing.Agreed(billing.Period{From: m.From, To: m.To}, spans)
	if err != nil {
		return l, err
	}
	last := times[len(times)-1]
	lack, err := billing.ToTheMinimum(agreed, billing.Money{Minor: billed, Currency: last.Currency})
	if err != nil {
		return l, err
	}
	return ratedLine{TenantID: last.TenantID, Position: minimumAt, Kind: "minimum", Tier: last.Tier, TierName: last.Name, Currency: last.Currency,
		Quantity: "1", PriceMinor: fmt.Sprint(agreed.Minor), NetMinor: lack.Minor, period: m.Name,
		description: fmt.Sprintf("To the agreed minimum of %s %s (%s)", agreed.Decimal(), agreed.Currency, last.Name)}, nil
}

// least brings each invoice of a batch to what is agreed with its reseller.
func (r *run) least(ctx context.Context, who []billed) error {
	by, err := r.leastOf(ctx, who, r.month)
	if err != nil {
		return err
	}
	type row struct {
		InvoiceID uuid.UUID `json:"invoice_id"`
		Position  int       `json:"position"`
		Subject   string    `json:"subject"`
		From      time.Time `json:"from_at"`
		To        time.Time `json:"to_at"`
		Price     int64     `json:"price_minor"`
	}
	var evidence []row
	for i := range who {
		w := &who[i]
		times := by[w.ID.Number()]
		if len(times) == 0 {
			continue
		}
		var sum int64
		for _, l := range w.lines {
			sum += l.NetMinor
		}
		l, err := topUp(times, r.month, sum)
		if err != nil {
			return err
		}
		if l.NetMinor == 0 {
			continue
		}
		w.lines = append(w.lines, l)
		for _, t := range times {
			evidence = append(evidence, row{w.invoice, l.Position, "tier/" + t.Tier, t.A.UTC(), t.B.UTC(), t.MinimumMinor})
		}
	}
	if len(evidence) == 0 {
		return nil
	}
	list, err := json.Marshal(evidence)
	if err != nil {
		return err
	}
	_, err = r.tx.NewRaw(leastEvidenceSQL, string(list), r.month.From).Exec(ctx)
	return err
}

// adjustLeast makes up for what a closed month's adjustments moved of its minimum: late
// usage takes the place of what was paid for nothing.
func (r *run) adjustLeast(ctx context.Context, late []billed, c Month, from int, who []billed, place map[int64]int) error {
	by, err := r.leastOf(ctx, late, c)
	if err != nil || len(by) == 0 {
		return err
	}
	ids := make([]tenancy.ID, 0, len(late))
	for _, w := range late {
		ids = append(ids, w.ID)
	}
	var was []struct {
		TenantID    int64
		Rest, Least int64
	}
	err = r.tx.NewRaw(`SELECT i.tenant_id, coalesce(sum(l.net_minor) FILTER (WHERE 'minimum' NOT IN (l.kind, l.adjusts)), 0)::bigint AS rest,
			coalesce(sum(l.net_minor) FILTER (WHERE 'minimum' IN (l.kind, l.adjusts)), 0)::bigint AS least
		FROM wholesale_invoices i JOIN wholesale_lines l ON l.invoice_id = i.id
		WHERE i.tenant_id = ANY (?::bigint[]) AND i.issued_at >= ? AND l.period = ? GROUP BY i.tenant_id`, listOf(ids), c.To, c.Name).Scan(ctx, &was)
	if err != nil {
		return err
	}
	for _, x := range was {
		times := by[x.TenantID]
		if len(times) == 0 {
			continue
		}
		w := &who[place[x.TenantID]]
		sum := x.Rest
		for _, l := range w.lines {
			if l.period == c.Name {
				sum += l.NetMinor
			}
		}
		l, err := topUp(times, c, sum)
		if err != nil {
			return err
		}
		if l.NetMinor -= x.Least; l.NetMinor == 0 {
			continue
		}
		l.Position = from + adjustedLeast
		l.adjust()
		w.lines = append(w.lines, l)
	}
	return nil
}

// Foreign is revenue of a reseller that shares its revenue, in a currency it is not billed
// in: no share of it is taken, because there is no rate for it.
type Foreign struct {
	Tenant   tenancy.ID `json:"tenant"`
	Currency string     `json:"currency"`
	NetMinor int64      `json:"net_minor"`
}

// Net is the amount.
func (f Foreign) Net() billing.Money { return billing.Money{Minor: f.NetMinor, Currency: f.Currency} }

// foreign finds what no share is taken of.
func (r *run) foreign(ctx context.Context) error {
	if err := r.used(ctx); err != nil || !r.shares {
		return err
	}
	return r.tx.NewRaw(`SELECT e.tenant_id AS tenant, e.currency, sum(CASE e.kind WHEN 'credited' THEN -e.amount_minor ELSE e.amount_minor END)::bigint AS net_minor
		FROM (SELECT tenant_id, tier, currency, valid_from, lead(valid_from) OVER (PARTITION BY tenant_id ORDER BY valid_from) AS ends FROM tenant_terms) x
		JOIN tiers t ON t.tier = x.tier AND t.currency = x.currency AND t.commission_percent > 0 AND t.valid_from <= ?0 AND (t.valid_to IS NULL OR t.valid_to > ?0)
		JOIN revenue_events e ON e.tenant_id = x.tenant_id AND e.at >= ?0 AND e.at < ?1 AND e.at >= x.valid_from AND (x.ends IS NULL OR e.at < x.ends)
		WHERE e.currency <> x.currency AND e.kind IN ('invoiced', 'credited') GROUP BY e.tenant_id, e.currency ORDER BY e.tenant_id, e.currency`,
		r.month.From, r.month.To).Scan(ctx, &r.report.Foreign)
}
