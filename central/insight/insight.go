// Package insight is how the platform's business does, over all resellers: what their
// shops earn, what EZSCALE invoices them, what is owed, what their services are doing.
// It reads the central projections and the wholesale books and changes nothing. The
// projections are what tenants told through the doors; the audit compares them with the
// tenants' own rows.
package insight

import (
	"context"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// Business is the platform in figures.
type Business struct {
	Retail    []Sum // recurring revenue of all shops, a month, one a currency
	Yearly    []Sum // the same for twelve months
	Wholesale []Sum // invoiced to resellers by the last finished run
	Owed      []Sum // wholesale invoices that are open
	Overdue   []Sum
	Period    string // of the last finished run; empty: none
	Services  Services
	Months    []Month // the last twelve, the oldest first
	Left      int     // resellers archived in thirty days
	Restless  []Restless
}

// Sum is an amount with how many things make it up.
type Sum struct {
	billing.Money
	Count int
}

// Services counts what runs for all tenants.
type Services struct {
	Running   int
	Suspended int
	Problems  int
	Newest    int // begun in seven days
	Before    int // ran thirty days ago
	Ended     int // of them, since then
}

// Churn is the share of the services of thirty days ago that ended since, in percent.
func (s Services) Churn() float64 {
	if s.Before == 0 {
		return 0
	}
	return 100 * float64(s.Ended) / float64(s.Before)
}

// Month is what all shops invoiced and received in a calendar month, UTC, in one currency,
// and what wholesale came to that was invoiced in it.
type Month struct {
	From      time.Time
	Invoiced  billing.Money
	Received  billing.Money
	Wholesale billing.Money // for months and bill months that begin in it, net, less what was credited
	Margin    billing.Money // what is left to the shops; nothing before Billed
	Billed    bool          // a run has invoiced it
}

// Restless is a reseller that owes.
type Restless struct {
	Tenant  tenancy.ID
	Name    string
	Owed    billing.Money
	Since   time.Time // when the oldest was due
	Treated string    // tenants.restriction; empty: nothing yet
}

const monthsShown = 12

// Read returns the figures; the months are those of one currency.
func Read(ctx context.Context, central *tenancy.Central, currency string) (b Business, err error) {
	err = central.View(ctx, func(tx *tenancy.CentralTx) error {
		for _, read := range []func(context.Context, *tenancy.CentralTx) error{b.sums, b.counts, b.restless} {
			if err := read(ctx, tx); err != nil {
				return err
			}
		}
		return b.months(ctx, tx, currency)
	})
	if err != nil {
		return Business{}, fmt.Errorf("insight: %w", err)
	}
	return b, nil
}

// sums reads every amount by currency in one statement.
func (b *Business) sums(ctx context.Context, tx *tenancy.CentralTx) error {
	var rows []struct {
		What     string
		Currency string
		Minor    int64
		N        int
	}
	err := tx.NewRaw(`SELECT 'retail' AS what, currency, sum(value) AS minor, count(*) FILTER (WHERE value > 0) AS n FROM tenant_figures WHERE name = 'mrr' AND currency <> '' GROUP BY currency
		UNION ALL SELECT 'owed', currency, sum(total_minor - paid_minor), count(*) FROM wholesale_invoices WHERE state = 'open' GROUP BY currency
		UNION ALL SELECT 'overdue', currency, sum(total_minor - paid_minor), count(*) FROM wholesale_invoices WHERE state = 'open' AND due_at < ? GROUP BY currency
		UNION ALL SELECT 'wholesale', i.currency, sum(i.net_minor), count(*) FROM ( -- each reseller's last month
			SELECT DISTINCT ON (i.tenant_id) i.currency, i.net_minor FROM wholesale_invoices i JOIN wholesale_runs r ON r.id = i.run_id
			WHERE r.state = 'done' AND r.period_to > (SELECT max(period_from) FROM wholesale_runs WHERE state = 'done' AND length(period) = 7)
			ORDER BY i.tenant_id, r.period_to DESC) i GROUP BY i.currency
		ORDER BY what, minor DESC, currency`, tx.Now()).Scan(ctx, &rows)
	if err != nil {
		return fmt.Errorf("sums: %w", err)
	}
	into := map[string]*[]Sum{"retail": &b.Retail, "owed": &b.Owed, "overdue": &b.Overdue, "wholesale": &b.Wholesale}
	for _, r := range rows {
		if r.Minor == 0 && r.N == 0 {
			continue
		}
		list := into[r.What]
		*list = append(*list, Sum{Money: billing.Money{Minor: r.Minor, Currency: r.Currency}, Count: r.N})
	}
	for _, r := range b.Retail {
		year, err := r.Times(12)
		if err != nil {
			return fmt.Errorf("a year of it: %w", err)
		}
		b.Yearly = append(b.Yearly, Sum{Money: year, Count: r.Count})
	}
	return nil
}

func (b *Business) counts(ctx context.Context, tx *tenancy.CentralTx) error {
	now := tx.Now()
	err := tx.NewRaw(`SELECT coalesce((SELECT max(period) FROM wholesale_runs WHERE state = 'done' AND length(period) = 7), ''),
			(SELECT count(*) FROM tenants WHERE archived_at > ?1 AND NOT sandbox),
			count(*) FILTER (WHERE ended_at IS NULL AND observed = 'active'), count(*) FILTER (WHERE ended_at IS NULL AND observed = 'suspended'),
			count(*) FILTER (WHERE ended_at IS NULL AND problem <> ''), count(*) FILTER (WHERE ended_at IS NULL AND began_at > ?0),
			count(*) FILTER (WHERE began_at <= ?1), count(*) FILTER (WHERE began_at <= ?1 AND ended_at IS NOT NULL)
		FROM services WHERE ended_at IS NULL OR ended_at > ?1`, now.AddDate(0, 0, -7), now.AddDate(0, 0, -30)).
		Scan(ctx, &b.Period, &b.Left, &b.Services.Running, &b.Services.Suspended, &b.Services.Problems, &b.Services.Newest, &b.Services.Before, &b.Services.Ended)
	if err != nil {
		return fmt.Errorf("counts: %w", err)
	}
	return nil
}

// restless are the resellers that owe for longest, ten at most.
func (b *Business) restless(ctx context.Context, tx *tenancy.CentralTx) error {
	var rows []struct {
		ID          int64
		Name        string
		Restriction string
		Currency    string
		Minor       int64
		Since       time.Time
	}
	err := tx.NewRaw(`SELECT t.id, t.name, t.restriction, i.currency, sum(i.total_minor - i.paid_minor) AS minor, min(i.due_at) AS since
		FROM wholesale_invoices i JOIN tenants t ON t.id = i.tenant_id WHERE i.state = 'open' AND i.due_at < ?
		GROUP BY t.id, t.name, t.restriction, i.currency ORDER BY since, t.id LIMIT 10`, tx.Now()).Scan(ctx, &rows)
	if err != nil {
		return fmt.Errorf("resellers that owe: %w", err)
	}
	for _, r := range rows {
		id, err := tenancy.NumberedID(r.ID)
		if err != nil {
			return err
		}
		b.Restless = append(b.Restless, Restless{Tenant: id, Name: r.Name, Owed: billing.Money{Minor: r.Minor, Currency: r.Currency}, Since: r.Since, Treated: r.Restriction})
	}
	return nil
}

func (b *Business) months(ctx context.Context, tx *tenancy.CentralTx, currency string) error {
	now := tx.Now()
	first := time.Date(now.Year(), now.Month()-monthsShown+1, 1, 0, 0, 0, 0, time.UTC)
	var rows []struct {
		From                          time.Time
		Invoiced, Received, Wholesale int64
		Billed                        bool
	}
	err := tx.NewRaw(`SELECT m."from", coalesce(e.invoiced, 0) AS invoiced, coalesce(e.received, 0) AS received, coalesce(w.net, 0) AS wholesale, w."from" IS NOT NULL AS billed
		FROM generate_series(?0::timestamptz, ?1::timestamptz, '1 month') AS m("from")
		LEFT JOIN (SELECT date_trunc('month', e.at, 'UTC') AS "from",
				sum(CASE e.kind WHEN 'invoiced' THEN abs(e.amount_minor) WHEN 'credited' THEN -abs(e.amount_minor) ELSE 0 END) AS invoiced,
				sum(CASE e.kind WHEN 'paid' THEN abs(e.amount_minor) WHEN 'refunded' THEN -abs(e.amount_minor) ELSE 0 END) AS received
			FROM revenue_events e WHERE e.at >= ?0 AND e.currency = ?2 AND NOT EXISTS (SELECT FROM tenants t WHERE t.id = e.tenant_id AND t.sandbox)
			GROUP BY 1) e ON e."from" = m."from"
		LEFT JOIN (SELECT date_trunc('month', r.period_from, 'UTC') AS "from", sum(i.net_minor - coalesce((SELECT sum(c.net_minor) FROM wholesale_credits c WHERE c.invoice_id = i.id), 0)) AS net
			FROM wholesale_runs r JOIN wholesale_invoices i ON i.run_id = r.id
			WHERE r.state = 'done' AND r.period_from >= ?0 AND i.currency = ?2
			GROUP BY 1) w ON w."from" = m."from"
		ORDER BY m."from"`, first, now, currency).Scan(ctx, &rows)
	if err != nil {
		return fmt.Errorf("months: %w", err)
	}
	of := func(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: currency} }
	for _, r := range rows {
		m := Month{From: r.From.UTC(), Invoiced: of(r.Invoiced), Received: of(r.Received), Wholesale: of(r.Wholesale), Margin: of(0), Billed: r.Billed}
		if r.Billed {
			m.Margin.Minor = r.Invoiced - r.Wholesale
		}
		b.Months = append(b.Months, m)
	}
	return nil
}
