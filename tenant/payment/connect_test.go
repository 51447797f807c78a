package payment_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	stripego "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/payment"
)

// platform opens accounts at the simulator, as the program's part for it does.
type platform struct {
	gw     *stripe.Gateway
	all    map[tenancy.ID]string
	closed bool // it hears nothing of accounts
}

func (p *platform) Open(ctx context.Context, of tenancy.ID, c gateway.Customer, country string) (string, error) {
	if p.all[of] == "" {
		account, err := p.gw.NewAccount(ctx, "connect/"+of.String(), c, country)
		if err != nil {
			return "", err
		}
		p.all[of] = account
	}
	return p.all[of], nil
}

func (p *platform) Offered() bool { return !p.closed }

func (p *platform) Link(ctx context.Context, of tenancy.ID, back, again string) (string, error) {
	return p.gw.Onboard(ctx, p.all[of], back, again)
}

func (p *platform) State(ctx context.Context, of tenancy.ID) (gateway.Connected, error) {
	c, err := p.gw.Account(ctx, p.all[of])
	if errors.Is(err, gateway.ErrCredentials) {
		err = gateway.ErrNotFound
	}
	return c, err
}

func (p *platform) Ended(_ context.Context, of tenancy.ID, _ string) error {
	p.all[of] += "x" // another one, should it be opened again
	return nil
}

// TestAConnectedAccount: a shop connects an account in place of keys, takes a card with it,
// hears of it through the platform's address, and loses it. The other shop can use it in no
// way.
func TestAConnectedAccount(t *testing.T) {
	w := tenancytest.New(t)
	lab, base := simulator(t, w)
	a, b := newTill(t, w, lab, base, w.A), newTill(t, w, lab, base, w.B)
	const secret, public = "sk_test_platform", "pk_test_platform"
	lab.AddAccount(secret, public)
	var told []received
	in := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told = append(told, received{r.Header.Clone(), body})
	}))
	t.Cleanup(in.Close)
	backend := stripego.GetBackendWithConfig(stripego.APIBackend, &stripego.BackendConfig{URL: &base, MaxNetworkRetries: stripego.Int64(0), LeveledLogger: &stripego.LeveledLogger{}})
	hook, err := client.New(secret, &stripego.Backends{API: backend}).WebhookEndpoints.New(&stripego.WebhookEndpointParams{
		URL: &in.URL, Connect: stripego.Bool(true), EnabledEvents: stripego.StringSlice([]string{"account.updated", "account.application.deauthorized"})})
	if err != nil {
		t.Fatal(err)
	}
	config := func(account string) stripe.Config {
		return stripe.Config{SecretKey: secret, PublishableKey: public, WebhookSecrets: []string{hook.Secret}, APIURL: base, ScriptURL: base + "/v3/", Account: account, HTTP: &http.Client{Timeout: 5 * time.Second}}
	}
	gw, err := stripe.New(config(""))
	if err != nil {
		t.Fatal(err)
	}
	p := &platform{gw: gw, all: map[tenancy.ID]string{}, closed: true}
	for _, s := range []*till{a, b} {
		keys := s.desk.Gateways.(drivers)[stripe.Code]
		s.desk.Gateways.(drivers)[stripe.Code] = func(x payment.Settings) (gateway.Gateway, error) {
			if account := x.Secret["account"]; account != "" {
				return stripe.New(config(account))
			}
			return keys(x)
		}
	}
	ctx := t.Context()
	if err := a.desk.BeginConnect(ctx, a.db, olga); !fault.Is(err, "connect.not_offered") {
		t.Errorf("where the platform has none: %v", err)
	}
	a.desk.Connect, b.desk.Connect = p, p
	if err := a.desk.BeginConnect(ctx, a.db, olga); !fault.Is(err, "connect.not_offered") || a.desk.Connects() {
		t.Errorf("where the platform hears nothing of accounts: %v", err)
	}
	p.closed = false
	if err := a.desk.BeginConnect(ctx, a.db, olga); !fault.Is(err, "connect.not_offered") {
		t.Errorf("a sandbox: %v", err)
	}
	real := w.A
	real.Sandbox = false
	a.db = w.DB(real)
	for range 2 {
		if err := a.desk.BeginConnect(ctx, a.db, olga); err != nil {
			t.Fatal(err)
		}
	}
	account := p.all[w.A.ID]
	if _, err := a.desk.ConnectLink(ctx, a.db, "https://shop.example/back", "https://shop.example/again"); err != nil {
		t.Error(err)
	}
	if c, err := a.desk.RefreshConnect(ctx, a.db); err != nil || c.Charges || c.Account != account || len(c.Due) == 0 {
		t.Errorf("%+v %v", c, err)
	}
	if err := lab.SetAccount(account, true); err != nil {
		t.Fatal(err)
	}
	hear := func(s *till) (taken int) {
		t.Helper()
		for _, r := range told {
			err := s.desk.Receive(ctx, s.db, stripe.Code, r.header, r.body)
			if err == nil {
				taken++
			} else if !fault.Is(err, "hook.forged") {
				t.Error(err)
			}
		}
		return taken
	}
	lab.Deliver(ctx)
	if n := hear(b); n != 0 {
		t.Errorf("the other shop took %d notifications of it", n)
	}
	if n := hear(a); n != len(told) || n == 0 {
		t.Errorf("%d of %d notifications taken", n, len(told))
	}
	a.take(nil)
	if on := scan[bool](a, "SELECT (connected->>'charges')::boolean FROM gateways WHERE code = 'stripe'"); !on {
		t.Error("that it may take payments is not known")
	}
	inv := a.issue("connect/1")
	first, gp, err := a.begin(inv.ID, false)
	if err != nil || gp.ClientSecret == "" {
		t.Fatalf("%+v %v", first, err)
	}
	if _, err := gw.Payment(ctx, first.Ref); !errors.Is(err, gateway.ErrNotFound) {
		t.Errorf("it is the platform's own payment: %v", err)
	}
	// A row of the other shop that says the same opens nothing: it is sealed for this one.
	b.desk.Keys = a.desk.Keys // as in one program
	var sealed []byte
	if err := w.Owner.QueryRow(ctx, "SELECT sealed_settings FROM "+w.A.ID.Schema()+".gateways WHERE code = 'stripe'").Scan(&sealed); err != nil {
		t.Fatal(err)
	}
	b.update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw("UPDATE gateways SET sealed_settings = ? WHERE code = 'stripe'", sealed).Exec(ctx)
		return err
	})
	if _, _, err := b.desk.Open(ctx, b.db, stripe.Code); err == nil {
		t.Error("the other shop opens the account")
	}
	told = nil
	if err := lab.Deauthorize(account); err != nil {
		t.Fatal(err)
	}
	lab.Deliver(ctx)
	hear(a)
	a.take(nil)
	if n := scan[int](a, "SELECT count(*) FROM gateways WHERE code = 'stripe' AND connected IS NULL"); n != 1 {
		t.Error("an account that was ended is still used")
	}
	if health, err := a.desk.CheckGateway(ctx, a.db, stripe.Code); err != nil || health.Account == "" {
		t.Errorf("the shop's own keys count again: %+v %v", health, err)
	}
}
