package paypal_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/gatewaytest"
	"github.com/ezscale/ezscale/billing/gateway/paypal"
	"github.com/ezscale/ezscale/billing/gateway/paypallab"
)

const client, secret = "client-of-the-shop", "secret-of-the-shop"

// documents are PayPal's descriptions of its interfaces, read once.
var documents = sync.OnceValues(func() (all []routers.Router, err error) {
	for _, name := range []string{"checkout_orders_v2", "payments_payment_v2", "vault_payment_tokens_v3", "notifications_webhooks_v1", "customer_disputes_v1"} {
		f, err := os.Open("testdata/" + name + ".json.gz")
		if err != nil {
			return nil, err
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(z)
		_ = f.Close()
		if err != nil {
			return nil, err
		}
		doc, err := openapi3.NewLoader().LoadFromData(text)
		if err != nil {
			return nil, err
		}
		if name == "vault_payment_tokens_v3" {
			// The document lists one type of token; PayPal's guide to the vault has this one.
			kind := doc.Components.Schemas["token_id_request"].Value.Properties["type"].Value
			kind.Enum = append(kind.Enum, "SETUP_TOKEN")
		}
		doc.Servers = openapi3.Servers{{URL: "/"}}
		r, err := gorillamux.NewRouter(doc)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
})

var compiled sync.Map //nolint:gochecknoglobals // the documents have many expressions

// compile leaves out what Go's expressions cannot say: that a text is not all digits.
func compile(expr string) (openapi3.RegexMatcher, error) {
	if known, ok := compiled.Load(expr); ok {
		return known.(*regexp.Regexp), nil //nolint:forcetypeassert // nothing else is stored
	}
	re, err := regexp.Compile(strings.ReplaceAll(expr, `(?!\d+$)`, ""))
	if err == nil {
		compiled.Store(expr, re)
	}
	return re, err
}

// checked holds every request of the client against PayPal's documents, and the status of
// every answer of the simulator.
func checked(t testing.TB, next http.Handler) http.Handler {
	t.Helper()
	all, err := documents()
	if err != nil {
		t.Fatal(err)
	}
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, RegexCompiler: compile}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/oauth2/token" || strings.HasPrefix(r.URL.Path, "/approve/") {
			next.ServeHTTP(w, r)
			return
		}
		var route *routers.Route
		var params map[string]string
		err := errors.New("no document")
		for i := 0; i < len(all) && err != nil; i++ {
			route, params, err = all[i].FindRoute(r)
		}
		if err != nil {
			t.Errorf("PayPal has no %s %s: %v", r.Method, r.URL.Path, err)
			next.ServeHTTP(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		options := *options
		// The event that is to be verified is sent as PayPal wrote it.
		options.ExcludeReadOnlyValidations = strings.HasSuffix(r.URL.Path, "/verify-webhook-signature")
		in := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: &options}
		if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
			t.Errorf("%s %s with %s is not PayPal's: %v", r.Method, r.URL, body, err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r) // a cut connection panics through
		if rec.Code < 300 {
			out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: rec.Code, Header: rec.Header(), Options: &options, Body: io.NopCloser(bytes.NewReader(rec.Body.Bytes()))}
			if err := openapi3filter.ValidateResponse(r.Context(), out); err != nil {
				t.Errorf("the simulator's answer to %s %s is not PayPal's: %v\n%s", r.Method, r.URL, err, rec.Body)
			}
		}
		for k, v := range rec.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
}

// world is a simulator with one account and its client.
type world struct {
	lab *paypallab.Lab
	url string
	gw  *paypal.Gateway
}

func newWorld(t *testing.T, webhookID string) world {
	t.Helper()
	lab := paypallab.New(paypallab.Options{})
	lab.AddAccount(client, secret)
	lab.AddAccount("client-of-another", "secret-of-another")
	srv := httptest.NewServer(checked(t, lab.Handler()))
	t.Cleanup(srv.Close)
	w := world{lab: lab, url: srv.URL}
	w.gw = w.open(t, client, secret, webhookID)
	return w
}

