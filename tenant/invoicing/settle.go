package invoicing

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// Application is money that came for an invoice.
type Application struct {
	InvoiceID uuid.UUID
	PaymentID uuid.UUID // ours: applied once, however often it is told
	Gateway   string
	Amount    billing.Money
	At        time.Time // zero: now
}

// Applied books a payment: the invoice's paid amount, its state, the books and what the
// platform sees. When nothing is owed any more PaidJob follows. What is more than owed
// is booked as well and can be given back. Faults: invoice.not_found,
// invoice.bad_amount.
func Applied(ctx context.Context, tx *tenancy.Tx, a Application) error {
	inv, key, known, err := begin(ctx, tx, a.InvoiceID, "payment/"+a.PaymentID.String(), a.Amount)
	if err != nil || known {
		return err
	}
	if a.At.IsZero() {
		a.At = tx.Now()
	}
	if inv.Kind == document.TopUp {
		err = toppedUp(ctx, tx, inv, a)
	} else {
		err = post(ctx, tx, key, "payment", a.PaymentID, inv, billing.PostPayment(a.Gateway, a.Amount))
	}
	if err != nil {
		return err
	}
	if inv.Paid, err = inv.Paid.Add(a.Amount); err != nil {
		return err
	}
	err = tx.RecordRevenue(ctx, tenancy.Revenue{Key: key, Kind: "paid", Currency: inv.Currency, Minor: a.Amount.Minor, At: a.At})
	if err != nil {
		return err
	}
	inv, settled, err := settle(ctx, tx, inv, a.At)
	if err != nil {
		return err
	}
	news := []webhook.News{{Type: webhook.PaymentSucceeded, Data: webhook.PaymentData{
		ID: a.PaymentID, AccountID: inv.AccountID, InvoiceID: inv.ID, InvoiceNumber: inv.Number, Amount: webhook.AmountOf(a.Amount),
	}}}
	if inv.Kind == document.TopUp {
		return tell(ctx, tx, event{key, inv, "invoice.payment", a.Amount.Format("en") + " were received for " + inv.Number + ".", news})
	}
	if settled {
		news = append(news, webhook.News{Type: webhook.InvoicePaid, Data: data(inv)})
	}
	if err := tell(ctx, tx, event{key, inv, "invoice.payment", a.Amount.Format("en") + " were received for invoice " + inv.Number + ".", news}); err != nil {
		return err
	}
	if settled {
		if _, err := tx.Enqueue(ctx, PaidJob{InvoiceID: inv.ID}, tenancy.JobOptions{Key: inv.ID.String() + "/" + a.PaymentID.String()}); err != nil {
			return err
		}
	}
	return enqueueLetter(ctx, tx, LetterJob{Letter: mail.PaymentReceived, InvoiceID: inv.ID, AmountMinor: a.Amount.Minor, Key: key + "/received"})
}

// GivenBackMoney is money that went back to the customer.
type GivenBackMoney struct {
	InvoiceID uuid.UUID
	PaymentID uuid.UUID // it was paid with
	RefundID  uuid.UUID // ours: booked once
	Gateway   string
	Amount    billing.Money
	At        time.Time // zero: now
}

// GivenBack books a refund. Without a credit note what was given back is owed again,
// and the invoice is open. Faults: invoice.not_found, invoice.bad_amount.
func GivenBack(ctx context.Context, tx *tenancy.Tx, g GivenBackMoney) error {
	inv, key, known, err := begin(ctx, tx, g.InvoiceID, "refund/"+g.RefundID.String(), g.Amount)
	if err != nil || known {
		return err
	}
	if g.At.IsZero() {
		g.At = tx.Now()
	}
	moves := billing.PostRefund(g.Gateway, g.Amount)
	if inv.Kind == document.TopUp { // it was taken from the credit when it was asked for
		moves = billing.PostCreditPaidOut(g.Gateway, g.Amount)
	}
	if err := post(ctx, tx, key, "refund", g.RefundID, inv, moves); err != nil {
		return err
	}
	if inv.Paid, err = inv.Paid.Sub(g.Amount); err != nil {
		return err
	}
	err = tx.RecordRevenue(ctx, tenancy.Revenue{Key: key, Kind: "refunded", Currency: inv.Currency, Minor: g.Amount.Minor, At: g.At})
	if err != nil {
		return err
	}
	news := []webhook.News{{Type: webhook.PaymentRefunded, Data: webhook.PaymentData{
		ID: g.PaymentID, AccountID: inv.AccountID, InvoiceID: inv.ID, InvoiceNumber: inv.Number, Amount: webhook.AmountOf(g.Amount), RefundID: &g.RefundID,
	}}}
	if err := tell(ctx, tx, event{key, inv, "invoice.refund", g.Amount.Format("en") + " of invoice " + inv.Number + " were given back.", news}); err != nil {
		return err
	}
	_, _, err = settle(ctx, tx, inv, g.At)
	return err
}

