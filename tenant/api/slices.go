package api

import (
	"context"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/access"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// Slices are the parts of the shop whose matters the API's calls are.
type Slices struct {
	Offers catalog.Wholesale // where and with which images plans can be had; nil: not told
	// PDF draws a stored document in the shop's brand.
	PDF func(ctx context.Context, db *tenancy.DB, invoice uuid.UUID) (pdf []byte, fileName string, err error)
}

// operations is every call, on one screen.
func (a *API) operations() []operation {
	get := fiber.MethodGet
	return []operation{
		{method: get, path: "/products", do: a.listProducts},
		{method: get, path: "/products/:product", do: a.getProduct},
		{method: get, path: "/account", scope: access.BillingRead, do: a.getAccount},
		{method: get, path: "/invoices", scope: access.BillingRead, do: a.listInvoices},
		{method: get, path: "/invoices/:id", scope: access.BillingRead, do: a.getInvoice},
		{method: get, path: "/invoices/:id/pdf", scope: access.BillingRead, do: a.getInvoicePDF},
	}
}
