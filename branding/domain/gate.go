package domain

import (
	"crypto/tls"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/mholt/acmez/v3"
)

// TLSConfig is how the front speaks TLS. The gate stands in GetConfigForClient: an
// unknown name is refused before any key exchange, and a resumed session as well.
func (c *Certificates) TLSConfig() *tls.Config {
	protocols := []string{"h2", "http/1.1"}
	if c.cfg.Authority.cfg.TLSALPN {
		protocols = append(protocols, acmez.ACMETLS1Protocol)
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: protocols,
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			if c.cfg.Hosts.Known(sniHost(h.ServerName)) {
				return nil, nil // nil, not a new one: session tickets keep working
			}
			if c.cfg.Authority.cfg.TLSALPN && isProof(h) && c.strangers.take() {
				return nil, nil // a name verified a moment ago; whether a proof is open decides tlsProof
			}
			c.denied.Add(1)
			c.unknown.count(h.Conn.RemoteAddr())
			return nil, errUnknownHost
		},
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			host := sniHost(h.ServerName)
			if c.cfg.Authority.cfg.TLSALPN && isProof(h) {
				return c.cfg.Authority.tlsProof(h.Context(), host)
			}
			return c.get(h, host)
		},
	}
}

// sniHost is an SNI in the form the directory knows. SNI is ASCII without a port.
func sniHost(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			s = strings.ToLower(s)
			break
		}
	}
	return strings.TrimSuffix(s, ".")
}

// limiter counts refused names by network and closes connections of those that go on
// asking, before TLS begins.
type limiter struct {
	most   int
	window time.Duration
	now    func() time.Time

	mu    sync.Mutex
	seen  map[netip.Prefix]int
	begun time.Time
}

func newLimiter(most int, window time.Duration, now func() time.Time) *limiter {
	return &limiter{most: most, window: window, now: now, seen: map[netip.Prefix]int{}, begun: now()}
}

// network is what counts as one visitor: an IPv4 address, or an IPv6 /64.
func network(a net.Addr) (netip.Prefix, bool) {
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{}, false
	}
	ip, bits := ap.Addr().Unmap(), 32
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	return p, err == nil
}

func (l *limiter) turn() {
	if now := l.now(); now.Sub(l.begun) > l.window {
		l.begun = now
		clear(l.seen)
	}
}

func (l *limiter) blocked(a net.Addr) bool {
	if l.most == 0 {
		return false
	}
	p, ok := network(a)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn()
	return ok && l.seen[p] >= l.most
}

func (l *limiter) count(a net.Addr) {
	p, ok := network(a)
	if l.most == 0 || !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn()
	if len(l.seen) < 100_000 {
		l.seen[p]++
	}
}

// allowance is so many in a second, for all together.
type allowance struct {
	most int
	now  func() time.Time

	mu     sync.Mutex
	second int64
	taken  int
}

func (a *allowance) take() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.now().Unix(); s != a.second {
		a.second, a.taken = s, 0
	}
	a.taken++
	return a.taken <= a.most
}
