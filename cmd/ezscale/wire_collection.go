package main

import (
	"context"
	"time"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenant/payment"
)

// collector says to shops on what terms the platform takes payments for them.
type collector struct{ desk *wholesale.Desk }

var _ payment.Collector = collector{}

// CollectionFor is the terms that hold now.
func (c collector) CollectionFor(ctx context.Context, of tenancy.ID) (payment.CollectionTerms, bool, error) {
	t, err := c.desk.CollectionTerms(ctx, of)
	return payment.CollectionTerms{Fee: t.Fee, Currency: t.Currency, HoldDays: t.HoldDays}, t.Allowed, err
}

// handOver gives a shop what the gateway told of one of its payments in the platform's
// account.
func (a *app) handOver(ctx context.Context, of tenancy.ID, e gateway.Event) error {
	t, ok := a.resolver.ByID(of)
	if !ok {
		return fault.New(fault.NotFound, "hook.unknown", "Nothing is expected here.")
	}
	return a.payments().Told(ctx, a.pool.Bind(t), e)
}

// collectionJobs book what the platform took for shops, and end it where it is taken back.
func (a *app) collectionJobs(w *queue.Workers, d *wholesale.Desk) {
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, _ wholesale.CollectedJob) error {
		return d.BookCollected(ctx)
	}, queue.Timeout(10*time.Minute))
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, job wholesale.EndCollectionJob) error {
		return a.endCollection(ctx, job)
	})
}

func (a *app) endCollection(ctx context.Context, job wholesale.EndCollectionJob) error {
	t, ok := a.resolver.ByID(job.Tenant)
	if !ok {
		return nil // it is gone, and takes nothing
	}
	return a.payments().EndCollection(ctx, a.pool.Bind(t), audit.Origin{Actor: audit.System("platform")})
}
