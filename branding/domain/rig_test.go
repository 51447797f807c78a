package domain

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/valyala/fasthttp"

	"github.com/ezscale/ezscale/branding/domain/acmelab"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// rig is a platform with its own internet: a database, an authority, a name server.
type rig struct {
	t     testing.TB
	world *tenancytest.World
	lab   *acmelab.Lab
	ring  *secrets.Keyring
	plain net.Listener // where the authority looks for proofs
	tls   net.Listener // where it looks for those over TLS
	tune  func(*AuthorityConfig)
	clock *tenancytest.Clock
	desk  *Desk
	pf    *Preflight
}

// staffBy is who does things in tests.
var staffBy = By{Actor: audit.Actor{Kind: "staff", ID: "1", Name: "Sam"}, IP: "192.0.2.9", RequestID: "r1"}

func newRig(t testing.TB) *rig {
	t.Helper()
	return newRigAt(t, acmelab.External{})
}

// newRigAt is newRig with an authority that may ask for an account binding.
func newRigAt(t testing.TB, external acmelab.External) *rig {
	t.Helper()
	r := &rig{t: t, world: tenancytest.New(t), ring: testKeyring(t)}
	r.clock = r.world.Clock
	r.clock.Set(time.Now().UTC()) // certificates are of real time
	var err error
	r.plain, err = net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = r.plain.Close() })
	r.tls, err = net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { _ = r.tls.Close() })
	r.lab, err = acmelab.Start(acmelab.Options{HTTPPort: r.plain.Addr().(*net.TCPAddr).Port, TLSPort: r.tls.Addr().(*net.TCPAddr).Port, Updates: labUpdates, External: external})
	must(t, err)
	t.Cleanup(func() { _ = r.lab.Close() })
	resolvers := Resolvers{Servers: []string{r.lab.DNS()}}
	r.pf = &Preflight{
		Resolvers: resolvers, Edge: Edge{Zone: "edge.test", Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1")}},
		Identity: []string{acmelab.Identity}, Method: "http-01",
	}
	r.desk = &Desk{Central: r.world.Central, Names: testPolicy, Preflight: r.pf}
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// directory is what central/reseller answers, in the few words a test needs.
type directory struct{ central *tenancy.Central }

func (d directory) rows(ctx context.Context, where string, args ...any) ([]tenancy.Entry, error) {
	var rows []struct {
		ID   tenancy.ID
		Slug string
		Host string
	}
	err := d.central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw(`SELECT t.id, t.slug, h.host FROM tenants t, LATERAL (SELECT t.slug || '.localhost' AS host
			UNION ALL SELECT host FROM domains WHERE tenant_id = t.id AND serving) h WHERE `+where, args...).Scan(ctx, &rows)
	})
	entries := make([]tenancy.Entry, len(rows))
	for i, r := range rows {
		entries[i] = tenancy.Entry{Host: r.Host, Tenant: tenancy.Tenant{ID: r.ID, Slug: r.Slug, Status: tenancy.Active}}
	}
	return entries, err
}

func (d directory) Load(ctx context.Context) (tenancy.Snapshot, error) {
	e, err := d.rows(ctx, "true")
	return tenancy.Snapshot{Entries: e}, err
}

func (d directory) Tenant(ctx context.Context, id tenancy.ID) ([]tenancy.Entry, error) {
	return d.rows(ctx, "t.id = ?", id)
}

func (d directory) Changes(context.Context, string) ([]tenancy.ID, string, error) {
	return nil, "", nil
}

// node is one process of the platform.
type node struct {
	rig      *rig
	resolver *tenancy.Resolver
	storage  *Storage
	auth     *Authority
	certs    *Certificates
	worker   *Worker
	front    *Front
	addr     string
}

type nodeOptions struct {
	plain    net.Listener // nil: none
	tls      net.Listener // nil: one at any port
	platform *Platform
	pace     Pace
	quota    Quota
	running  bool // the worker runs by itself
	dsn      string
}

