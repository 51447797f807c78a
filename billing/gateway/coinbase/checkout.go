package coinbase

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
)

type checkout struct {
	ID         string            `json:"id"`
	URL        string            `json:"url"`
	Amount     string            `json:"amount"`
	Currency   string            `json:"currency"`
	Status     string            `json:"status"`
	Metadata   map[string]string `json:"metadata"`
	Settlement struct {
		Total    string `json:"totalAmount"`
		Currency string `json:"currency"`
	} `json:"settlement"`
	Refunds []refund `json:"refunds"`
}

type refund struct {
	ID       string `json:"id"`
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
	Status   string `json:"status"`
	Reason   string `json:"reason"`
}

const metaKey = "ezscale_key"

func moneyOf(value, currency string) billing.Money {
	m, err := billing.Parse(value, currency)
	if err != nil {
		return billing.Money{Currency: currency}
	}
	return m
}

// payment is a checkout as the contract sees it. What was settled counts as received where
// it is told in the checkout's currency: that may be less or more than was asked for.
func (c checkout) payment() gateway.Payment {
	p := gateway.Payment{Ref: c.ID, Key: c.Metadata[metaKey], State: gateway.RequiresAction, Amount: moneyOf(c.Amount, c.Currency), Received: billing.Money{Currency: c.Currency}}
	switch c.Status {
	case "ACTIVE":
		p.ActionURL = c.URL
	case "PROCESSING":
		p.State = gateway.Processing
	case "DEACTIVATED", "EXPIRED":
		p.State = gateway.Cancelled
	case "COMPLETED", "REFUNDED", "PARTIALLY_REFUNDED":
		p.State, p.Received = gateway.Succeeded, p.Amount
		if s := moneyOf(c.Settlement.Total, c.Settlement.Currency); s.Currency == c.Currency && s.Minor > 0 {
			p.Received = s
		}
	case "FAILED":
		p.State, p.Decline = gateway.Failed, declined("checkout_failed", "The payment did not go through. Please try again, or pay in another way.")
	default:
		p.State = gateway.Processing // a state of tomorrow: nothing is decided
	}
	return p
}

// Charge makes a checkout. Nothing can be charged without the customer.
func (g *Gateway) Charge(ctx context.Context, c gateway.Charge) (gateway.Payment, error) {
	if c.Method != "" {
		return gateway.Payment{}, fmt.Errorf("coinbase: charge a saved method: %w", gateway.ErrUnsupported)
	}
	if !takes(c.Amount.Currency) {
		return gateway.Payment{Ref: refusedPrefix + c.Key, Key: c.Key, State: gateway.Failed, Amount: c.Amount, Received: billing.Money{Currency: c.Amount.Currency}, Decline: otherCurrency()}, nil
	}
	ask := map[string]any{"amount": c.Amount.Decimal(), "currency": c.Amount.Currency, "metadata": map[string]string{metaKey: c.Key, "reference": short(c.Reference, 100)}}
	if c.Description != "" {
		ask["description"] = short(c.Description, 500)
	}
	if c.ReturnURL != "" {
		ask["successRedirectUrl"], ask["failRedirectUrl"] = c.ReturnURL, turningBack(c.ReturnURL)
	}
	var made checkout
	if err := g.call(ctx, http.MethodPost, "/checkouts", uuidOf(c.Key), ask, &made); err != nil {
		return gateway.Payment{}, translate("make a checkout", err)
	}
	return made.payment(), nil
}

const refusedPrefix = "refused/"

func otherCurrency() *gateway.Decline {
	return &gateway.Decline{Kind: billing.RefusedHard, Code: "currency_not_supported", Text: "Digital dollars cannot pay this currency. Please pay in another way."}
}

// turningBack is where a customer comes back to who has not paid.
func turningBack(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	q := u.Query()
	q.Set(gateway.GivenUp, "1")
	u.RawQuery = q.Encode()
	return u.String()
}

