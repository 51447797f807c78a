// Package sandbox is a gateway that moves no money, for shops that are sandboxes. It
// keeps nothing: what a payment is stands in its ref, so that any process can tell.
package sandbox

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
)

// Code names the gateway.
const Code = "sandbox"

// What a customer may choose to see. A saved method is a choice with the customer's key
// behind a slash.
const (
	Works    = "works"
	Declined = "declined"
)

// Gateway is the sandbox. The zero value is ready; with a clock it also charges seeded
// methods, whose outcome depends on the month.
type Gateway struct{ Now func() time.Time }

var (
	_ gateway.Gateway = (*Gateway)(nil)
	_ gateway.Saver   = (*Gateway)(nil)
	_ gateway.Instant = (*Gateway)(nil)
)

// Instant says that nobody is asked: what a payment is, is worked out.
func (g *Gateway) Instant() {}

// made is everything there is to know of a payment, a refund or a setup.
type made struct {
	Key      string `json:"k"`
	Minor    int64  `json:"a,omitempty"`
	Currency string `json:"c,omitempty"`
	Method   string `json:"m,omitempty"`
	Customer string `json:"u,omitempty"`
	Save     bool   `json:"s,omitempty"`
	Outcome  string `json:"o,omitempty"` // of a seeded method's charge; empty: it works
}

func ref(prefix string, m made) (string, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return "", fmt.Errorf("sandbox: %w", err)
	}
	return prefix + base64.RawURLEncoding.EncodeToString(text), nil
}

func read(prefix, ref string) (m made, err error) {
	rest, ok := strings.CutPrefix(ref, prefix)
	text, err := base64.RawURLEncoding.DecodeString(rest)
	if !ok || err != nil || json.Unmarshal(text, &m) != nil {
		return made{}, fmt.Errorf("sandbox: %w", gateway.ErrNotFound)
	}
	return m, nil
}

// Charge takes no money, at once. A charge without a method works.
func (g *Gateway) Charge(ctx context.Context, c gateway.Charge) (gateway.Payment, error) {
	m := made{Key: c.Key, Minor: c.Amount.Minor, Currency: c.Amount.Currency, Method: c.Method, Customer: c.Customer.Key, Save: c.Save}
	if s, ok := seededOf(c.Method); ok && g.Now != nil {
		m.Outcome = s.outcome(c.Key, g.Now())
	}
	r, err := ref("sbp_", m)
	if err != nil {
		return gateway.Payment{}, err
	}
	return g.Payment(ctx, r)
}

// Payment is how a payment stands.
func (g *Gateway) Payment(_ context.Context, r string) (gateway.Payment, error) {
	m, err := read("sbp_", r)
	if err != nil {
		return gateway.Payment{}, err
	}
	amount := billing.Money{Minor: m.Minor, Currency: m.Currency}
	p := gateway.Payment{Ref: r, Key: m.Key, State: gateway.Succeeded, Amount: amount, Received: amount, CustomerRef: m.Customer}
	choice, kept, _ := strings.Cut(m.Method, "/")
	p.Method = method(choice, kept)
	if kept == "" && m.Save {
		p.Method = method(choice, m.Customer)
	}
	switch {
	case choice == Declined:
		p.Decline = &gateway.Decline{Kind: gateway.Soft, Code: "card_declined", Text: "The test card was declined."}
	case m.Outcome == short:
		p.Decline = &gateway.Decline{Kind: gateway.Soft, Code: "insufficient_funds", Text: "The test card has insufficient funds."}
	case m.Outcome == dead:
		p.Decline = &gateway.Decline{Kind: gateway.Hard, Code: "expired_card", Text: "The test card has expired."}
	}
	if p.Decline != nil {
		p.State, p.Received = gateway.Failed, billing.Money{Currency: m.Currency}
	}
	return p, nil
}

func method(choice, customer string) *gateway.Method {
	label := "Test card"
	switch {
	case choice == Declined:
		label = "Test card that is declined"
	case !isSeeded(choice):
		choice = Works
	}
	m := &gateway.Method{Ref: choice, CustomerRef: customer, Kind: "card", Label: label}
	if customer != "" {
		m.Ref += "/" + customer
	}
	return m
}

// Cancel finds every payment final.
func (g *Gateway) Cancel(ctx context.Context, r string) (gateway.Payment, error) {
	return g.Payment(ctx, r)
}

// Refund gives nothing back, at once.
func (g *Gateway) Refund(ctx context.Context, r gateway.Refund) (gateway.Refunded, error) {
	if _, err := read("sbp_", r.Payment); err != nil {
		return gateway.Refunded{}, err
	}
	made, err := ref("sbr_", made{Key: r.Key, Minor: r.Amount.Minor, Currency: r.Amount.Currency})
	if err != nil {
		return gateway.Refunded{}, err
	}
	return g.Refunded(ctx, made)
}

// Refunded is how a refund stands.
func (g *Gateway) Refunded(_ context.Context, r string) (gateway.Refunded, error) {
	m, err := read("sbr_", r)
	if err != nil {
		return gateway.Refunded{}, err
	}
	return gateway.Refunded{Ref: r, Key: m.Key, State: gateway.Succeeded, Amount: billing.Money{Minor: m.Minor, Currency: m.Currency}}, nil
}

// Event knows no notifications.
func (g *Gateway) Event(context.Context, http.Header, []byte, time.Time) (gateway.Event, error) {
	return gateway.Event{}, fmt.Errorf("sandbox: %w", gateway.ErrUnsupported)
}

// Check always works.
func (g *Gateway) Check(context.Context) (gateway.Health, error) {
	return gateway.Health{Account: "Sandbox", Notes: []string{"No money moves: this gateway is for trying things out."}}, nil
}

// Setup saves a test card at once.
func (g *Gateway) Setup(ctx context.Context, key string, c gateway.Customer, _ string) (gateway.Setup, error) {
	r, err := ref("sbs_", made{Key: key, Customer: c.Key})
	if err != nil {
		return gateway.Setup{}, err
	}
	return g.SetupState(ctx, r)
}

// SetupState is how saving a method stands.
func (g *Gateway) SetupState(_ context.Context, r string) (gateway.Setup, error) {
	m, err := read("sbs_", r)
	if err != nil {
		return gateway.Setup{}, err
	}
	return gateway.Setup{Ref: r, Key: m.Key, State: gateway.Succeeded, CustomerRef: m.Customer, Method: method(Works, m.Customer)}, nil
}

// Forget keeps nothing to forget.
func (g *Gateway) Forget(context.Context, string) error { return nil }
