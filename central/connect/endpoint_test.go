package connect_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	"github.com/ezscale/ezscale/central/connect"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

const address = "https://partners.test/hooks/connect"

var anna = audit.Origin{Actor: audit.Actor{Kind: "staff", ID: "s1", Name: "Anna"}}

// hooked is a hook at a simulated Stripe.
type hooked struct {
	*tenancytest.World
	t    *testing.T
	lab  *stripelab.Lab
	gw   *stripe.Gateway
	hook *connect.Hook
	ring *secrets.Keyring
}

func newHooked(t *testing.T) *hooked {
	t.Helper()
	h := &hooked{World: tenancytest.New(t), t: t}
	h.lab = stripelab.New(stripelab.Options{Clock: h.Clock.Now})
	h.lab.AddAccount("sk_test_one", "pk_test_one")
	srv := httptest.NewServer(h.lab.Handler())
	t.Cleanup(srv.Close)
	var err error
	h.gw, err = stripe.New(stripe.Config{SecretKey: "sk_test_one", PublishableKey: "pk_test_one", APIURL: srv.URL})
	h.must(err)
	key, err := secrets.NewKey("k")
	h.must(err)
	h.ring, err = secrets.Parse(key)
	h.must(err)
	h.hook = &connect.Hook{Central: h.Central, Gateway: h.gw, Keys: h.ring, Address: address}
	return h
}

func (h *hooked) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// there are the endpoints at Stripe that lead to us.
func (h *hooked) there() (refs []string) {
	h.t.Helper()
	all, err := h.gw.Endpoints(h.t.Context())
	h.must(err)
	for _, e := range all {
		if e.URL == address {
			refs = append(refs, e.Ref)
		}
	}
	return refs
}

// secrets are what notifications may be signed with, which must be so many.
func (h *hooked) secrets(n int) []string {
	h.t.Helper()
	all, err := h.hook.Secrets(h.t.Context())
	h.must(err)
	if len(all) != n || slices.ContainsFunc(all, func(s string) bool { return !strings.HasPrefix(s, "whsec_") }) {
		h.t.Fatalf("%d secrets, want %d", len(all), n)
	}
	return all
}