func (w world) open(t *testing.T, id, key, webhookID string) *paypal.Gateway {
	t.Helper()
	gw, err := paypal.New(paypal.Config{ClientID: id, Secret: key, WebhookID: webhookID, APIURL: w.url, Brand: "Shop & Söhne"})
	if err != nil {
		t.Fatal(err)
	}
	return gw
}

func eur(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }

func TestContract(t *testing.T) {
	gatewaytest.Run(t, func(t *testing.T) gatewaytest.Rig {
		w := newWorld(t, "WH1")
		good, c := w.lab.Keep(client, paypallab.Pays)
		bad, _ := w.lab.Keep(client, paypallab.Declines)
		return gatewaytest.Rig{
			Gateway: w.gw, Customer: gateway.Customer{Key: "a1", Ref: c, Name: "Ida", Email: "ida@example.com"}, Good: good, Bad: bad, Later: gateway.RequiresAction,
			Down: func(d bool) { w.lab.SetFaults(paypallab.Faults{Down: d}) },
		}
	})
}

func charge(key string, save bool) gateway.Charge {
	return gateway.Charge{Key: key, Amount: eur(1999), Customer: gateway.Customer{Key: "a1"}, OnSession: true, Save: save, Description: "Invoice INV-1", Reference: "INV-1", ReturnURL: "https://shop.example/back?x=1"}
}

// TestACustomerAgreesAtPayPal: nothing is taken before Finish, it is taken once, and the
// account that is kept with it pays the next time.
func TestACustomerAgreesAtPayPal(t *testing.T) {
	w := newWorld(t, "")
	p, err := w.gw.Charge(t.Context(), charge("pay/1", true))
	if err != nil || p.State != gateway.RequiresAction || !strings.HasPrefix(p.ActionURL, w.url+"/approve/") {
		t.Fatalf("%+v %v", p, err)
	}
	if early, err := w.gw.Finish(t.Context(), p.Ref); err != nil || early.State != gateway.RequiresAction {
		t.Errorf("finished before anybody agreed: %+v %v", early, err)
	}
	back, err := w.lab.Approve(p.Ref, paypallab.Pays)
	if err != nil || back != "https://shop.example/back?token="+p.Ref+"&x=1" {
		t.Fatalf("%s %v", back, err)
	}
	agreed, err := w.gw.Payment(t.Context(), p.Ref)
	if err != nil || !agreed.Agreed || agreed.State != gateway.RequiresAction {
		t.Errorf("agreed: %+v %v", agreed, err)
	}
	if _, n := w.lab.Taken(client); n != 0 {
		t.Error("looking at it took the money")
	}
	var done gateway.Payment
	for range 2 {
		if done, err = w.gw.Finish(t.Context(), p.Ref); err != nil || done.State != gateway.Succeeded || done.Received != eur(1999) || done.Key != "pay/1" {
			t.Fatalf("%+v %v", done, err)
		}
	}
	if done.Method == nil || done.Method.Ref == "" || done.Method.CustomerRef == "" || done.Method.Label != "PayPal buyer-pays@example.com" {
		t.Fatalf("kept: %+v", done.Method)
	}
	next := charge("charge/2/0", false)
	next.OnSession, next.Method, next.Customer.Ref = false, done.Method.Ref, done.Method.CustomerRef
	for range 2 {
		if p, err := w.gw.Charge(t.Context(), next); err != nil || p.State != gateway.Succeeded {
			t.Errorf("the kept account: %+v %v", p, err)
		}
	}
	if cents, n := w.lab.Taken(client); n != 2 || cents["EUR"] != 2*1999 {
		t.Errorf("%d payments took %v", n, cents)
	}
}

