package web

import (
	"context"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/central/platform"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/central/watch"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/identity/roster"
	"github.com/ezscale/ezscale/tenancy/queue"
)

// Jobs is the queue as staff look after it; queue.Jobs is one.
type Jobs interface {
	List(ctx context.Context, f queue.Filter) ([]queue.JobView, error)
	Get(ctx context.Context, id int64) (queue.JobView, error)
	Retry(ctx context.Context, id int64) (queue.JobView, error)
	Cancel(ctx context.Context, id int64) (queue.JobView, error)
	Count(ctx context.Context) (map[queue.State]int64, error)
}

// Peek looks into a reseller's own schema for the few things staff may see of it.
type Peek func(ctx context.Context, id tenancy.ID) (Inside, error)

// Inside is what staff see of a reseller's own schema.
type Inside struct {
	reseller.Inside
	Members []roster.Member
}

// Part is something the platform runs on, and how it is.
type Part struct {
	Name   string
	OK     bool
	Detail string
}

// Office is what the console's pages about the platform need.
type Office struct {
	Resellers *reseller.Desk
	Staff     *roster.Desk
	Alerts    *alerts.Desk
	Watch     *watch.Watch
	Platforms *platform.Registry
	LookAgain platform.Nudge // has a reseller's side look at a service now
	Jobs      Jobs           // nil: this process has no view on the queue
	Peek      Peek
	Parts     func(ctx context.Context) []Part // Redis, this node and so on; nil: nothing more to say
	MailAgain func(ctx context.Context, tx tenancy.Statements, id uuid.UUID) error
	Currency  string                                 // in which the platform's months are shown; empty: EUR
	SiteURL   func(c *fiber.Ctx, host string) string // where a reseller's site is, seen from here; nil: https
}

// officeRoutes are the pages about resellers, staff and the platform, on one screen.
func (s *Console) officeRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: path, Needs: needs, Handler: h}
	}
	all := []surface.Route{
		at("GET", "/", identity.SystemRead, s.overview),
		at("GET", "/business", identity.WholesaleRead, s.showBusiness),
		at("GET", "/resellers", identity.ResellersRead, s.listResellers),
		at("GET", "/resellers/new", identity.ResellersWrite, s.newReseller),
		at("GET", "/resellers/new/address", identity.ResellersWrite, s.askSlug),
		at("POST", "/resellers", identity.ResellersWrite, s.createReseller),
		at("GET", "/resellers/:id", identity.ResellersRead, s.showReseller),
		at("GET", "/resellers/:id/domains", identity.DomainsRead, s.showResellerDomains),
		at("GET", "/resellers/:id/people", identity.ResellersRead, s.showResellerPeople),
		at("GET", "/resellers/:id/activity", identity.PlatformAudit, s.showResellerActivity),
		at("GET", "/resellers/:id/settings", identity.ResellersWrite, s.showResellerSettings),
		at("POST", "/resellers/:id/name", identity.ResellersWrite, s.renameReseller),
		at("POST", "/resellers/:id/policy", identity.ResellersWrite, s.setPolicy),
		at("GET", "/resellers/:id/do/:action", identity.ResellersWrite, s.showAction),
		at("POST", "/resellers/:id/do/:action", identity.ResellersWrite, s.doAction),
		at("GET", "/people/:person", identity.PlatformAudit, s.showPerson),
		at("GET", "/jobs", identity.JobsRead, s.listJobs),
		at("GET", "/jobs/:job", identity.JobsRead, s.showJob),
		at("POST", "/jobs/:job/retry", identity.JobsOperate, s.retryJob),
		at("POST", "/jobs/:job/cancel", identity.JobsOperate, s.cancelJob),
		at("GET", "/system", identity.SystemRead, s.showSystem),
		at("GET", "/palette.json", identity.SignedIn, s.palette),
	}
	plane := func(*fiber.Ctx) identity.Plane { return identity.InCentral(s.Central) }
	people := &office.Members{
		Path: "/staff", Layout: "console", Title: "Staff", Lead: "Who works at the platform, and what they may do.",
		Needs: identity.StaffManage, Roles: staffRoles(), Desk: func(*fiber.Ctx) office.Desk { return s.Office.Staff },
	}
	trail := &office.Trail{
		Path: "/audit", Layout: "console", Title: "Audit trail", Lead: "Everything that was changed, by whom. Entries are chained and cannot be altered.",
		Needs: identity.PlatformAudit, Plane: plane, Href: hrefOf,
	}
	mails := &office.Mails{
		Path: "/mails", Layout: "console", Lead: "What the platform itself wrote. Resellers see their own shop's mails.",
		Needs: identity.SystemRead, Plane: plane, Again: func(ctx context.Context, tx tenancy.Statements, id uuid.UUID) error {
			return s.Office.MailAgain(ctx, tx, id)
		},
	}
	all = append(all, s.alertRoutes()...)
	all = append(all, s.twinRoutes()...)
	all = append(all, people.Routes()...)
	all = append(all, trail.Routes()...)
	return append(all, mails.Routes()...)
}

