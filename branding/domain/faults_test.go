package domain

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/ezscale/ezscale/branding/domain/acmelab"
	"github.com/ezscale/ezscale/tenancy"
)

func TestTheAuthoritysBadDays(t *testing.T) {
	r := newRig(t)
	n := r.node(nodeOptions{plain: r.plain})
	for _, c := range []struct {
		name    string
		fault   acmelab.Fault
		after   time.Duration
		state   State
		code    string
		atLeast time.Duration // before the next order
		account bool
	}{
		{"too-many", acmelab.TooMany, 2 * time.Hour, RateLimited, "acme.rate_limited", 119 * time.Minute, true},
		{"server-error", acmelab.ServerError, 0, Failing, "acme.broken", 299 * time.Second, false},
		{"policy", acmelab.Policy, 0, Failing, "acme.rejected", 23 * time.Hour, false},
		{"caa", acmelab.CAARefusal, 0, CAAForbids, "acme.caa", 299 * time.Second, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := r.add(r.world.A, c.name+".faults.test")
			r.prove(d)
			r.lab.Faults().Set(c.fault, c.after)
			n.work()
			got := r.state(d, c.state)
			if got.ErrorCode != c.code || got.Error == "" || got.OrderAfter == nil || got.OrderAfter.Sub(r.clock.Now()) < c.atLeast {
				t.Errorf("%s: %q, next order %v", got.ErrorCode, got.Error, got.OrderAfter)
			}
			for _, word := range []string{"acme:error", "urn:", "EOF", "dial tcp", "context deadline"} {
				if strings.Contains(got.Error, word) {
					t.Errorf("the reseller reads %q", got.Error)
				}
			}
			asked := r.lab.Faults().Requests()
			if _, err := r.desk.CheckNow(context.Background(), r.world.A.ID, d.ID, staffBy); err != nil {
				t.Fatal(err)
			}
			n.work()
			if r.lab.Faults().Requests() != asked {
				t.Error("checking by hand asks the authority before its time")
			}
			other := r.add(r.world.B, c.name+".other.test")
			r.prove(other)
			r.lab.Faults().Set(acmelab.None, 0)
			n.work()
			if want := map[bool]State{true: RateLimited, false: Active}[c.account]; r.read(other).State != want {
				t.Errorf("another name is %s, want %s", r.read(other).State, want)
			}
			r.clock.Advance(25 * time.Hour)
			n.work()
			r.state(d, Active)
			r.state(other, Active)
			if o := r.lab.Faults().Issued(d.Host); o != 1 {
				t.Errorf("%d certificates", o)
			}
		})
	}
}

func TestAnAuthorityThatHangsHangsNobody(t *testing.T) {
	r := newRig(t)
	n := r.node(nodeOptions{plain: r.plain})
	d := r.add(r.world.A, "hang.test")
	r.prove(d)
	r.lab.Faults().Set(acmelab.Hang, 0)
	ctx, cancel := context.WithTimeout(context.Background(), 700*time.Millisecond)
	defer cancel()
	// The order's own limit is OrderLimit; a shorter one stands in for it here.
	_, err := n.auth.Obtain(ctx, Wish{Name: d.Host, Now: r.clock.Now()})
	if got := classify(err, d.Host, 0, r.clock.Now()); got.code != "acme.timeout" || got.state != Failing {
		t.Errorf("%v is %+v", err, got)
	}
	if ok, err := n.storage.TryLock(context.Background(), "order "+d.Host); !ok || err != nil {
		t.Errorf("the lock of the given-up order is held: %v", err)
	}
	must(t, n.storage.Unlock(context.Background(), "order "+d.Host))
	r.lab.Faults().Set(acmelab.None, 0)
	n.work()
	r.state(d, Active)
}

