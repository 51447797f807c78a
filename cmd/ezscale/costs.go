package main

import (
	"context"
	"math/big"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	tenantreport "github.com/ezscale/ezscale/tenant/report"
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

// Billed are the tenant's billed months, from the platform's invoices.
func (r runningCosts) Billed(ctx context.Context, tenant tenancy.ID, from, to time.Time) ([]tenantreport.MonthCost, error) {
	found, err := r.book.BilledCosts(ctx, tenant, wholesale.MonthOf(from), wholesale.MonthOf(to.Add(-time.Nanosecond)))
	all := make([]tenantreport.MonthCost, len(found))
	for i, m := range found {
		all[i] = tenantreport.MonthCost{From: m.Month.From, To: m.Month.To, Currency: m.Currency, Services: m.Services, Rest: m.Rest}
	}
	return all, err
}

// Planned are the tenant's wholesale prices that are set to change.
func (r runningCosts) Planned(ctx context.Context, tenant tenancy.ID) ([]tenantreport.PlannedPrice, error) {
	_, found, err := r.book.PriceListAndPlans(ctx, tenant)
	all := make([]tenantreport.PlannedPrice, len(found))
	for i, p := range found {
		all[i] = tenantreport.PlannedPrice{SKU: p.SKU, Name: p.Name, From: p.From, Was: p.Was, Will: p.Will}
	}
	return all, err
}
