package domain

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// ProbePath is where our front answers a nonce with something only we can know.
const ProbePath = "/.well-known/ezscale-probe/"

// SelfTest asks our own sites from outside. All nodes share Secret.
type SelfTest struct {
	Secret    []byte
	Resolvers Resolvers
	Only      []netip.Addr   // the addresses we may connect to: ours. Empty: any public one
	HTTPPort  int            // 0: 80
	HTTPSPort int            // 0: 443
	Roots     *x509.CertPool // nil: the system's
}

// errNotOurs is what another server's answer comes to.
var errNotOurs = errors.New("The answer was not ours.") //nolint:revive,staticcheck // shown to people as it stands

// Answer is what our front says to a nonce asked on host.
func (s *SelfTest) Answer(host, nonce string) string {
	m := hmac.New(sha256.New, s.Secret)
	m.Write([]byte(host + "\n" + nonce))
	return hex.EncodeToString(m.Sum(nil))
}

// OverHTTP reports whether plain HTTP to host arrives at one of our nodes.
func (s *SelfTest) OverHTTP(ctx context.Context, host string) error {
	return s.ask(ctx, "http", host, s.HTTPPort)
}

// OverHTTPS reports whether HTTPS to host arrives here and its certificate holds.
func (s *SelfTest) OverHTTPS(ctx context.Context, host string) error {
	return s.ask(ctx, "https", host, s.HTTPSPort)
}

// Listens reports whether anything of ours takes connections for host where HTTPS is. It
// is all that can be asked before there is a certificate.
func (s *SelfTest) Listens(ctx context.Context, host string) error {
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	port := s.HTTPSPort
	if port == 0 {
		port = 443
	}
	c, err := s.dial(ctx, net.JoinHostPort(host, strconv.Itoa(port)))
	if errors.Is(err, errNotOurs) {
		return err
	}
	if err != nil {
		return explainProbe(err)
	}
	return c.Close()
}

func (s *SelfTest) ask(ctx context.Context, scheme, host string, port int) error {
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	nonce := rand.Text()
	client := &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.Roots},
			DialContext:       func(ctx context.Context, network, addr string) (net.Conn, error) { return s.dial(ctx, addr) },
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	target := host
	if port != 0 {
		target = net.JoinHostPort(host, fmt.Sprint(port))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+target+ProbePath+nonce, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return explainProbe(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(io.LimitReader(resp.Body, 256))
	if err != nil || !hmac.Equal([]byte(strings.TrimSpace(string(body))), []byte(s.Answer(host, nonce))) {
		return errNotOurs
	}
	return nil
}

// dial resolves by our own resolvers, whose answer preflight has just judged.
func (s *SelfTest) dial(ctx context.Context, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	var lastErr error = &lookupError{"dns.missing", "The name has no address."}
	for _, qtype := range []uint16{dns.TypeA, dns.TypeAAAA} {
		_, found, err := agreed(s.Resolvers.ask(ctx, host, qtype))
		if err != nil {
			lastErr = err
		}
		for _, ip := range found {
			if !s.mayDial(ip) {
				lastErr = errNotOurs
				continue
			}
			c, err := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(ip, port))
			if err == nil {
				return c, nil
			}
			lastErr = err
		}
	}
	return nil, lastErr
}

// mayDial keeps a zone from sending us to an address inside our own network.
func (s *SelfTest) mayDial(ip string) bool {
	a, err := netip.ParseAddr(ip)
	if err != nil {
		return false
	}
	if a = a.Unmap(); len(s.Only) > 0 {
		return slices.Contains(s.Only, a)
	}
	return a.IsGlobalUnicast() && !a.IsPrivate()
}

func explainProbe(err error) error {
	var l *lookupError
	var cert *tls.CertificateVerificationError
	var n net.Error
	switch {
	case errors.As(err, &l):
		return l
	case errors.As(err, &cert):
		return errors.New("The certificate there is not valid for the name.") //nolint:revive,staticcheck // shown to people
	case errors.As(err, &n) && n.Timeout():
		return errors.New("The connection timed out.") //nolint:revive,staticcheck // shown to people
	}
	return errors.New("The connection failed.") //nolint:revive,staticcheck // shown to people
}
