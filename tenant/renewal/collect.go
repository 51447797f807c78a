package renewal

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
)

// Collect does what is due of unpaid renewals: it has the saved method charged, writes
// to customers, turns services off and ends subscriptions, as far as each invoice has
// come. It may be interrupted anywhere and called again.
func (d *Desk) Collect(ctx context.Context, db *tenancy.DB, _ time.Time) error {
	return d.pass(ctx, db, `SELECT i.id FROM invoices i WHERE i.next_try_at <= ? ORDER BY i.next_try_at, i.id LIMIT ?`, d.collectAll,
		func(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, why error) error {
			if err := invoicing.ScheduleTries(ctx, tx, map[uuid.UUID]time.Time{id: tx.Now().Add(again)}); err != nil {
				return err
			}
			return alert(ctx, tx, "collection.failed", "invoice/"+id.String(), "An invoice could not be collected.", why)
		})
}

func (d *Desk) collectAll(ctx context.Context, w *work, ids []uuid.UUID) error {
	subs, bills, err := take(ctx, w.tx, ids)
	if err != nil {
		return err
	}
	if len(bills) < len(ids) { // the others are of no subscription, or over
		if err := forget(ctx, w.tx, ids, bills); err != nil {
			return err
		}
	}
	seen := map[uuid.UUID]bool{}
	for _, b := range bills {
		if b.NextTryAt.IsZero() || b.NextTryAt.After(w.tx.Now()) {
			continue
		}
		s, first := subs[b.SubscriptionID]
		if !first || seen[b.InvoiceID] { // an earlier bill of the subscription, or another's of the invoice, may have changed both
			again, left, err := take(ctx, w.tx, []uuid.UUID{b.InvoiceID})
			if err != nil {
				return err
			}
			i := slices.IndexFunc(left, func(x bill) bool { return x.SubscriptionID == b.SubscriptionID })
			if i < 0 {
				continue
			}
			s, b = again[b.SubscriptionID], left[i]
		}
		delete(subs, b.SubscriptionID)
		seen[b.InvoiceID] = true
		if err := d.chase(ctx, w, s, b); err != nil {
			return err
		}
	}
	return nil
}

// forget takes invoices nobody collects off the schedule.
func forget(ctx context.Context, tx *tenancy.Tx, ids []uuid.UUID, collected []bill) error {
	none := slices.DeleteFunc(slices.Clone(ids), func(id uuid.UUID) bool {
		return slices.ContainsFunc(collected, func(b bill) bool { return b.InvoiceID == id })
	})
	if _, err := tx.NewRaw("UPDATE invoices SET next_try_at = NULL WHERE id IN (?)", bun.List(none)).Exec(ctx); err != nil {
		return fmt.Errorf("forget %d invoices: %w", len(none), err)
	}
	return nil
}

// take locks unpaid renewals with their subscriptions, first these and then the
// invoices, each in the order of their ids. It leaves out any other invoice, and any
// that is not open.
func take(ctx context.Context, tx *tenancy.Tx, ids []uuid.UUID) (map[uuid.UUID]Subscription, []bill, error) {
	// Of orders those whose subscriptions began before they were paid; see Trust.
	const renewals = "i.id IN (?) AND (i.key LIKE 'renewal/%' OR i.key LIKE 'order/%' AND EXISTS (SELECT FROM subscriptions b WHERE b.id = l.subscription_id AND b.state NOT IN ('pending', 'ended')))"
	bills, err := billsOf(ctx, tx, renewals, bun.List(ids))
	if err != nil || len(bills) == 0 {
		return nil, nil, err
	}
	of := make([]uuid.UUID, len(bills))
	for i, b := range bills {
		of[i] = b.SubscriptionID
	}
	locked, err := lockAll(ctx, tx, of)
	if err != nil {
		return nil, nil, err
	}
	subs := make(map[uuid.UUID]Subscription, len(locked))
	for _, s := range locked {
		subs[s.ID] = s
	}
	if _, err = tx.NewRaw("SELECT id FROM invoices WHERE id IN (?) ORDER BY id FOR UPDATE", bun.List(ids)).Exec(ctx); err != nil {
		return nil, nil, fmt.Errorf("lock %d invoices: %w", len(ids), err)
	}
	bills, err = billsOf(ctx, tx, renewals+" AND i.state = 'open'", bun.List(ids))
	return subs, bills, err
}

// chase does what the time asks for of an open invoice, and says when it is looked at
// next. Both are locked or were made just now.
func (d *Desk) chase(ctx context.Context, w *work, s Subscription, b bill) error {
	now, p := w.tx.Now(), w.policy
	if now.Before(b.DueAt) {
		w.schedule(b.InvoiceID, b.DueAt)
		return nil
	}
	if b.UnderWay { // a bank has it for days: nobody is written to, and nothing is turned off
		w.schedule(b.InvoiceID, now.Add(day))
		return nil
	}
	alone := s.HasMethod && b.AskedAt.IsZero() // it can be charged without the customer
	if !alone {
		if err := d.askToPay(ctx, w.tx, p, s, b); err != nil {
			return err
		}
	}
	if !alone || !b.WeekAt.IsZero() {
		if err := pastDue(ctx, w.tx, &s, b); err != nil {
			return err
		}
	}
	trying, awaited, next := false, false, time.Time{}
	if at, more := p.dunning(s, b).NextIn(b.base(), b.Tries, s.Zone()); alone && more {
		trying, next = true, at
		if !now.Before(at) {
			// The gateway's answer moves the invoice on; if none comes, it is looked at again.
			w.charge(b)
			awaited, next = true, now.Add(day)
		}
	}
	if !awaited { // what we could not ask for ourselves is nobody's fault but ours
		if err := lateFee(ctx, w, s, &b); err != nil {
			return err
		}
	}
	next = sooner(next, p.feeAt(b, now))
	if s.State == Ended {
		return d.chaseDebt(ctx, w, s, b, next)
	}
	return d.press(ctx, w, s, b, trying, next)
}

