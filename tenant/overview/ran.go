package overview

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/hosting"
)

// RanService is a service as it ran, for the platform's audit of what it billed.
type RanService struct {
	ID      uuid.UUID
	SKU     string `bun:"sku"`
	BeganAt time.Time
	EndedAt time.Time // zero: it runs

	RetailMinor    int64 // what the customer pays a cycle
	RetailCurrency string
	RetailCycle    string

	Addons []hosting.Addon // that it has or had besides
}

// Ran are the services of platforms that ran at some time within [from, to).
func Ran(ctx context.Context, db *tenancy.DB, from, to time.Time) (all []RanService, err error) {
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw(`SELECT s.id, s.sku, s.began_at, s.ended_at, `+hosting.RetailMinor+` AS retail_minor, b.currency AS retail_currency, `+hosting.RetailCycle+` AS retail_cycle, coalesce(s.addons, '[]') AS addons
			FROM services s JOIN subscriptions b ON b.id = s.subscription_id WHERE s.sku <> '' AND s.began_at < ? AND (s.ended_at IS NULL OR s.ended_at > ?)`, to, from).Scan(ctx, &all)
	})
	if err != nil {
		return nil, fmt.Errorf("services that ran: %w", err)
	}
	return all, nil
}
