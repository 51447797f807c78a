package stripe_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/gatewaytest"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
)

func (w world) part(t *testing.T, shop string) *stripe.Shared {
	t.Helper()
	g, err := stripe.NewShared(stripe.Config{SecretKey: secret, PublishableKey: publishable, WebhookSecrets: []string{"whsec_x"}, APIURL: w.url, ScriptURL: w.url + "/v3/", Shop: shop, Statement: stripe.StatementOf("Nimbus Hosting")}, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// payer is a customer of a shop's with a saved card.
func (w world) payer(t *testing.T, g *stripe.Shared, key, number string) (customer, card string) {
	t.Helper()
	s, err := g.Setup(t.Context(), "setup/"+key, gateway.Customer{Key: key}, "")
	if err != nil {
		t.Fatal(err)
	}
	return s.CustomerRef, w.card(t, s.CustomerRef, number)
}

// TestASharedAccount passes the suite every gateway passes.
func TestASharedAccount(t *testing.T) {
	gatewaytest.Run(t, func(t *testing.T) gatewaytest.Rig {
		w := newWorld(t)
		g := w.part(t, "7")
		c, good := w.payer(t, g, "a1", "4242424242424242")
		return gatewaytest.Rig{
			Gateway: g, Customer: gateway.Customer{Key: "a1", Ref: c, Name: "Ida", Email: "ida@example.com"}, Good: good, Bad: w.card(t, c, "4000000000000341"), Later: gateway.RequiresAction,
			Down: func(d bool) { w.lab.SetFaults(stripelab.Faults{Down: d}) },
		}
	})
}

// TestShopsOfOneAccountDoNotMeet: whatever one shop names of the other's, it is not there;
// nothing is charged, given back, cancelled or forgotten.
func TestShopsOfOneAccountDoNotMeet(t *testing.T) {
	w := newWorld(t)
	a, b := w.part(t, "7"), w.part(t, "42") // w.gw is 42's too, with the account's own keys
	customer, card := w.payer(t, a, "ida", "4242424242424242")
	mine, mycard := w.payer(t, b, "ben", "4242424242424242")
	ctx := t.Context()
	paid, err := a.Charge(ctx, gateway.Charge{Key: "pay/1", Amount: eur(1999), Customer: gateway.Customer{Key: "ida", Ref: customer}, Method: card, Reference: "INV-1"})
	if err != nil || paid.State != gateway.Succeeded || paid.Shop != "7" || paid.Reference != "INV-1" || paid.BegunAt.IsZero() {
		t.Fatalf("%+v %v", paid, err)
	}
	open, err := a.Charge(ctx, gateway.Charge{Key: "pay/2", Amount: eur(500), Customer: gateway.Customer{Key: "ida", Ref: customer}})
	if err != nil {
		t.Fatal(err)
	}
	back, err := a.Refund(ctx, gateway.Refund{Key: "r1", Payment: paid.Ref, Amount: eur(100)})
	if err != nil || back.State != gateway.Succeeded {
		t.Fatalf("%+v %v", back, err)
	}
	dispute, err := w.lab.Dispute(paid.Ref, 300, "fraudulent", time.Now().Add(time.Hour), false)
	if err != nil {
		t.Fatal(err)
	}
	saving, err := a.Setup(ctx, "setup/2", gateway.Customer{Key: "ida", Ref: customer}, "")
	if err != nil {
		t.Fatal(err)
	}
	platform, err := w.gw.Charge(ctx, gateway.Charge{Key: "wholesale/1", Amount: eur(4900), Customer: gateway.Customer{Key: "p"}})
	if err != nil {
		t.Fatal(err)
	}
	charge := func(customer, card string, save bool) error {
		_, err := b.Charge(ctx, gateway.Charge{Key: "pay/" + customer + card, Amount: eur(100), Customer: gateway.Customer{Key: "x", Ref: customer}, Method: card, Save: save})
		return err
	}
	_, n := w.lab.Taken(secret)
	for what, try := range map[string]func() error{
		"its card":                   func() error { return charge(customer, card, false) },
		"its card, for my customer":  func() error { return charge(mine, card, false) },
		"its card, for a new one":    func() error { return charge("", card, false) },
		"my card, for its customer":  func() error { return charge(customer, mycard, false) },
		"keeping a card of its":      func() error { return charge(customer, "", true) },
		"a payment":                  func() error { _, err := b.Payment(ctx, paid.Ref); return err },
		"the platform's own payment": func() error { _, err := b.Payment(ctx, platform.Ref); return err },
		"cancelling":                 func() error { _, err := b.Cancel(ctx, open.Ref); return err },
		"giving back": func() error {
			_, err := b.Refund(ctx, gateway.Refund{Key: "r2", Payment: paid.Ref, Amount: eur(1)})
			return err
		},
		"a refund":                 func() error { _, err := b.Refunded(ctx, back.Ref); return err },
		"its refunds":              func() error { _, err := b.RefundsOf(ctx, paid.Ref); return err },
		"a dispute":                func() error { _, err := b.Dispute(ctx, dispute); return err },
		"a setup":                  func() error { _, err := b.SetupState(ctx, saving.Ref); return err },
		"a setup for its customer": func() error { _, err := b.Setup(ctx, "s", gateway.Customer{Key: "x", Ref: customer}, ""); return err },
		"forgetting its card":      func() error { return b.Forget(ctx, card) },
	} {
		if err := try(); !errors.Is(err, gateway.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, after := w.lab.Taken(secret); after != n {
		t.Errorf("%d payments were taken meanwhile", after-n)
	}
	if p, err := a.Payment(ctx, open.Ref); err != nil || p.State != gateway.RequiresAction {
		t.Errorf("it was cancelled: %+v %v", p, err)
	}
	// The same key of two shops is two payments.
	other, err := b.Charge(ctx, gateway.Charge{Key: "pay/1", Amount: eur(1999), Customer: gateway.Customer{Key: "ben", Ref: mine}, Method: mycard})
	if err != nil || other.Ref == paid.Ref || other.Shop != "42" {
		t.Errorf("%+v %v", other, err)
	}
	if p, err := b.Charge(ctx, gateway.Charge{Key: "pay/3", Amount: usd(100), Customer: gateway.Customer{Key: "ben", Ref: mine}, Method: mycard}); err != nil || p.State != gateway.Failed || p.Decline.Code != "currency_not_supported" {
		t.Errorf("in dollars: %+v %v", p, err)
	}
	if err := a.Forget(ctx, card); err != nil {
		t.Error(err)
	}
	if all, err := w.gw.DisputesOf(ctx, paid.Ref); err != nil || len(all) != 1 || all[0].Ref != dispute {
		t.Errorf("%+v %v", all, err)
	}
	if all, err := w.gw.DisputesOf(ctx, other.Ref); err != nil || len(all) != 0 {
		t.Errorf("of another payment: %+v %v", all, err)
	}
}

// TestWhoseNewsItIs: every notification that is a shop's says so, and the shop itself can
// verify none.
func TestWhoseNewsItIs(t *testing.T) {
	w := newWorld(t)
	var told [][2]string
	in := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told = append(told, [2]string{string(body), r.Header.Get("Stripe-Signature")})
	}))
	t.Cleanup(in.Close)
	sign, err := w.gw.Listen(t.Context(), in.URL)
	if err != nil {
		t.Fatal(err)
	}
	owner, err := stripe.New(stripe.Config{SecretKey: secret, PublishableKey: publishable, WebhookSecrets: []string{sign}, APIURL: w.url, Shop: "platform"})
	if err != nil {
		t.Fatal(err)
	}
	a := w.part(t, "7")
	customer, card := w.payer(t, a, "ida", "4242424242424242")
	paid, err := a.Charge(t.Context(), gateway.Charge{Key: "pay/1", Amount: eur(1999), Customer: gateway.Customer{Key: "ida", Ref: customer}, Method: card})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Refund(t.Context(), gateway.Refund{Key: "r", Payment: paid.Ref, Amount: eur(1)}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.lab.Dispute(paid.Ref, 0, "fraudulent", time.Now().Add(time.Hour), false); err != nil {
		t.Fatal(err)
	}
	if err := a.Forget(t.Context(), card); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.Charge(t.Context(), gateway.Charge{Key: "own", Amount: eur(4900), Customer: gateway.Customer{Key: "p"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := owner.Setup(t.Context(), "own setup", gateway.Customer{Key: "p"}, ""); err != nil {
		t.Fatal(err)
	}
	w.lab.Deliver(t.Context())
	seen := map[gateway.EventKind]int{}
	for _, x := range told {
		h := http.Header{"Stripe-Signature": {x[1]}}
		e, err := owner.Event(t.Context(), h, []byte(x[0]), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Event(t.Context(), h, []byte(x[0]), time.Now()); !errors.Is(err, gateway.ErrUnsupported) {
			t.Errorf("a shop verifies %s: %v", e.Type, err)
		}
		got, err := owner.Whose(t.Context(), gateway.Stored{Kind: e.Kind, Ref: e.Ref, Payment: e.Payment, Body: []byte(x[0])})
		if err != nil || got != "7" {
			t.Errorf("%s is of %q: %v", e.Type, got, err)
		}
		seen[e.Kind]++
	}
	for _, kind := range []gateway.EventKind{gateway.PaymentChanged, gateway.RefundChanged, gateway.DisputeChanged, gateway.MethodChanged} {
		if seen[kind] == 0 {
			t.Errorf("nothing was told of a %s: %v", kind, seen)
		}
	}
	for _, body := range []string{`{"data":{"object":{"metadata":{"ezscale_shop":"7"}}}}`, `{}`, `[`, `{"data":{"object":{"metadata":7}}}`} {
		if got, err := owner.Whose(t.Context(), gateway.Stored{Kind: gateway.PaymentChanged, Body: []byte(body)}); err != nil || got == "7" {
			t.Errorf("%s: %q %v", body, got, err)
		}
	}
	if got, err := owner.Whose(t.Context(), gateway.Stored{Kind: gateway.RefundChanged, Payment: "pi_gone"}); err != nil || got != "" {
		t.Errorf("of a payment that is gone: %q %v", got, err)
	}
}

func TestTheNameOnAStatement(t *testing.T) {
	for name, want := range map[string]string{
		"Nimbus Hosting": "NIMBUS HOS", "Ärger & Söhne": "RGER SHNE", "*<Bad>*": "BAD", "123": "", "  ": "", "Cloud 9 Servers": "CLOUD 9 SE", "日本": "",
	} {
		if got := stripe.StatementOf(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
func usd(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "USD"} }
