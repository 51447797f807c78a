package payment_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway/sandbox"
	"github.com/ezscale/ezscale/billing/gateway/transfer"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/credit"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
)

func (s *shop) books() {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error {
		r, err := invoicing.Books(s.t.Context(), tx)
		if err == nil && !r.Holds() {
			s.t.Errorf("the books: %v", r.Problems)
		}
		return err
	})
}

func (s *shop) purse() (p credit.Purse) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) (err error) {
		p, err = credit.Of(s.t.Context(), tx, s.account)
		return err
	})
	return p
}

// What is paid ahead is credit, pays before the card does, and goes back as far as it is
// not spent.
func TestPayAheadAndBack(t *testing.T) {
	w := tenancytest.New(t)
	desk := &payment.Desk{Gateways: local(), Keys: newRing(t)}
	s := open(t, w, w.A, desk)
	ctx := t.Context()
	// Issued before there is credit: what is charged is the rest.
	early := s.issue("early")
	announced, _, err := desk.Begin(ctx, s.db, payment.BeginRequest{InvoiceID: early.ID, Gateway: transfer.Code, OnSession: true})
	if err != nil || announced.Amount != eur(1190) {
		t.Fatalf("%+v %v", announced, err)
	}
	up, err := invoicing.AskTopUp(ctx, s.db, invoicing.TopUp{Key: "k", AccountID: s.account, Amount: eur(1000)}, olga)
	if err != nil {
		t.Fatal(err)
	}
	begin := func(id uuid.UUID) payment.Payment {
		p, _, err := desk.Begin(ctx, s.db, payment.BeginRequest{InvoiceID: id, Gateway: sandbox.Code, Choice: sandbox.Works, OnSession: true})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	ahead := begin(up.ID)
	if p := s.purse(); p.Balance("EUR") != eur(1000) || !ahead.TopUp {
		t.Fatalf("%+v", p)
	}
	back := func(key string, p payment.Payment, amount billing.Money, toCredit bool) (payment.Refund, error) {
		return desk.GiveBack(ctx, s.db, payment.RefundRequest{Key: key, PaymentID: p.ID, Amount: amount, Reason: "asked for", CreditNote: true, ToCredit: toCredit}, olga)
	}
	r, err := back("1", ahead, eur(400), true) // it is credit already: it goes back as money
	if err != nil || r.ToCredit || r.CreditNoteID != uuid.Nil {
		t.Fatalf("%+v %v", r, err)
	}
	if p := s.purse(); p.Balance("EUR") != eur(600) {
		t.Errorf("%+v", p)
	}
	s.books() // while it is on its way
	for range 2 {
		if err := desk.Refund(ctx, s.db, payment.RefundJob{RefundID: r.ID}); err != nil {
			t.Fatal(err)
		}
	}
	s.books()
	// The transfer that was announced over all of it gives way: what is charged is the rest.
	rest := begin(early.ID)
	if rest.Amount != eur(590) || s.invoice(early.ID).ByCredit != eur(600) {
		t.Errorf("%s were charged, credit paid %s", rest.Amount, s.invoice(early.ID).ByCredit)
	}
	if _, err := back("2", ahead, eur(1), false); !fault.Is(err, "credit.spent") {
		t.Errorf("spent credit goes back: %v", err)
	}
	// Money of an invoice becomes credit, at once and once.
	for range 2 {
		if r, err = back("3", rest, eur(590), true); err != nil || !r.ToCredit {
			t.Fatalf("%+v %v", r, err)
		}
	}
	if p, inv := s.purse(), s.invoice(early.ID); p.Balance("EUR") != eur(590) || inv.Credited != eur(590) || !inv.Due().IsZero() {
		t.Errorf("%+v, %+v", p.Balances, inv)
	}
	if err := payment.ReturnCredit(ctx, s.db, early.ID, payment.RefundRequest{Key: "4", Amount: eur(600), CreditNote: true, Reason: "asked for"}, olga); err != nil {
		t.Fatal(err)
	}
	if p := s.purse(); p.Balance("EUR") != eur(1190) {
		t.Errorf("%+v", p)
	}
	s.books()
}
