package payment_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/payment"
)

// offers is a platform that takes payments for some shops.
type offers map[tenancy.ID]bool

func (o offers) CollectionFor(_ context.Context, of tenancy.ID) (payment.CollectionTerms, bool, error) {
	return payment.CollectionTerms{Fee: billing.CollectionFee{Ppm: 29_000, Fixed: 25}, Currency: "EUR", HoldDays: 7}, o[of], nil
}

// collecting are two shops without keys of their own in the platform's one account.
type collecting struct {
	a, b   *till
	lab    *stripelab.Lab
	offers offers
}

func openCollecting(t *testing.T) *collecting {
	t.Helper()
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	const secret, public = "sk_test_platform", "pk_test_platform"
	lab.AddAccount(secret, public)
	c := &collecting{lab: lab, offers: offers{w.A.ID: true, w.B.ID: true}}
	ring := newRing(t) // as in one program
	for _, x := range []struct {
		who tenancy.Tenant
		to  **till
	}{{w.A, &c.a}, {w.B, &c.b}} {
		s := newTill(t, w, lab, base, x.who)
		s.desk.Keys = ring
		s.desk.Gateways.(drivers)[payment.Platform] = func(p payment.Settings) (gateway.Gateway, error) {
			return stripe.NewShared(stripe.Config{SecretKey: secret, PublishableKey: public, APIURL: base, ScriptURL: base + "/v3/", Shop: p.Tenant.String(), Statement: stripe.StatementOf(p.Name), HTTP: &http.Client{Timeout: 5 * time.Second}}, p.Secret["currency"])
		}
		s.desk.Collector = c.offers
		s.update(func(tx *tenancy.Tx) error {
			_, err := tx.NewRaw("DELETE FROM gateways WHERE code = 'stripe'").Exec(t.Context())
			return err
		})
		x.who.Sandbox = false
		s.db = w.DB(x.who)
		if err := s.desk.BeginCollection(t.Context(), s.db, olga); err != nil {
			t.Fatal(err)
		}
		*x.to = s
	}
	return c
}

