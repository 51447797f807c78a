package signin

import (
	"context"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// EnterInvited signs in somebody who holds a link that was mailed to their address, and
// adds them when they are new, without what sign-up gives; joins makes them part of what
// they were invited to, in the same transaction, and refuses a link that is spent. Faults:
// about the fields name and password, and those of joins.
func (p *Pages) EnterInvited(c *fiber.Ctx, in identity.NewPerson, joins func(ctx context.Context, tx tenancy.Statements, person identity.Person) error, next string) error {
	fields := map[string]string{}
	_, err := identity.ParseName(in.Name)
	collect(fields, err)
	collect(fields, identity.CheckPassword(in.Password, in.Email))
	if err := fault.Fields("sign_up.invalid", fields); err != nil {
		return err
	}
	ctx, b := c.UserContext(), surface.Binding(c)
	tenant, _ := surface.Tenant(c)
	in.Locale = tenant.Locale
	got, _, err := p.desk().EnterByMailbox(ctx, p.Plane(c), b, identity.Newcomer{NewPerson: in, Came: joins}, surface.Origin(c), surface.MustTOTP(c))
	if err != nil {
		return err
	}
	if old := surface.SessionToken(c); old != "" {
		if err := p.Sessions.End(ctx, b, old); err != nil {
			return err
		}
	}
	got.Stranger = false // the mail they just used has told them
	return p.enter(c, got, next)
}
