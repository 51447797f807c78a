package main

import (
	"context"
	"time"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenant/overview"
)

// wholesaleDesk is where the platform bills its resellers.
func (a *app) wholesaleDesk() *wholesale.Desk {
	return &wholesale.Desk{Central: a.central, Mail: mail.NewOutbox(a.ring), PartnerURL: a.siteURL(a.cfg.Hosts.Partner)}
}

// wholesaleJobs does the platform's billing: by the clock and because somebody asked.
func wholesaleJobs(w *queue.Workers, d *wholesale.Desk) {
	const long = time.Hour // a fleet of ten thousand takes a minute or two
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, _ wholesale.DueJob) error { return d.Due(ctx) }, queue.Timeout(long))
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, job wholesale.RunJob) error {
		m, err := wholesale.ParseMonth(job.Period)
		if err != nil {
			return queue.GiveUp(err)
		}
		_, err = d.Run(ctx, m, job.By, false)
		return err
	}, queue.Timeout(long))
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, job wholesale.AnnounceJob) error {
		return d.Announce(ctx, job.Period)
	}, queue.Timeout(long))
}

// ranIn answers the audit's question from the tenants' own schemas, each within its own
// bound transaction.
type ranIn struct{ pool *tenancy.Pool }

// Ran are the services that ran at some time within [from, to).
func (r ranIn) Ran(ctx context.Context, id tenancy.ID, from, to time.Time) ([]wholesale.Ran, error) {
	found, err := overview.Ran(ctx, r.pool.Bind(tenancy.Tenant{ID: id}), from, to)
	all := make([]wholesale.Ran, len(found))
	for i, s := range found {
		all[i] = wholesale.Ran(s)
	}
	return all, err
}
