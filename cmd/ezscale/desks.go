package main

import (
	"context"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenant/setup"
)

// outboxes is where letters are put.
type outboxes struct{ box *mail.Outbox }

func newOutboxes(ring *secrets.Keyring) outboxes { return outboxes{box: mail.NewOutbox(ring)} }

// newResellerDesk wires the desk that makes and looks after resellers.
func newResellerDesk(central *tenancy.Central, pool *tenancy.Pool, platform string, letters outboxes) *reseller.Desk {
	return &reseller.Desk{Central: central, Platform: platform, Claimer: pool, Seed: letters.seedTenant}
}

// seedTenant is what a new tenant begins with: a brand, and its owner, who is invited.
func (o outboxes) seedTenant(ctx context.Context, t tenancy.Tenant, tx *tenancy.Tx, owner reseller.Owner) error {
	return setup.Kit{Mail: o.box}.Seed(ctx, t, tx, setup.Owner(owner))
}
