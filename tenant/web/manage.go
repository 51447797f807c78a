package web

import (
	"context"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/signin"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/identity/roster"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/report"
	"github.com/ezscale/ezscale/tenant/settings"
	"github.com/ezscale/ezscale/tenant/team"
)

// Office is what the pages for the reseller's team need.
type Office struct {
	Hosts     func(tenancy.ID) []string // every host of a tenant, from memory
	Refresh   func(ctx context.Context, ids ...tenancy.ID) error
	Letters   *mail.Letters                                                  // the words of mails
	Sender    func(ctx context.Context, db *tenancy.DB) (mail.Sender, error) // in whose name they go out
	MailAgain func(ctx context.Context, tx tenancy.Statements, id uuid.UUID) error
	Costs     report.Costs     // what running services cost the reseller; nil: no margins are shown
	Wholesale report.Wholesale // what months cost the reseller, as billed; nil: no margins by plan
	Months    *report.Closed   // the months that are over; may be nil
	Twins     Twins            // sandbox twins; nil: there are none
	Glances   *Glances         // the dashboard's figures of a moment ago; may be nil
	// Room asks what the reseller's wholesale tier gives; nil: there are no limits.
	Room func(ctx context.Context, tenant tenancy.ID) (Room, error)
}

// Room is what a reseller's wholesale tier gives of people and of services, and how many
// services there are; a limit of 0 is none.
type Room struct {
	Team, Services, HasServices int
}

// Full reports whether no service more can be sold.
func (r Room) Full() bool { return r.Services > 0 && r.HasServices >= r.Services }

// officeRoutes are the pages for the reseller's team, on one screen.
func (s *Site) officeRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: "/manage" + path, Needs: needs, Handler: h}
	}
	all := []surface.Route{
		at("GET", "", identity.DashboardRead, s.dashboard),
		at("GET", "/reports", identity.ReportsRead, s.showReport),
		at("GET", "/reports/margins", identity.ReportsRead, s.showMargins),
		at("GET", "/customers", identity.CustomersRead, s.listCustomers),
		at("GET", "/customers/:customer", identity.CustomersRead, s.showCustomer),
		at("POST", "/customers/:customer/exemption", identity.CustomersEdit, s.saveExemption),
		at("POST", "/customers/:customer/disable", identity.CustomersEdit, s.customerChange("%s cannot sign in any more.", (*account.Desk).Disable)),
		at("POST", "/customers/:customer/enable", identity.CustomersEdit, s.customerChange("%s can sign in again.", (*account.Desk).Enable)),
		at("POST", "/customers/:customer/verify", identity.CustomersEdit, s.customerChange("Sent %s a new link.", (*account.Desk).ResendVerification)),
		at("GET", "/settings", identity.SiteSettings, s.showSettings),
		at("POST", "/settings", identity.SiteSettings, s.saveSettings),
	}
	plane := func(c *fiber.Ctx) identity.Plane { return identity.InTenant(surface.DB(c)) }
	people := &office.Members{
		Path: "/manage/team", Layout: "manage", Title: "Team", Lead: "Who works for you here, and what they may do.",
		Needs: identity.TeamManage, Roles: teamRoles(), Desk: func(c *fiber.Ctx) office.Desk { return s.teamDesk(c) },
		Seats: func(c *fiber.Ctx) (taken, most int, err error) { return s.teamDesk(c).Seats(c.UserContext()) },
	}
	trail := &office.Trail{
		Path: "/manage/activity", Layout: "manage", Title: "Activity", Lead: "Everything that was changed in your shop, by whom.",
		Needs: identity.TenantAudit, Plane: plane, Href: activityHref,
	}
	mails := &office.Mails{
		Path: "/manage/mails", Layout: "manage", Lead: "What your shop wrote to people. The letters themselves are not kept.",
		Needs: identity.MailsRead, Plane: plane, Again: func(ctx context.Context, tx tenancy.Statements, id uuid.UUID) error {
			return s.Office.MailAgain(ctx, tx, id)
		},
	}
	all = append(all, people.Routes()...)
	all = append(all, trail.Routes()...)
	return append(all, mails.Routes()...)
}

func (s *Site) teamDesk(c *fiber.Ctx) *roster.Desk {
	t, _ := surface.Tenant(c)
	d := team.Desk(surface.DB(c), func(ctx context.Context, tx tenancy.Statements, to identity.Person, inviter string) error {
		return signin.Invite(ctx, tx, s.SignIn.Mail, "/manage", to, inviter)
	})
	if s.Office != nil && s.Office.Room != nil {
		d.Most = func(ctx context.Context) (int, error) {
			r, err := s.Office.Room(ctx, t.ID)
			return r.Team, err
		}
	}
	return d
}

func (s *Site) customerDesk() *account.Desk {
	return &account.Desk{Verify: func(ctx context.Context, tx tenancy.Statements, to identity.Person) error {
		return signin.Verify(ctx, tx, s.SignIn.Mail, "", to)
	}}
}

func teamRoles() []office.Role {
	return []office.Role{
		{Value: identity.ResellerOwner, Label: "Owner", Says: "Everything. Only an owner changes an owner."},
		{Value: identity.ResellerAdmin, Label: "Admin", Says: "Everything but the owners."},
		{Value: identity.ResellerDesign, Label: "Designer", Says: "Works on the brand and cannot publish it."},
		{Value: identity.ResellerAgent, Label: "Support", Says: "Sees customers, catalog and mails."},
	}
}