// TestWhatBuyersDo: refusals are the customer's to solve, and say so.
func TestWhatBuyersDo(t *testing.T) {
	w := newWorld(t, "")
	open := func(key string, with paypallab.Payer) gateway.Payment {
		t.Helper()
		p, err := w.gw.Charge(t.Context(), charge(key, false))
		if err == nil {
			_, err = w.lab.Approve(p.Ref, with)
		}
		if err == nil {
			p, err = w.gw.Finish(t.Context(), p.Ref)
		}
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := open("pay/1", paypallab.Declines)
	if p.State != gateway.RequiresAction || p.ActionURL == "" || p.Decline == nil || p.Decline.Code != "instrument_declined" {
		t.Fatalf("a bank that refuses: %+v", p)
	}
	if _, err := w.lab.Approve(p.Ref, paypallab.Pays); err != nil {
		t.Fatal(err)
	}
	if p, err := w.gw.Finish(t.Context(), p.Ref); err != nil || p.State != gateway.Succeeded || p.Decline != nil {
		t.Errorf("with another account: %+v %v", p, err)
	}
	slow := open("pay/2", paypallab.Waits)
	if slow.State != gateway.Processing {
		t.Fatalf("one PayPal looks at: %+v", slow)
	}
	if err := w.lab.SetCapture(slow.Ref, "DECLINED"); err != nil {
		t.Fatal(err)
	}
	if p, err := w.gw.Payment(t.Context(), slow.Ref); err != nil || p.State != gateway.Failed || p.Decline == nil {
		t.Errorf("refused after all: %+v %v", p, err)
	}
	confirms, of := w.lab.Keep(client, paypallab.Confirms)
	c := charge("charge/3/0", false)
	for ref, kind := range map[string]gateway.Kind{confirms: gateway.Authenticate, "gone-since-long": gateway.Hard, "no token": gateway.Hard} {
		c.Key, c.Method, c.Customer.Ref = "charge/"+string(kind)+ref[:2]+"/0", ref, of
		if p, err := w.gw.Charge(t.Context(), c); err != nil || p.State != gateway.Failed || p.Decline == nil || p.Decline.Kind != kind || p.Ref == "" {
			t.Errorf("%s: %+v %v", ref, p, err)
		}
	}
	c = charge("pay/9", false)
	c.Amount = billing.Money{Minor: 12345, Currency: "HUF"}
	if p, err := w.gw.Charge(t.Context(), c); err != nil || p.State != gateway.Failed {
		t.Errorf("a part of a forint: %+v %v", p, err)
	}
	c.Amount.Minor, c.Key = 12300, "pay/10"
	if p, err := w.gw.Charge(t.Context(), c); err != nil || p.Amount != c.Amount {
		t.Errorf("whole forints: %+v %v", p, err)
	}
	c.Amount, c.Key = billing.Money{Minor: 1000, Currency: "KWD"}, "pay/11"
	if p, err := w.gw.Charge(t.Context(), c); err != nil || p.State != gateway.Failed {
		t.Errorf("dinars: %+v %v", p, err)
	}
}

// TestLostAnswersTakeOnce: whatever is lost, and even when PayPal has forgotten the
// request, money is taken once.
func TestLostAnswersTakeOnce(t *testing.T) {
	w := newWorld(t, "")
	token, _ := w.lab.Keep(client, paypallab.Pays)
	c := charge("charge/1/0", false)
	c.Method, c.OnSession = token, false
	w.lab.SetFaults(paypallab.Faults{LoseAnswers: true})
	if _, err := w.gw.Charge(t.Context(), c); !errors.Is(err, gateway.ErrUnavailable) {
		t.Fatalf("a broken connection: %v", err)
	}
	w.lab.SetFaults(paypallab.Faults{Forgets: true})
	if _, err := w.gw.Charge(t.Context(), c); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("long after: %v", err)
	}
	w.lab.SetFaults(paypallab.Faults{})
	if p, err := w.gw.Charge(t.Context(), c); err != nil || p.State != gateway.Succeeded {
		t.Errorf("%+v %v", p, err)
	}
	p, err := w.gw.Charge(t.Context(), charge("pay/2", false))
	if err == nil {
		_, err = w.lab.Approve(p.Ref, paypallab.Pays)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.lab.SetFaults(paypallab.Faults{LoseAnswers: true})
	if _, err := w.gw.Finish(t.Context(), p.Ref); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("a lost capture: %v", err)
	}
	w.lab.SetFaults(paypallab.Faults{})
	if p, err := w.gw.Finish(t.Context(), p.Ref); err != nil || p.State != gateway.Succeeded {
		t.Errorf("%+v %v", p, err)
	}
	if gone, err := w.gw.Finish(t.Context(), "0000000000000GONE"); err != nil || gone.State != gateway.Cancelled {
		t.Errorf("an order PayPal forgot: %+v %v", gone, err)
	}
	if cents, n := w.lab.Taken(client); n != 2 || cents["EUR"] != 2*1999 {
		t.Errorf("%d payments took %v", n, cents)
	}
	w.lab.EndTokens()
	if _, err := w.gw.Payment(t.Context(), p.Ref); err != nil {
		t.Errorf("with a token that ended: %v", err)
	}
	if n := w.lab.Calls("POST /v1/oauth2/token"); n != 2 {
		t.Errorf("signed in %d times", n)
	}
}

