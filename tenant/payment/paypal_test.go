package payment_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/paypal"
	"github.com/ezscale/ezscale/billing/gateway/paypallab"
	"github.com/ezscale/ezscale/billing/gateway/sandbox"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
)

// purse is a shop that takes PayPal with a simulated account of its own.
type purse struct {
	*shop
	lab    *paypallab.Lab
	client string
	hooks  []received
}

func newPurse(t *testing.T, w *tenancytest.World, lab *paypallab.Lab, base string, who tenancy.Tenant) *purse {
	t.Helper()
	all := local()
	all[paypal.Code] = func(s payment.Settings) (gateway.Gateway, error) {
		return paypal.New(paypal.Config{
			ClientID: s.Public["client_id"], Secret: s.Secret["client_secret"], WebhookID: s.Secret["webhook_secret"], APIURL: base, Clock: w.Clock.Now, HTTP: &http.Client{Timeout: 5 * time.Second},
		})
	}
	p := &purse{shop: open(t, w, who, &payment.Desk{Gateways: all, Keys: newRing(t)}), lab: lab, client: "client-of-" + who.Slug}
	lab.AddAccount(p.client, "secret-of-"+who.Slug)
	p.save(payment.Change{Code: paypal.Code, On: true, Public: map[string]string{"client_id": p.client}, Secret: map[string]string{"client_secret": "secret-of-" + who.Slug}})
	in := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		p.hooks = append(p.hooks, received{r.Header.Clone(), body})
	}))
	t.Cleanup(in.Close)
	if err := p.desk.ListenTo(t.Context(), p.db, paypal.Code, in.URL, olga); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *purse) begin(inv uuid.UUID, save bool) (payment.Payment, gateway.Payment) {
	p.t.Helper()
	row, gp, err := p.desk.Begin(p.t.Context(), p.db, payment.BeginRequest{InvoiceID: inv, Gateway: paypal.Code, Save: save, OnSession: true, ReturnURL: "https://shop.example/client/payments/{payment}"})
	if err != nil || row.State != gateway.RequiresAction || gp.ActionURL == "" {
		p.t.Fatalf("%+v %+v %v", row, gp, err)
	}
	return row, gp
}

func (p *purse) approve(id string, with paypallab.Payer) string {
	p.t.Helper()
	back, err := p.lab.Approve(id, with)
	if err != nil {
		p.t.Fatal(err)
	}
	return back
}

// take receives what PayPal told, twice and the last first, and works on it.
func (p *purse) take() {
	p.t.Helper()
	p.lab.Deliver(p.t.Context())
	for range 2 {
		for i := len(p.hooks) - 1; i >= 0; i-- {
			if err := p.desk.Receive(p.t.Context(), p.db, paypal.Code, p.hooks[i].header, p.hooks[i].body); err != nil {
				p.t.Fatal(err)
			}
		}
	}
	p.hooks = nil
	var ids []string
	p.update(func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT id FROM gateway_events WHERE gateway = 'paypal' AND processed_at IS NULL ORDER BY received_at DESC").Scan(p.t.Context(), &ids)
	})
	for range 2 {
		for _, id := range ids {
			if err := p.desk.HandleEvent(p.t.Context(), p.db, payment.EventJob{Gateway: paypal.Code, ID: id}); err != nil {
				p.t.Fatal(err)
			}
		}
	}
}

func (p *purse) taken(cents int64, payments int) {
	p.t.Helper()
	if taken, n := p.lab.Taken(p.client); n != payments || taken["EUR"] != cents {
		p.t.Errorf("PayPal took %v in %d payments, want %d in %d", taken, n, cents, payments)
	}
	p.balanced()
}

func paypals(t *testing.T, w *tenancytest.World) (*paypallab.Lab, string) {
	t.Helper()
	lab := paypallab.New(paypallab.Options{Clock: w.Clock.Now})
	srv := httptest.NewServer(lab.Handler())
	t.Cleanup(srv.Close)
	return lab, srv.URL
}

