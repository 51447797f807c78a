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
	Wholesale []Sum // invoiced to resellers by the last finished run
	Owed      []Sum // wholesale invoices that are open
	Overdue   []Sum
	Period    string // of the last finished run; empty: none
	Services  Services
	Months    []Month // the last twelve, the oldest first
	Unseen    int     // alerts nobody has looked at
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
}

// Month is what all shops invoiced and received in a calendar month, UTC, in one currency.
type Month struct {
	From     time.Time
	Invoiced billing.Money
	Received billing.Money
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
	return nil
}

func (b *Business) counts(ctx context.Context, tx *tenancy.CentralTx) error {
	err := tx.NewRaw(`SELECT coalesce((SELECT max(period) FROM wholesale_runs WHERE state = 'done' AND length(period) = 7), ''),
			(SELECT count(*) FROM alerts WHERE seen_at IS NULL),
			count(*) FILTER (WHERE observed = 'active'), count(*) FILTER (WHERE observed = 'suspended'), count(*) FILTER (WHERE problem <> ''),
			count(*) FILTER (WHERE began_at > ?)
		FROM services WHERE ended_at IS NULL`, tx.Now().AddDate(0, 0, -7)).
		Scan(ctx, &b.Period, &b.Unseen, &b.Services.Running, &b.Services.Suspended, &b.Services.Problems, &b.Services.Newest)
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
		From               time.Time
		Invoiced, Received int64
	}
	err := tx.NewRaw(`SELECT m."from", coalesce(sum(CASE e.kind WHEN 'invoiced' THEN abs(e.amount_minor) WHEN 'credited' THEN -abs(e.amount_minor) END), 0) AS invoiced,
			coalesce(sum(CASE e.kind WHEN 'paid' THEN abs(e.amount_minor) WHEN 'refunded' THEN -abs(e.amount_minor) END), 0) AS received
		FROM generate_series(?::timestamptz, ?::timestamptz, '1 month') AS m("from")
		LEFT JOIN revenue_events e ON e.at >= m."from" AND e.at < m."from" + interval '1 month' AND e.currency = ?
			AND NOT EXISTS (SELECT FROM tenants t WHERE t.id = e.tenant_id AND t.sandbox)
		GROUP BY m."from" ORDER BY m."from"`, first, now, currency).Scan(ctx, &rows)
	if err != nil {
		return fmt.Errorf("months: %w", err)
	}
	for _, r := range rows {
		b.Months = append(b.Months, Month{From: r.From.UTC(), Invoiced: billing.Money{Minor: r.Invoiced, Currency: currency}, Received: billing.Money{Minor: r.Received, Currency: currency}})
	}
	return nil
}
