package main

import (
	"context"
	"io/fs"
	"runtime"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/domain"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/media"
	"github.com/ezscale/ezscale/branding/signin"
	"github.com/ezscale/ezscale/branding/surface"
	centralweb "github.com/ezscale/ezscale/central/web"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	tenantweb "github.com/ezscale/ezscale/tenant/web"
	"github.com/ezscale/ezscale/themes"
)

// themeNames are the themes a brand may choose; base is complete, the others lie over it.
var themeNames = []string{"base", "aurora", "forge"}

// sites is everything that answers HTTP requests.
type sites struct {
	themes    *branding.Themes
	assets    *branding.Assets
	dist      fs.FS
	sessions  *identity.Sessions
	passwords *identity.Passwords
	desk      *branding.Desk
	domains   *domain.Service
	media     *media.Library
	signIn    signin.Parts
	tenant    *tenantweb.Site
	office    *centralweb.Office
	front     *surface.Front
}

// openSites builds the surfaces and the front that chooses among them.
func (a *app) openSites(ctx context.Context, t trust) (*sites, error) {
	s := &sites{sessions: identity.NewSessions(a.redis, a.clock), desk: branding.NewDesk(themeNames)}
	var err error
	if s.dist, err = fs.Sub(themes.Dist, "dist"); err != nil {
		return nil, err
	}
	if s.assets, err = branding.OpenAssets(s.dist); err != nil {
		return nil, err
	}
	if s.themes, err = branding.LoadThemes(themes.Files, themeNames, branding.Funcs(branding.FuncOptions{Assets: s.assets, Now: a.clock})); err != nil {
		return nil, err
	}
	if s.passwords, err = identity.NewPasswords(max(2, runtime.NumCPU())); err != nil {
		return nil, err
	}
	outbox := mail.NewOutbox(a.ring)
	s.signIn = a.signInParts(s, outbox)
	if s.domains, err = a.openDomains(ctx, outbox, t); err != nil {
		return nil, err
	}
	if s.media, err = a.openMedia(); err != nil {
		return nil, err
	}
	if s.office, err = a.staffOffice(ctx, outbox); err != nil {
		return nil, err
	}
	letters, err := mail.LoadLetters(themes.Files, themeNames)
	if err != nil {
		return nil, err
	}
	s.tenant = &tenantweb.Site{
		Webhooks: a.webhooks(), Office: a.teamOffice(outbox, letters, s.desk), SignIn: s.signIn, Brands: s.desk, Media: s.media, Domains: s.domains.Desk,
		Services: a.serviceDesk(), Payments: a.connecting(a.payments()), Links: a.payLinks(), Letters: a.letterLinks(), Selling: a.selling(), TaxDesk: a.taxDesk(), AsksRegister: a.cfg.Tax.VIES != "", DailyRates: a.cfg.Tax.ECB != "",
	}
	tenants, err := surface.New(a.tenantSurface(s))
	if err != nil {
		return nil, err
	}
	console, err := surface.New(a.consoleSurface(s))
	if err != nil {
		return nil, err
	}
	partner, err := surface.New(a.partnerSurface(s))
	if err != nil {
		return nil, err
	}
	s.front = &surface.Front{
		Hosts: a.resolver, Pool: a.pool, Tenants: tenants, Console: console, Partner: partner,
		ConsoleHost: a.cfg.Hosts.Console, PartnerHost: a.cfg.Hosts.Partner,
		Proxies: a.cfg.HTTP.TrustedProxies, CountryHeader: a.cfg.HTTP.CountryHeader, Themes: s.themes, Log: a.log,
	}
	return s, nil
}

// common is what all surfaces are made with.
func (a *app) common(s *sites, name string) surface.Config {
	return surface.Config{
		Name: name, Themes: s.themes, Assets: s.dist, Sessions: s.sessions, Central: a.central,
		Observer: a.metrics, Tracer: a.tracer, Log: a.log, Clock: a.clock,
		FormKey: a.ring.DeriveKey("forms"), Deadline: a.cfg.HTTP.Deadline, BodyLimit: 8 << 20,
	}
}

