package web

import (
	"context"
	"fmt"

	"github.com/ezscale/ezscale/branding/signin"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/referral"
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"
)

// authRoutes are the pages by which customers and the reseller's team come in.
func (s *Site) authRoutes() []surface.Route {
	team := &signin.Pages{Parts: s.SignIn, World: identity.Reseller, Prefix: "/manage", Layout: "manage", Home: "/manage", Plane: planeOf}
	all := team.Routes()
	for _, r := range s.customers().Routes() {
		all = append(all, s.bringing(r))
	}
	return all
}

// customers are the pages by which customers come in; the checkout uses them too.
func (s *Site) customers() *signin.Pages {
	return &signin.Pages{
		Parts: s.SignIn, World: identity.Customer, Layout: "client", Home: "/client", Security: "/client/security", Plane: planeOf, SignUp: openAccount,
	}
}

func planeOf(c *fiber.Ctx) identity.Plane { return identity.InTenant(surface.DB(c)) }

// openAccount gives a new customer an account of their own with the next number.
func openAccount(ctx context.Context, tx tenancy.Statements, t tenancy.Tenant, p identity.Person, company string) error {
	own, ok := tx.(*tenancy.Tx)
	if !ok {
		return fmt.Errorf("open an account: not a tenant's transaction")
	}
	id, err := openNumbered(ctx, own, t, p, company)
	if err != nil {
		return err
	}
	return referral.Join(ctx, own, id, referral.Carried(ctx))
}

func openNumbered(ctx context.Context, tx *tenancy.Tx, t tenancy.Tenant, p identity.Person, company string) (uuid.UUID, error) {
	id, err := account.Open(ctx, tx, t, p.ID, p.Name, company)
	if err != nil {
		return id, err
	}
	n, _, err := invoicing.NextNumber(ctx, tx, invoicing.SeriesCustomer)
	if err != nil {
		return id, err
	}
	return id, account.Number(ctx, tx, id, n)
}
