// Package transfer is payment by bank transfer: the customer is told where to send the
// money, and a person confirms that it came. The gateway keeps nothing and is never told
// anything; who calls it keeps what was confirmed.
package transfer

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
)

// Code names the gateway.
const Code = "transfer"

// Config is where the money goes.
type Config struct {
	Holder string // of the account
	IBAN   string
	BIC    string
	Bank   string
	Note   string // more the customer must know
}

// Gateway gives instructions.
type Gateway struct{ cfg Config }

var (
	_ gateway.Gateway    = (*Gateway)(nil)
	_ gateway.Instructor = (*Gateway)(nil)
)

// New makes the gateway. ErrCredentials without a holder and an account.
func New(cfg Config) (*Gateway, error) {
	if strings.TrimSpace(cfg.Holder) == "" || strings.TrimSpace(cfg.IBAN) == "" {
		return nil, fmt.Errorf("transfer: no account to send money to: %w", gateway.ErrCredentials)
	}
	return &Gateway{cfg: cfg}, nil
}

const (
	paymentPrefix = "transfer:"
	refundPrefix  = "return:"
)

// Ref is what a transfer with a key of ours is called.
func Ref(key string) string { return paymentPrefix + key }

// Charge tells where to send the money. It is under way until somebody confirms it.
func (g *Gateway) Charge(_ context.Context, c gateway.Charge) (gateway.Payment, error) {
	p := g.payment(c.Key)
	p.Amount = c.Amount
	p.Instructions = g.Instructions(c.Amount, c.Reference)
	return p, nil
}

// Instructions are what a customer must know to send an amount.
func (g *Gateway) Instructions(amount billing.Money, reference string) []gateway.Instruction {
	var all []gateway.Instruction
	for _, i := range []gateway.Instruction{
		{Label: "Account holder", Value: g.cfg.Holder},
		{Label: "IBAN", Value: grouped(g.cfg.IBAN)},
		{Label: "BIC", Value: g.cfg.BIC},
		{Label: "Bank", Value: g.cfg.Bank},
		{Label: "Amount", Value: amount.Decimal() + " " + amount.Currency},
		{Label: "Reference", Value: reference},
		{Label: "Note", Value: g.cfg.Note},
	} {
		if strings.TrimSpace(i.Value) != "" {
			all = append(all, i)
		}
	}
	return all
}

// grouped writes an IBAN in fours, as people read it.
func grouped(iban string) string {
	iban = strings.ReplaceAll(iban, " ", "")
	var parts []string
	for len(iban) > 4 {
		parts, iban = append(parts, iban[:4]), iban[4:]
	}
	return strings.Join(append(parts, iban), " ")
}

func (g *Gateway) payment(key string) gateway.Payment {
	return gateway.Payment{Ref: Ref(key), Key: key, State: gateway.Processing}
}

// Payment is under way as far as this gateway can know.
func (g *Gateway) Payment(_ context.Context, ref string) (gateway.Payment, error) {
	key, ok := strings.CutPrefix(ref, paymentPrefix)
	if !ok {
		return gateway.Payment{}, fmt.Errorf("transfer: %w", gateway.ErrNotFound)
	}
	return g.payment(key), nil
}

// Cancel ends a transfer that nobody confirmed. Money that comes after all is confirmed
// by hand.
func (g *Gateway) Cancel(ctx context.Context, ref string) (gateway.Payment, error) {
	p, err := g.Payment(ctx, ref)
	p.State = gateway.Cancelled
	return p, err
}

// Refund is sent by hand: it is under way until somebody confirms it.
func (g *Gateway) Refund(ctx context.Context, r gateway.Refund) (gateway.Refunded, error) {
	if _, err := g.Payment(ctx, r.Payment); err != nil {
		return gateway.Refunded{}, err
	}
	return gateway.Refunded{Ref: refundPrefix + r.Key, Key: r.Key, State: gateway.Processing, Amount: r.Amount}, nil
}

// Refunded is under way as far as this gateway can know.
func (g *Gateway) Refunded(_ context.Context, ref string) (gateway.Refunded, error) {
	key, ok := strings.CutPrefix(ref, refundPrefix)
	if !ok {
		return gateway.Refunded{}, fmt.Errorf("transfer: %w", gateway.ErrNotFound)
	}
	return gateway.Refunded{Ref: ref, Key: key, State: gateway.Processing}, nil
}

// Event knows no notifications.
func (g *Gateway) Event(context.Context, http.Header, []byte, time.Time) (gateway.Event, error) {
	return gateway.Event{}, fmt.Errorf("transfer: %w", gateway.ErrUnsupported)
}

// Check has nobody to ask.
func (g *Gateway) Check(context.Context) (gateway.Health, error) {
	return gateway.Health{Account: g.cfg.Holder, Live: true}, nil
}
