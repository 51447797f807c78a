package payment

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// RefundRequest asks for money to be given back.
type RefundRequest struct {
	Key        string // natural key: the same one gives back once
	PaymentID  uuid.UUID
	Amount     billing.Money
	Reason     string
	CreditNote bool // what is given back is not owed any more
}

// Refund is money given back, or on its way.
type Refund struct {
	ID           uuid.UUID
	Key          string
	PaymentID    uuid.UUID
	CreditNoteID uuid.UUID // uuid.Nil: none
	CreditNote   string    // its number
	Amount       billing.Money
	State        gateway.State
	Ref          string
	Reason       string
	Problem      string
	CreatedBy    string
	CreatedAt    time.Time
	ChangedAt    time.Time
}

type refundRow struct {
	ID, PaymentID, CreditNoteID                                       uuid.UUID
	Key, CreditNote, Currency, State, Ref, Reason, Problem, CreatedBy string
	AmountMinor                                                       int64
	CreatedAt, ChangedAt                                              time.Time
}

const refundColumns = `r.id, r.key, r.payment_id, coalesce(r.credit_note_id, '00000000-0000-0000-0000-000000000000') AS credit_note_id,
	coalesce(c.number, '') AS credit_note, p.currency, r.amount_minor, r.state, coalesce(r.ref, '') AS ref, r.reason, r.problem, r.created_by, r.created_at, r.changed_at`

const refundTables = " FROM refunds r JOIN payments p ON p.id = r.payment_id LEFT JOIN invoices c ON c.id = r.credit_note_id"

func (r refundRow) refund() Refund {
	return Refund{
		ID: r.ID, Key: r.Key, PaymentID: r.PaymentID, CreditNoteID: r.CreditNoteID, CreditNote: r.CreditNote,
		Amount: billing.Money{Minor: r.AmountMinor, Currency: r.Currency}, State: gateway.State(r.State), Ref: r.Ref,
		Reason: r.Reason, Problem: r.Problem, CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt, ChangedAt: r.ChangedAt,
	}
}

// Refunds lists what was given back of a payment, the newest first.
func Refunds(ctx context.Context, tx *tenancy.Tx, payment uuid.UUID) ([]Refund, error) {
	var rows []refundRow
	if err := tx.NewRaw("SELECT "+refundColumns+refundTables+" WHERE r.payment_id = ? ORDER BY r.created_at DESC, r.id DESC", payment).Scan(ctx, &rows); err != nil {
		return nil, fmt.Errorf("list refunds: %w", err)
	}
	all := make([]Refund, len(rows))
	for i, r := range rows {
		all[i] = r.refund()
	}
	return all, nil
}

func oneRefund(ctx context.Context, tx *tenancy.Tx, where string, args ...any) (Refund, bool, error) {
	var r refundRow
	err := tx.NewRaw("SELECT "+refundColumns+refundTables+" WHERE "+where, args...).Scan(ctx, &r)
	if tenancy.IsNoRows(err) {
		return Refund{}, false, nil
	}
	if err != nil {
		return Refund{}, false, fmt.Errorf("read refund: %w", err)
	}
	return r.refund(), true, nil
}

// GiveBack has a job give money back, all or a part of a payment. With a credit note it
// is issued now. Asking again with the key gives back once. Faults: payment.not_found,
// refund.bad_amount, refund.not_paid, and invoicing's of the credit note.
func (d *Desk) GiveBack(ctx context.Context, db *tenancy.DB, q RefundRequest, by audit.Origin) (out Refund, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		p, err := lockPayment(ctx, tx, q.PaymentID)
		if err != nil {
			return err
		}
		var known bool
		if out, known, err = oneRefund(ctx, tx, "r.key = ?", q.Key); err != nil || known {
			return err
		}
		if p.State != gateway.Succeeded {
			return fault.New(fault.Conflict, "refund.not_paid", "Only a payment that came can be given back.")
		}
		if left := p.Left(); q.Amount.Currency != left.Currency || q.Amount.Minor <= 0 || q.Amount.Minor > left.Minor {
			return fault.Field("amount", "refund.bad_amount", "Give an amount of at most "+left.Format("en")+".")
		}
		if out, err = insertRefund(ctx, tx, p, q, by); err != nil {
			return err
		}
		if _, err := tx.Enqueue(ctx, RefundJob{RefundID: out.ID}, tenancy.JobOptions{Key: out.ID.String()}); err != nil {
			return err
		}
		return by.Record(ctx, tx, "payment.refunded", audit.Target{Kind: "payment", ID: p.ID.String()},
			map[string]any{"invoice": p.Invoice, "amount": q.Amount.String(), "reason": q.Reason, "credit_note": q.CreditNote})
	})
	return out, err
}