// TestKeepingAnAccount is the vault without a payment.
func TestKeepingAnAccount(t *testing.T) {
	w := newWorld(t, "")
	s, err := w.gw.Setup(t.Context(), "setup/a/1", gateway.Customer{Key: "a1"}, "https://shop.example/saved")
	if err != nil || s.State != gateway.RequiresAction || s.ActionURL == "" {
		t.Fatalf("%+v %v", s, err)
	}
	id, _, _ := strings.Cut(s.Ref, "/")
	if _, err := w.lab.Approve(id, paypallab.Pays); err != nil {
		t.Fatal(err)
	}
	var first string
	for range 2 {
		s, err := w.gw.SetupState(t.Context(), s.Ref)
		if err != nil || s.State != gateway.Succeeded || s.Key != "setup/a/1" || s.Method == nil || s.Method.CustomerRef == "" || first != "" && s.Method.Ref != first {
			t.Fatalf("%+v %v", s, err)
		}
		first = s.Method.Ref
	}
	c := charge("charge/1/0", false)
	c.Method = first
	if p, err := w.gw.Charge(t.Context(), c); err != nil || p.State != gateway.Succeeded {
		t.Errorf("%+v %v", p, err)
	}
	if err := w.gw.Forget(t.Context(), first); err != nil {
		t.Error(err)
	}
	c.Key = "charge/1/1"
	if p, err := w.gw.Charge(t.Context(), c); err != nil || p.State != gateway.Failed || p.Decline.Kind != gateway.Hard {
		t.Errorf("an account that is kept no more: %+v %v", p, err)
	}
	for _, ref := range []string{"", "nothing", "a/b", "../x/setup/1"} {
		if _, err := w.gw.SetupState(t.Context(), ref); !errors.Is(err, gateway.ErrNotFound) {
			t.Errorf("%q: %v", ref, err)
		}
	}
	w.lab.SetFaults(paypallab.Faults{NoVault: true})
	if _, err := w.gw.Setup(t.Context(), "setup/a/2", gateway.Customer{}, "https://shop.example/saved"); !errors.Is(err, gateway.ErrUnsupported) {
		t.Errorf("not allowed to keep accounts: %v", err)
	}
	if p, err := w.gw.Charge(t.Context(), charge("pay/5", true)); err != nil || p.State != gateway.RequiresAction {
		t.Errorf("then it is paid and not kept: %+v %v", p, err)
	}
	if h, err := w.gw.Check(t.Context()); err != nil || !slices.ContainsFunc(h.Notes, func(n string) bool { return strings.Contains(n, "vaulting") }) {
		t.Errorf("%+v %v", h, err)
	}
}