// CameBack books that a refund which had gone out was sent back by the customer's bank:
// the money is the shop's again, and a credit note that was issued with it is owed to the
// customer. Where nothing is owed any more PaidJob follows. Faults: invoice.not_found,
// invoice.bad_amount.
func CameBack(ctx context.Context, tx *tenancy.Tx, g GivenBackMoney) error {
	inv, key, known, err := begin(ctx, tx, g.InvoiceID, "refund/"+g.RefundID.String()+"/came_back", g.Amount)
	if err != nil || known {
		return err
	}
	if g.At.IsZero() {
		g.At = tx.Now()
	}
	moves := billing.PostPayment(g.Gateway, g.Amount)
	if inv.Kind == document.TopUp {
		moves = billing.PostCreditPaidOut(g.Gateway, billing.Money{Minor: -g.Amount.Minor, Currency: g.Amount.Currency})
	}
	if err := post(ctx, tx, key, "refund", g.RefundID, inv, moves); err != nil {
		return err
	}
	if inv.Paid, err = inv.Paid.Add(g.Amount); err != nil {
		return err
	}
	err = tx.RecordRevenue(ctx, tenancy.Revenue{Key: key, Kind: "paid", Currency: inv.Currency, Minor: g.Amount.Minor, At: g.At})
	if err != nil {
		return err
	}
	text := "The bank sent back " + g.Amount.Format("en") + " that had been given back of invoice " + inv.Number + "."
	if err := tell(ctx, tx, event{key, inv, "invoice.refund_returned", text, nil}); err != nil {
		return err
	}
	inv, paid, err := settle(ctx, tx, inv, g.At)
	if err != nil || !paid || inv.Kind == document.TopUp {
		return err
	}
	// It may have gone out before anybody did what follows a payment.
	_, err = tx.Enqueue(ctx, PaidJob{InvoiceID: inv.ID}, tenancy.JobOptions{Key: inv.ID.String() + "/" + g.RefundID.String() + "/came_back"})
	return err
}

// ContestedMoney is what moves of a payment because of a dispute.
type ContestedMoney struct {
	Key       string // natural key of the movement: booked once
	InvoiceID uuid.UUID
	PaymentID uuid.UUID
	Gateway   string
	Withdrawn billing.Money // taken by the gateway; negative: given back to the shop
	Lost      billing.Money // of what was taken: gone for good
}

// Contested books money that a gateway holds back because of a dispute. The invoice
// stays as it is: whether it is owed again, the shop decides. Fault: invoice.not_found.
func Contested(ctx context.Context, tx *tenancy.Tx, m ContestedMoney) error {
	inv, err := lock(ctx, tx, m.InvoiceID)
	if err != nil {
		return err
	}
	if known, err := posted(ctx, tx, m.Key); err != nil || known {
		return err
	}
	moves := billing.PostDispute(m.Gateway, m.Withdrawn, m.Lost)
	if len(moves) == 0 {
		return nil
	}
	return post(ctx, tx, m.Key, "dispute", m.PaymentID, inv, moves)
}

