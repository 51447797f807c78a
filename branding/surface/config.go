package surface

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"sort"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/valyala/fasthttp"
	"go.opentelemetry.io/otel/trace"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// Area is a part of a surface with its own people: the shop with its customers, or
// /manage with the reseller's team.
type Area struct {
	Name   string         // shop, manage, console, partner; Page.Surface unless a route's page says otherwise
	Prefix string         // of the paths; empty: all the others
	World  identity.World // who signs in here
	SignIn string         // path of the sign-in page
	Themed bool           // pages follow the tenant's theme; the consoles always use base
	// Machines says that programs call here, which prove themselves with a token or a
	// signature: cookies and forms do not count, and errors are problem documents.
	Machines bool
	Nav      func(identity.Principal) []NavItem
	// MustTOTP says who must have a second factor here; nil: nobody. The tenant is the
	// zero one on the platform's own hosts.
	MustTOTP func(tenancy.Tenant) bool
}

// Observer is told of every answer. Pattern is the route's, never the path.
type Observer interface {
	Observe(surface, method, pattern string, status int, took time.Duration)
}

// Config makes a Surface. Routes, Areas, Clock and Log are needed.
type Config struct {
	Name     string // for logs and metrics: tenant, console, partner
	Areas    []Area // the longest prefix wins
	Routes   []Route
	Themes   *branding.Themes
	Assets   fs.FS              // what is served below /assets/; nil: nothing
	Sessions *identity.Sessions // nil: nobody can sign in
	Central  *tenancy.Central   // where people of the platform's own hosts are kept
	// Site is what the pages show of the host's owner; db is nil on the platform's own
	// hosts. BaseURL is filled in by the surface.
	Site func(ctx context.Context, db *tenancy.DB) (Site, error)
	// Cache stands before sessions and handlers for what anonymous visitors may be
	// shown again; nil: nothing is kept.
	Cache     fiber.Handler
	Observer  Observer
	Tracer    trace.Tracer // nil: nothing is traced
	Log       *slog.Logger
	Clock     tenancy.Clock
	FormKey   []byte        // authenticates the forms of people who are not signed in
	Deadline  time.Duration // of one request; 0: 15 s
	BodyLimit int           // bytes; 0: 1 MiB
}

// Surface is one kind of site, ready to serve.
type Surface struct {
	cfg    Config
	areas  []Area // longest prefix first
	app    *fiber.App
	next   fasthttp.RequestHandler
	assets *assets
}

// New mounts the routes. It returns an error for a route that names no permission,
// no handler or no area, and for two routes of one method and path.
func New(cfg Config) (*Surface, error) {
	if cfg.Deadline <= 0 {
		cfg.Deadline = 15 * time.Second
	}
	if cfg.BodyLimit <= 0 {
		cfg.BodyLimit = 1 << 20
	}
	if cfg.Log == nil || cfg.Clock == nil {
		return nil, fmt.Errorf("surface %s: a log and a clock are needed", cfg.Name)
	}
	if len(cfg.FormKey) < 16 {
		return nil, fmt.Errorf("surface %s: a key for forms is needed", cfg.Name)
	}
	s := &Surface{cfg: cfg, areas: append([]Area(nil), cfg.Areas...), assets: newAssets(cfg.Assets)}
	sort.SliceStable(s.areas, func(i, j int) bool { return len(s.areas[i].Prefix) > len(s.areas[j].Prefix) })
	s.app = fiber.New(fiber.Config{
		Immutable:             true,
		ErrorHandler:          s.answerError,
		BodyLimit:             cfg.BodyLimit,
		DisableStartupMessage: true,
		CaseSensitive:         true,
	})
	s.app.Use(s.headers, s.arrive, s.observe, s.recovers, s.bound, s.state)
	if cfg.Cache != nil {
		s.app.Use(cfg.Cache)
	}
	s.app.Use(s.deadline, s.identify, s.guardForms)
	if err := s.mount(); err != nil {
		return nil, err
	}
	s.next = s.app.Handler()
	return s, nil
}

// serve answers one request that Front has looked at.
func (s *Surface) serve(ctx *fasthttp.RequestCtx, at *arrival) {
	if bytes.HasPrefix(ctx.Path(), []byte("/assets/")) {
		s.assets.serve(ctx)
		return
	}
	ctx.SetUserValue(arrivalKey, at)
	s.next(ctx)
}

// Routes is the surface's table of routes, for tests and for the permission matrix.
func (s *Surface) Routes() []Route { return append([]Route(nil), s.cfg.Routes...) }

// BodyLimit is the most bytes of a body the surface reads; the server must refuse more.
func (s *Surface) BodyLimit() int { return s.cfg.BodyLimit }

func (s *Surface) mount() error {
	seen := map[string]bool{}
	for _, r := range s.cfg.Routes {
		name := r.Method + " " + r.Path
		switch {
		case r.Needs == "":
			return fmt.Errorf("surface %s: %s names no permission", s.cfg.Name, name)
		case r.Handler == nil:
			return fmt.Errorf("surface %s: %s has no handler", s.cfg.Name, name)
		case seen[name]:
			return fmt.Errorf("surface %s: %s stands twice", s.cfg.Name, name)
		}
		seen[name] = true
		area := s.areaOf(r.Path)
		if area == nil {
			return fmt.Errorf("surface %s: %s lies in no area", s.cfg.Name, name)
		}
		if !grantable(area.World, r.Needs) {
			return fmt.Errorf("surface %s: %s needs %s, which no role of %s has", s.cfg.Name, name, r.Needs, area.World)
		}
		s.app.Add(r.Method, r.Path, s.admit(r), r.Handler)
		if r.Method == fiber.MethodGet {
			s.app.Add(fiber.MethodHead, r.Path, s.admit(r), r.Handler)
		}
	}
	return nil
}

// grantable reports whether anybody of the world could pass the route.
func grantable(w identity.World, need identity.Permission) bool {
	for _, role := range identity.Roles(w) {
		if (identity.Principal{World: w, Role: role}).May(need) {
			return true
		}
	}
	return false
}

// areaOf is the area a path belongs to; nil: none.
func (s *Surface) areaOf(path string) *Area {
	for i := range s.areas {
		a := &s.areas[i]
		rest, within := strings.CutPrefix(path, a.Prefix)
		if within && (a.Prefix == "" || rest == "" || rest[0] == '/') {
			return a
		}
	}
	return nil
}
