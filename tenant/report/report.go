// Package report is how a reseller's business does: recurring revenue, what was
// invoiced, what it costs wholesale, what is left, what is owed and what wants a person
// today. It reads other slices' tables, each figure in one statement, and owns none.
package report

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/metering"
)

// Costs is what a tenant's running services cost the reseller a month at today's
// wholesale prices, by SKU; a SKU without a price is left out. cmd answers it from the
// platform's price book. It is asked outside any transaction.
type Costs interface {
	Monthly(ctx context.Context, tenant tenancy.ID, running map[string]int64) (map[string]billing.Money, error)
}

// Figures are a shop's in one currency.
type Figures struct {
	Currency         string
	MRR              billing.Money // of subscriptions that are paid for, net, a month
	ARR              billing.Money
	Cost             billing.Money // wholesale, a month, at today's prices; zero currency: unknown
	Margin           billing.Money // MRR less cost; zero currency: unknown
	MarginPercent    float64
	Subscriptions    int
	NewSubscriptions int // begun in 30 days
	Ended            int // in 30 days
	Churn            float64
	Outstanding      billing.Money // issued and neither paid nor credited
	Overdue          billing.Money
	OverdueInvoices  int
	Months           []Month // the last twelve, the oldest first
	Others           []Other // recurring revenue in other currencies

	running map[string]int64 // services, and what they have besides, by SKU
}

// Month is one calendar month in UTC.
type Month struct {
	From     time.Time
	Invoiced billing.Money // net, less credit notes
	Received billing.Money // gross, less refunds
}

// Other is recurring revenue in a currency that is not the shop's own.
type Other struct {
	MRR           billing.Money
	Subscriptions int
}

// Read returns the figures in the currency. Costs may be nil: then there is no margin;
// and so may closed.
func Read(ctx context.Context, db *tenancy.DB, currency string, costs Costs, closed *Closed) (f Figures, err error) {
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		f, err = Gather(ctx, tx, currency, closed)
		return err
	})
	if err != nil {
		return Figures{}, err
	}
	return f, f.Compare(ctx, db.Tenant().ID, costs)
}

// Gather returns the figures without cost and margin, in four statements.
func Gather(ctx context.Context, tx *tenancy.Tx, currency string, closed *Closed) (Figures, error) {
	f := Figures{Currency: currency}
	for _, read := range []func(context.Context, *tenancy.Tx) error{f.recurring, f.sums} {
		if err := read(ctx, tx); err != nil {
			return Figures{}, fmt.Errorf("report: %w", err)
		}
	}
	if err := f.months(ctx, tx, closed); err != nil {
		return Figures{}, fmt.Errorf("report: %w", err)
	}
	return f, nil
}

// recurring reads what subscriptions are worth a month. A cycle's price counts by its
// months, hours by what they came to in the month that was invoiced last; what is paid once is
// not recurring.
func (f *Figures) recurring(ctx context.Context, tx *tenancy.Tx) error {
	var rows []struct {
		Currency    string
		Cycle       billing.Cycle
		AmountMinor int64
		HoursMinor  int64
		N           int
		Begun       int
		Terms       string
	}
	month := tx.Now().AddDate(0, 0, -30)
	err := tx.NewRaw(`SELECT s.currency, s.cycle, sum(s.amount_minor) AS amount_minor, sum(`+metering.LastHours+`)::bigint AS hours_minor, count(*) AS n, count(*) FILTER (WHERE s.anchor_at > ?1) AS begun, `+invoicing.HeldTaxColumn("?0")+` AS terms
		FROM subscriptions s WHERE state IN ('active', 'past_due', 'suspended') AND (trial IS NULL OR trial->>'paid_at' IS NOT NULL) GROUP BY s.currency, s.cycle ORDER BY s.currency, s.cycle`, tx.Now().UTC(), month).Scan(ctx, &rows)
	if err != nil {
		return fmt.Errorf("recurring revenue: %w", err)
	}
	var held int64
	if len(rows) > 0 {
		if held, err = invoicing.HeldTaxOf(rows[0].Terms, tx.Now()); err != nil {
			return fmt.Errorf("recurring revenue: %w", err)
		}
	}
	f.MRR = billing.Money{Currency: f.Currency}
	others := map[string]*Other{}
	for _, r := range rows {
		worth := billing.Money{Currency: r.Currency}
		if months := r.Cycle.Months(); months > 0 {
			if worth, err = (billing.Money{Minor: r.AmountMinor + r.HoursMinor*int64(months), Currency: r.Currency}).Ratio(billing.PpmWhole, int64(months)*(billing.PpmWhole+held)); err != nil { // without the tax that prices hold
				return err
			}
		}
		if r.Currency != f.Currency {
			o := others[r.Currency]
			if o == nil {
				o = &Other{MRR: billing.Money{Currency: r.Currency}}
				others[r.Currency] = o
			}
			o.Subscriptions += r.N
			if o.MRR, err = o.MRR.Add(worth); err != nil {
				return err
			}
			continue
		}
		f.Subscriptions += r.N
		f.NewSubscriptions += r.Begun
		if f.MRR, err = f.MRR.Add(worth); err != nil {
			return err
		}
	}
	for _, r := range rows { // in the order of the rows, each currency once
		if o := others[r.Currency]; o != nil {
			f.Others = append(f.Others, *o)
			delete(others, r.Currency)
		}
	}
	if f.ARR, err = f.MRR.Times(12); err != nil {
		return err
	}
	return nil
}

