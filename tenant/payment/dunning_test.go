package payment_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/sandbox"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
)

func TestANewCardPaysWhatIsOverdueOnce(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A, &payment.Desk{Gateways: local(), Keys: newRing(t)})
	first, second, later := s.issue("renewal/1"), s.issue("renewal/2"), s.issue("renewal/3")
	s.update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw("UPDATE invoices SET due_at = ?, asked_at = ? WHERE id <> ?", tx.Now(), tx.Now(), later.ID).Exec(t.Context())
		return err
	})
	st, _, charged, err := s.desk.AddMethod(t.Context(), s.db, s.account, sandbox.Code, "https://shop.example/back")
	if err != nil || st.State != gateway.Succeeded || len(charged) != 2 {
		t.Fatalf("the card: %+v, charges %+v, %v", st, charged, err)
	}
	words := payment.Words(charged)
	if !strings.HasPrefix(words, "We are charging the overdue invoices ") || !strings.Contains(words, first.Number+" and "+second.Number) {
		t.Errorf("it says %q", words)
	}
	var m payment.Method
	s.update(func(tx *tenancy.Tx) (err error) {
		m, err = payment.DefaultMethod(t.Context(), tx, s.account)
		return err
	})
	var tabs sync.WaitGroup
	for range 2 {
		tabs.Go(func() {
			if _, err := payment.MakeDefault(t.Context(), s.db, s.account, m.ID, olga); err != nil {
				t.Error(err)
			}
		})
	}
	tabs.Wait()
	if n := s.jobs("payment.charge"); n != 2 {
		t.Errorf("%d charges, want one an invoice", n)
	}
	for range 2 {
		for _, c := range charged {
			if err := s.desk.Charge(t.Context(), s.db, payment.ChargeJob{InvoiceID: c.ID, MethodID: m.ID}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(s.payments(payment.Filter{})) != 2 || s.invoice(first.ID).State != invoicing.Paid || s.invoice(second.ID).State != invoicing.Paid || s.invoice(later.ID).State != invoicing.Open {
		t.Errorf("payments %+v", s.payments(payment.Filter{}))
	}
	if _, err := payment.MakeDefault(t.Context(), w.DB(w.B), s.account, m.ID, olga); !fault.Is(err, "method.not_found") {
		t.Errorf("of another shop: %v", err)
	}
	s.balanced()
}

func TestACardRefusedForGoodIsNotChargedAgain(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A, &payment.Desk{Gateways: local(), Keys: newRing(t)})
	if _, _, _, err := s.desk.AddMethod(t.Context(), s.db, s.account, sandbox.Code, ""); err != nil {
		t.Fatal(err)
	}
	m := s.usual()
	inv, next := s.issue("renewal/1"), s.issue("renewal/2")
	p := s.begun(inv.ID, m.ID)
	settle := func(id uuid.UUID, gp gateway.Payment) {
		s.update(func(tx *tenancy.Tx) error { _, err := payment.Settle(t.Context(), tx, id, gp); return err })
	}
	settle(p, gateway.Payment{Ref: "r1", State: gateway.Failed, Decline: &gateway.Decline{Kind: gateway.Hard, Code: "stolen_card", Text: "Declined."}})
	if got := s.usual(); got.ID != uuid.Nil {
		t.Errorf("a stolen card is still charged: %+v", got)
	}
	if err := s.desk.Charge(t.Context(), s.db, payment.ChargeJob{InvoiceID: next.ID}); err != nil || len(s.payments(payment.Filter{InvoiceID: next.ID})) != 0 {
		t.Errorf("it was charged for another invoice: %v", err)
	}
	// Chosen again by its owner, it gets another chance.
	if charged, err := payment.MakeDefault(t.Context(), s.db, s.account, m.ID, olga); err != nil || s.usual().ID != m.ID || len(charged) != 0 {
		t.Errorf("chosen again: %+v, %v, charges %+v", s.usual(), err, charged)
	}
}

// usual is the method the customer's invoices are charged to.
func (s *shop) usual() (m payment.Method) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) (err error) {
		m, err = payment.DefaultMethod(s.t.Context(), tx, s.account)
		return err
	})
	return m
}

// begun is a payment without the customer whose answer is awaited.
func (s *shop) begun(invoice, method uuid.UUID) uuid.UUID {
	s.t.Helper()
	id := uuid.New()
	s.update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO payments (id, key, invoice_id, account_id, gateway, method_id, currency, amount_minor, refunded_minor, state, decline_code, decline_text, on_session, created_at, changed_at)
			VALUES (?, ?, ?, ?, 'sandbox', ?, 'EUR', 1190, 0, 'created', '', '', false, now(), now())`, id, "charge/"+invoice.String()+"/0", invoice, s.account, method).Exec(s.t.Context())
		return err
	})
	return id
}
