package paypallab_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing/gateway/paypallab"
)

const one, two = "client-of-one", "client-of-two"

type object = map[string]any

// bench is a simulator with two accounts, driven by plain HTTP.
type bench struct {
	t     *testing.T
	lab   *paypallab.Lab
	url   string
	now   time.Time
	token map[string]string // by client
}

func open(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Now().Truncate(time.Second), token: map[string]string{}}
	b.lab = paypallab.New(paypallab.Options{Clock: func() time.Time { return b.now }, Retry: time.Minute})
	srv := httptest.NewServer(b.lab.Handler())
	t.Cleanup(srv.Close)
	b.url = srv.URL
	for _, client := range []string{one, two} {
		b.lab.AddAccount(client, "secret of "+client)
		status, said := b.signIn(client, "secret of "+client)
		if status != http.StatusOK {
			t.Fatalf("sign in: %d %v", status, said)
		}
		b.token[client] = said["access_token"].(string)
	}
	return b
}

func (b *bench) do(req *http.Request) (int, object) {
	b.t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil // the connection broke
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	said := object{}
	if err == nil && len(text) > 0 {
		err = json.Unmarshal(text, &said)
	}
	if err != nil {
		b.t.Fatalf("%s: %v\n%s", req.URL, err, text)
	}
	return res.StatusCode, said
}

func (b *bench) request(method, path string, body []byte) *http.Request {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	return req
}

func (b *bench) signIn(client, secret string) (int, object) {
	b.t.Helper()
	req := b.request(http.MethodPost, "/v1/oauth2/token", []byte("grant_type=client_credentials"))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(client, secret)
	return b.do(req)
}

// call makes a call as an account; id is the PayPal-Request-Id.
func (b *bench) call(client, id, method, path string, ask any) (int, object) {
	b.t.Helper()
	var body []byte
	if ask != nil {
		var err error
		if body, err = json.Marshal(ask); err != nil {
			b.t.Fatal(err)
		}
	}
	req := b.request(method, path, body)
	req.Header.Set("Authorization", "Bearer "+b.token[client])
	req.Header.Set("Content-Type", "application/json")
	if id != "" {
		req.Header.Set("PayPal-Request-Id", id)
	}
	return b.do(req)
}

func ask(value, invoice string, keep bool) object {
	paypal := object{"experience_context": object{"return_url": "https://shop.example/back", "cancel_url": "https://shop.example/back?given_up=1"}}
	if keep {
		paypal["attributes"] = object{"vault": object{"store_in_vault": "ON_SUCCESS"}}
	}
	return object{"intent": "CAPTURE", "payment_source": object{"paypal": paypal}, "purchase_units": []any{object{"amount": object{"currency_code": "EUR", "value": value}, "invoice_id": invoice}}}
}

// order makes an order and returns its id.
func (b *bench) order(value, invoice string) string {
	b.t.Helper()
	status, said := b.call(one, "order "+invoice, http.MethodPost, "/v2/checkout/orders", ask(value, invoice, false))
	if status != http.StatusCreated || said["status"] != "PAYER_ACTION_REQUIRED" {
		b.t.Fatalf("%d %v", status, said)
	}
	return said["id"].(string)
}

func (b *bench) capture(id, request string) (int, string) {
	b.t.Helper()
	status, said := b.call(one, request, http.MethodPost, "/v2/checkout/orders/"+id+"/capture", object{})
	return status, issue(said)
}

// issue is what a refusal names, or how a thing stands.
func issue(said object) string {
	if details, _ := said["details"].([]any); len(details) == 1 {
		return details[0].(object)["issue"].(string)
	}
	text, _ := said["status"].(string)
	return text
}

