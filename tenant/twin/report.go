package twin

import (
	"context"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// Month is what came of one month, UTC; the first and the last as far as they were lived.
type Month struct {
	From, To  time.Time
	Invoices  int           // issued
	Invoiced  billing.Money // net, less what was credited
	Used      billing.Money // of it, for what was used
	Received  billing.Money // with tax
	Refunded  billing.Money // with tax
	Declined  int           // charges that were refused
	Suspended int           // services turned off for want of payment
	Ended     int           // subscriptions
	Unpaid    int           // of them, for want of payment
	Wholesale billing.Money // what the platform asks for it; zero currency: not known
	Margin    billing.Money // Invoiced less Wholesale
}

// Report is what came of a twin's time.
type Report struct {
	Currency string
	Months   []Month
	Sum      Month
	Running  int           // subscriptions at its end
	Open     billing.Money // owed to the shop at its end
	Others   int           // invoices of other currencies, which are in no figure
}

// Read works a report out of the twin's own rows, from the beginning of its time to its
// clock.
func Read(ctx context.Context, db *tenancy.DB, from time.Time) (r Report, err error) {
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		r, err = gather(ctx, tx, db.Tenant().Currency, from)
		return err
	})
	return r, err
}

type monthRow struct {
	Since                                        time.Time
	Invoices, Declined, Suspended, Ended, Unpaid int
	Invoiced, Credited, Received, Refunded, Used int64
}

func gather(ctx context.Context, tx *tenancy.Tx, currency string, from time.Time) (Report, error) {
	r := Report{Currency: currency}
	var rows []monthRow
	err := tx.NewRaw(`WITH month AS (SELECT generate_series(date_trunc('month', ?0::timestamptz AT TIME ZONE 'UTC'), ?1::timestamptz AT TIME ZONE 'UTC', interval '1 month') AS since),
		span AS (SELECT since, greatest(since AT TIME ZONE 'UTC', ?0) AS a, least((since + interval '1 month') AT TIME ZONE 'UTC', ?1::timestamptz + interval '1 microsecond') AS b FROM month),
		inv AS (SELECT date_trunc('month', issued_at AT TIME ZONE 'UTC') AS m, count(*) FILTER (WHERE kind = 'invoice') AS n,
				coalesce(sum(net_minor) FILTER (WHERE kind = 'invoice'), 0) AS net, coalesce(sum(net_minor) FILTER (WHERE kind = 'credit_note'), 0) AS credited
			FROM invoices WHERE issued_at >= ?0 AND currency = ?2 AND state <> 'draft' GROUP BY 1),
		used AS (SELECT date_trunc('month', i.issued_at AT TIME ZONE 'UTC') AS m, sum(l.net_minor) AS net FROM invoices i JOIN invoice_lines l ON l.invoice_id = i.id
			WHERE i.issued_at >= ?0 AND i.currency = ?2 AND i.kind = 'invoice' AND i.state <> 'draft' AND l.meter_id IS NOT NULL GROUP BY 1),
		pay AS (SELECT date_trunc('month', settled_at AT TIME ZONE 'UTC') AS m, coalesce(sum(amount_minor) FILTER (WHERE state = 'succeeded'), 0) AS received, count(*) FILTER (WHERE state = 'failed') AS declined
			FROM payments WHERE settled_at >= ?0 AND currency = ?2 GROUP BY 1),
		back AS (SELECT date_trunc('month', f.changed_at AT TIME ZONE 'UTC') AS m, sum(f.amount_minor) AS refunded FROM refunds f JOIN payments p ON p.id = f.payment_id
			WHERE f.changed_at >= ?0 AND f.state = 'succeeded' AND p.currency = ?2 GROUP BY 1),
		off AS (SELECT date_trunc('month', at AT TIME ZONE 'UTC') AS m, count(*) AS n FROM timeline WHERE kind = 'subscription.suspended' AND at >= ?0 GROUP BY 1),
		gone AS (SELECT date_trunc('month', ended_at AT TIME ZONE 'UTC') AS m, count(*) AS n, count(*) FILTER (WHERE cancel_at IS NULL) AS unpaid FROM subscriptions WHERE ended_at >= ?0 GROUP BY 1)
		SELECT s.since AT TIME ZONE 'UTC' AS since, coalesce(inv.n, 0) AS invoices, coalesce(inv.net, 0) AS invoiced, coalesce(abs(inv.credited), 0) AS credited, coalesce(pay.received, 0) AS received, coalesce(used.net, 0) AS used,
			coalesce(pay.declined, 0) AS declined, coalesce(back.refunded, 0) AS refunded, coalesce(off.n, 0) AS suspended, coalesce(gone.n, 0) AS ended, coalesce(gone.unpaid, 0) AS unpaid
		FROM span s LEFT JOIN inv ON inv.m = s.since LEFT JOIN used ON used.m = s.since LEFT JOIN pay ON pay.m = s.since LEFT JOIN back ON back.m = s.since LEFT JOIN off ON off.m = s.since LEFT JOIN gone ON gone.m = s.since
		ORDER BY s.since`, from, tx.Now(), currency).Scan(ctx, &rows)
	if err != nil {
		return r, fmt.Errorf("read a twin's months: %w", err)
	}
	money := func(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: currency} }
	r.Sum = Month{From: from, To: tx.Now(), Invoiced: money(0), Used: money(0), Received: money(0), Refunded: money(0)}
	for _, x := range rows {
		m := Month{
			From: x.Since.UTC(), To: x.Since.UTC().AddDate(0, 1, 0), Invoices: x.Invoices, Invoiced: money(x.Invoiced - x.Credited), Used: money(x.Used), Received: money(x.Received), Refunded: money(x.Refunded),
			Declined: x.Declined, Suspended: x.Suspended, Ended: x.Ended, Unpaid: x.Unpaid,
		}
		if m.From.Before(from) {
			m.From = from
		}
		if m.To.After(tx.Now()) {
			m.To = tx.Now()
		}
		r.Months = append(r.Months, m)
		r.Sum.add(m)
	}
	var end struct {
		Running, Others int
		Open            int64
	}
	err = tx.NewRaw(`SELECT (SELECT count(*) FROM subscriptions WHERE state IN ('active', 'past_due', 'suspended')) AS running,
		(SELECT count(*) FROM invoices WHERE issued_at >= ?0 AND currency <> ?1) AS others,
		(SELECT coalesce(sum(total_minor - paid_minor - credited_minor), 0) FROM invoices WHERE kind = 'invoice' AND state = 'open' AND currency = ?1) AS open`, from, currency).Scan(ctx, &end)
	if err != nil {
		return r, fmt.Errorf("read a twin's end: %w", err)
	}
	r.Running, r.Others, r.Open = end.Running, end.Others, money(end.Open)
	return r, nil
}

