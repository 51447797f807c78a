package renewal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// batch is how many subscriptions or invoices one transaction works on: enough that
// commits do not count, few enough that a checkout waits for a number only briefly.
const batch = 25

// again is how long what cannot be worked on is left alone.
const again = time.Hour

// Renew does what is due of subscriptions: it makes the invoices of the next periods,
// announces a year's, and ends what was cancelled. It may be interrupted anywhere and
// called again. One that fails does not keep others back: it is looked at again in an
// hour, and staff are told.
func (d *Desk) Renew(ctx context.Context, db *tenancy.DB, _ time.Time) error {
	return d.pass(ctx, db, `SELECT s.id FROM subscriptions s WHERE s.renews_at <= ? ORDER BY s.renews_at, s.id LIMIT ?`, d.renewOne, d.postpone)
}

type workOn func(ctx context.Context, tx *tenancy.Tx, p Policy, id uuid.UUID) error

// pass works on what a query finds, in batches, until nothing is due.
func (d *Desk) pass(ctx context.Context, db *tenancy.DB, query string, do workOn, postpone func(context.Context, *tenancy.Tx, uuid.UUID, error) error) error {
	for {
		n, err := d.some(ctx, db, query, batch, do)
		if err != nil && ctx.Err() == nil {
			n, err = d.singly(ctx, db, query, do, postpone)
		}
		if err != nil {
			return err
		}
		if n < batch {
			return db.Update(ctx, func(tx *tenancy.Tx) error { return settle(ctx, tx) })
		}
	}
}

