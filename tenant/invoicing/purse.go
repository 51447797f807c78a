package invoicing

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/credit"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// spendOn pays invoices that were issued just now with their accounts' credit, and puts
// what they are then in their place.
func spendOn(ctx context.Context, tx *tenancy.Tx, news []Invoice, buyers map[uuid.UUID]buyer) error {
	var wants []credit.Want
	for _, inv := range news {
		if buyers[inv.AccountID].hasCredit && inv.Owed().Minor > 0 {
			wants = append(wants, credit.Want{AccountID: inv.AccountID, InvoiceID: inv.ID, Owed: inv.Owed()})
		}
	}
	spent, err := credit.Spend(ctx, tx, wants, false)
	if err != nil {
		return err
	}
	for i, inv := range news {
		if m, ok := spent[inv.ID]; ok {
			inv.Paid.Minor += m.Minor
			inv.ByCredit.Minor += m.Minor
			if news[i], _, err = settle(ctx, tx, inv, tx.Now()); err != nil {
				return err
			}
		}
	}
	return nil
}

// byCredit is the line of the timeline about credit that paid.
func byCredit(inv Invoice, key string, m billing.Money) event {
	return event{key: key, invoice: inv, kind: "invoice.credit_used", text: m.Format("en") + " of credit paid invoice " + inv.Number + "."}
}

// UseCredit pays what an open invoice is owed with its account's credit, as far as it
// goes, and says how much that was. Without byHand, an account that spends its credit
// itself is left alone. While a payment is under way nothing is spent, or it would be paid
// twice: byHand the fault is payment.busy. Faults: invoice.not_found; byHand also
// invoice.nothing_due and credit.none.
func UseCredit(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, byHand bool, actor string) (spent billing.Money, err error) {
	inv, err := lock(ctx, tx, id)
	if err != nil {
		return spent, err
	}
	spent.Currency = inv.Currency
	refuse := func(why error) (billing.Money, error) {
		if !byHand {
			return spent, nil
		}
		return spent, why
	}
	if inv.Owed().Minor <= 0 {
		return refuse(fault.New(fault.Conflict, "invoice.nothing_due", "Nothing is owed on this invoice any more."))
	}
	var paying bool
	err = tx.NewRaw("SELECT EXISTS (SELECT FROM payments WHERE invoice_id = ? AND state IN ('created', 'requires_action', 'processing'))", id).Scan(ctx, &paying)
	if err != nil {
		return spent, fmt.Errorf("look for payments: %w", err)
	}
	if paying {
		return refuse(fault.New(fault.Conflict, "payment.busy", "A payment of this invoice is under way. Please wait for its outcome."))
	}
	all, err := credit.Spend(ctx, tx, []credit.Want{{AccountID: inv.AccountID, InvoiceID: inv.ID, Owed: inv.Owed(), Actor: actor}}, byHand)
	if err != nil {
		return spent, err
	}
	if spent = all[id]; spent.Minor == 0 {
		spent.Currency = inv.Currency
		return refuse(fault.New(fault.Conflict, "credit.none", "There is no credit in "+inv.Currency+" that could pay this invoice."))
	}
	inv.Paid.Minor += spent.Minor
	inv.ByCredit.Minor += spent.Minor
	inv, paid, err := settle(ctx, tx, inv, tx.Now())
	if err != nil {
		return spent, err
	}
	key, err := uuid.NewV7()
	if err != nil {
		return spent, err
	}
	e := byCredit(inv, "invoice/"+id.String()+"/credit/"+key.String(), spent)
	if paid {
		e.news = []webhook.News{{Type: webhook.InvoicePaid, Data: data(inv)}}
		if _, err := tx.Enqueue(ctx, PaidJob{InvoiceID: id}, tenancy.JobOptions{Key: id.String() + "/" + key.String()}); err != nil {
			return spent, err
		}
	}
	return spent, tell(ctx, tx, e)
}

// PayWithCredit is UseCredit as a change of its own, made by a person.
func PayWithCredit(ctx context.Context, db *tenancy.DB, id uuid.UUID, by audit.Origin) (spent billing.Money, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if spent, err = UseCredit(ctx, tx, id, true, by.Actor.Name); err != nil {
			return err
		}
		return by.Record(ctx, tx, "invoice.paid_by_credit", audit.Target{Kind: "invoice", ID: id.String()}, map[string]any{"amount": spent.String()})
	})
	return spent, err
}

