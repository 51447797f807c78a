package web

import (
	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/invoicing"
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
		{Label: "Invoices", Href: "/client/invoices", Icon: "file-invoice", Group: "Billing"},
		{Label: "Subscriptions", Href: "/client/subscriptions", Icon: "rotate-clockwise", Group: "Billing"},
		{Label: "Orders", Href: "/client/orders", Icon: "shopping-cart", Group: "Billing"},
		{Label: "Payment methods", Href: "/client/payment-methods", Icon: "credit-card", Group: "Billing"},
		{Label: "Credit", Href: creditPath, Icon: "wallet", Group: "Billing"},
		{Label: "Account", Href: accountPath, Icon: "users"},
		{Label: "Security", Href: "/client/security", Icon: "shield-lock"},
		{Label: "API", Href: "/client/api", Icon: "code"},
	}
}

// overviewView is the client area's first page.
type overviewView struct {
	FirstName     string
	Acting        account.Acting
	RoleLabel     string
	Services      []serviceRow // the newest that have not ended
	Open          []invoiceRow // that wait for a payment, the first due first
	OpenTotal     int
	SeesMoney     bool
	EmailVerified bool
	HasTOTP       bool
	SupportEmail  string
	CanBuy        bool // the shop has something to offer
	Brings        bool // whoever brings others gets credit
}

// overview handles GET /client.
func (s *Site) overview(c *fiber.Ctx) error {
	person, _ := surface.Principal(c)
	p, _ := surface.Person(c)
	db := surface.DB(c)
	shown, err := s.Shown(c.UserContext(), db)
	if err != nil {
		return err
	}
	v := overviewView{FirstName: person.Name, HasTOTP: person.HasTOTP, EmailVerified: !p.EmailVerifiedAt.IsZero(), SupportEmail: shown.SupportEmail, CanBuy: len(shown.Menu) > 0, Brings: len(shown.Client) > 0}
	err = db.View(c.UserContext(), func(tx *tenancy.Tx) error {
		a, err := acting(c, tx)
		if err != nil {
			return err
		}
		v.Acting, v.RoleLabel, v.SeesMoney = a, a.Role.Label(), a.May(account.InvoicesSee)
		found, err := hosting.Newest(c.UserContext(), tx, a.AccountID, 8, false)
		for _, x := range found {
			v.Services = append(v.Services, serviceRow{x, serviceStatus(&x.Service)})
		}
		if err != nil || !v.SeesMoney {
			return err
		}
		open, total, err := invoicing.Listed(c.UserContext(), tx, invoicing.Filter{AccountID: a.AccountID, State: invoicing.Open, Kind: document.Invoice, Sort: "due", Limit: 5})
		v.Open, v.OpenTotal = invoiceRows(open, tx.Now()), total
		return err
	})
	if fault.Is(err, "account.none") {
		return surface.Redirect(c, accountsPath, "")
	}
	if err != nil {
		return err
	}
	return surface.Render(c, "client", "client/overview", "Overview", v)
}
