// Package surfacetest asks a front as people and as their enemies do, without a
// network: one client with cookies, and junk for every route. It is for tests alone
// and knows no page of ours.
package surfacetest

import (
	"bufio"
	"bytes"
	"html"
	"net"
	"net/http"
	"net/url"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/ezscale/ezscale/branding/surface"
)

// Client is somebody at a host. Its cookies are what the test gives it; answers do
// not change them.
type Client struct {
	Front   *surface.Front
	Host    string
	Cookies map[string]string
	CSRF    string // sent with every form
}

// Answer is what came back. Page is the body with its entities resolved.
type Answer struct {
	Status int
	Where  string
	Page   string
	Head   http.Header
}

// Send asks for path, which goes out as it is given. A form is sent with every
// method that has a body.
func (c *Client) Send(t testing.TB, method, path string, form url.Values) Answer {
	t.Helper()
	return c.send(t, method, path, form.Encode())
}

// send is Send with a form that is written out already.
func (c *Client) send(t testing.TB, method, path, form string) Answer {
	t.Helper()
	var req fasthttp.Request
	req.Header.SetMethod(method)
	req.SetRequestURI(path)
	req.Header.SetHost(c.Host)
	if method != http.MethodGet && method != http.MethodHead {
		req.Header.SetContentType("application/x-www-form-urlencoded")
		req.SetBodyString(form)
		req.Header.Set("Origin", "http://"+c.Host)
		req.Header.Set("X-CSRF-Token", c.CSRF)
	}
	for k, v := range c.Cookies {
		req.Header.SetCookie(k, v)
	}
	var ctx fasthttp.RequestCtx
	ctx.Init(&req, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}, nil)
	c.Front.Handler()(&ctx)
	var out bytes.Buffer
	_, err := ctx.Response.WriteTo(&out)
	must(t, err)
	res, err := http.ReadResponse(bufio.NewReader(&out), &http.Request{Method: method})
	must(t, err)
	defer res.Body.Close() //nolint:errcheck // in memory
	var body bytes.Buffer
	_, err = body.ReadFrom(res.Body)
	must(t, err)
	return Answer{res.StatusCode, res.Header.Get("Location"), html.UnescapeString(body.String()), res.Header}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