// sums reads what is owed, what ended and what runs.
func (f *Figures) sums(ctx context.Context, tx *tenancy.Tx) error {
	f.Outstanding, f.Overdue = billing.Money{Currency: f.Currency}, billing.Money{Currency: f.Currency}
	now := tx.Now()
	var running []byte
	err := tx.NewRaw(`SELECT o.owed, o.late, o.n, e.n, coalesce(r.skus, '{}')
		FROM (SELECT coalesce(sum(total_minor - paid_minor - credited_minor), 0) AS owed,
				coalesce(sum(total_minor - paid_minor - credited_minor) FILTER (WHERE due_at < ?0), 0) AS late, count(*) FILTER (WHERE due_at < ?0) AS n
			FROM invoices WHERE kind = 'invoice' AND state = 'open' AND currency = ?1) o,
			(SELECT count(*) AS n FROM subscriptions WHERE state = 'ended' AND anchor_at IS NOT NULL AND ended_at > ?2 AND currency = ?1) e,
			(SELECT jsonb_object_agg(sku, n) AS skus FROM (SELECT x.sku, sum(x.n) AS n FROM services v CROSS JOIN LATERAL (SELECT v.sku, 1 AS n
					UNION ALL SELECT a.sku, a.n FROM jsonb_to_recordset(v.addons) AS a(sku text, n bigint, "to" text) WHERE a."to" IS NULL) x
				WHERE v.sku <> '' AND v.began_at IS NOT NULL AND v.ended_at IS NULL GROUP BY x.sku) s) r`,
		now, f.Currency, now.AddDate(0, 0, -30)).Scan(ctx, &f.Outstanding.Minor, &f.Overdue.Minor, &f.OverdueInvoices, &f.Ended, &running)
	if err != nil {
		return fmt.Errorf("sums: %w", err)
	}
	if before := f.Subscriptions - f.NewSubscriptions + f.Ended; before > 0 {
		f.Churn = 100 * float64(f.Ended) / float64(before)
	}
	return json.Unmarshal(running, &f.running)
}

// monthsShown is how far back the chart goes.
const monthsShown = 12

// months reads the last twelve, and where those that are over are remembered only the
// one that is not.
func (f *Figures) months(ctx context.Context, tx *tenancy.Tx, closed *Closed) error {
	now := tx.Now().UTC()
	this := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	k := closedKey{tx.TenantID(), f.Currency, this, now.Truncate(time.Hour)}
	before, known := closed.find(k)
	first := this
	if !known {
		first = this.AddDate(0, 1-monthsShown, 0)
	}
	var rows []struct {
		From               time.Time
		Invoiced, Received int64
	}
	err := tx.NewRaw(`SELECT m."from", coalesce(i.net, 0) AS invoiced, coalesce(p.got, 0) - coalesce(r.back, 0) AS received
		FROM generate_series(?::timestamptz, ?::timestamptz, '1 month') AS m("from")
		LEFT JOIN (SELECT date_trunc('month', issued_at, 'UTC') AS at, sum(CASE kind WHEN 'invoice' THEN net_minor ELSE -abs(net_minor) END) AS net
			FROM invoices WHERE kind <> 'top_up' AND state <> 'draft' AND currency = ? AND issued_at >= ? GROUP BY 1) i ON i.at = m."from"
		LEFT JOIN (SELECT date_trunc('month', settled_at, 'UTC') AS at, sum(amount_minor) AS got
			FROM payments WHERE state = 'succeeded' AND currency = ? AND settled_at >= ? GROUP BY 1) p ON p.at = m."from"
		LEFT JOIN (SELECT date_trunc('month', x.changed_at, 'UTC') AS at, sum(x.amount_minor) AS back
			FROM refunds x JOIN payments y ON y.id = x.payment_id WHERE x.state = 'succeeded' AND x.grant_id IS NULL AND y.currency = ? AND x.changed_at >= ? GROUP BY 1) r ON r.at = m."from"
		ORDER BY m."from"`, first, now, f.Currency, first, f.Currency, first, f.Currency, first).Scan(ctx, &rows)
	if err != nil {
		return fmt.Errorf("months: %w", err)
	}
	f.Months = before
	for _, r := range rows {
		f.Months = append(f.Months, Month{
			From: r.From.UTC(), Invoiced: billing.Money{Minor: r.Invoiced, Currency: f.Currency}, Received: billing.Money{Minor: r.Received, Currency: f.Currency},
		})
	}
	if !known {
		closed.keep(k, f.Months[:len(f.Months)-1], now)
	}
	return nil
}

