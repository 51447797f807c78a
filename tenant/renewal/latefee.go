package renewal

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
)

// feeKey begins the natural key of a late fee's invoice; the id of the invoice that is
// late follows.
const feeKey = "late_fee/"

// fee is what the shop asks for because an invoice is late, and when: nothing for what
// was issued before the shop asked for fees, and nothing twice.
func (p Policy) fee(b bill) (fee billing.Money, at time.Time) {
	if !p.Fee.On() || b.HasFee || b.IssuedAt.Before(p.FeeSince) {
		return fee, at
	}
	fee, err := p.Fee.Of(b.owed())
	if err != nil || fee.IsZero() {
		return billing.Money{}, at
	}
	return fee, b.base().Add(p.Fee.After)
}

// feeAt is when an invoice is looked at for its late fee; zero: it gets none.
func (p Policy) feeAt(b bill, now time.Time) time.Time {
	_, at := p.fee(b)
	if !at.IsZero() && !now.Before(at) {
		return now.Add(again)
	}
	return at
}

// lateFee makes the invoice of a late fee when its time has come, once an invoice. It is
// of no subscription: nothing is turned off because a fee is not paid. Who never got the
// invoice owes no fee for it.
func lateFee(ctx context.Context, w *work, s Subscription, b *bill) error {
	fee, at := w.policy.fee(*b)
	if at.IsZero() || w.tx.Now().Before(at) {
		return nil
	}
	told, err := delivered(ctx, w.tx, b.InvoiceID)
	if err != nil || !told {
		return err
	}
	_, err = invoicing.Issue(ctx, w.tx, invoicing.Draft{
		Key: feeKey + b.InvoiceID.String(), AccountID: b.AccountID, Currency: b.Currency, OnTerms: true,
		Lines: []billing.Line{{Kind: "fee", Description: "Late fee for invoice " + b.Number, Quantity: 1, Unit: fee, Tax: billing.TaxRule{Class: billing.Compensation}}},
	})
	if err != nil {
		return err
	}
	b.HasFee = true
	return tell(ctx, w.tx, s, "late_fee/"+b.InvoiceID.String(), "A late fee of "+fee.Format("en")+" was invoiced for invoice "+b.Number+".", true)
}

// feeOf is the open invoice of the late fee of an invoice; uuid.Nil: there is none.
func feeOf(ctx context.Context, tx *tenancy.Tx, b bill) (uuid.UUID, error) {
	if !b.HasFee {
		return uuid.Nil, nil
	}
	inv, err := invoicing.ByKey(ctx, tx, feeKey+b.InvoiceID.String())
	if fault.Is(err, "invoice.not_found") || err == nil && inv.State != invoicing.Open {
		return uuid.Nil, nil
	}
	return inv.ID, err
}

// chargeFee has the saved method charged for the late fee of an invoice that was paid.
func chargeFee(ctx context.Context, tx *tenancy.Tx, b bill) error {
	id, err := feeOf(ctx, tx, b)
	if err != nil || id == uuid.Nil {
		return err
	}
	_, err = payment.ChargeSaved(ctx, tx, id)
	return err
}

// abandonDebt gives an invoice up, and its late fee with it.
func abandonDebt(ctx context.Context, tx *tenancy.Tx, b bill) error {
	if err := invoicing.GiveUp(ctx, tx, b.InvoiceID); err != nil {
		return err
	}
	id, err := feeOf(ctx, tx, b)
	if err != nil || id == uuid.Nil {
		return err
	}
	return invoicing.GiveUp(ctx, tx, id)
}
