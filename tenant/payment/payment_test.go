package payment_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/sandbox"
	"github.com/ezscale/ezscale/billing/gateway/transfer"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
)

func TestAPaymentSettlesItsInvoiceOnce(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A, &payment.Desk{Gateways: local(), Keys: newRing(t)})
	inv := s.issue("order/1")
	var wg sync.WaitGroup
	for range 4 { // four tabs
		wg.Go(func() {
			_, _, err := s.desk.Begin(t.Context(), s.db, payment.BeginRequest{InvoiceID: inv.ID, Gateway: sandbox.Code, Save: true, OnSession: true})
			if err != nil && !fault.Is(err, "payment.nothing_due") {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := s.invoice(inv.ID); got.State != invoicing.Paid || got.Paid != eur(1190) {
		t.Errorf("the invoice is %+v", got)
	}
	all := s.payments(payment.Filter{})
	if len(all) != 1 || all[0].State != gateway.Succeeded || all[0].Amount != eur(1190) || all[0].MethodID == uuid.Nil {
		t.Errorf("payments %+v", all)
	}
	if n := s.jobs("invoice.paid"); n != 1 {
		t.Errorf("%d jobs tell that it is paid", n)
	}
	s.balanced()
	s.update(func(tx *tenancy.Tx) error {
		m, err := payment.DefaultMethod(t.Context(), tx, s.account)
		if m.Label != "Test card" {
			t.Errorf("the default method is %+v", m)
		}
		return err
	})
	// The next invoice is charged without the customer, once a try.
	next := s.issue("renewal/1")
	for range 3 {
		if err := s.desk.Charge(t.Context(), s.db, payment.ChargeJob{InvoiceID: next.ID, Try: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.invoice(next.ID); got.State != invoicing.Paid {
		t.Errorf("the next invoice is %+v", got)
	}
	if n := len(s.payments(payment.Filter{InvoiceID: next.ID})); n != 1 {
		t.Errorf("%d payments of the next invoice", n)
	}
	s.balanced()
}

func TestFailedTriesAreToldOnce(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A, &payment.Desk{Gateways: local(), Keys: newRing(t)})
	s.update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO webhook_endpoints (id, url, events, sealed_secrets, state, state_note, created_at, changed_at)
			VALUES (?, 'https://example.com', '["payment.failed", "payment.succeeded"]', '', 'active', '', now(), now())`, uuid.New()).Exec(t.Context())
		return err
	})
	none := s.issue("renewal/1")
	for range 2 {
		if err := s.desk.Charge(t.Context(), s.db, payment.ChargeJob{InvoiceID: none.ID, Try: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.jobs("payment.failed"); n != 1 {
		t.Errorf("%d jobs tell of the missing method", n)
	}
	p, gp, err := s.desk.Begin(t.Context(), s.db, payment.BeginRequest{InvoiceID: none.ID, Gateway: sandbox.Code, Choice: sandbox.Declined, OnSession: true})
	if err != nil || p.State != gateway.Failed || gp.Decline == nil || p.DeclineText == "" {
		t.Fatalf("a declined card: %+v, %+v, %v", p, gp, err)
	}
	if p, _, err = s.desk.Begin(t.Context(), s.db, payment.BeginRequest{InvoiceID: none.ID, Gateway: sandbox.Code, Choice: sandbox.Declined, OnSession: true}); err != nil || p.State != gateway.Failed {
		t.Fatalf("declined again: %+v, %v", p, err)
	}
	if n := s.jobs("payment.failed"); n != 1 {
		t.Errorf("a customer who was there is told of by %d jobs", n-1)
	}
	if p, _, err = s.desk.Begin(t.Context(), s.db, payment.BeginRequest{InvoiceID: none.ID, Gateway: sandbox.Code, Choice: sandbox.Works, OnSession: true}); err != nil || p.State != gateway.Succeeded {
		t.Errorf("after a decline: %+v, %v", p, err)
	}
	var told []string
	s.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT type || ' ' || coalesce(body::json->'data'->>'code', '') FROM webhook_deliveries ORDER BY id").Scan(t.Context(), &told)
	})
	if !slices.Equal(told, []string{"payment.failed card_declined", "payment.failed card_declined", "payment.succeeded "}) {
		t.Errorf("programs heard %q", told)
	}
	var alerts int
	if err := w.Owner.QueryRow(t.Context(), "SELECT count(*) FROM central.alerts WHERE kind = 'payment.failed' AND tenant_id = $1 AND text LIKE '%' || $2 || '%'", w.A.ID.Number(), p.Invoice).Scan(&alerts); err != nil || alerts != 1 {
		t.Errorf("staff hear of it %d times, %v", alerts, err)
	}
	s.balanced()
}

func TestTransfersAreConfirmedByHand(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A, &payment.Desk{Gateways: local(), Keys: newRing(t)})
	inv := s.issue("order/1")
	begin := func(code string) (payment.Payment, gateway.Payment) {
		t.Helper()
		p, gp, err := s.desk.Begin(t.Context(), s.db, payment.BeginRequest{InvoiceID: inv.ID, Gateway: code, OnSession: true})
		if err != nil {
			t.Fatal(err)
		}
		return p, gp
	}
	first, told := begin(transfer.Code)
	if first.State != gateway.Processing || len(told.Instructions) < 4 {
		t.Fatalf("%+v %+v", first, told)
	}
	if again, told := begin(transfer.Code); again.ID != first.ID || len(told.Instructions) < 4 {
		t.Errorf("asked again: %+v %+v", again, told)
	}
	for range 2 {
		if _, err := payment.ConfirmTransfer(t.Context(), s.db, first.ID, eur(190), olga); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.invoice(inv.ID); got.State != invoicing.Open || got.Due() != eur(1000) {
		t.Errorf("after a part came: %+v", got)
	}
	second, _ := begin(transfer.Code)
	third, _ := begin(sandbox.Code) // pays by card after all
	if second.ID == first.ID || third.State != gateway.Succeeded || third.Amount != eur(1000) {
		t.Errorf("%+v %+v", second, third)
	}
	// The money of the transfer comes all the same: it is booked and can be given back.
	if p, err := payment.ConfirmTransfer(t.Context(), s.db, second.ID, eur(1000), olga); err != nil || p.State != gateway.Succeeded {
		t.Errorf("%+v %v", p, err)
	}
	if got := s.invoice(inv.ID); got.State != invoicing.Paid || got.Paid != eur(2190) {
		t.Errorf("paid twice: %+v", got)
	}
	s.balanced()
	for range 2 {
		r, err := s.desk.GiveBack(t.Context(), s.db, payment.RefundRequest{Key: "once", PaymentID: second.ID, Amount: eur(1000), Reason: "Paid twice"}, olga)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.desk.Refund(t.Context(), s.db, payment.RefundJob{RefundID: r.ID}); err != nil {
			t.Fatal(err)
		}
	}
	var refunds []payment.Refund
	s.update(func(tx *tenancy.Tx) (err error) {
		refunds, err = payment.Refunds(t.Context(), tx, second.ID)
		return err
	})
	if len(refunds) != 1 || refunds[0].State != gateway.Processing {
		t.Fatalf("refunds %+v", refunds)
	}
	for range 2 {
		if err := payment.ConfirmRefund(t.Context(), s.db, refunds[0].ID, olga); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.invoice(inv.ID); got.State != invoicing.Paid || got.Paid != eur(1190) {
		t.Errorf("after the refund: %+v", got)
	}
	s.balanced()
}

func TestRefundsAreBounded(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A, &payment.Desk{Gateways: local(), Keys: newRing(t)})
	inv := s.issue("order/1")
	p, _, err := s.desk.Begin(t.Context(), s.db, payment.BeginRequest{InvoiceID: inv.ID, Gateway: sandbox.Code, OnSession: true})
	if err != nil {
		t.Fatal(err)
	}
	give := func(key string, minor int64) error {
		r, err := s.desk.GiveBack(t.Context(), s.db, payment.RefundRequest{Key: key, PaymentID: p.ID, Amount: eur(minor), Reason: "Goodwill", CreditNote: true}, olga)
		if err != nil {
			return err
		}
		return s.desk.Refund(t.Context(), s.db, payment.RefundJob{RefundID: r.ID})
	}
	for key, minor := range map[string]int64{"none": 0, "less": -5, "more": 1191} {
		if err := give(key, minor); !fault.Is(err, "refund.bad_amount") {
			t.Errorf("%s: %v", key, err)
		}
	}
	if err := give("a", 500); err != nil {
		t.Fatal(err)
	}
	if err := give("b", 691); !fault.Is(err, "refund.bad_amount") {
		t.Errorf("more than is left: %v", err)
	}
	if err := give("c", 690); err != nil {
		t.Fatal(err)
	}
	if got := s.invoice(inv.ID); got.Paid != eur(0) || got.Credited != eur(1190) {
		t.Errorf("given back: %+v", got)
	}
	s.balanced()
}

func TestPaymentsOfOthersAreNotThere(t *testing.T) {
	w := tenancytest.New(t)
	desk := &payment.Desk{Gateways: local(), Keys: newRing(t)}
	a, b := open(t, w, w.A, desk), open(t, w, w.B, desk)
	inv := a.issue("order/1")
	p, _, err := desk.Begin(t.Context(), a.db, payment.BeginRequest{InvoiceID: inv.ID, Gateway: transfer.Code, OnSession: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := desk.Begin(t.Context(), b.db, payment.BeginRequest{InvoiceID: inv.ID, Gateway: sandbox.Code}); !fault.Is(err, "invoice.not_found") {
		t.Errorf("paying: %v", err)
	}
	if _, _, err := desk.Refresh(t.Context(), b.db, p.ID); !fault.Is(err, "payment.not_found") {
		t.Errorf("looking: %v", err)
	}
	if _, err := payment.ConfirmTransfer(t.Context(), b.db, p.ID, eur(1190), olga); !fault.Is(err, "payment.not_found") {
		t.Errorf("confirming: %v", err)
	}
	if _, err := desk.GiveBack(t.Context(), b.db, payment.RefundRequest{Key: "k", PaymentID: p.ID, Amount: eur(1)}, olga); !fault.Is(err, "payment.not_found") {
		t.Errorf("giving back: %v", err)
	}
	if all := b.payments(payment.Filter{}); len(all) != 0 {
		t.Errorf("the other shop sees %+v", all)
	}
	// What one shop sealed does not open in another's table.
	var sealed []byte
	a.save(payment.Change{Code: transfer.Code, On: true, Secret: map[string]string{"pin": "1234"}, Public: map[string]string{"holder": "A", "iban": "DE02"}})
	a.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT sealed_settings FROM gateways WHERE code = 'transfer'").Scan(t.Context(), &sealed)
	})
	b.update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw("UPDATE gateways SET sealed_settings = ? WHERE code = 'transfer'", sealed).Exec(t.Context())
		return err
	})
	if _, _, err := desk.Open(t.Context(), b.db, transfer.Code); err == nil {
		t.Error("another shop's secrets open")
	}
}

func TestTheSandboxIsForSandboxes(t *testing.T) {
	w := tenancytest.New(t)
	desk := &payment.Desk{Gateways: local(), Keys: newRing(t)}
	s := open(t, w, w.A, desk)
	inv := s.issue("order/1")
	real := w.DB(w.A)
	if _, _, err := desk.Begin(t.Context(), real, payment.BeginRequest{InvoiceID: inv.ID, Gateway: sandbox.Code, OnSession: true}); !fault.Is(err, "gateway.unknown") {
		t.Errorf("a real shop: %v", err)
	}
	if err := desk.SaveGateway(t.Context(), real, payment.Change{Code: sandbox.Code, On: true}, olga); !fault.Is(err, "gateway.unknown") {
		t.Errorf("switching it on: %v", err)
	}
	if c, err := choices(t, desk, real, s.account); err != nil || c.Sandbox {
		t.Errorf("a real shop offers %+v, %v", c, err)
	}
	trial := w.A
	trial.Status = tenancy.Trial
	tries := w.DB(trial)
	if err := desk.SaveGateway(t.Context(), tries, payment.Change{Code: sandbox.Code, On: true}, olga); err != nil {
		t.Errorf("switching it on in a trial: %v", err)
	}
	if c, err := choices(t, desk, tries, s.account); err != nil || !c.Sandbox {
		t.Errorf("a trial offers %+v, %v", c, err)
	}
	if p, _, err := desk.Begin(t.Context(), tries, payment.BeginRequest{InvoiceID: inv.ID, Gateway: sandbox.Code, Choice: sandbox.Works, OnSession: true}); err != nil || p.State != gateway.Succeeded {
		t.Errorf("paying in a trial: %+v, %v", p, err)
	}
	// What is saved in a trial pays for nothing after it.
	method := uuid.New()
	s.update(func(tx *tenancy.Tx) error {
		if _, err := tx.NewRaw(`INSERT INTO payment_methods (id, account_id, gateway, customer_ref, ref, kind, label, state, created_at, changed_at)
			VALUES (?, ?, 'sandbox', 'c', 'works', 'card', 'Test card', 'active', now(), now())`, method, s.account).Exec(t.Context()); err != nil {
			return err
		}
		_, err := tx.NewRaw("UPDATE accounts SET default_method_id = ? WHERE id = ?", method, s.account).Exec(t.Context())
		return err
	})
	next := s.issue("renewal/1")
	for range 2 {
		if err := desk.Charge(t.Context(), real, payment.ChargeJob{InvoiceID: next.ID, Try: 0}); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.jobs("payment.failed"); n != 1 || len(s.payments(payment.Filter{InvoiceID: next.ID})) != 0 {
		t.Errorf("%d jobs tell of the missing method, payments %+v", n, s.payments(payment.Filter{InvoiceID: next.ID}))
	}
}

func choices(t *testing.T, desk *payment.Desk, db *tenancy.DB, account uuid.UUID) (c payment.Choices, err error) {
	t.Helper()
	err = db.View(t.Context(), func(tx *tenancy.Tx) error {
		c, err = desk.Choices(t.Context(), db, tx, account)
		return err
	})
	return c, err
}