// press turns a service off and ends it when its time has come. While tries are
// outstanding because a gateway was down, and where the invoice never reached the
// customer, nothing is turned off.
func (d *Desk) press(ctx context.Context, w *work, s Subscription, b bill, trying bool, next time.Time) error {
	now, tx, p := w.tx.Now(), w.tx, w.policy
	if s.State != Suspended {
		at := b.base().Add(p.dunning(s, b).SuspendAfter)
		if now.Before(at) {
			w.schedule(b.InvoiceID, sooner(next, nextLetter(b, now), at))
			return nil
		}
		told, err := delivered(ctx, tx, b.InvoiceID)
		if err != nil {
			return err
		}
		if trying || !told {
			w.schedule(b.InvoiceID, sooner(next, now.Add(day)))
			return nil
		}
		if err := d.suspend(ctx, tx, p, s, b); err != nil {
			return err
		}
		notice, at := p.dunning(s, b).End(b.base(), now, time.Time{})
		w.schedule(b.InvoiceID, sooner(next, notice, at))
		return nil
	}
	since, noticed, err := suspendedSince(ctx, tx, s, b)
	if err != nil {
		return err
	}
	notice, at := p.dunning(s, b).End(b.base(), since, noticed)
	if noticed.IsZero() && !notice.IsZero() {
		if now.Before(notice) {
			w.schedule(b.InvoiceID, sooner(next, notice))
			return nil
		}
		if at, err = d.announceEnd(ctx, tx, p, s, b, since); err != nil {
			return err
		}
	}
	if trying && !now.Before(at) { // a gateway that was down kept a try from being made: the end waits for it
		w.schedule(b.InvoiceID, sooner(next, now.Add(day)))
		return nil
	}
	if now.Before(at) {
		w.schedule(b.InvoiceID, sooner(next, at))
		return nil
	}
	return d.end(ctx, tx, s, unpaid)
}

// announceEnd tells the customer that what is off will end, once an invoice, and says
// when that is now.
func (d *Desk) announceEnd(ctx context.Context, tx *tenancy.Tx, p Policy, s Subscription, b bill, since time.Time) (time.Time, error) {
	_, at := p.dunning(s, b).End(b.base(), since, tx.Now())
	err := tell(ctx, tx, s, "ending/"+b.InvoiceID.String(), s.Label+" ends on "+s.date(at)+" unless invoice "+b.Number+" is paid.", true)
	if err != nil {
		return at, err
	}
	return at, d.letter(ctx, tx, s, letterEnding(s, b, at, d.payLink(tx, b.InvoiceID, payment.LetterEnding)))
}

// chaseDebt collects what is owed by a subscription that ended, and gives up after the
// same time.
func (d *Desk) chaseDebt(ctx context.Context, w *work, s Subscription, b bill, next time.Time) error {
	now, tx, p := w.tx.Now(), w.tx, w.policy
	at := b.base().Add(p.dunning(s, b).EndAfter)
	if now.Before(at) {
		w.schedule(b.InvoiceID, sooner(next, nextLetter(b, now), at))
		return nil
	}
	return giveUpOn(ctx, tx, s, b)
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

// delivered reports whether a letter about the invoice reached a mail server.
func delivered(ctx context.Context, tx *tenancy.Tx, invoice uuid.UUID) (is bool, err error) {
	err = tx.NewRaw("SELECT EXISTS (SELECT FROM mails WHERE key LIKE ? AND state = 'sent')", "invoice/"+invoice.String()+"/%").Scan(ctx, &is)
	if err != nil {
		return false, fmt.Errorf("look for the letter: %w", err)
	}
	return is, nil
}

// suspendedSince says when the subscription was suspended for the invoice, and when its
// end was announced; zero: it was not.
func suspendedSince(ctx context.Context, tx *tenancy.Tx, s Subscription, b bill) (at, noticed time.Time, err error) {
	subject := "subscription/" + s.ID.String()
	err = tx.NewRaw("SELECT coalesce((SELECT at FROM timeline WHERE key = ?), ?), coalesce((SELECT at FROM timeline WHERE key = ?), ?)",
		subject+"/suspended/"+b.InvoiceID.String(), b.DueAt, // it was suspended for another invoice, before this one was due
		subject+"/ending/"+b.InvoiceID.String(), time.Time{}).Scan(ctx, &at, &noticed)
	if err != nil {
		return at, noticed, fmt.Errorf("read since when it is suspended: %w", err)
	}
	return at, noticed, nil
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
	_, ends := p.dunning(s, b).End(b.base(), tx.Now(), time.Time{})
	return d.letter(ctx, tx, s, letterSuspended(s, b, ends, d.payLink(tx, b.InvoiceID, payment.LetterSuspended)))
}
