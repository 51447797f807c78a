package domain

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
)

// contexts are reused between HTTP/2 requests.
var contexts = sync.Pool{New: func() any { return new(fasthttp.RequestCtx) }} //nolint:gochecknoglobals // a pool

// serveH2 gives a request that came by HTTP/2 to the app, which speaks fasthttp. A body
// that the app streams is passed on piece by piece as it is written.
func (f *Front) serveH2(w http.ResponseWriter, r *http.Request) {
	body, err := f.body(w, r)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	ctx := contexts.Get().(*fasthttp.RequestCtx)
	ctx.Init2(&h2conn{remote: remoteAddr(r.RemoteAddr), state: *r.TLS}, quiet{f.cfg.Log}, false)
	translate(&ctx.Request, r, body)
	f.overTLS(ctx)
	streamed := answer2(w, &ctx.Response)
	if streamed {
		return // its writer may still hold the context
	}
	ctx.Request.Reset()
	ctx.Response.Reset()
	ctx.ResetUserValues()
	contexts.Put(ctx)
}

// body reads a request's body. Of one that is larger than MaxBody it is a byte more than
// that, by which the app knows; the rest is thrown away, for browsers show an answer only
// to what they could send.
func (f *Front) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, int64(f.cfg.MaxBody)+1))
	if err == nil && len(body) > f.cfg.MaxBody {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(readTimeout)) //nolint:forbidigo // of a connection, not of a business
		_, _ = io.CopyN(io.Discard, r.Body, thrownAway)
	}
	return body, err
}

func translate(to *fasthttp.Request, r *http.Request, body []byte) {
	to.Header.SetMethod(r.Method)
	to.Header.SetProtocol("HTTP/2.0")
	to.SetRequestURI(r.URL.RequestURI())
	for name, values := range r.Header {
		for _, v := range values {
			if strings.EqualFold(name, "Cookie") {
				to.Header.Set(name, strings.Join(values, "; ")) // HTTP/2 may send it in pieces
				break
			}
			to.Header.Add(name, v)
		}
	}
	to.Header.SetHost(r.Host)
	if len(body) > 0 {
		to.SetBody(body)
	}
	to.Header.SetContentLength(len(body))
}

// answer2 writes the response; it reports whether its body was streamed.
func answer2(w http.ResponseWriter, from *fasthttp.Response) bool {
	head := w.Header()
	from.Header.VisitAll(func(k, v []byte) {
		switch name := string(k); name {
		case "Connection", "Transfer-Encoding", "Keep-Alive", "Upgrade": // HTTP/1.1's own
		default:
			head.Add(name, string(v))
		}
	})
	if from.ConnectionClose() && from.StatusCode() != http.StatusMisdirectedRequest {
		head.Set("Connection", "close") // not sent: it has the server say goodbye on this connection
	}
	if from.IsBodyStream() {
		head.Del("Content-Length")
		w.WriteHeader(from.StatusCode())
		copyStream(w, from.BodyStream())
		_ = from.CloseBodyStream()
		return true
	}
	w.WriteHeader(from.StatusCode())
	_, _ = w.Write(from.Body())
	return false
}

func copyStream(w http.ResponseWriter, body io.Reader) {
	flush := http.NewResponseController(w)
	_ = flush.Flush()
	buf := make([]byte, 8<<10)
	for {
		n, err := body.Read(buf)
		if n > 0 {
			if _, werr := w.Write(buf[:n]); werr != nil || flush.Flush() != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// h2conn stands for the connection of a request: fasthttp asks it for addresses and TLS.
type h2conn struct {
	net.Conn
	remote net.Addr
	state  tls.ConnectionState
}

// Handshake is done already.
func (c *h2conn) Handshake() error { return nil }

// ConnectionState is that of the HTTP/2 connection.
func (c *h2conn) ConnectionState() tls.ConnectionState { return c.state }

// RemoteAddr is the visitor's.
func (c *h2conn) RemoteAddr() net.Addr { return c.remote }

// LocalAddr is unknown.
func (c *h2conn) LocalAddr() net.Addr { return &net.TCPAddr{} }

func remoteAddr(s string) net.Addr {
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return &net.TCPAddr{}
	}
	return net.TCPAddrFromAddrPort(ap)
}
