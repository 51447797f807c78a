package domain

import (
	"context"
	"testing"

	"github.com/ezscale/ezscale/branding/domain/acmelab"
)

func TestAddressesOfAMovingEdgeAreLookedUp(t *testing.T) {
	l := lab(t)
	p := &Preflight{Resolvers: Resolvers{Servers: []string{l.DNS()}}, Edge: Edge{Zone: "edge.ezscale.net"}}
	d := Domain{Host: "a.example.com", State: Verified, EdgeLabel: "k1"}
	for _, r := range []acmelab.Record{{Name: "k1.edge.ezscale.net", Type: "A", Value: "192.0.2.1"}, {Name: d.Host, Type: "A", Value: "192.0.2.1"}} {
		must(t, l.Zone().Set(r))
	}
	if o := p.Look(context.Background(), d, d.CreatedAt); !o.Directed {
		t.Errorf("%s %s", o.Code, o.Problem)
	}
	must(t, l.Zone().Set(acmelab.Record{Name: "k1.edge.ezscale.net", Type: "A", Value: "192.0.2.2"}))
	if o := p.Look(context.Background(), d, d.CreatedAt); o.Directed || o.Code != "dns.elsewhere" {
		t.Errorf("an edge that moved: %s %s", o.Code, o.Problem)
	}
}

func TestASelfTestConnectsToNothingInside(t *testing.T) {
	open := &SelfTest{}
	for _, ip := range []string{"127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254", "::1", "fd00::1", "::ffff:10.0.0.1", "0.0.0.0", "fe80::1", "junk"} {
		if open.mayDial(ip) {
			t.Errorf("a self test may connect to %s", ip)
		}
	}
	if !open.mayDial("203.0.113.7") {
		t.Error("a public address is refused")
	}
	ours := &SelfTest{Only: plainAddresses(Edge{}.Addresses)}
	if ours.mayDial("127.0.0.1") {
		t.Error("no address configured is any address")
	}
}
