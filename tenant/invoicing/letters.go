package invoicing

import (
	"context"
	"fmt"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
)

// Letters writes to customers about their invoices. It is safe for concurrent use.
type Letters struct{ Mail *mail.Outbox }

// Write puts the letter of a job into the outbox, once a key, with a copy for whom the
// account chose. A customer who left no
// address is not written to.
func (l Letters) Write(ctx context.Context, db *tenancy.DB, job LetterJob) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		inv, err := Get(ctx, tx, job.InvoiceID)
		if err != nil {
			return err
		}
		doc, err := Stored(ctx, tx, job.InvoiceID)
		if err != nil || doc.Buyer.Email == "" {
			return err
		}
		m, err := job.message(inv, doc)
		if err != nil {
			return err
		}
		if err := l.Mail.Enqueue(ctx, tx, m); err != nil {
			return err
		}
		copies, err := account.Copies(ctx, tx, inv.AccountID, m.To)
		if err != nil {
			return err
		}
		for _, r := range copies {
			m.Key, m.To, m.Data["name"] = job.Key+"/"+r.ID.String(), r.Email, r.Name
			if err := l.Mail.Enqueue(ctx, tx, m); err != nil && !fault.Is(err, "mail.bad_address") {
				return err
			}
		}
		return nil
	})
}

// message is the letter to the buyer; without an address where they left none.
func (job LetterJob) message(inv Invoice, doc document.Document) (mail.Message, error) {
	m := mail.Message{Key: job.Key, Template: job.Letter, To: doc.Buyer.Email, Data: map[string]string{
		"name": doc.Buyer.Name, "number": inv.Number, "link": "/client/invoices/" + inv.ID.String(),
	}}
	switch job.Letter {
	case mail.InvoiceIssued:
		m.Data["total"], m.Data["open"], m.Data["due"] = inv.Total.Format(doc.Locale), said(inv.Due(), doc.Locale), doc.Day(inv.DueAt)
	case mail.PaymentReceived:
		m.Data["amount"] = billing.Money{Minor: job.AmountMinor, Currency: inv.Currency}.Format(doc.Locale)
		m.Data["open"] = said(inv.Due(), doc.Locale)
	case mail.CreditNote:
		m.Data["total"], m.Data["reason"], m.Data["invoice"] = inv.Total.Format(doc.Locale), doc.Reason, corrected(doc)
	default:
		return m, fmt.Errorf("there is no letter %q about invoices", job.Letter)
	}
	return m, nil
}

func corrected(d document.Document) string {
	if d.Corrects == nil {
		return ""
	}
	return d.Corrects.Number
}

// said is an amount in words, or nothing where nothing is owed.
func said(m billing.Money, locale string) string {
	if m.Minor <= 0 {
		return ""
	}
	return m.Format(locale)
}

// MailKey is the natural key of the mail that brought an invoice, for those who ask
// whether it was sent.
func MailKey(inv Invoice) string { return "invoice/" + inv.ID.String() + "/issued" }
