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
// switched on and off, and when traffic went over their network.
func handleUsage(w *queue.Workers, d *metering.Desk) {
	queue.Due(w, metering.AgendaSpend, d.Look)
	queue.Due(w, metering.AgendaReplay, d.Replay)
	queue.Handle(w, func(ctx context.Context, db *tenancy.DB, job hosting.PoweredJob) error {
		return d.Powered(ctx, db, job.SubscriptionID, job.ServiceID, job.Since, job.Until)
	})
	queue.Handle(w, func(ctx context.Context, db *tenancy.DB, job hosting.TrafficJob) error {
		all := make([]metering.Traffic, len(job.Periods))
		for i, p := range job.Periods {
			all[i] = metering.Traffic{From: p.From, To: p.To, Used: p.Used}
		}
		return d.Carried(ctx, db, job.SubscriptionID, job.ServiceID, all, job.SeenAt)
	})
}
