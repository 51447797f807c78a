package coinbaselab_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/coinbase"
	"github.com/ezscale/ezscale/billing/gateway/coinbaselab"
)

// bench is a simulator with two accounts, and a client of each.
type bench struct {
	t        *testing.T
	lab      *coinbaselab.Lab
	url      string
	now      time.Time
	one, two *coinbase.Gateway
	heard    []string // what the first account's address was told
	last     *http.Request
	keepBack bool // calls of the first are kept and not sent
}

const one, two = "key-of-one", "key-of-two"

func open(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, now: time.Now().Truncate(time.Second)}
	b.lab = coinbaselab.New(coinbaselab.Options{Clock: func() time.Time { return b.now }})
	srv := httptest.NewServer(b.lab.Handler())
	t.Cleanup(srv.Close)
	b.url = srv.URL
	b.one, b.two = b.client(one), b.client(two)
	in := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		e, err := b.one.Event(r.Context(), r.Header, body, b.now)
		if err != nil {
			t.Error(err)
		}
		b.heard = append(b.heard, e.Type)
	}))
	t.Cleanup(in.Close)
	b.lab.Subscribe(one, in.URL, "hook")
	return b
}

func (b *bench) client(key string) *coinbase.Gateway {
	b.t.Helper()
	gw, err := coinbase.New(coinbase.Config{KeyID: key, KeySecret: b.lab.AddAccount(key), WebhookSecret: "hook", APIURL: b.url + "/api/v1", Clock: func() time.Time { return b.now }, HTTP: &http.Client{Transport: b}})
	if err != nil {
		b.t.Fatal(err)
	}
	return gw
}

var errKept = errors.New("kept back")

// RoundTrip sends calls, or keeps them back.
func (b *bench) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.last = r; b.keepBack {
		return nil, errKept
	}
	return http.DefaultTransport.RoundTrip(r)
}

func (b *bench) charge(gw *coinbase.Gateway, key string, minor int64) (gateway.Payment, error) {
	return gw.Charge(b.t.Context(), gateway.Charge{Key: key, Amount: billing.Money{Minor: minor, Currency: "USD"}, Description: "Invoice <1>", ReturnURL: "https://shop.example/back"})
}

func (b *bench) must(p gateway.Payment, err error) gateway.Payment {
	b.t.Helper()
	if err != nil || p.State != gateway.RequiresAction {
		b.t.Fatalf("%+v %v", p, err)
	}
	return p
}

