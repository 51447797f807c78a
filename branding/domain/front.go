package domain

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/valyala/fasthttp"

	"github.com/ezscale/ezscale/tenancy"
)

// FrontHosts is what the front asks about hosts: memory only. tenancy.Resolver answers.
type FrontHosts interface {
	Hosts
	Lookup(host string) (tenancy.Tenant, bool)
}

// FrontConfig makes a Front.
type FrontConfig struct {
	App          fasthttp.RequestHandler // every request for a known host
	Hosts        FrontHosts
	Certificates *Certificates
	Authority    *Authority
	Self         *SelfTest // answers probes; may be nil
	Tickets      *Tickets  // nil: this node keeps its own
	// HTTPSPort is the public port in redirects; 0: 443.
	HTTPSPort int
	// PlainApp serves the app over plain HTTP as well, for a demo or behind a proxy that
	// ends TLS; else plain HTTP redirects.
	PlainApp bool
	// PlainPaths are answered by the app over plain HTTP in any case and for any host: a
	// load balancer asks by address whether we are well.
	PlainPaths []string
	MaxBody    int // bytes; 0: 4 MiB
	Log        *slog.Logger
}

// Front is the listeners: HTTPS with HTTP/2, and plain HTTP for the authority's
// challenges and redirects. The app behind it is a fasthttp handler for both.
type Front struct {
	cfg    FrontConfig
	tls    *tls.Config
	secure *fasthttp.Server
	plain  *fasthttp.Server
	h2     *http.Server
	h2in   *handed

	strangers allowance // challenges looked up for hosts that are not known
}

const (
	readTimeout = 10 * time.Second // covers the handshake, which may wait for a certificate
	idleTimeout = 60 * time.Second
	h2Streams   = 250
	thrownAway  = 64 << 20 // of a body that is too large, so that who sends it hears so
	sendsNoMore = 300 * time.Millisecond
)

// NewFront prepares the listeners' servers.
func NewFront(cfg FrontConfig) (*Front, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxBody == 0 {
		cfg.MaxBody = 4 << 20
	}
	f := &Front{cfg: cfg, tls: cfg.Certificates.TLSConfig(), strangers: allowance{most: 20, now: cfg.Certificates.cfg.Clock}}
	f.secure = f.server(f.overTLS)
	f.plain = f.server(f.overPlain)
	f.h2in = newHanded()
	f.h2 = &http.Server{
		Handler: http.HandlerFunc(f.serveH2), ReadHeaderTimeout: readTimeout, IdleTimeout: idleTimeout, ConnState: f.h2in.state,
		ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug), Protocols: new(http.Protocols), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: h2Streams},
	}
	f.h2.Protocols.SetHTTP2(true)
	f.secure.NextProto("h2", f.h2in.serve)
	if cfg.Certificates.cfg.Authority.cfg.TLSALPN {
		// The handshake was the proof; nothing is said on such a connection.
		f.secure.NextProto(acmez.ACMETLS1Protocol, func(c net.Conn) error { return c.Close() })
	}
	return f, nil
}

func (f *Front) server(h fasthttp.RequestHandler) *fasthttp.Server {
	return &fasthttp.Server{
		Handler: oneHost(h), ReadTimeout: readTimeout, IdleTimeout: idleTimeout, MaxRequestBodySize: f.cfg.MaxBody,
		NoDefaultServerHeader: true, CloseOnShutdown: true, Logger: quiet{f.cfg.Log}, ErrorHandler: unreadable,
		ReadBufferSize:  16 << 10, // 4 kB of cookies and a long address must fit
		WriteBufferSize: 16 << 10, // most pages go out at once, in one record of TLS
	}
}

// unreadable answers what is no request, or none we read to its end. A connection that is
// closed while somebody still sends is cut, with the answer in it: what is too large is
// thrown away until its sender waits.
func unreadable(ctx *fasthttp.RequestCtx, err error) {
	var small *fasthttp.ErrSmallBuffer
	var late net.Error
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		throwAway(ctx.Conn())
		ctx.Error("That is more than we take at once.", fasthttp.StatusRequestEntityTooLarge)
	case errors.As(err, &small):
		ctx.Error("Too big request header", fasthttp.StatusRequestHeaderFieldsTooLarge)
	case errors.As(err, &late) && late.Timeout():
		ctx.Error("Request timeout", fasthttp.StatusRequestTimeout)
	default:
		ctx.Error("Error when parsing request", fasthttp.StatusBadRequest)
	}
}

// throwAway reads a connection until nothing comes any more, or for too long or too much.
func throwAway(c net.Conn) {
	buf, now := make([]byte, 64<<10), time.Now //nolint:forbidigo // of a connection, not of a business
	for end, left := now().Add(readTimeout), thrownAway; left > 0 && now().Before(end); {
		if c.SetReadDeadline(now().Add(sendsNoMore)) != nil {
			return
		}
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		left -= n
	}
}

// oneHost refuses requests that name more than one host: in two Host headers, or in the
// request line and the header. Whoever stands before us may have read another one.
func oneHost(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		h := &ctx.Request.Header
		if !bytes.EqualFold(ctx.URI().Host(), h.Host()) || manyHosts(h.RawHeaders()) {
			misdirected(ctx, fasthttp.StatusBadRequest)
			return
		}
		next(ctx)
	}
}

// manyHosts reports whether a request's header lines hold more than one Host.
func manyHosts(lines []byte) bool {
	found := 0
	for len(lines) > 0 {
		if len(lines) > 5 && lines[0]|0x20 == 'h' && bytes.EqualFold(lines[:5], []byte("host:")) {
			found++
		}
		end := bytes.IndexByte(lines, '\n')
		if end < 0 {
			break
		}
		lines = lines[end+1:]
	}
	return found > 1
}

