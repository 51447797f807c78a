package checkout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/coupon"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/renewal"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// AgendaKind is under what orders that nobody pays stand on the agenda.
const AgendaKind = "orders"

// CancelRequest ends an order that is not paid.
type CancelRequest struct {
	OrderID   uuid.UUID
	AccountID uuid.UUID // zero: the reseller's team asks
	Reason    string    // a sentence for the customer; may be empty
	By        audit.Origin
}

// Cancel ends an order that is not paid: its invoice is credited in full, its
// subscriptions never begin, stock and room are given back. Cancelling what is cancelled
// changes nothing. Faults: order.not_found, order.is_paid, order.being_paid.
func (d *Desk) Cancel(ctx context.Context, db *tenancy.DB, r CancelRequest) error {
	if len([]rune(r.Reason)) > 300 {
		return fault.Field("reason", "order.reason_long", "Please use at most 300 characters.")
	}
	var o Order
	err := db.Update(ctx, func(tx *tenancy.Tx) (err error) {
		if o, err = locked(ctx, tx, r.OrderID, r.AccountID); err != nil || o.State == Cancelled {
			return err
		}
		if err := d.cancel(ctx, tx, &o, r.Reason, r.By.Actor.Name); err != nil {
			return err
		}
		return r.By.Record(ctx, tx, "order.cancelled", audit.Target{Kind: "order", ID: o.ID.String()}, map[string]any{"number": o.Number, "reason": r.Reason})
	})
	if err != nil {
		return err
	}
	return d.free(ctx, db.Tenant().ID, o.QuoteID, len(o.Items))
}

func locked(ctx context.Context, tx *tenancy.Tx, id, account uuid.UUID) (Order, error) {
	o, found, err := one(ctx, tx, "o.id = ?", " FOR UPDATE OF o", id)
	if err == nil && (!found || account != uuid.Nil && o.AccountID != account) {
		err = fault.New(fault.NotFound, "order.not_found", "There is no such order.")
	}
	return o, err
}

// cancel ends a locked order.
func (d *Desk) cancel(ctx context.Context, tx *tenancy.Tx, o *Order, reason, actor string) error {
	if o.State != AwaitingPayment {
		return fault.New(fault.Conflict, "order.is_paid", "This order is paid. Cancel what it delivers instead.")
	}
	if o.InvoiceID != nil {
		if err := d.credit(ctx, tx, o); err != nil {
			return err
		}
	}
	if err := forgetTrials(ctx, tx, *o); err != nil {
		return err
	}
	if err := renewal.Drop(ctx, tx, o.ID); err != nil {
		return err
	}
	if err := giveStockBack(ctx, tx, o.Items); err != nil {
		return err
	}
	for _, code := range strings.Fields(o.Coupon) {
		if err := coupon.GiveBack(ctx, tx, code); err != nil {
			return err
		}
	}
	o.State, o.ChangedAt = Cancelled, tx.Now()
	if _, err := tx.NewRaw("UPDATE orders SET state = ?, changed_at = ? WHERE id = ?", o.State, o.ChangedAt, o.ID).Exec(ctx); err != nil {
		return fmt.Errorf("cancel order %s: %w", o.ID, err)
	}
	if err := reschedule(ctx, tx); err != nil {
		return err
	}
	return d.tellCancelled(ctx, tx, *o, reason, actor)
}

// credit takes the order's invoice back, unless somebody is paying it.
func (d *Desk) credit(ctx context.Context, tx *tenancy.Tx, o *Order) error {
	inv, err := invoicing.Get(ctx, tx, *o.InvoiceID)
	if err != nil {
		return err
	}
	var paying bool
	err = tx.NewRaw("SELECT EXISTS (SELECT FROM payments WHERE invoice_id = ? AND state IN ('requires_action', 'processing', 'succeeded'))", inv.ID).Scan(ctx, &paying)
	if err != nil {
		return fmt.Errorf("look for payments: %w", err)
	}
	if paying || inv.Received().Minor > 0 {
		return fault.New(fault.Conflict, "order.being_paid", "This order is being paid at the moment. Please wait for the outcome.")
	}
	left := billing.Money{Minor: inv.Total.Minor - inv.Credited.Minor, Currency: inv.Currency}
	if left.IsZero() {
		return nil
	}
	_, err = invoicing.Credit(ctx, tx, invoicing.CreditRequest{Key: "credit/order/" + o.ID.String(), InvoiceID: inv.ID, Amount: left, Reason: "Order " + o.Name() + " was cancelled.", CreditBack: true})
	return err
}

func giveStockBack(ctx context.Context, tx *tenancy.Tx, items []Item) error {
	counts := map[uuid.UUID]int{}
	for _, x := range items {
		counts[x.PlanID]++
	}
	for id, n := range counts {
		if _, err := tx.NewRaw("UPDATE plans SET stock = stock + ? WHERE id = ? AND stock IS NOT NULL", n, id).Exec(ctx); err != nil {
			return fmt.Errorf("give back to the stock: %w", err)
		}
	}
	return nil
}

