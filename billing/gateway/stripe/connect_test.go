package stripe_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	stripego "github.com/stripe/stripe-go/v76"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
)

// TestConnectingAnAccount: the platform opens it, its owner fills Stripe's form in, leaves
// it once, and ends it in the end.
func TestConnectingAnAccount(t *testing.T) {
	w := newWorld(t)
	account, err := w.gw.NewAccount(t.Context(), "connect/42", gateway.Customer{Key: "42", Name: "Alpha"}, "DE")
	if err != nil || !strings.HasPrefix(account, "acct_") {
		t.Fatalf("%q %v", account, err)
	}
	if again, err := w.gw.NewAccount(t.Context(), "connect/42", gateway.Customer{Key: "42", Name: "Alpha"}, "DE"); err != nil || again != account {
		t.Errorf("the same key opened %q: %v", again, err)
	}
	is := func(ready bool) gateway.Connected {
		t.Helper()
		c, err := w.gw.Account(t.Context(), account)
		if err != nil || c.Charges != ready || c.Submitted != ready || ready == (len(c.Due) > 0) {
			t.Errorf("%+v %v", c, err)
		}
		return c
	}
	is(false)
	form := func(answer string) string {
		t.Helper()
		to, err := w.gw.Onboard(t.Context(), account, "https://shop.example/back", "https://shop.example/again")
		if err != nil {
			t.Fatal(err)
		}
		stay := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		res, err := stay.PostForm(to, url.Values{"answer": {answer}})
		if err != nil || res.Header.Get("Location") != "https://shop.example/back" {
			t.Fatalf("%s: %v %v", answer, res, err)
		}
		_ = res.Body.Close()
		return to
	}
	form("leave")
	is(false)
	used := form("finish")
	is(true)
	stay := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if res, err := stay.Get(used); err != nil || res.Header.Get("Location") != "https://shop.example/again" {
		t.Errorf("a used link: %v", err)
	}
	if err := w.lab.Deauthorize(account); err != nil {
		t.Fatal(err)
	}
	if _, err := w.gw.Account(t.Context(), account); !errors.Is(err, gateway.ErrCredentials) {
		t.Errorf("ended: %v", err)
	}
}

// TestAConnectedAccountIsItsOwners: money and news are the account's alone, the fee is the
// platform's, and another platform's key opens nothing.
func TestAConnectedAccountIsItsOwners(t *testing.T) {
	w := newConnected(t, "whsec_x")
	c := w.customer(t)
	p, err := w.gw.Charge(t.Context(), gateway.Charge{Key: "k", Amount: eur(1999), Customer: gateway.Customer{Key: "a", Ref: c}, Method: w.card(t, c, "4242424242424242")})
	if err != nil || p.State != gateway.Succeeded {
		t.Fatalf("%+v %v", p, err)
	}
	if taken, n := w.lab.Taken(w.account); n != 1 || taken["eur"] != 1999 {
		t.Errorf("the account took %v in %d", taken, n)
	}
	if _, n := w.lab.Taken(secret); n != 0 {
		t.Errorf("the platform itself took %d payments", n)
	}
	if fee := w.lab.Fees(w.account); fee != 40 { // 2 % of 19.99, half away from zero
		t.Errorf("the fee is %d", fee)
	}
	if w.gw.OnBehalf() != w.account {
		t.Error(w.gw.OnBehalf())
	}
	other, err := stripe.New(stripe.Config{SecretKey: "sk_test_two", PublishableKey: "pk_test_two", APIURL: w.url, Account: w.account})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Payment(t.Context(), p.Ref); !errors.Is(err, gateway.ErrCredentials) {
		t.Errorf("another platform: %v", err)
	}
	if _, err := stripe.New(stripe.Config{SecretKey: secret, PublishableKey: publishable, Account: "acct_\n"}); !errors.Is(err, gateway.ErrCredentials) {
		t.Errorf("what is no account: %v", err)
	}
}

// TestNewsOfConnectedAccounts: they come to the platform's one address, name their account,
// and are taken for no other.
func TestNewsOfConnectedAccounts(t *testing.T) {
	var told [][2]string
	in := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told = append(told, [2]string{string(body), r.Header.Get("Stripe-Signature")})
	}))
	t.Cleanup(in.Close)
	w := newWorld(t)
	e, err := w.api.WebhookEndpoints.New(&stripego.WebhookEndpointParams{URL: &in.URL, Connect: stripego.Bool(true), EnabledEvents: stripego.StringSlice([]string{"account.updated", "payment_intent.succeeded"})})
	if err != nil {
		t.Fatal(err)
	}
	one, err := w.gw.NewAccount(t.Context(), "c1", gateway.Customer{Key: "1"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.lab.SetAccount(one, true); err != nil {
		t.Fatal(err)
	}
	w.lab.Deliver(t.Context())
	if len(told) != 1 {
		t.Fatalf("told %d times", len(told))
	}
	h := http.Header{"Stripe-Signature": {told[0][1]}}
	open := func(account string) *stripe.Gateway {
		t.Helper()
		g, err := stripe.New(stripe.Config{SecretKey: secret, PublishableKey: publishable, WebhookSecrets: []string{e.Secret}, APIURL: w.url, Account: account})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	if got, err := open("").Heard(h, []byte(told[0][0]), time.Now()); err != nil || got != one {
		t.Errorf("%q %v", got, err)
	}
	if got, err := open(one).Event(t.Context(), h, []byte(told[0][0]), time.Now()); err != nil || got.Kind != gateway.AccountChanged {
		t.Errorf("%+v %v", got, err)
	}
	for name, g := range map[string]*stripe.Gateway{"another's": open("acct_other"), "the keys' own": open("")} {
		if _, err := g.Event(t.Context(), h, []byte(told[0][0]), time.Now()); !errors.Is(err, gateway.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	own := []byte(`{"id":"evt_1","object":"event","type":"payment_intent.succeeded","data":{"object":{"id":"pi_1"}}}`)
	signed := http.Header{"Stripe-Signature": {stripelab.Sign(own, e.Secret, time.Now())}}
	if _, err := open(one).Event(t.Context(), signed, own, time.Now()); !errors.Is(err, gateway.ErrSignature) {
		t.Errorf("the platform's own, for a connected account: %v", err)
	}
	if _, err := open("").Heard(signed, own, time.Now()); !errors.Is(err, gateway.ErrSignature) {
		t.Errorf("of no account: %v", err)
	}
}
