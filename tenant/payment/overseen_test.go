package payment_test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
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
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
)

// paid is an invoice that was paid by card.
func (s *till) paid(key string, known bool) (invoicing.Invoice, string) {
	s.t.Helper()
	inv := s.issue(key)
	_, gp, err := s.begin(inv.ID, false)
	if err != nil {
		s.t.Fatal(err)
	}
	s.enter(gp.ClientSecret, "4242424242424242")
	if told := s.told(); known {
		s.take(told)
	}
	return inv, gp.Ref
}

// staffed gives the shop an owner who is written to.
func (s *till) staffed() {
	s.t.Helper()
	s.desk.Mail = mail.NewOutbox(newRing(s.t))
	s.update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO people (id, world, email, email_key, name, role, created_at, changed_at) VALUES (?, 'reseller', 'olga@shop.test', 'olga@shop.test', 'Olga', 'owner', now(), now())`, uuid.New()).Exec(s.t.Context())
		return err
	})
}

func (s *till) number(query string, args ...any) (n int64) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) error { return tx.NewRaw(query, args...).Scan(s.t.Context(), &n) })
	return n
}

// audited is what the books and invoicing's own audit say.
func (s *till) audited() {
	s.t.Helper()
	s.balanced()
	s.update(func(tx *tenancy.Tx) error {
		r, err := invoicing.Books(s.t.Context(), tx)
		if err == nil && !r.Holds() {
			s.t.Errorf("the books: %v", r.Problems)
		}
		return err
	})
}

func ten(all []received) []received {
	slices.Reverse(all)
	return slices.Repeat(all, 10)
}

func TestARefundMadeAtTheGateway(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	s, other := newTill(t, w, lab, base, w.A), newTill(t, w, lab, base, w.B)
	s.staffed()
	theirs, _ := other.paid("order/1", true)
	inv, ref := s.paid("order/1", false) // that it was paid was not heard yet
	id, err := lab.RefundByHand(ref, 500)
	if err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(24 * time.Hour)
	told := s.told()
	if len(told) != 2 {
		t.Fatalf("told of %d things", len(told))
	}
	s.take(ten(told))
	if got := s.invoice(inv.ID); got.State != invoicing.Open || got.Paid != eur(690) || !got.Credited.IsZero() {
		t.Errorf("%+v", got)
	}
	if n := s.number("SELECT count(*) FROM refunds WHERE key = 'stripe/' || ?0 AND ref = ?0 AND state = 'succeeded' AND amount_minor = 500 AND credit_note_id IS NULL", id); n != 1 {
		t.Errorf("%d refunds", n)
	}
	if n := s.number("SELECT count(*) FROM mails"); n != 1 {
		t.Errorf("%d letters to the team", n)
	}
	if n := s.number("SELECT count(*) FROM timeline WHERE kind = 'refund.found' AND NOT customer_sees"); n != 1 {
		t.Errorf("told %d times", n)
	}
	s.audited()
	// The button issues the credit note, once.
	var open []payment.Refund
	s.update(func(tx *tenancy.Tx) (err error) {
		open, err = payment.Uncredited(t.Context(), tx, inv.ID)
		return err
	})
	if len(open) != 1 {
		t.Fatalf("%d refunds without a credit note", len(open))
	}
	paid := s.jobs("invoice.paid")
	note, err := payment.CreditRefund(t.Context(), s.db, inv.ID, open[0].ID, "", olga)
	if err != nil || note.Total != eur(500) {
		t.Fatalf("%+v %v", note, err)
	}
	if again, err := payment.CreditRefund(t.Context(), s.db, inv.ID, open[0].ID, "", olga); err != nil || again.ID != note.ID {
		t.Errorf("again: %+v %v", again, err)
	}
	if _, err := payment.CreditRefund(t.Context(), other.db, theirs.ID, open[0].ID, "", olga); !fault.Is(err, "refund.not_found") {
		t.Errorf("another shop's: %v", err)
	}
	if got := s.invoice(inv.ID); got.State != invoicing.Paid || got.Credited != eur(500) {
		t.Errorf("%+v", got)
	}
	if n := s.jobs("invoice.paid"); n != paid+1 { // what it was paid for may not have begun
		t.Errorf("%d jobs follow", n-paid)
	}
	// The bank sends the money back: it is the shop's again.
	if err := lab.SetRefund(id, "failed"); err != nil {
		t.Fatal(err)
	}
	s.take(ten(s.told()))
	if got := s.invoice(inv.ID); got.Paid != eur(1190) || got.Due() != eur(-500) {
		t.Errorf("%+v", got)
	}
	if p := s.payments(payment.Filter{InvoiceID: inv.ID})[0]; p.Left() != eur(1190) {
		t.Errorf("%s are left to give back", p.Left())
	}
	s.audited()
	if got := other.invoice(theirs.ID); got.State != invoicing.Paid || got.Paid != eur(1190) {
		t.Errorf("the other shop's: %+v", got)
	}
	if taken, _ := lab.Taken(s.secret); taken["eur"] != 1190 {
		t.Errorf("Stripe holds %v", taken)
	}
}

// meanwhile is Stripe as one process asks it, with what happens before it keeps the answer.
type meanwhile struct {
	*stripe.Gateway
	happens func()
}

func (m *meanwhile) then() {
	if does := m.happens; does != nil {
		m.happens = nil
		does()
	}
}

func (m *meanwhile) RefundsOf(ctx context.Context, payment string) ([]gateway.Refunded, error) {
	all, err := m.Gateway.RefundsOf(ctx, payment)
	m.then()
	return all, err
}

func (m *meanwhile) Refunded(ctx context.Context, ref string) (gateway.Refunded, error) {
	one, err := m.Gateway.Refunded(ctx, ref)
	m.then()
	return one, err
}

// TestAFoundRefundThatFailedMeanwhile: while one process keeps a refund that nobody here knew,
// another hears that its bank refused it, finds nothing, and leaves it alone. The later word
// is the one that is kept.
func TestAFoundRefundThatFailedMeanwhile(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	s := newTill(t, w, lab, base, w.A)
	inv, ref := s.paid("order/1", true)
	id, err := lab.RefundByHand(ref, 500)
	if err != nil {
		t.Fatal(err)
	}
	there := &meanwhile{happens: func() {
		if err := lab.SetRefund(id, "failed"); err != nil {
			t.Fatal(err)
		}
		s.take(s.told())
		if n := s.number("SELECT count(*) FROM refunds"); n != 0 {
			t.Errorf("%d refunds are known", n)
		}
	}}
	opens := s.desk.Gateways.(drivers)
	plain := opens[stripe.Code]
	opens[stripe.Code] = func(set payment.Settings) (gateway.Gateway, error) {
		gw, err := plain(set)
		if err != nil {
			return nil, err
		}
		there.Gateway = gw.(*stripe.Gateway)
		return there, nil
	}
	s.take(s.told())
	if n := s.number("SELECT count(*) FROM refunds WHERE ref = ? AND state = 'succeeded'", id); n != 1 || there.happens != nil {
		t.Fatalf("%d refunds are kept as they were asked for", n)
	}
	var args []byte
	if err := s.Owner.QueryRow(t.Context(), "SELECT args FROM river.river_job WHERE kind = 'payment.refund'").Scan(&args); err != nil {
		t.Fatal(err)
	}
	var job payment.RefundJob
	if err := json.Unmarshal(args, &job); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.desk.Refund(t.Context(), s.db, job); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.number("SELECT count(*) FROM refunds WHERE state = 'failed'"); n != 1 {
		t.Error("the older word is kept")
	}
	if got := s.invoice(inv.ID); got.State != invoicing.Paid || got.Paid != eur(1190) {
		t.Errorf("%+v", got)
	}
	s.audited()
}

// TestOurOwnRefundIsBookedOnce: what was asked for here comes back as news, before its
// own answer too, and beside one made by hand.
func TestOurOwnRefundIsBookedOnce(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	s := newTill(t, w, lab, base, w.A)
	inv, ref := s.paid("order/1", true)
	p := s.payments(payment.Filter{InvoiceID: inv.ID})[0]
	r, err := s.desk.GiveBack(t.Context(), s.db, payment.RefundRequest{Key: "form/1", PaymentID: p.ID, Amount: eur(690), CreditNote: true}, olga)
	if err != nil {
		t.Fatal(err)
	}
	lab.SetFaults(stripelab.Faults{LoseAnswers: true})
	if err := s.desk.Refund(t.Context(), s.db, payment.RefundJob{RefundID: r.ID}); err == nil {
		t.Fatal("the answer was to be lost")
	}
	lab.SetFaults(stripelab.Faults{})
	if _, err := lab.RefundByHand(ref, 500); err != nil {
		t.Fatal(err)
	}
	s.take(ten(s.told()))
	if err := s.desk.Refund(t.Context(), s.db, payment.RefundJob{RefundID: r.ID}); err != nil {
		t.Fatal(err)
	}
	if n := s.number("SELECT count(*) FROM refunds WHERE state = 'succeeded'"); n != 2 {
		t.Errorf("%d refunds", n)
	}
	if got := s.invoice(inv.ID); !got.Paid.IsZero() || got.Credited != eur(690) || got.State != invoicing.Open {
		t.Errorf("%+v", got)
	}
	if taken, _ := lab.Taken(s.secret); taken["eur"] != 0 {
		t.Errorf("Stripe holds %v", taken)
	}
	s.audited()
}

// TestARefundByHandWhileOneWaitsHere: both want the same money; the gateway refuses the
// one that comes later, and then the other is booked.
func TestARefundByHandWhileOneWaitsHere(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	s := newTill(t, w, lab, base, w.A)
	inv, ref := s.paid("order/1", true)
	p := s.payments(payment.Filter{InvoiceID: inv.ID})[0]
	r, err := s.desk.GiveBack(t.Context(), s.db, payment.RefundRequest{Key: "form/1", PaymentID: p.ID, Amount: eur(1190)}, olga)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lab.RefundByHand(ref, 0); err != nil {
		t.Fatal(err)
	}
	told := s.told()
	for _, n := range told {
		if err := s.desk.Receive(t.Context(), s.db, stripe.Code, n.header, n.body); err != nil {
			t.Fatal(err)
		}
	}
	var id string
	s.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT id FROM gateway_events WHERE type = 'charge.refunded'").Scan(t.Context(), &id)
	})
	if err := s.desk.HandleEvent(t.Context(), s.db, payment.EventJob{Gateway: stripe.Code, ID: id}); err == nil {
		t.Error("more was booked than was paid")
	}
	if err := s.desk.Refund(t.Context(), s.db, payment.RefundJob{RefundID: r.ID}); err != nil {
		t.Fatal(err)
	}
	s.take(told)
	if got := s.invoice(inv.ID); !got.Paid.IsZero() {
		t.Errorf("%+v", got)
	}
	if n := s.number("SELECT count(*) FROM refunds WHERE state = 'failed'"); n != 1 {
		t.Errorf("%d were refused", n)
	}
	s.audited()
}

func TestADisputeIsKeptAndBooked(t *testing.T) {
	for name, test := range map[string]struct {
		decided string
		state   gateway.DisputeState
		held    int64 // by Stripe in the end
		losses  int64
	}{
		"won":  {"won", gateway.Won, 1190, 0},
		"lost": {"lost", gateway.Lost, 0, 1190},
	} {
		t.Run(name, func(t *testing.T) {
			w := tenancytest.New(t)
			lab, base := simulator(t, w)
			s, other := newTill(t, w, lab, base, w.A), newTill(t, w, lab, base, w.B)
			s.staffed()
			inv, ref := s.paid("order/1", false)
			theirs, _ := other.paid("order/1", true)
			due := w.Clock.Now().Add(9 * 24 * time.Hour).Truncate(time.Second)
			id, err := lab.Dispute(ref, 0, "product_not_received", due, false)
			if err != nil {
				t.Fatal(err)
			}
			opened := s.told()
			s.take(ten(opened))
			p := s.payments(payment.Filter{InvoiceID: inv.ID})[0]
			if len(p.Disputes) != 1 || p.Disputes[0].Ref != id || p.Disputes[0].State != gateway.NeedsResponse || !p.Disputes[0].EvidenceBy.Equal(due) || p.Disputes[0].WithdrawnMinor != 1190 {
				t.Fatalf("%+v", p.Disputes)
			}
			if got := s.invoice(inv.ID); got.State != invoicing.Paid {
				t.Errorf("the invoice is %s", got.State)
			}
			held := "SELECT coalesce(sum(CASE WHEN debit = ?0 THEN amount_minor ELSE 0 END - CASE WHEN credit = ?0 THEN amount_minor ELSE 0 END), 0) FROM ledger_postings"
			if n := s.number(held, "disputed/stripe"); n != 1190 {
				t.Errorf("%d are disputed", n)
			}
			s.audited()
			s.notTwice(p)
			// Once, three days before: the evidence is due.
			letters := s.number("SELECT count(*) FROM mails")
			for range 2 {
				if err := s.desk.RemindOfEvidence(t.Context(), s.db, w.Clock.Now()); err != nil {
					t.Fatal(err)
				}
			}
			if n := s.number("SELECT count(*) FROM mails"); n != letters || letters == 0 {
				t.Errorf("%d letters at first and %d too early", letters, n)
			}
			w.Clock.Advance(6*24*time.Hour + time.Hour)
			for range 2 {
				if err := s.desk.RemindOfEvidence(t.Context(), s.db, w.Clock.Now()); err != nil {
					t.Fatal(err)
				}
			}
			if n := s.number("SELECT count(*) FROM mails"); n != letters+1 {
				t.Errorf("%d letters, and %d after the reminder", letters, n)
			}
			for _, status := range []string{"under_review", test.decided} {
				if err := lab.SetDispute(id, status); err != nil {
					t.Fatal(err)
				}
			}
			s.take(ten(s.told()))
			p = s.payments(payment.Filter{InvoiceID: inv.ID})[0]
			if len(p.Disputes) != 1 || p.Disputes[0].State != test.state || p.Disputes[0].WithdrawnMinor != 1190-test.held {
				t.Errorf("%+v", p.Disputes)
			}
			if n := s.jobs("payment.disputed"); n != 2 { // opened, decided
				t.Errorf("what follows was asked for %d times", n)
			}
			if n := s.number(held, "cash/stripe"); n != test.held {
				t.Errorf("%d in the till", n)
			}
			if n, losses := s.number(held, "disputed/stripe"), s.number(held, "dispute_losses"); n != 0 || losses != test.losses {
				t.Errorf("%d disputed, %d lost", n, losses)
			}
			if left := p.Left(); left.Minor != test.held {
				t.Errorf("%s may be given back", left)
			}
			if n := s.number("SELECT count(*) FROM timeline WHERE kind = 'payment.disputed' AND customer_sees"); n != 0 {
				t.Error("the customer reads of it")
			}
			s.audited()
			if got := other.payments(payment.Filter{InvoiceID: theirs.ID})[0]; len(got.Disputes) != 0 {
				t.Errorf("the other shop's: %+v", got.Disputes)
			}
			if err := other.desk.Receive(t.Context(), other.db, stripe.Code, opened[0].header, opened[0].body); !fault.Is(err, "hook.forged") {
				t.Errorf("another shop's notification: %v", err)
			}
		})
	}
}

// TestTwoShopsOfOneAccount: both are told of everything, and each keeps its own.
func TestTwoShopsOfOneAccount(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	a, b := newTill(t, w, lab, base, w.A), newTill(t, w, lab, base, w.B)
	b.save(payment.Change{Code: stripe.Code, On: true, Public: map[string]string{"publishable_key": "pk_test_" + w.A.Slug}, Secret: map[string]string{"secret_key": a.secret}})
	if err := b.desk.ListenTo(t.Context(), b.db, stripe.Code, base+"/v3/", olga); err != nil { // its secret; nothing is served there
		t.Fatal(err)
	}
	inv, ref := a.paid("order/1", true)
	if _, err := lab.RefundByHand(ref, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := lab.Dispute(ref, 200, "general", w.Clock.Now().Add(time.Hour), true); err != nil {
		t.Fatal(err)
	}
	told := a.told()
	a.take(told)
	// What b would be told, put where its jobs find it.
	b.update(func(tx *tenancy.Tx) error {
		for _, kind := range []string{"refund", "dispute"} {
			var object string
			if kind == "refund" {
				object = a.payments(payment.Filter{InvoiceID: inv.ID})[0].Ref
			}
			_, err := tx.NewRaw(`INSERT INTO gateway_events (gateway, id, type, body, received_at, outcome) VALUES ('stripe', ?0, ?0, jsonb_build_object('kind', ?0::text, 'ref', ?1::text, 'payment', ?2::text), now(), '')`,
				kind, disputeOf(a, kind), object).Exec(t.Context())
			if err != nil {
				return err
			}
		}
		return nil
	})
	b.take(nil)
	if n := b.number("SELECT count(*) FROM gateway_events WHERE outcome = 'not ours'"); n != 2 {
		t.Errorf("%d of 2 were not ours", n)
	}
	if n := b.number("SELECT count(*) FROM refunds"); n != 0 {
		t.Errorf("the other shop keeps %d refunds", n)
	}
	p := a.payments(payment.Filter{InvoiceID: inv.ID})[0]
	if p.Refunded != eur(100) || len(p.Disputes) != 1 || !p.Disputes[0].Inquiry || p.Disputes[0].WithdrawnMinor != 0 {
		t.Errorf("%+v", p)
	}
	a.audited()
}

// notTwice asks for a refund of what a bank took, to the card and to credit, and of what was
// asked for before the bank did.
func (s *till) notTwice(p payment.Payment) {
	s.t.Helper()
	for _, credit := range []bool{false, true} {
		_, err := s.desk.GiveBack(s.t.Context(), s.db, payment.RefundRequest{Key: uuid.NewString(), PaymentID: p.ID, Amount: eur(100), Reason: "Sorry", ToCredit: credit, CreditNote: true}, olga)
		if !fault.Is(err, "refund.disputed") {
			s.t.Errorf("to credit %v: %v", credit, err)
		}
	}
	gw, err := stripe.New(stripe.Config{SecretKey: s.secret, PublishableKey: "pk_test", APIURL: s.url, ScriptURL: s.url + "/v3/", HTTP: http.DefaultClient})
	if err != nil {
		s.t.Fatal(err)
	}
	got, err := gw.Refund(s.t.Context(), gateway.Refund{Key: uuid.NewString(), Payment: p.Ref, Amount: eur(100)})
	if err != nil || got.State != gateway.Failed || !strings.Contains(got.Text, "charged back") {
		s.t.Errorf("Stripe gives it back: %+v %v", got, err)
	}
}

// disputeOf names a's dispute; a refund's event may name the payment alone.
func disputeOf(a *till, kind string) string {
	if kind != "dispute" {
		return ""
	}
	for _, p := range a.payments(payment.Filter{}) {
		for _, k := range p.Disputes {
			return k.Ref
		}
	}
	return ""
}
