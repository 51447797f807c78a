// Package surface serves one kind of site: it turns a list of routes, each with the
// permission it needs, into an HTTP handler with the middleware every page has,
// and is the one place that turns an error into a page, a fragment or a problem
// document. It knows no feature.
package surface

import (
	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// Route is one line of a surface's table of routes.
type Route struct {
	Method  string
	Path    string // Fiber's pattern; also the label in metrics
	Needs   identity.Permission
	Handler fiber.Handler
}

// Site is what every page of a host shows of its owner's brand.
type Site struct {
	Name          string
	BaseURL       string // scheme, host and port this request came by; no trailing slash
	Theme         string
	StylesheetURL string // the brand's immutable, hashed stylesheet
	LogoURL       string // empty: show the name
	LogoDarkURL   string
	FaviconURL    string
	Texts         map[string]string // what the shop says, by key; see branding
	SupportEmail  string
	Restriction   tenancy.Restriction // of a reseller who does not pay the platform
	Menu          []NavItem           // the shop's own navigation: its products
	Client        []NavItem           // of the customers' navigation, what not every shop has
	Legal         []NavItem           // legal pages, in the foot of every page
}

// NavItem is one entry of a surface's navigation.
type NavItem struct {
	Label, Href, Icon string
	Group             string // heading above it in a console's rail, or what it lies under in a row of tabs; empty: none
	Also              string // another path whose pages belong to it; empty: none
	Active            bool
}

// NavTabs is the navigation as a row of tabs, in which each group is one that leads to its
// first entry.
func (p Page) NavTabs() (tabs []NavItem) {
	at := map[string]int{}
	for _, n := range p.Nav {
		first, seen := at[n.Group]
		switch {
		case n.Group == "":
			tabs = append(tabs, n)
		case seen:
			tabs[first].Active = tabs[first].Active || n.Active
		default:
			at[n.Group] = len(tabs)
			tabs = append(tabs, NavItem{Label: n.Group, Href: n.Href, Icon: n.Icon, Active: n.Active})
		}
	}
	return tabs
}

// NavGroup is the group the page lies in, whole; empty when it lies in none.
func (p Page) NavGroup() (group []NavItem) {
	for _, active := range p.Nav {
		if !active.Active || active.Group == "" {
			continue
		}
		for _, n := range p.Nav {
			if n.Group == active.Group {
				group = append(group, n)
			}
		}
	}
	return group
}

// Flash is what the last action has to say, shown once.
type Flash struct {
	Kind string // good, warning, bad, info
	Text string
}

// Page is what every template gets. View is the page's own plain struct.
type Page struct {
	Title     string
	Surface   string // shop, client, manage, console
	Path      string
	Locale    string
	Site      Site
	Person    *identity.Principal // nil: nobody is signed in
	CSRF      string
	Nav       []NavItem
	Flash     *Flash
	Errors    map[string]string // per form field, after a fault with fields
	RequestID string
	View      any
	// Acting is the account the person acts for; empty unless they could act for another.
	Acting string
}

type key int

const (
	principalKey key = iota
	siteKey
	arrivalKey
	routeKey
	sessionKey
	personKey
	formTokenKey
	identityErrorKey
	actingKey
)

// Tenant is whose host the request came by; false on the platform's own hosts.
func Tenant(c *fiber.Ctx) (tenancy.Tenant, bool) {
	at := arrivalOf(c)
	return at.tenant, at.db != nil
}

// DB is the handle bound to the request's tenant. It is nil on the platform's own hosts.
func DB(c *fiber.Ctx) *tenancy.DB {
	return arrivalOf(c).db
}

// Principal is who is signed in on this surface.
func Principal(c *fiber.Ctx) (identity.Principal, bool) {
	p, ok := c.Locals(principalKey).(identity.Principal)
	return p, ok
}

// RequestID names the request in logs, audit rows and error pages.
func RequestID(c *fiber.Ctx) string {
	return arrivalOf(c).request
}

// Host is the host the request came by: lower case, ASCII, no port, no trailing dot.
func Host(c *fiber.Ctx) string {
	return arrivalOf(c).host
}

// ClientCountry is the country of the visitor's address as a trusted proxy says it; empty: it is not known.
func ClientCountry(c *fiber.Ctx) string { return arrivalOf(c).country }

// ClientIP is the visitor's address, taken from a proxy header only when the proxy is configured as trusted.
func ClientIP(c *fiber.Ctx) string {
	return arrivalOf(c).ip
}