// TestNotificationsAreVerified has PayPal asked about each, with the bytes as they came.
func TestNotificationsAreVerified(t *testing.T) {
	w := newWorld(t, "")
	type got struct {
		header http.Header
		body   []byte
	}
	var told []got
	in := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told = append(told, got{r.Header.Clone(), body})
	}))
	defer in.Close()
	id, err := w.gw.Listen(t.Context(), in.URL)
	if err != nil || id == "" {
		t.Fatal(id, err)
	}
	if again, err := w.gw.Listen(t.Context(), in.URL); err != nil || again != id {
		t.Errorf("registered again: %q %v", again, err)
	}
	gw, other := w.open(t, client, secret, id), w.open(t, "client-of-another", "secret-of-another", id)
	p, err := gw.Charge(t.Context(), charge("pay/1", true))
	if err == nil {
		_, err = w.lab.Approve(p.Ref, paypallab.Pays)
	}
	if err == nil {
		_, err = gw.Finish(t.Context(), p.Ref)
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := w.lab.RefundByHand(p.Ref, "5.00")
	if err != nil {
		t.Fatal(err)
	}
	dp, err := w.lab.Dispute(p.Ref, "DUPLICATE_TRANSACTION", time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	w.lab.Deliver(t.Context())
	var kinds []string
	for _, x := range told {
		e, err := gw.Event(t.Context(), x.header, x.body, time.Now())
		if err != nil || e.ID == "" {
			t.Fatalf("%s: %v", x.body, err)
		}
		kinds = append(kinds, e.Type+" "+string(e.Kind)+" "+map[string]string{p.Ref: "order", r: "refund", dp: "dispute"}[e.Ref])
		for name, change := range map[string]func(http.Header, []byte) []byte{
			"a changed body": func(_ http.Header, b []byte) []byte {
				return bytes.Replace(b, []byte("Simulated"), []byte("simulated"), 1)
			},
			"another certificate": func(h http.Header, b []byte) []byte {
				h.Set("Paypal-Cert-Url", "https://paypal.com.example/cert")
				return b
			},
			"another's signature": func(h http.Header, b []byte) []byte { h.Set("Paypal-Transmission-Sig", "QUJD"); return b },
			"another's certificate": func(h http.Header, b []byte) []byte {
				h.Set("Paypal-Cert-Url", "http://x@"+w.url[7:]+"/cert")
				return b
			},
			"none":          func(h http.Header, b []byte) []byte { h.Del("Paypal-Transmission-Id"); return b },
			"no event":      func(_ http.Header, _ []byte) []byte { return []byte(`{"id": 5}`) },
			"not even JSON": func(_ http.Header, b []byte) []byte { return append(slices.Clone(b), `,"webhook_id":"x"}`...) },
		} {
			h := x.header.Clone()
			if _, err := gw.Event(t.Context(), h, change(h, x.body), time.Now()); !errors.Is(err, gateway.ErrSignature) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := other.Event(t.Context(), x.header, x.body, time.Now()); !errors.Is(err, gateway.ErrSignature) {
			t.Errorf("another seller: %v", err)
		}
	}
	want := []string{"CHECKOUT.ORDER.APPROVED payment order", "VAULT.PAYMENT-TOKEN.CREATED payment order", "PAYMENT.CAPTURE.COMPLETED payment order", "PAYMENT.CAPTURE.REFUNDED refund refund", "CUSTOMER.DISPUTE.CREATED dispute dispute"}
	if !slices.Equal(kinds, want) {
		t.Errorf("told %q", kinds)
	}
	w.lab.SetFaults(paypallab.Faults{Down: true})
	if _, err := gw.Event(t.Context(), told[0].header, told[0].body, time.Now()); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("PayPal cannot be asked: %v", err)
	}
}

// TestWhatIsDoneAtPayPalsOwnPages: refunds and disputes that we did not ask for.
func TestWhatIsDoneAtPayPalsOwnPages(t *testing.T) {
	w := newWorld(t, "")
	token, _ := w.lab.Keep(client, paypallab.Pays)
	c := charge("charge/1/0", false)
	c.Method = token
	p, err := w.gw.Charge(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	id, err := w.lab.RefundByHand(p.Ref, "1.00")
	if err != nil {
		t.Fatal(err)
	}
	if r, err := w.gw.Refunded(t.Context(), id); err != nil || r.Payment != p.Ref || r.Key != "" || r.Amount != eur(100) {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := w.gw.Refund(t.Context(), gateway.Refund{Key: "refund/1", Payment: p.Ref, Amount: eur(200), Reason: "Goodwill"}); err != nil {
		t.Fatal(err)
	}
	w.lab.SetFaults(paypallab.Faults{Forgets: true}) // 46 days later
	if r, err := w.gw.Refund(t.Context(), gateway.Refund{Key: "refund/1", Payment: p.Ref, Amount: eur(200), Reason: "Goodwill"}); err != nil || r.State != gateway.Succeeded {
		t.Errorf("%+v %v", r, err)
	}
	all, err := w.gw.RefundsOf(t.Context(), p.Ref)
	if err != nil || len(all) != 2 || all[0].Ref != id || all[1].Key != "refund/1" || all[1].Amount != eur(200) {
		t.Errorf("%+v %v", all, err)
	}
	if r, err := w.gw.Refund(t.Context(), gateway.Refund{Key: "refund/2", Payment: p.Ref, Amount: eur(1999)}); err != nil || r.State != gateway.Failed || r.Text == "" {
		t.Errorf("more than there is: %+v %v", r, err)
	}
	due := time.Now().Add(time.Hour).Truncate(time.Second)
	dp, err := w.lab.Dispute(p.Ref, "UNAUTHORISED", due)
	if err != nil {
		t.Fatal(err)
	}
	read := func(state gateway.DisputeState, withdrawn int64, moves int) {
		t.Helper()
		d, err := w.gw.Dispute(t.Context(), dp)
		if err != nil || d.State != state || d.Withdrawn != eur(withdrawn) || d.Moves != moves || d.Payment != p.Ref || d.Amount != eur(1999) || d.Reason != "fraudulent" {
			t.Errorf("%+v %v", d, err)
		}
		if awaited := state == gateway.NeedsResponse; awaited != d.EvidenceBy.Equal(due) {
			t.Errorf("%s: evidence by %s", state, d.EvidenceBy)
		}
	}
	read(gateway.NeedsResponse, 0, 0)
	for _, step := range []struct {
		to        string
		state     gateway.DisputeState
		withdrawn int64
		moves     int
	}{{"UNDER_REVIEW", gateway.UnderReview, 0, 0}, {"lost", gateway.Lost, 1999, 1}} {
		if err := w.lab.SetDispute(dp, step.to); err != nil {
			t.Fatal(err)
		}
		read(step.state, step.withdrawn, step.moves)
	}
	if _, err := w.gw.Dispute(t.Context(), "none"); !errors.Is(err, gateway.ErrNotFound) {
		t.Errorf("none: %v", err)
	}
}

func TestKeys(t *testing.T) {
	for _, keys := range [][2]string{{"", secret}, {client, ""}, {"client id", secret}, {client, "short"}} {
		if _, err := paypal.New(paypal.Config{ClientID: keys[0], Secret: keys[1]}); !errors.Is(err, gateway.ErrCredentials) {
			t.Errorf("%q: %v", keys, err)
		}
	}
	w := newWorld(t, "")
	if _, err := w.open(t, client, "not-the-secret", "").Check(t.Context()); !errors.Is(err, gateway.ErrCredentials) {
		t.Errorf("wrong keys: %v", err)
	}
	if h, err := w.gw.Check(t.Context()); err != nil || !strings.HasPrefix(h.Account, "PayPal (APP-") || !h.Live || len(h.Notes) != 1 {
		t.Errorf("%+v %v", h, err)
	}
}
