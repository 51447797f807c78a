package web

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/media"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// immutable is for addresses that name their content: it never changes.
const immutable = "public, max-age=31536000, immutable"

// brandFileRoutes are what pages in a brand load, and the preview of a draft.
func (s *Site) brandFileRoutes() []surface.Route {
	return []surface.Route{
		{Method: fiber.MethodGet, Path: "/brand/:file", Needs: identity.Public, Handler: s.stylesheet},
		{Method: fiber.MethodGet, Path: "/media/:id/:file", Needs: identity.Public, Handler: s.upload},
		{Method: fiber.MethodGet, Path: "/preview/:token", Needs: identity.Public, Handler: s.sharedPreview},
	}
}

// stylesheet handles GET /brand/<hash>.css.
func (s *Site) stylesheet(c *fiber.Ctx) error {
	hash, _ := strings.CutSuffix(c.Params("file"), ".css")
	css, err := s.Brands.StylesheetNamed(c.UserContext(), surface.DB(c), hash)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "text/css; charset=utf-8")
	c.Set(fiber.HeaderCacheControl, immutable)
	return c.Send(css)
}

// upload handles GET /media/<upload>/<sha>.<ext>.
func (s *Site) upload(c *fiber.Ctx) error {
	f, err := s.Media.Open(c.UserContext(), surface.DB(c), c.Params("id"), c.Params("file"))
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentSecurityPolicy, media.Policy)
	c.Set(fiber.HeaderContentType, f.MediaType)
	c.Set(fiber.HeaderCacheControl, immutable)
	return c.Send(f.Bytes)
}

// sharedPreview handles GET /preview/<token>: the draft, for whoever has the link.
func (s *Site) sharedPreview(c *fiber.Ctx) error {
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set("X-Robots-Tag", "noindex, nofollow")
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer") // the address is the key
	b, err := s.Brands.Preview(c.UserContext(), surface.DB(c), c.Params("token"))
	if err != nil {
		return err
	}
	return s.showDraft(c, b)
}

// showDraft renders the shop's home page in a brand that is not published.
func (s *Site) showDraft(c *fiber.Ctx, b branding.Brand) error {
	db := surface.DB(c)
	p := shopPage{brand: b}
	err := db.View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
		p.shelf, err = catalog.Public(c.UserContext(), tx, db.Tenant().Currency)
		return err
	})
	if err != nil {
		return err
	}
	return surface.RenderAs(c, "shop", SiteOf(b, p.shelf), "shop", "shop/home", b.Name, homeOf(p, canonical(c, "/")))
}