func insertRefund(ctx context.Context, tx *tenancy.Tx, p Payment, q RefundRequest, by audit.Origin) (Refund, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Refund{}, err
	}
	out := Refund{ID: id, Key: q.Key, PaymentID: p.ID, Amount: q.Amount, State: gateway.Created, Reason: q.Reason, CreatedBy: by.Actor.Name, CreatedAt: tx.Now(), ChangedAt: tx.Now()}
	var note any
	if q.CreditNote {
		c, err := invoicing.Credit(ctx, tx, invoicing.CreditRequest{Key: "credit/refund/" + id.String(), InvoiceID: p.InvoiceID, Amount: q.Amount, Reason: q.Reason})
		if err != nil {
			return out, err
		}
		note, out.CreditNoteID, out.CreditNote = c.ID, c.ID, c.Number
	}
	_, err = tx.NewRaw(`INSERT INTO refunds (id, key, payment_id, credit_note_id, amount_minor, state, reason, problem, created_by, created_at, changed_at)
		VALUES (?, ?, ?, ?, ?, 'created', ?, '', ?, ?, ?)`, id, q.Key, p.ID, note, q.Amount.Minor, q.Reason, out.CreatedBy, tx.Now(), tx.Now()).Exec(ctx)
	if err != nil {
		return out, fmt.Errorf("insert refund: %w", err)
	}
	return out, reserve(ctx, tx, p.ID, q.Amount.Minor)
}

// reserve changes how much of a payment is given back or on its way.
func reserve(ctx context.Context, tx *tenancy.Tx, payment uuid.UUID, minor int64) error {
	if _, err := tx.NewRaw("UPDATE payments SET refunded_minor = refunded_minor + ?, changed_at = ? WHERE id = ?", minor, tx.Now(), payment).Exec(ctx); err != nil {
		return fmt.Errorf("reserve a refund: %w", err)
	}
	return nil
}

// Refund sends a refund to its gateway, or asks how it stands, and keeps the answer.
func (d *Desk) Refund(ctx context.Context, db *tenancy.DB, job RefundJob) error {
	var r Refund
	var p Payment
	err := db.View(ctx, func(tx *tenancy.Tx) (err error) {
		var ok bool
		if r, ok, err = oneRefund(ctx, tx, "r.id = ?", job.RefundID); err != nil {
			return err
		}
		if !ok {
			return errNotFound
		}
		p, err = Get(ctx, tx, r.PaymentID)
		return err
	})
	if err != nil || r.State.Final() {
		return err
	}
	gw, _, err := d.Open(ctx, db, p.Gateway)
	if err != nil {
		return d.noteRefusedKeys(ctx, db, p.Gateway, err)
	}
	var gr gateway.Refunded
	if r.Ref != "" {
		gr, err = gw.Refunded(ctx, r.Ref)
	} else {
		gr, err = gw.Refund(ctx, gateway.Refund{Key: "refund/" + r.ID.String(), Payment: p.Ref, Amount: r.Amount, Reason: r.Reason})
	}
	if err != nil {
		return d.noteRefusedKeys(ctx, db, p.Gateway, fmt.Errorf("refund %s: %w", r.ID, err))
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error { return settleRefund(ctx, tx, r.ID, gr) })
}