func TestTwoNodesPlaceOneOrder(t *testing.T) {
	r := newRig(t)
	fast := Pace{Poll: 20 * time.Millisecond}
	platform := &Platform{Central: r.world.Central, Zone: "localhost", Hosts: []string{"console.ezscale.localhost"}}
	r.node(nodeOptions{plain: r.plain, running: true, pace: fast, platform: platform})
	r.node(nodeOptions{running: true, pace: fast, platform: platform})
	var all []Domain
	for _, h := range []string{"one.two.test", "two.two.test", "three.two.test", "four.two.test"} {
		d := r.add(r.world.A, h)
		r.prove(d)
		_, err := r.desk.CheckNow(context.Background(), r.world.A.ID, d.ID, staffBy)
		must(t, err)
		all = append(all, d)
	}
	own := []string{"alpha.localhost", "beta.localhost", "gamma.localhost", "console.ezscale.localhost"}
	eventually(t, "everything is live", 30*time.Second, func() bool {
		var n int
		_ = r.world.Owner.QueryRow(context.Background(), "SELECT count(*) FROM central.platform_names WHERE state = 'active'").Scan(&n)
		for _, d := range all {
			r.clock.Advance(time.Second)
			if r.read(d).State != Active {
				return false
			}
		}
		return n == len(own)
	})
	for _, d := range all {
		own = append(own, d.Host)
	}
	for _, h := range own {
		if o := r.lab.Faults().Orders(h); o != 1 {
			t.Errorf("%s: %d orders", h, o)
		}
	}
}

func TestRenewalIsDrivenByTheTable(t *testing.T) {
	r := newRig(t)
	n := r.node(nodeOptions{plain: r.plain})
	d := r.add(r.world.A, "renew.test")
	r.prove(d)
	n.work()
	first := r.state(d, Active)
	if lifetime := first.NotAfter.Sub(*first.NotBefore); first.RenewAt.Sub(*first.NotBefore) < lifetime/2 {
		t.Errorf("a certificate of %s renews at %s", lifetime, first.RenewAt)
	}
	r.lab.Faults().Set(acmelab.ServerError, 0)
	r.clock.Set(first.RenewAt.Add(time.Minute))
	n.work()
	failing := r.state(d, Failing)
	if !failing.Serving || failing.ErrorCode != "acme.broken" {
		t.Errorf("a failed renewal: serving %t, %s", failing.Serving, failing.ErrorCode)
	}
	if status, _, err := n.get(n.visitor(false), d.Host); err != nil || status != 200 {
		t.Errorf("while the renewal fails: %d %v", status, err)
	}
	r.lab.Faults().Set(acmelab.None, 0)
	r.clock.Advance(10 * time.Minute)
	n.work()
	second := r.state(d, Active)
	if second.CertSerial == first.CertSerial || r.lab.Faults().Issued(d.Host) != 2 {
		t.Errorf("after the renewal the serial is %s, %d issued", second.CertSerial, r.lab.Faults().Issued(d.Host))
	}
	c, err := n.dial(d.Host, r.lab.SiteRoots())
	must(t, err)
	defer c.Close()
	if got := c.ConnectionState().PeerCertificates[0].SerialNumber.Text(16); got != second.CertSerial {
		t.Errorf("visitors get %s, the table says %s", got, second.CertSerial)
	}
	r.clock.Advance(time.Hour)
	n.work()
	if o := r.lab.Faults().Orders(d.Host); o != 2 {
		t.Errorf("%d orders", o)
	}
}

func TestANameThatLeavesIsServedForSevenDays(t *testing.T) {
	r := newRig(t)
	n := r.node(nodeOptions{plain: r.plain})
	d := r.add(r.world.A, "drift.test")
	r.prove(d)
	n.work()
	r.state(d, Active)
	must(t, r.lab.Zone().Set(acmelab.Record{Name: d.Host, Type: "A", Value: "192.0.2.7"}))
	r.clock.Advance(25 * time.Hour)
	n.work()
	got := r.state(d, Drifted)
	if !got.Serving || !strings.Contains(got.Error, "192.0.2.7") {
		t.Errorf("serving %t: %s", got.Serving, got.Error)
	}
	must(t, r.lab.Zone().Delete(d.Host, "A", ""))
	r.clock.Advance(2 * time.Hour)
	n.work()
	r.state(d, Active)
	must(t, r.lab.Zone().Set(acmelab.Record{Name: d.Host, Type: "AAAA", Value: "2001:db8::7"}))
	r.clock.Advance(25 * time.Hour)
	n.work()
	r.state(d, Drifted)
	r.clock.Advance(6 * 24 * time.Hour)
	n.work()
	r.state(d, Drifted)
	r.clock.Advance(25 * time.Hour)
	n.work()
	if got := r.state(d, Pending); got.Serving {
		t.Error("served after seven days")
	}
	r.lab.Zone().Break(d.Host, dns.RcodeServerFailure)
	r.clock.Advance(time.Hour)
	n.work()
	got = r.read(d)
	if got.State != Active && got.State != Misdirected && got.State != Pending {
		t.Errorf("a broken zone makes it %s", got.State)
	}
}

