package main

import (
	"context"
	"errors"
	"time"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/central/partner"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/egress"
	"github.com/ezscale/ezscale/tenancy/queue"
)

// arrearsJob looks at who owes the platform what since when.
type arrearsJob struct{}

// Kind names the job.
func (arrearsJob) Kind() string { return "platform.arrears" }

// partnerWork are the platform's jobs about resellers who are its customers.
func (a *app) partnerWork(w *queue.Workers, desk *reseller.Desk) {
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, _ arrearsJob) error {
		_, err := desk.EnforceArrears(ctx, reseller.DefaultArrears(), a.tellOfArrears)
		return err
	})
	queue.HandleCentral(w, a.partnerDesk().Finish)
	a.connectJobs(w)
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, _ alerts.SendJob) error {
		_, err := a.alertDesk().SendDue(ctx)
		return err
	}, queue.Timeout(5*time.Minute))
}

// alertDesk is where staff look after alerts, and what carries them.
func (a *app) alertDesk() *alerts.Desk {
	return &alerts.Desk{
		Central: a.central, Keys: a.ring, Mail: mail.NewOutbox(a.ring), Client: egress.Client(egress.Options{Timeout: 20 * time.Second}),
		Console: "https://" + a.cfg.Hosts.Console,
	}
}

// partnerDesk is where a business opens its shop by itself.
func (a *app) partnerDesk() *partner.Desk {
	return &partner.Desk{Central: a.central, Mail: mail.NewOutbox(a.ring), Resellers: newResellerDesk(a.central, a.pool, a.cfg.Hosts.Platform, newOutboxes(a.ring))}
}

// tellOfArrears tells the reseller's partners and staff what not paying, or paying, changed.
func (a *app) tellOfArrears(ctx context.Context, tx *tenancy.CentralTx, b reseller.Debtor, to tenancy.Restriction) error {
	return partner.TellOfArrears(ctx, tx, mail.NewOutbox(a.ring), b, to)
}

// partnerTicks enqueues them. Half a minute, so that paying is felt within one.
func partnerTicks(s *queue.Scheduler) error {
	return errors.Join(
		queue.Schedule(s, "arrears", 30*time.Second, arrearsJob{}),
		queue.Schedule(s, "alerts", 10*time.Second, alerts.SendJob{}),
		connectTicks(s),
	)
}
