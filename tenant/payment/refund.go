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
	ToCredit   bool // it becomes credit of the account: no money moves
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
	ToCredit     bool // it became credit
}

type refundRow struct {
	ID, PaymentID, CreditNoteID                                       uuid.UUID
	Key, CreditNote, Currency, State, Ref, Reason, Problem, CreatedBy string
	AmountMinor                                                       int64
	ToCredit                                                          bool
	CreatedAt, ChangedAt                                              time.Time
}

const refundColumns = `r.id, r.key, r.payment_id, coalesce(r.credit_note_id, '00000000-0000-0000-0000-000000000000') AS credit_note_id,
	coalesce(c.number, '') AS credit_note, p.currency, r.amount_minor, r.state, coalesce(r.ref, '') AS ref, r.reason, r.problem, r.created_by, r.created_at, r.changed_at, r.grant_id IS NOT NULL AS to_credit`

const refundTables = " FROM refunds r JOIN payments p ON p.id = r.payment_id LEFT JOIN invoices c ON c.id = r.credit_note_id"

func (r refundRow) refund() Refund {
	return Refund{
		ID: r.ID, Key: r.Key, PaymentID: r.PaymentID, CreditNoteID: r.CreditNoteID, CreditNote: r.CreditNote,
		Amount: billing.Money{Minor: r.AmountMinor, Currency: r.Currency}, State: gateway.State(r.State), Ref: r.Ref,
		Reason: r.Reason, Problem: r.Problem, CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt, ChangedAt: r.ChangedAt, ToCredit: r.ToCredit,
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

// GiveBack has a job give money back, all or a part of a payment, or makes credit of it
// now. With a credit note it is issued now. Asking again with the key gives back once. Faults: payment.not_found,
// refund.bad_amount, refund.not_paid, refund.disputed, and invoicing's of the credit note.
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
		left, away := p.Left(), p.Away()
		if left.IsZero() && away.Minor > 0 {
			return fault.New(fault.Conflict, "refund.disputed", "The customer's bank has taken this money back because of a dispute: it cannot be given back a second time.")
		}
		if q.Amount.Currency != left.Currency || q.Amount.Minor <= 0 || q.Amount.Minor > left.Minor {
			return fault.Field("amount", "refund.bad_amount", "Give an amount of at most "+left.Format("en")+".")
		}
		if p.TopUp { // there is no invoice to credit, and it is credit already
			q.CreditNote, q.ToCredit = false, false
		}
		if out, err = insertRefund(ctx, tx, p, q, by); err != nil {
			return err
		}
		if err := q.carryOut(ctx, tx, p, &out); err != nil {
			return err
		}
		return by.Record(ctx, tx, "payment.refunded", audit.Target{Kind: "payment", ID: p.ID.String()},
			map[string]any{"invoice": p.Invoice, "amount": q.Amount.String(), "reason": q.Reason, "credit_note": q.CreditNote, "to_credit": q.ToCredit})
	})
	return out, err
}

// carryOut has a refund sent to its gateway after the commit, or makes credit of it.
func (q RefundRequest) carryOut(ctx context.Context, tx *tenancy.Tx, p Payment, r *Refund) error {
	if p.TopUp {
		if err := invoicing.WithdrawTopUp(ctx, tx, p.ID, r.ID, r.Amount, false, r.CreatedBy); err != nil {
			return err
		}
	}
	if !q.ToCredit {
		_, err := tx.Enqueue(ctx, RefundJob{RefundID: r.ID}, tenancy.JobOptions{Key: r.ID.String()})
		return err
	}
	g, err := invoicing.ToCredit(ctx, tx, invoicing.Back{Key: "refund/" + r.ID.String(), InvoiceID: p.InvoiceID, Amount: r.Amount, Actor: r.CreatedBy}, q.Reason)
	if err != nil {
		return err
	}
	r.State, r.ToCredit = gateway.Succeeded, true
	if _, err := tx.NewRaw("UPDATE refunds SET state = ?, grant_id = ?, changed_at = ? WHERE id = ?", string(r.State), g.ID, tx.Now(), r.ID).Exec(ctx); err != nil {
		return fmt.Errorf("keep that a refund is credit: %w", err)
	}
	return nil
}

// ReturnCredit gives credit that had paid an invoice back to the account's credit, with a
// credit note over it or without. Asking again with the key gives back once. Faults:
// invoicing's of both.
func ReturnCredit(ctx context.Context, db *tenancy.DB, invoice uuid.UUID, q RefundRequest, by audit.Origin) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		if _, err := lockInvoice(ctx, tx, invoice); err != nil {
			return err
		}
		key := invoice.String() + "/" + q.Key
		if err := invoicing.ReturnCredit(ctx, tx, invoicing.Back{Key: key, InvoiceID: invoice, Amount: q.Amount, Actor: by.Actor.Name}); err != nil {
			return err
		}
		if q.CreditNote {
			if _, err := invoicing.Credit(ctx, tx, invoicing.CreditRequest{Key: "credit/returned/" + key, InvoiceID: invoice, Amount: q.Amount, Reason: q.Reason}); err != nil {
				return err
			}
		}
		return by.Record(ctx, tx, "invoice.credit_returned", audit.Target{Kind: "invoice", ID: invoice.String()},
			map[string]any{"amount": q.Amount.String(), "reason": q.Reason, "credit_note": q.CreditNote})
	})
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
	if err != nil || r.State == gateway.Failed || r.State.Final() && !job.Found {
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
	if err := tellPlatform(ctx, tx, p); err != nil {
		return err
	}
	switch state {
	case gateway.Succeeded:
		return invoicing.GivenBack(ctx, tx, invoicing.GivenBackMoney{InvoiceID: p.InvoiceID, PaymentID: p.ID, RefundID: r.ID, Gateway: p.Gateway, Amount: r.Amount, At: tx.Now()})
	case gateway.Failed:
		if err := reserve(ctx, tx, p.ID, -r.Amount.Minor); err != nil {
			return err
		}
		if p.TopUp {
			if err := invoicing.RestoreTopUp(ctx, tx, p.ID, r.ID, r.Amount); err != nil {
				return err
			}
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
	err := tx.NewRaw("SELECT "+refundColumns+refundTables+" WHERE p.invoice_id = ? AND r.state = 'succeeded' AND r.credit_note_id IS NULL AND EXISTS (SELECT FROM invoices i WHERE i.id = p.invoice_id AND i.kind = 'invoice') ORDER BY r.created_at, r.id", invoice).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("list refunds without a credit note: %w", err)
	}
	all := make([]Refund, len(rows))
	for i, r := range rows {
		all[i] = r.refund()
	}
	return all, nil
}

// OnTheWayBack is what is being given back of an invoice's payments and has not left yet,
// in the smallest units of the invoice's currency.
func OnTheWayBack(ctx context.Context, tx *tenancy.Tx, invoice uuid.UUID) (minor int64, err error) {
	err = tx.NewRaw("SELECT coalesce(sum(r.amount_minor), 0)::bigint"+refundTables+" WHERE p.invoice_id = ? AND r.state IN ('created', 'processing', 'requires_action')", invoice).Scan(ctx, &minor)
	if err != nil {
		return 0, fmt.Errorf("sum refunds on their way: %w", err)
	}
	return minor, nil
}

// CreditRefund issues the credit note of a refund that has none, over what it gave back. What
// waited for the invoice goes on where nothing is owed any more.
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
		note, err = invoicing.Credit(ctx, tx, invoicing.CreditRequest{Key: "credit/refund/" + id.String(), InvoiceID: invoice, Amount: r.Amount, Reason: reason, Settles: true})
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