// settleRefund keeps what a gateway says of a refund. Money that went back is booked
// once; of one that failed the amount may be given back anew.
func settleRefund(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, gr gateway.Refunded) error {
	r, ok, err := oneRefund(ctx, tx, "r.id = ?", id)
	if err != nil || !ok {
		return err
	}
	p, err := lockPayment(ctx, tx, r.PaymentID)
	if err != nil {
		return err
	}
	if r, _, err = oneRefund(ctx, tx, "r.id = ?", id); err != nil {
		return err
	}
	state := gr.State
	switch state {
	case gateway.Cancelled:
		state = gateway.Failed
	case gateway.RequiresAction, gateway.Created:
		state = gateway.Processing
	}
	// The customer's bank may send back what had succeeded: that is the last word.
	if r.State == state || r.State == gateway.Failed || r.State == gateway.Succeeded && state != gateway.Failed {
		return nil
	}
	cameBack := r.State == gateway.Succeeded
	var ref any
	if gr.Ref != "" {
		ref = gr.Ref
	}
	_, err = tx.NewRaw("UPDATE refunds SET state = ?, ref = ?, problem = ?, changed_at = ? WHERE id = ?", string(state), ref, gr.Text, tx.Now(), id).Exec(ctx)
	if err != nil {
		return fmt.Errorf("update refund: %w", err)
	}
	switch state {
	case gateway.Succeeded:
		return invoicing.GivenBack(ctx, tx, invoicing.GivenBackMoney{InvoiceID: p.InvoiceID, PaymentID: p.ID, RefundID: r.ID, Gateway: p.Gateway, Amount: r.Amount, At: tx.Now()})
	case gateway.Failed:
		if err := reserve(ctx, tx, p.ID, -r.Amount.Minor); err != nil {
			return err
		}
		if cameBack {
			return invoicing.CameBack(ctx, tx, invoicing.GivenBackMoney{InvoiceID: p.InvoiceID, PaymentID: p.ID, RefundID: r.ID, Gateway: p.Gateway, Amount: r.Amount, At: tx.Now()})
		}
		return activity.Tell(ctx, tx, activity.Event{
			Key: "refund/" + r.ID.String() + "/failed", AccountID: p.AccountID, SubjectKind: activity.Invoice, SubjectID: p.InvoiceID, Kind: "refund.failed",
			Text: "Giving back " + r.Amount.Format("en") + " of invoice " + p.Invoice + " failed. " + gr.Text,
		})
	}
	return nil
}

// Uncredited lists the refunds of an invoice's payments that went out and have no credit
// note: what they gave back is owed again. The oldest first.
func Uncredited(ctx context.Context, tx *tenancy.Tx, invoice uuid.UUID) ([]Refund, error) {
	var rows []refundRow
	err := tx.NewRaw("SELECT "+refundColumns+refundTables+" WHERE p.invoice_id = ? AND r.state = 'succeeded' AND r.credit_note_id IS NULL ORDER BY r.created_at, r.id", invoice).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("list refunds without a credit note: %w", err)
	}
	all := make([]Refund, len(rows))
	for i, r := range rows {
		all[i] = r.refund()
	}
	return all, nil
}

// CreditRefund issues the credit note of a refund that has none, over what it gave back.
// Asking again gets the same note. Faults: refund.not_found, refund.not_paid, and
// invoicing's of the credit note.
func CreditRefund(ctx context.Context, db *tenancy.DB, invoice, id uuid.UUID, reason string, by audit.Origin) (note invoicing.Invoice, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		r, ok, err := oneRefund(ctx, tx, "r.id = ? AND p.invoice_id = ?", id, invoice)
		if err == nil && !ok {
			err = fault.New(fault.NotFound, "refund.not_found", "There is no such refund.")
		}
		if err != nil {
			return err
		}
		if _, err := lockPayment(ctx, tx, r.PaymentID); err != nil {
			return err
		}
		if r, _, err = oneRefund(ctx, tx, "r.id = ?", id); err != nil {
			return err
		}
		switch {
		case r.CreditNoteID != uuid.Nil:
			note, err = invoicing.Get(ctx, tx, r.CreditNoteID)
			return err
		case r.State != gateway.Succeeded:
			return fault.New(fault.Conflict, "refund.not_paid", "Only money that went back can be credited.")
		}
		if reason == "" {
			reason = "Refund"
		}
		note, err = invoicing.Credit(ctx, tx, invoicing.CreditRequest{Key: "credit/refund/" + id.String(), InvoiceID: invoice, Amount: r.Amount, Reason: reason})
		if err != nil {
			return err
		}
		if _, err := tx.NewRaw("UPDATE refunds SET credit_note_id = ?, changed_at = ? WHERE id = ?", note.ID, tx.Now(), id).Exec(ctx); err != nil {
			return fmt.Errorf("keep the credit note of a refund: %w", err)
		}
		return by.Record(ctx, tx, "refund.credited", audit.Target{Kind: "invoice", ID: invoice.String()}, map[string]any{"credit_note": note.Number, "amount": r.Amount.String(), "refund": r.Ref})
	})
	return note, err
}
