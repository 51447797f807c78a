package overview

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
)

// RanService is a service as it ran, for the platform's audit of what it billed.
type RanService struct {
	ID      uuid.UUID
	SKU     string `bun:"sku"`
	BeganAt time.Time
	EndedAt time.Time // zero: it runs
}

// Ran are the services that ran at some time within [from, to).
func Ran(ctx context.Context, db *tenancy.DB, from, to time.Time) (all []RanService, err error) {
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT id, sku, began_at, ended_at FROM services WHERE began_at < ? AND (ended_at IS NULL OR ended_at > ?)", to, from).Scan(ctx, &all)
	})
	if err != nil {
		return nil, fmt.Errorf("services that ran: %w", err)
	}
	return all, nil
}
