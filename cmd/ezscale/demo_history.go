package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/cmd/ezscale/demo"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/queue"
)

// liver does what is due at the clock's time and waits for it, so that months pass in
// seconds.
type liver struct {
	app  *app
	work *queue.Workers
	jobs *queue.Jobs
}

// patience is how long the work of one day may take.
const patience = time.Minute

// Due enqueues a scan of every kind of due work and waits until nothing is left to do.
// Work that would be looked at again later is looked at now.
func (l *liver) Due(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := l.app.central.Update(ctx, func(tx *tenancy.CentralTx) error {
		for _, scan := range l.work.Scans() {
			if _, err := tx.Enqueue(ctx, scan, tenancy.JobOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for due work: %w", err)
	}
	for hurried := 0; ; {
		counts, err := l.jobs.Count(ctx)
		if err != nil {
			return err
		}
		switch {
		case counts[queue.StateWaiting]+counts[queue.StateRunning] > 0:
			time.Sleep(5 * time.Millisecond)
		case counts[queue.StateLater]+counts[queue.StateRetrying] == 0 || hurried == 5:
			return nil
		default:
			hurried++
			if err := l.hurry(ctx); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the work of a day did not end: %v", counts)
		}
	}
}

// noHistory reports whether the demo has never been lived in.
func (a *app) noHistory(ctx context.Context) (fresh bool, err error) {
	err = a.central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT NOT EXISTS (SELECT FROM tenants)").Scan(ctx, &fresh)
	})
	return fresh, err
}

// makeHistory lives the demo's months from the beginning to now.
func (a *app) makeHistory(ctx context.Context, w *queue.Workers, lab *demo.Lab, clock *demo.Clock, begins time.Time) error {
	jobs, err := queue.OpenJobs(ctx, tenancyConfig(a.cfg.Database, a.ring, a.clock), 2)
	if err != nil {
		return err
	}
	defer jobs.Close()
	lab.Servers.SetInstallDelay(0)
	defer lab.Servers.SetInstallDelay(lab.Install())
	e := demo.Engine{
		Clock: clock, Pool: a.pool, Checkout: a.checkoutDesk(wholesaleOffers{a.platforms()}), Payments: a.payments(), Usage: a.meteringDesk(), Services: a.hostingDesk(), Stripe: lab.StripeURL(),
		Due:  (&liver{app: a, work: w, jobs: jobs}).Due,
		Bill: a.billAndPay,
	}
	for _, slug := range demo.Slugs() {
		t, ok := a.resolver.Lookup(slug + "." + a.cfg.Hosts.Platform)
		if !ok {
			return fmt.Errorf("the shop %s is not in the directory", slug)
		}
		e.Shops = append(e.Shops, t)
	}
	return demo.History(ctx, e, begins, time.Now())
}

// billAndPay bills the months that are over; the demo's resellers pay at once, but for
// what is not due yet when the demo is looked at: that is left to whoever looks.
func (a *app) billAndPay(ctx context.Context) error {
	desk := a.wholesaleDesk()
	if err := desk.Due(ctx); err != nil {
		return err
	}
	open, _, err := desk.Invoices(ctx, wholesale.InvoiceFilter{State: "open", Limit: 100})
	if err != nil {
		return err
	}
	for _, inv := range open {
		if inv.Open().Minor <= 0 || inv.DueAt.After(time.Now()) {
			continue
		}
		paid := wholesale.ByHand{Key: "demo " + inv.Number, Amount: inv.Open().Decimal(), Note: "Demo Bank, " + inv.Number}
		if err := desk.TakeByHand(ctx, inv.ID, paid, audit.Origin{Actor: audit.System("demo")}); err != nil {
			return err
		}
	}
	return nil
}

// hurry makes what waits for its time due now.
func (l *liver) hurry(ctx context.Context) error {
	for _, state := range []queue.State{queue.StateLater, queue.StateRetrying} {
		found, err := l.jobs.List(ctx, queue.Filter{State: state})
		if err != nil {
			return err
		}
		for _, j := range found {
			if _, err := l.jobs.Retry(ctx, j.ID); err != nil {
				return err
			}
		}
	}
	return nil
}
