package main

import (
	"context"
	"math/big"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
)

// runningCosts answers a shop's report from the platform's price book.
type runningCosts struct{ book *wholesale.Desk }

// Monthly is what so many of each SKU cost the tenant a month, today.
func (r runningCosts) Monthly(ctx context.Context, tenant tenancy.ID, running map[string]int64) (map[string]billing.Money, error) {
	if len(running) == 0 {
		return nil, nil
	}
	list, err := r.book.PriceList(ctx, tenant)
	if err != nil {
		return nil, err
	}
	cost := map[string]billing.Money{}
	for _, p := range list {
		n := running[p.Code]
		if n == 0 {
			continue
		}
		if cost[p.Code], err = p.Net.Over(big.NewInt(n), big.NewInt(1)); err != nil {
			return nil, err
		}
	}
	return cost, nil
}