// TestTokensOpenOnlyTheirOwn, and end.
func TestTokensOpenOnlyTheirOwn(t *testing.T) {
	b := open(t)
	if status, _ := b.signIn(one, "secret of "+two); status != http.StatusUnauthorized {
		t.Errorf("another's secret: %d", status)
	}
	id := b.order("5.00", "INV-1")
	at := "/v2/checkout/orders/" + id
	if status, _ := b.call(two, "", http.MethodGet, at, nil); status != http.StatusNotFound {
		t.Errorf("another's order: %d", status)
	}
	if status, _ := b.call("nobody", "", http.MethodGet, at, nil); status != http.StatusUnauthorized {
		t.Errorf("no token: %d", status)
	}
	b.now = b.now.Add(9*time.Hour + time.Second)
	if status, _ := b.call(one, "", http.MethodGet, at, nil); status != http.StatusUnauthorized {
		t.Errorf("a token of this morning: %d", status)
	}
}

// TestMoneyIsTakenWhenItWasAgreedTo, once, and by one order of an invoice.
func TestMoneyIsTakenWhenItWasAgreedTo(t *testing.T) {
	b := open(t)
	id := b.order("5.00", "INV-1")
	if status, what := b.capture(id, "early"); status != http.StatusUnprocessableEntity || what != "ORDER_NOT_APPROVED" {
		t.Errorf("before anybody agreed: %d %s", status, what)
	}
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	agree := func(payer string) string {
		t.Helper()
		res, err := browser.PostForm(b.url+"/approve/"+id, url.Values{"payer": {payer}})
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.Header.Get("Location")
	}
	if to := agree("cancel"); !strings.Contains(to, "given_up=1") {
		t.Errorf("turned back to %s", to)
	}
	if to := agree("declines"); to != "https://shop.example/back?token="+id {
		t.Errorf("agreed, and sent to %s", to)
	}
	if to := agree("pays"); !strings.Contains(to, "given_up=1") {
		t.Errorf("agreed twice, and sent to %s", to)
	}
	if status, what := b.capture(id, "refused"); status != http.StatusUnprocessableEntity || what != "INSTRUMENT_DECLINED" {
		t.Errorf("a bank that refuses: %d %s", status, what)
	}
	agree("pays")
	if status, what := b.capture(id, "k"); status != http.StatusCreated || what != "COMPLETED" {
		t.Errorf("agreed with another account: %d %s", status, what)
	}
	if status, what := b.capture(id, "k"); status != http.StatusOK || what != "COMPLETED" {
		t.Errorf("asked again: %d %s", status, what)
	}
	if status, what := b.capture(id, "another"); status != http.StatusUnprocessableEntity || what != "ORDER_ALREADY_CAPTURED" {
		t.Errorf("once more: %d %s", status, what)
	}
	b.now = b.now.Add(time.Second)
	status, said := b.call(one, "second order", http.MethodPost, "/v2/checkout/orders", ask("5.00", "INV-1", false))
	if status != http.StatusCreated {
		t.Fatalf("%d %v", status, said)
	}
	second := said["id"].(string)
	if _, err := b.lab.Approve(second, paypallab.Pays); err != nil {
		t.Fatal(err)
	}
	if status, what := b.capture(second, "k2"); status != http.StatusUnprocessableEntity || what != "DUPLICATE_INVOICE_ID" {
		t.Errorf("an invoice that is paid: %d %s", status, what)
	}
	if cents, n := b.lab.Taken(one); n != 1 || cents["EUR"] != 500 {
		t.Errorf("%d took %v", n, cents)
	}
	if _, n := b.lab.Taken(two); n != 0 {
		t.Error("the other account was paid")
	}
}

