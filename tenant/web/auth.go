package web

import (
	"context"
	"fmt"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/signin"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// authRoutes are the pages by which customers and the reseller's team come in.
func (s *Site) authRoutes() []surface.Route {
	plane := func(c *fiber.Ctx) identity.Plane { return identity.InTenant(surface.DB(c)) }
	customers := &signin.Pages{
		Parts: s.SignIn, World: identity.Customer, Layout: "client", Home: "/client", Security: "/client/security", Plane: plane, SignUp: openAccount,
	}
	team := &signin.Pages{Parts: s.SignIn, World: identity.Reseller, Prefix: "/manage", Layout: "manage", Home: "/manage", Plane: plane}
	return append(team.Routes(), customers.Routes()...)
}

// openAccount gives a new customer an account of their own, in the shop's currency.
func openAccount(ctx context.Context, tx tenancy.Statements, t tenancy.Tenant, p identity.Person, company string) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	_, err = tx.NewRaw("INSERT INTO accounts (id, name, currency, time_zone, created_at, changed_at) VALUES (?, ?, ?, ?, ?, ?)",
		id, company, t.Currency, t.TimeZone, tx.Now(), tx.Now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("open an account: %w", err)
	}
	_, err = tx.NewRaw("INSERT INTO memberships (account_id, person_id, role, created_at) VALUES (?, ?, 'owner', ?)", id, p.ID, tx.Now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("open an account: %w", err)
	}
	return nil
}
