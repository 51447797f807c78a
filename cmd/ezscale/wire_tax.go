package main

import (
	"context"
	"net/http"
	"time"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/exchange"
	"github.com/ezscale/ezscale/tenant/exchange/ecb"
	"github.com/ezscale/ezscale/tenant/taxid"
	"github.com/ezscale/ezscale/tenant/taxid/vies"
	"github.com/ezscale/ezscale/tenant/taxservice"
)

// registerTimeout bounds one call of the register of VAT numbers.
const registerTimeout = 10 * time.Second

// numberDesk asks the EU's register about customers' VAT numbers, where it is configured.
func (a *app) numberDesk() *taxid.Desk {
	d := &taxid.Desk{Again: time.Duration(a.cfg.Tax.Again) * 24 * time.Hour, Mail: mail.NewOutbox(a.ring)}
	if a.cfg.Tax.VIES != "" {
		d.Register = vies.Client{URL: a.cfg.Tax.VIES, HTTP: &http.Client{Timeout: registerTimeout}}
	}
	return d
}

// exchangeDesk fetches rates of exchange, where that is configured; all shops share an answer.
func (a *app) exchangeDesk() *exchange.Desk {
	d := &exchange.Desk{}
	if a.cfg.Tax.ECB != "" {
		d.Daily = &exchange.Shared{Source: ecb.Client{URL: a.cfg.Tax.ECB, HTTP: &http.Client{Timeout: registerTimeout}}, Clock: a.clock}
	}
	return d
}

// taxDesk asks Stripe about tax with a shop's own keys.
func (a *app) taxDesk() *taxservice.Desk {
	payments := a.payments()
	return &taxservice.Desk{Asked: a.metrics.TaxAsked, Open: func(ctx context.Context, db *tenancy.DB) (taxservice.Service, error) {
		g, _, err := payments.Open(ctx, db, stripe.Code)
		if fault.Is(err, "gateway.unknown") {
			return nil, gateway.ErrUnsupported
		}
		if err != nil {
			return nil, err
		}
		service, ok := g.(taxservice.Service)
		if !ok {
			return nil, gateway.ErrUnsupported
		}
		return service, nil
	}}
}