// begin locks the invoice of a movement and looks whether it was booked before.
func begin(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, key string, amount billing.Money) (inv Invoice, _ string, known bool, err error) {
	if inv, err = lock(ctx, tx, id); err != nil {
		return inv, key, false, err
	}
	if inv.Kind == document.CreditNote || inv.State == drafted || amount.Minor <= 0 || amount.Minor > billing.MaxMinor || amount.Currency != inv.Currency {
		return inv, key, false, fault.New(fault.Invalid, "invoice.bad_amount", "An amount is more than nothing and of the invoice's currency.")
	}
	known, err = posted(ctx, tx, key)
	return inv, key, known, err
}

// settle keeps what was paid and credited, and the state that follows. It returns the
// invoice as it stands then, and whether it was paid just now.
func settle(ctx context.Context, tx *tenancy.Tx, inv Invoice, at time.Time) (Invoice, bool, error) {
	was := inv.State
	inv.settle(at)
	_, err := tx.NewRaw(`UPDATE invoices SET paid_minor = ?, credit_minor = ?, credited_minor = ?, state = ?, paid_at = ?, changed_at = ?,
		next_try_at = CASE WHEN ? = 'open' THEN next_try_at END WHERE id = ?`,
		inv.Paid.Minor, orNone(inv.ByCredit.Minor), inv.Credited.Minor, string(inv.State), whenSet(inv.PaidAt), tx.Now(), string(inv.State), inv.ID).Exec(ctx)
	if err != nil {
		return inv, false, fmt.Errorf("settle %s: %w", inv.Number, err)
	}
	return inv, inv.State == Paid && was != Paid, nil
}

// settle is the state that follows from what was paid and credited.
func (i *Invoice) settle(at time.Time) {
	switch due, was := i.Due().Minor, i.State; {
	case due > 0 && (was == Paid || was == Void):
		i.State, i.PaidAt = Open, time.Time{}
	case due <= 0 && i.Paid.Minor > 0 && was != Paid:
		i.State, i.PaidAt = Paid, at
	case due <= 0 && was == Open, due <= 0 && was == Uncollectible:
		i.State = Void
	}
}

// MarkFailedTry notes that an attempt to collect an invoice failed, and when the next
// one is made; zero: nobody tries.
func MarkFailedTry(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, next time.Time) error {
	return mark(ctx, tx, id, "tries = tries + 1, next_try_at = ?", whenSet(next))
}

// AskToConfirm notes that only the customer can pay an open invoice: their bank wants to
// be answered. It is no failed attempt.
func AskToConfirm(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) error {
	return mark(ctx, tx, id, "asked_at = ?", tx.Now())
}

// GiveTime notes that the customer of an open invoice was given a week more, now.
func GiveTime(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) error {
	return mark(ctx, tx, id, "week_at = ?", tx.Now())
}

// ScheduleTries says when open invoices are to be collected; zero: nobody tries.
func ScheduleTries(ctx context.Context, tx *tenancy.Tx, tries map[uuid.UUID]time.Time) error {
	if len(tries) == 0 {
		return nil
	}
	type row struct {
		ID uuid.UUID  `json:"id"`
		At *time.Time `json:"at"`
	}
	at := make([]row, 0, len(tries))
	for id, t := range tries {
		at = append(at, row{ID: id, At: whenSet(t)})
	}
	rows, err := json.Marshal(at)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`UPDATE invoices i SET next_try_at = r.at, changed_at = ? FROM jsonb_to_recordset(?::jsonb) AS r(id uuid, at timestamptz)
		WHERE i.id = r.id AND i.kind = 'invoice' AND i.state = 'open'`, tx.Now(), string(rows)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("schedule %d invoices: %w", len(tries), err)
	}
	return nil
}

// GiveUp marks an open invoice as one that will not be paid. What comes for it after
// all is booked all the same.
func GiveUp(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) error {
	return mark(ctx, tx, id, "state = 'uncollectible', next_try_at = NULL")
}

func mark(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, set string, args ...any) error {
	args = append(args, tx.Now(), id)
	_, err := tx.NewRaw("UPDATE invoices SET "+set+", changed_at = ? WHERE id = ? AND kind = 'invoice' AND state = 'open'", args...).Exec(ctx)
	if err != nil {
		return fmt.Errorf("mark invoice %s: %w", id, err)
	}
	return nil
}
