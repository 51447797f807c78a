package checkout

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
)

// Delivered is what became of one thing of an order.
type Delivered struct {
	SubscriptionID uuid.UUID
	ServiceID      uuid.UUID // zero: nothing is delivered, or not yet
	Name           string
	Observed       string // as hosting has it: none, installing, active, suspended, failed, gone
	Step           string
	Address        string
	Began          bool
}

// DeliveredOf says how far the things of an order are, by subscription.
func DeliveredOf(ctx context.Context, tx *tenancy.Tx, order uuid.UUID) (map[uuid.UUID]Delivered, error) {
	var rows []Delivered
	err := tx.NewRaw(`SELECT s.id AS subscription_id, coalesce(v.id, '00000000-0000-0000-0000-000000000000') AS service_id, coalesce(v.name, '') AS name,
			coalesce(v.observed, '') AS observed, coalesce(v.step, '') AS step, coalesce(v.address, '') AS address, v.began_at IS NOT NULL AS began
		FROM subscriptions s LEFT JOIN services v ON v.subscription_id = s.id WHERE s.order_id = ?`, order).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read what order %s delivered: %w", order, err)
	}
	all := make(map[uuid.UUID]Delivered, len(rows))
	for _, r := range rows {
		all[r.SubscriptionID] = r
	}
	return all, nil
}
