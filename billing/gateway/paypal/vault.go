package paypal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/ezscale/ezscale/billing/gateway"
)

type setupWallet struct {
	Usage   string     `json:"usage_type"`
	Context experience `json:"experience_context"`
}

type setupAsk struct {
	Customer *customer `json:"customer,omitempty"`
	Source   struct {
		PayPal setupWallet `json:"paypal"`
	} `json:"payment_source"`
}

type tokenAsk struct {
	Source struct {
		Token struct {
			ID   string `json:"id"`
			Type string `json:"type"`
		} `json:"token"`
	} `json:"payment_source"`
}

// kept is a token of the vault: one that the customer is to agree to, or an account that
// is kept.
type kept struct {
	ID       string   `json:"id"`
	Status   string   `json:"status"`
	Customer customer `json:"customer"`
	Links    []link   `json:"links"`
	Source   struct {
		PayPal struct {
			Email string `json:"email_address"`
		} `json:"paypal"`
	} `json:"payment_source"`
}

// The ref of a setup is PayPal's token and our key, of which PayPal keeps nothing:
// "<token>/<key>". It must come from whoever stored it, not from an address.
func (k kept) setup(key string) gateway.Setup {
	s := gateway.Setup{Ref: k.ID + "/" + key, Key: key, State: gateway.RequiresAction, CustomerRef: k.Customer.ID, ActionURL: hrefOf(k.Links, "approve", "payer-action")}
	if k.Status == "APPROVED" || k.Status == "VAULTED" {
		s.ActionURL = ""
	}
	return s
}

// Setup makes a setup token, which the customer agrees to at PayPal.
func (g *Gateway) Setup(ctx context.Context, key string, c gateway.Customer, returnURL string) (gateway.Setup, error) {
	var ask setupAsk
	ask.Source.PayPal = setupWallet{Usage: "MERCHANT", Context: experience{Brand: short(g.cfg.Brand, 120), Shipping: "NO_SHIPPING", Return: returnURL, Cancel: turningBack(returnURL)}}
	if isToken(c.Ref) {
		ask.Customer = &customer{c.Ref}
	}
	var made kept
	err := g.call(ctx, request{method: http.MethodPost, path: "/v3/vault/setup-tokens", id: key, body: ask}, &made)
	var p *problem
	if errors.As(err, &p) && (p.status == http.StatusForbidden || p.issue() == "NOT_ENABLED_TO_VAULT_PAYMENT_SOURCE") {
		return gateway.Setup{}, fmt.Errorf("paypal: keep an account for later: %w: %w", gateway.ErrUnsupported, err)
	}
	if err != nil {
		return gateway.Setup{}, translate("begin keeping an account", err)
	}
	return made.setup(key), nil
}

// SetupState reads a setup token, and keeps the account once the customer has agreed.
func (g *Gateway) SetupState(ctx context.Context, ref string) (gateway.Setup, error) {
	id, key, _ := strings.Cut(ref, "/")
	if !isToken(id) || len(id) < 7 || key == "" {
		return gateway.Setup{}, fmt.Errorf("paypal: read the keeping of an account: %w", gateway.ErrNotFound)
	}
	var k kept
	if err := g.call(ctx, request{method: http.MethodGet, path: "/v3/vault/setup-tokens/" + id}, &k); err != nil {
		return gateway.Setup{}, translate("read the keeping of an account", err)
	}
	s := k.setup(key)
	if k.Status != "APPROVED" && k.Status != "VAULTED" {
		return s, nil
	}
	var ask tokenAsk
	ask.Source.Token.ID, ask.Source.Token.Type = id, "SETUP_TOKEN"
	var made kept
	if err := g.call(ctx, request{method: http.MethodPost, path: "/v3/vault/payment-tokens", id: key, body: ask}, &made); err != nil {
		return s, translate("keep an account", err)
	}
	s.State, s.CustomerRef = gateway.Succeeded, made.Customer.ID
	s.Method = methodOf(made.ID, made.Customer.ID, made.Source.PayPal.Email)
	return s, nil
}

// Forget removes a kept account.
func (g *Gateway) Forget(ctx context.Context, ref string) error {
	if !isToken(ref) || len(ref) < 7 {
		return nil // never was one
	}
	err := g.call(ctx, request{method: http.MethodDelete, path: "/v3/vault/payment-tokens/" + ref}, nil)
	if err == nil {
		return nil
	}
	if err = translate("forget an account", err); errors.Is(err, gateway.ErrNotFound) {
		return nil
	}
	return err
}
