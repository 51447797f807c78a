package surface

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/tenancy/fault"
)

// Render answers with a page (such as "manage/brand") in a layout (such as "manage").
// view is the page's own plain struct.
func Render(c *fiber.Ctx, layout, page, title string, view any) error {
	p, err := compose(c, page, title, view, nil)
	if err != nil {
		return err
	}
	return render(c, fiber.StatusOK, layout, page, p)
}

// FormError answers a form that was refused: with 422 (or the fault's status), the
// same page, the person's input still in view and each message at its field. An
// error that is not about the form is returned as it is, so a handler ends with
//
//	if err := s.Desk.Save(…); err != nil {
//		return surface.FormError(c, err, "manage", "manage/brand", "Brand", view)
//	}
func FormError(c *fiber.Ctx, err error, layout, page, title string, view any) error {
	f := fault.From(err)
	switch f.Kind {
	case fault.Invalid, fault.Conflict, fault.TooMany, fault.TooLarge, fault.QuotaExceeded:
	default:
		return err
	}
	p, cerr := compose(c, page, title, view, f)
	if cerr != nil {
		return cerr
	}
	return render(c, f.Kind.Status(), layout, page, p)
}

func render(c *fiber.Ctx, status int, layout, page string, p Page) error {
	s := surfaceOf(c)
	if s.cfg.Themes == nil {
		return fmt.Errorf("render %s: this surface has no themes", page)
	}
	var out bytes.Buffer
	if err := s.cfg.Themes.Render(&out, p.Site.Theme, layout, page, p); err != nil {
		return err
	}
	c.Status(status)
	return htmlBody(c, out.Bytes())
}

// Fragment answers htmx with one named template (a block or a partial) of a page.
func Fragment(c *fiber.Ctx, page, name string, view any) error {
	p, err := compose(c, page, "", view, nil)
	if err != nil {
		return err
	}
	s := surfaceOf(c)
	if s.cfg.Themes == nil {
		return fmt.Errorf("render %s: this surface has no themes", page)
	}
	var out bytes.Buffer
	if err := s.cfg.Themes.Fragment(&out, p.Site.Theme, page, name, p); err != nil {
		return err
	}
	return htmlBody(c, out.Bytes())
}

func htmlBody(c *fiber.Ctx, body []byte) error {
	c.Set(fiber.HeaderContentType, "text/html; charset=utf-8")
	if len(c.Response().Header.Peek(fiber.HeaderCacheControl)) == 0 {
		// What a person sees is theirs: no shared cache, and not after signing out.
		c.Set(fiber.HeaderCacheControl, "no-store")
	}
	return c.Send(body)
}

// Redirect sends the browser to a path of this host with 303, or htmx there; flash
// is shown once on the next page when it is not empty.
func Redirect(c *fiber.Ctx, path, flash string) error {
	return RedirectFlash(c, path, Flash{Kind: "good", Text: flash})
}

// RedirectFlash is Redirect with a flash of any kind.
func RedirectFlash(c *fiber.Ctx, path string, flash Flash) error {
	path = LocalPath(path, "/")
	if flash.Text != "" {
		SetCookie(c, flashCookie, encodeFlash(flash), 0)
	}
	if isHTMX(c) {
		c.Set("HX-Redirect", path)
		return c.SendStatus(fiber.StatusNoContent)
	}
	c.Set(fiber.HeaderCacheControl, "no-store")
	return c.Redirect(path, fiber.StatusSeeOther)
}

// LocalPath is p when it is a path of this host, else otherwise: what a link says
// about where to go next must never lead to another site.
func LocalPath(p, otherwise string) string {
	if len(p) == 0 || len(p) > 2000 || p[0] != '/' || strings.HasPrefix(p, "//") || !utf8.ValidString(p) {
		return otherwise
	}
	for _, r := range p {
		if r <= ' ' || r == '\\' || r == 0x7f {
			return otherwise
		}
	}
	return p
}

