package web_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/go-rod/rod/lib/proto"
	"github.com/valyala/fasthttp"

	"github.com/ezscale/ezscale/branding/surface/browser"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// serve has the console listen on this machine and returns its address.
func (h *house) serve() string {
	h.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(h.t, err)
	server := &fasthttp.Server{Handler: h.front.Handler()}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	h.t.Cleanup(func() {
		must(h.t, server.Shutdown())
		must(h.t, <-done)
	})
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(h.t, err)
	return "http://" + h.host + ":" + port
}

// TestPlatformsInABrowser looks at the pages about platforms and services, at desktop and
// phone width, light and dark: no error, no violation, nothing out of reach.
func TestPlatformsInABrowser(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(time.Now().Add(-30 * time.Minute)) // the browser's cookies live by its own clock
	h := openOver(t, w, identity.StaffAdmin)
	s := h.stock()
	stray := h.lab.AddStray("left behind")
	h.Clock.Advance(29 * time.Minute)
	h.post(s.at + "/test")
	at := h.serve()
	p := browser.Open(t).Page(t, at+"/sign-in", browser.Desktop)
	var cookies []*proto.NetworkCookieParam
	for name, value := range h.cookies {
		cookies = append(cookies, &proto.NetworkCookieParam{Name: name, Value: value, URL: at})
	}
	must(t, p.SetCookies(cookies))
	for _, page := range []struct{ name, path string }{
		{"platforms", "/platforms"}, {"platform", s.at}, {"platform_new", "/platforms/new"}, {"platform_settings", s.at + "/settings"},
		{"offer_new", s.at + "/offers/new"}, {"offer", s.offer}, {"reconcile", s.at + "/reconcile"},
		{"repair", fmt.Sprintf("%s/repair?kind=unbilled&ref=%d", s.at, stray)},
		{"services", "/services"}, {"service", "/services/" + h.A.ID.String() + "/" + s.service.String()},
	} {
		t.Run(page.name, func(t *testing.T) {
			p.Go(at + page.path)
			p.CheckViews("console/" + page.name)
		})
	}
}