// quiet keeps what strangers' connections make a server say out of the log's way.
type quiet struct{ log *slog.Logger }

// Printf logs at debug level.
func (q quiet) Printf(format string, args ...any) { q.log.Debug(fmt.Sprintf(format, args...)) }

// ServeHTTPS answers TLS connections from ln until Shutdown.
func (f *Front) ServeHTTPS(ln net.Listener) error {
	go func() { _ = f.h2.Serve(f.h2in) }() // until Shutdown
	return f.secure.Serve(tls.NewListener(gated{ln, f.cfg.Certificates}, f.tls))
}

// ServeHTTP answers plain connections from ln until Shutdown.
func (f *Front) ServeHTTP(ln net.Listener) error { return f.plain.Serve(ln) }

// Run keeps the shared ticket keys fresh until ctx ends.
func (f *Front) Run(ctx context.Context) error {
	if f.cfg.Tickets == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return f.cfg.Tickets.Keep(ctx, f.tls, func(err error) {
		f.cfg.Log.WarnContext(ctx, "session ticket keys cannot be renewed", "error", err)
	})
}

// Shutdown stops listening, lets requests in flight end, and closes idle connections.
func (f *Front) Shutdown(ctx context.Context) error {
	h2 := make(chan error, 1)
	go func() { h2 <- f.h2.Shutdown(ctx) }() // tells HTTP/2 clients to go away
	err := errors.Join(f.secure.ShutdownWithContext(ctx), f.plain.ShutdownWithContext(ctx))
	return errors.Join(err, <-h2)
}

// gated closes connections of networks that asked for too many unknown names.
type gated struct {
	net.Listener
	certificates *Certificates
}

// Accept waits for a connection that may go on to TLS.
func (g gated) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil || !g.certificates.unknown.blocked(c.RemoteAddr()) {
			return c, err
		}
		_ = c.Close()
	}
}

// overTLS checks the host of every request anew: the name may have been removed, or
// moved to another tenant, since the connection was opened.
func (f *Front) overTLS(ctx *fasthttp.RequestCtx) {
	host, err := tenancy.NormalizeHost(string(ctx.Host()))
	if err != nil {
		misdirected(ctx, fasthttp.StatusBadRequest)
		return
	}
	state := ctx.TLSConnectionState()
	if !f.cfg.Hosts.Known(host) || state == nil || !f.sameSite(sniHost(state.ServerName), host) {
		misdirected(ctx, fasthttp.StatusMisdirectedRequest)
		return
	}
	if f.probe(ctx, host) {
		return
	}
	f.cfg.App(ctx)
}

// sameSite reports whether a connection opened for sni may carry requests for host.
func (f *Front) sameSite(sni, host string) bool {
	if sni == host {
		return true
	}
	a, ok := f.cfg.Hosts.Lookup(sni)
	b, also := f.cfg.Hosts.Lookup(host)
	return ok && also && a.ID == b.ID
}

func misdirected(ctx *fasthttp.RequestCtx, status int) {
	ctx.Response.Header.SetContentType("text/plain; charset=utf-8")
	ctx.SetStatusCode(status)
	ctx.SetConnectionClose()
	ctx.SetBodyString("This connection is not for this site.\n")
}

// overPlain answers the authority and our own probes, and sends visitors to HTTPS.
func (f *Front) overPlain(ctx *fasthttp.RequestCtx) {
	host, err := tenancy.NormalizeHost(string(ctx.Host()))
	known := err == nil && f.cfg.Hosts.Known(host)
	path := string(ctx.Path())
	switch {
	case err == nil && strings.HasPrefix(path, ChallengePath) && (known || f.strangers.take()):
		// A name that was verified a moment ago may not have reached this node's directory yet.
		f.challenge(ctx, host, path)
	case err == nil && f.probe(ctx, host): // tells nothing to who does not share the secret
	case f.cfg.PlainApp || slices.Contains(f.cfg.PlainPaths, path):
		f.cfg.App(ctx)
	case !known:
		misdirected(ctx, fasthttp.StatusMisdirectedRequest)
	default:
		target := "https://" + host
		if f.cfg.HTTPSPort != 0 && f.cfg.HTTPSPort != 443 {
			target += ":" + strconv.Itoa(f.cfg.HTTPSPort)
		}
		ctx.Response.Header.Set("Location", target+string(ctx.RequestURI()))
		ctx.SetStatusCode(fasthttp.StatusPermanentRedirect)
	}
}

func (f *Front) challenge(ctx *fasthttp.RequestCtx, host, path string) {
	lookup, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	proof, ok := f.cfg.Authority.HTTPProof(lookup, host, path)
	if !ok {
		ctx.SetStatusCode(fasthttp.StatusNotFound)
		return
	}
	ctx.SetContentType("application/octet-stream")
	ctx.SetBodyString(proof)
}

// probe answers a self test.
func (f *Front) probe(ctx *fasthttp.RequestCtx, host string) bool {
	path := string(ctx.Path())
	if f.cfg.Self == nil || !strings.HasPrefix(path, ProbePath) {
		return false
	}
	nonce := strings.TrimPrefix(path, ProbePath)
	if len(nonce) == 0 || len(nonce) > 64 {
		return false
	}
	ctx.SetContentType("text/plain; charset=utf-8")
	ctx.SetBodyString(f.cfg.Self.Answer(host, nonce))
	return true
}