// compose fills what every page gets.
func compose(c *fiber.Ctx, page, title string, view any, f *fault.Fault) (Page, error) {
	s := surfaceOf(c)
	if s == nil {
		return Page{}, fmt.Errorf("render %s: not within a surface", page)
	}
	p := Page{Title: title, Path: c.Path(), Locale: "en", RequestID: RequestID(c), View: view}
	site, err := s.site(c)
	if err != nil {
		return Page{}, err
	}
	p.Site = site
	if t, ok := Tenant(c); ok && t.Locale != "" {
		p.Locale = t.Locale
	}
	if area, ok := areaOf(c); ok {
		p.Surface = area.Name
		if !area.Themed {
			p.Site.Theme = "base"
		}
		if person, ok := Principal(c); ok && area.Nav != nil {
			p.Nav = area.Nav(person)
			if area.Name == "client" {
				p.Nav = behind(p.Nav, site.Client)
			}
			p.Nav = markActive(p.Nav, c.Path())
		}
	}
	if person, ok := Principal(c); ok {
		p.Person = &person
	}
	if session, ok := Session(c); ok {
		p.CSRF = session.CSRF
	} else if token, ok := c.Locals(formTokenKey).(string); ok {
		p.CSRF = token
	} else if token, ok := s.formToken(c); ok {
		p.CSRF = token
	}
	p.Acting, _ = c.Locals(actingKey).(string)
	p.Flash = takeFlash(c)
	if f != nil {
		p.Errors = f.Fields
		if len(f.Fields) == 0 {
			p.Flash = &Flash{Kind: "bad", Text: f.Message}
		}
	}
	return p, nil
}

// SetActing has the page say for which of several accounts the person acts.
func SetActing(c *fiber.Ctx, account string) { c.Locals(actingKey, account) }

// SiteName is the name of whom the request's host belongs to.
func SiteName(c *fiber.Ctx) (string, error) {
	s := surfaceOf(c)
	if s == nil {
		return "", fmt.Errorf("name of the site: not within a surface")
	}
	site, err := s.site(c)
	return site.Name, err
}

// site is what pages show of the owner of the request's host. It is loaded
// once a request.
func (s *Surface) site(c *fiber.Ctx) (Site, error) {
	if site, ok := c.Locals(siteKey).(Site); ok {
		return site, nil
	}
	site := Site{Theme: "base"}
	if t, ok := Tenant(c); ok {
		site.Name, site.Theme = t.Name, t.Theme
	}
	if s.cfg.Site != nil {
		var err error
		if site, err = s.cfg.Site(c.UserContext(), DB(c)); err != nil {
			return Site{}, fmt.Errorf("load the site's brand: %w", err)
		}
	}
	site.BaseURL = BaseURL(c)
	c.Locals(siteKey, site)
	return site, nil
}

// BaseURL is the scheme, host and port the request came by, without a slash at the end.
func BaseURL(c *fiber.Ctx) string {
	at := arrivalOf(c)
	base := at.scheme + "://" + at.host
	if i := strings.LastIndexByte(at.authority, ':'); i >= 0 {
		base += at.authority[i:]
	}
	return base
}

// behind puts entries into a navigation, each behind the one whose pages it lies under.
func behind(nav, more []NavItem) []NavItem {
	for _, n := range more {
		at := len(nav)
		for i, x := range nav {
			if strings.HasPrefix(n.Href, x.Href+"/") {
				at = i + 1
			}
		}
		nav = slices.Insert(nav, at, n)
	}
	return nav
}

// markActive marks the entry whose path is the longest beginning of path. One that others
// lie under, the first page, stands for itself alone.
func markActive(nav []NavItem, path string) []NavItem {
	best := -1
	for i, n := range nav {
		nav[i].Active = false
		under := strings.TrimSuffix(n.Href, "/") + "/"
		above := slices.ContainsFunc(nav, func(o NavItem) bool { return o.Href != n.Href && strings.HasPrefix(o.Href, under) })
		mine := path == n.Href || !above && strings.HasPrefix(path, under) || n.Also != "" && strings.HasPrefix(path+"/", n.Also+"/")
		if mine && (best < 0 || len(n.Href) > len(nav[best].Href)) {
			best = i
		}
	}
	if best >= 0 {
		nav[best].Active = true
	}
	return nav
}

const maxFlash = 600

func encodeFlash(f Flash) string {
	text := f.Text
	for len(text) > maxFlash {
		_, n := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-n]
	}
	return base64.RawURLEncoding.EncodeToString([]byte(f.Kind + "\n" + text))
}

func decodeFlash(s string) (Flash, bool) {
	if s == "" || len(s) > 2*maxFlash {
		return Flash{}, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || !utf8.Valid(raw) {
		return Flash{}, false
	}
	kind, text, ok := strings.Cut(string(raw), "\n")
	switch kind {
	case "good", "warning", "bad", "info":
		return Flash{Kind: kind, Text: text}, ok && text != ""
	}
	return Flash{}, false
}

func takeFlash(c *fiber.Ctx) *Flash {
	f, ok := decodeFlash(Cookie(c, flashCookie))
	if !ok {
		return nil
	}
	SetCookie(c, flashCookie, "", -1)
	return &f
}

func surfaceOf(c *fiber.Ctx) *Surface {
	return arrivalOf(c).surface
}
