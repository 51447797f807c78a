package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/overview"
)

// wholesaleDesk is where the platform bills its resellers.
func (a *app) wholesaleDesk() *wholesale.Desk {
	return &wholesale.Desk{Central: a.central, Mail: mail.NewOutbox(a.ring), PartnerURL: a.siteURL(a.cfg.Hosts.Partner), Taker: a.taker, Deliver: a.handOver}
}

// newTaker opens the platform's own account at Stripe; nil where none is configured.
func newTaker(cfg paymentsConfig) (*wholesale.Taker, error) {
	if cfg.Secret == "" {
		return nil, nil
	}
	var secrets []string
	if cfg.Webhook != "" {
		secrets = strings.Split(cfg.Webhook, ",")
	}
	g, err := stripe.New(stripe.Config{
		SecretKey: cfg.Secret, PublishableKey: cfg.Publishable, WebhookSecrets: secrets,
		APIURL: cfg.StripeAPI, ScriptURL: cfg.StripeJS, Shop: "platform", HTTP: &http.Client{Timeout: gatewayTimeout},
	})
	if err != nil {
		return nil, fmt.Errorf("the platform's Stripe account: %w", err)
	}
	return &wholesale.Taker{Code: stripe.Code, Gateway: g}, nil
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
		return d.RunTold(ctx, m, job.By)
	}, queue.Timeout(long))
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, job wholesale.AnnounceJob) error {
		return d.Announce(ctx, job.Period)
	}, queue.Timeout(long))
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, _ wholesale.CollectJob) error { return d.Collect(ctx) }, queue.Timeout(10*time.Minute))
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, job wholesale.ChargeJob) error {
		return d.Charge(ctx, job)
	})
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, job wholesale.ForgetJob) error {
		return d.Forget(ctx, job)
	})
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, job wholesale.TopUpJob) error {
		return d.TakeTopUp(ctx, job)
	})
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, job wholesale.BackJob) error {
		return d.PayBack(ctx, job)
	})
	queue.HandleCentral(w, func(ctx context.Context, _ *tenancy.Central, job wholesale.EventJob) error {
		return d.HandleEvent(ctx, job)
	})
}

// tellAgain has every shop tell the platform what stands in its own schema: its services,
// what customers pay for them and the tax its prices hold.
func tellAgain(ctx context.Context, central *tenancy.Central, pool *tenancy.Pool) error {
	var all []struct{ ID tenancy.ID }
	err := central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT id FROM tenants WHERE status <> 'dropped' AND migration_error IS NULL ORDER BY id").Scan(ctx, &all)
	})
	if err != nil {
		return fmt.Errorf("who is to tell again: %w", err)
	}
	for _, t := range all {
		db := pool.Bind(tenancy.Tenant{ID: t.ID})
		if _, err := hosting.ShowAll(ctx, db); err != nil {
			return fmt.Errorf("reseller %s tells again: %w", t.ID, err)
		}
		if err := db.Update(ctx, func(tx *tenancy.Tx) error { return invoicing.TellHeldTax(ctx, tx) }); err != nil {
			return fmt.Errorf("reseller %s tells again: %w", t.ID, err)
		}
	}
	return nil
}

// ranIn answers the audit's question from the tenants' own schemas, each within its own
// bound transaction.
type ranIn struct{ pool *tenancy.Pool }

// Ran are the services that ran at some time within [from, to).
func (r ranIn) Ran(ctx context.Context, id tenancy.ID, from, to time.Time) ([]wholesale.Ran, error) {
	found, err := overview.Ran(ctx, r.pool.Bind(tenancy.Tenant{ID: id}), from, to)
	all := make([]wholesale.Ran, len(found))
	for i, s := range found {
		all[i] = wholesale.Ran{ID: s.ID, SKU: s.SKU, BeganAt: s.BeganAt, EndedAt: s.EndedAt, RetailMinor: s.RetailMinor, RetailCurrency: s.RetailCurrency, RetailCycle: s.RetailCycle}
		for _, a := range s.Addons {
			all[i].Addons = append(all[i].Addons, wholesale.RanAddon(a))
		}
	}
	return all, err
}
