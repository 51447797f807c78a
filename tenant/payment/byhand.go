package payment

import (
	"context"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/transfer"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// ConfirmTransfer says that the money of a transfer came, and how much. Money that came
// after the transfer was given up counts too. Confirming again changes nothing. Faults:
// payment.not_found, payment.not_by_hand, payment.bad_amount.
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
		p, err = Settle(ctx, tx, id, gateway.Payment{Ref: p.Ref, Key: p.Key, State: gateway.Succeeded, Amount: asked, Received: received})
		if err != nil {
			return err
		}
		return by.Record(ctx, tx, "payment.confirmed", audit.Target{Kind: "payment", ID: id.String()},
			map[string]any{"invoice": p.Invoice, "asked": asked.String(), "received": received.String()})
	})
	return p, err
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
