package surface

import (
	"log/slog"
	"net/netip"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/tenancy"
)

// Hosts knows whose a host is; tenancy.Resolver does.
type Hosts interface {
	Lookup(host string) (tenancy.Tenant, bool)
}

// Front is the one place that reads the Host header. It decides which surface
// answers a request and for which tenant; nothing behind it asks again.
type Front struct {
	Hosts   Hosts
	Pool    *tenancy.Pool
	Tenants *Surface // every tenant's host
	Console *Surface // nil: this process has none
	Partner *Surface // nil: this process has none

	// Own are hosts of this process's own that belong to no surface, such as the
	// demo's guide. Keys are normalised.
	Own map[string]fasthttp.RequestHandler

	ConsoleHost, PartnerHost string         // normalised; may be empty
	Proxies                  []netip.Prefix // whose X-Forwarded-* headers count
	CountryHeader            string         // of those proxies, in which they say the visitor's country; empty: none
	Themes                   *branding.Themes
	Log                      *slog.Logger
}

// Handler answers every request that reaches the program.
func (f *Front) Handler() fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) {
		at := f.arrival(ctx)
		host, err := tenancy.NormalizeHost(at.authority)
		if err != nil {
			f.plain(ctx, fasthttp.StatusBadRequest, "unknown")
			return
		}
		at.host = host
		if ctx.IsTLS() && !f.sameSite(ctx, host) {
			f.plain(ctx, fasthttp.StatusMisdirectedRequest, "misdirected")
			return
		}
		own, isOwn := f.Own[host]
		switch {
		case isOwn && f.Tenants != nil && strings.HasPrefix(string(ctx.Path()), "/assets/"):
			f.Tenants.assets.serve(ctx)
		case isOwn:
			own(ctx)
		case f.Console != nil && host == f.ConsoleHost:
			f.Console.serve(ctx, at)
		case f.Partner != nil && host == f.PartnerHost:
			f.Partner.serve(ctx, at)
		default:
			f.tenant(ctx, at)
		}
	}
}

func (f *Front) tenant(ctx *fasthttp.RequestCtx, at *arrival) {
	t, ok := f.Hosts.Lookup(at.host)
	if !ok || t.Status == tenancy.Dropped || f.Tenants == nil {
		f.plain(ctx, fasthttp.StatusNotFound, "unknown")
		return
	}
	at.tenant, at.db = t, f.Pool.Bind(t)
	f.Tenants.serve(ctx, at)
}

// arrival is what is known of a request before any surface sees it.
type arrival struct {
	authority string // as the client wrote it, with the port
	host      string
	scheme    string
	ip        string
	country   string // of ip; empty: nobody trusted says it
	tenant    tenancy.Tenant
	db        *tenancy.DB // nil on the platform's own hosts

	request string   // its name, in logs and on error pages
	surface *Surface // who answers
	area    *Area    // nil: none of the surface's
}

// arrivalOf is what is known of a request. It is one value with everything in it: each
// of a request's own values costs a search through those before it.
func arrivalOf(c *fiber.Ctx) *arrival {
	if at, ok := c.Locals(arrivalKey).(*arrival); ok {
		return at
	}
	return &arrival{} // it did not come through the front
}

// arrival reads the headers that say where a request came from and where it wants to
// go: the only code that does. The conversions copy, for fasthttp reuses the bytes.
func (f *Front) arrival(ctx *fasthttp.RequestCtx) *arrival {
	at := &arrival{authority: string(ctx.Request.Header.Host()), scheme: "http"}
	if ctx.IsTLS() {
		at.scheme = "https"
	}
	addr, _ := netip.AddrFromSlice(ctx.RemoteIP())
	addr = addr.Unmap()
	if f.trusted(addr) {
		if h := ctx.Request.Header.Peek("X-Forwarded-Host"); len(h) > 0 {
			at.authority = string(h)
		}
		switch string(ctx.Request.Header.Peek("X-Forwarded-Proto")) {
		case "https":
			at.scheme = "https"
		case "http":
			at.scheme = "http"
		}
		if f.CountryHeader != "" {
			at.country = countryOf(string(ctx.Request.Header.Peek(f.CountryHeader)))
		}
		addr = f.visitor(addr, string(ctx.Request.Header.Peek("X-Forwarded-For")))
	}
	at.ip = addr.String()
	return at
}

// countryOf is a country as proxies write it: two letters. XX and T1 are what Cloudflare
// writes where it does not know, and of Tor.
func countryOf(s string) string {
	s = strings.ToUpper(strings.TrimSpace(s))
	if len(s) != 2 || s == "XX" || strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return ""
	}
	return s
}

// visitor walks the chain of proxies from the nearest to the first one that is not ours.
func (f *Front) visitor(nearest netip.Addr, chain string) netip.Addr {
	for nearest.IsValid() && f.trusted(nearest) && chain != "" {
		var last string
		if i := strings.LastIndexByte(chain, ','); i >= 0 {
			chain, last = chain[:i], chain[i+1:]
		} else {
			chain, last = "", chain
		}
		next, err := netip.ParseAddr(strings.TrimSpace(last))
		if err != nil {
			return nearest
		}
		nearest = next.Unmap()
	}
	return nearest
}

func (f *Front) trusted(addr netip.Addr) bool {
	for _, p := range f.Proxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// sameSite reports whether the name the TLS connection was opened for and the host
// of the request belong together. Without a name there is nothing to compare.
func (f *Front) sameSite(ctx *fasthttp.RequestCtx, host string) bool {
	state := ctx.TLSConnectionState()
	if state == nil || state.ServerName == "" || state.ServerName == host {
		return true
	}
	sni, err := tenancy.NormalizeHost(state.ServerName)
	if err != nil {
		return false
	}
	if sni == host {
		return true
	}
	a, ok := f.Hosts.Lookup(sni)
	b, also := f.Hosts.Lookup(host)
	return ok && also && a.ID == b.ID
}

// plain answers where no site is: nobody's name, nobody's looks.
func (f *Front) plain(ctx *fasthttp.RequestCtx, status int, page string) {
	if f.Tenants != nil && strings.HasPrefix(string(ctx.Path()), "/assets/") && status == fasthttp.StatusNotFound {
		f.Tenants.assets.serve(ctx)
		return
	}
	writeHeaders(&ctx.Response.Header, false)
	writeState(ctx, f.Themes, status, page, Page{Title: stateTitles[page], Surface: "state", Locale: "en", View: StateView{State: page}})
}
