package web_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/transfer"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenant/credit"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/referral"
)

// byTransfer opens the one gateway of the estate.
type byTransfer struct{}

// Open opens it.
func (byTransfer) Open(code string, s payment.Settings) (gateway.Gateway, error) {
	if code != transfer.Code {
		return nil, gateway.ErrUnsupported
	}
	return transfer.New(transfer.Config{Holder: s.Public["holder"], IBAN: s.Public["iban"]})
}

// furnishMoney gives the buyer's account a saved card and an invoice that was paid and
// partly given back.
func (e *estate) furnishMoney(t testing.TB, of tenancy.Tenant, things map[string]string, buyer uuid.UUID) {
	t.Helper()
	ctx, db, by := t.Context(), e.DB(of), audit.Origin{Actor: audit.System("test")}
	must(t, e.site.Payments.SaveGateway(ctx, db, payment.Change{Code: transfer.Code, On: true, Public: map[string]string{"holder": "A", "iban": "DE02120300000000202051"}}, by))
	method := uuid.Must(uuid.NewV7())
	var account uuid.UUID
	var paid invoicing.Invoice
	must(t, referral.Save(ctx, db, referral.Program{On: true, WaitDays: 14, PerYear: 5, Terms: map[string]billing.ReferralTerms{"EUR": {Referrer: 1000, Newcomer: 500, Least: 1000}}}, by))
	must(t, db.Update(ctx, func(tx *tenancy.Tx) error {
		if err := tx.NewRaw(`SELECT account_id FROM memberships WHERE person_id = ?`, buyer).Scan(ctx, &account); err != nil {
			return err
		}
		_, err := tx.NewRaw(`INSERT INTO payment_methods (id, account_id, gateway, customer_ref, ref, kind, label, state, created_at, changed_at)
			VALUES (?, ?, 'transfer', 'c', 'm', 'card', 'Visa •••• 4242', 'active', ?, ?)`, method, account, tx.Now(), tx.Now()).Exec(ctx)
		if err != nil {
			return err
		}
		paid, err = invoicing.Issue(ctx, tx, invoicing.Draft{Key: "paid/1", AccountID: account, Currency: "EUR", Lines: []billing.Line{{Kind: "plan", Description: "VPS", Quantity: 1, Unit: billing.Money{Minor: 1000, Currency: "EUR"}}}})
		return err
	}))
	// Given after the invoice, and in another currency: it pays nothing by itself.
	g, err := credit.GiveByHand(ctx, db, credit.Form{Key: "k", AccountID: account, Amount: "5.00", Currency: "USD", Note: "Goodwill"}, time.UTC, by)
	must(t, err)
	things[":grant"] = g.ID.String()
	// Somebody the buyer has brought.
	newcomer := uuid.Must(uuid.NewV7())
	must(t, db.Update(ctx, func(tx *tenancy.Tx) error {
		if err := exec(ctx, tx, "INSERT INTO accounts (id, name, currency, created_at, changed_at) VALUES (?, 'Newcomer', 'EUR', ?, ?)", newcomer, tx.Now(), tx.Now()); err != nil {
			return err
		}
		return referral.Join(ctx, tx, newcomer, referral.Visit{Code: referral.Code(account), At: tx.Now()})
	}))
	things[":newcomer"] = newcomer.String()
	agreement := uuid.New()
	must(t, db.Update(ctx, func(tx *tenancy.Tx) error {
		return exec(ctx, tx, `INSERT INTO agreed_prices (id, account_id, plan_id, currency, off_ppm, from_at, running, note, created_at)
			SELECT ?, ?, id, 'EUR', 100000, '2090-01-01', false, '', '2026-10-15 09:30Z' FROM plans LIMIT 1`, agreement, account)
	}))
	things[":agreed"] = agreement.String()
	batch := uuid.New()
	_, err = credit.MakeCodes(ctx, db, credit.Batch{Key: batch, Name: "Fair", Count: "2", Amount: "5", Currency: "EUR"}, time.UTC, by)
	must(t, err)
	gift, err := invoicing.AskTopUp(ctx, db, invoicing.TopUp{Key: "k", AccountID: account, Amount: billing.Money{Minor: 1500, Currency: "EUR"}, Gift: true}, by)
	must(t, err)
	bought, _, err := e.site.Payments.Begin(ctx, db, payment.BeginRequest{InvoiceID: gift.ID, Gateway: transfer.Code, OnSession: true})
	must(t, err)
	_, err = payment.ConfirmTransfer(ctx, db, bought.ID, gift.Total, by)
	must(t, err)
	things[":batch"], things[":gift"] = batch.String(), bought.ID.String()
	p, _, err := e.site.Payments.Begin(ctx, db, payment.BeginRequest{InvoiceID: paid.ID, Gateway: transfer.Code, OnSession: true})
	must(t, err)
	_, err = payment.ConfirmTransfer(ctx, db, p.ID, paid.Total, by)
	must(t, err)
	r, err := e.site.Payments.GiveBack(ctx, db, payment.RefundRequest{Key: "r", PaymentID: p.ID, Amount: billing.Money{Minor: 100, Currency: "EUR"}, Reason: "Goodwill", CreditNote: true}, by)
	must(t, err)
	sheet := uuid.New()
	must(t, invoicing.SaveSheet(ctx, db, invoicing.SheetForm{ID: sheet, AccountID: account, Currency: "EUR", TermDays: "7", Lines: []invoicing.SheetFormLine{{Text: "Work", Unit: "80"}}}, by))
	things[":draft"] = sheet.String()
	things[":payment"], things[":refund"], things[":method"] = p.ID.String(), r.ID.String(), method.String()
}
