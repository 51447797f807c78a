package web

import (
	"encoding/xml"
	"fmt"
	"html"
	"unicode"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/catalog"
)

func (s *Site) shopRoutes() []surface.Route {
	get := func(path string, h fiber.Handler) surface.Route {
		return surface.Route{Method: fiber.MethodGet, Path: path, Needs: identity.Public, Handler: h}
	}
	return []surface.Route{
		get("/", s.home),
		get("/products/:product", s.product),
		get("/products/:product/:plan", s.plan),
		{Method: fiber.MethodPost, Path: "/products/:product/:plan", Needs: identity.Public, Handler: s.plan},
		get("/contact", s.contact),
		get("/legal/:page", s.legal),
		get("/robots.txt", s.robots),
		get("/sitemap.xml", s.sitemap),
		get("/favicon.svg", s.favicon),
		get("/favicon.ico", s.favicon),
	}
}

// shopPage is what every page of the shop is made from.
type shopPage struct {
	brand branding.Brand
	shelf []catalog.Product
}

// read loads the brand and the shelf. A page in the cache costs neither.
func (s *Site) read(c *fiber.Ctx) (shopPage, error) {
	db := surface.DB(c)
	brand, err := s.Brands.Brand(c.UserContext(), db)
	if err != nil {
		return shopPage{}, err
	}
	p := shopPage{brand: brand}
	err = db.View(c.UserContext(), func(tx *tenancy.Tx) error {
		p.shelf, err = catalog.Public(c.UserContext(), tx, db.Tenant().Currency)
		return err
	})
	return p, err
}

// home handles GET /.
func (s *Site) home(c *fiber.Ctx) error {
	p, err := s.read(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "shop", "shop/home", p.brand.Name, homeOf(p, canonical(c, "/")))
}

// product handles GET /products/:product.
func (s *Site) product(c *fiber.Ctx) error {
	p, err := s.read(c)
	if err != nil {
		return err
	}
	view, err := productOf(p, c.Params("product"))
	if err != nil {
		return err
	}
	view.Canonical = canonical(c, view.Product.Href)
	return surface.Render(c, "shop", "shop/product", view.Product.Name, view)
}

// contact handles GET /contact.
func (s *Site) contact(c *fiber.Ctx) error {
	p, err := s.read(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "shop", "shop/contact", "Contact", contactView{
		Name: p.brand.Name, Email: p.brand.Texts.SupportEmail, Facts: p.brand.Texts.Facts, Questions: p.brand.Texts.Questions,
		Imprint: p.brand.Texts.Imprint != "", Canonical: canonical(c, "/contact"),
	})
}

// legal handles GET /legal/:page.
func (s *Site) legal(c *fiber.Ctx) error {
	brand, err := s.Brands.Brand(c.UserContext(), surface.DB(c))
	if err != nil {
		return err
	}
	for _, l := range legalPages(brand.Texts) {
		if l.Slug == c.Params("page") {
			return surface.Render(c, "shop", "shop/legal", l.Title, legalView{Title: l.Title, Markdown: l.Markdown, Canonical: canonical(c, "/legal/"+l.Slug)})
		}
	}
	return fault.New(fault.NotFound, "legal_page.not_found", "There is no such page.")
}

// canonical is the address search engines should know a page by: on the tenant's
// primary host, whichever of its hosts was asked.
func canonical(c *fiber.Ctx, path string) string {
	t, _ := surface.Tenant(c)
	if t.PrimaryHost == "" || t.PrimaryHost == surface.Host(c) {
		return surface.BaseURL(c) + path
	}
	return "https://" + t.PrimaryHost + path
}

// robots handles GET /robots.txt. A sandbox asks not to be found.
func (s *Site) robots(c *fiber.Ctx) error {
	c.Set(fiber.HeaderContentType, fiber.MIMETextPlainCharsetUTF8)
	if t, _ := surface.Tenant(c); t.Sandbox {
		return c.SendString("User-agent: *\nDisallow: /\n")
	}
	return c.SendString("User-agent: *\nDisallow: /manage\nDisallow: /client\n\nSitemap: " + canonical(c, "/sitemap.xml") + "\n")
}

type sitemapURL struct {
	Location string `xml:"loc"`
	Changed  string `xml:"lastmod,omitempty"`
}

// sitemap handles GET /sitemap.xml.
func (s *Site) sitemap(c *fiber.Ctx) error {
	p, err := s.read(c)
	if err != nil {
		return err
	}
	set := struct {
		XMLName xml.Name     `xml:"http://www.sitemaps.org/schemas/sitemap/0.9 urlset"`
		URLs    []sitemapURL `xml:"url"`
	}{URLs: []sitemapURL{{Location: canonical(c, "/")}}}
	for _, product := range p.shelf {
		changed := product.ChangedAt.UTC().Format("2006-01-02")
		set.URLs = append(set.URLs, sitemapURL{canonical(c, "/products/"+product.Slug), changed})
		for _, plan := range product.Plans {
			set.URLs = append(set.URLs, sitemapURL{canonical(c, "/products/"+product.Slug+"/"+plan.Slug), changed})
		}
	}
	set.URLs = append(set.URLs, sitemapURL{Location: canonical(c, "/contact")})
	for _, l := range legalPages(p.brand.Texts) {
		set.URLs = append(set.URLs, sitemapURL{Location: canonical(c, "/legal/"+l.Slug)})
	}
	body, err := xml.Marshal(set)
	if err != nil {
		return fmt.Errorf("write the sitemap: %w", err)
	}
	c.Set(fiber.HeaderContentType, "application/xml; charset=utf-8")
	return c.Send(append([]byte(xml.Header), body...))
}

// favicon handles GET /favicon.svg: the reseller's own, or the first letter of the
// name on the brand's colour.
func (s *Site) favicon(c *fiber.Ctx) error {
	brand, err := s.Brands.Brand(c.UserContext(), surface.DB(c))
	if err != nil {
		return err
	}
	if brand.FaviconURL != "" {
		return c.Redirect(brand.FaviconURL, fiber.StatusFound)
	}
	letter, _ := utf8.DecodeRuneInString(brand.Name)
	palette, _ := branding.PaletteFor(brand.Tokens, branding.Light)
	c.Set(fiber.HeaderContentType, "image/svg+xml")
	c.Set(fiber.HeaderCacheControl, "public, max-age=3600")
	return c.SendString(fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="%s"/>`+
		`<text x="16" y="22.5" text-anchor="middle" font-family="system-ui,sans-serif" font-size="19" font-weight="700" fill="%s">%s</text></svg>`,
		palette.Brand, palette.BrandFG, html.EscapeString(string(unicode.ToUpper(letter)))))
}
