package main

import (
	"context"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/checkout"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/referral"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// renewalDesk is where subscriptions are renewed, collected and ended.
func (a *app) renewalDesk() *renewal.Desk {
	return &renewal.Desk{
		Mail: mail.NewOutbox(a.ring), Links: a.payLinks(), Letters: a.letterLinks(), Offers: catalog.Remember(wholesaleOffers{a.platforms()}, offersFor, a.clock), Refunds: a.payments(), Taxes: a.taxDesk(),
	}
}

// payLinks makes and reads links that need no sign-in.
func (a *app) payLinks() *payment.Links {
	return payment.NewLinks(a.ring.DeriveKey(payment.LinkKeyPurpose))
}

// letterLinks makes and reads links in letters that one can do without.
func (a *app) letterLinks() *account.LetterLinks {
	return account.NewLetterLinks(a.ring.DeriveKey(account.LetterLinkPurpose))
}

// handleRenewals registers what is due of subscriptions, what follows failed charges,
// and what follows paid invoices: an order first, then what is renewed.
func handleRenewals(w *queue.Workers, d *renewal.Desk, orders *checkout.Desk) {
	queue.Due(w, renewal.AgendaRenewal, d.Renew)
	queue.Due(w, renewal.AgendaCollection, d.Collect)
	queue.Due(w, renewal.AgendaPrices, d.Prices)
	queue.Handle(w, d.Apply)
	queue.Handle(w, d.Resized)
	queue.Handle(w, d.GiveBack)
	queue.Handle(w, d.MadeOf)
	queue.Handle(w, d.Disputed)
	queue.Handle(w, func(ctx context.Context, db *tenancy.DB, f payment.FailedTry) error {
		for _, do := range []func(context.Context, *tenancy.DB, payment.FailedTry) error{orders.TryFailed, d.TryFailed} { // an invoice is of one of them
			if err := do(ctx, db, f); err != nil {
				return err
			}
		}
		return nil
	})
	queue.HandleMany(w, func(ctx context.Context, db *tenancy.DB, all []payment.FailedTry) error {
		for _, f := range all {
			if err := orders.TryFailed(ctx, db, f); err != nil {
				return err
			}
		}
		return d.TryFailedMany(ctx, db, all)
	})
	queue.Handle(w, func(ctx context.Context, db *tenancy.DB, job payment.UnderWayJob) error {
		if err := orders.Trust(ctx, db, job.InvoiceID); err != nil {
			return err
		}
		return d.Trust(ctx, db, job.InvoiceID)
	})
	queue.Handle(w, func(ctx context.Context, db *tenancy.DB, job invoicing.PaidJob) error {
		for _, do := range []func(context.Context, *tenancy.DB, uuid.UUID) error{orders.Paid, d.Paid} {
			if err := do(ctx, db, job.InvoiceID); err != nil {
				return err
			}
		}
		return referral.Paid(ctx, db, []uuid.UUID{job.InvoiceID})
	})
	queue.Handle(w, func(ctx context.Context, db *tenancy.DB, job invoicing.ForgivenJob) error {
		if err := orders.Forgiven(ctx, db, job.InvoiceID); err != nil {
			return err
		}
		return d.Forgiven(ctx, db, job.InvoiceID)
	})
	queue.HandleMany(w, func(ctx context.Context, db *tenancy.DB, all []invoicing.PaidJob) error {
		ids := make([]uuid.UUID, len(all))
		for i, job := range all {
			ids[i] = job.InvoiceID
		}
		first, err := orders.OfInvoices(ctx, db, ids)
		if err != nil {
			return err
		}
		for _, id := range first {
			if err := orders.Paid(ctx, db, id); err != nil {
				return err
			}
		}
		if err := d.PaidMany(ctx, db, ids); err != nil {
			return err
		}
		return referral.Paid(ctx, db, ids)
	})
}