func (r *rig) node(o nodeOptions) *node {
	t := r.t
	t.Helper()
	n := &node{rig: r}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(func() { cancel(); all.Wait() })
	dsn := or(o.dsn, r.world.DSN)
	n.resolver = tenancy.NewResolver(tenancy.ResolverConfig{Directory: directory{r.world.Central}, PlatformHosts: []string{"console.ezscale.localhost"},
		Listen: func(ctx context.Context) (*pgx.Conn, error) {
			return tenancy.OpenSession(ctx, tenancy.Config{DSN: r.world.DSN}, tenancy.CentralLogin)
		}})
	must(t, n.resolver.Refresh(ctx))
	all.Go(func() { _ = n.resolver.Run(ctx) })
	var err error
	n.storage, err = OpenStorage(ctx, StorageConfig{DSN: dsn, Sealer: r.ring, Timeout: 3 * time.Second})
	must(t, err)
	t.Cleanup(n.storage.Close)
	log := slog.New(slog.DiscardHandler)
	if os.Getenv("EZSCALE_TEST_LOG") != "" {
		log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	n.auth = r.authority(n.storage, log)
	n.certs = NewCertificates(CertificatesConfig{Authority: n.auth, Assets: n.storage, Hosts: n.resolver, Platform: o.platform, Log: log,
		Hurry: func(ctx context.Context, host string) error { return n.worker.Hurry(ctx, host) }})
	t.Cleanup(n.certs.Close)
	n.resolver.Subscribe(n.certs.Evict)
	if o.quota.PerWindow == 0 {
		o.quota = DefaultQuota
	}
	n.worker = NewWorker(WorkerConfig{Central: r.world.Central, Authority: n.auth, Preflight: r.pf, Platform: o.platform, Serving: n.certs,
		Budget: &Budget{Central: r.world.Central, Account: n.auth.Key(), Quota: o.quota}, Pace: o.pace, Log: log})
	if o.running {
		all.Go(func() { _ = n.worker.Run(ctx) })
	}
	n.listen(o.plain, o.tls)
	return n
}

func (r *rig) authority(assets Assets, log *slog.Logger) *Authority {
	r.t.Helper()
	cfg := AuthorityConfig{Directory: r.lab.Directory(), Roots: r.lab.Roots(), Email: "ops@example.com",
		Profile: acmelab.Profile, Identity: []string{acmelab.Identity}, Assets: assets, Log: log}
	if r.tune != nil {
		r.tune(&cfg)
	}
	a, err := NewAuthority(cfg)
	must(r.t, err)
	return a
}

func (n *node) listen(plain, ln net.Listener) {
	t := n.rig.t
	t.Helper()
	self := &SelfTest{Secret: []byte("probe"), Resolvers: n.rig.pf.Resolvers, Only: n.rig.pf.Edge.Addresses}
	var err error
	n.front, err = NewFront(FrontConfig{App: testApp, Hosts: n.resolver, Certificates: n.certs, Authority: n.auth, Self: self,
		Tickets: &Tickets{Central: n.rig.world.Central, Sealer: n.rig.ring}})
	must(t, err)
	must(t, n.front.cfg.Tickets.apply(context.Background(), n.front.tls))
	if ln == nil {
		ln, err = net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
	}
	n.addr = ln.Addr().String()
	go func() { _ = n.front.ServeHTTPS(ln) }()
	if plain != nil {
		go func() { _ = n.front.ServeHTTP(plain) }()
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		_ = n.front.Shutdown(ctx) // visitors who stay do not hold the test up
		_ = ln.Close()
	})
}

// testApp says who was asked for what.
func testApp(ctx *fasthttp.RequestCtx) {
	switch string(ctx.Path()) {
	case "/stream":
		ctx.SetContentType("text/event-stream")
		ctx.SetBodyStreamWriter(streamWriter)
	default:
		fmt.Fprintf(ctx, "%s %s %s tls=%t body=%s cookie=%s", ctx.Host(), ctx.Method(), ctx.Path(), ctx.IsTLS(), ctx.PostBody(), ctx.Request.Header.Peek("Cookie"))
	}
}

// visitor makes a client that reaches this node under any name, with the lab's root.
func (n *node) visitor(h2 bool) *http.Client {
	tr := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: n.rig.lab.SiteRoots(), ClientSessionCache: tls.NewLRUClientSessionCache(16), MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: h2,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, n.addr)
		},
	}
	n.rig.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 15 * time.Second}
}

func (n *node) get(c *http.Client, host string) (int, string, error) {
	resp, err := c.Get("https://" + host + "/")
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// dial makes one handshake.
func (n *node) dial(sni string, roots *x509.CertPool) (*tls.Conn, error) {
	return tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", n.addr, &tls.Config{ServerName: sni, RootCAs: roots, MinVersion: tls.VersionTLS12})
}

// work steps the worker until nothing is due.
func (n *node) work() {
	n.rig.t.Helper()
	for range 20 {
		started, err := n.worker.Step(context.Background())
		must(n.rig.t, err)
		n.worker.Idle()
		if started == 0 {
			return
		}
	}
	n.rig.t.Fatal("there is always something due")
}

// add adds a name and sets its TXT record.
func (r *rig) add(tenant tenancy.Tenant, host string) Domain {
	r.t.Helper()
	d, err := r.desk.Add(context.Background(), tenant.ID, host, staffBy)
	must(r.t, err)
	return d
}

func (r *rig) prove(d Domain) {
	r.t.Helper()
	must(r.t, r.lab.Zone().Set(acmelab.Record{Name: d.TXTName(), Type: "TXT", Value: d.TXTValue()}))
}

func (r *rig) read(d Domain) Domain {
	r.t.Helper()
	var out []Domain
	must(r.t, r.world.Central.View(context.Background(), func(tx *tenancy.CentralTx) (err error) {
		out, err = selectDomains(context.Background(), tx, "WHERE id = ?", d.ID)
		return err
	}))
	if len(out) != 1 {
		r.t.Fatalf("%s has %d rows", d.Host, len(out))
	}
	return out[0]
}

// state reads the row and complains when it is not in the state.
func (r *rig) state(d Domain, want State) Domain {
	r.t.Helper()
	got := r.read(d)
	if got.State != want {
		r.t.Fatalf("%s is %s (%s: %s), want %s", got.Host, got.State, got.ErrorCode, got.Error, want)
	}
	return got
}

// eventually asks until fn is true; it is for what happens on another goroutine.
func eventually(t testing.TB, what string, within time.Duration, fn func() bool) {
	t.Helper()
	for deadline := time.Now().Add(within); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if fn() {
			return
		}
	}
	t.Fatalf("not within %s: %s", within, what)
}
