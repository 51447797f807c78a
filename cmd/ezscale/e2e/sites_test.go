package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/branding/surface/browser"
)

// widths are how a stranger comes: with a mouse at a desk, and on a phone.
var widths = []browser.View{browser.Desktop, browser.Phone}

// see judges what the tab shows and keeps a picture when pictures are asked for.
func see(tab *browser.Page, name string) {
	tab.Check(name)
	tab.Screenshot("flow_" + name)
}

// client is an HTTP client that finds every host at this machine and trusts the root
// the demo offers for download, and no other.
func client(t *testing.T, g guide) *http.Client {
	t.Helper()
	status, pem, err := get(&http.Client{Timeout: patience}, g.Root)
	must(t, err)
	roots := x509.NewCertPool()
	if status != http.StatusOK || !roots.AppendCertsFromPEM([]byte(pem)) {
		t.Fatalf("%s answers %d and no certificate", g.Root, status)
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Timeout: patience, Transport: transport}
}

func get(c *http.Client, address string) (status int, body string, err error) {
	res, err := c.Get(address)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return res.StatusCode, string(b), err
}

// until asks for address until it answers with status and a page that says words.
func until(t *testing.T, c *http.Client, address string, status int, words string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		got, body, err := get(c, address)
		if err == nil && got == status && strings.Contains(body, words) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s answers %d, %v, and not %d with %q:\n%.400s", address, got, err, status, words, body)
		}
	}
}

// httpPort is the port the demo's sites answer plain HTTP at.
func httpPort(t *testing.T, g guide) string {
	t.Helper()
	at, err := url.Parse(g.Index)
	must(t, err)
	return at.Port()
}

func (g guide) secure(host string) string {
	return "https://" + net.JoinHostPort(host, strconv.Itoa(g.TLSPort)) + "/"
}

// read evaluates a script that returns a text.
func read(t *testing.T, tab *browser.Page, script string) string {
	t.Helper()
	got, err := tab.Timeout(patience).Eval(script)
	must(t, err)
	return got.Value.Str()
}

const (
	brandColour = `() => getComputedStyle(document.documentElement).getPropertyValue('--ez-brand').trim()`
	themeSheet  = `() => [...document.styleSheets].map(s => new URL(s.href).pathname).find(p => p.startsWith('/assets/shop')) || ''`
	logo        = `() => { const i = document.querySelector('.site-logo img'); return i && i.complete && i.naturalWidth ? i.alt + ' ' + new URL(i.src).pathname : '' }`
)

// TestSites opens the three shops: three names, logos, colours and themes, over HTTP in
// the browser and over HTTPS with the demo's root as the only one trusted.
func TestSites(t *testing.T) {
	g := demo(t)
	drive := browser.Open(t)
	c := client(t, g)
	shops := []struct{ slug, name, says, colour, sheet string }{
		{"nimbus", "Nimbus Cloud", "A calm place for your servers", "#0f766e", "/assets/shop-aurora-"},
		{"pixelforge", "PixelForge", "Your world, always on", "#ea580c", "/assets/shop-forge-"},
		{"ezscale", "EZSCALE", "Servers without the small print", "#1f5fbf", "/assets/shop-"},
	}
	for _, shop := range shops {
		t.Run(shop.slug, func(t *testing.T) {
			home := "http://" + shop.slug + ".localhost:" + httpPort(t, g) + "/"
			tab := drive.Page(t, home, browser.Desktop)
			both(tab, "site_"+shop.slug)
			if said := tab.Text("h1"); !strings.EqualFold(said, shop.says) { // a theme may set it in capitals
				t.Errorf("the page says %q, not %q", said, shop.says)
			}
			if shown := read(t, tab, logo); !strings.HasPrefix(shown, shop.name+" /media/") {
				t.Errorf("the logo is %q", shown)
			}
			if sheet := read(t, tab, themeSheet); !strings.HasPrefix(sheet, shop.sheet) || shop.slug == "ezscale" && strings.Count(sheet, "-") != 1 {
				t.Errorf("the theme's stylesheet is %s", sheet)
			}
			if colour := read(t, tab, brandColour); colour != shop.colour {
				t.Errorf("the brand's colour is %s, not %s", colour, shop.colour)
			}
			until(t, c, g.secure(shop.slug+".localhost"), http.StatusOK, shop.says)
		})
	}
	if _, _, err := get(&http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: c.Transport.(*http.Transport).DialContext, TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12},
	}}, g.secure("nimbus.localhost")); err == nil {
		t.Error("a client that does not trust the demo's root was content")
	}
}
