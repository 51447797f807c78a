package main

import (
	"context"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/metering"
)

// meteringDesk is where usage is told.
func (a *app) meteringDesk() *metering.Desk {
	return &metering.Desk{Mail: mail.NewOutbox(a.ring), Holds: hosting.SpendHolds{}}
}

// handleUsage registers what looks at spend limits, and what follows when services are
// switched on and off.
func handleUsage(w *queue.Workers, d *metering.Desk) {
	queue.Due(w, metering.AgendaSpend, d.Look)
	queue.Handle(w, func(ctx context.Context, db *tenancy.DB, job hosting.PoweredJob) error {
		return d.Powered(ctx, db, job.SubscriptionID, job.ServiceID, job.Since, job.Until)
	})
}
