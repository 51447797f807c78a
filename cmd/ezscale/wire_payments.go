package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/coinbase"
	"github.com/ezscale/ezscale/billing/gateway/paypal"
	"github.com/ezscale/ezscale/billing/gateway/sandbox"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/transfer"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenant/payment"
)

// gatewayTimeout bounds one call of a gateway: less than a page may take.
const gatewayTimeout = 12 * time.Second

// drivers opens the gateways the program has.
type drivers struct {
	cfg    paymentsConfig
	http   *http.Client
	tokens *paypal.Tokens
	hooks  func() []string // what news of connected accounts may be signed with
}

var _ payment.Gateways = drivers{}

// Open is the one place that knows every gateway.
func (d drivers) Open(code string, s payment.Settings) (gateway.Gateway, error) {
	if s.Only && code != sandbox.Code {
		return nil, fmt.Errorf("gateway %.20q in a sandbox: %w", code, gateway.ErrUnsupported)
	}
	switch code {
	case stripe.Code:
		if account := s.Secret["account"]; account != "" { // connected to the platform's
			return stripe.New(d.cfg.connected(d.http, account, s.Tenant.String(), d.hooks()))
		}
		return stripe.New(stripe.Config{
			SecretKey: s.Secret["secret_key"], PublishableKey: s.Public["publishable_key"], WebhookSecrets: []string{s.Secret["webhook_secret"]},
			APIURL: d.cfg.StripeAPI, ScriptURL: d.cfg.StripeJS, Shop: s.Tenant.String(), HTTP: d.http,
		})
	case payment.Platform:
		return stripe.NewShared(stripe.Config{
			SecretKey: d.cfg.Secret, PublishableKey: d.cfg.Publishable, APIURL: d.cfg.StripeAPI, ScriptURL: d.cfg.StripeJS,
			Shop: s.Tenant.String(), Statement: stripe.StatementOf(s.Name), HTTP: d.http,
		}, s.Secret["currency"])
	case paypal.Code:
		return paypal.New(paypal.Config{
			ClientID: s.Public["client_id"], Secret: s.Secret["client_secret"], WebhookID: s.Secret["webhook_secret"], Sandbox: s.Public["sandbox"] == "on",
			APIURL: d.cfg.PayPalAPI, HTTP: d.http, Tokens: d.tokens,
		})
	case coinbase.Code:
		return coinbase.New(coinbase.Config{KeyID: s.Public["key_id"], KeySecret: s.Secret["key_secret"], WebhookSecret: s.Secret["webhook_secret"], APIURL: d.cfg.CoinbaseAPI, HTTP: d.http})
	case transfer.Code:
		return transfer.New(transfer.Config{Holder: s.Public["holder"], IBAN: s.Public["iban"], BIC: s.Public["bic"], Bank: s.Public["bank"], Note: s.Public["note"]})
	case sandbox.Code:
		if s.Test {
			return &sandbox.Gateway{Now: func() time.Time { return s.Now }}, nil
		}
	}
	return nil, fmt.Errorf("gateway %.20q: %w", code, gateway.ErrUnsupported)
}

// payments is where shops' money is taken.
func (a *app) payments() *payment.Desk {
	hook := a.connectHook()
	return &payment.Desk{Gateways: drivers{a.cfg.Payments, &http.Client{Timeout: gatewayTimeout}, &paypal.Tokens{}, hook.secrets}, Keys: a.ring, Mail: mail.NewOutbox(a.ring)}
}

// connected opens the platform's account at Stripe in the name of one that was connected to
// it; without an account, for what is done about such accounts.
func (c paymentsConfig) connected(h *http.Client, account, shop string, hooks []string) stripe.Config {
	return stripe.Config{
		SecretKey: c.Secret, PublishableKey: c.Publishable, WebhookSecrets: hooks, APIURL: c.StripeAPI, ScriptURL: c.StripeJS,
		HTTP: h, Account: account, FeePpm: int64(c.ConnectFee * 10_000), Shop: shop,
	}
}

// paymentJobs are the jobs that take money and give it back. What follows a failed try
// is renewal's.
func (a *app) paymentJobs(w *queue.Workers) {
	desk := a.connecting(a.payments())
	queue.Handle(w, desk.Charge)
	queue.HandleMany(w, desk.ChargeMany)
	queue.Handle(w, desk.HandleEvent)
	queue.Handle(w, desk.Refund)
	queue.Due(w, payment.Agenda, desk.Sweep)
	queue.Due(w, payment.EvidenceAgenda, desk.RemindOfEvidence)
}
