package coinbase_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/coinbase"
	"github.com/ezscale/ezscale/billing/gateway/coinbaselab"
	"github.com/ezscale/ezscale/billing/gateway/gatewaytest"
)

const key, hookSecret = "key-of-the-shop", "secret-of-the-hook"

func eur(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }

func open(t *testing.T, webhookSecret string) (*coinbaselab.Lab, *coinbase.Gateway) {
	t.Helper()
	lab := coinbaselab.New(coinbaselab.Options{})
	secret := lab.AddAccount(key)
	srv := httptest.NewServer(checked(t, lab.Handler()))
	t.Cleanup(srv.Close)
	gw, err := coinbase.New(coinbase.Config{KeyID: key, KeySecret: secret, WebhookSecret: webhookSecret, APIURL: srv.URL + "/api/v1"})
	if err != nil {
		t.Fatal(err)
	}
	return lab, gw
}

func TestContract(t *testing.T) {
	gatewaytest.Run(t, func(t *testing.T) gatewaytest.Rig {
		lab, gw := open(t, hookSecret)
		return gatewaytest.Rig{
			Gateway: gw, Customer: gateway.Customer{Key: "a1"}, Later: gateway.RequiresAction,
			Down: func(d bool) { lab.SetFaults(coinbaselab.Faults{Down: d}) },
			Pay: func(ref string) {
				if _, err := lab.Pay(ref, 0); err != nil {
					t.Fatal(err)
				}
			},
		}
	})
}

func charge(t *testing.T, gw *coinbase.Gateway, key string) gateway.Payment {
	t.Helper()
	p, err := gw.Charge(t.Context(), gateway.Charge{Key: key, Amount: eur(1999), OnSession: true, Description: "Invoice INV-1", Reference: "INV-1", ReturnURL: "https://shop.example/back"})
	if err != nil || p.State != gateway.RequiresAction || p.ActionURL == "" {
		t.Fatalf("%+v %v", p, err)
	}
	return p
}

