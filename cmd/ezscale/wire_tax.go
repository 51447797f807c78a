package main

import (
	"net/http"
	"time"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenant/exchange"
	"github.com/ezscale/ezscale/tenant/exchange/ecb"
	"github.com/ezscale/ezscale/tenant/taxid"
	"github.com/ezscale/ezscale/tenant/taxid/vies"
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