// TestARequestIsRememberedByItsID: with the same words it is the first one, with others it
// is refused, and PayPal may have forgotten it.
func TestARequestIsRememberedByItsID(t *testing.T) {
	b := open(t)
	make := func(client, value string) (int, string) {
		t.Helper()
		status, said := b.call(client, "k", http.MethodPost, "/v2/checkout/orders", ask(value, "INV-1", false))
		id, _ := said["id"].(string)
		return status, id
	}
	_, first := make(one, "5.00")
	if status, again := make(one, "5.00"); status != http.StatusOK || again != first {
		t.Errorf("%d %s and %s", status, first, again)
	}
	if status, _ := make(one, "6.00"); status != http.StatusUnprocessableEntity {
		t.Errorf("other words: %d", status)
	}
	if _, other := make(two, "5.00"); other == first {
		t.Error("two accounts share a request")
	}
	b.lab.SetFaults(paypallab.Faults{Forgets: true})
	if status, another := make(one, "5.00"); status != http.StatusCreated || another == first {
		t.Errorf("forgotten: %d %s", status, another)
	}
	if status, said := b.call(one, "", http.MethodPost, "/v2/checkout/orders", ask("5.00", "INV-2", false)); status != http.StatusBadRequest || issue(said) != "PAYPAL_REQUEST_ID_REQUIRED" {
		t.Errorf("without: %d %v", status, said)
	}
}

// TestRefundsAndDisputesMoveMoneyOnce.
func TestRefundsAndDisputesMoveMoneyOnce(t *testing.T) {
	b := open(t)
	id := b.order("10.00", "INV-1")
	if _, err := b.lab.Approve(id, paypallab.Waits); err != nil {
		t.Fatal(err)
	}
	if _, what := b.capture(id, "k"); what != "COMPLETED" { // the order is; its capture waits
		t.Fatal(what)
	}
	if _, n := b.lab.Taken(one); n != 0 {
		t.Error("what PayPal looks at is counted")
	}
	if _, err := b.lab.RefundByHand(id, "1.00"); err == nil {
		t.Error("what is not there is given back")
	}
	if err := b.lab.SetCapture(id, "COMPLETED"); err != nil {
		t.Fatal(err)
	}
	if err := b.lab.SetCapture(id, "DECLINED"); err == nil {
		t.Error("what is settled is refused")
	}
	_, said := b.call(one, "", http.MethodGet, "/v2/checkout/orders/"+id, nil)
	captured := said["purchase_units"].([]any)[0].(object)["payments"].(object)["captures"].([]any)[0].(object)["id"].(string)
	for i, try := range []struct {
		value, currency, want string
	}{{"10.01", "EUR", "REFUND_AMOUNT_EXCEEDED"}, {"1.00", "USD", "REFUND_CAPTURE_CURRENCY_MISMATCH"}, {"4.00", "EUR", "COMPLETED"}, {"6.01", "EUR", "REFUND_AMOUNT_EXCEEDED"}} {
		_, said := b.call(one, fmt.Sprint("refund ", i), http.MethodPost, "/v2/payments/captures/"+captured+"/refund", object{"amount": object{"currency_code": try.currency, "value": try.value}})
		if issue(said) != try.want {
			t.Errorf("%s %s: %v", try.value, try.currency, said)
		}
	}
	d, err := b.lab.Dispute(id, "UNAUTHORISED", b.now.AddDate(0, 0, 9))
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		to   string
		left int64
	}{{"UNDER_REVIEW", 600}, {"won", 600}, {"lost", -400}} { // a decision may be turned
		if err := b.lab.SetDispute(d, step.to); err != nil {
			t.Fatal(err)
		}
		if cents, _ := b.lab.Taken(one); cents["EUR"] != step.left {
			t.Errorf("%s leaves %v", step.to, cents)
		}
	}
	if err := b.lab.SetDispute(d, "forgotten"); err == nil {
		t.Error("a state PayPal does not have")
	}
}

