package domain

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/mholt/acmez/v3"

	"github.com/ezscale/ezscale/branding/domain/acmelab"
)

// TestProofByTLS has certificates proved by handshakes alone: nobody answers plain HTTP.
func TestProofByTLS(t *testing.T) {
	r := newRig(t)
	r.pf.Method = "tls-alpn-01"
	r.pf.Self = &SelfTest{Secret: []byte("probe"), Resolvers: r.pf.Resolvers, Only: r.pf.Edge.Addresses, HTTPSPort: portOf(t, r.tls.Addr().String())}
	r.tune = func(c *AuthorityConfig) { c.TLSALPN = true }
	n := r.node(nodeOptions{tls: r.tls, platform: &Platform{Central: r.world.Central, Zone: "localhost"}})
	must(t, r.plain.Close())
	d, other := r.add(r.world.A, "shop.alpn.test"), r.add(r.world.B, "blog.alpn.test")
	r.prove(d)
	must(t, r.lab.Zone().Set(acmelab.Record{Name: "alpn.test", Type: "CAA", Value: `0 issue "` + acmelab.Identity + `; validationmethods=http-01"`}))
	n.work()
	r.state(d, CAAForbids)
	must(t, r.lab.Zone().Set(acmelab.Record{Name: "alpn.test", Type: "CAA", Value: `0 issue "` + acmelab.Identity + `; validationmethods=tls-alpn-01"`}))
	must(t, r.lab.Zone().Delete("alpn.test", "CAA", `0 issue "`+acmelab.Identity+`; validationmethods=http-01"`))
	r.clock.Advance(25 * time.Hour)
	n.work()
	r.state(d, Active)
	if o := r.lab.Faults().Orders(d.Host); o != 1 {
		t.Errorf("%d orders", o)
	}
	must(t, n.resolver.Refresh(t.Context()))
	if status, body, err := n.get(n.visitor(true), d.Host); err != nil || status != http.StatusOK || !strings.HasPrefix(body, d.Host) {
		t.Errorf("the site: %d %q %v", status, body, err)
	}
	// With no proof open there is none to be had, for whichever name, and no page either.
	for _, host := range []string{d.Host, other.Host, "alpha.localhost"} {
		if c, err := n.prove(host); err == nil {
			t.Errorf("%s: a certificate of %v without a proof being asked for", host, c.ConnectionState().PeerCertificates[0].DNSNames)
			_ = c.Close()
		}
	}
}

// prove looks for a proof as the authority does.
func (n *node) prove(host string) (*tls.Conn, error) {
	return tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", n.addr, &tls.Config{ServerName: host, NextProtos: []string{acmez.ACMETLS1Protocol},
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}) // what is presented is a proof, signed by nobody
}

// TestAProofCarriesNoRequest proves a name that no node knows yet, as one that was
// verified a moment ago. It holds an order open and asks for a page on the connection
// that was opened for its proof.
func TestAProofCarriesNoRequest(t *testing.T) {
	r := newRig(t)
	r.tune = func(c *AuthorityConfig) { c.TLSALPN = true }
	n := r.node(nodeOptions{tls: r.tls})
	const late = "late.alpn.test"
	account, err := n.auth.signedIn(t.Context())
	must(t, err)
	order, _, err := n.auth.place(t.Context(), account, Wish{Name: late}, nil)
	must(t, err)
	authz, err := n.auth.acme.GetAuthorization(t.Context(), account, order.Authorizations[0])
	must(t, err)
	for _, c := range authz.Challenges {
		if c.Type != "tls-alpn-01" {
			continue
		}
		clean, err := n.auth.present(t.Context(), c, late)
		must(t, err)
		conn, err := n.prove(late)
		must(t, err)
		if got := conn.ConnectionState().PeerCertificates[0].DNSNames; len(got) != 1 || got[0] != late {
			t.Errorf("the proof is about %v", got)
		}
		_, _ = conn.Write([]byte("GET / HTTP/1.1\r\nHost: " + late + "\r\n\r\n"))
		if said, _ := io.ReadAll(conn); len(bytes.TrimSpace(said)) > 0 {
			t.Errorf("the connection said %q", said)
		}
		_ = conn.Close()
		if c, err := n.prove("beta.localhost"); err == nil {
			t.Error("another name has the proof too")
			_ = c.Close()
		}
		clean()
		return
	}
	t.Fatal("the authority offers no proof over TLS")
}

func TestAnAccountIsBoundToOneTheAuthorityKnows(t *testing.T) {
	known := acmelab.External{KeyID: "kid-1", Key: base64.RawURLEncoding.EncodeToString([]byte("thirty-two bytes of a shared key"))}
	r := newRigAt(t, known)
	binding := acmelab.External{}
	r.tune = func(c *AuthorityConfig) { c.ExternalID, c.ExternalKey = binding.KeyID, binding.Key }
	d, other := r.add(r.world.A, "shop.bound.test"), r.add(r.world.B, "blog.bound.test")
	r.prove(d)
	r.prove(other)
	for _, wrong := range []acmelab.External{{}, {KeyID: "kid-2", Key: known.Key}, {KeyID: known.KeyID, Key: base64.RawURLEncoding.EncodeToString([]byte("another thirty-two bytes in here"))}} {
		binding = wrong
		n := r.node(nodeOptions{plain: r.plain})
		n.work()
		for _, name := range []Domain{d, other} {
			if got := r.state(name, RateLimited); got.ErrorCode != "acme.account" || got.Attempts != 0 || strings.Contains(got.Error, "authority says") {
				t.Errorf("bound as %q: %s is told %s %q after %d attempts", wrong.KeyID, got.Host, got.ErrorCode, got.Error, got.Attempts)
			}
		}
		r.clock.Advance(accountPause + time.Minute)
	}
	if got := r.lab.Faults().Orders(d.Host) + r.lab.Faults().Orders(other.Host); got != 0 {
		t.Errorf("%d orders without an account", got)
	}
	binding = known
	n := r.node(nodeOptions{plain: r.plain})
	n.work()
	r.state(d, Active)
	r.state(other, Active)
}
