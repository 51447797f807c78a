package stripelab_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stripe/stripe-go/v76/webhook"

	"github.com/ezscale/ezscale/billing/gateway/stripelab"
)

const secret, public = "sk_test_one", "pk_test_one"

// bench is a simulator with two accounts, driven by plain HTTP.
type bench struct {
	t   *testing.T
	lab *stripelab.Lab
	url string
	now time.Time
}

func open(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Now().Truncate(time.Second)}
	b.lab = stripelab.New(stripelab.Options{Clock: func() time.Time { return b.now }, Retry: time.Minute})
	b.lab.AddAccount(secret, public)
	b.lab.AddAccount("sk_test_two", "pk_test_two")
	srv := httptest.NewServer(b.lab.Handler())
	t.Cleanup(srv.Close)
	b.url = srv.URL
	return b
}

// call makes one call of the API and answers with its status and what it says.
func (b *bench) call(key, idempotency, path string, fields ...string) (int, map[string]any) {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	method, body := http.MethodPost, io.Reader(strings.NewReader(form.Encode()))
	if rest, get := strings.CutPrefix(path, "GET "); get {
		method, path, body = http.MethodGet, rest, nil
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, body)
	if err != nil {
		b.t.Fatal(err)
	}
	req.SetBasicAuth(key, "")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if idempotency != "" {
		req.Header.Set("Idempotency-Key", idempotency)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil // the connection broke
	}
	defer res.Body.Close()
	said := map[string]any{}
	if err := json.NewDecoder(res.Body).Decode(&said); err != nil {
		b.t.Fatal(err)
	}
	return res.StatusCode, said
}

func (b *bench) card(number string) []string {
	return []string{"payment_method_data[type]", "card", "payment_method_data[card][number]", number, "payment_method_data[card][exp_month]", "12", "payment_method_data[card][exp_year]", "34", "payment_method_data[card][cvc]", "123"}
}

// TestAKeyChargesOnce is what everything above relies on: a request made again with its
// key is the first one, also when its answer was lost, and other words under the same key
// are refused.
func TestAKeyChargesOnce(t *testing.T) {
	b := open(t)
	_, intent := b.call(secret, "k1", "/v1/payment_intents", "amount", "500", "currency", "eur")
	if _, again := b.call(secret, "k1", "/v1/payment_intents", "amount", "500", "currency", "eur"); again["id"] != intent["id"] || intent["id"] == nil {
		t.Errorf("%v and %v", intent["id"], again["id"])
	}
	if status, said := b.call(secret, "k1", "/v1/payment_intents", "amount", "501", "currency", "eur"); status != 400 || said["error"].(map[string]any)["type"] != "idempotency_error" {
		t.Errorf("other words under a key: %d %v", status, said)
	}
	if _, other := b.call("sk_test_two", "k1", "/v1/payment_intents", "amount", "500", "currency", "eur"); other["id"] == intent["id"] {
		t.Error("two accounts share a key")
	}
	confirm := "/v1/payment_intents/" + intent["id"].(string) + "/confirm"
	b.lab.SetFaults(stripelab.Faults{LoseAnswers: true})
	if status, _ := b.call(secret, "k2", confirm, b.card("4242424242424242")...); status != 0 {
		t.Errorf("the answer was to be lost: %d", status)
	}
	b.lab.SetFaults(stripelab.Faults{})
	if status, said := b.call(secret, "k2", confirm, b.card("4242424242424242")...); status != 200 || said["status"] != "succeeded" {
		t.Errorf("again: %d %v", status, said)
	}
	if taken, n := b.lab.Taken(secret); n != 1 || taken["eur"] != 500 {
		t.Errorf("taken: %v in %d", taken, n)
	}
	if _, n := b.lab.Taken("sk_test_two"); n != 0 {
		t.Error("the other account was paid")
	}
}

func TestKeysOpenOnlyTheirOwn(t *testing.T) {
	b := open(t)
	_, intent := b.call(secret, "", "/v1/payment_intents", "amount", "500", "currency", "eur")
	at := "GET /v1/payment_intents/" + intent["id"].(string)
	for name, try := range map[string]struct {
		key, path string
		status    int
	}{
		"no such key":                      {"sk_test_none", at, 401},
		"another account":                  {"sk_test_two", at, 404},
		"a browser without its secret":     {public, at, 404},
		"a browser with a wrong secret":    {public, at + "?client_secret=x", 404},
		"a browser with its secret":        {public, at + "?client_secret=" + url.QueryEscape(intent["client_secret"].(string)), 200},
		"a browser that gives money back":  {public, "/v1/refunds", 403},
		"a refund of what was not charged": {secret, "/v1/refunds", 404},
	} {
		if status, said := b.call(try.key, "", try.path); status != try.status {
			t.Errorf("%s: %d %v", name, status, said)
		}
	}
}

func TestCardsDoWhatTheyAreFor(t *testing.T) {
	b := open(t)
	for number, want := range map[string]string{
		"4242424242424242": "succeeded", "4000000000000002": "card_declined", "4000000000009995": "card_declined", "4000002500003155": "requires_action",
	} {
		_, intent := b.call(secret, "", "/v1/payment_intents", "amount", "500", "currency", "eur")
		status, said := b.call(secret, "", "/v1/payment_intents/"+intent["id"].(string)+"/confirm", b.card(number)...)
		got, _ := said["status"].(string)
		if e, bad := said["error"].(map[string]any); bad {
			got, _ = e["code"].(string)
		}
		if got != want || (status == 402) != (want == "card_declined") {
			t.Errorf("%s: %d %s, want %s", number, status, got, want)
		}
	}
	if _, n := b.lab.Taken(secret); n != 1 {
		t.Errorf("%d payments went through", n)
	}
}

// TestNotificationsAreSignedAndComeAgain: what is not taken is tried again later, with a
// signature that proves itself then.
func TestNotificationsAreSignedAndComeAgain(t *testing.T) {
	b := open(t)
	var told []string
	taken, sign := false, ""
	in := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		e, err := webhook.ConstructEvent(body, r.Header.Get("Stripe-Signature"), sign)
		if err != nil {
			t.Errorf("signature: %v", err)
		}
		told = append(told, e.ID)
		if !taken {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(in.Close)
	_, hook := b.call(secret, "", "/v1/webhook_endpoints", "url", in.URL, "enabled_events[]", "payment_intent.succeeded")
	sign, _ = hook["secret"].(string)
	_, intent := b.call(secret, "", "/v1/payment_intents", "amount", "500", "currency", "eur")
	b.call(secret, "", "/v1/payment_intents/"+intent["id"].(string)+"/confirm", b.card("4242424242424242")...)
	if n := b.lab.Deliver(t.Context()); n != 0 || len(told) != 1 {
		t.Fatalf("refused: %d taken, told %v", n, told)
	}
	taken = true
	if n := b.lab.Deliver(t.Context()); n != 0 || len(told) != 1 {
		t.Errorf("it is not time yet: %v", told)
	}
	b.now = b.now.Add(2 * time.Minute)
	b.lab.SetFaults(stripelab.Faults{DoubleHooks: true})
	if n := b.lab.Deliver(t.Context()); n != 1 || len(told) != 3 || told[0] != told[2] {
		t.Errorf("again and doubled: %d taken, told %v", n, told)
	}
	b.now = b.now.Add(time.Hour)
	if n := b.lab.Deliver(t.Context()); n != 0 || len(told) != 3 {
		t.Errorf("taken is taken: %v", told)
	}
}
