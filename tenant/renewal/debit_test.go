package renewal_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// underWay has a bank collect an invoice.
func (s *shop) underWay(invoice uuid.UUID) (id uuid.UUID) {
	s.t.Helper()
	id = uuid.New()
	s.exec(`INSERT INTO payments (id, key, invoice_id, account_id, gateway, currency, amount_minor, refunded_minor, state, decline_code, decline_text, on_session, created_at, changed_at)
		SELECT ?, ?, id, account_id, 'sandbox', currency, total_minor, 0, 'processing', '', '', true, '2026-10-15 09:30Z', '2026-10-15 09:30Z' FROM invoices WHERE id = ?`, id, id.String(), invoice)
	return id
}

// TestNobodyIsTurnedOffWhileABankCollects: a customer without a method pays with a debit
// on the fourth day. Nothing happens to their service for the weeks it takes; when it
// fails, everything takes its course.
func TestNobodyIsTurnedOffWhileABankCollects(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	sub := s.sell(s.customer("ida", false), billing.Monthly, 999)
	s.turn(35 * 24 * time.Hour) // four days after it was due
	invoice := scan[uuid.UUID](s, "SELECT id FROM invoices WHERE key LIKE 'renewal/%'")
	if s.get(sub).State != renewal.PastDue {
		t.Fatalf("%+v", s.get(sub))
	}
	p, letters := s.underWay(invoice), s.letters("invoice_due")
	s.turn(14 * 24 * time.Hour)
	if got := s.wants(sub); got != "active" || s.get(sub).State != renewal.PastDue || s.letters("invoice_due") != letters {
		t.Errorf("while the bank collects: %s, %s, %d letters more", got, s.get(sub).State, s.letters("invoice_due")-letters)
	}
	s.exec("UPDATE payments SET state = 'failed' WHERE id = ?", p)
	s.turn(2 * 24 * time.Hour)
	if got := s.wants(sub); got != "suspended" {
		t.Errorf("after it failed: %s", got)
	}
	s.pay(invoice)
	if got := s.wants(sub); got != "active" {
		t.Errorf("paid: %s", got)
	}
}

// TestADebitIsAnnouncedWhenItsInvoiceIsMade: the job that charges a bank account is made
// with the invoice, days before it is due.
func TestADebitIsAnnouncedWhenItsInvoiceIsMade(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	bank, card := s.customer("ida", true), s.customer("carl", true)
	s.exec("UPDATE payment_methods SET kind = 'sepa_debit' WHERE account_id = ?", bank)
	s.sell(bank, billing.Monthly, 999)
	s.sell(card, billing.Monthly, 999)
	s.down = true
	s.turn(29 * 24 * time.Hour)
	if n := scan[int](s, "SELECT count(*) FROM invoices WHERE key LIKE 'renewal/%' AND due_at > ?", w.Clock.Now()); n != 2 {
		t.Fatalf("%d invoices that are not due", n)
	}
	var who string
	err := w.Owner.QueryRow(t.Context(), `SELECT string_agg(args->>'invoice_id', ' ') FROM river.river_job WHERE kind = 'payment.charge'`).Scan(&who)
	if want := scan[string](s, "SELECT id::text FROM invoices WHERE account_id = ? AND key LIKE 'renewal/%'", bank); err != nil || who != want {
		t.Errorf("charged %s, want %s: %v", who, want, err)
	}
}

// TestAnOrderThatBeganBeforeItsDebitCame: when the debit fails its invoice is collected as
// a renewal's: letters, off, on again when it is paid.
func TestAnOrderThatBeganBeforeItsDebitCame(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	account := s.customer("ida", false)
	paid := s.sell(account, billing.Monthly, 999) // one like it that is paid
	order := scan[uuid.UUID](s, "SELECT order_id FROM subscriptions WHERE id = ?", paid)
	sub, amount := uuid.New(), billing.Money{Minor: 500, Currency: "EUR"}
	var inv invoicing.Invoice
	s.update(func(tx *tenancy.Tx) error {
		_, err := renewal.Open(t.Context(), tx, renewal.New{ID: sub, AccountID: account, OrderID: order, PlanID: s.plan, Label: "VPS Small", Cycle: billing.Annual, Currency: "EUR", Amount: amount,
			Items: []renewal.Item{{Kind: "plan", Label: "VPS Small", Quantity: 1, AmountMinor: 500}}})
		if err != nil {
			return err
		}
		inv, err = invoicing.Issue(t.Context(), tx, invoicing.Draft{Key: "order/" + uuid.NewString(), AccountID: account, Currency: "EUR",
			Lines: []billing.Line{{Kind: "plan", SubscriptionID: sub.String(), Description: "VPS Small", Quantity: 1, Unit: amount}}})
		return err
	})
	p := s.underWay(inv.ID)
	for range 2 {
		if err := s.desk.Trust(t.Context(), s.db, inv.ID); err != nil {
			t.Fatal(err)
		}
	}
	if x := s.get(sub); x.State != renewal.Active || !x.Period.From.Equal(w.Clock.Now()) {
		t.Fatalf("%+v", x)
	}
	s.turn(12 * 24 * time.Hour)
	if x := s.get(sub); x.State != renewal.Active {
		t.Errorf("while the bank collects: %s", x.State)
	}
	s.exec("UPDATE payments SET state = 'failed' WHERE id = ?", p)
	method := uuid.New()
	for range 2 {
		err := s.desk.TryFailed(t.Context(), s.db, payment.FailedTry{InvoiceID: inv.ID, PaymentID: p, MethodID: method, Decline: billing.RefusedSoft, Code: "insufficient_funds"})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := s.letters("payment_failed"); n != 1 {
		t.Errorf("%d letters that it failed", n)
	}
	s.turn(3 * 24 * time.Hour)
	if x := s.get(sub); x.State != renewal.PastDue && x.State != renewal.Suspended {
		t.Errorf("it failed: %s", x.State)
	}
	s.turn(8 * 24 * time.Hour)
	if x := s.get(sub); x.State != renewal.Suspended {
		t.Errorf("nobody paid: %s", x.State)
	}
	s.pay(inv.ID)
	if x := s.get(sub); x.State != renewal.Active {
		t.Errorf("it is paid: %s", x.State)
	}
}