func TestABrokenZoneIsNoDrift(t *testing.T) {
	r := newRig(t)
	n := r.node(nodeOptions{plain: r.plain})
	d := r.add(r.world.A, "servfail.test")
	r.prove(d)
	n.work()
	r.state(d, Active)
	r.lab.Zone().Break(d.Host, dns.RcodeServerFailure)
	r.clock.Advance(25 * time.Hour)
	n.work()
	if got := r.state(d, Active); got.Observed.Code != "dns.servfail" {
		t.Errorf("observed %s", got.Observed.Code)
	}
}

func TestCertificatesInMemoryOutliveTheDatabase(t *testing.T) {
	r := newRig(t)
	n := r.node(nodeOptions{plain: r.plain})
	d := r.add(r.world.A, "outage.test")
	r.prove(d)
	n.work()
	eventually(t, "known", 2*time.Second, func() bool { return n.resolver.Known(d.Host) })
	if status, _, err := n.get(n.visitor(false), d.Host); err != nil || status != 200 {
		t.Fatal(status, err)
	}
	n.storage.pool.Close() // every query fails from now on, as when Postgres is gone
	for _, h2 := range []bool{false, true} {
		if status, _, err := n.get(n.visitor(h2), d.Host); err != nil || status != 200 {
			t.Errorf("a certificate in memory is not served: %d %v", status, err)
		}
	}
	begun := time.Now()
	if c, err := n.dial("beta.localhost", r.lab.SiteRoots()); err == nil {
		c.Close()
		t.Error("a certificate came from nowhere")
	}
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("a name not in memory hangs for %s", took)
	}
}

