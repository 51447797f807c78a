package payment_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/credit"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
)

// TestADisputedTopUpWhoseRefundFails: what goes back to the credit while its payment is disputed
// is held like the rest, of a top-up and of a gift code that nobody redeemed.
func TestADisputedTopUpWhoseRefundFails(t *testing.T) {
	for _, gift := range []bool{false, true} {
		w := tenancytest.New(t)
		lab, base := simulator(t, w)
		s := newTill(t, w, lab, base, w.A)
		s.staffed()
		ctx := t.Context()
		_, ref := s.topUp("k", 2000, gift)
		p := s.payments(payment.Filter{})[0]
		r, err := s.desk.GiveBack(ctx, s.db, payment.RefundRequest{Key: "back", PaymentID: p.ID, Amount: eur(2000), Reason: "asked for"}, olga)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.desk.Refund(ctx, s.db, payment.RefundJob{RefundID: r.ID}); err != nil {
			t.Fatal(err)
		}
		id, err := lab.Dispute(ref, 0, "fraudulent", w.Clock.Now().Add(9*24*time.Hour), false)
		if err != nil {
			t.Fatal(err)
		}
		s.take(ten(s.told()))
		if err := lab.SetRefund(s.refundRef(r.ID), "failed"); err != nil {
			t.Fatal(err)
		}
		s.take(ten(s.told()))
		if got := s.purse().Balance("EUR"); got.Minor != 0 || s.balance(billing.CreditHeld) != -2000 {
			t.Errorf("gift %t: %s count and %d are held of what is disputed", gift, got, s.balance(billing.CreditHeld))
		}
		if _, err := credit.Show(ctx, s.db, s.account, p.ID, olga); gift && !fault.Is(err, "gift.not_found") {
			t.Errorf("the code of a disputed payment is shown: %v", err)
		}
		s.audited()
		if err := lab.SetDispute(id, "won"); err != nil {
			t.Fatal(err)
		}
		w.Clock.Advance(time.Hour)
		s.take(ten(s.told()))
		if got := s.balance(billing.CreditHeld); got != 0 || !gift && s.purse().Balance("EUR") != eur(2000) {
			t.Errorf("gift %t: won, and %d are held, %s count", gift, got, s.purse().Balance("EUR"))
		}
		s.audited()
	}
}

func (s *till) refundRef(id uuid.UUID) (ref string) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT ref FROM refunds WHERE id = ?", id).Scan(s.t.Context(), &ref)
	})
	return ref
}

// TestARefundHeardAfterTheDispute: a refund at the gateway's own pages that is heard of only when
// the rest is disputed takes what is held: won, it does not count a second time.
func TestARefundHeardAfterTheDispute(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	s := newTill(t, w, lab, base, w.A)
	s.staffed()
	_, ref := s.topUp("k", 2000, false)
	s.issue("spent") // takes 11.90 of it by itself
	if _, err := lab.RefundByHand(ref, 810); err != nil {
		t.Fatal(err)
	}
	late := s.told()
	id, err := lab.Dispute(ref, 1190, "fraudulent", w.Clock.Now().Add(9*24*time.Hour), false)
	if err != nil {
		t.Fatal(err)
	}
	s.take(s.told())
	if got := s.balance(billing.CreditHeld); got != -810 {
		t.Fatalf("%d are held", got)
	}
	s.take(late)
	s.audited()
	if err := lab.SetDispute(id, "won"); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(time.Hour)
	s.take(ten(s.told()))
	if got := s.purse().Balance("EUR"); got.Minor != 0 || s.balance(billing.CreditLosses) != 0 {
		t.Errorf("11.90 were spent and 8.10 given back of 20.00: %s count, %d are lost", got, s.balance(billing.CreditLosses))
	}
	s.audited()
}