// post is what a customer's browser, or a person at the demo, sends.
func (b *bench) post(path string, form url.Values) (status int, to string) {
	b.t.Helper()
	c := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.PostForm(b.url+path, form)
	if err != nil {
		b.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode, res.Header.Get("Location")
}

// TestATokenOpensOneCallOnce: it names the call it is for, is good for a moment, and no
// second time.
func TestATokenOpensOneCallOnce(t *testing.T) {
	b := open(t)
	with := func(token, method, path string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, b.url+"/api/v1"+path, strings.NewReader(`{"amount":"1.00","currency":"USD"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	token := func() string {
		b.keepBack = true
		defer func() { b.keepBack = false }()
		if _, err := b.one.Check(t.Context()); !errors.Is(err, errKept) {
			t.Fatal(err)
		}
		return b.last.Header.Get("Authorization")
	}
	first := token()
	for name, status := range map[string]int{
		"another call": with(first, http.MethodPost, "/checkouts"), "another path": with(first, http.MethodGet, "/checkouts/"+strings.Repeat("a", 24)),
		"none": with("", http.MethodGet, "/checkouts"), "a changed one": with(first[:len(first)-4]+"AAAA", http.MethodGet, "/checkouts"),
	} {
		if status != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, status)
		}
	}
	if got := with(first, http.MethodGet, "/checkouts"); got != http.StatusOK {
		t.Errorf("the call it is for: %d", got)
	}
	if got := with(first, http.MethodGet, "/checkouts"); got != http.StatusUnauthorized {
		t.Errorf("a second time: %d", got)
	}
	late := token()
	b.now = b.now.Add(3 * time.Minute)
	if got := with(late, http.MethodGet, "/checkouts"); got != http.StatusUnauthorized {
		t.Errorf("too late: %d", got)
	}
}

// TestAKeyMakesOneCheckout: a request made again with its key is the first one, other words
// under the same key are refused, and accounts share neither keys nor checkouts.
func TestAKeyMakesOneCheckout(t *testing.T) {
	b := open(t)
	first := b.must(b.charge(b.one, "k", 500))
	if again := b.must(b.charge(b.one, "k", 500)); again.Ref != first.Ref {
		t.Errorf("%s and %s", first.Ref, again.Ref)
	}
	if _, err := b.charge(b.one, "k", 501); err == nil {
		t.Error("other words under a key are taken")
	}
	if other := b.must(b.charge(b.two, "k", 500)); other.Ref == first.Ref {
		t.Error("two accounts share a key")
	}
	if _, err := b.two.Payment(t.Context(), first.Ref); !errors.Is(err, gateway.ErrNotFound) {
		t.Errorf("another's checkout: %v", err)
	}
}

// TestACheckoutIsAnsweredOnce: at its page, from outside, or by its seller.
func TestACheckoutIsAnsweredOnce(t *testing.T) {
	b := open(t)
	state := func(p gateway.Payment) gateway.State {
		t.Helper()
		now, err := b.one.Payment(t.Context(), p.Ref)
		if err != nil {
			t.Fatal(err)
		}
		return now.State
	}
	p := b.must(b.charge(b.one, "paid", 500))
	if status, to := b.post("/pay/"+p.Ref, url.Values{"answer": {"cancel"}}); status != http.StatusSeeOther || to != "https://shop.example/back?"+gateway.GivenUp+"=1" || state(p) != gateway.RequiresAction {
		t.Errorf("turned back: %d %s", status, to)
	}
	for range 2 { // the browser's back button, and once more
		if status, to := b.post("/pay/"+p.Ref, url.Values{"answer": {"pay"}}); status != http.StatusSeeOther || to != "https://shop.example/back" {
			t.Errorf("paid: %d %s", status, to)
		}
	}
	if _, err := b.one.Cancel(t.Context(), p.Ref); err != nil || state(p) != gateway.Succeeded {
		t.Errorf("deactivated when it is paid: %s %v", state(p), err)
	}
	late := b.must(b.charge(b.one, "late", 700))
	if _, err := b.one.Cancel(t.Context(), late.Ref); err != nil {
		t.Fatal(err)
	}
	if _, err := b.lab.Pay(late.Ref, 0); err == nil {
		t.Error("what its seller ended is paid")
	}
	short := b.must(b.charge(b.one, "short", 900))
	for path, form := range map[string]url.Values{"/lab/pay/" + short.Ref: {"cents": {"-1"}}, "/lab/end/" + short.Ref: {"status": {"COMPLETED"}}, "/lab/end/" + late.Ref: {"status": {"EXPIRED"}}} {
		if status, _ := b.post(path, form); status != http.StatusBadRequest {
			t.Errorf("%s %v: %d", path, form, status)
		}
	}
	if status, _ := b.post("/lab/pay/"+short.Ref, url.Values{"cents": {"850"}}); status != http.StatusNoContent {
		t.Errorf("less than was asked for: %d", status)
	}
	gone := b.must(b.charge(b.one, "gone", 100))
	if status, _ := b.post("/lab/end/"+gone.Ref, url.Values{"status": {"EXPIRED"}}); status != http.StatusNoContent || state(gone) != gateway.Cancelled {
		t.Errorf("expired: %d %s", status, state(gone))
	}
	if cents, n := b.lab.Taken(one); n != 2 || cents["USD"] != 500+850 {
		t.Errorf("%d took %v", n, cents)
	}
	if _, n := b.lab.Taken(two); n != 0 {
		t.Error("the other account was paid")
	}
	if status, _ := b.post("/pay/"+strings.Repeat("0", 24), url.Values{"answer": {"pay"}}); status != http.StatusNotFound {
		t.Errorf("a checkout nobody made: %d", status)
	}
}

// TestRefundsNeverExceed what came, and say how much of it is gone.
func TestRefundsNeverExceed(t *testing.T) {
	b := open(t)
	p := b.must(b.charge(b.one, "p", 1000))
	give := func(key string, minor int64) gateway.Refunded {
		t.Helper()
		r, err := b.one.Refund(t.Context(), gateway.Refund{Key: key, Payment: p.Ref, Amount: billing.Money{Minor: minor, Currency: "USD"}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := give("early", 1); r.State != gateway.Failed {
		t.Errorf("before it is paid: %+v", r)
	}
	if _, err := b.lab.Pay(p.Ref, 800); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		key   string
		minor int64
		want  gateway.State
	}{{"more than came", 801, gateway.Failed}, {"a part", 300, gateway.Succeeded}, {"more than is left", 501, gateway.Failed}, {"the rest", 500, gateway.Succeeded}, {"nothing is left", 1, gateway.Failed}} {
		if r := give(c.key, c.minor); r.State != c.want {
			t.Errorf("%s: %+v", c.key, r)
		}
	}
	if cents, n := b.lab.Taken(one); n != 1 || cents["USD"] != 0 {
		t.Errorf("%d keep %v", n, cents)
	}
}

// TestFaults are switched on from outside and off again.
func TestFaults(t *testing.T) {
	b := open(t)
	switchTo := func(names ...string) {
		form := url.Values{}
		for _, n := range names {
			form.Set(n, "on")
		}
		if status, _ := b.post("/lab/faults", form); status != http.StatusNoContent {
			t.Fatalf("%v: %d", names, status)
		}
	}
	pay := func(key string) []string {
		t.Helper()
		b.heard = nil
		if _, err := b.lab.Pay(b.must(b.charge(b.one, key, 100)).Ref, 0); err != nil {
			t.Fatal(err)
		}
		b.lab.Deliver(t.Context())
		return b.heard
	}
	switchTo("down")
	if _, err := b.charge(b.one, "k", 100); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("down: %v", err)
	}
	switchTo("lose_answers")
	if _, err := b.charge(b.one, "k", 100); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("a lost answer: %v", err)
	}
	switchTo("lose_hooks")
	if told := pay("k"); len(told) != 0 { // made while its answer was lost
		t.Errorf("lost: %v", told)
	}
	switchTo("double_hooks")
	if told := pay("twice"); len(told) != 2 {
		t.Errorf("twice: %v", told)
	}
	switchTo()
	if told := pay("well"); len(told) != 1 || told[0] != "checkout.payment.success" {
		t.Errorf("well: %v", told)
	}
}
