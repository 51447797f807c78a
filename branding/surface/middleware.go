package surface

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
	"github.com/valyala/fasthttp"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// arrive names the request and notes who answers it.
func (s *Surface) arrive(c *fiber.Ctx) error {
	at, ok := c.Locals(arrivalKey).(*arrival)
	if !ok {
		return fmt.Errorf("surface %s: a request did not come through the front", s.cfg.Name)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("name a request: %w", err)
	}
	at.request, at.surface, at.area = id.String(), s, s.areaOf(c.Path())
	c.Response().Header.SetCanonical([]byte("X-Request-Id"), []byte(at.request))
	return c.Next()
}

// deadline bounds what a request may take. It stands behind the cache: a page from
// memory takes no time.
func (s *Surface) deadline(c *fiber.Ctx) error {
	outer := c.UserContext()
	ctx, cancel := context.WithTimeout(outer, s.cfg.Deadline)
	defer func() {
		cancel()
		c.SetUserContext(outer)
	}()
	c.SetUserContext(ctx)
	return c.Next()
}

// errorTime is what the page about an error may take, whatever the request took.
const errorTime = 2 * time.Second

func (s *Surface) answerInTime(c *fiber.Ctx, err error) error {
	outer := c.UserContext()
	ctx, cancel := context.WithTimeout(outer, errorTime)
	defer func() {
		cancel()
		c.SetUserContext(outer)
	}()
	c.SetUserContext(ctx)
	return s.answerError(c, err)
}

// observe logs and counts every answer, after errors have become one.
func (s *Surface) observe(c *fiber.Ctx) error {
	start := s.cfg.Clock()
	span := s.span(c)
	defer span.End()
	if err := c.Next(); err != nil {
		if err := s.answerInTime(c, err); err != nil {
			return err
		}
	}
	took := s.cfg.Clock().Sub(start)
	status := c.Response().StatusCode()
	pattern := "none"
	if r, ok := c.Locals(routeKey).(*Route); ok {
		pattern = r.Path
	}
	s.describe(c, span, pattern, status)
	if s.cfg.Observer != nil {
		s.cfg.Observer.Observe(s.cfg.Name, method(c), pattern, status, took)
	}
	if !s.cfg.Log.Enabled(c.UserContext(), slog.LevelInfo) {
		return nil
	}
	attrs := []slog.Attr{
		slog.String("surface", s.cfg.Name), slog.String("request", RequestID(c)),
		slog.String("method", method(c)), slog.String("route", pattern), slog.Int("status", status),
		slog.Duration("took", took), slog.String("ip", ClientIP(c)), slog.Int("bytes", len(c.Response().Body())),
	}
	if t, ok := Tenant(c); ok {
		attrs = append(attrs, slog.Int64("tenant", t.ID.Number()))
	}
	if p, ok := Principal(c); ok {
		attrs = append(attrs, slog.String("person", p.PersonID.String()))
	}
	s.cfg.Log.LogAttrs(c.UserContext(), slog.LevelInfo, "request", attrs...)
	return nil
}

// method is the request's method as one of a closed set: a label must not grow.
func method(c *fiber.Ctx) string {
	switch m := c.Method(); m {
	case fiber.MethodGet, fiber.MethodHead, fiber.MethodPost, fiber.MethodPut, fiber.MethodPatch, fiber.MethodDelete, fiber.MethodOptions:
		return m
	}
	return "OTHER"
}

func (s *Surface) headers(c *fiber.Ctx) error {
	at := arrivalOf(c)
	writeHeaders(&c.Response().Header, at.scheme == "https")
	return c.Next()
}

// ContentSecurityPolicy is sent with every page.
const ContentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// AllowOrigins lets the page of this answer load scripts, frames and data from other
// origins too, such as a payment service's card form. What is no origin is left out.
func AllowOrigins(c *fiber.Ctx, origins ...string) {
	var more strings.Builder
	for _, o := range origins {
		rest, secure := strings.CutPrefix(o, "https://")
		if !secure {
			rest, _ = strings.CutPrefix(o, "http://") // a simulator's
		}
		if rest != o && rest != "" && strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789.-:*[]") == "" {
			more.WriteString(" " + o)
		}
	}
	if more.Len() == 0 {
		return
	}
	policy := strings.Replace(ContentSecurityPolicy, "script-src 'self'", "script-src 'self'"+more.String(), 1)
	policy = strings.Replace(policy, "connect-src 'self'", "connect-src 'self'"+more.String(), 1)
	c.Set("Content-Security-Policy", policy+"; frame-src"+more.String())
}

