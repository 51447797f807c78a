// Package egress calls addresses that people typed in: webhooks of resellers and
// customers, platforms that staff connect. It owns the rule of where such a call may go:
// to public addresses, checked on the address really dialled, after the name was
// resolved. It follows no redirects and uses no proxy of the environment.
package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// ErrForbidden says that an address lies where calls must not go.
var ErrForbidden = errors.New("egress: the address is not a public one")

// Options say how a client calls.
type Options struct {
	// Allow names networks that may be called although they are not public: an operator's
	// own platforms, the demo's simulators. Plain HTTP is spoken to these only.
	Allow []netip.Prefix
	// Timeout of a whole call, with the body; 0: 20 s.
	Timeout time.Duration
}

// Client makes an HTTP client that keeps to the rule. It may be used by many at once.
func Client(o Options) *http.Client {
	if o.Timeout <= 0 {
		o.Timeout = 20 * time.Second
	}
	d := &net.Dialer{Timeout: min(10*time.Second, o.Timeout), ControlContext: func(ctx context.Context, _, address string, _ syscall.RawConn) error {
		return o.admit(address, ctx.Value(plain{}) != nil)
	}}
	t := &http.Transport{
		DialContext: d.DialContext, TLSHandshakeTimeout: 10 * time.Second, ResponseHeaderTimeout: o.Timeout,
		MaxIdleConns: 64, MaxIdleConnsPerHost: 4, IdleConnTimeout: 60 * time.Second, ForceAttemptHTTP2: true,
	}
	return &http.Client{
		Timeout: o.Timeout, Transport: guarded{t, o},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// guarded refuses plain HTTP to strangers before anything is sent.
type guarded struct {
	next http.RoundTripper
	o    Options
}

// RoundTrip makes one call.
func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "http" && len(g.o.Allow) == 0 {
		return nil, fmt.Errorf("%w: only https is called", ErrForbidden)
	}
	if r.URL.Scheme == "http" {
		r = r.WithContext(context.WithValue(r.Context(), plain{}, true))
	}
	return g.next.RoundTrip(r)
}

type plain struct{}

func (o Options) admit(address string, inClear bool) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return err
	}
	ip = ip.Unmap().WithZone("")
	for _, p := range o.Allow {
		if p.Contains(ip) {
			return nil
		}
	}
	if !Public(ip) {
		return fmt.Errorf("%w: %s", ErrForbidden, ip)
	}
	if inClear {
		return fmt.Errorf("%w: only https is called", ErrForbidden)
	}
	return nil
}

// reserved are networks that the standard library does not call private and that are
// nobody's on the Internet, by the IANA registries of special-purpose addresses.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"),
}

// Public reports whether an address is one that the Internet routes to somebody.
func Public(ip netip.Addr) bool {
	ip = ip.Unmap()
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
		return false
	}
	for _, p := range reserved {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

// Address checks what a person typed: an https URL with a host, without a user, at most
// 2,000 bytes. With allowPlain, http too. It says in their words what is wrong.
func Address(s string, allowPlain bool) (*url.URL, error) {
	if len(s) > 2000 {
		return nil, errors.New("The address is too long.") //nolint:staticcheck // shown to people
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return nil, errors.New("Write a whole address, like https://example.com/hooks.") //nolint:staticcheck // shown to people
	case u.Scheme != "https" && (!allowPlain || u.Scheme != "http"):
		return nil, errors.New("The address must begin with https://.") //nolint:staticcheck // shown to people
	case u.User != nil:
		return nil, errors.New("Leave out the user name and password.") //nolint:staticcheck // shown to people
	case u.Fragment != "":
		return nil, errors.New("Leave out the part after #.") //nolint:staticcheck // shown to people
	}
	return u, nil
}
