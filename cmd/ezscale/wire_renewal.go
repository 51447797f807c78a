package main

import (
	"context"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenant/checkout"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// renewalDesk is where subscriptions are renewed, collected and ended.
func (a *app) renewalDesk() *renewal.Desk { return &renewal.Desk{Mail: mail.NewOutbox(a.ring)} }

// openSubscription is checkout's way to renewal.Open.
func openSubscription(ctx context.Context, tx *tenancy.Tx, s checkout.Subscription) (uuid.UUID, error) {
	n := renewal.New{
		AccountID: s.AccountID, OrderID: s.OrderID, PlanID: s.PlanID, Label: s.Label, Cycle: s.Cycle, Currency: s.Amount.Currency, Amount: s.Amount,
	}
	for _, it := range s.Items {
		n.Items = append(n.Items, renewal.Item{Kind: it.Kind, Code: it.Code, Label: it.Label, Quantity: it.Quantity, AmountMinor: it.Amount.Minor})
	}
	opened, err := renewal.Open(ctx, tx, n)
	return opened.ID, err
}

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
