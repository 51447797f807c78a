package surface_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

// hosts is a directory of a few names.
type hosts map[string]tenancy.Tenant

func (h hosts) Lookup(host string) (tenancy.Tenant, bool) { t, ok := h[host]; return t, ok }

func mustID(t testing.TB, n int64) tenancy.ID {
	t.Helper()
	id, err := tenancy.NumberedID(n)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

var ground = surface.Config{
	Name:    "tenant",
	Areas:   []surface.Area{{Name: "shop", World: identity.Customer, SignIn: "/sign-in", Themed: true}, {Name: "manage", Prefix: "/manage", World: identity.Reseller, SignIn: "/manage/sign-in"}},
	Log:     slog.New(slog.DiscardHandler),
	Clock:   (&tenancytest.Clock{}).Now,
	FormKey: bytes.Repeat([]byte("k"), 32),
	Assets:  fstest.MapFS{"a.1234.css": {Data: []byte("body{}")}, "a.1234.css.gz": {Data: []byte("gz")}, "manifest.json": {Data: []byte("{}")}},
}

func routes() []surface.Route {
	echo := func(c *fiber.Ctx) error {
		name := "platform"
		if t, ok := surface.Tenant(c); ok {
			name = t.Slug
		}
		return c.SendString(strings.TrimSpace(fmt.Sprintf("%s %s %s %s", name, surface.Host(c), surface.ClientIP(c), surface.ClientCountry(c))))
	}
	return []surface.Route{
		{Method: "GET", Path: "/", Needs: identity.Public, Handler: echo},
		{Method: "POST", Path: "/", Needs: identity.Public, Handler: echo},
		{Method: "GET", Path: "/base", Needs: identity.Public, Handler: func(c *fiber.Ctx) error { return c.SendString(surface.BaseURL(c)) }},
		{Method: "GET", Path: "/token", Needs: identity.Public, Handler: func(c *fiber.Ctx) error { return c.SendString(surface.FormToken(c)) }},
		{Method: "GET", Path: "/panic", Needs: identity.Public, Handler: func(*fiber.Ctx) error { panic("secret inside") }},
		{Method: "GET", Path: "/broken", Needs: identity.Public, Handler: func(*fiber.Ctx) error { return fmt.Errorf("secret inside") }},
		{Method: "GET", Path: "/late", Needs: identity.Public, Handler: func(*fiber.Ctx) error { return context.DeadlineExceeded }},
		{Method: "GET", Path: "/gone", Needs: identity.Public, Handler: func(*fiber.Ctx) error { return fault.New(fault.Gone, "test.gone", "It is <gone>.") }},
		{Method: "GET", Path: "/client", Needs: identity.SignedIn, Handler: echo},
		{Method: "GET", Path: "/manage", Needs: identity.DashboardRead, Handler: echo},
	}
}

func mustSurface(t testing.TB, cfg surface.Config) *surface.Surface {
	t.Helper()
	s, err := surface.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustPool(t testing.TB) *tenancy.Pool {
	t.Helper()
	p, err := tenancy.Open(t.Context(), tenancy.Config{DSN: "host=127.0.0.1 port=1 user=x dbname=x connect_timeout=1", Lanes: 1, ConnsPerLane: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func mustFront(t testing.TB) *surface.Front {
	t.Helper()
	cfg := ground
	cfg.Routes = routes()
	console := ground
	console.Name, console.Areas = "console", []surface.Area{{Name: "console", World: identity.Staff, SignIn: "/sign-in"}}
	console.Routes = []surface.Route{{Method: "GET", Path: "/", Needs: identity.Public, Handler: func(c *fiber.Ctx) error { return c.SendString("console") }}}
	of := func(n int64, slug string, s tenancy.Status) tenancy.Tenant {
		return tenancy.Tenant{ID: mustID(t, n), Slug: slug, Name: slug, Status: s, Theme: "base", Locale: "en", StatusNote: "call us"}
	}
	return &surface.Front{
		Hosts: hosts{
			"nimbus.test": of(1, "nimbus", tenancy.Active), "shop.nimbus.test": of(1, "nimbus", tenancy.Active),
			"xn--bcher-kva.test": of(2, "buecher", tenancy.Trial), "paused.test": of(3, "paused", tenancy.Suspended),
			"over.test": of(4, "over", tenancy.TrialEnded), "moving.test": of(5, "moving", tenancy.Maintenance),
			"closed.test": of(6, "closed", tenancy.Archived), "dropped.test": of(7, "dropped", tenancy.Dropped),
		},
		Pool: mustPool(t), Tenants: mustSurface(t, cfg), Console: mustSurface(t, console), ConsoleHost: "console.test",
		Proxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, CountryHeader: "CF-IPCountry", Log: ground.Log,
	}
}

// ask sends a request as text through the front, from an address.
func ask(t testing.TB, f *surface.Front, from, request string) *http.Response {
	t.Helper()
	var ctx fasthttp.RequestCtx
	var req fasthttp.Request
	if err := req.Read(bufio.NewReaderSize(strings.NewReader(request), 1<<16)); err != nil {
		t.Fatalf("the test's own request: %v", err)
	}
	ctx.Init(&req, &net.TCPAddr{IP: net.ParseIP(from), Port: 1}, nil)
	f.Handler()(&ctx)
	var out bytes.Buffer
	if _, err := ctx.Response.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(&out), nil)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func body(t testing.TB, res *http.Response) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestHostsAsTheyComeIn(t *testing.T) {
	f := mustFront(t)
	for _, c := range []struct {
		name, host string
		status     int
		body       string
	}{
		{"a tenant's host", "nimbus.test", 200, "nimbus nimbus.test"},
		{"another host of it", "shop.nimbus.test", 200, "nimbus shop.nimbus.test"},
		{"with a port", "nimbus.test:8443", 200, "nimbus nimbus.test"},
		{"upper case", "NIMBUS.Test", 200, "nimbus nimbus.test"},
		{"a trailing dot", "nimbus.test.", 200, "nimbus nimbus.test"},
		{"a trailing dot and a port", "nimbus.test.:80", 200, "nimbus nimbus.test"},
		{"an IDN", "bücher.test", 200, "buecher xn--bcher-kva.test"},
		{"an IDN in capitals", "BÜCHER.test", 200, "buecher"},
		{"punycode", "xn--bcher-kva.test", 200, "buecher"},
		{"the console", "console.test", 200, "console"},
		{"nobody's", "nobody.test", 404, "There is no site here"},
		{"a dropped tenant's", "dropped.test", 404, "There is no site here"},
		{"an IPv4 literal", "127.0.0.1", 400, ""},
		{"an IPv6 literal", "[::1]:80", 400, ""},
		{"4 kB of garbage", strings.Repeat("a.", 2048), 400, ""},
		{"a space inside", "nim bus.test", 400, ""},
		{"two hosts", "nimbus.test,evil.test", 400, ""},
		{"a path inside", "nimbus.test/x", 400, ""},
		{"user info", "x@nimbus.test", 400, ""},
		{"bytes that are no text", "\xff\xfe.test", 400, ""},
		{"no host", "", 400, ""},
		{"a port that is none", "nimbus.test:abc", 400, ""},
		{"a paused tenant", "paused.test", 503, "paused"},
		{"trial over", "over.test", 503, "paused"},
		{"maintenance", "moving.test", 503, "Back in a moment"},
		{"archived", "closed.test", 410, "closed"},
	} {
		res := ask(t, f, "192.0.2.7", "GET / HTTP/1.1\r\nHost: "+c.host+"\r\n\r\n")
		got := body(t, res)
		if res.StatusCode != c.status || !strings.Contains(got, c.body) {
			t.Errorf("%s: %d %q, want %d %q", c.name, res.StatusCode, got, c.status, c.body)
		}
		if res.StatusCode == 404 || res.StatusCode == 400 {
			for _, name := range []string{"nimbus", "buecher", "EZSCALE"} {
				if strings.Contains(got, name) {
					t.Errorf("%s: the page names %s", c.name, name)
				}
			}
		}
		if strings.Contains(got, "call us") {
			t.Errorf("%s: a visitor reads the note for the reseller", c.name)
		}
	}
}

func TestForwardedHeadersCountOnlyFromOurProxies(t *testing.T) {
	f := mustFront(t)
	for _, c := range []struct {
		name, from, headers, path, want string
	}{
		{"forged by a visitor", "192.0.2.7", "Host: nimbus.test\r\nX-Forwarded-Host: bücher.test\r\nX-Forwarded-For: 1.2.3.4\r\n", "/", "nimbus nimbus.test 192.0.2.7"},
		{"from our proxy", "10.1.1.1", "Host: internal\r\nX-Forwarded-Host: nimbus.test\r\nX-Forwarded-For: 9.9.9.9, 198.51.100.4, 10.2.2.2\r\n", "/", "nimbus nimbus.test 198.51.100.4"},
		{"garbage in the chain", "10.1.1.1", "Host: nimbus.test\r\nX-Forwarded-For: evil, 10.2.2.2\r\n", "/", "nimbus nimbus.test 10.2.2.2"},
		{"scheme from our proxy", "10.1.1.1", "Host: nimbus.test\r\nX-Forwarded-Proto: https\r\n", "/base", "https://nimbus.test"},
		{"country from our proxy", "10.1.1.1", "Host: nimbus.test\r\nX-Forwarded-For: 198.51.100.4\r\nCF-IPCountry: fr\r\n", "/", "nimbus nimbus.test 198.51.100.4 FR"},
		{"country unknown to it", "10.1.1.1", "Host: nimbus.test\r\nX-Forwarded-For: 198.51.100.4\r\nCF-IPCountry: XX\r\n", "/", "nimbus nimbus.test 198.51.100.4"},
		{"garbage for a country", "10.1.1.1", "Host: nimbus.test\r\nX-Forwarded-For: 198.51.100.4\r\nCF-IPCountry: T1\r\n", "/", "nimbus nimbus.test 198.51.100.4"},
		{"country forged", "192.0.2.7", "Host: nimbus.test\r\nCF-IPCountry: FR\r\n", "/", "nimbus nimbus.test 192.0.2.7"},
		{"scheme forged", "192.0.2.7", "Host: nimbus.test:8080\r\nX-Forwarded-Proto: https\r\n", "/base", "http://nimbus.test:8080"},
	} {
		res := ask(t, f, c.from, "GET "+c.path+" HTTP/1.1\r\n"+c.headers+"\r\n")
		if got := body(t, res); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestManageOfAPausedTenantSeesWhy(t *testing.T) {
	res := ask(t, mustFront(t), "192.0.2.7", "GET /manage HTTP/1.1\r\nHost: paused.test\r\n\r\n")
	if res.StatusCode != 503 || res.Header.Get("Retry-After") != "3600" {
		t.Errorf("%d, retry after %q", res.StatusCode, res.Header.Get("Retry-After"))
	}
}

func TestErrorsBecomeAnswers(t *testing.T) {
	f := mustFront(t)
	for _, c := range []struct {
		name, request, headers string
		status                 int
		body, location         string
	}{
		{"no such page", "GET /nowhere", "", 404, "There is no such page", ""},
		{"the wrong method", "DELETE /gone", "X: 1\r\n", 403, "reload", ""},
		{"a panic", "GET /panic", "", 500, "Something went wrong", ""},
		{"an error of ours", "GET /broken", "", 500, "Something went wrong", ""},
		{"too late", "GET /late", "", 503, "took too long", ""},
		{"a fault", "GET /gone", "", 410, "It is &lt;gone&gt;.", ""},
		{"a fault for htmx", "GET /gone", "HX-Request: true\r\n", 410, `<p role="alert">It is &lt;gone&gt;.</p>`, ""},
		{"a fault for a program", "GET /gone", "Accept: application/json\r\n", 410, `"code":"test.gone"`, ""},
		{"an error of ours for a program", "GET /broken", "Accept: application/json\r\n", 500, `"code":"internal"`, ""},
		{"not signed in", "GET /client?a=1", "", 303, "", "/sign-in?next=%2Fclient%3Fa%3D1"},
		{"not signed in at manage", "GET /manage", "", 303, "", "/manage/sign-in?next=%2Fmanage"},
		{"not signed in, a program", "GET /manage", "Accept: application/json\r\n", 401, `"code":"session.none"`, ""},
		{"a form without a token", "POST /", "Content-Length: 0\r\n", 403, "reload", ""},
		{"a form from another site", "POST /", "Content-Length: 0\r\nOrigin: https://evil.test\r\n", 403, "another site", ""},
		{"a form from a sibling", "POST /", "Content-Length: 0\r\nSec-Fetch-Site: same-site\r\n", 403, "another site", ""},
		{"a body that is too large", "POST /", "Content-Length: 1100000\r\n", 413, "more than we take", ""},
	} {
		payload := ""
		if strings.Contains(c.headers, "1100000") {
			payload = strings.Repeat("x", 1100000)
		}
		res := ask(t, f, "192.0.2.7", c.request+" HTTP/1.1\r\nHost: nimbus.test\r\n"+c.headers+"\r\n"+payload)
		got := body(t, res)
		if res.StatusCode != c.status || !strings.Contains(got, c.body) || res.Header.Get("Location") != c.location {
			t.Errorf("%s: %d %q to %q, want %d %q", c.name, res.StatusCode, got, res.Header.Get("Location"), c.status, c.body)
		}
		if strings.Contains(got, "secret inside") {
			t.Errorf("%s: the answer shows the error", c.name)
		}
		if res.Header.Get("Content-Security-Policy") != surface.ContentSecurityPolicy || res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers are missing", c.name)
		}
	}
}

func TestAssets(t *testing.T) {
	f := mustFront(t)
	for _, c := range []struct {
		name, host, path, accept string
		status                   int
		body                     string
	}{
		{"plain", "nimbus.test", "/assets/a.1234.css", "", 200, "body{}"},
		{"compressed", "nimbus.test", "/assets/a.1234.css", "gzip, br", 200, "gz"},
		{"on a paused site", "paused.test", "/assets/a.1234.css", "", 200, "body{}"},
		{"on nobody's site", "nobody.test", "/assets/a.1234.css", "", 200, "body{}"},
		{"the manifest", "nimbus.test", "/assets/manifest.json", "", 404, ""},
		{"outside", "nimbus.test", "/assets/../go.mod", "", 404, ""},
		{"missing", "nimbus.test", "/assets/b.css", "", 404, ""},
	} {
		res := ask(t, f, "192.0.2.7", "GET "+c.path+" HTTP/1.1\r\nHost: "+c.host+"\r\nAccept-Encoding: "+c.accept+"\r\n\r\n")
		if got := body(t, res); res.StatusCode != c.status || !strings.Contains(got, c.body) {
			t.Errorf("%s: %d %q", c.name, res.StatusCode, got)
		}
	}
}

func TestNewRefusesRoutes(t *testing.T) {
	nothing := func(*fiber.Ctx) error { return nil }
	for name, rs := range map[string][]surface.Route{
		"no permission":             {{Method: "GET", Path: "/", Handler: nothing}},
		"no handler":                {{Method: "GET", Path: "/", Needs: identity.Public}},
		"twice":                     {{Method: "GET", Path: "/", Needs: identity.Public, Handler: nothing}, {Method: "GET", Path: "/", Needs: identity.Public, Handler: nothing}},
		"nobody's permission there": {{Method: "GET", Path: "/manage/x", Needs: identity.StaffManage, Handler: nothing}},
	} {
		cfg := ground
		cfg.Routes = rs
		if _, err := surface.New(cfg); err == nil {
			t.Errorf("%s: was mounted", name)
		}
	}
}

func FuzzFront(f *testing.F) {
	front := mustFront(f)
	f.Add("nimbus.test", "/", "evil.test")
	f.Add("[::1]", "//", "")
	f.Fuzz(func(t *testing.T, host, path, forwarded string) {
		var ctx fasthttp.RequestCtx
		ctx.Init(&fasthttp.Request{}, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}, nil)
		ctx.Request.Header.SetMethod("GET")
		ctx.Request.Header.SetHost(host)
		ctx.Request.SetRequestURI(path)
		ctx.Request.Header.SetHost(host)
		ctx.Request.Header.Set("X-Forwarded-Host", forwarded)
		front.Handler()(&ctx)
		switch p := string(ctx.Path()); {
		case p == "/panic" || p == "/broken":
		case ctx.Response.StatusCode() == 500:
			t.Fatalf("%q %q: 500", host, path)
		case forwarded != "" && bytes.Contains(ctx.Response.Body(), []byte("nimbus")) && !strings.Contains(strings.ToLower(host), "nimbus"):
			t.Fatalf("%q with X-Forwarded-Host %q is answered as nimbus", host, forwarded)
		}
	})
}