// some works on at most limit in one transaction and says on how many.
func (d *Desk) some(ctx context.Context, db *tenancy.DB, query string, limit int, do workOn) (n int, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		var ids []uuid.UUID
		if err := tx.NewRaw(query, tx.Now(), limit).Scan(ctx, &ids); err != nil {
			return fmt.Errorf("look for what is due: %w", err)
		}
		n = len(ids)
		if n == 0 {
			return nil
		}
		p, err := PolicyOf(ctx, tx)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := do(ctx, tx, p, id); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// singly works on one after the other, each in a transaction of its own, and postpones
// what fails.
func (d *Desk) singly(ctx context.Context, db *tenancy.DB, query string, do workOn, postpone func(context.Context, *tenancy.Tx, uuid.UUID, error) error) (int, error) {
	var ids []uuid.UUID
	err := db.View(ctx, func(tx *tenancy.Tx) error { return tx.NewRaw(query, tx.Now(), batch).Scan(ctx, &ids) })
	if err != nil {
		return 0, fmt.Errorf("look for what is due: %w", err)
	}
	for _, id := range ids {
		failed := db.Update(ctx, func(tx *tenancy.Tx) error {
			p, err := PolicyOf(ctx, tx)
			if err != nil {
				return err
			}
			return do(ctx, tx, p, id)
		})
		if failed == nil {
			continue
		}
		if ctx.Err() != nil {
			return 0, failed
		}
		if err := db.Update(ctx, func(tx *tenancy.Tx) error { return postpone(ctx, tx, id, failed) }); err != nil {
			return 0, errors.Join(failed, err)
		}
	}
	return len(ids), nil
}

// postpone leaves a subscription alone for a while and tells staff.
func (d *Desk) postpone(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, why error) error {
	if _, err := tx.NewRaw("UPDATE subscriptions SET renews_at = ?, changed_at = ? WHERE id = ? AND renews_at <= ?", tx.Now().Add(again), tx.Now(), id, tx.Now()).Exec(ctx); err != nil {
		return fmt.Errorf("postpone subscription %s: %w", id, err)
	}
	return alert(ctx, tx, "renewal.failed", "subscription/"+id.String(), "A subscription could not be renewed.", why)
}

func alert(ctx context.Context, tx *tenancy.Tx, kind, subject, text string, why error) error {
	detail := map[string]any{"subject": subject}
	if why != nil {
		detail["error"] = why.Error()
	}
	_, err := tx.RaiseAlert(ctx, tenancy.Alert{Key: kind + "/" + subject + "/" + tx.Now().UTC().Format("2006-01-02"), Kind: kind, Text: text, Detail: detail})
	return err
}

func (d *Desk) renewOne(ctx context.Context, tx *tenancy.Tx, p Policy, id uuid.UUID) error {
	s, err := lock(ctx, tx, id)
	if err != nil {
		return err
	}
	now := tx.Now()
	if s.RenewsAt.IsZero() || s.RenewsAt.After(now) {
		return nil // somebody was faster
	}
	at := p.look(s, now)
	switch {
	case at.IsZero():
		s.RenewsAt = at
		return save(ctx, tx, s)
	case !s.CancelAt.IsZero() && !s.CancelAt.After(now):
		return d.end(ctx, tx, s, cancelled)
	case at.After(now): // not yet; where a year's invoice is announced, it is due
		if err := d.remind(ctx, tx, p, s); err != nil {
			return err
		}
		s.RenewsAt = at
		return save(ctx, tx, s)
	}
	return d.invoice(ctx, tx, p, s)
}

// remind announces a year's invoice, once a period.
func (d *Desk) remind(ctx context.Context, tx *tenancy.Tx, p Policy, s Subscription) error {
	next := s.Next()
	issue := next.From.Add(-p.lead(next))
	if at := p.remindAt(s, issue); at.IsZero() || tx.Now().Before(at) || !s.CancelAt.IsZero() {
		return nil
	}
	return d.letter(ctx, tx, s, letterUpcoming(s, next))
}

// invoice makes the invoice of the next period, once, and has it collected from the day
// it is due.
func (d *Desk) invoice(ctx context.Context, tx *tenancy.Tx, p Policy, s Subscription) error {
	next := s.Next()
	due := next.From
	if due.Before(tx.Now()) {
		due = tx.Now()
	}
	draft := invoicing.Draft{AccountID: s.AccountID, Currency: s.Amount.Currency, Lines: s.lines(next), DueAt: due}
	inv, err := issue(ctx, tx, periodKey(s, next), draft)
	if err != nil {
		return fmt.Errorf("renew %s: %w", s.ID, err)
	}
	s.Renewals++
	s.RenewsAt = p.look(s, tx.Now())
	if err := save(ctx, tx, s); err != nil {
		return err
	}
	if inv.State != invoicing.Open {
		return nil
	}
	b := bill{
		InvoiceID: inv.ID, AccountID: s.AccountID, SubscriptionID: s.ID, Number: inv.Number, State: string(inv.State), Key: inv.Key, Currency: inv.Currency,
		PeriodFrom: next.From, PeriodTo: next.To, DueAt: inv.DueAt, IssuedAt: inv.IssuedAt, DueMinor: inv.Due().Minor, Tries: inv.Tries,
	}
	return d.chase(ctx, tx, p, s, b)
}

// periodKey is the natural key of the invoice of a period.
func periodKey(s Subscription, p billing.Period) string {
	return "renewal/" + s.ID.String() + "/" + p.From.UTC().Format(time.RFC3339)
}

// issue makes the invoice of a key, or finds the one that was made. One that was
// withdrawn (see withdraw) is followed by another.
func issue(ctx context.Context, tx *tenancy.Tx, key string, d invoicing.Draft) (invoicing.Invoice, error) {
	for n := 1; ; n++ {
		d.Key = key
		if n > 1 {
			d.Key = fmt.Sprintf("%s/%d", key, n)
		}
		inv, err := invoicing.Issue(ctx, tx, d)
		if err != nil || inv.State != invoicing.Void {
			return inv, err
		}
	}
}

// lines are what a period costs: what was sold, item by item, as long as the items add
// up to the amount.
func (s Subscription) lines(p billing.Period) []billing.Line {
	name := s.Label
	if s.ServiceName != "" && s.ServiceName != s.Label {
		name += " (" + s.ServiceName + ")"
	}
	one := func(kind, text string, minor int64) billing.Line {
		unit := billing.Money{Minor: minor, Currency: s.Amount.Currency}
		return billing.Line{Kind: kind, SubscriptionID: s.ID.String(), Description: text, Period: p, Quantity: 1, Unit: unit}
	}
	var sum int64
	var lines []billing.Line
	for _, it := range s.Items {
		sum += it.AmountMinor
		text := name
		if it.Kind != "plan" {
			text = s.Label + ": " + it.Label
		}
		l := one(it.Kind, text, it.AmountMinor)
		if it.Quantity > 1 && it.AmountMinor%it.Quantity == 0 {
			l.Quantity, l.Unit.Minor = it.Quantity, it.AmountMinor/it.Quantity
		}
		lines = append(lines, l)
	}
	if len(lines) == 0 || sum != s.Amount.Minor {
		return []billing.Line{one("plan", name, s.Amount.Minor)}
	}
	return lines
}
