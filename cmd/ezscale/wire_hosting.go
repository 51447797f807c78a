package main

import (
	"context"
	"time"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/cmd/ezscale/metrics"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenant/hosting"
	tenantweb "github.com/ezscale/ezscale/tenant/web"
)

// hostingDesk drives the tenants' services at the platforms.
func (a *app) hostingDesk() *hosting.Desk {
	return &hosting.Desk{Platforms: a.platforms(), Keys: a.ring, Mail: mail.NewOutbox(a.ring), Metrics: serviceMetrics{a.metrics}, Log: a.log}
}

// serviceDesk is what the pages about services need.
func (a *app) serviceDesk() *tenantweb.Services {
	return &tenantweb.Services{Desk: a.hostingDesk(), Images: a.imagesFor, Names: a.platforms().Names}
}

// imagesFor lists what can be installed on a service.
func (a *app) imagesFor(ctx context.Context, tenant tenancy.ID, sku, region string) ([]tenantweb.Image, error) {
	found, err := a.platforms().Offers(ctx, tenant)
	if err != nil {
		return nil, err
	}
	var all []tenantweb.Image
	for _, o := range found {
		if o.SKU != sku {
			continue
		}
		for _, r := range o.Regions {
			if r.Code != region {
				continue
			}
			for _, im := range r.Images {
				all = append(all, tenantweb.Image(im))
			}
		}
	}
	return all, nil
}

// hostingJobs are the jobs that bring services to what is wanted of them.
func (a *app) hostingJobs(w *queue.Workers) {
	desk := a.hostingDesk()
	queue.Handle(w, desk.Drive, queue.Timeout(5*time.Minute))
	queue.Due(w, hosting.Agenda, desk.Tick, queue.Timeout(10*time.Minute))
	a.countServices()
}

// serviceMetrics counts operations.
type serviceMetrics struct{ set *metrics.Set }

// OperationEnded counts one.
func (m serviceMetrics) OperationEnded(op hosting.Operation, outcome string, took time.Duration) {
	if m.set != nil {
		m.set.OperationEnded(string(op), outcome, took)
	}
}

// countServices tells how many services of all tenants are in which state.
func (a *app) countServices() {
	a.metrics.Group("ezscale_services", "Services of all tenants, by what was last seen of them; trouble is what cannot go on by itself.", "state", func() ([]metrics.Sample, error) {
		ctx, cancel := context.WithTimeout(a.loopCtx, figureTimeout)
		defer cancel()
		var rows []struct {
			State string
			N     float64
		}
		err := a.central.View(ctx, func(tx *tenancy.CentralTx) error {
			return tx.NewRaw(`SELECT CASE WHEN problem <> '' AND observed <> 'gone' THEN 'trouble' ELSE observed END AS state, count(*) AS n FROM services GROUP BY 1`).Scan(ctx, &rows)
		})
		all := make([]metrics.Sample, len(rows))
		for i, r := range rows {
			all[i] = metrics.Sample{Label: r.State, Value: r.N}
		}
		return all, err
	})
}