func (d *Desk) tellCancelled(ctx context.Context, tx *tenancy.Tx, o Order, reason, actor string) error {
	key, says := "order/"+o.ID.String()+"/cancelled", "Order "+o.Name()+" was cancelled."
	if reason != "" {
		says += " " + reason
	}
	err := activity.Tell(ctx, tx, activity.Event{Key: key, AccountID: o.AccountID, SubjectKind: activity.Order, SubjectID: o.ID, Kind: "order.cancelled", Text: says, Actor: actor, CustomerSees: true,
		Programs: o.news(webhook.OrderCancelled)})
	if err != nil {
		return err
	}
	var to struct{ Name, Email string }
	if err := tx.NewRaw("SELECT name, email FROM people WHERE id = ?", o.PersonID).Scan(ctx, &to); err != nil {
		return fmt.Errorf("read who ordered: %w", err)
	}
	return d.Mail.Enqueue(ctx, tx, mail.Message{Key: key, Template: mail.OrderCancelled, To: to.Email,
		Data: map[string]string{"name": to.Name, "number": o.Name(), "what": What(o.Items), "reason": reason, "paid": "", "link": "/client/orders/" + o.ID.String()}})
}

// dueBatch bounds what one run looks at.
const dueBatch = 1000

// Due does what is due of orders nobody has paid: their room is kept on, and after
// LapseAfter they end. It fits queue.Due.
func (d *Desk) Due(ctx context.Context, db *tenancy.DB, _ time.Time) error {
	var waiting []Order
	var now time.Time
	err := db.View(ctx, func(tx *tenancy.Tx) error {
		now = tx.Now()
		var rows []orderRow
		err := tx.NewRaw("SELECT "+orderColumns+orderJoins+" WHERE o.state = 'awaiting_payment' AND o.placed_at <= ? ORDER BY o.placed_at LIMIT ?", now.Add(-holdOn), dueBatch).Scan(ctx, &rows)
		if err != nil {
			return fmt.Errorf("look for unpaid orders: %w", err)
		}
		for _, r := range rows {
			o, err := r.order()
			if err != nil {
				return err
			}
			waiting = append(waiting, o)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var failed error
	later := false
	for _, o := range waiting {
		if now.Before(o.PlacedAt.Add(LapseAfter)) {
			err = d.keepRoom(ctx, db.Tenant().ID, o, o.PlacedAt.Add(LapseAfter+time.Hour))
		} else if err = d.lapse(ctx, db, o); fault.Is(err, "order.being_paid") { // a debit takes its bank two weeks at most
			later, err = true, d.keepRoom(ctx, db.Tenant().ID, o, now.Add(24*time.Hour))
		}
		failed = errors.Join(failed, err)
	}
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw("DELETE FROM quotes q WHERE q.expires_at < ? AND q.accepted_at IS NULL AND NOT EXISTS (SELECT FROM orders o WHERE o.quote_id = q.id)", tx.Now().Add(-24*time.Hour)).Exec(ctx)
		if err != nil {
			return fmt.Errorf("forget old quotes: %w", err)
		}
		return d.next(ctx, tx, later || failed != nil)
	})
	return errors.Join(failed, err)
}

// next says when to look again. What could not be done now waits an hour, or the scan
// would ask without a pause.
func (d *Desk) next(ctx context.Context, tx *tenancy.Tx, later bool) error {
	if later {
		return tx.SetAgenda(ctx, AgendaKind, tx.Now().Add(time.Hour))
	}
	return reschedule(ctx, tx)
}

// keepRoom keeps the room of an order that waits; that there is none any more is found
// out when it is paid.
func (d *Desk) keepRoom(ctx context.Context, t tenancy.ID, o Order, until time.Time) error {
	for i, x := range o.Items {
		if x.SKU == "" {
			continue
		}
		_, err := d.Supply.Hold(ctx, t, HoldRequest{Key: holdKey(o.QuoteID, i), SKU: x.SKU, Region: x.Picked.Region, Until: until})
		if err != nil && fault.From(err).Kind == fault.Internal {
			return err
		}
	}
	return nil
}

// Forgiven cancels the order whose invoice was credited in full before anybody paid (job
// invoice.forgiven): there is nothing left to pay, and what nobody paid is not delivered. One
// that somebody is paying at the moment is left to what comes of that, or lapses. Invoices that
// belong to no order are nobody's business here. It may be repeated.
func (d *Desk) Forgiven(ctx context.Context, db *tenancy.DB, invoiceID uuid.UUID) error {
	var o Order
	err := db.Update(ctx, func(tx *tenancy.Tx) (err error) {
		var found bool
		if o, found, err = byInvoice(ctx, tx, invoiceID); err != nil || !found || o.State != AwaitingPayment {
			return err
		}
		if inv, err := invoicing.Get(ctx, tx, invoiceID); err != nil || inv.State != invoicing.Void {
			return err
		}
		return d.cancel(ctx, tx, &o, "Its invoice was credited in full.", activity.System)
	})
	if fault.Is(err, "order.being_paid") {
		return nil
	}
	if err != nil || o.State != Cancelled {
		return err
	}
	return d.free(ctx, db.Tenant().ID, o.QuoteID, len(o.Items))
}

// lapse ends an order that was not paid in time. One that is being paid is left alone.
func (d *Desk) lapse(ctx context.Context, db *tenancy.DB, was Order) error {
	ended := false
	err := db.Update(ctx, func(tx *tenancy.Tx) error {
		ended = false
		o, err := locked(ctx, tx, was.ID, uuid.Nil)
		if err != nil || o.State != AwaitingPayment {
			return err
		}
		if err := d.cancel(ctx, tx, &o, "It was not paid within seven days.", activity.System); err != nil {
			return err
		}
		ended = true
		return nil
	})
	if err != nil || !ended {
		return err
	}
	return d.free(ctx, db.Tenant().ID, was.QuoteID, len(was.Items))
}
