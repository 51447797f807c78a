package api

import (
	"context"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/access"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/checkout"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/metering"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// Slices are the parts of the shop whose matters the API's calls are.
type Slices struct {
	Offers   catalog.Wholesale // where and with which images plans can be had; nil: not told
	Hosting  *hosting.Desk
	Checkout *checkout.Desk
	Renewal  *renewal.Desk
	Payments *payment.Desk
	Metering *metering.Desk
	// PDF draws a stored document in the shop's brand.
	PDF func(ctx context.Context, db *tenancy.DB, d document.Document) (pdf []byte, fileName string, err error)
}

// operations is every call, on one screen.
func (a *API) operations() []operation {
	get, post, patch, del := fiber.MethodGet, fiber.MethodPost, fiber.MethodPatch, fiber.MethodDelete
	return []operation{
		{method: get, path: "/products", do: a.listProducts},
		{method: get, path: "/products/:product", do: a.getProduct},
		{method: get, path: "/account", scope: access.BillingRead, do: a.getAccount},
		{method: get, path: "/account/invoicing", scope: access.BillingRead, do: a.getRhythm},
		{method: patch, path: "/account/invoicing", scope: access.BillingWrite, write: true, do: a.setRhythm},
		{method: get, path: "/account/notifications", scope: access.BillingRead, do: a.getNotices},
		{method: patch, path: "/account/notifications", scope: access.BillingWrite, write: true, do: a.setNotices},
		{method: get, path: "/services", scope: access.ServicesRead, do: a.listServices},
		{method: get, path: "/services/:id", scope: access.ServicesRead, do: a.getService},
		{method: patch, path: "/services/:id", scope: access.ServicesWrite, write: true, do: a.renameService},
		{method: post, path: "/services/:id/power", scope: access.ServicesWrite, write: true, do: a.powerService},
		{method: post, path: "/services/:id/rebuild", scope: access.ServicesWrite, write: true, do: a.rebuildService},
		{method: get, path: "/services/:id/timeline", scope: access.ServicesRead, do: a.serviceTimeline},
		// Not under a key: access data must not be kept as an answer.
		{method: get, path: "/services/:id/credentials", scope: access.ServicesCredentials, do: a.serviceCredentials},
		{method: post, path: "/services/:id/password", scope: access.ServicesCredentials, write: true, do: a.resetPassword},
		{method: get, path: "/subscriptions", scope: access.ServicesRead, do: a.listSubscriptions},
		{method: get, path: "/subscriptions/:id", scope: access.ServicesRead, do: a.getSubscription},
		{method: patch, path: "/subscriptions/:id", scope: access.BillingWrite, write: true, do: a.changeSubscription},
		{method: post, path: "/subscriptions/:id/cancel", scope: access.SubscriptionsWrite, write: true, do: a.cancelSubscription},
		{method: post, path: "/subscriptions/:id/offer", scope: access.SubscriptionsWrite, write: true, do: a.offerToStay},
		{method: post, path: "/subscriptions/:id/stay", scope: access.SubscriptionsWrite, write: true, do: a.stay},
		{method: post, path: "/subscriptions/:id/resume", scope: access.SubscriptionsWrite, write: true, do: a.resumeSubscription},
		{method: post, path: "/subscriptions/:id/pause", scope: access.SubscriptionsWrite, write: true, do: a.pauseSubscription},
		{method: post, path: "/subscriptions/:id/continue", scope: access.SubscriptionsWrite, write: true, do: a.continueSubscription},
		{method: post, path: "/subscriptions/:id/quotes", scope: access.OrdersWrite, write: true, do: a.quoteChange},
		{method: post, path: "/quotes/:id/accept", scope: access.OrdersWrite, write: true, do: a.acceptChange},
		{method: get, path: "/subscriptions/:id/usage", scope: access.UsageRead, do: a.getUsage},
		{method: post, path: "/usage-checks", scope: access.UsageRead, perMinute: 1500, do: a.checkUsage},
		// Not under a key either: each event has a name of its own.
		{method: post, path: "/usage-events", scope: access.UsageWrite, perMinute: 1500, do: a.recordUsage},
		{method: get, path: "/upcoming-invoices", scope: access.BillingRead, do: a.upcomingInvoices},
		{method: get, path: "/payment-methods", scope: access.BillingRead, do: a.listMethods},
		{method: post, path: "/payment-methods/:id/default", scope: access.BillingWrite, write: true, do: a.defaultMethod},
		{method: del, path: "/payment-methods/:id", scope: access.BillingWrite, write: true, do: a.removeMethod},
		{method: post, path: "/quotes", scope: access.OrdersWrite, write: true, do: a.makeQuote},
		{method: post, path: "/orders", scope: access.OrdersWrite, write: true, do: a.placeOrder},
		{method: get, path: "/orders", scope: access.BillingRead, do: a.listOrders},
		{method: get, path: "/orders/:id", scope: access.BillingRead, do: a.getOrder},
		{method: get, path: "/credit", scope: access.BillingRead, do: a.getCredit},
		{method: get, path: "/referrals", scope: access.BillingRead, do: a.listReferrals},
		{method: post, path: "/invoices/:id/credit", scope: access.BillingWrite, write: true, do: a.payWithCredit},
		{method: get, path: "/invoices", scope: access.BillingRead, do: a.listInvoices},
		{method: get, path: "/invoices/:id", scope: access.BillingRead, do: a.getInvoice},
		{method: get, path: "/invoices/:id/pdf", scope: access.BillingRead, do: a.getInvoicePDF},
		{method: get, path: "/invoices/:id/timeline", scope: access.BillingRead, do: a.invoiceTimeline},
		{method: post, path: "/invoices/:id/week", scope: access.BillingWrite, write: true, do: a.giveWeek},
		{method: get, path: "/invoices/:id/ubl", scope: access.BillingRead, do: getElectronic(invoicing.UBL)},
		{method: get, path: "/invoices/:id/cii", scope: access.BillingRead, do: getElectronic(invoicing.CII)},
	}
}
