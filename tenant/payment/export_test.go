package payment

import (
	"context"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/tenancy"
)

// HearOfDispute is what follows a gateway's word of a dispute, for the tests.
func (d *Desk) HearOfDispute(ctx context.Context, db *tenancy.DB, payment uuid.UUID, gd gateway.Dispute) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error { return d.keepDispute(ctx, tx, payment, gd) })
}