func (m *Month) add(x Month) {
	m.Invoices, m.Declined, m.Suspended, m.Ended, m.Unpaid = m.Invoices+x.Invoices, m.Declined+x.Declined, m.Suspended+x.Suspended, m.Ended+x.Ended, m.Unpaid+x.Unpaid
	m.Invoiced.Minor += x.Invoiced.Minor
	m.Used.Minor += x.Used.Minor
	m.Received.Minor += x.Received.Minor
	m.Refunded.Minor += x.Refunded.Minor
}

// Charge sets what a whole calendar month costs wholesale, as far as the month was lived:
// in proportion to its time. Of another currency than the shop's it is not known.
func (r *Report) Charge(month time.Time, whole billing.Money) error {
	for i := range r.Months {
		m := &r.Months[i]
		first := time.Date(m.From.Year(), m.From.Month(), 1, 0, 0, 0, 0, time.UTC)
		if !first.Equal(month.UTC()) || whole.Currency != r.Currency {
			continue
		}
		part, err := whole.Ratio(m.To.Sub(m.From).Microseconds(), first.AddDate(0, 1, 0).Sub(first).Microseconds())
		if err != nil {
			return fmt.Errorf("a part of a month's wholesale: %w", err)
		}
		m.Wholesale = part
		if m.Margin, err = m.Invoiced.Sub(part); err != nil {
			return err
		}
		r.Sum.Wholesale = billing.Money{Minor: r.Sum.Wholesale.Minor + part.Minor, Currency: r.Currency}
		if r.Sum.Margin, err = r.Sum.Invoiced.Sub(r.Sum.Wholesale); err != nil {
			return err
		}
	}
	return nil
}
