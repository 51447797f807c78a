package main

import (
	"context"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/secrets"
)

// outboxes is where letters are put.
type outboxes struct{ box *mail.Outbox }

func newOutboxes(ring *secrets.Keyring) outboxes { return outboxes{box: mail.NewOutbox(ring)} }

// newResellerDesk wires the desk that makes and looks after resellers.
func newResellerDesk(central *tenancy.Central, pool *tenancy.Pool, platform string, letters outboxes) *reseller.Desk {
	return &reseller.Desk{Central: central, Platform: platform, Claimer: pool, Seed: letters.seedTenant}
}

// seedTenant is what a new tenant begins with: its owner, who is invited to set a
// password.
func (o outboxes) seedTenant(ctx context.Context, t tenancy.Tenant, tx *tenancy.Tx, owner reseller.Owner) error {
	people := identity.People{World: identity.Reseller}
	_, err := people.Add(ctx, tx, identity.NewPerson{Email: owner.Email, Name: owner.Name, Role: identity.ResellerOwner, Locale: owner.Locale}, "")
	return err
}