// short cuts a text at a rune.
func short(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

func isCheckout(ref string) bool {
	return len(ref) == 24 && strings.Trim(ref, "0123456789abcdef") == ""
}

func (g *Gateway) read(ctx context.Context, ref string) (c checkout, err error) {
	if !isCheckout(ref) {
		return c, fmt.Errorf("coinbase: read a checkout: %w", gateway.ErrNotFound)
	}
	if err := g.call(ctx, http.MethodGet, "/checkouts/"+ref, "", nil, &c); err != nil {
		return c, translate("read a checkout", err)
	}
	return c, nil
}

// Payment reads a checkout.
func (g *Gateway) Payment(ctx context.Context, ref string) (gateway.Payment, error) {
	if key, refused := strings.CutPrefix(ref, refusedPrefix); refused {
		return gateway.Payment{Ref: ref, Key: key, State: gateway.Failed, Decline: otherCurrency()}, nil
	}
	c, err := g.read(ctx, ref)
	if err != nil {
		return gateway.Payment{}, err
	}
	return c.payment(), nil
}

// Cancel deactivates a checkout, unless it is too late.
func (g *Gateway) Cancel(ctx context.Context, ref string) (gateway.Payment, error) {
	p, err := g.Payment(ctx, ref)
	if err != nil || p.State != gateway.RequiresAction {
		return p, err
	}
	var c checkout
	if err := g.call(ctx, http.MethodPost, "/checkouts/"+ref+"/deactivate", "", nil, &c); err != nil {
		// Paid meanwhile, or deactivated: how it stands is the answer.
		if again, rerr := g.Payment(ctx, ref); rerr == nil && again.State != gateway.RequiresAction {
			return again, nil
		}
		return gateway.Payment{}, translate("deactivate a checkout", err)
	}
	return c.payment(), nil
}

// marked is a reason that names the refund to us: refunds have no other place for a key.
func marked(r gateway.Refund) string {
	return strings.TrimSpace(short(r.Reason, 380) + " [" + r.Key + "]")
}

// Refund gives money of a checkout back. One that was asked for before is found by the key
// in its reason.
func (g *Gateway) Refund(ctx context.Context, r gateway.Refund) (gateway.Refunded, error) {
	c, err := g.read(ctx, r.Payment)
	if err != nil {
		return gateway.Refunded{}, err
	}
	for _, made := range c.Refunds {
		if keyIn(made.Reason) == r.Key {
			return made.refunded(c), nil
		}
	}
	var out struct {
		Refund refund `json:"refund"`
	}
	err = g.call(ctx, http.MethodPost, "/checkouts/"+c.ID+"/refund", "", map[string]any{"amount": r.Amount.Decimal(), "currency": r.Amount.Currency, "reason": marked(r)}, &out)
	if p := refusal(err); p != nil {
		return gateway.Refunded{Key: r.Key, Payment: c.ID, State: gateway.Failed, Amount: r.Amount, Text: "Coinbase refuses it: " + short(p.Text, 200)}, nil
	}
	if err != nil {
		return gateway.Refunded{}, translate("refund", err)
	}
	made := out.Refund.refunded(c)
	made.Key = r.Key
	return made, nil
}

func keyIn(reason string) string {
	i := strings.LastIndex(reason, "[")
	if i < 0 || !strings.HasSuffix(reason, "]") {
		return ""
	}
	return reason[i+1 : len(reason)-1]
}

func (r refund) refunded(c checkout) gateway.Refunded {
	currency := r.Currency
	if currency == "" || currency == "USDC" { // the amount is the checkout's, whatever it is paid with
		currency = c.Currency
	}
	out := gateway.Refunded{Ref: c.ID + "/" + r.ID, Key: keyIn(r.Reason), Payment: c.ID, State: gateway.Processing, Amount: moneyOf(r.Amount, currency)}
	switch r.Status {
	case "COMPLETED":
		out.State = gateway.Succeeded
	case "FAILED":
		out.State, out.Text = gateway.Failed, "Coinbase did not give the money back."
	}
	return out
}

// Refunded reads a refund, which is one of its checkout's.
func (g *Gateway) Refunded(ctx context.Context, ref string) (gateway.Refunded, error) {
	of, id, _ := strings.Cut(ref, "/")
	c, err := g.read(ctx, of)
	if err != nil {
		return gateway.Refunded{}, err
	}
	for _, r := range c.Refunds {
		if r.ID == id {
			return r.refunded(c), nil
		}
	}
	return gateway.Refunded{}, fmt.Errorf("coinbase: read a refund: %w", gateway.ErrNotFound)
}

// RefundsOf lists the refunds of a checkout.
func (g *Gateway) RefundsOf(ctx context.Context, paymentRef string) ([]gateway.Refunded, error) {
	c, err := g.read(ctx, paymentRef)
	if err != nil {
		return nil, err
	}
	var all []gateway.Refunded
	for _, r := range c.Refunds {
		all = append(all, r.refunded(c))
	}
	return all, nil
}

// Dispute knows none: what was sent on a chain is not asked back.
func (g *Gateway) Dispute(context.Context, string) (gateway.Dispute, error) {
	return gateway.Dispute{}, fmt.Errorf("coinbase: read a dispute: %w", gateway.ErrNotFound)
}
