package renewal

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
)

// retryGap is the least time between two tries, when an outage moved one.
const retryGap = 20 * time.Hour

// Collect does what is due of unpaid renewals: it has the saved method charged, writes
// to customers, turns services off and ends subscriptions, as far as each invoice has
// come. It may be interrupted anywhere and called again.
func (d *Desk) Collect(ctx context.Context, db *tenancy.DB, _ time.Time) error {
	return d.pass(ctx, db, `SELECT i.id FROM invoices i WHERE i.next_try_at <= ? ORDER BY i.next_try_at, i.id LIMIT ?`, d.collectOne,
		func(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, why error) error {
			if err := invoicing.ScheduleTry(ctx, tx, id, tx.Now().Add(again)); err != nil {
				return err
			}
			return alert(ctx, tx, "collection.failed", "invoice/"+id.String(), "An invoice could not be collected.", why)
		})
}

func (d *Desk) collectOne(ctx context.Context, tx *tenancy.Tx, p Policy, id uuid.UUID) error {
	s, b, ok, err := take(ctx, tx, id)
	if err != nil {
		return err
	}
	if !ok { // of no subscription, or over
		_, err := tx.NewRaw("UPDATE invoices SET next_try_at = NULL WHERE id = ?", id).Exec(ctx)
		return err
	}
	if b.NextTryAt.IsZero() || b.NextTryAt.After(tx.Now()) {
		return nil
	}
	return d.chase(ctx, tx, p, s, b)
}

// take locks an unpaid renewal with its subscription. It reports false for any other
// invoice, and for one that is not open.
func take(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (s Subscription, b bill, ok bool, err error) {
	bills, err := billsOf(ctx, tx, "i.id = ? AND i.key LIKE 'renewal/%'", id)
	if err != nil || len(bills) != 1 {
		return s, b, false, err
	}
	if s, err = lock(ctx, tx, bills[0].SubscriptionID); err != nil {
		return s, b, false, err
	}
	if _, err = tx.NewRaw("SELECT id FROM invoices WHERE id = ? FOR UPDATE", id).Exec(ctx); err != nil {
		return s, b, false, fmt.Errorf("lock invoice %s: %w", id, err)
	}
	if bills, err = billsOf(ctx, tx, "i.id = ?", id); err != nil {
		return s, b, false, err
	}
	return s, bills[0], bills[0].State == string(invoicing.Open), nil
}

// chase does what the time asks for of an open invoice, and says when it is looked at
// next. Both are locked or were made just now.
func (d *Desk) chase(ctx context.Context, tx *tenancy.Tx, p Policy, s Subscription, b bill) error {
	now := tx.Now()
	if now.Before(b.DueAt) {
		return invoicing.ScheduleTry(ctx, tx, b.InvoiceID, b.DueAt)
	}
	card, err := hasMethod(ctx, tx, s)
	if err != nil {
		return err
	}
	if !card {
		if err := d.askToPay(ctx, tx, p, s, b); err != nil {
			return err
		}
		if err := pastDue(ctx, tx, &s, b); err != nil {
			return err
		}
	}
	trying, next := false, time.Time{}
	if at, more := p.Dunning.Next(b.DueAt, b.Tries); card && more {
		trying, next = true, at
		if !now.Before(at) {
			// The gateway's answer moves the invoice on; if none comes, it is looked at again.
			if err := charge(ctx, tx, b); err != nil {
				return err
			}
			next = now.Add(day)
		}
	}
	if s.State == Ended {
		return d.chaseDebt(ctx, tx, p, b, next)
	}
	return d.press(ctx, tx, p, s, b, trying, next)
}

// press turns a service off and ends it when its time has come. While tries are
// outstanding because a gateway was down, and where the invoice never reached the
// customer, nothing is turned off.
func (d *Desk) press(ctx context.Context, tx *tenancy.Tx, p Policy, s Subscription, b bill, trying bool, next time.Time) error {
	now := tx.Now()
	if s.State != Suspended {
		at := b.DueAt.Add(p.Dunning.SuspendAfter)
		if now.Before(at) {
			return invoicing.ScheduleTry(ctx, tx, b.InvoiceID, sooner(next, nextLetter(b, now), at))
		}
		told, err := delivered(ctx, tx, b.InvoiceID)
		if err != nil {
			return err
		}
		if trying || !told {
			return invoicing.ScheduleTry(ctx, tx, b.InvoiceID, sooner(next, now.Add(day)))
		}
		if err := d.suspend(ctx, tx, p, s, b); err != nil {
			return err
		}
		return invoicing.ScheduleTry(ctx, tx, b.InvoiceID, sooner(next, endAt(p, b, now)))
	}
	since, err := suspendedSince(ctx, tx, s, b)
	if err != nil {
		return err
	}
	at := endAt(p, b, since)
	if now.Before(at) {
		return invoicing.ScheduleTry(ctx, tx, b.InvoiceID, sooner(next, at))
	}
	return d.end(ctx, tx, s, unpaid)
}

// chaseDebt collects what is owed by a subscription that ended, and gives up after the
// same time.
func (d *Desk) chaseDebt(ctx context.Context, tx *tenancy.Tx, p Policy, b bill, next time.Time) error {
	at := b.DueAt.Add(p.Dunning.EndAfter)
	if tx.Now().Before(at) {
		return invoicing.ScheduleTry(ctx, tx, b.InvoiceID, sooner(next, nextLetter(b, tx.Now()), at))
	}
	return invoicing.GiveUp(ctx, tx, b.InvoiceID)
}

// endAt is when a subscription that was suspended at a time ends: a suspension that came
// late leaves as much time as one in time.
func endAt(p Policy, b bill, suspended time.Time) time.Time {
	at, least := b.DueAt.Add(p.Dunning.EndAfter), suspended.Add(p.Dunning.EndAfter-p.Dunning.SuspendAfter)
	if at.Before(least) {
		return least
	}
	return at
}

// sooner is the earliest time that is set.
func sooner(times ...time.Time) (first time.Time) {
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// charge has the saved method charged after the commit, once a try.
func charge(ctx context.Context, tx *tenancy.Tx, b bill) error {
	_, err := tx.Enqueue(ctx, payment.ChargeJob{InvoiceID: b.InvoiceID, Try: b.Tries}, tenancy.JobOptions{Key: fmt.Sprintf("charge/%s/%d", b.InvoiceID, b.Tries)})
	return err
}

// TryFailed counts a failed try (job payment.failed), once: the next one is put on the
// schedule, the customer is written to, and after the last one the service is turned
// off. An invoice that is no renewal is left alone.
func (d *Desk) TryFailed(ctx context.Context, db *tenancy.DB, f payment.FailedTry) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		s, b, ok, err := take(ctx, tx, f.InvoiceID)
		if err != nil || !ok || b.Tries != f.Try {
			return err
		}
		p, err := PolicyOf(ctx, tx)
		if err != nil {
			return err
		}
		if err := d.tryFailed(ctx, tx, p, s, b, f); err != nil {
			return err
		}
		return settle(ctx, tx)
	})
}