func (s *till) collect(save bool, key, number string) payment.Payment {
	s.t.Helper()
	inv := s.issue(key)
	p, gp, err := s.desk.Begin(s.t.Context(), s.db, payment.BeginRequest{InvoiceID: inv.ID, Gateway: payment.Platform, Save: save, OnSession: true, ReturnURL: "https://shop.example/client/payments/{payment}"})
	if err != nil || gp.ClientSecret == "" {
		s.t.Fatalf("%+v %v", p, err)
	}
	s.enterWith("pk_test_platform", gp.ClientSecret, number)
	p, _, err = s.desk.Refresh(s.t.Context(), s.db, p.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// told counts what the platform has been told of a shop's payments.
func (s *till) toldPlatform() (n int) {
	s.t.Helper()
	if err := s.Owner.QueryRow(s.t.Context(), "SELECT count(*) FROM central.collected_news WHERE tenant_id = $1", s.db.Tenant().ID).Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

// TestThePlatformTakesPayments: a card on session, a saved one without its owner, a refund
// and a dispute; each is told to the platform with the transaction that keeps it.
func TestThePlatformTakesPayments(t *testing.T) {
	c := openCollecting(t)
	s, ctx := c.a, t.Context()
	p := s.collect(true, "one", "4242424242424242")
	if p.State != gateway.Succeeded || p.Gateway != payment.Platform || s.toldPlatform() != 1 {
		t.Fatalf("%+v, told %d", p, s.toldPlatform())
	}
	if n := scan[int](s, "SELECT count(*) FROM ledger_postings WHERE debit = 'cash/platform'"); n != 1 {
		t.Errorf("%d postings", n)
	}
	choices := func() (c payment.Choices) {
		t.Helper()
		s.update(func(tx *tenancy.Tx) (err error) { c, err = s.desk.Choices(ctx, s.db, tx, s.account); return err })
		return c
	}
	if c := choices(); c.Card != payment.Platform || c.Script == nil || c.Script.Key != "pk_test_platform" || len(c.Methods) != 1 {
		t.Errorf("%+v", c)
	}
	pays := func(currency string) {
		t.Helper()
		s.update(func(tx *tenancy.Tx) error {
			_, err := tx.NewRaw("UPDATE accounts SET currency = ? WHERE id = ?", currency, s.account).Exec(ctx)
			return err
		})
	}
	pays("USD")
	if c := choices(); c.Card != "" || len(c.Methods) != 0 {
		t.Errorf("who pays in dollars is shown a card form that is for euros: %+v", c)
	}
	pays("EUR")
	renewal := s.issue("renewal")
	for range 2 {
		if err := s.desk.Charge(ctx, s.db, payment.ChargeJob{InvoiceID: renewal.ID, Try: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if inv := s.invoice(renewal.ID); inv.State != "paid" || s.toldPlatform() != 2 {
		t.Errorf("%+v, told %d", inv, s.toldPlatform())
	}
	forget := func() {
		t.Helper()
		if _, err := s.Owner.Exec(ctx, "DELETE FROM central.collected_news"); err != nil {
			t.Fatal(err)
		}
	}
	forget()
	r, err := s.desk.GiveBack(ctx, s.db, payment.RefundRequest{Key: "r", PaymentID: p.ID, Amount: eur(300)}, olga)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.desk.Refund(ctx, s.db, payment.RefundJob{RefundID: r.ID}); err != nil {
			t.Fatal(err)
		}
	}
	if s.toldPlatform() != 1 {
		t.Error("the platform does not hear of a refund")
	}
	forget()
	id, err := c.lab.Dispute(p.Ref, 500, "fraudulent", time.Now().Add(100*24*time.Hour), false)
	if err != nil {
		t.Fatal(err)
	}
	e := gateway.Event{ID: "evt_1", Type: "charge.dispute.created", Kind: gateway.DisputeChanged, Ref: id, Payment: p.Ref, Body: []byte(`{}`)}
	hand := func(to *till) {
		t.Helper()
		for range 3 {
			if err := to.desk.Told(ctx, to.db, e); err != nil {
				t.Fatal(err)
			}
			if err := to.desk.HandleEvent(ctx, to.db, payment.EventJob{Gateway: payment.Platform, ID: e.ID}); err != nil {
				t.Fatal(err)
			}
		}
	}
	hand(s)
	if s.toldPlatform() != 1 || scan[int](s, "SELECT count(*) FROM payments WHERE disputes IS NOT NULL") != 1 {
		t.Error("a dispute is not kept")
	}
	hand(c.b) // by mistake: there is no such payment in its part
	if n := scan[int](c.b, "SELECT count(*) FROM payments"); n != 0 || c.b.toldPlatform() != 0 {
		t.Errorf("the other shop has %d payments", n)
	}
	s.balanced()
}

// bank is the customer's word at the page of their bank.
func (s *till) bank(clientSecret, answer string) {
	s.t.Helper()
	id, _, _ := strings.Cut(clientSecret, "_secret_")
	c := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.PostForm(s.url+"/authenticate/"+id, url.Values{"client_secret": {clientSecret}, "answer": {answer}})
	if err != nil || res.StatusCode != http.StatusSeeOther {
		s.t.Fatalf("the bank's page: %+v %v", res, err)
	}
	_ = res.Body.Close()
}

// TestABankAsksOnTheSharedAccount: nothing has come before the customer has confirmed, and
// nothing when they do not; a card that was set up with its owner renews without them, one
// whose bank always asks waits for them.
func TestABankAsksOnTheSharedAccount(t *testing.T) {
	c, ctx := openCollecting(t), t.Context()
	for _, test := range []struct {
		s      *till
		card   string
		renews bool
	}{{c.a, "4000002500003155", true}, {c.b, "4000002760003184", false}} {
		s := test.s
		begin := func(inv uuid.UUID, method *uuid.UUID) (payment.Payment, string) {
			t.Helper()
			p, gp, err := s.desk.Begin(ctx, s.db, payment.BeginRequest{InvoiceID: inv, Gateway: payment.Platform, MethodID: method, Save: true, OnSession: true, ReturnURL: "https://shop.example/client/payments/{payment}"})
			if err != nil || p.State != gateway.RequiresAction {
				t.Fatalf("%+v %+v %v", p, gp, err)
			}
			return p, gp.ClientSecret
		}
		is := func(p payment.Payment, want gateway.State, told int) gateway.Payment {
			t.Helper()
			p, gp, err := s.desk.Refresh(ctx, s.db, p.ID)
			if err != nil || p.State != want || s.toldPlatform() != told {
				t.Fatalf("%s: %+v %+v %v, told %d, want %s and %d", test.card, p, gp, err, s.toldPlatform(), want, told)
			}
			return gp
		}
		_, before := c.lab.Taken("sk_test_platform")
		first := s.issue("first")
		p, secret := begin(first.ID, nil)
		s.enterWith("pk_test_platform", secret, test.card)
		if gp := is(p, gateway.RequiresAction, 0); gp.ActionURL == "" {
			t.Errorf("%s: the customer is sent nowhere: %+v", test.card, gp)
		}
		s.bank(secret, "refuse")
		if gp := is(p, gateway.RequiresAction, 0); gp.Decline == nil {
			t.Errorf("%s: who refuses is told nothing: %+v", test.card, gp)
		}
		if _, taken := c.lab.Taken("sk_test_platform"); taken != before || s.invoice(first.ID).State != "open" {
			t.Errorf("%s: %d payments were taken", test.card, taken-before)
		}
		s.enterWith("pk_test_platform", secret, test.card)
		s.bank(secret, "confirm")
		is(p, gateway.Succeeded, 1)

		renewal := s.issue("renewal")
		if err := s.desk.Charge(ctx, s.db, payment.ChargeJob{InvoiceID: renewal.ID, Try: 1}); err != nil {
			t.Fatal(err)
		}
		if !test.renews {
			tried := s.payments(payment.Filter{})[0]
			if inv := s.invoice(renewal.ID); inv.State != "open" || tried.DeclineCode != "authentication_required" || s.toldPlatform() != 1 {
				t.Errorf("%+v %+v, told %d", inv, tried, s.toldPlatform())
			}
			kept := uuid.MustParse(scan[string](s, "SELECT default_method_id::text FROM accounts"))
			p, secret = begin(renewal.ID, &kept)
			s.bank(secret, "confirm")
			is(p, gateway.Succeeded, 2)
		}
		if inv := s.invoice(renewal.ID); inv.State != "paid" || s.toldPlatform() != 2 {
			t.Errorf("%s: %+v, told %d", test.card, inv, s.toldPlatform())
		}
		s.balanced()
	}
}

// TestNoShopReachesAnothersPayments in the account they share: a card, a customer or a
// payment that is named in its rows is not there, and what is sealed for one opens nothing
// for another.
func TestNoShopReachesAnothersPayments(t *testing.T) {
	c := openCollecting(t)
	ctx := t.Context()
	p := c.a.collect(true, "one", "4242424242424242")
	var card, customer string
	if err := c.a.Owner.QueryRow(ctx, "SELECT ref, customer_ref FROM "+c.a.A.ID.Schema()+".payment_methods").Scan(&card, &customer); err != nil {
		t.Fatal(err)
	}
	_, before := c.lab.Taken("sk_test_platform")
	// The other shop's rows say that the card is its customer's.
	c.b.update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO payment_methods (id, account_id, gateway, customer_ref, ref, kind, label, state, created_at, changed_at) VALUES ('00000000-0000-7000-8000-00000000000a', ?0, 'platform', ?1, ?2, 'card', 'Visa', 'active', now(), now())`, c.b.account, customer, card).Exec(ctx)
		if err != nil {
			return err
		}
		_, err = tx.NewRaw("UPDATE accounts SET default_method_id = '00000000-0000-7000-8000-00000000000a' WHERE id = ?", c.b.account).Exec(ctx)
		return err
	})
	inv := c.b.issue("stolen")
	if err := c.b.desk.Charge(ctx, c.b.db, payment.ChargeJob{InvoiceID: inv.ID, Try: 1}); err != nil {
		t.Fatal(err)
	}
	if inv := c.b.invoice(inv.ID); inv.State != "open" {
		t.Errorf("another shop's card paid: %+v", inv)
	}
	if _, after := c.lab.Taken("sk_test_platform"); after != before {
		t.Errorf("%d payments were taken", after-before)
	}
	if n := scan[int](c.a, "SELECT count(*) FROM payment_methods WHERE state = 'active'"); n != 1 {
		t.Error("the card's own shop lost it")
	}
	gw, _, err := c.b.desk.Open(ctx, c.b.db, payment.Platform)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gw.Refund(ctx, gateway.Refund{Key: "x", Payment: p.Ref, Amount: eur(1)}); err == nil {
		t.Error("another shop gives its payment back")
	}
	var sealed []byte
	if err := c.a.Owner.QueryRow(ctx, "SELECT sealed_settings FROM "+c.a.A.ID.Schema()+".gateways WHERE code = 'platform'").Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	c.b.update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw("UPDATE gateways SET sealed_settings = ? WHERE code = 'platform'", sealed).Exec(ctx)
		return err
	})
	if _, _, err := c.b.desk.Open(ctx, c.b.db, payment.Platform); err == nil {
		t.Error("another shop's row opens the account")
	}
	if err := c.a.desk.Receive(ctx, c.a.db, payment.Platform, http.Header{"Stripe-Signature": {"t=1,v1=x"}}, []byte(`{}`)); !fault.Is(err, "hook.unknown") {
		t.Errorf("the shop's own address takes notifications of the platform's account: %v", err)
	}
	if err := c.a.desk.ListenTo(ctx, c.a.db, payment.Platform, "https://shop.example/hooks/platform", olga); !fault.Is(err, "gateway.unknown") {
		t.Errorf("a shop has the account's notifications sent to itself: %v", err)
	}
	if err := c.a.desk.SaveGateway(ctx, c.a.db, payment.Change{Code: payment.Platform, On: true, Secret: map[string]string{"currency": "USD"}}, olga); !fault.Is(err, "gateway.unknown") {
		t.Errorf("a shop sets the platform's gateway up by itself: %v", err)
	}
}

// TestCollectionEnds: nothing new is taken, not with a saved card either; what is under way
// ends, and money still goes back.
func TestCollectionEnds(t *testing.T) {
	c := openCollecting(t)
	s, ctx := c.a, t.Context()
	p := s.collect(true, "one", "4242424242424242")
	late := s.issue("late")
	begun, gp, err := s.desk.Begin(ctx, s.db, payment.BeginRequest{InvoiceID: late.ID, Gateway: payment.Platform, OnSession: true})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.desk.EndCollection(ctx, s.db, olga); err != nil {
			t.Fatal(err)
		}
	}
	s.enterWith("pk_test_platform", gp.ClientSecret, "4242424242424242")
	if begun, _, err = s.desk.Refresh(ctx, s.db, begun.ID); err != nil || begun.State != gateway.Succeeded {
		t.Errorf("what was under way: %+v %v", begun, err)
	}
	inv := s.issue("new")
	if _, _, err := s.desk.Begin(ctx, s.db, payment.BeginRequest{InvoiceID: inv.ID, Gateway: payment.Platform, OnSession: true}); !fault.Is(err, "gateway.unknown") {
		t.Errorf("a new payment: %v", err)
	}
	_, before := c.lab.Taken("sk_test_platform")
	if err := s.desk.Charge(ctx, s.db, payment.ChargeJob{InvoiceID: inv.ID, Try: 1}); err != nil {
		t.Fatal(err)
	}
	if _, after := c.lab.Taken("sk_test_platform"); after != before || s.jobs("payment.failed") != 1 {
		t.Errorf("a saved card was charged, or its owner is asked for no other: %d jobs", s.jobs("payment.failed"))
	}
	r, err := s.desk.GiveBack(ctx, s.db, payment.RefundRequest{Key: "r", PaymentID: p.ID, Amount: eur(300)}, olga)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.desk.Refund(ctx, s.db, payment.RefundJob{RefundID: r.ID}); err != nil {
		t.Error(err)
	}
	if n := scan[int](s, "SELECT count(*) FROM refunds WHERE state = 'succeeded'"); n != 1 {
		t.Error("money does not go back any more")
	}
	delete(c.offers, s.A.ID)
	if err := s.desk.BeginCollection(ctx, s.db, olga); !fault.Is(err, "collection.not_offered") {
		t.Errorf("without terms: %v", err)
	}
	twin := s.A
	twin.Sandbox = true
	c.offers[s.A.ID] = true
	if err := s.desk.BeginCollection(ctx, s.DB(twin), olga); !fault.Is(err, "collection.not_offered") {
		t.Errorf("a sandbox: %v", err)
	}
}
