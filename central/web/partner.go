package web

import (
	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/signin"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// Partner serves resellers as the platform's customers, at the partner centre. Its
// fields are what its pages need; cmd fills them.
type Partner struct {
	Central   *tenancy.Central
	SignIn    signin.Parts
	Wholesale *wholesale.Desk
}

// Routes is every route of the partner centre, on one screen.
func (s *Partner) Routes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: path, Needs: needs, Handler: h}
	}
	people := &signin.Pages{
		Parts: s.SignIn, World: identity.Partner, Layout: "partner", Home: "/",
		Plane: func(*fiber.Ctx) identity.Plane { return identity.InCentral(s.Central) },
	}
	return append(people.Routes(),
		at("GET", "/", identity.StatementRead, s.overview),
		at("GET", "/prices", identity.StatementRead, s.prices),
	)
}

// PartnerNav is the partner centre's navigation, as far as the person may go.
func PartnerNav(p identity.Principal) []surface.NavItem {
	if !p.May(identity.StatementRead) {
		return nil
	}
	return []surface.NavItem{
		{Label: "Overview", Href: "/", Icon: "layout-dashboard"},
		{Label: "Price list", Href: "/prices", Icon: "tags"},
	}
}

// mine is the reseller whom the person who asks speaks for.
func (s *Partner) mine(c *fiber.Ctx) (wholesale.Partner, error) {
	p, _ := surface.Principal(c)
	return s.Wholesale.PartnerOf(c.UserContext(), p.PersonID, c.Query("for"))
}

type partnerOverview struct {
	Partner wholesale.Partner
	Terms   *wholesale.Terms // nil: none yet
}

func (s *Partner) overview(c *fiber.Ctx) error {
	me, err := s.mine(c)
	if err != nil {
		return err
	}
	terms, err := s.Wholesale.Terms(c.UserContext(), me.ID)
	if err != nil {
		return err
	}
	v := partnerOverview{Partner: me}
	for _, t := range terms { // the newest first
		if !t.From.After(s.Central.Now()) {
			v.Terms = &t
			break
		}
	}
	return surface.Render(c, "partner", "partner/overview", "Overview", v)
}

type pricesView struct {
	Partner wholesale.Partner
	Rows    []wholesale.Listed
}

func (s *Partner) prices(c *fiber.Ctx) error {
	me, err := s.mine(c)
	if err != nil {
		return err
	}
	rows, err := s.Wholesale.PriceList(c.UserContext(), me.ID)
	if err != nil {
		return err
	}
	return surface.Render(c, "partner", "partner/prices", "Price list", pricesView{Partner: me, Rows: rows})
}
