package checkout

import (
	"context"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/payment"
)

// TryFailed writes to who ordered, once a try, when an order could not be charged without
// them: the card was declined, or the bank wants them to confirm. The link leads to paying
// without signing in. Nothing is done for what is no order's.
func (d *Desk) TryFailed(ctx context.Context, db *tenancy.DB, f payment.FailedTry) error {
	if f.PaymentID == uuid.Nil {
		return nil // there was nothing to charge
	}
	ask := map[billing.Refusal]string{billing.RefusedHard: "replace", billing.RefusedUnconfirmed: "confirm"}[f.Decline]
	try := strconv.Itoa(f.Try)
	if f.MethodID != uuid.Nil { // outside of the schedule
		try = f.PaymentID.String()
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		o, found, err := byInvoice(ctx, tx, f.InvoiceID)
		if err != nil || !found || o.State != AwaitingPayment {
			return err
		}
		p, err := payment.Get(ctx, tx, f.PaymentID)
		if err != nil {
			return err
		}
		var to struct{ Name, Email string }
		if err := tx.NewRaw("SELECT name, email FROM people WHERE id = ?", o.PersonID).Scan(ctx, &to); err != nil {
			return fmt.Errorf("read who ordered: %w", err)
		}
		all, err := account.Copies(ctx, tx, o.AccountID, to.Email)
		if err != nil {
			return err
		}
		all = append([]account.Reader{{ID: o.PersonID, Name: to.Name, Email: to.Email}}, all...)
		for _, r := range all {
			err := d.Mail.Enqueue(ctx, tx, mail.Message{
				Key: "invoice/" + f.InvoiceID.String() + "/failed/" + try + "/" + r.ID.String(), Template: mail.PaymentFailed, To: r.Email,
				Data: map[string]string{"name": r.Name, "what": What(o.Items), "number": p.Invoice, "amount": p.Amount.Format("en"), "reason": p.DeclineText, "next": "", "week": "", "ask": ask, "link": d.payLink(tx, f.InvoiceID)},
			})
			if err != nil && !fault.Is(err, "mail.bad_address") {
				return err
			}
		}
		return nil
	})
}

// payLink is where a letter leads to: to paying without signing in.
func (d *Desk) payLink(tx *tenancy.Tx, invoice uuid.UUID) string {
	if d.Links == nil {
		return "/client/invoices/" + invoice.String() + "/pay"
	}
	return d.Links.Path(tx.TenantID(), invoice, payment.LetterFailed, tx.Now().Add(payment.LinkHolds))
}
