package domain

import (
	"context"
	"testing"
	"time"

	"github.com/ezscale/ezscale/branding/domain/acmelab"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

func TestADomainComesToLifeAndEnds(t *testing.T) {
	r := newRig(t)
	n := r.node(nodeOptions{plain: r.plain})
	ctx := context.Background()
	d := r.add(r.world.A, "https://Shop.Nimbus.test/")
	other := r.add(r.world.B, "other.test")
	n.work()
	got := r.state(d, Pending)
	if got.ErrorCode != "txt.missing" || got.Serving || n.resolver.Known(d.Host) {
		t.Errorf("before the proof: %s, serving %t", got.ErrorCode, got.Serving)
	}
	r.prove(d)
	r.clock.Advance(time.Minute)
	n.work()
	got = r.state(d, Active)
	if !got.Serving || got.CertSerial == "" || got.RenewAt == nil || got.NotAfter == nil || !got.RenewAt.Before(*got.NotAfter) {
		t.Errorf("the active domain lacks facts: %+v", got)
	}
	if o := r.lab.Faults().Orders(d.Host); o != 1 {
		t.Errorf("%d orders for one certificate", o)
	}
	eventually(t, "the node knows the name", time.Second, func() bool { return n.resolver.Known(d.Host) })
	status, body, err := n.get(n.visitor(false), d.Host)
	if err != nil || status != 200 || body != "shop.nimbus.test GET / tls=true body= cookie=" {
		t.Errorf("%d %q %v", status, body, err)
	}
	_, events, err := r.desk.Get(ctx, r.world.A.ID, d.ID)
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	for i := len(events) - 1; i >= 0; i-- {
		codes = append(codes, events[i].Code)
	}
	want := []string{"domain.added", "domain.verified", "certificate.ordered", "certificate.issued"}
	if len(codes) != len(want) {
		t.Fatalf("events %v", codes)
	}
	for i := range want {
		if codes[i] != want[i] {
			t.Errorf("events %v, want %v", codes, want)
		}
	}
	r.state(other, Pending)
	if err := r.desk.Remove(ctx, r.world.B.ID, d.ID, staffBy); !fault.Is(err, "domain.not_found") {
		t.Errorf("another tenant removes it: %v", err)
	}
	if err := r.desk.Remove(ctx, r.world.A.ID, d.ID, staffBy); err != nil {
		t.Fatal(err)
	}
	again := r.add(r.world.A, "shop.nimbus.test")
	if again.ID == d.ID || again.Token == d.Token {
		t.Error("a name added again has its old row or token")
	}
	if again.EdgeLabel != d.EdgeLabel {
		t.Error("the tenant's alias target changed")
	}
	n.work()
	r.state(again, Pending) // the old record proves nothing for the new row
	r.prove(again)
	r.clock.Advance(time.Minute)
	n.work()
	r.state(again, Active)
	if o := r.lab.Faults().Orders(d.Host); o != 1 {
		t.Errorf("%d orders: the stored certificate was not taken", o)
	}
}

func TestAnotherTenantsIdIsNotFound(t *testing.T) {
	r := newRig(t)
	ctx := context.Background()
	d := r.add(r.world.A, "shop.example.com")
	b := r.world.B.ID
	calls := map[string]func() error{
		"Get":         func() error { _, _, err := r.desk.Get(ctx, b, d.ID); return err },
		"CheckNow":    func() error { _, err := r.desk.CheckNow(ctx, b, d.ID, staffBy); return err },
		"MakePrimary": func() error { _, err := r.desk.MakePrimary(ctx, b, d.ID, staffBy); return err },
		"Remove":      func() error { return r.desk.Remove(ctx, b, d.ID, staffBy) },
	}
	for name, call := range calls {
		if err := call(); !fault.Is(err, "domain.not_found") || fault.From(err).Kind != fault.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	if all, err := r.desk.List(ctx, b); err != nil || len(all) != 0 {
		t.Errorf("the other's list holds %v, %v", all, err)
	}
	r.state(d, Pending)
}

func TestTheDeskKeepsItsLimits(t *testing.T) {
	r := newRig(t)
	ctx := context.Background()
	room := map[tenancy.ID]int{r.world.A.ID: 3, r.world.B.ID: 1}
	r.desk.Limits = func(_ context.Context, _ *tenancy.CentralTx, t tenancy.ID) (Limits, error) {
		return Limits{Domains: room[t], Pending: 2, AddsPerDay: 4, CheckEvery: 30 * time.Second}, nil
	}
	a := r.add(r.world.A, "one.example.com")
	r.add(r.world.A, "two.example.com")
	if _, err := r.desk.Add(ctx, r.world.A.ID, "three.example.com", staffBy); !fault.Is(err, "domain.pending_limit") {
		t.Errorf("a third claim: %v", err)
	}
	three := r.add(r.world.B, "three.example.com") // another tenant's limits are its own
	if _, err := r.desk.Add(ctx, r.world.B.ID, "more.example.com", staffBy); !fault.Is(err, "domain.limit") {
		t.Errorf("more than its plan has room for: %v", err)
	}
	room[r.world.B.ID] = 0 // a smaller plan: what is there stays, nothing is added
	if _, err := r.desk.Add(ctx, r.world.B.ID, "more.example.com", staffBy); !fault.Is(err, "domain.limit") {
		t.Errorf("on a plan without domains: %v", err)
	}
	r.state(three, Pending)
	room[r.world.B.ID] = 2
	r.add(r.world.B, "more.example.com")
	if _, err := r.desk.CheckNow(ctx, r.world.A.ID, a.ID, staffBy); err != nil {
		t.Fatal(err)
	}
	if _, err := r.desk.CheckNow(ctx, r.world.A.ID, a.ID, staffBy); !fault.Is(err, "domain.check_too_soon") {
		t.Errorf("a second check at once: %v", err)
	}
	r.clock.Advance(31 * time.Second)
	if _, err := r.desk.CheckNow(ctx, r.world.A.ID, a.ID, staffBy); err != nil {
		t.Errorf("a check half a minute later: %v", err)
	}
	must(t, r.desk.Remove(ctx, r.world.A.ID, a.ID, staffBy))
	if _, err := r.desk.Add(ctx, r.world.A.ID, "two.example.com", staffBy); !fault.Is(err, "domain.exists") {
		t.Errorf("the same name twice: %v", err)
	}
	b := r.add(r.world.A, "four.example.com")
	must(t, r.desk.Remove(ctx, r.world.A.ID, b.ID, staffBy))
	r.add(r.world.A, "five.example.com")
	if _, err := r.desk.Add(ctx, r.world.A.ID, "six.example.com", staffBy); !fault.Is(err, "domain.pending_limit") && !fault.Is(err, "domain.daily_limit") {
		t.Errorf("a fifth add of the day: %v", err)
	}
}

func TestTwoTenantsClaimOneName(t *testing.T) {
	r := newRig(t)
	n := r.node(nodeOptions{plain: r.plain})
	ctx := context.Background()
	errs := make(chan error, 2)
	for _, tenant := range []tenancy.Tenant{r.world.A, r.world.B} {
		go func() {
			_, err := r.desk.Add(ctx, tenant.ID, "shop.nimbus.test", staffBy)
			errs <- err
		}()
	}
	must(t, <-errs)
	must(t, <-errs)
	as, err := r.desk.List(ctx, r.world.A.ID)
	must(t, err)
	bs, err := r.desk.List(ctx, r.world.B.ID)
	must(t, err)
	a, b := as[0], bs[0]
	if a.Token == b.Token || a.EdgeLabel == b.EdgeLabel {
		t.Error("two tenants share a token or a target")
	}
	// The name points here by both tenants' alias: that proves nothing.
	must(t, r.lab.Zone().Set(acmelab.Record{Name: "shop.nimbus.test", Type: "CNAME", Value: r.pf.Edge.Target(b.EdgeLabel)}))
	n.work()
	r.state(a, Pending)
	r.state(b, Pending)
	r.prove(a)
	r.clock.Advance(time.Minute)
	n.work()
	r.state(a, Active)
	r.clock.Advance(time.Minute)
	n.work()
	r.state(b, Conflict)

	news := &heard{}
	n.worker.News = news
	r.prove(b) // replaces A's record: the owner of the zone decides
	r.clock.Advance(2 * time.Hour)
	n.work()
	r.state(b, Active)
	gone := r.state(a, Removed)
	if gone.Serving || gone.Primary {
		t.Error("the former holder is still served")
	}
	if !news.of(a, "domain.taken_over") {
		t.Errorf("the former holder was not told: %v", news.codes)
	}
	eventually(t, "the name is the other's", time.Second, func() bool {
		owner, _ := n.resolver.Lookup("shop.nimbus.test")
		return owner.ID == r.world.B.ID
	})
	if o := r.lab.Faults().Orders("shop.nimbus.test"); o != 1 {
		t.Errorf("%d orders", o)
	}
	later, err := r.desk.Add(ctx, r.world.A.ID, "shop.nimbus.test", staffBy)
	must(t, err)
	if later.State != Conflict {
		t.Errorf("a name another holds is added as %s", later.State)
	}
}

type heard struct{ codes []string }

func (h *heard) DomainChanged(_ context.Context, _ *tenancy.CentralTx, d Domain, e Event) error {
	h.codes = append(h.codes, d.ID.String()+" "+e.Code)
	return nil
}

func (h *heard) of(d Domain, code string) bool {
	for _, c := range h.codes {
		if c == d.ID.String()+" "+code {
			return true
		}
	}
	return false
}