// TestFaults are switched on from outside and off again.
func TestFaults(t *testing.T) {
	b := open(t)
	switchTo := func(names ...string) {
		t.Helper()
		form := url.Values{}
		for _, n := range names {
			form.Set(n, "on")
		}
		res, err := http.PostForm(b.url+"/lab/faults", form)
		if err != nil || res.StatusCode != http.StatusNoContent {
			t.Fatalf("%v: %v", names, err)
		}
		_ = res.Body.Close()
	}
	make := func(id string, keep bool) (int, object) {
		return b.call(one, id, http.MethodPost, "/v2/checkout/orders", ask("5.00", id, keep))
	}
	switchTo("down")
	if status, _ := make("a", false); status != http.StatusServiceUnavailable {
		t.Errorf("down: %d", status)
	}
	switchTo("errors")
	if status, _ := make("a", false); status != http.StatusInternalServerError {
		t.Errorf("errors: %d", status)
	}
	switchTo("lose_answers")
	if status, _ := make("a", false); status != 0 {
		t.Errorf("the answer was to be lost: %d", status)
	}
	switchTo("no_vault")
	if status, _ := make("a", false); status != http.StatusOK { // done while its answer was lost, and not before
		t.Errorf("again: %d", status)
	}
	if _, said := make("b", true); issue(said) != "NOT_ENABLED_TO_VAULT_PAYMENT_SOURCE" {
		t.Errorf("kept where nothing may be: %v", said)
	}
	if _, said := b.signIn(one, "secret of "+one); strings.Contains(said["scope"].(string), "vault") {
		t.Errorf("the token says %v", said["scope"])
	}
	switchTo()
	if status, _ := make("b", true); status != http.StatusCreated {
		t.Errorf("well: %d", status)
	}
}

// TestNotificationsProveThemselves: only the account they were sent to can have them
// verified, and only as they came.
func TestNotificationsProveThemselves(t *testing.T) {
	b := open(t)
	var header http.Header
	var body []byte
	var times int
	in := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		header, times = r.Header.Clone(), times+1
		body, _ = io.ReadAll(r.Body)
	}))
	defer in.Close()
	listen := object{"url": in.URL, "event_types": []any{object{"name": "CHECKOUT.ORDER.APPROVED"}}}
	_, hook := b.call(one, "", http.MethodPost, "/v1/notifications/webhooks", listen)
	if status, _ := b.call(one, "", http.MethodPost, "/v1/notifications/webhooks", listen); status != http.StatusBadRequest {
		t.Errorf("one address twice: %d", status)
	}
	tell := func(invoice string, f paypallab.Faults) int {
		t.Helper()
		times = 0
		id := b.order("5.00", invoice)
		b.lab.SetFaults(f)
		if _, err := b.lab.Approve(id, paypallab.Pays); err != nil {
			t.Fatal(err)
		}
		if status, what := b.capture(id, "k "+invoice); status != http.StatusCreated { // which nobody listens to
			t.Fatal(status, what)
		}
		b.lab.Deliver(t.Context())
		b.lab.SetFaults(paypallab.Faults{})
		return times
	}
	for n, f := range []paypallab.Faults{{LoseHooks: true}, {}, {DoubleHooks: true}} {
		if got := tell(fmt.Sprint("INV-", n), f); got != n {
			t.Errorf("%+v: told %d times", f, got)
		}
	}
	verify := func(client, webhook string, event []byte) any {
		t.Helper()
		_, said := b.call(client, "", http.MethodPost, "/v1/notifications/verify-webhook-signature", object{
			"auth_algo": header.Get("Paypal-Auth-Algo"), "cert_url": header.Get("Paypal-Cert-Url"), "transmission_id": header.Get("Paypal-Transmission-Id"),
			"transmission_sig": header.Get("Paypal-Transmission-Sig"), "transmission_time": header.Get("Paypal-Transmission-Time"), "webhook_id": webhook, "webhook_event": json.RawMessage(event),
		})
		return said["verification_status"]
	}
	own := hook["id"].(string)
	for name, got := range map[string]any{"another account": verify(two, own, body), "another webhook": verify(one, "WH", body), "other words": verify(one, own, bytes.Replace(body, []byte("5.00"), []byte("6.00"), 1))} {
		if got != "FAILURE" {
			t.Errorf("%s: %v", name, got)
		}
	}
	if got := verify(one, own, body); got != "SUCCESS" {
		t.Errorf("as it came: %v", got)
	}
}
