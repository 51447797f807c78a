// Package web is what a tenant's host serves: the shop, the client area and the
// reseller's console at /manage. Handlers decode, call once, encode and return
// their error; everything that decides stands in the other packages of tenant.
package web

import (
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/domain"
	"github.com/ezscale/ezscale/branding/media"
	"github.com/ezscale/ezscale/branding/signin"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/taxservice"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// Site serves every tenant's host. Its fields are what its pages need; cmd fills them.
type Site struct {
	SignIn   signin.Parts   // what the sign-in pages share
	Brands   *branding.Desk // how each tenant looks
	Domains  *domain.Desk   // names the reseller brings
	Media    *media.Library // pictures of the brand
	Office   *Office        // the pages for the reseller's team
	Services *Services      // the pages about what runs
	Selling  *Selling       // the pages on which people buy

	Payments *payment.Desk        // where money is taken
	Letters  *account.LetterLinks // with which letters are done without, not signed in either
	Links    *payment.Links       // with which invoices are paid without signing in
	Webhooks *webhook.Desk        // endpoints of customers and of the reseller

	TaxDesk *taxservice.Desk // asks an outside tax service

	// AsksRegister says that VAT numbers are asked about (tenant/taxid).
	AsksRegister bool
	// DailyRates says that the daily rates of exchange can be fetched (tenant/exchange).
	DailyRates bool

	shown shownSites
}

// Routes is every route of a tenant's host, on one screen.
func (s *Site) Routes() []surface.Route {
	var all []surface.Route
	// One line a part: its routes stand in the file named for it.
	all = append(all, s.authRoutes()...)
	all = append(all, s.shopRoutes()...)
	all = append(all, s.cartRoutes()...)
	all = append(all, s.clientRoutes()...)
	all = append(all, s.accountsRoutes()...)
	all = append(all, s.accountRoutes()...)
	all = append(all, s.rhythmRoutes()...)
	all = append(all, s.statementRoutes()...) // before those whose paths they would match
	all = append(all, s.clientInvoiceRoutes()...)
	all = append(all, s.clientServiceRoutes()...)
	all = append(all, s.manageServiceRoutes()...)
	all = append(all, s.orderRoutes()...)
	all = append(all, s.domainRoutes()...)
	all = append(all, s.brandRoutes()...)
	all = append(all, s.brandFileRoutes()...)
	all = append(all, s.officeRoutes()...)
	all = append(all, s.catalogRoutes()...)
	all = append(all, s.priceRoutes()...)
	all = append(all, s.dunningRoutes()...)
	all = append(all, s.manageInvoiceRoutes()...)
	all = append(all, s.draftRoutes()...)
	all = append(all, s.billingSettingsRoutes()...)
	all = append(all, s.termsRoutes()...)
	all = append(all, s.clientSubscriptionRoutes()...)
	all = append(all, s.manageSubscriptionRoutes()...)
	all = append(all, s.apiRoutes()...)
	all = append(all, s.manageAPIRoutes()...)
	all = append(all, s.usageRoutes()...)
	all = append(all, s.hookRoutes()...)
	all = append(all, s.payRoutes()...)
	all = append(all, s.payLinkRoutes()...)
	all = append(all, s.letterLinkRoutes()...)
	all = append(all, s.methodRoutes()...)
	all = append(all, s.gatewayRoutes()...)
	all = append(all, s.paymentRoutes()...)
	all = append(all, s.mailTextRoutes()...)
	all = append(all, s.couponRoutes()...)
	all = append(all, s.twinRoutes()...)
	all = append(all, s.clientCreditRoutes()...)
	all = append(all, s.manageCreditRoutes()...)
	all = append(all, s.stayRoutes()...)
	all = append(all, s.manageStayRoutes()...)
	all = append(all, s.taxServiceRoutes()...)
	all = append(all, s.referralRoutes()...)
	all = append(all, s.manageReferralRoutes()...)
	all = append(all, s.agreedRoutes()...)
	all = append(all, s.giftRoutes()...)
	all = append(all, s.booksRoutes()...)
	var glances *Glances
	if s.Office != nil {
		glances = s.Office.Glances
	}
	for i := range all {
		all[i] = glances.forgetting(unlessReadOnly(all[i]))
	}
	return all
}

// unlessReadOnly keeps the reseller's console from changing anything while the platform
// has made it read only. How its people come in and look after their sign-in goes on.
func unlessReadOnly(r surface.Route) surface.Route {
	rest, within := strings.CutPrefix(r.Path, "/manage")
	if !within || r.Method == fiber.MethodGet || rest == "/forgot" ||
		strings.HasPrefix(rest, "/sign-") || strings.HasPrefix(rest, "/link/") || strings.HasPrefix(rest, "/security") {
		return r
	}
	next := r.Handler
	r.Handler = func(c *fiber.Ctx) error {
		if t, _ := surface.Tenant(c); !t.Restriction.Changes() {
			return fault.New(fault.Forbidden, "tenant.read_only",
				"This console is read only until what you owe the platform is paid. Your customers' services go on. Pay at the partner centre; changes are possible again within a minute.")
		}
		return next(c)
	}
	return r
}