func staffRoles() []office.Role {
	return []office.Role{
		{Value: identity.StaffAdmin, Label: "Admin", Says: "Everything, also who works here."},
		{Value: identity.StaffSupport, Label: "Support", Says: "Sees resellers, domains and jobs; retries and pauses."},
		{Value: identity.StaffBilling, Label: "Billing", Says: "Sees resellers and the system."},
		{Value: identity.StaffReadOnly, Label: "Read only", Says: "Sees resellers, domains, jobs and the system; changes nothing."},
	}
}

// hrefOf leads from an entry of the trail to what it is about.
func hrefOf(t audit.Target) string {
	switch t.Kind {
	case "tenant":
		return "/resellers/" + t.ID
	case "person":
		return "/people/" + t.ID
	case "sku":
		return "/wholesale/prices?sku=" + t.ID
	case "tier":
		return "/wholesale/tiers"
	case "wholesale_run":
		return "/wholesale/invoices?period=" + t.ID
	case "wholesale_invoice":
		return "/wholesale/invoices/" + t.ID
	case "job":
		return "/jobs/" + t.ID
	case "platform":
		return "/platforms/" + t.ID
	}
	return ""
}

// Nav is the console's navigation, as far as the person may go.
func Nav(p identity.Principal) []surface.NavItem {
	var nav []surface.NavItem
	for _, item := range []struct {
		needs identity.Permission
		surface.NavItem
	}{
		{identity.SystemRead, surface.NavItem{Label: "Overview", Href: "/", Icon: "layout-dashboard"}},
		{identity.WholesaleRead, surface.NavItem{Label: "Business", Href: "/business", Icon: "chart-bar"}},
		{identity.ResellersRead, surface.NavItem{Label: "Resellers", Href: "/resellers", Icon: "building-store"}},
		{identity.WholesaleRead, surface.NavItem{Label: "Wholesale", Href: "/wholesale", Icon: "receipt"}},
		{identity.DomainsRead, surface.NavItem{Label: "Domains", Href: "/domains", Icon: "world"}},
		{identity.PlatformsRead, surface.NavItem{Label: "Platforms", Href: "/platforms", Icon: "server-2", Group: "Delivery"}},
		{identity.PlatformsRead, surface.NavItem{Label: "Services", Href: "/services", Icon: "stack-2", Group: "Delivery"}},
		{identity.SystemRead, surface.NavItem{Label: "Alerts", Href: "/alerts", Icon: "bell", Group: "Platform"}},
		{identity.JobsRead, surface.NavItem{Label: "Jobs", Href: "/jobs", Icon: "list-check", Group: "Platform"}},
		{identity.SystemRead, surface.NavItem{Label: "Mails", Href: "/mails", Icon: "mail", Group: "Platform"}},
		{identity.SystemRead, surface.NavItem{Label: "System", Href: "/system", Icon: "server", Group: "Platform"}},
		{identity.PlatformAudit, surface.NavItem{Label: "Audit trail", Href: "/audit", Icon: "history", Group: "Platform"}},
		{identity.StaffManage, surface.NavItem{Label: "Staff", Href: "/staff", Icon: "users", Group: "Platform"}},
	} {
		if p.May(item.needs) {
			nav = append(nav, item.NavItem)
		}
	}
	return nav
}