// paidAndMoved pays an invoice of 11.90, gives a part of it back as credit, and names the payment
// as its gateway does.
func (s *till) paidAndMoved(minor int64) (ref string) {
	s.t.Helper()
	first, ref := s.paid("first", true)
	p := s.payments(payment.Filter{InvoiceID: first.ID})[0]
	_, err := s.desk.GiveBack(s.t.Context(), s.db, payment.RefundRequest{Key: "back", PaymentID: p.ID, Amount: eur(minor), Reason: "moved", CreditNote: true, ToCredit: true}, olga)
	if err != nil {
		s.t.Fatal(err)
	}
	return ref
}

// TestDisputedMoneyThatBecameCredit: what an invoice's payment became credit of, in place of going
// back, is held too once that payment is disputed, as far as what is disputed is more than what
// the invoice kept.
func TestDisputedMoneyThatBecameCredit(t *testing.T) {
	for decided, left := range map[string]int64{"won": 1000, "lost": 0} {
		w := tenancytest.New(t)
		lab, base := simulator(t, w)
		s := newTill(t, w, lab, base, w.A)
		s.staffed()
		ref := s.paidAndMoved(1000)
		dispute := func(amount int64) string {
			id, err := lab.Dispute(ref, amount, "fraudulent", w.Clock.Now().Add(9*24*time.Hour), false)
			if err != nil {
				t.Fatal(err)
			}
			s.take(ten(s.told()))
			return id
		}
		decide := func(id, how string) {
			if err := lab.SetDispute(id, how); err != nil {
				t.Fatal(err)
			}
			w.Clock.Advance(time.Hour)
			s.take(ten(s.told()))
			s.books()
		}
		part := dispute(190)
		if got := s.purse().Balance("EUR"); got != eur(1000) {
			t.Errorf("1.90 are disputed, which the invoice kept: %s count", got)
		}
		decide(part, "won")
		all := dispute(1190)
		if got := s.purse().Balance("EUR"); got.Minor != 0 || s.balance(billing.CreditHeld) != -1000 {
			t.Errorf("all is disputed: %s count, %d are held", got, s.balance(billing.CreditHeld))
		}
		s.books()
		decide(all, decided)
		if got := s.purse().Balance("EUR"); got.Minor != left || s.balance(billing.CreditHeld) != 0 || s.balance(billing.CreditTakenBack) != left-1000 {
			t.Errorf("%s: %s count, %d held, %d taken back", decided, got, s.balance(billing.CreditHeld), s.balance(billing.CreditTakenBack))
		}
	}
}

// TestSpentCreditOfDisputedMoneyComesBack: what comes back to such credit from an invoice is held.
func TestSpentCreditOfDisputedMoneyComesBack(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	s := newTill(t, w, lab, base, w.A)
	s.staffed()
	ctx := t.Context()
	ref := s.paidAndMoved(1190)
	spent := s.issue("spent")
	if _, err := lab.Dispute(ref, 0, "fraudulent", w.Clock.Now().Add(9*24*time.Hour), false); err != nil {
		t.Fatal(err)
	}
	s.take(ten(s.told()))
	_, err := invoicing.CreditByHand(ctx, s.db, invoicing.CreditRequest{Key: "n", InvoiceID: spent.ID, Amount: eur(1190), Reason: "Goodwill", CreditBack: true}, audit.Origin{Actor: olga.Actor})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.purse().Balance("EUR"); got.Minor != 0 || s.balance(billing.CreditHeld) != -1190 {
		t.Errorf("%s count, %d are held", got, s.balance(billing.CreditHeld))
	}
	s.books()
}

