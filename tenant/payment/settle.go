package payment

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// Settle keeps what a gateway says of a payment. Money that came is applied to the
// invoice exactly once, whatever was believed before; of anything else the first final
// word stands, so that late and repeated news change nothing. The fault is
// payment.not_found.
func Settle(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, gp gateway.Payment) (Payment, error) {
	p, err := lockPayment(ctx, tx, id)
	if err != nil {
		return p, err
	}
	if !gateway.Moves(p.State, gp.State) {
		return p, keepLate(ctx, tx, p, gp)
	}
	if p.State == gp.State && p.Ref == gp.Ref && gp.Decline == nil {
		return p, nil // nothing new
	}
	if p.Ref == "" || gp.State == gateway.Succeeded && gp.Ref != "" {
		p.Ref = gp.Ref
	}
	p.State, p.DeclineCode, p.DeclineText = gp.State, "", ""
	if gp.Decline != nil && gp.State != gateway.Succeeded {
		p.DeclineCode, p.DeclineText = gp.Decline.Code, gp.Decline.Text
	}
	if gp.State == gateway.Succeeded && gp.Received.Minor > 0 {
		p.Amount = gp.Received
	}
	if p.State.Final() {
		p.SettledAt = tx.Now()
	}
	if gp.State == gateway.Succeeded && gp.Method != nil && p.MethodID == uuid.Nil && gp.Method.CustomerRef != "" {
		if p.MethodID, err = keepMethod(ctx, tx, p.AccountID, p.Gateway, *gp.Method); err != nil {
			return p, err
		}
	}
	if err := update(ctx, tx, p); err != nil {
		return p, err
	}
	return p, follow(ctx, tx, p, gp)
}

// keepLate keeps the method of a payment that came, of which the gateway told only later
// that it keeps it.
func keepLate(ctx context.Context, tx *tenancy.Tx, p Payment, gp gateway.Payment) error {
	if p.State != gateway.Succeeded || gp.State != gateway.Succeeded || p.MethodID != uuid.Nil || gp.Method == nil || gp.Method.CustomerRef == "" || !strings.HasSuffix(p.Key, saveMark) {
		return nil
	}
	id, err := keepMethod(ctx, tx, p.AccountID, p.Gateway, *gp.Method)
	if err != nil {
		return err
	}
	if _, err := tx.NewRaw("UPDATE payments SET method_id = ?, changed_at = ? WHERE id = ?", id, tx.Now(), p.ID).Exec(ctx); err != nil {
		return fmt.Errorf("keep the method of a payment: %w", err)
	}
	return nil
}