func (a *app) tenantSurface(s *sites) surface.Config {
	c := a.common(s, "tenant")
	c.Areas = []surface.Area{
		{Name: "manage", Prefix: "/manage", World: identity.Reseller, SignIn: "/manage/sign-in", Nav: tenantweb.Nav, MustTOTP: func(t tenancy.Tenant) bool { return t.RequireTOTP }},
		{Name: "client", Prefix: "/client", World: identity.Customer, SignIn: "/sign-in", Themed: true, Nav: tenantweb.ClientNav},
		{Name: "api", Prefix: "/api", World: identity.Customer, Machines: true},
		{Name: "hooks", Prefix: "/hooks", World: identity.Customer, Machines: true},
		{Name: "shop", World: identity.Customer, SignIn: "/sign-in", Themed: true},
	}
	c.Routes = append(s.tenant.Routes(), a.customerAPI(s.tenant).Routes()...)
	c.Site = s.tenant.Shown
	if mb := a.cfg.HTTP.PageCacheMB; mb > 0 {
		pages := surface.NewPageCache(surface.PageCacheConfig{
			Paths: tenantweb.PublicPages(), MaxBytes: int64(mb) << 20,
			Ignored: []string{"utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content", "gclid", "fbclid", "msclkid"},
		})
		a.countPages(pages)
		c.Cache = pages.CachePages
	}
	return c
}

func (a *app) consoleSurface(s *sites) surface.Config {
	c := a.common(s, "console")
	c.Areas = []surface.Area{{Name: "console", World: identity.Staff, SignIn: "/sign-in", Nav: centralweb.Nav, MustTOTP: func(tenancy.Tenant) bool { return true }}}
	console := &centralweb.Console{Central: a.central, Office: s.office, SignIn: s.signIn, Domains: s.domains.Overview, Wholesale: a.wholesaleDesk(), Running: ranIn{a.pool}}
	if hook := a.connectHook(); hook != nil {
		console.Connect, console.ConnectFixed = hook, hook.Fixed
	}
	c.Routes = console.Routes()
	c.Site = func(context.Context, *tenancy.DB) (surface.Site, error) {
		return surface.Site{Name: "EZSCALE", Theme: "base"}, nil
	}
	return c
}

func (a *app) partnerSurface(s *sites) surface.Config {
	c := a.common(s, "partner")
	c.Areas = []surface.Area{
		{Name: "hooks", Prefix: "/hooks", World: identity.Partner, Machines: true},
		{Name: "partner", World: identity.Partner, SignIn: "/sign-in", Nav: centralweb.PartnerNav},
	}
	p := &centralweb.Partner{Central: a.central, SignIn: s.signIn, Wholesale: a.wholesaleDesk(), Shops: a.partnerDesk(), SiteURL: siteURL, Team: a.teamOf}
	if d := a.connects(); d != nil {
		p.Connected = d.Receive
	}
	c.Routes = p.Routes()
	c.Site = func(context.Context, *tenancy.DB) (surface.Site, error) {
		return surface.Site{Name: "EZSCALE", Theme: "base"}, nil
	}
	return c
}

// signInParts is what the sign-in pages of all worlds share.
func (a *app) signInParts(s *sites, outbox *mail.Outbox) signin.Parts {
	return signin.Parts{
		Passwords: s.passwords, Sessions: s.sessions, Keys: a.ring, Clock: a.clock, Mail: outbox,
		Throttle: identity.NewThrottle(a.redis, a.ring.DeriveKey("devices"), a.clock),
	}
}

// handler is every request's way in: health for load balancers on any host, then
// the front. While draining, connections are asked to end after their answer.
func (a *app) handler(s *sites) fasthttp.RequestHandler {
	next := s.front.Handler()
	return func(ctx *fasthttp.RequestCtx) {
		defer a.metrics.InFlight("all")()
		if a.health.IsDraining() {
			ctx.SetConnectionClose()
		}
		switch string(ctx.Path()) {
		case "/healthz":
			ctx.SetBodyString("ok\n")
		case "/readyz":
			a.publicReadiness(ctx)
		default:
			next(ctx)
		}
	}
}

// publicReadiness tells a load balancer whether to send visitors here, and not why:
// the reasons are for the operator, at the metrics address. Without the database or
// Redis every node is "degraded" and yet has its pages in memory: were this 503, a
// balancer would take all of them out and nobody would see anything.
func (a *app) publicReadiness(ctx *fasthttp.RequestCtx) {
	c, cancel := context.WithTimeout(a.loopCtx, 3*time.Second)
	defer cancel()
	ctx.Response.Header.Set("Cache-Control", "no-store")
	switch said := a.health.Ask(c); {
	case !said.Serves:
		ctx.SetStatusCode(fasthttp.StatusServiceUnavailable)
		ctx.SetBodyString("not ready\n")
	case !said.Ready:
		ctx.SetBodyString("degraded\n")
	default:
		ctx.SetBodyString("ready\n")
	}
}
