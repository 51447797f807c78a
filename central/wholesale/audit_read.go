package wholesale

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// told is what the central plane knows of one reseller's month.
type told struct {
	events    []billing.UsageEvent
	spans     []billing.TierSpan
	since     time.Time // of its first terms: before them nothing is billed
	lines     []billedLine
	stays     []billedStay
	projected []Ran
	revenue   []billing.RevenueEvent
	archived  time.Time        // zero: it is not
	shares    map[string]int64 // billed as a share of revenue, by tier
	least     int64            // billed to reach the minimum
	rest      int64            // everything else that was billed
	entered   map[string]int64 // amounts by hand as staff entered them, by line
	byHand    map[string]int64 // and as they were billed
}

type billedLine struct {
	TenantID        tenancy.ID
	Kind, SKU, Tier string
	PriceMinor      string
	Currency        string
	NetMinor        int64
}

type billedStay struct {
	TenantID   tenancy.ID
	SKU        string `bun:"sku"`
	Subject    string
	FromAt     time.Time
	ToAt       time.Time
	PriceMinor string
	Quantity   int64
}

// read reads what is known of some resellers, each kind of fact of all of them at once:
// one by one, a fleet takes as many times as long as there are lines in a month.
func (a *auditor) read(ctx context.Context, ids []tenancy.ID) ([]told, error) {
	all, place := make([]told, len(ids)), map[tenancy.ID]*told{}
	for i, id := range ids {
		place[id] = &all[i]
	}
	who := listOf(ids)
	err := a.desk.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		clear(all)
		if err := a.facts(ctx, tx, who, place); err != nil {
			return err
		}
		if err := a.spans(ctx, tx, who, place); err != nil {
			return err
		}
		if err := a.bills(ctx, tx, who, place); err != nil {
			return err
		}
		return a.agreements(ctx, tx, who, place)
	})
	return all, err
}

// listOf is some resellers as a list in SQL; the planner knows how long it is.
func listOf(ids []tenancy.ID) string {
	said := make([]string, len(ids))
	for i, id := range ids {
		said[i] = strconv.FormatInt(id.Number(), 10)
	}
	return "{" + strings.Join(said, ",") + "}"
}

// facts are the usage ledger and the projection of the services.
func (a *auditor) facts(ctx context.Context, tx *tenancy.CentralTx, who string, place map[tenancy.ID]*told) error {
	var events []struct {
		TenantID tenancy.ID
		billing.UsageEvent
	}
	err := tx.NewRaw(`SELECT tenant_id, key, subject, sku, kind, quantity, at, recorded_at FROM usage_events WHERE tenant_id = ANY (?::bigint[]) AND at < ?`, who, a.month.To).Scan(ctx, &events)
	if err != nil {
		return err
	}
	for _, e := range events {
		t := place[e.TenantID]
		t.events = append(t.events, e.UsageEvent)
	}
	var shown []struct {
		TenantID tenancy.ID
		Ran
	}
	err = tx.NewRaw(`SELECT tenant_id, service_id AS id, sku, began_at, ended_at, coalesce(retail_minor, 0) AS retail_minor, coalesce(retail_currency, '') AS retail_currency,
			coalesce(retail_cycle, '') AS retail_cycle, coalesce(addons, '[]') AS addons FROM services WHERE tenant_id = ANY (?::bigint[]) AND began_at < ? AND (ended_at IS NULL OR ended_at > ?)`,
		who, a.month.To, a.month.From).Scan(ctx, &shown)
	for _, s := range shown {
		t := place[s.TenantID]
		t.projected = append(t.projected, s.Ran)
	}
	return err
}