// TestDisputedCreditWhileManyAct: banks, people who redeem, invoices that are made and credited,
// and refunds at the same time: nobody is in another's way for good, the books hold, and nothing
// counts that is disputed at the end.
func TestDisputedCreditWhileManyAct(t *testing.T) {
	w := tenancytest.New(t)
	desk := &payment.Desk{Gateways: local(), Keys: newRing(t)}
	s := open(t, w, w.A, desk)
	ctx := t.Context()
	all := []*heldPiece{s.ahead("a", false), s.ahead("b", true), s.ahead("c", false), s.ahead("d", true)}
	var wg sync.WaitGroup
	for g := range 8 {
		rnd := rand.New(rand.NewPCG(uint64(g), 20261123)) //nolint:gosec // no secret
		wg.Go(func() {
			for step := range 20 {
				p, key := all[rnd.IntN(len(all))], fmt.Sprintf("%d/%d", g, step)
				var err error
				switch rnd.IntN(5) {
				case 0, 1:
					told := gateway.Dispute{Ref: "dp_" + p.id.String(), Amount: eur(3000), Withdrawn: eur(3000), Moves: int(p.told.Add(1)), State: []gateway.DisputeState{gateway.NeedsResponse, gateway.Won, gateway.Lost}[rnd.IntN(3)]}
					if told.State == gateway.Won {
						told.Withdrawn = eur(0)
					}
					err = desk.HearOfDispute(ctx, s.db, p.id, told)
				case 2:
					if p.code != "" {
						_, err = credit.Redeem(ctx, s.db, s.account, p.code, olga)
					}
				case 3:
					_, err = desk.GiveBack(ctx, s.db, payment.RefundRequest{Key: key, PaymentID: p.id, Amount: eur(100), Reason: "asked for"}, olga)
				default:
					var inv invoicing.Invoice
					err = s.db.Update(ctx, func(tx *tenancy.Tx) (err error) {
						inv, err = invoicing.Issue(ctx, tx, invoicing.Draft{Key: key, AccountID: s.account, Currency: "EUR", Lines: []billing.Line{{Kind: "plan", Description: "VPS Small", Quantity: 1, Unit: eur(500)}}})
						return err
					})
					if err == nil && rnd.IntN(2) == 0 {
						_, err = invoicing.CreditByHand(ctx, s.db, invoicing.CreditRequest{Key: "c" + key, InvoiceID: inv.ID, Amount: eur(300), Reason: "Goodwill", CreditBack: true}, audit.Origin{Actor: olga.Actor})
					}
				}
				if err != nil && fault.From(err).Kind == fault.Internal {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s.books()
	for _, p := range all {
		if n := scanOf(s, `SELECT coalesce(sum(g.left_minor), 0)::bigint FROM credit_grants g JOIN payments p ON p.id = g.source_id WHERE p.id = ? AND p.disputes @> '[{"withdrawn_minor": 3000}]'`, p.id); n != 0 {
			t.Errorf("%d of a disputed top-up count", n)
		}
	}
}

// heldPiece is what was paid ahead, and how often its bank told of it.
type heldPiece struct {
	id   uuid.UUID
	code string // of a gift
	told atomic.Int32
}

// ahead pays 30.00 ahead, as a payment that came.
func (s *shop) ahead(key string, gift bool) *heldPiece {
	s.t.Helper()
	ctx, p := s.t.Context(), &heldPiece{id: uuid.New()}
	inv, err := invoicing.AskTopUp(ctx, s.db, invoicing.TopUp{Key: key, AccountID: s.account, Amount: eur(3000), Gift: gift}, olga)
	if err != nil {
		s.t.Fatal(err)
	}
	s.update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO payments (id, key, invoice_id, account_id, gateway, currency, amount_minor, refunded_minor, state, decline_code, decline_text, on_session, created_at, changed_at)
			VALUES (?, ?, ?, ?, 'sandbox', 'EUR', 3000, 0, 'succeeded', '', '', true, now(), now())`, p.id, p.id.String(), inv.ID, s.account).Exec(ctx)
		if err != nil {
			return err
		}
		return invoicing.Applied(ctx, tx, invoicing.Application{InvoiceID: inv.ID, PaymentID: p.id, Gateway: "sandbox", Amount: inv.Total})
	})
	if gift {
		if p.code, err = credit.Show(ctx, s.db, s.account, p.id, olga); err != nil {
			s.t.Fatal(err)
		}
	}
	return p
}