// lockPayment reads a payment and keeps it, after its invoice, from others.
func lockPayment(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (Payment, error) {
	p, err := Get(ctx, tx, id)
	if err != nil {
		return p, err
	}
	if _, err := lockInvoice(ctx, tx, p.InvoiceID); err != nil {
		return p, err
	}
	if _, err := tx.NewRaw("SELECT id FROM payments WHERE id = ? FOR UPDATE", id).Exec(ctx); err != nil {
		return p, fmt.Errorf("lock payment: %w", err)
	}
	return Get(ctx, tx, id) // as it is now that nobody else changes it
}

func update(ctx context.Context, tx *tenancy.Tx, p Payment) error {
	var ref, method, settled any
	if p.Ref != "" {
		ref = p.Ref
	}
	if p.MethodID != uuid.Nil {
		method = p.MethodID
	}
	if !p.SettledAt.IsZero() {
		settled = p.SettledAt
	}
	_, err := tx.NewRaw(`UPDATE payments SET state = ?, ref = ?, amount_minor = ?, method_id = ?, decline_code = ?, decline_text = ?, settled_at = ?, changed_at = ? WHERE id = ?`,
		string(p.State), ref, p.Amount.Minor, method, p.DeclineCode, p.DeclineText, settled, tx.Now(), p.ID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("update payment: %w", err)
	}
	return nil
}

// follow is what comes of a payment's new state.
func follow(ctx context.Context, tx *tenancy.Tx, p Payment, gp gateway.Payment) error {
	if err := judge(ctx, tx, p, gp); err != nil {
		return err
	}
	switch p.State {
	case gateway.Succeeded:
		if err := tellPlatform(ctx, tx, p); err != nil {
			return err
		}
		return invoicing.Applied(ctx, tx, invoicing.Application{InvoiceID: p.InvoiceID, PaymentID: p.ID, Gateway: p.Gateway, Amount: p.Amount, At: tx.Now()})
	case gateway.Processing:
		return sent(ctx, tx, p)
	case gateway.Failed:
		if p.DeclineCode == gateway.Unknown && p.Ref == "" { // not the payment, which there never was
			if err := forgetUnknown(ctx, tx, p); err != nil {
				return err
			}
		}
		return failed(ctx, tx, p, gp)
	}
	return nil
}

// judge keeps whether a saved method is still of use: one that was refused for good is
// not charged again before it has paid something, or was saved anew.
func judge(ctx context.Context, tx *tenancy.Tx, p Payment, gp gateway.Payment) error {
	was, is := "active", "failing"
	switch {
	case p.State == gateway.Succeeded:
		was, is = is, was
	case p.State != gateway.Failed || gp.Decline == nil || gp.Decline.Kind != gateway.Hard:
		return nil
	}
	_, err := tx.NewRaw("UPDATE payment_methods SET state = ?, changed_at = ? WHERE id = ? AND state = ?", is, tx.Now(), p.MethodID, was).Exec(ctx)
	if err != nil {
		return fmt.Errorf("judge a payment method: %w", err)
	}
	return nil
}

func failed(ctx context.Context, tx *tenancy.Tx, p Payment, gp gateway.Payment) error {
	text := p.Amount.Format("en") + " for invoice " + p.Invoice + " could not be collected."
	if p.DeclineText != "" {
		text += " " + p.DeclineText
	}
	err := activity.Tell(ctx, tx, activity.Event{
		Key: "payment/" + p.ID.String() + "/failed", AccountID: p.AccountID, SubjectKind: activity.Invoice, SubjectID: p.InvoiceID,
		Kind: "payment.failed", Text: text, CustomerSees: true,
		Programs: []webhook.News{{Type: webhook.PaymentFailed, Data: webhook.PaymentData{
			ID: p.ID, AccountID: p.AccountID, InvoiceID: p.InvoiceID, InvoiceNumber: p.Invoice, Amount: webhook.AmountOf(p.Amount), Code: p.DeclineCode,
		}}},
	})
	if err != nil {
		return err
	}
	// Once an invoice: however often it is tried, staff hear of it at the first time.
	_, err = tx.RaiseAlert(ctx, tenancy.Alert{Key: "invoice/" + p.InvoiceID.String() + "/payment.failed", Kind: "payment.failed",
		Text: p.Amount.Format("en") + " for invoice " + p.Invoice + " could not be collected.", Detail: map[string]any{"invoice": p.Invoice, "gateway": p.Gateway, "code": p.DeclineCode}})
	if err != nil || p.OnSession && p.MethodKind != gateway.DirectDebit {
		return err
	}
	job := FailedTry{InvoiceID: p.InvoiceID, PaymentID: p.ID, Try: tryOf(p.Key), MethodID: methodOfTry(p.Key), Decline: gateway.Soft, Code: p.DeclineCode}
	if gp.Decline != nil {
		job.Decline = gp.Decline.Kind
	}
	if p.OnSession { // days ago: it is no try of the schedule, and the customer is not there any more
		job.MethodID = p.MethodID
	}
	_, err = tx.Enqueue(ctx, job, tenancy.JobOptions{Key: p.Key})
	return err
}

// Refresh asks the gateway how a payment stands and keeps the answer. One that is under
// way though nothing is owed any more is ended. Faults: payment.not_found,
// gateway.unavailable.
func (d *Desk) Refresh(ctx context.Context, db *tenancy.DB, id uuid.UUID) (p Payment, gp gateway.Payment, err error) {
	var due int64
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		if p, err = Get(ctx, tx, id); err != nil {
			return err
		}
		return tx.NewRaw("SELECT total_minor - paid_minor - credited_minor FROM invoices WHERE id = ?", p.InvoiceID).Scan(ctx, &due)
	})
	if err != nil {
		return p, gp, err
	}
	gp = gateway.Payment{Ref: p.Ref, Key: p.Key, State: p.State, Amount: p.Amount, Received: billing.Money{Currency: p.Amount.Currency}}
	if p.State.Final() || p.Ref == "" {
		return p, gp, nil
	}
	gw, _, err := d.Open(ctx, db, p.Gateway)
	if err != nil {
		return p, gp, unavailable(err)
	}
	_, finishes := gw.(gateway.Finisher)
	if due <= 0 || finishes && due < p.Amount.Minor { // more would be taken than is owed
		gp, err = gw.Cancel(ctx, p.Ref)
	} else {
		gp, err = stands(ctx, gw, p.Ref)
	}
	known := gateway.Payment{Key: p.Key, Ref: p.Ref, Amount: p.Amount}
	if gp, err = gateway.OrLost(gp, err, known); err != nil {
		return p, gp, unavailable(d.noteRefusedKeys(ctx, db, p.Gateway, err))
	}
	err = db.Update(ctx, func(tx *tenancy.Tx) (err error) {
		p, err = Settle(ctx, tx, p.ID, gp)
		return err
	})
	if by, ok := gw.(gateway.Instructor); ok && err == nil {
		gp.Instructions = by.Instructions(p.Amount, p.Invoice)
	}
	return p, gp, err
}

// Agenda is the kind under which a shop says when payments under way are to be looked at.
const Agenda = "payments"

// dropAfter is when a payment that waits for its customer is ended.
const dropAfter = 24 * time.Hour

// lookFrom is when a payment under way is looked at without anybody's asking. A debit,
// which its bank has for days, is so twice a day.
const lookFrom = `(p.changed_at + CASE WHEN p.state = 'processing' AND EXISTS (SELECT FROM payment_methods d WHERE d.id = p.method_id AND d.kind = 'sepa_debit')
	THEN interval '12 hours' ELSE interval '30 minutes' END)`

// watch puts the look at payments under way on the agenda.
func watch(ctx context.Context, tx *tenancy.Tx) error {
	var row struct{ First time.Time }
	err := tx.NewRaw("SELECT min("+lookFrom+") AS first FROM payments p WHERE p.gateway <> 'transfer' AND "+underWay).Scan(ctx, &row)
	if err != nil {
		return fmt.Errorf("look for payments under way: %w", err)
	}
	if row.First.IsZero() {
		return tx.SetAgenda(ctx, Agenda, time.Time{})
	}
	return tx.SetAgenda(ctx, Agenda, row.First)
}