// TestTheEndpointRegistersItself: once, also when answers are lost or two ask at once; again
// when it is gone; with another secret on demand, while the old one is believed for a while; and
// the secret is nowhere in the clear.
func TestTheEndpointRegistersItself(t *testing.T) {
	h, ctx := newHooked(t), t.Context()
	h.secrets(0)
	h.lab.SetFaults(stripelab.Faults{LoseAnswers: true})
	if err := h.hook.Register(ctx, anna); !fault.Is(err, "gateway.unavailable") {
		t.Fatalf("a lost answer: %v", err)
	}
	h.lab.SetFaults(stripelab.Faults{})
	if e, err := h.hook.State(ctx); err != nil || e.Ref != "" {
		t.Errorf("begun: %+v, %v", e, err)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := h.hook.Register(ctx, anna); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	h.must(h.hook.Register(ctx, anna))
	refs, first := h.there(), h.secrets(1)[0]
	e, err := h.hook.State(ctx)
	if err != nil || len(refs) != 1 || e.Ref != refs[0] || e.Address != address {
		t.Fatalf("%v at Stripe, %+v, %v", refs, e, err)
	}
	var clear, entries int
	h.must(h.Owner.QueryRow(ctx, "SELECT (SELECT count(*) FROM central.connect_endpoints c WHERE c::text LIKE '%' || encode($1::bytea, 'hex') || '%'), (SELECT count(*) FROM central.audit_entries WHERE action = 'connect.endpoint_registered')", []byte(first)).Scan(&clear, &entries))
	if clear != 0 || entries != 1 {
		t.Errorf("in the clear %d times, %d entries in the trail", clear, entries)
	}
	h.must(h.hook.Tidy(ctx))
	if e, err := h.hook.State(ctx); err != nil || e.Problem != "" || e.CheckedAt.IsZero() {
		t.Errorf("well: %+v, %v", e, err)
	}

	h.must(h.hook.Rotate(ctx, anna))
	if both := h.secrets(2); len(h.there()) != 2 || both[1] != first || both[0] == first {
		t.Errorf("after a change of the secret: %d at Stripe", len(h.there()))
	}
	h.must(h.hook.Tidy(ctx))
	if len(h.there()) != 2 {
		t.Error("the old one went while it is believed")
	}
	h.Clock.Advance(connect.Believed)
	h.lab.SetFaults(stripelab.Faults{Down: true})
	if err := h.hook.Tidy(ctx); err == nil {
		t.Error("tidied while Stripe is down")
	}
	h.secrets(2)
	h.lab.SetFaults(stripelab.Faults{})
	for range 2 {
		h.must(h.hook.Tidy(ctx))
	}
	if now := h.secrets(1)[0]; now == first || len(h.there()) != 1 || h.there()[0] == refs[0] {
		t.Error("the old one stayed, or the new one went")
	}

	h.must(h.gw.DropEndpoint(ctx, h.there()[0])) // somebody at Stripe's own pages
	for range 2 {
		h.must(h.hook.Tidy(ctx))
	}
	var told int
	h.must(h.Owner.QueryRow(ctx, "SELECT count(*) FROM central.alerts WHERE kind = 'connect.endpoint'").Scan(&told))
	if e, err := h.hook.State(ctx); err != nil || !strings.Contains(e.Problem, "gone at Stripe") || told != 1 {
		t.Errorf("gone: %+v, %d alerts, %v", e, told, err)
	}
	h.must(h.hook.Register(ctx, anna))
	if e, err := h.hook.State(ctx); err != nil || e.Problem != "" || len(h.there()) != 1 || e.Ref != h.there()[0] {
		t.Errorf("again: %+v, %v", e, err)
	}
}

// TestWhatIsNotOursAtStripe: an endpoint somebody set up by hand is left alone, one of ours
// whose secret was lost goes, and a secret of the configuration registers nothing.
func TestWhatIsNotOursAtStripe(t *testing.T) {
	h, ctx := newHooked(t), t.Context()
	other, err := h.gw.Listen(ctx, "https://elsewhere.test/hooks")
	h.must(err)
	if other == "" {
		t.Fatal("no secret")
	}
	lost, _, err := h.gw.NewEndpoint(ctx, "connect-endpoint/9/1", address) // of a database that is no more
	h.must(err)
	h.must(h.hook.Register(ctx, anna))
	if refs := h.there(); len(refs) != 1 || refs[0] == lost.Ref {
		t.Errorf("%v, of which %s is lost", refs, lost.Ref)
	}
	if all, err := h.gw.Endpoints(ctx); err != nil || len(all) != 2 {
		t.Errorf("the one that leads elsewhere: %+v, %v", all, err)
	}
	fixed := *h.hook
	fixed.Fixed = true
	if err := fixed.Rotate(ctx, anna); !fault.Is(err, "connect.configured") {
		t.Errorf("with a secret in the configuration: %v", err)
	}
	by := newHooked(t)
	_, err = by.gw.Listen(ctx, address)
	by.must(err)
	if err := by.hook.Register(ctx, anna); !fault.Is(err, "connect.endpoint_taken") || len(by.there()) != 1 {
		t.Errorf("set up by hand: %v", err)
	}
}

// TestNewsWithARegisteredSecret: what Stripe signs with the secret of the endpoint is heard.
func TestNewsWithARegisteredSecret(t *testing.T) {
	h, ctx := newHooked(t), t.Context()
	h.must(h.hook.Register(ctx, anna))
	d := &connect.Desk{Central: h.Central, Gateway: h.gw}
	account, err := d.Open(ctx, h.A.ID, gateway.Customer{Name: h.A.Name}, "DE")
	h.must(err)
	body := []byte(`{"id":"evt_1","object":"event","type":"account.updated","account":"` + account + `","data":{"object":{"id":"` + account + `"}}}`)
	told := 0
	hears := func(secrets []string) error {
		gw, err := stripe.New(stripe.Config{SecretKey: "sk_test_one", PublishableKey: "pk_test_one", WebhookSecrets: secrets})
		h.must(err)
		desk := &connect.Desk{Central: h.Central, Gateway: gw, Deliver: func(context.Context, tenancy.ID, http.Header, []byte) error { told++; return nil }}
		return desk.Receive(ctx, http.Header{"Stripe-Signature": {stripelab.Sign(body, h.secrets(1)[0], h.Clock.Now())}}, body)
	}
	if err := hears(h.secrets(1)); err != nil || told != 1 {
		t.Errorf("told %d times, %v", told, err)
	}
	if err := hears([]string{"whsec_other"}); !fault.Is(err, "hook.forged") || told != 1 {
		t.Errorf("another's: %v", err)
	}
}

// TestRewrappingTheEndpointsSecret: what an old key sealed is sealed by the new one, and reads
// the same.
func TestRewrappingTheEndpointsSecret(t *testing.T) {
	h, ctx := newHooked(t), t.Context()
	old, err := secrets.NewKey("old")
	h.must(err)
	fresh, err := secrets.NewKey("new")
	h.must(err)
	before, err := secrets.Parse(old)
	h.must(err)
	h.hook.Keys = before
	h.must(h.hook.Register(ctx, anna))
	was := h.secrets(1)[0]
	both, err := secrets.Parse(fresh + "," + old)
	h.must(err)
	for _, want := range []int{1, 0} {
		h.must(h.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
			n, err := connect.Rewrap(ctx, tx, both)
			if n != want {
				t.Errorf("%d secrets were sealed anew, want %d", n, want)
			}
			return err
		}))
	}
	if h.hook.Keys, err = secrets.Parse(fresh); err != nil || h.secrets(1)[0] != was {
		t.Errorf("with the new key alone: %v", err)
	}
}

