package wholesale

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/queue"
)

// CollectJob has every invoice charged whose time has come, sets credits against what is
// owed, and looks at payments of which nothing was heard for a while.
type CollectJob struct{}

// Kind names the job.
func (CollectJob) Kind() string { return "wholesale.collect" }

// How long a person who is just paying is left alone, after how long a payment under way
// is looked at, and when one that waits for its person is ended.
const (
	personWait = 30 * time.Minute
	lookAfter  = 30 * time.Minute
	dropAfter  = 24 * time.Hour
)

var errPersonPays = errors.New("the reseller is paying this invoice just now")

// Collect is CollectJob's work. Doing it again changes nothing: a try has one job.
func (d *Desk) Collect(ctx context.Context) error {
	var due []struct {
		ID    uuid.UUID
		Tries int
	}
	var stale []Attempt
	now := d.Central.Now()
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		due, stale = nil, nil
		if err := remindOfEvidence(ctx, tx); err != nil {
			return err
		}
		if err := endForgotten(ctx, tx); err != nil {
			return err
		}
		if err := carryCredits(ctx, tx); err != nil { // of credit notes since
			return err
		}
		if err := draw(ctx, tx, tenancy.ID{}); err != nil { // what a payment was in the way of
			return err
		}
		err := tx.NewRaw("SELECT id, tries FROM wholesale_invoices WHERE next_try_at <= ? AND state = 'open' AND total_minor > paid_minor ORDER BY next_try_at, id LIMIT 500", tx.Now()).Scan(ctx, &due)
		if err != nil {
			return err
		}
		for _, x := range due {
			if _, err := tx.Enqueue(ctx, ChargeJob{Invoice: x.ID, Try: x.Tries}, tenancy.JobOptions{Key: tryKey(x.ID, x.Tries)}); err != nil {
				return err
			}
			if _, err := tx.NewRaw("UPDATE wholesale_invoices SET next_try_at = NULL WHERE id = ?", x.ID).Exec(ctx); err != nil {
				return err
			}
		}
		if d.Taker == nil {
			return nil
		}
		return tx.NewRaw(attemptSQL+underWay+" AND p.gateway = ? AND p.changed_at <= ? ORDER BY p.changed_at, p.id LIMIT 100", d.Taker.Code, tx.Now().Add(-lookAfter)).Scan(ctx, &stale)
	})
	if err != nil {
		return fmt.Errorf("collect: %w", err)
	}
	var all error
	for _, a := range stale {
		all = errors.Join(all, d.lookAgain(ctx, a, now))
	}
	return errors.Join(all, d.WatchLimits(ctx, true)) // who has paid sells again
}

// lookAgain brings one payment further that nobody has heard of for a while.
func (d *Desk) lookAgain(ctx context.Context, a Attempt, now time.Time) error {
	switch {
	case a.Ref == "" && unattended(a.Key):
		return nil // its job charges it
	case a.Ref == "", a.State == gateway.RequiresAction && now.Sub(a.CreatedAt) >= dropAfter:
		return d.end(ctx, a)
	}
	_, _, err := d.Look(ctx, a.TenantID, a.ID)
	return err
}

// Look asks the gateway how a reseller's payment stands and keeps the answer. One that is
// under way though nothing is owed any more is ended. Faults: wholesale_payment.unknown,
// wholesale_gateway.unavailable.
func (d *Desk) Look(ctx context.Context, of tenancy.ID, id uuid.UUID) (a Attempt, gp gateway.Payment, err error) {
	var owed int64
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		var ok bool
		if a, ok, err = findAttempt(ctx, tx, "p.id = ? AND p.tenant_id = ?", id, of); err == nil && !ok {
			err = errNoAttempt
		}
		if err != nil {
			return err
		}
		if owed = a.AmountMinor; a.TopUp() {
			return nil
		}
		return tx.NewRaw("SELECT total_minor - paid_minor FROM wholesale_invoices WHERE id = ?", a.InvoiceID).Scan(ctx, &owed)
	})
	gp = gateway.Payment{Ref: a.Ref, Key: a.Key, State: a.State, Amount: a.Amount()}
	if err != nil || a.State.Final() || a.Ref == "" || d.Taker == nil || a.Gateway != d.Taker.Code {
		return a, gp, err
	}
	if owed <= 0 {
		gp, err = d.Taker.Gateway.Cancel(ctx, a.Ref)
	} else {
		gp, err = d.Taker.Gateway.Payment(ctx, a.Ref)
	}
	if gp, err = gateway.OrLost(gp, err, a.known()); err != nil || !a.hears(gp) {
		return a, gp, d.trouble(ctx, err)
	}
	a, err = d.keep(ctx, a, gp)
	return a, gp, err
}

// tryKey names an attempt without the reseller.
func tryKey(invoice uuid.UUID, try int) string { return invoice.String() + "/" + strconv.Itoa(try) }

// Charge collects an invoice with the reseller's card and without the reseller, once a
// try. A gateway that cannot be asked is an error: the job comes again, and no try is
// counted.
func (d *Desk) Charge(ctx context.Context, job ChargeJob) error {
	for range 3 {
		a, inTheWay, err := d.claimTry(ctx, job)
		if err != nil || a.ID == uuid.Nil {
			return err
		}
		if !inTheWay {
			return d.carryTry(ctx, a)
		}
		if err := d.end(ctx, a); err != nil {
			return d.trouble(ctx, err)
		}
	}
	return queue.Retry(personWait, errPersonPays)
}

