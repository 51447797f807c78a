package web

import (
	"fmt"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/hosting"
)

func (s *Site) clientRoutes() []surface.Route {
	return []surface.Route{
		{Method: fiber.MethodGet, Path: "/client", Needs: identity.SignedIn, Handler: s.overview},
	}
}

// ClientNav is the client area's navigation.
func ClientNav(identity.Principal) []surface.NavItem {
	return []surface.NavItem{
		{Label: "Overview", Href: "/client", Icon: "home"},
		{Label: "Services", Href: "/client/services", Icon: "server"},
		{Label: "Invoices", Href: "/client/invoices", Icon: "file-invoice"},
		{Label: "Subscriptions", Href: "/client/subscriptions", Icon: "rotate-clockwise"},
		{Label: "Orders", Href: "/client/orders", Icon: "shopping-cart"},
		{Label: "API", Href: "/client/api", Icon: "code"},
		{Label: "Payment methods", Href: "/client/payment-methods", Icon: "credit-card"},
		{Label: "Security", Href: "/client/security", Icon: "shield-lock"},
	}
}

// overviewView is the client area's first page.
type overviewView struct {
	FirstName     string
	Accounts      []accountView
	Services      []serviceRow // the newest that have not ended
	EmailVerified bool
	HasTOTP       bool
	SupportEmail  string
	CanBuy        bool // the shop has something to offer
}

type accountView struct {
	Name string `bun:"name"`
	Role string `bun:"role"`
}

// accountRoles says a member's role in words.
var accountRoles = map[string]string{
	"owner": "Owner", "admin": "Administrator", "technical": "Technical contact", "billing": "Billing contact", "read_only": "Read only",
}

// overview handles GET /client.
func (s *Site) overview(c *fiber.Ctx) error {
	person, _ := surface.Principal(c)
	db := surface.DB(c)
	shown, err := s.Shown(c.UserContext(), db)
	if err != nil {
		return err
	}
	v := overviewView{FirstName: person.Name, HasTOTP: person.HasTOTP, SupportEmail: shown.SupportEmail, CanBuy: len(shown.Menu) > 0}
	err = db.View(c.UserContext(), func(tx *tenancy.Tx) error {
		err := tx.NewRaw(`SELECT a.name, m.role FROM memberships m JOIN accounts a ON a.id = m.account_id
			WHERE m.person_id = ? ORDER BY a.name`, person.PersonID).Scan(c.UserContext(), &v.Accounts)
		if err != nil {
			return fmt.Errorf("read the accounts: %w", err)
		}
		err = tx.NewRaw(`SELECT email_verified_at IS NOT NULL FROM people WHERE id = ?`, person.PersonID).Scan(c.UserContext(), &v.EmailVerified)
		if err != nil {
			return fmt.Errorf("read the person: %w", err)
		}
		found, err := hosting.Newest(c.UserContext(), tx, person.PersonID, 8, false)
		for _, x := range found {
			v.Services = append(v.Services, serviceRow{x, serviceStatus(&x.Service)})
		}
		return err
	})
	if err != nil {
		return err
	}
	for i, a := range v.Accounts {
		v.Accounts[i].Role = accountRoles[a.Role]
	}
	return surface.Render(c, "client", "client/overview", "Overview", v)
}