// slow is Stripe as one process asks it, with what happens before it hears the answer.
type slow struct {
	*stripe.Gateway
	happens func()
}

func (s *slow) NewEndpoint(ctx context.Context, key, url string) (gateway.Endpoint, string, error) {
	e, secret, err := s.Gateway.NewEndpoint(ctx, key, url)
	if does := s.happens; does != nil {
		s.happens = nil
		does()
	}
	return e, secret, err
}

func (s *slow) DropEndpoint(ctx context.Context, ref string) error {
	err := s.Gateway.DropEndpoint(ctx, ref)
	if does := s.happens; does != nil {
		s.happens = nil
		does()
	}
	return err
}

// TestTwoTidyAtOnce: what is removed by two stands in the trail once.
func TestTwoTidyAtOnce(t *testing.T) {
	h, ctx := newHooked(t), t.Context()
	h.must(h.hook.Register(ctx, anna))
	h.must(h.hook.Rotate(ctx, anna))
	h.Clock.Advance(connect.Believed)
	other := *h.hook
	other.Gateway = &slow{h.gw, func() { h.must(h.hook.Tidy(ctx)) }}
	h.must(other.Tidy(ctx))
	var entries int
	h.must(h.Owner.QueryRow(ctx, "SELECT count(*) FROM central.audit_entries WHERE action = 'connect.endpoint_removed'").Scan(&entries))
	if entries != 1 {
		t.Errorf("%d entries in the trail", entries)
	}
}

// TestAnAnswerThatIsHeardLate: who hears of an endpoint when others have registered it, and
// another in its place, leaves the one that counts as it is.
func TestAnAnswerThatIsHeardLate(t *testing.T) {
	h, ctx := newHooked(t), t.Context()
	late := *h.hook
	late.Gateway = &slow{h.gw, func() {
		h.must(h.hook.Register(ctx, anna))
		h.must(h.hook.Rotate(ctx, anna))
	}}
	h.must(late.Register(ctx, anna))
	e, err := h.hook.State(ctx)
	if err != nil || e.Attempt != 2 || e.Ref == "" {
		t.Fatalf("%+v, %v", e, err)
	}
	h.Clock.Advance(connect.Believed)
	h.must(h.hook.Tidy(ctx))
	if refs := h.there(); len(refs) != 1 || refs[0] != e.Ref || len(h.secrets(1)) != 1 {
		t.Errorf("%v at Stripe, want %s", refs, e.Ref)
	}
}

// TestAnAttemptAtAnotherAddress: one that was begun before the address changed is not gone on
// with: Stripe takes a key with one address only.
func TestAnAttemptAtAnotherAddress(t *testing.T) {
	h, ctx := newHooked(t), t.Context()
	h.hook.Address = "https://old.test/hooks/connect"
	h.lab.SetFaults(stripelab.Faults{LoseAnswers: true})
	if err := h.hook.Register(ctx, anna); !fault.Is(err, "gateway.unavailable") {
		t.Fatalf("a lost answer: %v", err)
	}
	h.lab.SetFaults(stripelab.Faults{})
	h.hook.Address = address
	h.must(h.hook.Register(ctx, anna))
	if e, err := h.hook.State(ctx); err != nil || e.Address != address || len(h.there()) != 1 || h.there()[0] != e.Ref {
		t.Errorf("%+v, %v, %v", e, h.there(), err)
	}
	if all, err := h.gw.Endpoints(ctx); err != nil || len(all) != 1 {
		t.Errorf("at Stripe: %+v, %v", all, err)
	}
	h.secrets(1)
}

// partly is a Stripe whose endpoint was set to hear less, at its own pages or by an older version.
type partly struct {
	*stripe.Gateway
	of string
}

func (p *partly) Endpoints(ctx context.Context) ([]gateway.Endpoint, error) {
	all, err := p.Gateway.Endpoints(ctx)
	for i := range all {
		if all[i].Ref == p.of {
			all[i].Missing = []string{"account.updated"}
		}
	}
	return all, err
}

// TestAnEndpointThatHearsLess: what the page says is to be done helps.
func TestAnEndpointThatHearsLess(t *testing.T) {
	h, ctx := newHooked(t), t.Context()
	h.must(h.hook.Register(ctx, anna))
	was := h.there()[0]
	h.hook.Gateway = &partly{h.gw, was}
	h.must(h.hook.Tidy(ctx))
	if e, err := h.hook.State(ctx); err != nil || !strings.Contains(e.Problem, "account.updated") || !strings.Contains(e.Problem, "Register it again") {
		t.Errorf("%+v, %v", e, err)
	}
	h.must(h.hook.Register(ctx, anna))
	h.must(h.hook.Tidy(ctx))
	if e, err := h.hook.State(ctx); err != nil || e.Problem != "" || e.Ref == was {
		t.Errorf("registered again: %+v, %v", e, err)
	}
}
