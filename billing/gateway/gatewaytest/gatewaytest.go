// Package gatewaytest is the contract suite: what every gateway must do, whoever is
// behind it. It is for tests alone.
package gatewaytest

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
)

// Rig is a gateway to be tried. Refs of methods are empty where it has none.
type Rig struct {
	Gateway  gateway.Gateway
	Customer gateway.Customer // whose methods these are
	Good     string           // a saved method that works
	Bad      string           // one that is declined
	ByHand   bool             // payments stay under way until somebody confirms them
	Down     func(bool)       // makes it unreachable; nil: it cannot be
	Later    gateway.State    // of a charge without a method; empty: Succeeded
	Kind     string           // of the methods; empty: cards
	Settle   func(ref string) // brings a payment to its end, where one of a saved method is under way for days
	Pay      func(ref string) // has the customer pay, where a charge without a method waits for that and none is saved
}

func eur(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }

// Run tries everything the contract says.
func Run(t *testing.T, make func(t *testing.T) Rig) {
	for name, try := range map[string]func(*testing.T, Rig){
		"a key charges once": once, "a decline is no error": declined, "without a method": chosen, "cancelling": cancelled,
		"refunds": refunded, "what is not there": unknown, "events prove where they come from": forged, "out of reach": down, "saving a method": saved,
	} {
		t.Run(name, func(t *testing.T) { try(t, make(t)) })
	}
}

func (r Rig) charge(t *testing.T, key, method string) gateway.Payment {
	t.Helper()
	p, err := r.Gateway.Charge(t.Context(), gateway.Charge{
		Key: key, Amount: eur(1999), Customer: r.Customer, Method: method, Kind: r.kind(method), Description: "Invoice INV-1", Reference: "INV-1", ReturnURL: "https://shop.example/back",
	})
	if err != nil {
		t.Fatalf("charge %s: %v", key, err)
	}
	if p.Key != key || p.Amount != eur(1999) {
		t.Errorf("charge %s: %+v", key, p)
	}
	return p
}

func (r Rig) kind(method string) string {
	if method == "" {
		return ""
	}
	return r.Kind
}

// first is the state of a charge of a saved method that works.
func (r Rig) first() gateway.State {
	if r.Settle != nil {
		return gateway.Processing
	}
	return gateway.Succeeded
}

// settled is a payment of a saved method at its end.
func (r Rig) settled(t *testing.T, p gateway.Payment) gateway.Payment {
	t.Helper()
	if r.Settle == nil {
		return p
	}
	if p.State != gateway.Processing || p.Decline != nil || p.Received.Minor != 0 {
		t.Errorf("under way: %+v", p)
	}
	r.Settle(p.Ref)
	return r.payment(t, p.Ref)
}

func (r Rig) payment(t *testing.T, ref string) gateway.Payment {
	t.Helper()
	p, err := r.Gateway.Payment(t.Context(), ref)
	if err != nil {
		t.Fatalf("payment %s: %v", ref, err)
	}
	return p
}

func once(t *testing.T, r Rig) {
	first := r.charge(t, "k1", r.Good)
	if again := r.charge(t, "k1", r.Good); again.Ref != first.Ref || again.State != first.State {
		t.Errorf("the same key made %+v after %+v", again, first)
	}
	if other := r.charge(t, "k2", r.Good); other.Ref == first.Ref {
		t.Error("two keys made one payment")
	}
	if found := r.payment(t, first.Ref); found.State != first.State || found.Key != "k1" {
		t.Errorf("found %+v of %+v", found, first)
	}
	if r.Good == "" {
		return
	}
	if first = r.settled(t, first); first.State != gateway.Succeeded || first.Received != eur(1999) || first.Decline != nil {
		t.Errorf("a method that works: %+v", first)
	}
}

func declined(t *testing.T, r Rig) {
	if r.Bad == "" {
		return
	}
	p := r.settled(t, r.charge(t, "k1", r.Bad))
	if p.State != gateway.Failed || p.Decline == nil || p.Decline.Code == "" || p.Decline.Text == "" || p.Decline.Kind == "" || p.Received.Minor != 0 {
		t.Errorf("%+v", p)
	}
	if again := r.charge(t, "k1", r.Bad); again.Ref != p.Ref || r.Settle == nil && again.State != gateway.Failed {
		t.Errorf("asked again: %+v", again)
	}
	if found := r.payment(t, p.Ref); found.State != gateway.Failed || found.Decline == nil {
		t.Errorf("found %+v", found)
	}
}

func chosen(t *testing.T, r Rig) {
	p := r.charge(t, "k1", "")
	want := r.Later
	if want == "" {
		want = gateway.Succeeded
	}
	if p.State != want || p.Decline != nil {
		t.Errorf("%+v, want it %s", p, want)
	}
	if p.State == gateway.RequiresAction && p.ClientSecret == "" && p.ActionURL == "" {
		t.Error("the customer is left without a way to go on")
	}
	if by, ok := r.Gateway.(gateway.Instructor); ok && (len(p.Instructions) == 0 || len(by.Instructions(p.Amount, "INV-1")) == 0) {
		t.Error("the customer is not told what to do")
	}
}