func TestBudgetsHoldBackAndKeepAReserve(t *testing.T) {
	r := newRig(t)
	b := &Budget{Central: r.world.Central, Account: "ca", Quota: Quota{PerWindow: 5, Window: 3 * time.Hour, Reserve: 2, PerRegistered: 2, FailedPerHour: 2}}
	ctx := context.Background()
	over := func(err error) string {
		if err == nil {
			return ""
		}
		return classify(err, "x", 0, r.clock.Now()).code
	}
	for i, c := range []struct {
		name    string
		renewal bool
		want    string
	}{
		{"a.one.test", false, ""}, {"b.one.test", false, ""}, {"c.one.test", false, "orders.registered"},
		{"c.one.test", true, ""}, // renewals are free of that limit
		{"two.test", false, ""}, {"three.test", false, "orders.budget"},
		{"two.test", true, ""}, {"a.one.test", true, "orders.budget"},
	} {
		if got := over(b.spend(ctx, c.name, c.renewal)); got != c.want {
			t.Errorf("order %d for %s: %q, want %q", i, c.name, got, c.want)
		}
	}
	must(t, b.Pause(ctx, "the authority is ill", staffBy))
	r.clock.Advance(4 * time.Hour)
	if got := over(b.spend(ctx, "four.test", true)); got != "orders.paused" {
		t.Errorf("while paused: %q", got)
	}
	must(t, b.Resume(ctx, staffBy))
	for range 2 {
		if err := b.spend(ctx, "five.test", false); err != nil {
			t.Fatal(err)
		}
		must(t, r.world.Central.Update(ctx, func(tx *tenancy.CentralTx) error { return b.finish(ctx, tx, "five.test", "acme.dns") }))
	}
	if got := over(b.spend(ctx, "five.test", false)); got != "orders.failed" {
		t.Errorf("a third order after two failures: %q", got)
	}
	s, err := b.State(ctx)
	if err != nil || s.New != 2 || s.FailedHour != 2 || s.PausedBy != "" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestNodesCannotOverdrawTheBudgetTogether(t *testing.T) {
	r := newRig(t)
	b := &Budget{Central: r.world.Central, Account: "ca", Quota: Quota{PerWindow: 7, Window: time.Hour}}
	done := make(chan error, 20)
	for range 20 {
		go func() { done <- b.spend(context.Background(), "x.test", true) }()
	}
	taken := 0
	for range 20 {
		if err := <-done; err == nil {
			taken++
		}
	}
	if taken != 7 {
		t.Errorf("%d orders of 7", taken)
	}
}

func TestPrimaryNeedsALiveSiteAndEndsWithIt(t *testing.T) {
	r := newRig(t)
	n := r.node(nodeOptions{plain: r.plain})
	ctx := context.Background()
	d := r.add(r.world.A, "main.test")
	if _, err := r.desk.MakePrimary(ctx, r.world.A.ID, d.ID, staffBy); err == nil {
		t.Error("a pending name became the main address")
	}
	r.prove(d)
	n.work()
	port := 1 // nobody listens there
	self := &SelfTest{Secret: []byte("probe"), Resolvers: r.pf.Resolvers, HTTPSPort: port, Roots: r.lab.SiteRoots(), Only: r.pf.Edge.Addresses}
	r.desk.Preflight = &Preflight{Resolvers: r.pf.Resolvers, Edge: r.pf.Edge, Self: self}
	if _, err := r.desk.MakePrimary(ctx, r.world.A.ID, d.ID, staffBy); err == nil || !strings.Contains(err.Error(), "domain.self_test") {
		t.Errorf("a name that does not answer: %v", err)
	}
	eventually(t, "known", 2*time.Second, func() bool { return n.resolver.Known(d.Host) })
	self.HTTPSPort = portOf(t, n.addr)
	if _, err := r.desk.MakePrimary(ctx, r.world.A.ID, d.ID, staffBy); err != nil {
		t.Fatal(err)
	}
	primary := func(tenant tenancy.Tenant) (host string) {
		must(t, r.world.Owner.QueryRow(ctx, "SELECT coalesce(primary_host, '') FROM central.tenants WHERE id = $1", tenant.ID.Number()).Scan(&host))
		return host
	}
	if primary(r.world.A) != d.Host || primary(r.world.B) != "" {
		t.Errorf("main addresses %q and %q", primary(r.world.A), primary(r.world.B))
	}
	must(t, r.desk.Remove(ctx, r.world.A.ID, d.ID, staffBy))
	if primary(r.world.A) != "" {
		t.Error("a removed name is still the main address")
	}
}

func TestOwnNamesByWildcardAndProofByDNS(t *testing.T) {
	r := newRig(t)
	provider := &labProvider{zone: r.lab.Zone()}
	platform := &Platform{Central: r.world.Central, Zone: "apps.test", Wildcard: true}
	n := r.node(nodeOptions{plain: r.plain, platform: platform})
	n.auth.cfg.DNS = &DNSProof{Zone: "apps.test", Provider: provider, Seen: func(ctx context.Context, name, value string) bool {
		all, _, err := agreed(r.pf.Resolvers.ask(ctx, name, dns.TypeTXT))
		return err == nil && len(all) > 0
	}}
	must(t, platform.sync(context.Background()))
	n.work()
	cert, err := n.auth.Stored(context.Background(), "*.apps.test")
	if err != nil || cert.Leaf.DNSNames[0] != "*.apps.test" {
		t.Fatalf("%v %v", cert.Name, err)
	}
	if provider.added != 1 || provider.deleted != 1 {
		t.Errorf("%d proofs set, %d taken away", provider.added, provider.deleted)
	}
	if name, ok := platform.CertName("alpha.apps.test"); !ok || name != "*.apps.test" {
		t.Errorf("alpha.apps.test is served by %q", name)
	}
	if _, ok := platform.CertName("a.b.apps.test"); ok {
		t.Error("a wildcard reaches one label only")
	}
}
