package payment_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/coinbase"
	"github.com/ezscale/ezscale/billing/gateway/coinbaselab"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
)

// TestDigitalDollars: what came counts, less and more, and what expired was given up.
func TestDigitalDollars(t *testing.T) {
	w := tenancytest.New(t)
	lab := coinbaselab.New(coinbaselab.Options{Clock: w.Clock.Now})
	srv := httptest.NewServer(lab.Handler())
	defer srv.Close()
	secret := lab.AddAccount("key-of-a-shop")
	all := local()
	all[coinbase.Code] = func(s payment.Settings) (gateway.Gateway, error) {
		return coinbase.New(coinbase.Config{KeyID: s.Public["key_id"], KeySecret: s.Secret["key_secret"], WebhookSecret: s.Secret["webhook_secret"], APIURL: srv.URL + "/api/v1", Clock: w.Clock.Now})
	}
	s := open(t, w, w.A, &payment.Desk{Gateways: all, Keys: newRing(t)})
	s.save(payment.Change{Code: coinbase.Code, On: true, Public: map[string]string{"key_id": "key-of-a-shop"}, Secret: map[string]string{"key_secret": secret, "webhook_secret": "whs"}})
	var told []received
	in := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told = append(told, received{r.Header.Clone(), body})
	}))
	defer in.Close()
	lab.Subscribe("key-of-a-shop", in.URL, "whs")
	lab.SetFaults(coinbaselab.Faults{DoubleHooks: true})
	begin := func(inv uuid.UUID) gateway.Payment {
		t.Helper()
		p, gp, err := s.desk.Begin(t.Context(), s.db, payment.BeginRequest{InvoiceID: inv, Gateway: coinbase.Code, OnSession: true, ReturnURL: "https://shop.example/{payment}"})
		if err != nil || p.State != gateway.RequiresAction || gp.ActionURL == "" {
			t.Fatalf("%+v %+v %v", p, gp, err)
		}
		return gp
	}
	take := func() {
		t.Helper()
		lab.Deliver(t.Context())
		for _, h := range told {
			if err := s.desk.Receive(t.Context(), s.db, coinbase.Code, h.header, h.body); err != nil {
				t.Fatal(err)
			}
		}
		var ids []string
		s.update(func(tx *tenancy.Tx) error {
			return tx.NewRaw("SELECT id FROM gateway_events ORDER BY received_at DESC").Scan(t.Context(), &ids)
		})
		for _, id := range ids {
			if err := s.desk.HandleEvent(t.Context(), s.db, payment.EventJob{Gateway: coinbase.Code, ID: id}); err != nil {
				t.Fatal(err)
			}
		}
	}
	inv := s.issue("order/1")
	for _, paid := range []int64{190, 1500} { // a part, and then more than the rest
		if _, err := lab.Pay(begin(inv.ID).Ref, paid); err != nil {
			t.Fatal(err)
		}
		take()
	}
	if got := s.invoice(inv.ID); got.State != invoicing.Paid || got.Paid != eur(1690) {
		t.Errorf("the invoice is %+v", got)
	}
	late := s.issue("order/2")
	gp := begin(late.ID)
	if err := lab.Expire(gp.Ref, "EXPIRED"); err != nil {
		t.Fatal(err)
	}
	take()
	if got := s.payments(payment.Filter{InvoiceID: late.ID}); len(got) != 1 || got[0].State != gateway.Cancelled {
		t.Errorf("what expired: %+v", got)
	}
	if err := s.desk.Receive(t.Context(), s.db, coinbase.Code, http.Header{}, told[0].body); !fault.Is(err, "hook.forged") {
		t.Errorf("unsigned: %v", err)
	}
	_, _, _, err := s.desk.AddMethod(t.Context(), s.db, s.account, coinbase.Code, "")
	if !fault.Is(err, "gateway.unknown") {
		t.Errorf("keeping what cannot be kept: %v", err)
	}
	s.balanced()
}
