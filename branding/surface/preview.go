package surface

import (
	"github.com/gofiber/fiber/v2"
)

// Policies of pages that hold or are held by a frame of the same site; every other
// page has ContentSecurityPolicy.
const (
	// FramingPolicy is for a page that shows another page of its site in a frame.
	FramingPolicy = ContentSecurityPolicy + "; frame-src 'self'"
	// FramedPolicy is for a page that its own site may show in a frame.
	FramedPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; " +
		"connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)

// letterPolicy is for a mail in a frame: its styles stand in it, nothing in it runs, and
// it is of no origin.
const letterPolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox"

// Letter answers with a mail's HTML, for a frame of the same site to show.
func Letter(c *fiber.Ctx, html string) error {
	c.Set("X-Robots-Tag", "noindex, nofollow")
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set(fiber.HeaderContentSecurityPolicy, letterPolicy)
	c.Set(fiber.HeaderContentType, "text/html; charset=utf-8")
	return c.SendString(html)
}

// Framing lets the page of this answer show other pages of its site in frames.
func Framing(c *fiber.Ctx) { c.Set(fiber.HeaderContentSecurityPolicy, FramingPolicy) }

// RenderAs answers with a page of another area (such as the shop, from within
// /manage) in a given brand, to be looked at: nobody is signed in on it, no form
// works, search engines are told to leave it alone and nothing keeps it.
func RenderAs(c *fiber.Ctx, area string, site Site, layout, page, title string, view any) error {
	p, err := compose(c, page, title, view, nil)
	if err != nil {
		return err
	}
	site.BaseURL = BaseURL(c)
	p.Site, p.Surface, p.Nav, p.Person, p.CSRF, p.Flash = site, area, nil, nil, "", nil
	c.Set("X-Robots-Tag", "noindex, nofollow")
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set(fiber.HeaderContentSecurityPolicy, FramedPolicy)
	return render(c, fiber.StatusOK, layout, page, p)
}