func writeHeaders(h *fasthttp.ResponseHeader, https bool) {
	// As fasthttp would write them: it need not look.
	h.SetCanonical([]byte("Content-Security-Policy"), []byte(ContentSecurityPolicy))
	h.SetCanonical([]byte("X-Content-Type-Options"), []byte("nosniff"))
	h.SetCanonical([]byte("Referrer-Policy"), []byte("same-origin"))
	h.SetCanonical([]byte("Permissions-Policy"), []byte("camera=(), microphone=(), geolocation=(), payment=(), usb=()"))
	h.SetCanonical([]byte("Cross-Origin-Opener-Policy"), []byte("same-origin"))
	if https {
		h.SetCanonical([]byte("Strict-Transport-Security"), []byte("max-age=31536000"))
	}
}

// recovers turns a panic into an error, with the stack in the log.
func (s *Surface) recovers(c *fiber.Ctx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.cfg.Log.ErrorContext(c.UserContext(), "panic", "request", RequestID(c), "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return c.Next()
}

// bound refuses bodies that the server let through for another surface's sake.
func (s *Surface) bound(c *fiber.Ctx) error {
	if len(c.Request().Body()) > s.cfg.BodyLimit {
		return fiber.ErrRequestEntityTooLarge
	}
	return c.Next()
}

// state answers for tenants that do not serve.
func (s *Surface) state(c *fiber.Ctx) error {
	t, ok := Tenant(c)
	if !ok || t.Status.Serves() {
		return c.Next()
	}
	if t.Status != tenancy.Archived && brandFile(c) {
		return c.Next() // the page in place of the site looks like the site
	}
	page := string(t.Status)
	if stateTitles[page] == "" {
		page = string(tenancy.Suspended)
	}
	status, retry := stateAnswer(t.Status)
	retryAfter(&c.Response().Header, retry)
	area, _ := areaOf(c)
	if area.Machines {
		return s.problem(c, status, fault.From(fault.New(fault.Unavailable, "site.not_serving", "This site is not available at the moment.")))
	}
	view := StateView{State: page, Status: status, Manage: area.Prefix == "/manage"}
	if view.Manage {
		view.Note = t.StatusNote
	}
	p := Page{Title: stateTitles[page], Surface: "state", Path: c.Path(), Locale: t.Locale, RequestID: RequestID(c), View: view, Site: Site{Name: t.Name, Theme: t.Theme}}
	if t.Status != tenancy.Archived {
		p.Site = s.face(c, p.Site)
	}
	writeState(c.Context(), s.cfg.Themes, status, page, p)
	return nil
}

// brandFile says whether the request is for a picture or the stylesheet of a brand.
func brandFile(c *fiber.Ctx) bool {
	path := c.Path()
	return c.Method() == fiber.MethodGet && (strings.HasPrefix(path, "/brand/") || strings.HasPrefix(path, "/media/") || path == "/favicon.svg")
}

// face is what a site that does not serve looks like: its brand and whom to write to,
// without links to pages that do not answer. It is plain where the brand cannot be read.
func (s *Surface) face(c *fiber.Ctx, plain Site) Site {
	site, err := s.site(c)
	if err != nil {
		return plain
	}
	plain.StylesheetURL, plain.LogoURL, plain.LogoDarkURL, plain.FaviconURL = site.StylesheetURL, site.LogoURL, site.LogoDarkURL, site.FaviconURL
	plain.SupportEmail = site.SupportEmail
	return plain
}

func areaOf(c *fiber.Ctx) (Area, bool) {
	if a := arrivalOf(c).area; a != nil {
		return *a, true
	}
	return Area{}, false
}

// wantsJSON reports whether a program asks, and not a person.
func wantsJSON(c *fiber.Ctx) bool {
	if area, _ := areaOf(c); area.Machines || strings.HasPrefix(c.Path(), "/api/") {
		return true
	}
	accept := c.Get(fiber.HeaderAccept)
	return strings.Contains(accept, "json") && !strings.Contains(accept, "text/html")
}

// Anonymous reports whether the request could be anybody's: no session of its area,
// nothing to be shown once. Only such requests may be answered from a cache.
func Anonymous(c *fiber.Ctx) bool {
	return SessionToken(c) == "" && Cookie(c, flashCookie) == ""
}

func isHTMX(c *fiber.Ctx) bool { return c.Get("HX-Request") == "true" }