// bills are the lines and the evidence of the month, adjustments since included.
func (a *auditor) bills(ctx context.Context, tx *tenancy.CentralTx, who string, place map[tenancy.ID]*told) error {
	var lines []billedLine
	err := tx.NewRaw(`SELECT tenant_id, kind, sku, tier, price_minor::text AS price_minor, currency, sum(net_minor)::bigint AS net_minor FROM (
			SELECT i.tenant_id, CASE l.kind WHEN 'adjustment' THEN l.adjusts ELSE l.kind END AS kind, l.sku, l.tier, l.price_minor, i.currency, l.net_minor
			FROM wholesale_invoices i JOIN wholesale_lines l ON l.invoice_id = i.id WHERE i.tenant_id = ANY (?::bigint[]) AND l.period = ?) x
		WHERE kind IN ('service', 'metered') GROUP BY tenant_id, kind, sku, tier, price_minor, currency`, who, a.month.Name).Scan(ctx, &lines)
	if err != nil {
		return err
	}
	for _, l := range lines {
		t := place[l.TenantID]
		t.lines = append(t.lines, l)
	}
	var stays []billedStay
	err = tx.NewRaw(`SELECT i.tenant_id, l.sku, e.subject, e.from_at, e.to_at, e.price_minor::text AS price_minor, sum(e.quantity)::bigint AS quantity
		FROM wholesale_invoices i JOIN wholesale_lines l ON l.invoice_id = i.id JOIN wholesale_evidence e ON e.invoice_id = l.invoice_id AND e.position = l.position
		WHERE i.tenant_id = ANY (?::bigint[]) AND l.period = ? AND l.sku <> ''
		GROUP BY i.tenant_id, l.sku, e.subject, e.from_at, e.to_at, e.price_minor HAVING sum(e.quantity) <> 0`, who, a.month.Name).Scan(ctx, &stays)
	for _, s := range stays {
		t := place[s.TenantID]
		t.stays = append(t.stays, s)
	}
	return err
}

// agreements are what shares and minimums are worked out from, and what was billed of them.
func (a *auditor) agreements(ctx context.Context, tx *tenancy.CentralTx, who string, place map[tenancy.ID]*told) error {
	var revenue []struct {
		TenantID            tenancy.ID
		Minor               int64 `bun:"amount_minor"`
		Key, Kind, Currency string
		At, RecordedAt      time.Time
	}
	err := tx.NewRaw(`SELECT tenant_id, key, kind, currency, amount_minor, at, recorded_at FROM revenue_events
		WHERE tenant_id = ANY (?::bigint[]) AND at >= ? AND at < ? AND kind IN ('invoiced', 'credited')`, who, a.month.From, a.month.To).Scan(ctx, &revenue)
	if err != nil {
		return err
	}
	for _, e := range revenue {
		t := place[e.TenantID]
		t.revenue = append(t.revenue, billing.RevenueEvent{Key: e.Key, Kind: e.Kind, Currency: e.Currency, Minor: e.Minor, At: e.At.UTC(), RecordedAt: e.RecordedAt})
	}
	var sums []struct {
		TenantID             tenancy.ID
		Kind, Tier, Currency string
		NetMinor             int64
	}
	err = tx.NewRaw(`SELECT i.tenant_id, CASE l.kind WHEN 'adjustment' THEN l.adjusts ELSE l.kind END AS kind, l.tier, i.currency, sum(l.net_minor)::bigint AS net_minor
		FROM wholesale_invoices i JOIN wholesale_lines l ON l.invoice_id = i.id WHERE i.tenant_id = ANY (?::bigint[]) AND l.period = ?
		GROUP BY i.tenant_id, 2, l.tier, i.currency`, who, a.month.Name).Scan(ctx, &sums)
	if err != nil {
		return err
	}
	for _, s := range sums {
		t := place[s.TenantID]
		switch s.Kind {
		case "minimum":
			t.least += s.NetMinor
			continue
		case "commission":
			if t.shares == nil {
				t.shares = map[string]int64{}
			}
			t.shares[s.Tier] += s.NetMinor
		}
		t.rest += s.NetMinor
	}
	if err := a.handWork(ctx, tx, who, place); err != nil {
		return err
	}
	var gone []struct {
		ID         tenancy.ID
		ArchivedAt time.Time
	}
	err = tx.NewRaw("SELECT id, archived_at FROM tenants WHERE id = ANY (?::bigint[]) AND archived_at IS NOT NULL", who).Scan(ctx, &gone)
	for _, g := range gone {
		place[g.ID].archived = g.ArchivedAt.UTC()
	}
	return err
}

