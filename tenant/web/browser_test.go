package web_test

import (
	"net"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/browser"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// serve listens on this machine and returns the port.
func serve(t testing.TB, f *surface.Front) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &fasthttp.Server{Handler: f.Handler()}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// TestShopInABrowser looks at the pages of a shop whose texts are hard to show, and at the
// fullest of them in the other themes: no error, no violation, nothing out of reach. All
// pages of all themes are walked in the demo.
func TestShopInABrowser(t *testing.T) {
	w := tenancytest.New(t)
	base := aurora()
	base.Theme = "base"
	open(t, w.DB(w.A), aurora())
	open(t, w.DB(w.B), forge())
	open(t, w.DB(w.C), base)
	a, b, c := w.A, w.B, w.C
	a.Theme, b.Theme, c.Theme = "aurora", "forge", "base"
	port := serve(t, mustFront(t, w, a, b, c))
	if _, err := branding.OpenAssets(dist(t)); err != nil {
		t.Fatal(err) // without styles there is nothing to judge
	}
	drive := browser.Open(t)
	for _, shop := range []struct{ slug, legal string }{{"alpha", "terms"}, {"beta", "imprint"}, {"gamma", "terms"}} {
		p := drive.Page(t, "about:blank", browser.Desktop)
		p.Allow("404") // the last of the pages
		for i, page := range []struct{ name, path string }{
			{"plan", "/products/" + shop.slug + "-cloud/large"},
			{"home", "/"},
			{"product", "/products/" + shop.slug + "-cloud"},
			{"contact", "/contact"},
			{"legal", "/legal/" + shop.legal},
			{"not_found", "/products/none"},
		} {
			if i > 0 && shop.slug != "gamma" {
				break
			}
			p.Go("http://" + shop.slug + ".localhost:" + port + page.path)
			p.CheckViews("shop/" + shop.slug + "/" + page.name)
		}
	}
	t.Run("nobody's host", func(t *testing.T) {
		p := drive.Page(t, "http://nobody.localhost:"+port+"/", browser.Phone)
		p.Allow("404")
		p.Check("unknown host")
		p.Screenshot("state/unknown")
	})
	t.Run("from the home page to a plan with the keyboard's and the phone's menu", func(t *testing.T) {
		p := drive.Page(t, "http://alpha.localhost:"+port+"/", browser.Phone)
		p.Click(".site-menu > summary")
		p.Wait(".site-menu-panel a", "Web hosting")
		p.Follow(".site-menu-panel a")
		p.Wait("h1", "Cloud <servers>")
		p.Follow(`a[href="/products/alpha-cloud/large"]`)
		p.Wait(".summary", "19.90")
		p.Check("plan")
	})
	t.Run("the choice of dark stays", func(t *testing.T) {
		p := drive.Page(t, "http://alpha.localhost:"+port+"/", browser.Desktop)
		p.Click(`[data-theme-set="dark"]`)
		p.Go("http://alpha.localhost:" + port + "/contact")
		p.Wait(`:root[data-theme="dark"] h1`, "Contact")
		p.Check("contact in the dark")
	})
}

// The routes of the client area need a person; the matrix says so.
func TestClientAreaNeedsAPerson(t *testing.T) {
	w := tenancytest.New(t)
	open(t, w.DB(w.A), aurora())
	f := mustFront(t, w, w.A, w.B)
	status, header, _ := ask(t, f, "alpha.localhost", "/client")
	if status != fiber.StatusSeeOther || header.Get("Location") != "/sign-in?next=%2Fclient" {
		t.Errorf("a stranger at /client gets %d to %q", status, header.Get("Location"))
	}
}
