package brandtest

import (
	"net"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/ezscale/ezscale/branding/surface/browser"
)

func serve(t *testing.T, s *shop) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := &fasthttp.Server{Handler: s.front.Handler()}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		must(t, server.Shutdown())
		must(t, <-done)
	})
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(t, err)
	return port
}

// TestBrandInABrowser works on a brand as a person with a browser does: sign in,
// change, see the preview follow without a reload, publish, look at the history.
func TestBrandInABrowser(t *testing.T) {
	s := newShop(t)
	home := "http://" + s.A.PrimaryHost + ":" + serve(t, s)
	p := browser.Open(t).Page(t, home+"/manage/sign-in?next=%2Fmanage%2Fbrand", browser.Desktop)
	p.Fill("email", "ann@example.com")
	p.Fill("password", password)
	p.Follow(`form button[type="submit"]`)
	p.Wait("h1", "Brand")
	p.Check("brand, nothing yet")
	p.Fill("headline", "Servers with manners")
	p.Fill("brand", "#ffe14d")
	p.Click("#f-subline") // leaving the field saves it
	p.Wait(".brand-side", "Adjusted so that everybody can read it")
	p.Wait(".brand-side", "Draft, save")
	p.CheckViews("manage/brand")
	p.Follow(`form[action="/manage/brand/publish"] button`)
	p.Wait(".notice", "Version 1 is published")
	p.Check("published")
	p.Go(home + "/manage/brand/history")
	p.Wait("h1", "Versions of the brand")
	p.Check("history")
	p.Screenshot("manage/brand_history")
	p.Go(home + "/manage/brand/history/1")
	p.Wait("h1", "Version 1")
	p.Check("version")
	p.Go(home + "/")
	p.Wait("h1", "Servers with manners")
}
