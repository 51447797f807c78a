package domain

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"
	"go.uber.org/zap"

	"github.com/ezscale/ezscale/tenancy"
)

// Hosts is what the gate asks: memory only. tenancy.Resolver answers.
type Hosts interface {
	Known(host string) bool
}

// CertificatesConfig makes a Certificates.
type CertificatesConfig struct {
	Authority *Authority
	Assets    Assets
	Hosts     Hosts
	Platform  *Platform // may be nil
	// Hurry moves a name without a certificate to the head of the queue; nil: nobody does.
	Hurry    func(ctx context.Context, host string) error
	Capacity int           // certificates kept in memory; 0: 50,000
	Waiting  int           // handshakes that wait for a certificate at once; 0: 64
	Wait     time.Duration // how long each may; 0: 5 s
	// UnknownPerNetwork is how many unknown names one address may ask for in ten seconds
	// before its connections are closed; 0: any number.
	UnknownPerNetwork int
	Log               *slog.Logger
	Clock             tenancy.Clock // nil: the wall clock
}

// Certificates serves certificates from memory, loads them from storage at the first
// handshake for a name, and never orders one.
type Certificates struct {
	cfg     CertificatesConfig
	cache   *certmagic.Cache
	serve   *certmagic.Config // as handshakes see it: memory only
	waiting chan struct{}
	unknown *limiter

	strangers allowance // proofs looked up for hosts that are not known
	denied    atomic.Int64
	loads     atomic.Int64

	mu      sync.Mutex
	loading map[string]*load
	loaded  map[string]string    // name on the certificate → serial
	missed  map[string]time.Time // names found missing a moment ago
	hurried map[string]time.Time
	arrived map[string]chan struct{} // closed when the name's certificate comes
}

type load struct {
	done chan struct{}
	err  error
}

var (
	errUnknownHost = errors.New("domain: unknown host")
	errNoneYet     = errors.New("domain: no certificate yet")
)

// loadOnly lets certmagic read what the authority stored. It orders nothing.
type loadOnly struct{ key string }

// IssuerKey names the authority.
func (l loadOnly) IssuerKey() string { return l.key }

// Issue always fails: handshakes order nothing.
func (l loadOnly) Issue(context.Context, *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	return nil, certmagic.ErrNoRetry{Err: errNoneYet}
}

const (
	missFor  = time.Second     // how long a missing certificate is not looked for again
	hurryFor = 5 * time.Second // how often one name is hurried
)

// NewCertificates makes the cache. Close stops it.
func NewCertificates(cfg CertificatesConfig) *Certificates {
	if cfg.Capacity == 0 {
		cfg.Capacity = 50_000
	}
	if cfg.Waiting == 0 {
		cfg.Waiting = 64
	}
	if cfg.Wait == 0 {
		cfg.Wait = 5 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = func() time.Time { return time.Now() } //nolint:forbidigo // what handshakes measure is real time
	}
	c := &Certificates{
		cfg: cfg, waiting: make(chan struct{}, cfg.Waiting),
		unknown: newLimiter(cfg.UnknownPerNetwork, 10*time.Second, cfg.Clock), strangers: allowance{most: 20, now: cfg.Clock},
		loading: map[string]*load{}, loaded: map[string]string{}, missed: map[string]time.Time{},
		hurried: map[string]time.Time{}, arrived: map[string]chan struct{}{},
	}
	base := certmagic.Config{
		Storage: cfg.Assets, DisableARI: true, RenewalWindowRatio: 0.0001, Logger: zap.NewNop(),
		OCSP: certmagic.OCSPConfig{DisableStapling: true}, Issuers: []certmagic.Issuer{loadOnly{cfg.Authority.Key()}},
	}
	// The timer of the cache leaves configurations with OnDemand alone: what is renewed
	// is in our table, not in its memory. Handshakes see one without it, which never
	// touches the storage or an issuer.
	timer := base
	timer.OnDemand = &certmagic.OnDemandConfig{DecisionFunc: func(context.Context, string) error { return errNoneYet }}
	var idle *certmagic.Config
	c.cache = certmagic.NewCache(certmagic.CacheOptions{
		Capacity: cfg.Capacity, Logger: zap.NewNop(),
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return idle, nil },
	})
	idle = certmagic.New(c.cache, timer)
	c.serve = certmagic.New(c.cache, base)
	return c
}

// Close stops the cache.
func (c *Certificates) Close() { c.cache.Stop() }

// certName is the name on the certificate for host.
func (c *Certificates) certName(host string) string {
	if name, ours := c.cfg.Platform.CertName(host); ours {
		return name
	}
	return host
}

// get answers a handshake for a known host.
func (c *Certificates) get(h *tls.ClientHelloInfo, host string) (*tls.Certificate, error) {
	name := c.certName(host)
	if c.inMemory(name) {
		if cert, err := c.serve.GetCertificate(h); err == nil {
			return cert, nil
		}
	}
	ctx := h.Context()
	err := c.load(ctx, name, false)
	if errors.Is(err, fs.ErrNotExist) {
		err = c.await(ctx, host, name)
	}
	if err != nil {
		return nil, err
	}
	return c.serve.GetCertificate(h)
}