// Compare sets recurring revenue against what the running services cost, where both
// are in one currency and every running SKU has a price; otherwise, and without costs,
// the margin stays unknown.
func (f *Figures) Compare(ctx context.Context, tenant tenancy.ID, costs Costs) error {
	if costs == nil {
		return nil
	}
	each, err := costs.Monthly(ctx, tenant, f.running)
	if err != nil {
		return fmt.Errorf("report: costs: %w", err)
	}
	total := billing.Money{Currency: f.Currency}
	for sku := range f.running {
		cost, ok := each[sku]
		if !ok || cost.Currency != f.Currency {
			return nil
		}
		if total, err = total.Add(cost); err != nil {
			return fmt.Errorf("report: costs: %w", err)
		}
	}
	f.Cost = total
	if f.Margin, err = f.MRR.Sub(total); err != nil {
		return fmt.Errorf("report: margin: %w", err)
	}
	if f.MRR.Minor > 0 {
		f.MarginPercent = 100 * float64(f.Margin.Minor) / float64(f.MRR.Minor)
	}
	return nil
}

// Wanting is what wants a person of the reseller's today.
type Wanting struct {
	ServicesFailed   int
	ServicesByHand   int // deliveries, changes and ends that the team has to make itself
	TransfersWaiting int // announced by customers and not confirmed
	DisputesOpen     int // payments that a customer's bank asks evidence for
	BookingsOpen     int // money that came by bank and nobody has said what for
	RefundsWaiting   int // payments of which a part is to be sent back by hand
	PaymentsFailing  int // invoices whose collection failed at least once
	GatewaysOn       int
	Sellable         int  // public plans with a price
	Ordered          bool // something was, ever
}

// Wants reads it in one statement.
func Wants(ctx context.Context, tx *tenancy.Tx) (w Wanting, err error) {
	err = tx.NewRaw(`SELECT (SELECT count(*) FROM services WHERE problem <> '' AND desired <> 'terminated'),
		(SELECT count(*) FROM services WHERE sku = '' AND operation <> ''),
		(SELECT count(*) FROM payments WHERE gateway = 'transfer' AND state IN ('created', 'requires_action', 'processing')),
		(SELECT count(*) FROM payments WHERE disputes @> '[{"state": "needs_response"}]'),
		(SELECT count(*) FROM bank_bookings WHERE state = 'open' AND amount_minor > 0),
		(SELECT count(DISTINCT p.id) FROM refunds r JOIN payments p ON p.id = r.payment_id WHERE p.gateway = 'transfer' AND r.state NOT IN ('succeeded', 'failed')),
		(SELECT count(*) FROM invoices WHERE state = 'open' AND tries > 0),
		(SELECT count(*) FROM gateways WHERE state = 'on'),
		(SELECT count(DISTINCT pl.id) FROM plans pl JOIN products p ON p.id = pl.product_id JOIN prices pr ON pr.plan_id = pl.id
			WHERE pl.visibility = 'public' AND p.visibility = 'public'),
		EXISTS (SELECT FROM orders)`).Scan(ctx, &w.ServicesFailed, &w.ServicesByHand, &w.TransfersWaiting, &w.DisputesOpen, &w.BookingsOpen, &w.RefundsWaiting, &w.PaymentsFailing, &w.GatewaysOn, &w.Sellable, &w.Ordered)
	if err != nil {
		return Wanting{}, fmt.Errorf("report: %w", err)
	}
	return w, nil
}
