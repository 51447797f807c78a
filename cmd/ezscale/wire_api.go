package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/api"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// webhooks tells other people's programs what happened.
func (a *app) webhooks() *webhook.Desk {
	return &webhook.Desk{Sealer: a.ring, Client: a.outward(20 * time.Second), Plain: len(a.cfg.Egress.Allow) > 0}
}

// customerAPI is what customers' programs call.
func (a *app) customerAPI() *api.API {
	return &api.API{Limits: newCallLimits(a.redis), Slices: api.Slices{
		Offers: wholesaleOffers{a.platforms()},
		PDF:    a.invoicePDF,
	}}
}

// invoicePDF prints a stored document for a program.
func (a *app) invoicePDF(ctx context.Context, db *tenancy.DB, id uuid.UUID) ([]byte, string, error) {
	var d document.Document
	err := db.View(ctx, func(tx *tenancy.Tx) (err error) {
		d, err = invoicing.Stored(ctx, tx, id)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	pdf, err := document.PDF(d, document.Look{Name: db.Tenant().Name})
	if err != nil {
		return nil, "", fmt.Errorf("print invoice %s: %w", id, err)
	}
	return pdf, "invoice.pdf", nil
}
