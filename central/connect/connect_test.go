package connect_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	"github.com/ezscale/ezscale/central/connect"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

// TestOneAccountIsOneResellers: opening again finds it, also after an answer was lost; what
// is told of it goes to its reseller and to nobody else; ended, there is another.
func TestOneAccountIsOneResellers(t *testing.T) {
	w := tenancytest.New(t)
	ctx := t.Context()
	lab := stripelab.New(stripelab.Options{Clock: w.Clock.Now})
	lab.AddAccount("sk_test_one", "pk_test_one")
	srv := httptest.NewServer(lab.Handler())
	t.Cleanup(srv.Close)
	gw, err := stripe.New(stripe.Config{SecretKey: "sk_test_one", PublishableKey: "pk_test_one", WebhookSecrets: []string{"whsec_x"}, APIURL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	var to []tenancy.ID
	d := &connect.Desk{Central: w.Central, Gateway: gw, Deliver: func(_ context.Context, of tenancy.ID, _ http.Header, _ []byte) error {
		to = append(to, of)
		return nil
	}}
	open := func(of tenancy.Tenant) string {
		t.Helper()
		account, err := d.Open(ctx, of.ID, gateway.Customer{Name: of.Name}, "DE")
		if err != nil {
			t.Fatal(err)
		}
		return account
	}
	lab.SetFaults(stripelab.Faults{LoseAnswers: true})
	if _, err := d.Open(ctx, w.A.ID, gateway.Customer{Name: w.A.Name}, "DE"); !errors.Is(err, gateway.ErrUnavailable) {
		t.Fatalf("a lost answer: %v", err)
	}
	lab.SetFaults(stripelab.Faults{})
	a, b := open(w.A), open(w.B)
	if again := open(w.A); again != a || a == b || len(lab.Connected("sk_test_one")) != 2 {
		t.Errorf("%s, again %s, the other's %s, of %d", a, again, b, len(lab.Connected("sk_test_one")))
	}
	if c, err := d.State(ctx, w.B.ID); err != nil || c.Account != b || c.Charges {
		t.Errorf("%+v %v", c, err)
	}
	if url, err := d.Link(ctx, w.A.ID, "https://a.example/back", "https://a.example/again"); err != nil || url == "" {
		t.Errorf("%q %v", url, err)
	}
	receive := func(account, secret string) error {
		body := []byte(`{"id":"evt_1","object":"event","type":"account.updated","account":"` + account + `","data":{"object":{"id":"` + account + `"}}}`)
		return d.Receive(ctx, http.Header{"Stripe-Signature": {stripelab.Sign(body, secret, w.Clock.Now())}}, body)
	}
	if err := receive(b, "whsec_x"); err != nil || len(to) != 1 || to[0] != w.B.ID {
		t.Errorf("to %v: %v", to, err)
	}
	if err := receive(b, "whsec_other"); !fault.Is(err, "hook.forged") {
		t.Errorf("forged: %v", err)
	}
	if err := receive("acct_nobody", "whsec_x"); !fault.Is(err, "hook.unknown") {
		t.Errorf("nobody's: %v", err)
	}
	if err := lab.Deauthorize(a); err != nil {
		t.Fatal(err)
	}
	if _, err := d.State(ctx, w.A.ID); !errors.Is(err, gateway.ErrNotFound) {
		t.Errorf("ended: %v", err)
	}
	for range 2 {
		if err := d.Ended(ctx, w.A.ID, a); err != nil {
			t.Fatal(err)
		}
	}
	if next := open(w.A); next == a || next == b {
		t.Errorf("after the end: %s", next)
	}
	if err := receive(a, "whsec_x"); !fault.Is(err, "hook.unknown") {
		t.Errorf("of the one that ended: %v", err)
	}
}