func (d *Desk) tryFailed(ctx context.Context, tx *tenancy.Tx, p Policy, s Subscription, b bill, f payment.FailedTry) error {
	if f.Code == payment.NoMethod { // no try: whoever has no method is written to instead
		return d.chase(ctx, tx, p, s, b)
	}
	now := tx.Now()
	b.Tries++
	next, more := p.Dunning.Next(b.DueAt, b.Tries)
	if least := now.Add(retryGap); more && next.Before(least) {
		next = least
	}
	if err := invoicing.MarkFailedTry(ctx, tx, b.InvoiceID, next); err != nil {
		return err
	}
	if err := pastDue(ctx, tx, &s, b); err != nil {
		return err
	}
	if f.Code != payment.ByTransfer { // money on its way has not failed
		if err := d.tellFailed(ctx, tx, s, b, f, next); err != nil {
			return err
		}
	}
	if s.State == Ended {
		return d.chaseDebt(ctx, tx, p, b, next)
	}
	return d.press(ctx, tx, p, s, b, more, next)
}

// hasMethod reports whether there is something to charge.
func hasMethod(ctx context.Context, tx *tenancy.Tx, s Subscription) (has bool, err error) {
	err = tx.NewRaw(`SELECT EXISTS (SELECT FROM accounts a JOIN payment_methods m ON m.id = a.default_method_id AND m.account_id = a.id
		WHERE a.id = ? AND m.state <> 'removed')`, s.AccountID).Scan(ctx, &has)
	if err != nil {
		return false, fmt.Errorf("look for a method: %w", err)
	}
	return has, nil
}

// delivered reports whether a letter about the invoice reached a mail server.
func delivered(ctx context.Context, tx *tenancy.Tx, invoice uuid.UUID) (is bool, err error) {
	err = tx.NewRaw("SELECT EXISTS (SELECT FROM mails WHERE key LIKE ? AND state = 'sent')", "invoice/"+invoice.String()+"/%").Scan(ctx, &is)
	if err != nil {
		return false, fmt.Errorf("look for the letter: %w", err)
	}
	return is, nil
}

func suspendedSince(ctx context.Context, tx *tenancy.Tx, s Subscription, b bill) (at time.Time, err error) {
	err = tx.NewRaw("SELECT at FROM timeline WHERE key = ?", "subscription/"+s.ID.String()+"/suspended/"+b.InvoiceID.String()).Scan(ctx, &at)
	if tenancy.IsNoRows(err) {
		return b.DueAt, nil // it was suspended for another invoice, before this one was due
	}
	if err != nil {
		return at, fmt.Errorf("read since when it is suspended: %w", err)
	}
	return at, nil
}

func (d *Desk) suspend(ctx context.Context, tx *tenancy.Tx, p Policy, s Subscription, b bill) error {
	s.State = Suspended
	s.RenewsAt = p.look(s, tx.Now())
	if err := save(ctx, tx, s); err != nil {
		return err
	}
	if s.ServiceID != uuid.Nil {
		if err := hosting.Suspend(ctx, tx, s.ServiceID, hosting.HoldBilling, "Invoice "+b.Number+" is not paid."); err != nil {
			return err
		}
	}
	if err := tell(ctx, tx, s, "suspended/"+b.InvoiceID.String(), s.Label+" was turned off because invoice "+b.Number+" is not paid.", true); err != nil {
		return err
	}
	return d.letter(ctx, tx, s, letterSuspended(s, b, endAt(p, b, tx.Now())))
}