// TestPayPalIsTakenOnceAndOnlyWhileWanted: money is taken when the customer has agreed,
// by whoever notices first; of a payment that was given up it is not.
func TestPayPalIsTakenOnceAndOnlyWhileWanted(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := paypals(t, w)
	s := newPurse(t, w, lab, base, w.A)
	inv := s.issue("order/1")
	first, gp := s.begin(inv.ID, true)
	if again, _ := s.begin(inv.ID, true); again.ID != first.ID {
		t.Errorf("another tab began %+v", again)
	}
	if back := s.approve(gp.Ref, paypallab.Pays); back != "https://shop.example/client/payments/"+first.ID.String()+"?token="+gp.Ref {
		t.Errorf("leads back to %s", back)
	}
	s.taken(0, 0)
	s.take() // the customer closed the window: the notification alone tells
	if got := s.invoice(inv.ID); got.State != invoicing.Paid {
		t.Fatalf("the invoice is %+v", got)
	}
	if p, _, err := s.desk.Refresh(t.Context(), s.db, first.ID); err != nil || p.State != gateway.Succeeded || p.Method != "PayPal buyer-pays@example.com" {
		t.Errorf("%+v %v", p, err)
	}
	s.take()
	s.taken(1190, 1)

	// The kept account pays the next one without the customer.
	next := s.issue("renewal/1")
	for range 2 {
		if err := s.desk.Charge(t.Context(), s.db, payment.ChargeJob{InvoiceID: next.ID}); err != nil {
			t.Fatal(err)
		}
	}
	s.take()
	if got := s.invoice(next.ID); got.State != invoicing.Paid {
		t.Errorf("the next invoice is %+v", got)
	}
	s.taken(2*1190, 2)

	// Given up for another way to pay: agreeing late takes nothing.
	late := s.issue("order/2")
	_, gp = s.begin(late.ID, false)
	if p, _, err := s.desk.Begin(t.Context(), s.db, payment.BeginRequest{InvoiceID: late.ID, Gateway: sandbox.Code, OnSession: true}); err != nil || p.State != gateway.Succeeded {
		t.Fatalf("%+v %v", p, err)
	}
	s.approve(gp.Ref, paypallab.Pays)
	s.take()
	if got := s.invoice(late.ID); got.Paid != eur(1190) {
		t.Errorf("paid twice: %+v", got)
	}
	s.taken(2*1190, 2)
}

// TestPayPalsOtherShop: what PayPal tells one shop proves nothing to another.
func TestPayPalsOtherShop(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := paypals(t, w)
	a, b := newPurse(t, w, lab, base, w.A), newPurse(t, w, lab, base, w.B)
	inv := a.issue("order/1")
	_, gp := a.begin(inv.ID, false)
	a.approve(gp.Ref, paypallab.Pays)
	lab.Deliver(t.Context())
	for _, h := range a.hooks {
		if err := b.desk.Receive(t.Context(), b.db, paypal.Code, h.header, h.body); !fault.Is(err, "hook.forged") {
			t.Errorf("the other shop believes it: %v", err)
		}
	}
	lab.SetFaults(paypallab.Faults{Down: true})
	if err := a.desk.Receive(t.Context(), a.db, paypal.Code, a.hooks[0].header, a.hooks[0].body); !fault.Is(err, "gateway.unavailable") {
		t.Errorf("nobody can say whether it is PayPal's: %v", err)
	}
	lab.SetFaults(paypallab.Faults{})
	a.take()
	if got := a.invoice(inv.ID); got.State != invoicing.Paid {
		t.Errorf("the invoice is %+v", got)
	}
	a.taken(1190, 1)
	b.taken(0, 0)
}

