package twinhouse

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/sandbox"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenant/checkout"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/metering"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/recognition"
	"github.com/ezscale/ezscale/tenant/renewal"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// Works are the jobs by which a shop lives from month to month, without anything outside of
// it: what benches and tests turn a clock with. The program has all of them and more.
// Singly, no jobs are done many at once.
func Works(ring *secrets.Keyring, singly bool) *queue.Workers {
	box := mail.NewOutbox(ring)
	pay := &payment.Desk{Gateways: nobody{}, Keys: ring, Mail: box}
	renewals := &renewal.Desk{Mail: box, Refunds: pay}
	services := &hosting.Desk{Platforms: nowhere{}, Keys: ring, Mail: box}
	letters := invoicing.Letters{Mail: box}
	postman := &mail.Postman{Sealer: ring}
	w := queue.NewWorkers()
	queue.Handle(w, postman.Send)
	queue.Handle(w, letters.Write)
	queue.Handle(w, (&webhook.Desk{}).Deliver)
	queue.Handle(w, pay.Charge)
	queue.Handle(w, pay.Refund)
	queue.Due(w, payment.Agenda, pay.Sweep)
	queue.Due(w, renewal.AgendaRenewal, renewals.Renew)
	queue.Due(w, renewal.AgendaCollection, renewals.Collect)
	queue.Due(w, recognition.Agenda, recognition.Recognise)
	queue.Due(w, renewal.AgendaPrices, renewals.Prices)
	queue.Handle(w, renewals.Apply)
	queue.Handle(w, renewals.Resized)
	queue.Handle(w, renewals.GiveBack)
	queue.Handle(w, renewals.TryFailed)
	queue.Handle(w, func(ctx context.Context, db *tenancy.DB, job invoicing.PaidJob) error {
		return renewals.Paid(ctx, db, job.InvoiceID)
	})
	queue.Handle(w, func(ctx context.Context, db *tenancy.DB, job invoicing.ForgivenJob) error {
		return renewals.Forgiven(ctx, db, job.InvoiceID)
	})
	use := &metering.Desk{Mail: box, Holds: hosting.SpendHolds{}}
	queue.Due(w, metering.AgendaSpend, use.Look)
	queue.Due(w, metering.AgendaReplay, use.Replay)
	queue.Handle(w, func(ctx context.Context, db *tenancy.DB, job hosting.PoweredJob) error {
		return use.Powered(ctx, db, job.SubscriptionID, job.ServiceID, job.Since, job.Until)
	})
	queue.Handle(w, services.Drive)
	queue.Due(w, hosting.Agenda, services.Tick)
	queue.Handle(w, func(ctx context.Context, db *tenancy.DB, job hosting.ActiveJob) error {
		if err := (&checkout.Desk{Mail: box}).ServiceActive(ctx, db, job.ServiceID); err != nil || !job.ByHand {
			return err
		}
		return renewals.Delivered(ctx, db, job.ServiceID)
	})
	if singly {
		return w
	}
	queue.HandleMany(w, postman.SendMany)
	queue.HandleMany(w, letters.WriteMany)
	queue.HandleMany(w, pay.ChargeMany)
	queue.HandleMany(w, renewals.TryFailedMany)
	queue.HandleMany(w, func(ctx context.Context, db *tenancy.DB, all []invoicing.PaidJob) error {
		ids := make([]uuid.UUID, len(all))
		for i, job := range all {
			ids[i] = job.InvoiceID
		}
		return renewals.PaidMany(ctx, db, ids)
	})
	return w
}

// nobody is the world outside: there is none.
type nobody struct{}

// Open opens the gateway of sandboxes and no other.
func (nobody) Open(code string, s payment.Settings) (gateway.Gateway, error) {
	if code != sandbox.Code || !s.Only {
		return nil, fmt.Errorf("gateway %.20q: %w", code, gateway.ErrUnsupported)
	}
	return &sandbox.Gateway{Now: func() time.Time { return s.Now }}, nil
}

// nowhere is every platform: there is none.
type nowhere struct{}

// Open refuses.
func (nowhere) Open(context.Context, uuid.UUID) (provisioners.Driver, error) {
	return nil, provisioners.ErrRefused
}

// Delivery refuses.
func (nowhere) Delivery(context.Context, string, uuid.UUID, string, string) (map[string]any, string, error) {
	return nil, "", provisioners.ErrRefused
}
