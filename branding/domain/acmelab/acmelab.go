// Package acmelab is an internet of its own for the demo and the tests: a
// certificate authority that speaks ACME and a name server with a zone that can
// be edited, both inside this process. The authority is real (orders, challenges
// over HTTP, TLS or DNS, renewal information); its root is made anew at every
// start and trusted by nobody. It is never part of a production node.
package acmelab

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// Identity is how the authority is named in CAA records.
const Identity = "ca.acmelab.test"

// Profile is the only certificate profile the authority offers. Orders must name
// it: the server behind picks one at random otherwise.
const Profile = "default"

// Options are where the lab listens and whom it validates.
type Options struct {
	ACMEAddr  string        // empty: a free port on 127.0.0.1
	DNSAddr   string        // empty: a free port on 127.0.0.1
	HTTPPort  int           // where HTTP-01 connects to; 80 on the real internet
	TLSPort   int           // where TLS-ALPN-01 connects to; 443 on the real internet
	Validity  time.Duration // of certificates; 0: 90 days
	External  External      // who may have an account; zero: everybody
	ZoneFile  string        // keeps the zone between starts; empty: in memory only
	Updates   UpdateKey     // who may change the zone by dynamic updates; zero: nobody
	LogOutput io.Writer     // nil: nothing
}

// External is the one account binding the authority knows; with it, nobody has an
// account without.
type External struct{ KeyID, Key string } // Key in base64url

// Lab is a running authority with its name server.
type Lab struct {
	zone   *Zone
	faults *Faults
	dns    *nameServer
	acme   *http.Server
	url    string
	roots  *x509.CertPool
	root   []byte
	own    []byte
	cancel context.CancelFunc
}

// Start brings the lab up; it answers when Start returns. A taken port is an error
// that names it.
func Start(o Options) (*Lab, error) {
	// The server behind sleeps, rejects nonces and reuses authorizations at random
	// unless told otherwise, and is told only by its environment.
	for k, v := range map[string]string{"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"} {
		if err := os.Setenv(k, v); err != nil {
			return nil, fmt.Errorf("acmelab: %w", err)
		}
	}
	if o.Validity == 0 {
		o.Validity = 90 * 24 * time.Hour
	}
	if o.LogOutput == nil {
		o.LogOutput = io.Discard
	}
	zone, err := openZone(o.ZoneFile)
	if err != nil {
		return nil, err
	}
	names, err := serveDNS(or(o.DNSAddr, "127.0.0.1:0"), zone, o.Updates)
	if err != nil {
		return nil, err
	}
	l := &Lab{zone: zone, dns: names, faults: newFaults(zone)}
	if err := l.serveACME(o); err != nil {
		names.close()
		return nil, err
	}
	return l, nil
}

func (l *Lab) serveACME(o Options) error {
	logger := log.New(o.LogOutput, "acmelab ", log.LstdFlags)
	store := db.NewMemoryStore()
	authority := ca.New(logger, store, "", "ecdsa", 0, 1, map[string]ca.Profile{
		Profile: {Description: "demo", ValidityPeriod: uint64(o.Validity / time.Second)},
	})
	validator := va.New(logger, o.HTTPPort, o.TLSPort, false, l.dns.addr, store)
	bound := o.External != (External{})
	if bound {
		if err := store.AddExternalAccountKeyByID(o.External.KeyID, o.External.Key); err != nil {
			return fmt.Errorf("acmelab: %w", err)
		}
	}
	// No Retry-After where an order is only waited for: it is there in milliseconds, and
	// the header's least is a second.
	front := wfe.New(logger, store, validator, authority, []string{Identity}, false, bound, 0, 0)
	l.root = rootOf(&front)
	if l.root == nil {
		return errors.New("acmelab: the authority has no root certificate")
	}
	cert, err := selfSigned()
	if err != nil {
		return fmt.Errorf("acmelab: %w", err)
	}
	ln, err := new(net.ListenConfig).Listen(context.Background(), "tcp", or(o.ACMEAddr, "127.0.0.1:0"))
	if err != nil {
		return fmt.Errorf("acmelab: the authority's address: %w", err)
	}
	l.roots = x509.NewCertPool()
	l.roots.AddCert(cert.Leaf)
	l.own = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Leaf.Raw})
	// The root's fingerprint is in the directory's address, so that certificates of an
	// earlier start, whose root is gone, are another authority's to every client.
	sum := sha256.Sum256(l.root)
	prefix := "/" + hex.EncodeToString(sum[:6])
	l.url = "https://" + ln.Addr().String() + prefix + wfe.DirectoryPath
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	l.acme = &http.Server{
		Handler:           strip(prefix, l.faults.wrap(front.Handler(), newReuse(front.Handler(), store.GetOrderByID))),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          logger,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	go func() {
		_ = l.acme.Serve(tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}))
	}()
	return nil
}

func strip(prefix string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = strings.TrimPrefix(r.URL.Path, prefix)
		next.ServeHTTP(w, r)
	})
}

// rootOf asks the authority's management handler, the only way to its root.
func rootOf(front *wfe.WebFrontEndImpl) []byte {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, wfe.RootCertPath+"0", nil)
	if err != nil {
		return nil
	}
	rec := &recorder{header: http.Header{}}
	front.ManagementHandler().ServeHTTP(rec, req)
	if rec.failed {
		return nil
	}
	return rec.body.Bytes()
}

// recorder keeps an answer of the management handler.
type recorder struct {
	header http.Header
	body   bytes.Buffer
	failed bool
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }
func (r *recorder) WriteHeader(code int)        { r.failed = code != http.StatusOK }

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "acmelab"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}

// Directory is the address ACME clients start from.
func (l *Lab) Directory() string { return l.url }

// Roots trust the authority's own HTTPS address.
func (l *Lab) Roots() *x509.CertPool { return l.roots }

// DirectoryPEM is the certificate of the authority's own HTTPS address.
func (l *Lab) DirectoryPEM() []byte { return l.own }

// RootPEM is the certificate that signs what the authority issues.
func (l *Lab) RootPEM() []byte { return l.root }

// SiteRoots trust the certificates the authority issues.
func (l *Lab) SiteRoots() *x509.CertPool {
	pool := x509.NewCertPool()
	for rest := l.root; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return pool
		}
		if c, err := x509.ParseCertificate(b.Bytes); err == nil {
			pool.AddCert(c)
		}
	}
}

// DNS is the name server's address; it answers over UDP and TCP.
func (l *Lab) DNS() string { return l.dns.addr }

// Zone is what the name server answers from.
func (l *Lab) Zone() *Zone { return l.zone }

// Faults are the authority's bad days.
func (l *Lab) Faults() *Faults { return l.faults }

// Close stops both servers.
func (l *Lab) Close() error {
	l.cancel()
	l.faults.release()
	l.dns.close()
	return l.acme.Close()
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
