package payment_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/payment"
)

// debits lets a shop collect from bank accounts.
func (s *till) debits(start string) {
	s.t.Helper()
	s.desk.Mail = mail.NewOutbox(s.desk.Keys.(mail.Sealer))
	s.save(payment.Change{Code: stripe.Code, On: true, Public: map[string]string{"publishable_key": "pk_test_" + s.db.Tenant().Slug, "debits": "on", "debit_notice": "3", "debit_start": start}})
}

func (s *till) agree(iban string) payment.Method {
	s.t.Helper()
	m, _, err := s.desk.Agree(s.t.Context(), s.db, payment.AgreeRequest{AccountID: s.account, Gateway: stripe.Code, Holder: "Ida Berg", IBAN: iban, Agreed: true, Browser: "Firefox", By: olga})
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

// scan reads one value of the shop.
func scan[T any](s *till, query string, args ...any) (v T) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error { return tx.NewRaw(query, args...).Scan(s.t.Context(), &v) })
	return v
}

func (s *till) charge(job payment.ChargeJob) {
	s.t.Helper()
	if err := s.desk.Charge(s.t.Context(), s.db, job); err != nil {
		s.t.Fatal(err)
	}
}

func (s *till) one(inv uuid.UUID) payment.Payment {
	s.t.Helper()
	all := s.payments(payment.Filter{InvoiceID: inv})
	if len(all) != 1 {
		s.t.Fatalf("%d payments: %+v", len(all), all)
	}
	return all[0]
}

// TestADebitIsAnnouncedCollectedAndTakesDays: the owner of a bank account gives a mandate,
// is told three days before, and the money comes five days after that.
func TestADebitIsAnnouncedCollectedAndTakesDays(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	s := newTill(t, w, lab, base, w.A)
	s.debits("")
	m := s.agree("DE89370400440532013000")
	if m.Kind != gateway.DirectDebit || m.Label != "Bank account DE •••• 3000" || m.Mandate == nil || m.Mandate.Reference == "" || m.Mandate.Bank != "DE 37040044" || m.Mandate.Text != payment.MandateText("Alpha GmbH", 3) || !m.IsDefault {
		t.Fatalf("%+v %+v", m, m.Mandate)
	}
	if again := s.agree("DE89 3704 0044 0532 0130 00"); again.ID == m.ID || !again.IsDefault {
		t.Errorf("the same account again: %+v", again)
	} else {
		m = again
	}
	if n := scan[int](s, "SELECT count(*) FROM payment_methods WHERE state <> 'removed'"); n != 1 {
		t.Errorf("%d methods of one bank account", n)
	}
	m = pressedTwice(t, s, lab, m)
	inv := s.issue("renewal/1")
	w.Clock.Advance(8 * 24 * time.Hour) // it is due
	job := payment.ChargeJob{InvoiceID: inv.ID}
	for range 3 {
		s.charge(job)
	}
	if all := s.payments(payment.Filter{InvoiceID: inv.ID}); len(all) != 0 {
		t.Fatalf("collected before the customer had notice: %+v", all)
	}
	if n := scan[int](s, "SELECT count(*) FROM mails WHERE template = 'debit_announced'"); n != 1 {
		t.Errorf("%d letters announce it", n)
	}
	w.Clock.Advance(3*24*time.Hour - time.Second)
	s.charge(job)
	if len(s.payments(payment.Filter{InvoiceID: inv.ID})) != 0 {
		t.Error("a second too early")
	}
	w.Clock.Advance(time.Second)
	for range 3 {
		s.charge(job)
	}
	p := s.one(inv.ID)
	if p.State != gateway.Processing || p.MethodID != m.ID || s.invoice(inv.ID).Paid.Minor != 0 {
		t.Errorf("%+v", p)
	}
	_, _, err := s.desk.Begin(t.Context(), s.db, payment.BeginRequest{InvoiceID: inv.ID, Gateway: "transfer", OnSession: true})
	if !fault.Is(err, "payment.debit_under_way") {
		t.Errorf("paying it once more: %v", err)
	}
	s.charge(payment.ChargeJob{InvoiceID: inv.ID, Try: 1}) // stands aside
	w.Clock.Advance(4 * 24 * time.Hour)
	s.take(s.told())
	if s.one(inv.ID).State != gateway.Processing {
		t.Error("it came too soon")
	}
	w.Clock.Advance(24 * time.Hour)
	s.take(s.told())
	if p := s.one(inv.ID); p.State != gateway.Succeeded || s.invoice(inv.ID).Paid.Minor != 1190 {
		t.Errorf("%+v", p)
	}
	s.chargedOnce(1190)
	if n := s.jobs("payment.failed"); n != 0 {
		t.Errorf("%d failed tries", n)
	}
	// Eight weeks later it is sent back.
	w.Clock.Advance(50 * 24 * time.Hour)
	if _, err := lab.ReturnDebit(p.Ref, "debit_not_authorized"); err != nil {
		t.Fatal(err)
	}
	s.take(s.told())
	if p := s.one(inv.ID); len(p.Disputes) != 1 || p.Disputes[0].State != gateway.Lost || p.Disputes[0].LostMinor != 1190 {
		t.Errorf("%+v", p.Disputes)
	}
	if n := scan[int64](s, "SELECT coalesce(sum(amount_minor), 0) FROM ledger_postings WHERE debit = 'dispute_losses'"); n != 1190 {
		t.Errorf("%d lost in the books", n)
	}
}

