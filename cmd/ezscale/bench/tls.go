package bench

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/domain"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/secrets"
)

const (
	tlsNames   = 200
	tlsWorkers = 16
	floodRate  = 1500 // unknown names a second
	directory  = "https://ca.bench.test/dir"
)

func tlsName(n int) string { return fmt.Sprintf("shop%03d.customer.test", n%tlsNames) }

// tls compares our way through TLS with a bare server that has one certificate.
func (r *run) tls(ctx context.Context) error {
	f, err := r.grow(ctx, 100)
	if err != nil {
		return err
	}
	spec := childSpec{Kind: "tls-front", DSN: f.dsn, Key: f.key}
	if err := storeCertificates(ctx, spec); err != nil {
		return err
	}
	if err := r.firstRequests(ctx, spec); err != nil {
		return err
	}
	ours, err := r.startChild(ctx, spec)
	if err != nil {
		return err
	}
	defer ours.stop()
	bare, err := r.startChild(ctx, childSpec{Kind: "tls-bare"})
	if err != nil {
		return err
	}
	defer bare.stop()
	connect, err := r.newConnections(ctx, ours, bare)
	if err != nil {
		return err
	}
	if err := r.openConnections(ctx, ours, bare); err != nil {
		return err
	}
	return r.flood(ctx, ours, connect)
}

// firstRequests measures, in a fresh process, the first request on every name: its
// certificate lies in storage.
func (r *run) firstRequests(ctx context.Context, spec childSpec) error {
	c, err := r.startChild(ctx, spec)
	if err != nil {
		return err
	}
	defer c.stop()
	took, err := timeEach(tlsNames, func(n int) error {
		conn, err := (&tls.Dialer{Config: tlsClient(tlsName(n))}).DialContext(ctx, "tcp", c.addr)
		if err != nil {
			return err
		}
		defer conn.Close() //nolint:errcheck // read only
		return exchange(conn, tlsName(n))
	})
	if err != nil {
		return err
	}
	r.report("tls", "first request on a verified name, from storage, p50", millis(quantile(took, 50)), "ms")
	r.promise("tls", "first request on a verified name, from storage, p99", millis(quantile(took, 99)), "ms", atMost, 20)
	return nil
}

// newConnections compares full handshakes, in turns, and returns what one costs us.
func (r *run) newConnections(ctx context.Context, ours, bare *child) (time.Duration, error) {
	if _, err := handshakes(ctx, ours.addr, tlsWorkers, r.Duration/2, tlsName); err != nil { // loads every certificate
		return 0, err
	}
	var us, floor []time.Duration
	var rate, against []float64
	for range 10 {
		for _, side := range []struct {
			c    *child
			into *[]time.Duration
		}{{ours, &us}, {bare, &floor}} {
			o, each, err := cpuEach(side.c, func() (outcome, error) { return handshakes(ctx, side.c.addr, tlsWorkers, r.Duration/4, tlsName) })
			if err != nil {
				return 0, err
			}
			*side.into = append(*side.into, each)
			if side.c == ours {
				rate = append(rate, o.perSecond)
			}
		}
		// Turn by turn: the two that are compared stand side by side.
		against = append(against, float64(us[len(us)-1])/float64(floor[len(floor)-1]))
	}
	r.report("tls", "new connections", median(rate), "/s")
	r.report("tls", "processor time of a new connection", micros(median(us)), "µs")
	r.promise("tls", "processor time of a new connection ÷ bare", median(against), "×", atMost, 1.1)
	return median(us), nil
}

