package surface_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// BenchmarkPagesFromMemory answers with the page of a random tenant: what it costs with
// many tenants beyond what it costs with few is waiting for memory.
func BenchmarkPagesFromMemory(b *testing.B) {
	for _, tenants := range []int{100, 2000, 10_000} {
		b.Run(fmt.Sprint(tenants), func(b *testing.B) {
			k := manyShops(b, tenants)
			handle := k.Handler()
			names := make([]string, tenants)
			for i := range names {
				names[i] = fmt.Sprintf("s%d.localhost", i)
			}
			var ask fasthttp.Request
			if err := ask.Read(bufio.NewReader(strings.NewReader("GET / HTTP/1.1\r\nHost: x.localhost\r\nAccept-Encoding: gzip\r\n\r\n"))); err != nil {
				b.Fatal(err)
			}
			from := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
			var ctx fasthttp.RequestCtx
			out := bufio.NewWriterSize(discard{}, 16<<10)
			visit := func(i int) {
				ask.Header.SetHost(names[i])
				ctx.Init(&ask, from, nil)
				handle(&ctx)
				if err := ctx.Response.Write(out); err != nil || ctx.Response.StatusCode() != fiber.StatusOK {
					b.Fatal(err, ctx.Response.StatusCode())
				}
				ctx.Response.Reset()
			}
			for i := range names {
				visit(i)
			}
			b.ResetTimer()
			for b.Loop() {
				visit(rand.IntN(tenants))
			}
		})
	}
}

// discard copies what it is given, as a socket would.
type discard struct{}

var sink [64 << 10]byte

func (discard) Write(p []byte) (int, error) { copy(sink[:], p); return len(p), nil }

func manyShops(t testing.TB, n int) *surface.Front {
	t.Helper()
	cfg := ground
	cfg.Cache = surface.NewPageCache(surface.PageCacheConfig{Paths: []string{"/"}, MaxBytes: 512 << 20}).CachePages
	cfg.Routes = []surface.Route{{Method: "GET", Path: "/", Needs: identity.Public, Handler: func(c *fiber.Ctx) error {
		t, _ := surface.Tenant(c)
		var page strings.Builder
		words := rand.New(rand.NewPCG(1, uint64(t.ID.Number())))
		for page.Len() < 8600 {
			fmt.Fprintf(&page, "<li class=plan>%s sells plan %04x%04x with cores and memory</li>", t.Slug, words.IntN(1<<16), words.IntN(1<<16))
		}
		c.Set(fiber.HeaderContentType, "text/html; charset=utf-8")
		return c.SendString(page.String())
	}}}
	h := hosts{}
	for i := range n {
		slug := fmt.Sprintf("s%d", i)
		h[slug+".localhost"] = tenancy.Tenant{ID: mustID(t, int64(i+1)), Slug: slug, Name: "Shop " + slug, Status: tenancy.Active,
			Theme: strings.Clone("base"), Locale: strings.Clone("en"), Currency: strings.Clone("EUR"), TimeZone: strings.Clone("UTC"), ContentVersion: 1}
	}
	return &surface.Front{Hosts: h, Pool: mustPool(t), Tenants: mustSurface(t, cfg), Log: ground.Log}
}