// pressedTwice sends one form with a bank account at once, again after that, and once more
// when what it became is removed.
func pressedTwice(t *testing.T, s *till, lab *stripelab.Lab, before payment.Method) payment.Method {
	t.Helper()
	form := payment.AgreeRequest{AccountID: s.account, Gateway: stripe.Code, Holder: "Ida Berg", IBAN: "DE89370400440532013000", Agreed: true, Browser: "Firefox", Form: uuid.NewString(), By: olga}
	sub := uuid.New()
	s.update(func(tx *tenancy.Tx) error { return subscribe(t, tx, sub, s.account) })
	if err := payment.ForSubscription(t.Context(), s.db, s.account, sub, before.ID, olga); err != nil {
		t.Fatal(err)
	}
	letters := func() int { return scan[int](s, "SELECT count(*) FROM mails WHERE template = 'debit_mandate'") }
	wrote, audited := letters(), scan[int](s, "SELECT count(*) FROM audit_entries WHERE action = 'payment_method.mandate_given'")
	press := func(form payment.AgreeRequest) payment.Method {
		m, _, err := s.desk.Agree(t.Context(), s.db, form)
		if err != nil {
			t.Error(err)
		}
		return m
	}
	var all sync.WaitGroup
	became, setups := make([]payment.Method, 4), lab.Setups()
	for i := range became {
		all.Go(func() { became[i] = press(form) })
	}
	all.Wait()
	for _, m := range append(became[1:], press(form)) {
		if m.ID != became[0].ID || m.ID == before.ID || m.Mandate == nil || *m.Mandate != *became[0].Mandate {
			t.Errorf("pressed again: %+v %+v", m, m.Mandate)
		}
	}
	if own := scan[uuid.UUID](s, "SELECT method_id FROM subscriptions WHERE id = ?", sub); own != became[0].ID || !became[0].IsDefault {
		t.Errorf("the old mandate was chosen for a subscription and as the usual method, and the new one is not: %s, %+v", own, became[0])
	}
	if n := lab.Setups() - setups; n != 1 {
		t.Errorf("%d SetupIntents of one mandate", n)
	}
	if n := letters() - wrote; n != 1 {
		t.Errorf("%d letters of one mandate", n)
	}
	if n := scan[int](s, "SELECT count(*) FROM audit_entries WHERE action = 'payment_method.mandate_given'") - audited; n != 1 {
		t.Errorf("%d entries of one mandate", n)
	}
	calls := lab.Calls("POST /v1/setup_intents")
	if press(form); lab.Calls("POST /v1/setup_intents") != calls {
		t.Error("what is given already is given again")
	}
	if err := s.desk.RemoveMethod(t.Context(), s.db, s.account, became[0].ID, olga); err != nil {
		t.Fatal(err)
	}
	again := press(form)
	if again.ID == became[0].ID || again.State != "active" {
		t.Errorf("after it was removed: %+v", again)
	}
	other := form
	if other.IBAN = "AT611904300234573201"; press(other).ID == again.ID {
		t.Error("another bank account on the same form is the same")
	}
	if _, err := payment.MakeDefault(t.Context(), s.db, s.account, again.ID, olga); err != nil {
		t.Fatal(err)
	}
	return again
}

