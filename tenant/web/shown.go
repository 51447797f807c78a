package web

import (
	"context"
	"sync"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/referral"
)

// maxShown bounds the sites kept in memory; one is a few hundred bytes.
const maxShown = 2048

// shownSites keeps what every page shows of its site, as long as neither the brand
// nor anything else anonymous visitors see has changed.
type shownSites struct {
	mu    sync.Mutex
	known map[tenancy.ID]shownSite
}

type shownSite struct {
	brand, content int64
	site           surface.Site
}

// Shown is what every page of the tenant shows of its owner's brand: name, logo,
// stylesheet, menu of products and legal pages. It fits surface.Config.Site.
func (s *Site) Shown(ctx context.Context, db *tenancy.DB) (surface.Site, error) {
	t := db.Tenant()
	s.shown.mu.Lock()
	kept, ok := s.shown.known[t.ID]
	s.shown.mu.Unlock()
	if ok && kept.brand == t.BrandVersion && kept.content == t.ContentVersion && kept.site.Name == t.Name {
		kept.site.Restriction = t.Restriction
		return kept.site, nil
	}
	brand, err := s.Brands.Brand(ctx, db)
	if err != nil {
		return surface.Site{}, err
	}
	var shelf []catalog.Product
	var brings referral.Program
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		if brings, err = referral.Of(ctx, tx); err == nil {
			shelf, err = catalog.Public(ctx, tx, t.Currency)
		}
		return err
	})
	if err != nil {
		return surface.Site{}, err
	}
	site := SiteOf(brand, shelf)
	if site.Restriction = t.Restriction; brings.On {
		site.Client = []surface.NavItem{{Label: "Referrals", Href: referralsPath, Icon: "gift"}}
	}
	s.shown.mu.Lock()
	defer s.shown.mu.Unlock()
	if s.shown.known == nil || len(s.shown.known) >= maxShown {
		s.shown.known = map[tenancy.ID]shownSite{}
	}
	s.shown.known[t.ID] = shownSite{brand: t.BrandVersion, content: t.ContentVersion, site: site}
	return site, nil
}

// maxMenu is how many products the head of a page holds.
const maxMenu = 5

// SiteOf is what pages show of a brand and a shelf. A preview passes a draft's brand.
func SiteOf(b branding.Brand, shelf []catalog.Product) surface.Site {
	site := surface.Site{
		Name: b.Name, Theme: b.Theme, StylesheetURL: b.StylesheetURL,
		LogoURL: b.LogoURL, LogoDarkURL: b.LogoDarkURL, FaviconURL: b.FaviconURL,
		SupportEmail: b.Texts.SupportEmail,
		Texts:        map[string]string{"headline": b.Texts.Headline, "tagline": b.Texts.Subline},
	}
	for _, p := range shelf {
		if len(site.Menu) < maxMenu {
			site.Menu = append(site.Menu, surface.NavItem{Label: p.Name, Href: "/products/" + p.Slug})
		}
	}
	for _, l := range legalPages(b.Texts) {
		site.Legal = append(site.Legal, surface.NavItem{Label: l.Title, Href: "/legal/" + l.Slug})
	}
	return site
}

// legalPage is one of the texts a shop must show.
type legalPage struct{ Slug, Title, Markdown string }

// legalPages are those the reseller has written, in the order they are listed.
func legalPages(t branding.Texts) []legalPage {
	var written []legalPage
	for _, l := range []legalPage{
		{"imprint", "Imprint", t.Imprint},
		{"terms", "Terms of service", t.Terms},
		{"privacy", "Privacy", t.Privacy},
	} {
		if l.Markdown != "" {
			written = append(written, l)
		}
	}
	return written
}
