package domain

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"

	"github.com/ezscale/ezscale/branding/domain/acmelab"
)

// labUpdates is who may change the lab's zone.
var labUpdates = acmelab.UpdateKey{Name: "ezscale-key", Secret: "c2l4dGVlbiBieXRlcyBvZiBhIHNlY3JldCBrZXk="}

func (r *rig) dynamic(change func(*DynamicUpdateConfig)) *DynamicUpdate {
	r.t.Helper()
	cfg := DynamicUpdateConfig{Server: r.lab.DNS(), Key: labUpdates.Name, Secret: labUpdates.Secret, Clock: time.Now}
	change(&cfg)
	d, err := NewDynamicUpdate(cfg)
	must(r.t, err)
	return d
}

// TestWildcardByDynamicUpdate: the wildcard of our own zone, from a DNS server that
// takes signed updates, serves the hosts of two tenants.
func TestWildcardByDynamicUpdate(t *testing.T) {
	r := newRig(t)
	platform := &Platform{Central: r.world.Central, Zone: "localhost", Wildcard: true}
	n := r.node(nodeOptions{plain: r.plain, platform: platform})
	n.auth.cfg.DNS = &DNSProof{Zone: "localhost", Provider: r.dynamic(func(*DynamicUpdateConfig) {}), Seen: r.pf.Resolvers.sees}
	must(t, platform.sync(context.Background()))
	n.work()
	cert, err := n.auth.Stored(context.Background(), "*.localhost")
	if err != nil || len(cert.Leaf.DNSNames) != 1 || cert.Leaf.DNSNames[0] != "*.localhost" {
		t.Fatalf("%+v %v", cert, err)
	}
	for _, host := range []string{"alpha.localhost", "beta.localhost"} {
		conn, err := n.dial(host, r.lab.SiteRoots())
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		if got := conn.ConnectionState().PeerCertificates[0].DNSNames; len(got) != 1 || got[0] != "*.localhost" {
			t.Errorf("%s is served with %v", host, got)
		}
		_ = conn.Close()
	}
	if texts, _, err := agreed(r.pf.Resolvers.ask(context.Background(), "_acme-challenge.localhost", 16)); err == nil && len(texts) > 0 {
		t.Errorf("the proof is still there: %v", texts)
	}
}

func TestDynamicUpdatesThatAreRefused(t *testing.T) {
	r := newRig(t)
	record := []libdns.Record{libdns.TXT{Name: "_acme-challenge", TTL: time.Minute, Text: "x"}}
	for name, c := range map[string]struct {
		zone   string
		change func(*DynamicUpdateConfig)
		says   string
	}{
		"another key":    {"apps.test.", func(c *DynamicUpdateConfig) { c.Key = "stranger" }, "update apps.test."},
		"another secret": {"apps.test.", func(c *DynamicUpdateConfig) { c.Secret = "AAAA" }, "update apps.test."},
		"nobody there":   {"apps.test.", func(c *DynamicUpdateConfig) { c.Server = "127.0.0.1:1" }, "refused"},
		"an old clock":   {"apps.test.", func(c *DynamicUpdateConfig) { c.Clock = func() time.Time { return time.Unix(1, 0) } }, "update apps.test."},
	} {
		if _, err := r.dynamic(c.change).AppendRecords(t.Context(), c.zone, record); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if r.pf.Resolvers.sees(t.Context(), "_acme-challenge.apps.test", "x") {
			t.Fatalf("%s: the zone was changed", name)
		}
	}
	good := r.dynamic(func(c *DynamicUpdateConfig) { c.Algorithm = "hmac-sha512" })
	for range 2 { // twice is as good as once
		if _, err := good.AppendRecords(t.Context(), "apps.test.", record); err != nil {
			t.Fatal(err)
		}
	}
	if !r.pf.Resolvers.sees(t.Context(), "_acme-challenge.apps.test", "x") {
		t.Error("the record is not there")
	}
	for range 2 {
		if _, err := good.DeleteRecords(t.Context(), "apps.test.", record); err != nil {
			t.Fatal(err)
		}
	}
	if r.pf.Resolvers.sees(t.Context(), "_acme-challenge.apps.test", "x") {
		t.Error("the record is still there")
	}
}

func TestDynamicUpdateRefusesBadKeys(t *testing.T) {
	for name, cfg := range map[string]DynamicUpdateConfig{
		"no base64": {Server: "a:53", Key: "k", Secret: "!", Clock: time.Now}, "no secret": {Server: "a:53", Key: "k", Clock: time.Now},
		"no key": {Server: "a:53", Secret: "AAAA", Clock: time.Now}, "no server": {Key: "k", Secret: "AAAA", Clock: time.Now},
		"md5": {Server: "a:53", Key: "k", Secret: "AAAA", Algorithm: "hmac-md5", Clock: time.Now},
	} {
		if _, err := NewDynamicUpdate(cfg); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}