// TestADebitThatFails: the customer who began it is long gone, and is told.
func TestADebitThatFails(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	s := newTill(t, w, lab, base, w.A)
	s.debits("at_once")
	m := s.agree("DE62370400440532013001")
	inv := s.issue("order/" + uuid.NewString())
	p, _, err := s.desk.Begin(t.Context(), s.db, payment.BeginRequest{InvoiceID: inv.ID, Gateway: stripe.Code, MethodID: &m.ID, OnSession: true})
	if err != nil || p.State != gateway.Processing {
		t.Fatalf("%+v %v", p, err)
	}
	if n := s.jobs("payment.under_way"); n != 1 {
		t.Errorf("%d jobs begin what was ordered", n)
	}
	if n := scan[int](s, "SELECT count(*) FROM mails WHERE template = 'debit_announced'"); n != 1 {
		t.Errorf("%d letters announce it", n)
	}
	if at := scan[time.Time](s, "SELECT changed_at FROM payments"); !at.Equal(w.Clock.Now()) {
		t.Error(at)
	}
	w.Clock.Advance(6 * 24 * time.Hour) // its news are lost, and it is looked at all the same
	if err := s.desk.Sweep(t.Context(), s.db, w.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	if p := s.one(inv.ID); p.State != gateway.Failed || p.DeclineCode != "insufficient_funds" || p.DeclineText == "" {
		t.Errorf("%+v", p)
	}
	if n := s.jobs("payment.failed"); n != 1 {
		t.Errorf("%d failed tries", n)
	}
	s.take(s.told())
	if n := s.jobs("payment.failed"); n != 1 {
		t.Errorf("told late: %d failed tries", n)
	}
}

// TestMandatesThatCannotBe: what is typed is looked at here and at the gateway, the shop
// must offer it, and a mandate taken back at the bank is no method any more.
func TestMandatesThatCannotBe(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	a, b := newTill(t, w, lab, base, w.A), newTill(t, w, lab, base, w.B)
	a.debits("")
	good := payment.AgreeRequest{AccountID: a.account, Gateway: stripe.Code, Holder: "Ida Berg", IBAN: "DE89370400440532013000", Agreed: true, By: olga}
	ask := func(s *till, change func(*payment.AgreeRequest), code string) {
		t.Helper()
		r := good
		change(&r)
		if _, _, err := s.desk.Agree(t.Context(), s.db, r); !fault.Is(err, code) {
			t.Errorf("%s: %v", code, err)
		}
	}
	ask(a, func(r *payment.AgreeRequest) { r.IBAN = "DE00370400440532013000" }, "debit.invalid")
	ask(a, func(r *payment.AgreeRequest) { r.Holder = " " }, "debit.invalid")
	ask(a, func(r *payment.AgreeRequest) { r.Agreed = false }, "debit.invalid")
	ask(a, func(r *payment.AgreeRequest) { r.AccountID = b.account }, "account.not_found")
	ask(b, func(r *payment.AgreeRequest) { r.AccountID = b.account }, "debit.not_offered")
	a.update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw("UPDATE accounts SET currency = 'USD' WHERE id = ?", a.account).Exec(t.Context())
		return err
	})
	ask(a, func(*payment.AgreeRequest) {}, "debit.not_offered")
	a.update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw("UPDATE accounts SET currency = 'EUR' WHERE id = ?", a.account).Exec(t.Context())
		return err
	})
	m := a.agree("DE89370400440532013000")
	if err := lab.RevokeMandate(m.Ref); err != nil {
		t.Fatal(err)
	}
	a.take(a.told())
	if state := scan[string](a, "SELECT state FROM payment_methods WHERE id = ?", m.ID); state != "removed" {
		t.Errorf("a mandate taken back: %s", state)
	}
}