func activityHref(t audit.Target) string {
	switch t.Kind {
	case "brand":
		return "/manage/brand"
	case "domain":
		return "/manage/domains/" + t.ID
	case "settings":
		if t.ID == "referral" {
			return manageReferrals
		}
		if t.ID == "api" {
			return "/manage/api"
		}
		if t.ID == "billing" || t.ID == "tax" || t.ID == "renewals" || t.ID == "cancellations" || t.ID == "bookkeeping" {
			return "/manage/settings/" + t.ID
		}
		return "/manage/settings"
	case "invoice":
		return "/manage/invoices/" + t.ID
	case "service":
		return "/manage/services/" + t.ID
	case "gift_codes":
		return giftPath
	case "coupon":
		return "/manage/coupons/codes/" + t.ID
	case "twin":
		return "/manage/twins/one/" + t.ID
	}
	return ""
}

// Nav is the navigation of /manage, as far as the person may go.
func Nav(p identity.Principal) []surface.NavItem {
	var nav []surface.NavItem
	for _, item := range []struct {
		needs identity.Permission
		surface.NavItem
	}{
		{identity.DashboardRead, surface.NavItem{Label: "Overview", Href: "/manage", Icon: "layout-dashboard"}},
		{identity.ReportsRead, surface.NavItem{Label: "Reports", Href: "/manage/reports", Icon: "chart-bar"}},
		{identity.ReportsRead, surface.NavItem{Label: "Twins", Href: "/manage/twins", Icon: "hourglass"}},
		{identity.ReportsRead, surface.NavItem{Label: "Books", Href: booksPath, Icon: "book"}},
		{identity.CustomersRead, surface.NavItem{Label: "Customers", Href: "/manage/customers", Icon: "users"}},
		{identity.ServicesRead, surface.NavItem{Label: "Services", Href: "/manage/services", Icon: "server"}},
		{identity.SalesRead, surface.NavItem{Label: "Invoices", Href: "/manage/invoices", Icon: "file-invoice", Also: draftsPath}},
		{identity.SalesRead, surface.NavItem{Label: "Subscriptions", Href: "/manage/subscriptions", Icon: "rotate-clockwise"}},
		{identity.SalesRead, surface.NavItem{Label: "Orders", Href: "/manage/orders", Icon: "shopping-cart"}},
		{identity.CatalogRead, surface.NavItem{Label: "Catalog", Href: "/manage/catalog", Icon: "package"}},
		{identity.CatalogRead, surface.NavItem{Label: "Coupons", Href: "/manage/coupons", Icon: "tags"}},
		{identity.SalesRead, surface.NavItem{Label: "Referrals", Href: manageReferrals, Icon: "user-plus"}},
		{identity.SalesRead, surface.NavItem{Label: "Gift codes", Href: giftPath, Icon: "gift"}},
		{identity.SalesRead, surface.NavItem{Label: "Payments", Href: "/manage/payments", Icon: "credit-card"}},
		{identity.BrandRead, surface.NavItem{Label: "Brand", Href: "/manage/brand", Icon: "palette", Group: "Your shop"}},
		{identity.SiteDomains, surface.NavItem{Label: "Domains", Href: "/manage/domains", Icon: "world", Group: "Your shop"}},
		{identity.MailsRead, surface.NavItem{Label: "Mails", Href: "/manage/mails", Icon: "mail", Group: "Your shop"}},
		{identity.MailsWrite, surface.NavItem{Label: "Mail texts", Href: "/manage/mail-texts", Icon: "pencil", Group: "Your shop"}},
		{identity.TeamManage, surface.NavItem{Label: "Team", Href: "/manage/team", Icon: "user-cog", Group: "Your business"}},
		{identity.SiteSettings, surface.NavItem{Label: "Settings", Href: "/manage/settings", Icon: "settings", Group: "Your business"}},
		{identity.HooksManage, surface.NavItem{Label: "Webhooks", Href: "/manage/webhooks", Icon: "webhook", Group: "Your business"}},
		{identity.HooksManage, surface.NavItem{Label: "API", Href: "/manage/api", Icon: "key", Group: "Your business"}},
		{identity.GatewaysWrite, surface.NavItem{Label: "Payment methods", Href: "/manage/settings/payments", Icon: "cash", Group: "Your business"}},
		{identity.TenantAudit, surface.NavItem{Label: "Activity", Href: "/manage/activity", Icon: "history", Group: "Your business"}},
	} {
		if p.May(item.needs) {
			nav = append(nav, item.NavItem)
		}
	}
	return nav
}

type settingsView struct {
	settings.Form
	Locales, Currencies, Zones any
	RequireTOTP                bool
	OwnHost                    string
	Tabs                       []settingsTab
}

func (s *Site) settingsView(c *fiber.Ctx, f settings.Form) settingsView {
	t, _ := surface.Tenant(c)
	v := settingsView{Form: f, RequireTOTP: t.RequireTOTP, OwnHost: t.PrimaryHost, Tabs: settingsTabs(c)}
	v.Locales, v.Currencies, v.Zones = choices(f)
	return v
}