func median[T int | float64 | time.Duration](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// cpuEach divides what the child used during a load by its requests.
func cpuEach(c *child, do func() (outcome, error)) (outcome, time.Duration, error) {
	before, err := cpuOf(c.pid())
	if err != nil {
		return outcome{}, 0, err
	}
	o, err := do()
	if err != nil {
		return outcome{}, 0, err
	}
	after, err := cpuOf(c.pid())
	return o, (after - before) / time.Duration(o.requests), err
}

// openConnections reports requests over connections that stay open.
func (r *run) openConnections(ctx context.Context, ours, bare *child) error {
	for _, side := range []struct {
		name string
		c    *child
	}{{"ours", ours}, {"bare", bare}} {
		o, each, err := cpuEach(side.c, func() (outcome, error) { return keepAlive(ctx, side.c.addr, 32, r.Duration, tlsName) })
		if err != nil {
			return err
		}
		r.report("tls", "keep-alive, "+side.name, o.perSecond, "req/s")
		r.report("tls", "keep-alive, "+side.name+", processor time", micros(each), "µs/req")
	}
	o, each, err := cpuEach(ours, func() (outcome, error) { return overH2(ctx, ours.addr, 32, r.Duration, tlsName) })
	if err != nil {
		return err
	}
	r.report("tls", "HTTP/2, ours", o.perSecond, "req/s")
	r.report("tls", "HTTP/2, ours, processor time", micros(each), "µs/req")
	return nil
}

// flood measures what a refusal costs, and what good visitors notice of many.
func (r *run) flood(ctx context.Context, ours *child, connect time.Duration) error {
	_, each, err := cpuEach(ours, func() (outcome, error) { return refusals(ctx, ours.addr, 32, 0, r.Duration) })
	if err != nil {
		return err
	}
	r.report("tls", "processor time of a refusal", micros(each), "µs")
	r.promise("tls", "refusal ÷ new connection", float64(each)/float64(connect), "×", atMost, 0.25)
	// The good visitors come at half of what the machine can do, as on a busy day; the
	// client shares its processors.
	var kept []float64
	var slow []time.Duration
	var strangers, visitors int // who timed out
	for range 3 {
		alone, err := handshakes(ctx, ours.addr, 2, r.Duration/2, tlsName)
		if err != nil {
			return err
		}
		ended := make(chan error, 1)
		var knocks outcome
		go func() {
			var err error
			knocks, err = refusals(ctx, ours.addr, 16, floodRate, r.Duration)
			ended <- err
		}()
		time.Sleep(r.Duration / 8)
		under, err := handshakes(ctx, ours.addr, 2, r.Duration/2, tlsName)
		if err != nil {
			return err
		}
		if err := <-ended; err != nil {
			return err
		}
		strangers, visitors = strangers+knocks.missed, visitors+alone.missed+under.missed
		kept, slow = append(kept, 100*under.perSecond/alone.perSecond), append(slow, under.p99)
	}
	at := fmt.Sprintf(" under %d unknown names/s", floodRate)
	r.promise("tls", "good connections kept"+at, median(kept), "%", atLeast, 65)
	r.report("tls", "good connections that timed out"+at, float64(visitors), "")
	r.report("tls", "unknown names that timed out", float64(strangers), "")
	r.promise("tls", "good connections, p99"+at, millis(median(slow)), "ms", atMost, 10)
	return nil
}

// knownNames is the directory of the measured front: all its names are one tenant's.
type knownNames struct{ tenant tenancy.Tenant }

func (k knownNames) Known(host string) bool { return strings.HasSuffix(host, ".customer.test") }

func (k knownNames) Lookup(host string) (tenancy.Tenant, bool) { return k.tenant, k.Known(host) }

func openAssets(ctx context.Context, spec childSpec) (*domain.Storage, *domain.Authority, error) {
	ring, err := secrets.Parse(spec.Key)
	if err != nil {
		return nil, nil, err
	}
	assets, err := domain.OpenStorage(ctx, domain.StorageConfig{DSN: spec.DSN, Sealer: ring})
	if err != nil {
		return nil, nil, err
	}
	authority, err := domain.NewAuthority(domain.AuthorityConfig{Directory: directory, Assets: assets})
	return assets, authority, err
}

// serveTLSFront is the product's own front, with the certificates from Postgres.
func serveTLSFront(ctx context.Context, spec childSpec) (string, func(), error) {
	assets, authority, err := openAssets(ctx, spec)
	if err != nil {
		return "", nil, err
	}
	id, err := tenancy.NumberedID(1)
	if err != nil {
		return "", nil, err
	}
	hosts := knownNames{tenancy.Tenant{ID: id, Status: tenancy.Active}}
	certificates := domain.NewCertificates(domain.CertificatesConfig{Authority: authority, Assets: assets, Hosts: hosts})
	front, err := domain.NewFront(domain.FrontConfig{App: hello().Handler(), Hosts: hosts, Certificates: certificates, Authority: authority})
	if err != nil {
		return "", nil, err
	}
	ln, err := loopback(ctx)
	if err != nil {
		return "", nil, err
	}
	go func() { _ = front.ServeHTTPS(ln) }()
	return ln.Addr().String(), func() {
		_ = front.Shutdown(ctx)
		certificates.Close()
		assets.Close()
	}, nil
}

// serveTLSBare is Fiber behind crypto/tls with one certificate for every name.
func serveTLSBare(context.Context, childSpec) (string, func(), error) {
	cert, err := selfSigned("*.customer.test")
	if err != nil {
		return "", nil, err
	}
	ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	})
	if err != nil {
		return "", nil, err
	}
	app := hello()
	go func() { _ = app.Listener(ln) }()
	return ln.Addr().String(), func() { _ = app.Shutdown() }, nil
}

func hello() *fiber.App {
	app := fiber.New(fiber.Config{DisableStartupMessage: true})
	app.Get("/", func(c *fiber.Ctx) error { return c.SendString("hello, world\n") })
	return app
}

func selfSigned(name string) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100))
	if err != nil {
		return tls.Certificate{}, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(90 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), crypto.Signer(key))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// storeCertificates puts a certificate for every name where an order would have put it.
func storeCertificates(ctx context.Context, spec childSpec) error {
	assets, authority, err := openAssets(ctx, spec)
	if err != nil {
		return err
	}
	defer assets.Close()
	for n := range tlsNames {
		name := tlsName(n)
		cert, err := selfSigned(name)
		if err != nil {
			return err
		}
		der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
		if err != nil {
			return err
		}
		meta, err := json.Marshal(certmagic.CertificateResource{SANs: []string{name}})
		if err != nil {
			return err
		}
		err = assets.StoreAll(ctx, []domain.Asset{
			{Key: certmagic.StorageKeys.SitePrivateKey(authority.Key(), name), Value: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})},
			{Key: certmagic.StorageKeys.SiteCert(authority.Key(), name), Value: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})},
			{Key: certmagic.StorageKeys.SiteMeta(authority.Key(), name), Value: meta},
		})
		if err != nil {
			return err
		}
	}
	return nil
}
