package payment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/sandbox"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// customerWait is how long a customer who is just paying is left alone.
const customerWait = 30 * time.Minute

var errCustomerPays = errors.New("the customer is paying this invoice just now")

// Charge collects an invoice with a saved method (see methodFor) and without the customer,
// once a try. What fails is told by a FailedTry. A gateway that cannot be asked is an
// error: the job comes again, and no try is counted.
func (d *Desk) Charge(ctx context.Context, db *tenancy.DB, job ChargeJob) error {
	for range 3 {
		p, inTheWay, err := d.claimTry(ctx, db, job)
		if err != nil || p.ID == uuid.Nil {
			return err
		}
		if inTheWay {
			if err := d.end(ctx, db, p); err != nil {
				return err
			}
			continue
		}
		return d.carryTry(ctx, db, p)
	}
	return queue.Retry(customerWait, errBusy)
}

// ChargeSaved has an open invoice charged to what it is collected with after the
// commit, once; it reports false where there is none.
func ChargeSaved(ctx context.Context, tx *tenancy.Tx, invoice uuid.UUID) (bool, error) {
	inv, err := lockInvoice(ctx, tx, invoice)
	if err != nil {
		return false, err
	}
	m, err := methodFor(ctx, tx, inv)
	if err != nil || m.ID == uuid.Nil || inv.DueMinor <= 0 || inv.State != "open" {
		return false, err
	}
	_, err = tx.Enqueue(ctx, ChargeJob{InvoiceID: invoice}, tenancy.JobOptions{Key: keyOfTry(invoice, 0)})
	return err == nil, err
}

// Charging is an overdue invoice that is charged at once.
type Charging struct {
	ID     uuid.UUID
	Number string
}

// Words names the invoices that are charged, for the person who caused it; empty: none.
func Words(all []Charging) string {
	if len(all) == 0 {
		return ""
	}
	text := "We are charging invoice "
	if len(all) > 1 {
		text = "We are charging the overdue invoices "
	}
	for i, c := range all {
		switch {
		case i == 0:
		case i == len(all)-1:
			text += " and "
		default:
			text += ", "
		}
		text += c.Number
	}
	return text + " now."
}

// chargeOverdue has everything an account should have paid by now charged to a method
// that is new or chosen anew, after the commit: once a method and invoice, however often
// it is chosen. What waited for the customer waits no more.
func chargeOverdue(ctx context.Context, tx *tenancy.Tx, m Method) (all []Charging, err error) {
	err = tx.NewRaw(`UPDATE invoices SET asked_at = NULL, changed_at = ? WHERE id IN (SELECT id FROM invoices
			WHERE account_id = ? AND kind = 'invoice' AND state = 'open' AND due_at <= ? AND total_minor > paid_minor + credited_minor ORDER BY id FOR UPDATE)
		AND NOT EXISTS (SELECT FROM payments p WHERE p.key = 'charge/' || invoices.id || '/method/' || ? AND p.state = 'failed') RETURNING id, number`,
		tx.Now(), m.AccountID, tx.Now(), m.ID.String()).Scan(ctx, &all)
	if err != nil {
		return nil, fmt.Errorf("look for what is overdue: %w", err)
	}
	slices.SortFunc(all, func(a, b Charging) int { return strings.Compare(a.Number, b.Number) })
	jobs := make([]tenancy.Queued, len(all))
	for i, c := range all {
		job := ChargeJob{InvoiceID: c.ID, MethodID: m.ID}
		jobs[i] = tenancy.Queued{Job: job, Options: tenancy.JobOptions{Key: job.key()}}
	}
	return all, tx.EnqueueAll(ctx, jobs)
}

const methodMark = "/method/"

// key names the attempt of a job.
func (j ChargeJob) key() string {
	if j.MethodID != uuid.Nil {
		return "charge/" + j.InvoiceID.String() + methodMark + j.MethodID.String()
	}
	return keyOfTry(j.InvoiceID, j.Try)
}

