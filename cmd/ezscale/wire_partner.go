package main

import (
	"context"
	"time"

	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/queue"
)

// arrearsJob looks at who owes the platform what since when.
type arrearsJob struct{}

// Kind names the job.
func (arrearsJob) Kind() string { return "platform.arrears" }

// partnerWork are the platform's jobs about resellers who are its customers.
func (a *app) partnerWork(w *queue.Workers, desk *reseller.Desk) {
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, _ arrearsJob) error {
		_, err := desk.EnforceArrears(ctx, reseller.DefaultArrears(), nil)
		return err
	})
}

// partnerTicks enqueues them. Half a minute, so that paying is felt within one.
func partnerTicks(s *queue.Scheduler) error {
	return queue.Schedule(s, "arrears", 30*time.Second, arrearsJob{})
}