// TestWhatBuyersSend: less and more than was asked for count as what came, and nothing
// counts that expired.
func TestWhatBuyersSend(t *testing.T) {
	lab, gw := open(t, "")
	for name, test := range map[string]struct {
		paid     int64
		ended    string
		state    gateway.State
		received int64
	}{
		"all": {0, "", gateway.Succeeded, 1999}, "less": {1500, "", gateway.Succeeded, 1500}, "more": {2500, "", gateway.Succeeded, 2500},
		"too late": {0, "EXPIRED", gateway.Cancelled, 0}, "lost": {0, "FAILED", gateway.Failed, 0},
	} {
		p := charge(t, gw, "pay/"+name)
		var err error
		if test.ended == "" {
			_, err = lab.Pay(p.Ref, test.paid)
		} else {
			err = lab.Expire(p.Ref, test.ended)
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := gw.Payment(t.Context(), p.Ref)
		if err != nil || got.State != test.state || got.Received != eur(test.received) || got.Key != "pay/"+name || (got.Decline != nil) != (test.state == gateway.Failed) {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
	other, err := gw.Charge(t.Context(), gateway.Charge{Key: "pay/yen", Amount: billing.Money{Minor: 100, Currency: "JPY"}})
	if err != nil || other.State != gateway.Failed || other.Decline == nil || other.Decline.Kind != gateway.Hard {
		t.Errorf("yen: %+v %v", other, err)
	}
	if _, err := gw.Charge(t.Context(), gateway.Charge{Key: "k", Amount: eur(1), Method: "m"}); !errors.Is(err, gateway.ErrUnsupported) {
		t.Errorf("without the customer: %v", err)
	}
}

// TestLostAnswersGiveBackOnce: a checkout is found by its key, and a refund by the key in
// its reason.
func TestLostAnswersGiveBackOnce(t *testing.T) {
	lab, gw := open(t, "")
	ask := gateway.Charge{Key: "pay/1", Amount: eur(1999), Reference: "INV-1"}
	lab.SetFaults(coinbaselab.Faults{LoseAnswers: true})
	if _, err := gw.Charge(t.Context(), ask); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("a broken connection: %v", err)
	}
	lab.SetFaults(coinbaselab.Faults{})
	p, err := gw.Charge(t.Context(), ask)
	if err == nil {
		_, err = lab.Pay(p.Ref, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := gateway.Refund{Key: "refund/1", Payment: p.Ref, Amount: eur(500), Reason: "Goodwill [as agreed]"}
	lab.SetFaults(coinbaselab.Faults{LoseAnswers: true})
	if _, err := gw.Refund(t.Context(), r); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("a lost refund: %v", err)
	}
	lab.SetFaults(coinbaselab.Faults{})
	for range 2 {
		if got, err := gw.Refund(t.Context(), r); err != nil || got.State != gateway.Succeeded || got.Key != "refund/1" {
			t.Errorf("%+v %v", got, err)
		}
	}
	if all, err := gw.RefundsOf(t.Context(), p.Ref); err != nil || len(all) != 1 {
		t.Errorf("%+v %v", all, err)
	}
	if got, err := gw.Refund(t.Context(), gateway.Refund{Key: "refund/2", Payment: p.Ref, Amount: eur(1999)}); err != nil || got.State != gateway.Failed || got.Text == "" {
		t.Errorf("more than is left: %+v %v", got, err)
	}
	if cents, n := lab.Taken(key); n != 1 || cents["EUR"] != 1499 {
		t.Errorf("%d took %v", n, cents)
	}
}

// TestNotifications are the shop's own alone.
func TestNotifications(t *testing.T) {
	lab, gw := open(t, hookSecret)
	_, other := open(t, "another secret")
	var header http.Header
	var body []byte
	in := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		header = r.Header.Clone()
		body, _ = io.ReadAll(r.Body)
	}))
	defer in.Close()
	lab.Subscribe(key, in.URL, hookSecret)
	p := charge(t, gw, "pay/1")
	if _, err := lab.Pay(p.Ref, 0); err != nil {
		t.Fatal(err)
	}
	lab.Deliver(t.Context())
	now := time.Now()
	e, err := gw.Event(t.Context(), header, body, now)
	if err != nil || e.Kind != gateway.PaymentChanged || e.Ref != p.Ref || e.Type != "checkout.payment.success" || e.ID == "" {
		t.Fatalf("%+v %v", e, err)
	}
	changed := header.Clone()
	changed.Set("Content-Type", "text/plain")
	for name, try := range map[string]func() error{
		"a changed body":   func() error { _, err := gw.Event(t.Context(), header, append([]byte(" "), body...), now); return err },
		"a changed header": func() error { _, err := gw.Event(t.Context(), changed, body, now); return err },
		"another's secret": func() error { _, err := other.Event(t.Context(), header, body, now); return err },
		"an hour later":    func() error { _, err := gw.Event(t.Context(), header, body, now.Add(time.Hour)); return err },
		"an hour before":   func() error { _, err := gw.Event(t.Context(), header, body, now.Add(-time.Hour)); return err },
		"unsigned":         func() error { _, err := gw.Event(t.Context(), http.Header{}, body, now); return err },
	} {
		if err := try(); !errors.Is(err, gateway.ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := gw.Refund(t.Context(), gateway.Refund{Key: "refund/1", Payment: p.Ref, Amount: eur(1)}); err != nil {
		t.Fatal(err)
	}
	lab.Deliver(t.Context())
	if e, err := gw.Event(t.Context(), header, body, time.Now()); err != nil || e.Kind != gateway.RefundChanged || e.Ref != "" || e.Payment != p.Ref {
		t.Errorf("%+v %v", e, err)
	}
}

func TestKeys(t *testing.T) {
	for name, secret := range map[string]string{"none": "", "no key": "c2hvcnQ=", "no base64": "###", "no PEM of a key": "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----"} {
		if _, err := coinbase.New(coinbase.Config{KeyID: key, KeySecret: secret}); !errors.Is(err, gateway.ErrCredentials) || strings.Contains(err.Error(), "AAAA") {
			t.Errorf("%s: %v", name, err)
		}
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(ec)
	if err != nil {
		t.Fatal(err)
	}
	lab, _ := open(t, "")
	srv := httptest.NewServer(lab.Handler())
	defer srv.Close()
	text := string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
	for _, joined := range []string{strings.ReplaceAll(text, "\n", ""), strings.ReplaceAll(text, "\n", `\n`)} {
		if _, err := coinbase.New(coinbase.Config{KeyID: key, KeySecret: joined}); err != nil {
			t.Errorf("%q: %v", joined[:40], err)
		}
	}
	gw, err := coinbase.New(coinbase.Config{KeyID: key, KeySecret: text, APIURL: srv.URL + "/api/v1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gw.Check(t.Context()); !errors.Is(err, gateway.ErrCredentials) { // the simulator knows another key by that id
		t.Errorf("another key: %v", err)
	}
}
