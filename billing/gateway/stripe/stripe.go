// Package stripe takes money with Stripe: PaymentIntents and SetupIntents on the keys of
// whoever sells. It keeps no rows. API version 2023-10-16, that of stripe-go v76.
package stripe

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	stripego "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/client"

	"github.com/ezscale/ezscale/billing/gateway"
)

// Code names the gateway.
const Code = "stripe"

// Where Stripe is.
const (
	APIURL    = "https://api.stripe.com"
	ScriptURL = "https://js.stripe.com/v3/"
)

// Config is one seller's access.
type Config struct {
	SecretKey      string
	PublishableKey string
	WebhookSecrets []string     // any of them may have signed
	APIURL         string       // empty: Stripe's own
	ScriptURL      string       // empty: Stripe's own
	Shop           string       // kept with what is made, for people who look at Stripe's pages
	HTTP           *http.Client // empty: stripe-go's
	Account        string       // a connected account in whose name everything is done; empty: the keys' own
	FeePpm         int64        // of a connected account's payments, that stays with the keys' account; in millionths
	Statement      string       // what stands on customers' statements behind the account's own name; empty: nothing

	part bool // of an account that several shops share: see Shared
}

// Gateway is one Stripe account. It is safe for concurrent use.
type Gateway struct {
	cfg Config
	api *client.API
}

var (
	_ gateway.Gateway   = (*Gateway)(nil)
	_ gateway.Saver     = (*Gateway)(nil)
	_ gateway.Debitor   = (*Gateway)(nil)
	_ gateway.Browser   = (*Gateway)(nil)
	_ gateway.Listener  = (*Gateway)(nil)
	_ gateway.Overseer  = (*Gateway)(nil)
	_ gateway.Connector = (*Gateway)(nil)
	_ gateway.Endpoints = (*Gateway)(nil)
	_ gateway.Sharer    = (*Gateway)(nil)
)

// New opens the account of the keys. It connects to nothing. ErrCredentials for what
// cannot be keys.
func New(cfg Config) (*Gateway, error) {
	if !isKey(cfg.SecretKey, "sk_", "rk_") {
		return nil, fmt.Errorf("stripe: the secret key: %w", gateway.ErrCredentials)
	}
	if !isKey(cfg.PublishableKey, "pk_") {
		return nil, fmt.Errorf("stripe: the publishable key: %w", gateway.ErrCredentials)
	}
	if cfg.APIURL == "" {
		cfg.APIURL = APIURL
	}
	if cfg.ScriptURL == "" {
		cfg.ScriptURL = ScriptURL
	}
	if cfg.Account != "" {
		if !isAccount(cfg.Account) {
			return nil, fmt.Errorf("stripe: the connected account: %w", gateway.ErrCredentials)
		}
		cfg.HTTP = inNameOf(cfg.Account, cfg.HTTP)
	}
	backend := stripego.GetBackendWithConfig(stripego.APIBackend, &stripego.BackendConfig{
		URL: stripego.String(strings.TrimSuffix(cfg.APIURL, "/")), HTTPClient: cfg.HTTP, EnableTelemetry: stripego.Bool(false),
		MaxNetworkRetries: stripego.Int64(0), LeveledLogger: &stripego.LeveledLogger{Level: stripego.LevelNull},
	})
	return &Gateway{cfg: cfg, api: client.New(cfg.SecretKey, &stripego.Backends{API: backend, Uploads: backend, Connect: backend})}, nil
}

func isKey(key string, prefixes ...string) bool {
	if len(key) > 255 || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return false
	}
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) && len(key) > len(p) })
}

// Script is Stripe.js with the publishable key.
func (g *Gateway) Script() (script, publicKey string, origins []string) {
	if g.cfg.ScriptURL == ScriptURL && g.cfg.APIURL == APIURL {
		return ScriptURL, g.cfg.PublishableKey, []string{"https://js.stripe.com", "https://*.js.stripe.com", "https://hooks.stripe.com", "https://api.stripe.com"}
	}
	for _, address := range []string{g.cfg.ScriptURL, g.cfg.APIURL} {
		if u, err := url.Parse(address); err == nil && u.Host != "" {
			if o := u.Scheme + "://" + u.Host; !slices.Contains(origins, o) {
				origins = append(origins, o)
			}
		}
	}
	return g.cfg.ScriptURL, g.cfg.PublishableKey, origins
}

// live reports whether a key moves real money.
func live(key string) bool { return strings.Contains(key, "_live_") }

// Check asks Stripe whose keys these are.
func (g *Gateway) Check(ctx context.Context) (gateway.Health, error) {
	p := &stripego.AccountParams{}
	p.Context = ctx
	a := &stripego.Account{}
	// Not Accounts.Get: it takes no context.
	if err := g.api.Accounts.B.Call(http.MethodGet, "/v1/account", g.cfg.SecretKey, p, a); err != nil {
		return gateway.Health{}, translate("check the keys", err)
	}
	h := gateway.Health{Account: a.ID, Live: live(g.cfg.SecretKey)}
	if a.Settings != nil && a.Settings.Dashboard != nil && a.Settings.Dashboard.DisplayName != "" {
		h.Account = a.Settings.Dashboard.DisplayName + " (" + a.ID + ")"
	}
	if live(g.cfg.PublishableKey) != h.Live {
		h.Notes = append(h.Notes, "One key is for live payments and the other for tests: cards will not work. Use two of the same kind.")
	}
	if !a.ChargesEnabled {
		h.Notes = append(h.Notes, "Stripe does not let this account take payments yet. Finish its set-up at Stripe.")
	}
	if len(g.cfg.WebhookSecrets) == 0 {
		h.Notes = append(h.Notes, "No webhook is set up: payments that finish while nobody looks are noticed half an hour late.")
	}
	return h, nil
}

// listened are the events that are asked for.
var listened = []string{ //nolint:gochecknoglobals // a constant list
	"payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.canceled", "payment_intent.processing", "payment_intent.requires_action",
	"setup_intent.succeeded", "setup_intent.setup_failed", "charge.refunded", "charge.refund.updated", "refund.created", "refund.updated",
	"charge.dispute.created", "charge.dispute.updated", "charge.dispute.closed", "charge.dispute.funds_withdrawn", "charge.dispute.funds_reinstated",
	"payment_method.detached", "payment_method.updated", "payment_method.automatically_updated", "mandate.updated",
}

// Listen registers a webhook endpoint of the version this client speaks.
func (g *Gateway) Listen(ctx context.Context, address string) (string, error) {
	p := &stripego.WebhookEndpointParams{URL: stripego.String(address), APIVersion: stripego.String(stripego.APIVersion), Description: stripego.String("EZSCALE")}
	p.EnabledEvents = stripego.StringSlice(listened)
	p.Context = ctx
	e, err := g.api.WebhookEndpoints.New(p)
	if err != nil {
		return "", translate("set up the webhook", err)
	}
	return e.Secret, nil
}