// claimTry finds or makes the payment of a try. None when there is nothing to do, or
// nothing to do it with; it reports true for another that must be ended first.
func (d *Desk) claimTry(ctx context.Context, job ChargeJob) (a Attempt, inTheWay bool, err error) {
	err = d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		a, inTheWay = Attempt{}, false
		inv, tries, err := lockOpen(ctx, tx, job.Invoice)
		if err != nil {
			return err
		}
		key := "charge/" + tryKey(inv.ID, job.Try)
		if old, ok, err := findAttempt(ctx, tx, "p.key = ?", key); err != nil || ok {
			if ok && !old.State.Final() && d.Taker != nil {
				a = old
			}
			return err
		}
		if job.Try != tries || inv.State != "open" || inv.Open().Minor <= 0 {
			return nil
		}
		if other, ok, err := findAttempt(ctx, tx, "p.invoice_id = ? AND "+underWay, inv.ID); err != nil || ok {
			if err == nil && (d.Taker == nil || other.State == gateway.Processing || tx.Now().Sub(other.ChangedAt) < personWait) {
				err = queue.Retry(personWait, errPersonPays)
			}
			a, inTheWay = other, true
			return err
		}
		card, err := cardIn(ctx, tx, inv.TenantID)
		if err != nil {
			return err
		}
		if !card.Kept() || d.Taker == nil {
			return d.failed(ctx, tx, inv, job.Try, gateway.Decline{Kind: gateway.Soft, Code: noCard})
		}
		a, err = d.insert(ctx, tx, inv, card.ref, func(uuid.UUID) string { return key })
		return err
	})
	return a, inTheWay, err
}

// noCard is the code of a try for which no card is kept.
const noCard = "no_card"

// carryTry charges, and keeps the answer. What would need the reseller has failed.
func (d *Desk) carryTry(ctx context.Context, a Attempt) error {
	gp, err := d.ask(ctx, a, "")
	if err == nil && gp.State == gateway.RequiresAction {
		var ended gateway.Payment
		if ended, err = d.Taker.Gateway.Cancel(ctx, gp.Ref); err == nil {
			gp = gateway.Absent(gp, ended)
		}
	}
	if err != nil {
		return fmt.Errorf("charge %s: %w", a.Key, d.trouble(ctx, err))
	}
	_, err = d.keep(ctx, a, gp)
	return err
}

// failed counts a try that failed, sets the next by billing.DefaultDunning, and tells the
// reseller and staff. What follows when nothing is paid is the policy of arrears, which
// looks at the day it was due. A card of no more use is not tried again; keeping another
// is.
func (d *Desk) failed(ctx context.Context, tx *tenancy.CentralTx, inv InvoiceRow, try int, why gateway.Decline) error {
	on, err := d.countTry(ctx, tx, inv, try, why.Kind == gateway.Hard)
	if err != nil {
		return err
	}
	key := "wholesale_try/" + tryKey(inv.ID, try)
	if why.Code == noCard {
		return d.write(ctx, tx, inv.ID, mail.WholesaleDue, key, map[string]string{"open": inv.Open().Format("en"), "due": inv.DueAt.UTC().Format("2 January 2006")})
	}
	if err := d.write(ctx, tx, inv.ID, mail.WholesaleFailed, key, map[string]string{"amount": inv.Open().Format("en"), "reason": why.Text, "next": on}); err != nil {
		return err
	}
	_, err = alerts.Raise(ctx, tx, alerts.Alert{Key: "payment.failed " + key, Tenant: inv.TenantID, Kind: "payment.failed",
		Text:   fmt.Sprintf("The card for wholesale invoice %s was declined: %s", inv.Number, why.Text),
		Detail: map[string]string{"invoice": inv.Number, "amount": inv.Open().String(), "try": strconv.Itoa(try + 1), "code": why.Code, "next": on}})
	return err
}

// countTry counts a try that took nothing, and says when the next is; empty: there is none.
// The invoice is locked, and its count is the try's.
func (d *Desk) countTry(ctx context.Context, tx *tenancy.CentralTx, inv InvoiceRow, try int, last bool) (on string, err error) {
	var next any
	if at, more := nextTry(inv.DueAt, tx.Now()); more && !last {
		next, on = at, at.UTC().Format("2 January 2006")
	}
	_, err = tx.NewRaw("UPDATE wholesale_invoices SET tries = ?, next_try_at = ?, changed_at = ? WHERE id = ?", try+1, next, tx.Now(), inv.ID).Exec(ctx)
	if err != nil {
		return "", fmt.Errorf("count a try of %s: %w", inv.Number, err)
	}
	return on, nil
}

// nextTry is the first of the dunning's tries that is still to come.
func nextTry(due, now time.Time) (time.Time, bool) {
	d := billing.DefaultDunning()
	for n := range d.Tries {
		if at, ok := d.Next(due, n); ok && at.After(now) {
			return at, true
		}
	}
	return time.Time{}, false
}
