package recognition

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/ledger"
	"github.com/ezscale/ezscale/tenant/settings"
)

// adopted is the shop setting that says since when revenue is recognised by time.
const adopted = "recognition"

type adoption struct {
	Since time.Time `json:"since"`
}

// adopt defers what is left of the lines that were invoiced before revenue was recognised
// by time, once in a shop's life. No document changes; what was counted as earned before
// its time goes back to deferred revenue.
func adopt(ctx context.Context, db *tenancy.DB) error {
	for done := false; !done; {
		err := db.Update(ctx, func(tx *tenancy.Tx) error {
			var known adoption
			is, err := settings.Named(ctx, tx, adopted, &known)
			if done = is; err != nil || is {
				return err
			}
			n, err := adoptSome(ctx, tx)
			if done = n < linesAtOnce; err != nil || !done {
				return err
			}
			return settings.Put(ctx, tx, adopted, adoption{tx.Now()})
		})
		if err != nil {
			return fmt.Errorf("defer what was invoiced before: %w", err)
		}
	}
	return nil
}

// old is a line of an invoice whose time is not over, as it is kept.
type old struct {
	InvoiceID      uuid.UUID  `json:"invoice_id"`
	Position       int        `json:"position"`
	AccountID      uuid.UUID  `json:"account_id"`
	SubscriptionID *uuid.UUID `json:"subscription_id"`
	Currency       string     `json:"currency"`
	NetMinor       int64      `json:"net_minor"`
	DoneTo         time.Time  `json:"done_to"`
	From           *time.Time `json:"period_from"`
	To             *time.Time `json:"period_to"`
	Held           bool       `json:"held"`

	TotalMinor, CreditedMinor int64     `json:"-"`
	PeriodFrom, PeriodTo      time.Time `json:"-"`
	At                        time.Time `json:"-"` // what was earned by then is
}

// oldLines are lines of issued invoices that are not over and were never deferred, with
// the time they are for: their own, that of the others of their subscription, or the
// first period of an order. Of what awaits its payment there is none yet.
const oldLines = `SELECT l.invoice_id, l.position, i.account_id, l.subscription_id, i.currency, l.net_minor, i.total_minor, i.credited_minor,
		t.period_from, t.period_to, coalesce(s.state = 'paused', false) AS held, coalesce(CASE WHEN s.state = 'paused' THEN (s.pause->>'at')::timestamptz END, ?0) AS at
	FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id LEFT JOIN subscriptions s ON s.id = l.subscription_id
	CROSS JOIN LATERAL (SELECT coalesce(l.period_from, o.period_from, f.period_from) AS period_from, coalesce(l.period_to, o.period_to, f.period_to) AS period_to FROM (SELECT) x
		LEFT JOIN LATERAL (SELECT o.period_from, o.period_to FROM invoice_lines o WHERE l.period_to IS NULL AND o.invoice_id = l.invoice_id AND o.subscription_id = l.subscription_id
			AND o.meter_id IS NULL AND o.period_to IS NOT NULL ORDER BY o.period_to DESC LIMIT 1) o ON true
		LEFT JOIN LATERAL (SELECT s.period_from, s.period_to WHERE i.key LIKE 'order/%' AND s.anchor_at = s.period_from AND s.anchor_at BETWEEN i.paid_at AND i.paid_at + interval '1 day') f ON true) t
	WHERE i.kind = 'invoice' AND i.state <> 'draft' AND i.credited_minor < i.total_minor AND l.meter_id IS NULL AND l.net_minor <> 0 AND s.state IS DISTINCT FROM 'ended'
		AND (t.period_to > ?0 OR t.period_to IS NULL AND s.state = 'pending' AND i.key LIKE 'order/%' AND s.cycle NOT IN ('one_time', 'hourly'))
		AND NOT EXISTS (SELECT FROM recognitions r WHERE r.invoice_id = l.invoice_id AND r.position = l.position)
	ORDER BY l.invoice_id, l.position LIMIT ?1 FOR UPDATE OF i`

func adoptSome(ctx context.Context, tx *tenancy.Tx) (int, error) {
	var rows []old
	if err := tx.NewRaw(oldLines, tx.Now(), linesAtOnce).Scan(ctx, &rows); err != nil {
		return 0, fmt.Errorf("read lines: %w", err)
	}
	if len(rows) == 0 {
		return 0, nil
	}
	events := make([]ledger.Event, len(rows))
	for i := range rows {
		left, err := rows[i].rest()
		if err != nil {
			return 0, err
		}
		events[i] = ledger.Event{
			Key: "deferred/" + rows[i].InvoiceID.String() + "/" + strconv.Itoa(rows[i].Position), AccountID: rows[i].AccountID,
			SourceKind: "invoice", SourceID: rows[i].InvoiceID, Moves: billing.PostDeferred(left),
		}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return 0, err
	}
	_, err = tx.NewRaw(`INSERT INTO recognitions (invoice_id, position, account_id, subscription_id, currency, net_minor, done_minor, done_to, period_from, period_to, held)
		SELECT r.invoice_id, r.position, r.account_id, r.subscription_id, r.currency, r.net_minor, 0, r.done_to, r.period_from, r.period_to, r.held
		FROM jsonb_to_recordset(?::jsonb) AS r(invoice_id uuid, position int, account_id uuid, subscription_id uuid, currency text, net_minor bigint, done_to timestamptz,
			period_from timestamptz, period_to timestamptz, held boolean)`, string(text)).Exec(ctx)
	if err != nil {
		return 0, fmt.Errorf("keep lines: %w", err)
	}
	return len(rows), ledger.Post(ctx, tx, events...)
}

// rest works out what is left of a line: its share of the time that is left, without its
// share of what was credited.
func (o *old) rest() (billing.Money, error) {
	net := billing.Money{Minor: o.NetMinor, Currency: o.Currency}
	off, err := net.Ratio(o.CreditedMinor, o.TotalMinor)
	if err != nil {
		return net, err
	}
	net.Minor -= off.Minor
	o.DoneTo = o.At
	if !o.PeriodTo.IsZero() {
		if net, err = billing.Rest(net, billing.Period{From: o.PeriodFrom, To: o.PeriodTo}, o.At); err != nil {
			return net, err
		}
		if o.PeriodFrom.Before(o.At) {
			o.PeriodFrom = o.At
		}
		o.DoneTo, o.From, o.To = o.PeriodFrom, &o.PeriodFrom, &o.PeriodTo
	}
	o.NetMinor = net.Minor
	return net, nil
}