// methodOfTry is the method of a try outside of the schedule; uuid.Nil: it is of it.
func methodOfTry(key string) uuid.UUID {
	_, text, _ := strings.Cut(key, methodMark)
	id, err := uuid.Parse(text)
	if err != nil {
		return uuid.Nil
	}
	return id
}

// keyOfTry names an attempt without the customer.
func keyOfTry(invoice uuid.UUID, try int) string {
	return "charge/" + invoice.String() + "/" + strconv.Itoa(try)
}

// tryOf is the try a key names; 0 for one that a customer began.
func tryOf(key string) int {
	if !strings.HasPrefix(key, "charge/") {
		return 0
	}
	n, _ := strconv.Atoi(key[strings.LastIndexByte(key, '/')+1:])
	return n
}

// claimTry finds or makes the payment of a try. None when there is nothing to do, or
// nothing to do it with; it reports true for another that must be ended first.
func (d *Desk) claimTry(ctx context.Context, db *tenancy.DB, job ChargeJob) (p Payment, inTheWay bool, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		p, inTheWay = Payment{}, false
		inv, err := lockInvoice(ctx, tx, job.InvoiceID)
		if err != nil {
			return err
		}
		key := job.key()
		if old, ok, err := find(ctx, tx, "p.key = ?", key); err != nil || ok {
			if ok && !old.State.Final() {
				p = old
			}
			return err
		}
		if inv.DueMinor <= 0 || inv.State != "open" {
			return nil
		}
		if other, ok, err := find(ctx, tx, "p.invoice_id = ? AND "+underWay, inv.ID); err != nil || ok {
			if err == nil {
				p, inTheWay, err = other.yields(ctx, tx, job)
			}
			return err
		}
		if inv.HasCredit {
			if _, err := invoicing.UseCredit(ctx, tx, inv.ID, false, ""); err != nil {
				return err
			}
			if inv, err = lockInvoice(ctx, tx, inv.ID); err != nil || inv.DueMinor <= 0 {
				return err
			}
		}
		m, err := job.method(ctx, tx, inv)
		if err != nil {
			return err
		}
		if m.Gateway == sandbox.Code && !db.Tenant().MayTest() { // the trial is over: pretended cards pay for nothing more
			if _, err := tx.NewRaw("UPDATE payment_methods SET state = 'removed', changed_at = ? WHERE gateway = ? AND state <> 'removed'", tx.Now(), sandbox.Code).Exec(ctx); err != nil {
				return fmt.Errorf("take pretended methods away: %w", err)
			}
			m.ID = uuid.Nil
		}
		if off, err := m.takesNoMore(ctx, tx); err != nil {
			return err
		} else if off {
			m.ID = uuid.Nil
		}
		if m.ID == uuid.Nil {
			return tellFailedTry(ctx, tx, job, gateway.Hard, NoMethod)
		}
		if m.Mandate != nil {
			if waits, err := d.waitsForNotice(ctx, tx, inv, m, job); err != nil || waits {
				return err
			}
		}
		p, err = insert(ctx, tx, inv, m.Gateway, &m.ID, func(uuid.UUID) string { return key }, false)
		return err
	})
	return p, inTheWay, err
}

// method is what a try is made with; the zero Method when there is none any more.
func (j ChargeJob) method(ctx context.Context, tx *tenancy.Tx, inv invoice) (Method, error) {
	if j.MethodID == uuid.Nil {
		return methodFor(ctx, tx, inv)
	}
	m, _, err := oneMethod(ctx, tx, "m.account_id = ? AND m.id = ? AND m.state = 'active'", inv.AccountID, j.MethodID)
	return m, err
}

