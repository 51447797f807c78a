package identity

// Role is a named set of permissions within a world.
type Role string

// The roles.
const (
	StaffAdmin     Role = "admin"
	StaffSupport   Role = "support"
	StaffBilling   Role = "billing"
	StaffReadOnly  Role = "read_only"
	ResellerOwner  Role = "owner"
	ResellerAdmin  Role = "admin"
	ResellerDesign Role = "designer"
	ResellerAgent  Role = "support"
	PartnerOwner   Role = "owner"
	CustomerMember Role = "member" // what a member may do in an account stands in its memberships
)

// Permission is one thing a role may do. Every route names the one it needs.
type Permission string

// Public routes need no session; SignedIn ones any session of the surface's world.
const (
	Public   Permission = "public"
	SignedIn Permission = "signed_in"
)

// What staff do at the console.
const (
	ResellersRead  Permission = "resellers.read"
	ResellersWrite Permission = "resellers.write" // create, suspend, resume, archive
	DomainsRead    Permission = "domains.read"    // all tenants' domains and certificates
	DomainsOperate Permission = "domains.operate" // pause, retry
	JobsRead       Permission = "jobs.read"
	JobsOperate    Permission = "jobs.operate" // retry, cancel
	PlatformAudit  Permission = "audit.read"
	StaffManage    Permission = "staff.manage"
	SystemRead     Permission = "system.read"
	WholesaleRead  Permission = "wholesale.read"  // price book, runs, invoices, evidence
	WholesaleWrite Permission = "wholesale.write" // prices, tiers, terms, runs, payments taken by hand
	PlatformsRead  Permission = "platforms.read"  // platforms, capacity, services of all tenants
	PlatformsWrite Permission = "platforms.write" // connect, test, map, drain, repair
	AlertsManage   Permission = "alerts.manage"
)

// What a reseller's team does at /manage.
const (
	DashboardRead Permission = "dashboard.read"
	BrandRead     Permission = "brand.read"
	BrandWrite    Permission = "brand.write"
	BrandPublish  Permission = "brand.publish"
	SiteDomains   Permission = "domains.manage"
	TeamManage    Permission = "team.manage"
	CustomersRead Permission = "customers.read"
	CustomersEdit Permission = "customers.edit" // disable, send links
	CatalogRead   Permission = "catalog.read"
	TenantAudit   Permission = "activity.read"
	MailsRead     Permission = "mails.read"
	SiteSettings  Permission = "settings.edit"
	CatalogWrite  Permission = "catalog.write"
	SalesRead     Permission = "sales.read"  // orders, subscriptions, invoices, payments
	SalesWrite    Permission = "sales.write" // cancel, confirm a transfer, refund
	ServicesRead  Permission = "services.read"
	ServicesRun   Permission = "services.operate" // suspend, release, retry, terminate
	GatewaysWrite Permission = "gateways.write"   // keys of payment gateways
	MailsWrite    Permission = "mails.write"      // texts of mails
	HooksManage   Permission = "webhooks.manage"
	ReportsRead   Permission = "reports.read" // revenue, cost, margin
)

// What a partner, a reseller as EZSCALE's customer, does at the partner centre.
const (
	StatementRead Permission = "statement.read" // wholesale invoices, evidence, price list
	StatementPay  Permission = "statement.pay"  // cards, paying
)

// grants maps world and role to what they may do.
var grants = map[World]map[Role][]Permission{
	Staff: {
		StaffAdmin:    {ResellersRead, ResellersWrite, DomainsRead, DomainsOperate, JobsRead, JobsOperate, PlatformAudit, StaffManage, SystemRead, WholesaleRead, WholesaleWrite, PlatformsRead, PlatformsWrite, AlertsManage},
		StaffSupport:  {ResellersRead, DomainsRead, DomainsOperate, JobsRead, JobsOperate, SystemRead, PlatformsRead},
		StaffBilling:  {ResellersRead, SystemRead, WholesaleRead, WholesaleWrite, PlatformsRead},
		StaffReadOnly: {ResellersRead, DomainsRead, JobsRead, SystemRead, WholesaleRead, PlatformsRead},
	},
	Reseller: {
		ResellerOwner:  {DashboardRead, BrandRead, BrandWrite, BrandPublish, SiteDomains, TeamManage, CustomersRead, CustomersEdit, CatalogRead, TenantAudit, MailsRead, SiteSettings, CatalogWrite, SalesRead, SalesWrite, ServicesRead, ServicesRun, GatewaysWrite, MailsWrite, HooksManage, ReportsRead},
		ResellerAdmin:  {DashboardRead, BrandRead, BrandWrite, BrandPublish, SiteDomains, TeamManage, CustomersRead, CustomersEdit, CatalogRead, TenantAudit, MailsRead, SiteSettings, CatalogWrite, SalesRead, SalesWrite, ServicesRead, ServicesRun, GatewaysWrite, MailsWrite, HooksManage, ReportsRead},
		ResellerDesign: {DashboardRead, BrandRead, BrandWrite},
		ResellerAgent:  {DashboardRead, BrandRead, CustomersRead, CustomersEdit, CatalogRead, MailsRead, SalesRead, ServicesRead, ServicesRun},
	},
	Partner:  {PartnerOwner: {StatementRead, StatementPay}},
	Customer: {CustomerMember: {}},
}

func (r Role) grants(w World, perm Permission) bool {
	if perm == Public {
		return true
	}
	perms, known := grants[w][r]
	if !known {
		return false
	}
	if perm == SignedIn {
		return true
	}
	for _, p := range perms {
		if p == perm {
			return true
		}
	}
	return false
}

// Roles lists the roles of a world, the most powerful first.
func Roles(w World) []Role {
	switch w {
	case Staff:
		return []Role{StaffAdmin, StaffSupport, StaffBilling, StaffReadOnly}
	case Reseller:
		return []Role{ResellerOwner, ResellerAdmin, ResellerDesign, ResellerAgent}
	case Partner:
		return []Role{PartnerOwner}
	case Customer:
		return []Role{CustomerMember}
	}
	return nil
}
