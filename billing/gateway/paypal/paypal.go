// Package paypal takes money with PayPal: orders (v2) that customers agree to at PayPal's
// own pages, PayPal accounts kept for later charges (vault v3), refunds, disputes and
// webhooks, on the keys of whoever sells. It keeps no rows.
//
// PayPal keeps nothing of a charge to a kept account that was refused. The ref of such a
// payment says so and why: "declined/<issue>/<key>".
package paypal

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing/gateway"
)

// Code names the gateway.
const Code = "paypal"

// Where PayPal is.
const (
	LiveURL    = "https://api-m.paypal.com"
	SandboxURL = "https://api-m.sandbox.paypal.com"
)

// Config is one seller's access.
type Config struct {
	ClientID  string
	Secret    string
	WebhookID string // what PayPal calls the shop's webhook; empty: no notification is believed
	Sandbox   bool   // the keys are of PayPal's sandbox
	APIURL    string // empty: PayPal's own
	Brand     string // what customers read at PayPal; empty: the name of the PayPal account
	HTTP      *http.Client
	Tokens    *Tokens          // kept between gateways; nil: of this one alone
	Clock     func() time.Time // zero: the wall clock's
}

// Gateway is one PayPal account. It is safe for concurrent use.
type Gateway struct {
	cfg  Config
	base string
}

var (
	_ gateway.Gateway    = (*Gateway)(nil)
	_ gateway.Saver      = (*Gateway)(nil)
	_ gateway.Listener   = (*Gateway)(nil)
	_ gateway.Overseer   = (*Gateway)(nil)
	_ gateway.Finisher   = (*Gateway)(nil)
	_ gateway.Redirector = (*Gateway)(nil)
)

// New opens the account of the keys. It connects to nothing. ErrCredentials for what
// cannot be keys.
func New(cfg Config) (*Gateway, error) {
	if !isKey(cfg.ClientID) || !isKey(cfg.Secret) {
		return nil, fmt.Errorf("paypal: the client id and secret: %w", gateway.ErrCredentials)
	}
	g := &Gateway{cfg: cfg, base: strings.TrimSuffix(cfg.APIURL, "/")}
	switch {
	case g.base != "":
	case cfg.Sandbox:
		g.base = SandboxURL
	default:
		g.base = LiveURL
	}
	if g.cfg.HTTP == nil {
		g.cfg.HTTP = http.DefaultClient
	}
	if g.cfg.Tokens == nil {
		g.cfg.Tokens = &Tokens{}
	}
	if g.cfg.Clock == nil {
		g.cfg.Clock = time.Now //nolint:forbidigo // where nobody passes one in
	}
	return g, nil
}

func isKey(key string) bool {
	return len(key) >= 8 && len(key) <= 255 && !strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' })
}

// Redirects is how pages speak of it.
func (g *Gateway) Redirects() (name, says string) {
	return "PayPal", "You confirm the payment at PayPal and come back here."
}

// vaulting is the permission to keep customers' accounts for later.
const vaulting = "https://uri.paypal.com/services/vault/payment-tokens/readwrite"

// Check asks PayPal whose keys these are, with a token made anew.
func (g *Gateway) Check(ctx context.Context) (gateway.Health, error) {
	t, err := g.freshToken(ctx)
	if err != nil {
		return gateway.Health{}, err
	}
	h := gateway.Health{Account: "PayPal", Live: !g.cfg.Sandbox}
	if t.app != "" {
		h.Account = "PayPal (" + t.app + ")"
	}
	if !strings.Contains(t.scope, vaulting) {
		h.Notes = append(h.Notes, "PayPal does not let this account keep customers' PayPal for later yet, so renewals are not collected with it. Ask PayPal for \"vaulting\".")
	}
	if g.cfg.WebhookID == "" {
		h.Notes = append(h.Notes, "No webhook is set up: payments that finish while nobody looks are noticed half an hour late, and refunds and disputes not at all.")
	}
	return h, nil
}

// listened are the events that are asked for.
var listened = []string{ //nolint:gochecknoglobals // a constant list
	"CHECKOUT.ORDER.APPROVED", "PAYMENT.CAPTURE.COMPLETED", "PAYMENT.CAPTURE.DENIED", "PAYMENT.CAPTURE.PENDING", "PAYMENT.CAPTURE.REFUNDED", "PAYMENT.CAPTURE.REVERSED",
	"PAYMENT.REFUND.PENDING", "PAYMENT.REFUND.FAILED", "CUSTOMER.DISPUTE.CREATED", "CUSTOMER.DISPUTE.UPDATED", "CUSTOMER.DISPUTE.RESOLVED",
	"VAULT.PAYMENT-TOKEN.CREATED", "VAULT.PAYMENT-TOKEN.DELETED",
}

type eventType struct {
	Name string `json:"name"`
}

type hook struct {
	ID     string      `json:"id,omitempty"`
	URL    string      `json:"url"`
	Events []eventType `json:"event_types"`
}

// Listen registers a webhook, or finds the one of that address, and returns its id.
func (g *Gateway) Listen(ctx context.Context, address string) (string, error) {
	ask := hook{URL: address}
	for _, name := range listened {
		ask.Events = append(ask.Events, eventType{name})
	}
	var made hook
	err := g.call(ctx, request{method: http.MethodPost, path: "/v1/notifications/webhooks", body: ask}, &made)
	if issueOf(err) == "WEBHOOK_URL_ALREADY_EXISTS" {
		var all struct {
			Hooks []hook `json:"webhooks"`
		}
		if err := g.call(ctx, request{method: http.MethodGet, path: "/v1/notifications/webhooks"}, &all); err != nil {
			return "", translate("look for the webhook", err)
		}
		for _, h := range all.Hooks {
			if h.URL == address {
				return h.ID, nil
			}
		}
	}
	if err != nil {
		return "", translate("set up the webhook", err)
	}
	return made.ID, nil
}
