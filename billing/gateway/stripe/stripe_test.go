package stripe_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	stripego "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"
	"github.com/stripe/stripe-mock/embedded"
	"github.com/stripe/stripe-mock/server"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/gatewaytest"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
)

const secret, publishable = "sk_test_one", "pk_test_one"

// spec is Stripe's own description of its interface, loaded once.
var spec = sync.OnceValues(func() (*server.StubServer, error) { //nolint:gochecknoglobals // a second to load
	fixtures, err := server.LoadFixtures(embedded.OpenAPIFixtures, "")
	if err != nil {
		return nil, err
	}
	s, err := server.LoadSpec(embedded.OpenAPISpec, "")
	if err != nil {
		return nil, err
	}
	return server.NewStubServer(fixtures, s, true, false)
})

var printing sync.Mutex //nolint:gochecknoglobals // stripe-mock prints every request

// checked lets only requests through to the simulator that Stripe's description allows.
func checked(t *testing.T, next http.Handler) http.Handler {
	t.Helper()
	stub, err := spec()
	if err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.HasPrefix(r.URL.Path, "/v1/") {
			ask := r.Clone(context.WithoutCancel(r.Context()))
			ask.Body = io.NopCloser(bytes.NewReader(body))
			ask.Header.Del("Idempotency-Key")
			ask.Header.Set("Authorization", "Bearer sk_test_123")
			said := httptest.NewRecorder()
			printing.Lock()
			old := os.Stdout
			os.Stdout, _ = os.Open(os.DevNull)
			stub.HandleRequest(said, ask)
			os.Stdout = old
			printing.Unlock()
			if said.Code == http.StatusBadRequest || said.Code == http.StatusNotFound {
				t.Errorf("%s %s?%s is not Stripe's: %s", r.Method, r.URL.Path, body, said.Body)
			}
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// world is a simulator with one account and its client.
type world struct {
	lab *stripelab.Lab
	url string
	// turn moves the simulator's clock.
	turn    func(time.Duration)
	gw      *stripe.Gateway
	account string      // connected; empty: none
	api     *client.API // what the seller's own program or the browser would do
}

func newWorld(t *testing.T, webhooks ...string) world {
	t.Helper()
	now := time.Now()
	lab := stripelab.New(stripelab.Options{Clock: func() time.Time { return now }})
	lab.AddAccount(secret, publishable)
	lab.AddAccount("sk_test_two", "pk_test_two")
	srv := httptest.NewServer(checked(t, lab.Handler()))
	t.Cleanup(srv.Close)
	gw, err := stripe.New(stripe.Config{SecretKey: secret, PublishableKey: publishable, WebhookSecrets: webhooks, APIURL: srv.URL, ScriptURL: srv.URL + "/v3/", Shop: "42"})
	if err != nil {
		t.Fatal(err)
	}
	b := stripego.GetBackendWithConfig(stripego.APIBackend, &stripego.BackendConfig{URL: &srv.URL, MaxNetworkRetries: stripego.Int64(0), LeveledLogger: &stripego.LeveledLogger{}})
	return world{lab, srv.URL, func(d time.Duration) { now = now.Add(d) }, gw, "", client.New(secret, &stripego.Backends{API: b, Uploads: b, Connect: b})}
}

// newConnected is a world whose client acts for an account that was connected to the keys'.
func newConnected(t *testing.T, webhooks ...string) world {
	t.Helper()
	w := newWorld(t, webhooks...)
	account, err := w.gw.NewAccount(t.Context(), "connect/1", gateway.Customer{Key: "42", Name: "Alpha", Email: "olga@example.com"}, "DE")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.lab.SetAccount(account, true); err != nil {
		t.Fatal(err)
	}
	w.account = account
	w.gw, err = stripe.New(stripe.Config{SecretKey: secret, PublishableKey: publishable, WebhookSecrets: webhooks, APIURL: w.url, ScriptURL: w.url + "/v3/", Shop: "42", Account: account, FeePpm: 20_000})
	if err != nil {
		t.Fatal(err)
	}
	b := stripego.GetBackendWithConfig(stripego.APIBackend, &stripego.BackendConfig{URL: &w.url, MaxNetworkRetries: stripego.Int64(0), LeveledLogger: &stripego.LeveledLogger{}, HTTPClient: &http.Client{Transport: inNameOf(account)}})
	w.api = client.New(secret, &stripego.Backends{API: b, Uploads: b, Connect: b})
	return w
}

// inNameOf names the account in every request, as a browser's program does.
type inNameOf string

// RoundTrip adds whose account it is.
func (a inNameOf) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Stripe-Account", string(a))
	return http.DefaultTransport.RoundTrip(r)
}

// card saves a test card for a customer.
func (w world) card(t *testing.T, customer, number string) string {
	t.Helper()
	pm, err := w.api.PaymentMethods.New(&stripego.PaymentMethodParams{Type: stripego.String("card"), Card: &stripego.PaymentMethodCardParams{
		Number: &number, ExpMonth: stripego.Int64(12), ExpYear: stripego.Int64(int64(time.Now().Year() + 3)), CVC: stripego.String("123"),
	}})
	if err == nil && customer != "" {
		pm, err = w.api.PaymentMethods.Attach(pm.ID, &stripego.PaymentMethodAttachParams{Customer: &customer})
	}
	if err != nil {
		t.Fatal(err)
	}
	return pm.ID
}

func (w world) customer(t *testing.T) string {
	t.Helper()
	c, err := w.api.Customers.New(&stripego.CustomerParams{Name: stripego.String("Ida")})
	if err != nil {
		t.Fatal(err)
	}
	return c.ID
}

func TestContract(t *testing.T) {
	for name, open := range map[string]func(*testing.T, ...string) world{"own keys": newWorld, "connected": newConnected} {
		t.Run(name, func(t *testing.T) {
			gatewaytest.Run(t, func(t *testing.T) gatewaytest.Rig { return cardRig(t, open(t, "whsec_x")) })
		})
	}
}

func cardRig(t *testing.T, w world) gatewaytest.Rig {
	t.Helper()
	c := w.customer(t)
	return gatewaytest.Rig{
		Gateway: w.gw, Customer: gateway.Customer{Key: "a1", Ref: c, Name: "Ida", Email: "ida@example.com"},
		Good: w.card(t, c, "4242424242424242"), Bad: w.card(t, c, "4000000000000341"), Later: gateway.RequiresAction,
		Down: func(d bool) { w.lab.SetFaults(stripelab.Faults{Down: d}) },
	}
}

func eur(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }

func TestWhatCardsDo(t *testing.T) {
	w := newWorld(t)
	c := w.customer(t)
	for _, test := range []struct {
		number    string
		onSession bool
		state     gateway.State
		kind      gateway.Kind
		code      string
	}{
		{"4242424242424242", false, gateway.Succeeded, "", ""},
		{"4000000000000341", false, gateway.Failed, gateway.Soft, "generic_decline"},
		{"4000002500003155", false, gateway.Failed, gateway.Authenticate, "authentication_required"},
		{"4000002760003184", true, gateway.RequiresAction, "", ""},
	} {
		p, err := w.gw.Charge(t.Context(), gateway.Charge{
			Key: test.number, Amount: eur(999), Customer: gateway.Customer{Key: "a", Ref: c}, Method: w.card(t, c, test.number), OnSession: test.onSession, ReturnURL: "https://shop.example/back",
		})
		if err != nil || p.State != test.state {
			t.Errorf("%s: %+v %v", test.number, p, err)
			continue
		}
		if test.code != "" && (p.Decline == nil || p.Decline.Kind != test.kind || p.Decline.Code != test.code) {
			t.Errorf("%s: %+v", test.number, p.Decline)
		}
		if test.state == gateway.RequiresAction && !strings.HasPrefix(p.ActionURL, w.url+"/authenticate/") {
			t.Errorf("%s: leads to %q", test.number, p.ActionURL)
		}
	}
	gone, err := w.gw.Charge(t.Context(), gateway.Charge{Key: "gone", Amount: eur(999), Customer: gateway.Customer{Key: "a", Ref: c}, Method: "pm_gone"})
	if err != nil || gone.State != gateway.Failed || gone.Decline == nil || gone.Decline.Kind != gateway.Hard {
		t.Errorf("a card that is gone: %+v %v", gone, err)
	}
}

func TestALostAnswerChargesOnce(t *testing.T) {
	w := newWorld(t)
	c := w.customer(t)
	charge := gateway.Charge{Key: "charge/1/1", Amount: eur(999), Customer: gateway.Customer{Key: "a", Ref: c}, Method: w.card(t, c, "4242424242424242"), OnSession: true, ReturnURL: "https://a.example"}
	w.lab.SetFaults(stripelab.Faults{LoseAnswers: true})
	if _, err := w.gw.Charge(t.Context(), charge); !errors.Is(err, gateway.ErrUnavailable) {
		t.Fatalf("a broken connection: %v", err)
	}
	w.lab.SetFaults(stripelab.Faults{})
	charge.ReturnURL = "https://b.example" // asked from another host: other words under one key
	if p, err := w.gw.Charge(t.Context(), charge); err != nil || p.State != gateway.Succeeded {
		t.Errorf("%+v %v", p, err)
	}
	if minor, n := w.lab.Taken(secret); n != 1 || minor["eur"] != 999 {
		t.Errorf("%d payments took %v", n, minor)
	}
}

func TestEventsAreTheAccounts(t *testing.T) {
	w := newWorld(t, "whsec_old", "whsec_new")
	now := time.Now()
	body := []byte(`{"id":"evt_1","object":"event","type":"payment_intent.succeeded","data":{"object":{"id":"pi_1","object":"payment_intent"}}}`)
	event := func(body []byte, key string, at time.Time) error {
		h := http.Header{}
		h.Set("Stripe-Signature", stripelab.Sign(body, key, at))
		e, err := w.gw.Event(t.Context(), h, body, now)
		if err == nil && (e.ID != "evt_1" || e.Kind != gateway.PaymentChanged || e.Ref != "pi_1") {
			t.Errorf("%+v", e)
		}
		return err
	}
	for _, key := range []string{"whsec_old", "whsec_new"} {
		if err := event(body, key, now); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	for name, err := range map[string]error{
		"another's secret": event(body, "whsec_other", now), "an empty secret": event(body, "", now), "an hour old": event(body, "whsec_new", now.Add(-time.Hour)),
		"of tomorrow": event(body, "whsec_new", now.Add(24*time.Hour)), "no event": event([]byte(`[]`), "whsec_new", now), "no id": event([]byte(`{}`), "whsec_new", now),
	} {
		if !errors.Is(err, gateway.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeys(t *testing.T) {
	for _, keys := range [][2]string{{"", publishable}, {secret, ""}, {publishable, secret}, {"sk_test_\n", publishable}, {"sk_", publishable}} {
		if _, err := stripe.New(stripe.Config{SecretKey: keys[0], PublishableKey: keys[1]}); !errors.Is(err, gateway.ErrCredentials) {
			t.Errorf("%q: %v", keys, err)
		}
	}
	w := newWorld(t)
	gw, err := stripe.New(stripe.Config{SecretKey: "sk_test_wrong", PublishableKey: publishable, APIURL: w.url})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gw.Check(t.Context()); !errors.Is(err, gateway.ErrCredentials) {
		t.Errorf("wrong keys: %v", err)
	}
	h, err := w.gw.Check(t.Context())
	if err != nil || h.Live || len(h.Notes) != 1 {
		t.Errorf("%+v %v", h, err)
	}
	if s, err := w.gw.Listen(t.Context(), "https://shop.example/hooks/stripe"); err != nil || !strings.HasPrefix(s, "whsec_") {
		t.Errorf("%q %v", s, err)
	}
	if script, key, origins := w.gw.Script(); script != w.url+"/v3/" || key != publishable || len(origins) != 1 || origins[0] != w.url {
		t.Errorf("%s %s %v", script, key, origins)
	}
}

// TestWhatIsDoneAtStripesOwnPages: refunds and disputes that we did not ask for are read
// with requests that are Stripe's.
func TestWhatIsDoneAtStripesOwnPages(t *testing.T) {
	w := newWorld(t)
	c := w.customer(t)
	p, err := w.gw.Charge(t.Context(), gateway.Charge{Key: "k", Amount: eur(999), Customer: gateway.Customer{Key: "a", Ref: c}, Method: w.card(t, c, "4242424242424242")})
	if err != nil {
		t.Fatal(err)
	}
	id, err := w.lab.RefundByHand(p.Ref, 100)
	if err != nil {
		t.Fatal(err)
	}
	all, err := w.gw.RefundsOf(t.Context(), p.Ref)
	if err != nil || len(all) != 1 || all[0].Ref != id || all[0].Key != "" || all[0].Payment != p.Ref || all[0].Amount != eur(100) || all[0].State != gateway.Succeeded {
		t.Errorf("%+v %v", all, err)
	}
	due := time.Now().Add(time.Hour).Truncate(time.Second)
	dp, err := w.lab.Dispute(p.Ref, 300, "duplicate", due, true)
	if err != nil {
		t.Fatal(err)
	}
	read := func(state gateway.DisputeState, inquiry bool, withdrawn int64, moves int) {
		t.Helper()
		d, err := w.gw.Dispute(t.Context(), dp)
		if err != nil || d.State != state || d.Inquiry != inquiry || d.Withdrawn != eur(withdrawn) || d.Moves != moves || d.Payment != p.Ref || d.Amount != eur(300) || d.Reason != "duplicate" {
			t.Errorf("%+v %v", d, err)
		}
		if awaited := state == gateway.NeedsResponse; awaited != d.EvidenceBy.Equal(due) {
			t.Errorf("%s: evidence by %s", state, d.EvidenceBy)
		}
	}
	read(gateway.NeedsResponse, true, 0, 0)
	for _, step := range []struct {
		status    string
		state     gateway.DisputeState
		withdrawn int64
		moves     int
	}{{"needs_response", gateway.NeedsResponse, 300, 1}, {"under_review", gateway.UnderReview, 300, 1}, {"won", gateway.Won, 0, 2}} {
		if err := w.lab.SetDispute(dp, step.status); err != nil {
			t.Fatal(err)
		}
		read(step.state, false, step.withdrawn, step.moves)
	}
	if _, err := w.gw.Dispute(t.Context(), "dp_none"); !errors.Is(err, gateway.ErrNotFound) {
		t.Errorf("none: %v", err)
	}
}