func (c *Certificates) inMemory(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.loaded[name]
	return ok
}

// load reads a certificate into memory; handshakes for one name share one read. A
// miss is remembered for a moment, so that visitors of a name without a certificate
// do not become a load on the storage.
func (c *Certificates) load(ctx context.Context, name string, again bool) error {
	c.mu.Lock()
	if at, ok := c.missed[name]; ok && !again {
		if c.cfg.Clock().Sub(at) < missFor {
			c.mu.Unlock()
			return fs.ErrNotExist
		}
		delete(c.missed, name)
	}
	if l, ok := c.loading[name]; ok {
		c.mu.Unlock()
		select {
		case <-l.done:
			return l.err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	l := &load{done: make(chan struct{})}
	c.loading[name] = l
	c.mu.Unlock()

	l.err = c.read(context.WithoutCancel(ctx), name) // others wait for it too
	c.mu.Lock()
	delete(c.loading, name)
	if errors.Is(l.err, fs.ErrNotExist) {
		if len(c.missed) > 10_000 {
			clear(c.missed)
		}
		c.missed[name] = c.cfg.Clock()
	}
	c.mu.Unlock()
	close(l.done)
	return l.err
}

// read puts the stored certificate into the cache and takes older ones out.
func (c *Certificates) read(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	c.loads.Add(1)
	cert, err := c.serve.CacheManagedCertificate(ctx, name)
	if err != nil {
		return err
	}
	var older []string
	for _, other := range c.cache.AllMatchingCertificates(name) {
		if other.Hash() != cert.Hash() && len(other.Names) == 1 && other.Names[0] == name {
			older = append(older, other.Hash())
		}
	}
	c.cache.Remove(older)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loaded[name] = cert.Leaf.SerialNumber.Text(16)
	delete(c.missed, name)
	if ch, ok := c.arrived[name]; ok {
		close(ch)
		delete(c.arrived, name)
	}
	return nil
}

// await lets a bounded number of handshakes wait for a certificate that is being
// ordered, and asks that it be ordered first.
func (c *Certificates) await(ctx context.Context, host, name string) error {
	select {
	case c.waiting <- struct{}{}:
		defer func() { <-c.waiting }()
	default:
		return errNoneYet
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Wait)
	defer cancel()
	c.mu.Lock()
	ch, ok := c.arrived[name]
	if !ok {
		ch = make(chan struct{})
		c.arrived[name] = ch
	}
	hurry := c.cfg.Hurry != nil && c.cfg.Clock().Sub(c.hurried[name]) > hurryFor
	if hurry {
		if len(c.hurried) > 10_000 {
			clear(c.hurried)
		}
		c.hurried[name] = c.cfg.Clock()
	}
	c.mu.Unlock()
	if hurry {
		if err := c.cfg.Hurry(ctx, host); err != nil {
			c.cfg.Log.WarnContext(ctx, "a waiting name could not be hurried", "host", host, "error", err)
		}
	}
	poll := time.NewTicker(300 * time.Millisecond) // another node may be the one that gets it
	defer poll.Stop()
	for {
		select {
		case <-ch:
			return nil
		case <-ctx.Done():
			return errNoneYet
		case <-poll.C:
			if err := c.load(ctx, name, true); err == nil {
				return nil
			}
		}
	}
}

// Reload reads the certificate of a name that has a new one, if it is in use here.
func (c *Certificates) Reload(ctx context.Context, name string) {
	if err := c.load(ctx, name, true); err != nil {
		c.cfg.Log.WarnContext(ctx, "a new certificate could not be loaded", "name", name, "error", err)
	}
}

// Evict forgets every certificate whose name is no longer known. It is for
// tenancy.Resolver.Subscribe, and does not wait.
func (c *Certificates) Evict(tenancy.Tenant) {
	c.mu.Lock()
	var gone []certmagic.SubjectIssuer
	for name := range c.loaded {
		if !c.needed(name) {
			gone = append(gone, certmagic.SubjectIssuer{Subject: name})
			delete(c.loaded, name)
		}
	}
	c.mu.Unlock()
	if len(gone) > 0 {
		c.cache.RemoveManaged(gone)
	}
}

func (c *Certificates) needed(name string) bool {
	if c.cfg.Platform != nil && name == "*."+c.cfg.Platform.Zone {
		return true
	}
	return c.cfg.Hosts.Known(name)
}

// Loaded is the names in memory with the serials of their certificates.
func (c *Certificates) Loaded() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]string, len(c.loaded))
	for n, s := range c.loaded {
		out[n] = s
	}
	return out
}

// CertificateCounts are figures for metrics.
type CertificateCounts struct {
	InMemory int
	Loads    int64
	Denied   int64
	Waiting  int
}

// Counts reads the figures.
func (c *Certificates) Counts() CertificateCounts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return CertificateCounts{InMemory: len(c.loaded), Loads: c.loads.Load(), Denied: c.denied.Load(), Waiting: len(c.waiting)}
}