// backToCredit gives what credit had paid of a locked invoice back to it; the caller keeps
// the invoice.
func backToCredit(ctx context.Context, tx *tenancy.Tx, inv Invoice, amount billing.Money, actor string) (Invoice, error) {
	if amount.Currency != inv.Currency || amount.Minor <= 0 || amount.Minor > inv.ByCredit.Minor {
		return inv, fault.Field("amount", "credit.too_much", "Credit paid "+inv.ByCredit.Format("en")+" of this invoice.")
	}
	if err := credit.Return(ctx, tx, credit.Want{AccountID: inv.AccountID, InvoiceID: inv.ID, Actor: actor}, amount); err != nil {
		return inv, err
	}
	inv.Paid.Minor -= amount.Minor
	inv.ByCredit.Minor -= amount.Minor
	if inv.State == Paid && inv.Paid.Minor == 0 {
		inv.State = Open
	}
	return inv, nil
}

// Back is what goes back to an account's credit.
type Back struct {
	Key       string // natural key: it goes back once
	InvoiceID uuid.UUID
	Amount    billing.Money
	Actor     string
}

// ReturnCredit gives credit that had paid an invoice back: it was no money and becomes
// none. Without a credit note it is owed again. Going back again with the key goes back
// once. Faults: invoice.not_found, invoice.bad_amount, credit.too_much.
func ReturnCredit(ctx context.Context, tx *tenancy.Tx, b Back) error {
	inv, key, _, err := begin(ctx, tx, b.InvoiceID, "returned/"+b.Key, b.Amount)
	if err != nil {
		return err
	}
	var known bool
	if err := tx.NewRaw("SELECT EXISTS (SELECT FROM timeline WHERE key = ?)", key).Scan(ctx, &known); err != nil || known {
		return err
	}
	if inv, err = backToCredit(ctx, tx, inv, b.Amount, b.Actor); err != nil {
		return err
	}
	if inv.State == Open && inv.Due().Minor <= 0 { // credited in full: it is not owed again
		inv.State = Paid
	}
	if err := tell(ctx, tx, event{key: key, invoice: inv, kind: "invoice.credit_returned", text: b.Amount.Format("en") + " of invoice " + inv.Number + " went back to credit."}); err != nil {
		return err
	}
	_, _, err = settle(ctx, tx, inv, tx.Now())
	return err
}

// ToCredit makes credit of money that was paid for an invoice, instead of giving it back.
// Without a credit note it is owed again. The grant's key is the Back's. Faults:
// invoice.not_found, invoice.bad_amount, credit.too_much, and credit's.
func ToCredit(ctx context.Context, tx *tenancy.Tx, b Back, note string) (credit.Grant, error) {
	inv, key, _, err := begin(ctx, tx, b.InvoiceID, b.Key, b.Amount)
	if err != nil {
		return credit.Grant{}, err
	}
	if g, err := credit.Get(ctx, tx, credit.IDOf(key)); err == nil || !fault.Is(err, "credit.not_found") {
		return g, err
	}
	if inv.Kind != document.Invoice || b.Amount.Minor > inv.Received().Minor {
		return credit.Grant{}, fault.Field("amount", "credit.too_much", "At most "+inv.Received().Format("en")+" were paid for this invoice.")
	}
	g, err := credit.Give(ctx, tx, credit.New{Key: key, AccountID: inv.AccountID, Kind: credit.Refund, Bought: true, From: billing.Receivable, Amount: b.Amount, SourceID: inv.ID, Note: note, By: b.Actor})
	if err != nil {
		return g, err
	}
	if inv.Paid, err = inv.Paid.Sub(b.Amount); err != nil {
		return g, err
	}
	if err := tell(ctx, tx, event{key: "credit/of/" + g.ID.String(), invoice: inv, kind: "invoice.to_credit", text: b.Amount.Format("en") + " of invoice " + inv.Number + " became credit."}); err != nil {
		return g, err
	}
	_, _, err = settle(ctx, tx, inv, tx.Now())
	return g, err
}

// orNone is an amount as a column without a default keeps it.
func orNone(minor int64) *int64 {
	if minor == 0 {
		return nil
	}
	return &minor
}