func cancelled(t *testing.T, r Rig) {
	open := r.charge(t, "k1", "")
	for range 2 {
		p, err := r.Gateway.Cancel(t.Context(), open.Ref)
		if err != nil || !open.State.Final() && p.State != gateway.Cancelled || open.State.Final() && p.State != open.State {
			t.Errorf("%+v %v", p, err)
		}
	}
	if r.Good == "" {
		return
	}
	done := r.charge(t, "k2", r.Good)
	if p, err := r.Gateway.Cancel(t.Context(), done.Ref); err != nil || p.State != r.first() {
		t.Errorf("too late: %+v %v", p, err)
	}
}

func refunded(t *testing.T, r Rig) {
	p := r.charge(t, "k1", r.Good)
	if r.Good != "" {
		p = r.settled(t, p)
	}
	if r.Pay != nil {
		r.Pay(p.Ref)
		p = r.payment(t, p.Ref)
	}
	if !r.ByHand && p.State != gateway.Succeeded {
		t.Fatalf("%+v", p)
	}
	ask := gateway.Refund{Key: "r1", Payment: p.Ref, Amount: eur(500), Reason: "Goodwill"}
	first, err := r.Gateway.Refund(t.Context(), ask)
	if err != nil || first.Key != "r1" || first.Amount != eur(500) {
		t.Fatalf("%+v %v", first, err)
	}
	again, err := r.Gateway.Refund(t.Context(), ask)
	if err != nil || again.Ref != first.Ref {
		t.Errorf("the same key gave back %+v %v", again, err)
	}
	if found, err := r.Gateway.Refunded(t.Context(), first.Ref); err != nil || found.State != first.State || found.Key != "r1" {
		t.Errorf("found %+v %v", found, err)
	}
	if r.ByHand != (first.State == gateway.Processing) {
		t.Errorf("%+v", first)
	}
}

func unknown(t *testing.T, r Rig) {
	if _, err := r.Gateway.Payment(t.Context(), "nothing"); !errors.Is(err, gateway.ErrNotFound) {
		t.Errorf("a payment: %v", err)
	}
	if _, err := r.Gateway.Refunded(t.Context(), "nothing"); !errors.Is(err, gateway.ErrNotFound) {
		t.Errorf("a refund: %v", err)
	}
	if _, err := r.Gateway.Refund(t.Context(), gateway.Refund{Key: "r", Payment: "nothing", Amount: eur(1)}); !errors.Is(err, gateway.ErrNotFound) {
		t.Errorf("a refund of nothing: %v", err)
	}
}

func forged(t *testing.T, r Rig) {
	for name, h := range map[string]http.Header{"unsigned": {}, "forged": {"Stripe-Signature": {"t=1,v1=00"}}} {
		_, err := r.Gateway.Event(t.Context(), h, []byte(`{"id": "evt_1", "type": "payment_intent.succeeded"}`), time.Unix(1_790_000_000, 0))
		if !errors.Is(err, gateway.ErrSignature) && !errors.Is(err, gateway.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func down(t *testing.T, r Rig) {
	if r.Down == nil {
		return
	}
	r.Down(true)
	c := gateway.Charge{Key: "k1", Amount: eur(1999), Customer: r.Customer, Method: r.Good, Kind: r.kind(r.Good), Reference: "INV-1"}
	if _, err := r.Gateway.Charge(t.Context(), c); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("charging: %v", err)
	}
	if _, err := r.Gateway.Check(t.Context()); !errors.Is(err, gateway.ErrUnavailable) {
		t.Errorf("asking who we are: %v", err)
	}
	r.Down(false)
	want := r.first()
	if r.Pay != nil {
		want = r.Later
	}
	if p, err := r.Gateway.Charge(t.Context(), c); err != nil || p.State != want {
		t.Errorf("afterwards: %+v %v", p, err)
	}
	if h, err := r.Gateway.Check(t.Context()); err != nil || h.Account == "" {
		t.Errorf("%+v %v", h, err)
	}
}

func saved(t *testing.T, r Rig) {
	s, ok := r.Gateway.(gateway.Saver)
	if !ok {
		return
	}
	first, err := s.Setup(t.Context(), "setup/1", r.Customer, "https://shop.example/back")
	if err != nil || first.Key != "setup/1" {
		t.Fatalf("%+v %v", first, err)
	}
	if again, err := s.Setup(t.Context(), "setup/1", r.Customer, "https://shop.example/back"); err != nil || again.Ref != first.Ref {
		t.Errorf("the same key made %+v %v", again, err)
	}
	if found, err := s.SetupState(t.Context(), first.Ref); err != nil || found.Key != "setup/1" || found.State != first.State {
		t.Errorf("found %+v %v", found, err)
	}
	for range 2 {
		if err := s.Forget(t.Context(), r.Good); err != nil {
			t.Errorf("forgetting: %v", err)
		}
	}
}