// yields decides what a payment under way means for a try to charge: a transfer that is
// awaited stands for it, a customer is left alone for a while, and what nobody works on
// any more is ended.
func (p Payment) yields(ctx context.Context, tx *tenancy.Tx, job ChargeJob) (Payment, bool, error) {
	switch {
	case p.Gateway == "transfer":
		return Payment{}, false, tellFailedTry(ctx, tx, job, gateway.Soft, ByTransfer)
	case p.State == gateway.Processing && p.MethodKind == gateway.DirectDebit:
		return Payment{}, false, nil // it stands for the try; should it fail, that is told
	case p.State == gateway.Processing:
		return Payment{}, false, queue.Retry(customerWait, errCustomerPays)
	case tx.Now().Sub(p.ChangedAt) < customerWait:
		return Payment{}, false, queue.Retry(customerWait, errCustomerPays)
	}
	return p, true, nil
}

func tellFailedTry(ctx context.Context, tx *tenancy.Tx, job ChargeJob, kind gateway.Kind, code string) error {
	_, err := tx.Enqueue(ctx, FailedTry{InvoiceID: job.InvoiceID, Try: job.Try, MethodID: job.MethodID, Decline: kind, Code: code}, tenancy.JobOptions{Key: job.key()})
	return err
}

// carryTry charges, and keeps the answer. What would need the customer has failed.
func (d *Desk) carryTry(ctx context.Context, db *tenancy.DB, p Payment) error {
	gw, _, err := d.Open(ctx, db, p.Gateway)
	if err != nil {
		return d.noteRefusedKeys(ctx, db, p.Gateway, err)
	}
	gp, err := d.ask(ctx, db, gw, p, "")
	if err != nil {
		return d.noteRefusedKeys(ctx, db, p.Gateway, fmt.Errorf("charge %s: %w", p.Key, err))
	}
	if gp.State == gateway.RequiresAction {
		needs := gp
		if gp, err = gw.Cancel(ctx, gp.Ref); err != nil {
			return fmt.Errorf("charge %s: %w", p.Key, err)
		}
		gp = gateway.Absent(needs, gp)
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		_, err := Settle(ctx, tx, p.ID, gp)
		return err
	})
}

// Sweep looks at payments that have been under way for a while, in case their news were
// lost, ends those whose customer has not come back, and sets the agenda anew.
func (d *Desk) Sweep(ctx context.Context, db *tenancy.DB, _ time.Time) error {
	var stale []Payment
	var now time.Time
	err := db.Update(ctx, func(tx *tenancy.Tx) error {
		now = tx.Now()
		var rows []paymentRow
		err := tx.NewRaw("SELECT "+paymentColumns+paymentTables+" WHERE p.gateway <> 'transfer' AND "+lookFrom+" <= ? AND "+underWay+" ORDER BY p.changed_at, p.id LIMIT 100", tx.Now()).Scan(ctx, &rows)
		if err != nil {
			return fmt.Errorf("look for payments under way: %w", err)
		}
		stale = make([]Payment, len(rows))
		for i, r := range rows {
			stale[i] = r.payment()
			if _, err := tx.NewRaw("UPDATE payments SET changed_at = ? WHERE id = ?", tx.Now(), r.ID).Exec(ctx); err != nil {
				return fmt.Errorf("note the look at a payment: %w", err)
			}
		}
		// The first waits for others who set it; what they committed is seen by the second.
		return errors.Join(watch(ctx, tx), watch(ctx, tx))
	})
	if err != nil {
		return err
	}
	var all error
	for _, p := range stale {
		all = errors.Join(all, d.lookAt(ctx, db, p, now))
	}
	return all
}

// lookAt brings one payment further that nobody has heard of for a while.
func (d *Desk) lookAt(ctx context.Context, db *tenancy.DB, p Payment, looked time.Time) error {
	switch {
	case p.Ref == "" && !p.OnSession:
		return nil // its job charges it
	case p.Ref == "", p.State == gateway.RequiresAction && looked.Sub(p.CreatedAt) >= dropAfter:
		return d.end(ctx, db, p)
	}
	_, _, err := d.Refresh(ctx, db, p.ID)
	return err
}
