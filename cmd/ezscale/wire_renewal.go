package main

import (
	"context"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// renewalDesk is where subscriptions are renewed, collected and ended.
func (a *app) renewalDesk() *renewal.Desk { return &renewal.Desk{Mail: mail.NewOutbox(a.ring)} }

// handleRenewals registers what is due of subscriptions, what follows failed charges,
// and what follows paid invoices: before says what other parts do first.
func handleRenewals(w *queue.Workers, d *renewal.Desk, before ...func(ctx context.Context, db *tenancy.DB, invoice uuid.UUID) error) {
	queue.Due(w, renewal.AgendaRenewal, d.Renew)
	queue.Due(w, renewal.AgendaCollection, d.Collect)
	queue.Handle(w, d.TryFailed)
	queue.Handle(w, func(ctx context.Context, db *tenancy.DB, job invoicing.PaidJob) error {
		for _, do := range append(before, d.Paid) {
			if err := do(ctx, db, job.InvoiceID); err != nil {
				return err
			}
		}
		return nil
	})
}
