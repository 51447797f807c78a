package payment

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/transfer"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// ConfirmTransfer says that the money of a transfer came, and how much. Money that came
// after the transfer was given up counts too, and what came for an invoice that was
// cancelled is credit of its account (see invoicing.Late). Confirming again changes nothing.
// Faults: payment.not_found, payment.not_by_hand, payment.bad_amount.
func ConfirmTransfer(ctx context.Context, db *tenancy.DB, id uuid.UUID, received billing.Money, by audit.Origin) (p Payment, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if p, err = lockPayment(ctx, tx, id); err != nil {
			return err
		}
		if p.Gateway != transfer.Code {
			return fault.New(fault.Conflict, "payment.not_by_hand", "The gateway tells by itself when this payment has come.")
		}
		if p.State == gateway.Succeeded {
			return nil
		}
		if received.Currency != p.Amount.Currency || received.Minor <= 0 || received.Minor > maxReceived {
			return fault.Field("amount", "payment.bad_amount", "Give the amount that came, in "+p.Amount.Currency+".")
		}
		asked := p.Amount
		if p, err = rehome(ctx, tx, p, received); err != nil {
			return err
		}
		p, err = Settle(ctx, tx, id, gateway.Payment{Ref: p.Ref, Key: p.Key, State: gateway.Succeeded, Amount: asked, Received: received})
		if err != nil {
			return err
		}
		return by.Record(ctx, tx, "payment.confirmed", audit.Target{Kind: "payment", ID: id.String()},
			map[string]any{"invoice": p.Invoice, "asked": asked.String(), "received": received.String()})
	})
	return p, err
}

// ReceiveTransfer books money that came by bank for an invoice: to the transfer that is
// awaited, or where none is, as a payment of its own, also of an invoice on which nothing is
// owed any more. What comes for an invoice that was cancelled is credit of its account (see
// invoicing.Late), and so is what comes for a top-up that lapsed. Callers see to it that they
// book the same money once; the key names the payment. Faults: invoice.not_found,
// payment.bad_amount, gateway.unknown.
func ReceiveTransfer(ctx context.Context, tx *tenancy.Tx, invoiceID uuid.UUID, key string, received billing.Money) (Payment, error) {
	inv, err := lockInvoice(ctx, tx, invoiceID)
	switch {
	case err != nil:
		return Payment{}, err
	case received.Currency != inv.Currency || received.Minor <= 0 || received.Minor > maxReceived:
		return Payment{}, fault.New(fault.Conflict, "payment.bad_amount", "Invoice "+inv.Number+" is in "+inv.Currency+".")
	}
	if inv.cancelled() {
		late, err := invoicing.Late(ctx, tx, inv.ID, key, received)
		if err != nil {
			return Payment{}, err
		}
		if inv, err = lockInvoice(ctx, tx, late.ID); err != nil {
			return Payment{}, err
		}
	}
	p, ok, err := find(ctx, tx, "p.invoice_id = ? AND p.gateway = ? AND "+underWay, inv.ID, transfer.Code)
	if err != nil {
		return p, err
	}
	if !ok {
		if p, err = insertTransfer(ctx, tx, inv, key, received); err != nil {
			return p, err
		}
	}
	ref := p.Ref
	if ref == "" {
		ref = transfer.Ref(p.Key)
	}
	return Settle(ctx, tx, p.ID, gateway.Payment{Ref: ref, Key: p.Key, State: gateway.Succeeded, Amount: p.Amount, Received: received})
}

// cancelled reports an invoice on which nothing is owed any more though nothing was paid. A
// top-up that lapsed is none: what comes for it is what it was to become.
func (i invoice) cancelled() bool { return i.State == "void" && i.Kind != document.TopUp }

// rehome makes a transfer for a cancelled invoice one for the top-up its money becomes.
func rehome(ctx context.Context, tx *tenancy.Tx, p Payment, received billing.Money) (Payment, error) {
	inv, err := lockInvoice(ctx, tx, p.InvoiceID)
	if err != nil || !inv.cancelled() {
		return p, err
	}
	late, err := invoicing.Late(ctx, tx, inv.ID, p.Key, received)
	if err != nil {
		return p, err
	}
	if _, err := tx.NewRaw("UPDATE payments SET invoice_id = ?, changed_at = ? WHERE id = ?", late.ID, tx.Now(), p.ID).Exec(ctx); err != nil {
		return p, fmt.Errorf("make a transfer one for credit: %w", err)
	}
	return Get(ctx, tx, p.ID)
}

// insertTransfer makes the payment of a transfer that nobody had announced. It is given up
// before it begins, so that it is in the way of none that is under way: money that comes
// counts all the same.
func insertTransfer(ctx context.Context, tx *tenancy.Tx, inv invoice, key string, received billing.Money) (Payment, error) {
	var known bool
	if err := tx.NewRaw("SELECT EXISTS (SELECT FROM gateways WHERE code = ?)", transfer.Code).Scan(ctx, &known); err != nil {
		return Payment{}, fmt.Errorf("look for bank transfer: %w", err)
	}
	if !known {
		return Payment{}, fault.New(fault.Conflict, "gateway.unknown", "Set bank transfer up first, in the settings of payments.")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Payment{}, err
	}
	_, err = tx.NewRaw(`INSERT INTO payments (id, key, invoice_id, account_id, gateway, currency, amount_minor, refunded_minor, state, decline_code, decline_text, on_session, created_at, changed_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, 0, 'cancelled', '', '', false, ?, ?)`, id, key, inv.ID, inv.AccountID, transfer.Code, inv.Currency, received.Minor, tx.Now(), tx.Now()).Exec(ctx)
	if err != nil {
		return Payment{}, fmt.Errorf("insert transfer: %w", err)
	}
	return Get(ctx, tx, id)
}

// maxReceived bounds what one transfer can be.
const maxReceived = 1_000_000_000_000

// ConfirmRefund says that money was sent back by hand. Faults: refund.not_found,
// payment.not_by_hand.
func ConfirmRefund(ctx context.Context, db *tenancy.DB, id uuid.UUID, by audit.Origin) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		r, ok, err := oneRefund(ctx, tx, "r.id = ?", id)
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.NotFound, "refund.not_found", "There is no such refund.")
		}
		p, err := lockPayment(ctx, tx, r.PaymentID)
		if err != nil {
			return err
		}
		if p.Gateway != transfer.Code {
			return fault.New(fault.Conflict, "payment.not_by_hand", "The gateway tells by itself when this payment has come.")
		}
		if r.State.Final() {
			return nil
		}
		if err := settleRefund(ctx, tx, id, gateway.Refunded{Ref: r.Ref, State: gateway.Succeeded, Amount: r.Amount}); err != nil {
			return err
		}
		return by.Record(ctx, tx, "refund.confirmed", audit.Target{Kind: "payment", ID: p.ID.String()}, map[string]any{"invoice": p.Invoice, "amount": r.Amount.String()})
	})
}
