package main

import (
	"context"
	"time"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/checkout"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/renewal"
	tenantweb "github.com/ezscale/ezscale/tenant/web"
)

// offersFor is how long what a reseller can buy is remembered.
const offersFor = 20 * time.Second

// selling is what the pages on which people buy need.
func (a *app) selling() *tenantweb.Selling {
	offers := catalog.Remember(wholesaleOffers{a.platforms()}, offersFor, a.clock)
	return &tenantweb.Selling{Offers: offers, Checkout: a.checkoutDesk(offers)}
}

// checkoutDesk is where orders are made.
func (a *app) checkoutDesk(offers catalog.Wholesale) *checkout.Desk {
	return &checkout.Desk{Offers: offers, Supply: supply{a.platforms(), a.isSandbox, a.wholesaleDesk().TellFull, a.log}, Mail: mail.NewOutbox(a.ring), Links: a.payLinks(), Taxes: a.taxDesk()}
}

// checkoutJobs are what follows of orders: when one is running, and when nobody pays.
// That one is paid follows with the invoice (see handleRenewals), and of one that begins
// with trials there is none.
func checkoutJobs(w *queue.Workers, d *checkout.Desk, renewals *renewal.Desk) {
	queue.Handle(w, func(ctx context.Context, db *tenancy.DB, job hosting.ActiveJob) error {
		if err := d.ServiceActive(ctx, db, job.ServiceID); err != nil || !job.ByHand {
			return err
		}
		return renewals.Delivered(ctx, db, job.ServiceID)
	})
	queue.Handle(w, func(ctx context.Context, db *tenancy.DB, job checkout.BeginJob) error {
		return d.Begin(ctx, db, job.OrderID)
	})
	queue.Due(w, checkout.AgendaKind, d.Due)
}