// handWork are the amounts by hand on the invoices of the month's run, as they were entered
// and as they were billed.
func (a *auditor) handWork(ctx context.Context, tx *tenancy.CentralTx, who string, place map[tenancy.ID]*told) error {
	var rows []struct {
		TenantID       tenancy.ID
		Line           string
		Entered, Lines int64
	}
	err := tx.NewRaw(`SELECT tenant_id, number || ' line ' || position AS line, coalesce(a.amount_minor, 0) AS entered, coalesce(l.net_minor, 0) AS lines
		FROM (SELECT a.tenant_id, i.number, a.position, a.amount_minor FROM wholesale_adjustments a JOIN wholesale_invoices i ON i.id = a.invoice_id JOIN wholesale_runs r ON r.id = i.run_id
			WHERE a.tenant_id = ANY (?0::bigint[]) AND r.period = ?1) a
		FULL JOIN (SELECT i.tenant_id, i.number, l.position, l.net_minor FROM wholesale_lines l JOIN wholesale_invoices i ON i.id = l.invoice_id JOIN wholesale_runs r ON r.id = i.run_id
			WHERE i.tenant_id = ANY (?0::bigint[]) AND r.period = ?1 AND l.kind = 'manual') l USING (tenant_id, number, position)`, who, a.month.Name).Scan(ctx, &rows)
	for _, r := range rows {
		t := place[r.TenantID]
		if t.byHand == nil {
			t.byHand, t.entered = map[string]int64{}, map[string]int64{}
		}
		t.entered[r.Line], t.byHand[r.Line] = r.Entered, r.Lines
	}
	return err
}

// holds reports whether a tier is so in the month: as it was when the month began, or as it
// began.
func (a *auditor) holds(v Tier) bool {
	if !v.To.IsZero() && !v.To.After(a.month.From) {
		return false
	}
	return !v.From.After(a.month.From) || !slices.ContainsFunc(a.tiers, func(o Tier) bool {
		return o.Tier == v.Tier && o.Fee.Currency == v.Fee.Currency && o.From.Before(v.From)
	})
}

// spans are the resellers' times on tiers, each with what the tier costs and gives then.
func (a *auditor) spans(ctx context.Context, tx *tenancy.CentralTx, who string, place map[tenancy.ID]*told) error {
	var terms []struct {
		TenantID       tenancy.ID
		Tier, Currency string
		ValidFrom      time.Time
		Until          time.Time // zero: no other terms follow
	}
	err := tx.NewRaw(`SELECT tenant_id, tier, currency, valid_from, lead(valid_from) OVER (PARTITION BY tenant_id ORDER BY valid_from) AS until
		FROM tenant_terms WHERE tenant_id = ANY (?::bigint[]) ORDER BY tenant_id, valid_from`, who).Scan(ctx, &terms)
	for _, x := range terms {
		t := place[x.TenantID]
		if t.since.IsZero() {
			t.since = x.ValidFrom.UTC()
		}
		for _, v := range a.tiers {
			from, until := x.ValidFrom.UTC(), x.Until.UTC()
			if v.Tier != x.Tier || v.Fee.Currency != x.Currency || !a.holds(v) {
				continue
			}
			if v.From.After(a.month.From) && v.From.After(from) {
				from = v.From
			}
			if until.IsZero() || from.Before(until) {
				t.spans = append(t.spans, billing.TierSpan{Tier: x.Tier, Fee: v.Fee, DiscountPPM: v.DiscountPPM, CommissionPPM: v.Commission, Minimum: v.Minimum, Period: billing.Period{From: from, To: until}})
			}
		}
	}
	return err
}