// TestPayPalGivesBack: refunds asked for here and there, and a dispute that is lost.
func TestPayPalGivesBack(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := paypals(t, w)
	s := newPurse(t, w, lab, base, w.A)
	inv := s.issue("order/1")
	p, gp := s.begin(inv.ID, false)
	s.approve(gp.Ref, paypallab.Pays)
	s.take()
	r, err := s.desk.GiveBack(t.Context(), s.db, payment.RefundRequest{Key: "once", PaymentID: p.ID, Amount: eur(190), Reason: "Goodwill", CreditNote: true}, olga)
	if err != nil {
		t.Fatal(err)
	}
	lab.SetFaults(paypallab.Faults{LoseAnswers: true})
	if err := s.desk.Refund(t.Context(), s.db, payment.RefundJob{RefundID: r.ID}); err == nil {
		t.Error("a lost answer is no error")
	}
	lab.SetFaults(paypallab.Faults{Forgets: true})
	for range 2 {
		if err := s.desk.Refund(t.Context(), s.db, payment.RefundJob{RefundID: r.ID}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := lab.RefundByHand(gp.Ref, "1.00"); err != nil {
		t.Fatal(err)
	}
	s.take()
	s.taken(900, 1)
	dp, err := lab.Dispute(gp.Ref, "UNAUTHORISED", w.Clock.Now().AddDate(0, 0, 9))
	if err != nil {
		t.Fatal(err)
	}
	s.take()
	if got := s.payments(payment.Filter{})[0]; len(got.Disputes) != 1 || got.Disputes[0].State != gateway.NeedsResponse || got.Refunded != eur(290) {
		t.Errorf("%+v", got)
	}
	if err := lab.SetDispute(dp, "won"); err != nil {
		t.Fatal(err)
	}
	s.take()
	if got := s.payments(payment.Filter{})[0]; got.Disputes[0].State != gateway.Won {
		t.Errorf("%+v", got.Disputes)
	}
	s.taken(900, 1)
}

// TestAnAccountIsKeptAtPayPalsPages: who comes back brings our id alone, and another
// account's leads nowhere.
func TestAnAccountIsKeptAtPayPalsPages(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := paypals(t, w)
	s := newPurse(t, w, lab, base, w.A)
	st, id, _, err := s.desk.AddMethod(t.Context(), s.db, s.account, paypal.Code, "https://shop.example/saved?setup="+payment.SetupHole)
	if err != nil || st.ActionURL == "" {
		t.Fatalf("%+v %v", st, err)
	}
	token, _, _ := strings.Cut(st.Ref, "/")
	if back := s.approve(token, paypallab.Pays); back != "https://shop.example/saved?approval_token_id="+token+"&setup="+id.String() {
		t.Errorf("leads back to %s", back)
	}
	if _, _, err := s.desk.FinishSetup(t.Context(), s.db, uuid.New(), id); !fault.Is(err, "method.not_found") {
		t.Errorf("another account: %v", err)
	}
	due := s.issue("renewal/1")
	done, charged, err := s.desk.FinishSetup(t.Context(), s.db, s.account, id)
	if err != nil || done.State != gateway.Succeeded || len(charged) > 1 {
		t.Fatalf("%+v %v %v", done, charged, err)
	}
	if _, _, err := s.desk.FinishSetup(t.Context(), s.db, s.account, id); !fault.Is(err, "method.not_found") {
		t.Errorf("ended twice: %v", err)
	}
	if err := s.desk.Charge(t.Context(), s.db, payment.ChargeJob{InvoiceID: due.ID}); err != nil {
		t.Fatal(err)
	}
	if got := s.invoice(due.ID); got.State != invoicing.Paid {
		t.Errorf("the invoice is %+v", got)
	}
	s.taken(1190, 1)
	var m payment.Method
	s.update(func(tx *tenancy.Tx) (err error) {
		m, err = payment.DefaultMethod(t.Context(), tx, s.account)
		return err
	})
	if err := s.desk.RemoveMethod(t.Context(), s.db, s.account, m.ID, olga); err != nil || lab.Calls("DELETE /v3/vault/payment-tokens/{id}") != 1 {
		t.Error(err)
	}
	s.take()
	lab.SetFaults(paypallab.Faults{NoVault: true})
	if _, _, _, err := s.desk.AddMethod(t.Context(), s.db, s.account, paypal.Code, "https://shop.example"); !fault.Is(err, "gateway.keeps_none") {
		t.Errorf("not allowed to keep accounts: %v", err)
	}
}
