package wholesale

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// MonthCost is what one month cost a reseller wholesale, as it was billed, adjustments and
// credit notes since included: net.
type MonthCost struct {
	Month    Month
	Currency string
	Services map[uuid.UUID]int64 // minor units by service, the tier's discount off
	Rest     int64               // everything else: fee, share of revenue, minimum, amounts by hand, what rounding left
}

// Total is all of it.
func (m MonthCost) Total() billing.Money {
	sum := m.Rest
	for _, minor := range m.Services {
		sum += minor
	}
	return billing.Money{Minor: sum, Currency: m.Currency}
}

// billedSQL is the billed months' cost by service, and in all where no service is named.
const billedSQL = `WITH said AS MATERIALIZED (
	SELECT l.invoice_id, l.position, i.currency, l.tier, l.net_minor, coalesce(nullif(l.period, ''), r.period) AS period,
		CASE l.kind WHEN 'adjustment' THEN l.adjusts ELSE l.kind END AS what
	FROM wholesale_invoices i JOIN wholesale_runs r ON r.id = i.run_id JOIN wholesale_lines l ON l.invoice_id = i.id
	WHERE i.tenant_id = ?0
), off AS ( -- what the discount made of each unit of money on a tier
	SELECT period, tier, 1 + coalesce(sum(net_minor) FILTER (WHERE what = 'discount') / nullif(sum(net_minor) FILTER (WHERE what IN ('service', 'metered')), 0), 0) AS left_over
	FROM said GROUP BY period, tier
)
SELECT s.period, s.currency, split_part(e.subject, '/', 2) AS service, round(sum(e.amount_minor * o.left_over))::bigint AS minor
FROM said s JOIN off o USING (period, tier) JOIN wholesale_evidence e ON e.invoice_id = s.invoice_id AND e.position = s.position
WHERE s.what IN ('service', 'metered') AND e.subject LIKE 'service/%' AND left(s.period, 7) >= ?1 AND left(s.period, 7) <= ?2 GROUP BY 1, 2, 3
UNION ALL
SELECT s.period, s.currency, '', sum(s.net_minor - coalesce(c.net, 0))::bigint FROM said s
LEFT JOIN (SELECT invoice_id, position, sum(net_minor) AS net FROM wholesale_credits WHERE tenant_id = ?0 GROUP BY 1, 2) c USING (invoice_id, position)
WHERE left(s.period, 7) >= ?1 AND left(s.period, 7) <= ?2 GROUP BY 1, 2
ORDER BY 1, 3`

// BilledCosts are what the billed months that begin from the one calendar month up to the other cost a reseller, the
// earliest first. A month that was not billed is not in it.
func (d *Desk) BilledCosts(ctx context.Context, of tenancy.ID, from, to Month) (all []MonthCost, err error) {
	var rows []struct {
		Period, Currency, Service string
		Minor                     int64
	}
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw(billedSQL, of, from.Name, to.Name).Scan(ctx, &rows)
	})
	if err != nil {
		return nil, fmt.Errorf("what months cost %s: %w", of, err)
	}
	for _, r := range rows { // a month's total comes first
		if r.Service == "" {
			m, err := ParseMonth(r.Period)
			if err != nil {
				return nil, err
			}
			all = append(all, MonthCost{Month: m, Currency: r.Currency, Services: map[uuid.UUID]int64{}, Rest: r.Minor})
			continue
		}
		id, err := uuid.Parse(r.Service)
		if err != nil || len(all) == 0 || all[len(all)-1].Month.Name != r.Period {
			continue // not a service of a shop: it stays in the rest
		}
		m := &all[len(all)-1]
		m.Services[id] += r.Minor
		m.Rest -= r.Minor
	}
	return all, nil
}

// MonthOf is the calendar month a moment lies in.
func MonthOf(at time.Time) Month { return monthOf(at) }
