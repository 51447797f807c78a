package web

import (
	"context"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/signin"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/central/partner"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// Partner serves resellers as the platform's customers, at the partner centre. Its
// fields are what its pages need; cmd fills them.
type Partner struct {
	Central   *tenancy.Central
	SignIn    signin.Parts
	Wholesale *wholesale.Desk
	Shops     *partner.Desk // where a business opens its shop
	// Connected takes what the gateway tells of resellers' connected accounts; nil: nothing.
	Connected func(ctx context.Context, header http.Header, body []byte) error
	SiteURL   func(c *fiber.Ctx, host string) string                    // where a shop is, seen from here; nil: https
	Team      func(ctx context.Context, tenant tenancy.ID) (int, error) // how many people work for a reseller; nil: not said
}

// Routes is every route of the partner centre, on one screen.
func (s *Partner) Routes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: path, Needs: needs, Handler: h}
	}
	people := &signin.Pages{
		Parts: s.SignIn, World: identity.Partner, Layout: "partner", Home: "/",
		Plane: func(*fiber.Ctx) identity.Plane { return identity.InCentral(s.Central) }, Role: identity.PartnerOwner,
	}
	return append(append(append(people.Routes(), s.openRoutes(people)...), append(s.payRoutes(), s.balanceRoutes()...)...),
		at("GET", "/", identity.StatementRead, s.overview),
		at("POST", "/choose", identity.StatementRead, s.choose),
		at("GET", "/month", identity.StatementRead, s.month),
		at("GET", "/prices", identity.StatementRead, s.prices),
		at("GET", "/invoices", identity.StatementRead, s.invoices),
		at("GET", "/invoices/:invoice", identity.StatementRead, s.invoice),
		at("GET", "/invoices/:invoice/pdf", identity.StatementRead, s.pdf),
		at("GET", "/invoices/:invoice/lines/:line", identity.StatementRead, s.line),
		at("GET", "/questions", identity.StatementRead, s.questions),
		at("GET", "/credits/:credit/pdf", identity.StatementRead, s.credit),
		at("POST", "/invoices/:invoice/lines/:line/question", identity.StatementRead, s.ask),
	)
}

// PartnerNav is the partner centre's navigation, as far as the person may go.
func PartnerNav(p identity.Principal) []surface.NavItem {
	if !p.May(identity.StatementRead) {
		return nil
	}
	return []surface.NavItem{
		{Label: "Overview", Href: "/", Icon: "layout-dashboard"},
		{Label: "Invoices", Href: "/invoices", Icon: "receipt"},
		{Label: "Balance", Href: balancePath, Icon: "wallet"},
		{Label: "Your shop", Href: "/shop", Icon: "building-store"},
		{Label: "Price list", Href: "/prices", Icon: "tags"},
		{Label: "Billing details", Href: billingPath, Icon: "credit-card"},
	}
}

// mine is the reseller whom the person who asks speaks for: the one they chose last, where
// they speak for several.
func (s *Partner) mine(c *fiber.Ctx) (wholesale.Partner, error) {
	me, _, err := s.mineOf(c)
	return me, err
}

// mineOf is mine with all resellers the person speaks for.
func (s *Partner) mineOf(c *fiber.Ctx) (me wholesale.Partner, all []wholesale.Partner, err error) {
	p, _ := surface.Principal(c)
	if all, err = s.Wholesale.PartnersOf(c.UserContext(), p.PersonID); err != nil {
		return me, nil, err
	}
	if wanted := c.Query("for"); wanted != "" {
		me, err = wholesale.Chosen(all, wanted)
		return me, all, err
	}
	if me, err = wholesale.Chosen(all, surface.Cookie(c, shopCookie)); fault.Is(err, "partner.unknown") { // somebody else's of this browser
		me, err = wholesale.Chosen(all, "")
	}
	return me, all, err
}

// shopCookie remembers which of several shops a person looks at. It says nothing that is
// not asked for again with each page.
const (
	shopCookie = "ez_shop"
	shopFor    = 365 * 24 * time.Hour
)

// choose handles POST /choose: which of several shops the pages are about.
func (s *Partner) choose(c *fiber.Ctx) error {
	p, _ := surface.Principal(c)
	all, err := s.Wholesale.PartnersOf(c.UserContext(), p.PersonID)
	if err != nil {
		return err
	}
	me, err := wholesale.Chosen(all, table.Text(c.FormValue("shop"), 40))
	if err != nil {
		return err
	}
	surface.SetCookie(c, shopCookie, me.ID.String(), shopFor)
	return surface.Redirect(c, "/", "These pages are about "+me.Name+" now.")
}
