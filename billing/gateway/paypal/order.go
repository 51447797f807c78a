package paypal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
)

type link struct {
	Href string `json:"href"`
	Rel  string `json:"rel"`
}

// turningBack is where a customer comes back to who has not agreed.
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

// hrefOf is the link with one of some relations.
func hrefOf(all []link, rels ...string) string {
	for _, rel := range rels {
		for _, l := range all {
			if l.Rel == rel {
				return l.Href
			}
		}
	}
	return ""
}

type money struct {
	Currency string `json:"currency_code"`
	Value    string `json:"value"`
}

// whole are the currencies of which PayPal takes no parts, whatever they have.
func whole(currency string) bool { return currency == "HUF" || currency == "TWD" || currency == "JPY" }

// moneyOf writes an amount. It reports false for one that PayPal cannot take.
func moneyOf(m billing.Money) (money, bool) {
	text := m.Decimal()
	if major, minor, parts := strings.Cut(text, "."); parts && whole(m.Currency) {
		return money{m.Currency, major}, strings.Trim(minor, "0") == ""
	}
	return money{m.Currency, text}, true
}

func (m money) money() billing.Money {
	read, err := billing.Parse(m.Value, m.Currency)
	if err != nil {
		return billing.Money{Currency: m.Currency}
	}
	return read
}

type experience struct {
	Brand    string `json:"brand_name,omitempty"`
	Shipping string `json:"shipping_preference,omitempty"`
	Action   string `json:"user_action,omitempty"`
	Return   string `json:"return_url"`
	Cancel   string `json:"cancel_url"`
}

type vaultAsk struct {
	Store string `json:"store_in_vault"`
	Usage string `json:"usage_type"`
}

type customer struct {
	ID string `json:"id,omitempty"`
}

type attributes struct {
	Customer *customer `json:"customer,omitempty"`
	Vault    *vaultAsk `json:"vault,omitempty"`
}

type wallet struct {
	VaultID    string      `json:"vault_id,omitempty"`
	Attributes *attributes `json:"attributes,omitempty"`
	Context    *experience `json:"experience_context,omitempty"`
}

type source struct {
	PayPal wallet `json:"paypal"`
}

type unit struct {
	Amount      money  `json:"amount"`
	Description string `json:"description,omitempty"`
	CustomID    string `json:"custom_id"`
	InvoiceID   string `json:"invoice_id"`
}

type orderAsk struct {
	Intent string `json:"intent"`
	Units  []unit `json:"purchase_units"`
	Source source `json:"payment_source"`
}

// Our key as custom_id, where a stroke is not allowed everywhere.
func customID(key string) string { return strings.ReplaceAll(key, "/", ".") }
func keyOf(custom string) string { return strings.ReplaceAll(custom, ".", "/") }

// invoiceID is what PayPal takes once from a customer's money, and what is read there: the
// invoice's number, and which attempt it is.
func invoiceID(c gateway.Charge) string {
	sum := sha256.Sum256([]byte(c.Key))
	return strings.TrimPrefix(short(c.Reference, 100)+"-"+hex.EncodeToString(sum[:5]), "-")
}

// short cuts a text at a rune.
func short(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "")
}

// Charge makes an order: of a kept account, which pays at once, or for the customer to
// agree to.
func (g *Gateway) Charge(ctx context.Context, c gateway.Charge) (gateway.Payment, error) {
	amount, fits := moneyOf(c.Amount)
	if !fits {
		return declined(c, "DECIMAL_PRECISION"), nil
	}
	ask := orderAsk{Intent: "CAPTURE", Units: []unit{{Amount: amount, Description: short(c.Description, 120), CustomID: customID(c.Key), InvoiceID: invoiceID(c)}}}
	if c.Method != "" {
		if !isToken(c.Method) {
			return declined(c, "TOKEN_ID_NOT_FOUND"), nil
		}
		ask.Source.PayPal.VaultID = c.Method
		return g.order(ctx, c, ask, c.Key)
	}
	w := &ask.Source.PayPal
	w.Context = &experience{Brand: short(g.cfg.Brand, 120), Shipping: "NO_SHIPPING", Action: "PAY_NOW", Return: c.ReturnURL, Cancel: turningBack(c.ReturnURL)}
	if !c.Save {
		return g.order(ctx, c, ask, c.Key)
	}
	w.Attributes = &attributes{Vault: &vaultAsk{Store: "ON_SUCCESS", Usage: "MERCHANT"}}
	if isToken(c.Customer.Ref) {
		w.Attributes.Customer = &customer{c.Customer.Ref}
	}
	p, err := g.order(ctx, c, ask, c.Key)
	if issueOf(err) == "NOT_ENABLED_TO_VAULT_PAYMENT_SOURCE" { // then it is paid and not kept
		w.Attributes = nil
		return g.order(ctx, c, ask, c.Key+"/once")
	}
	return p, err
}

func (g *Gateway) order(ctx context.Context, c gateway.Charge, ask orderAsk, id string) (gateway.Payment, error) {
	var o order
	err := g.call(ctx, request{method: http.MethodPost, path: "/v2/checkout/orders", id: id, body: ask}, &o)
	if err == nil {
		p := o.payment()
		if c.Method != "" && p.State == gateway.RequiresAction { // nobody is there, or a kept account was meant to do
			p.State, p.ActionURL, p.Agreed, p.Decline = gateway.Failed, "", false, declineOf("PAYER_ACTION_REQUIRED")
		}
		return p, nil
	}
	issue := issueOf(err)
	if c.Method != "" && errors.Is(translate("charge", err), gateway.ErrNotFound) {
		issue = "TOKEN_ID_NOT_FOUND"
	}
	if declineOf(issue) != nil {
		return declined(c, issue), nil
	}
	return gateway.Payment{}, translate("charge", err)
}

const declinedPrefix = "declined/"

// declined is a charge that PayPal refused and keeps nothing of.
func declined(c gateway.Charge, issue string) gateway.Payment {
	return gateway.Payment{
		Ref: declinedPrefix + issue + "/" + c.Key, Key: c.Key, State: gateway.Failed, Amount: c.Amount, Received: billing.Money{Currency: c.Amount.Currency},
		CustomerRef: c.Customer.Ref, Decline: declineOf(issue),
	}
}

func isOrder(ref string) bool {
	return ref != "" && len(ref) <= 36 && strings.Trim(ref, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

func isToken(ref string) bool {
	return ref != "" && len(ref) <= 36 && strings.Trim(ref, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

// read asks for an order.
func (g *Gateway) read(ctx context.Context, ref string) (o order, err error) {
	if !isOrder(ref) {
		return o, fmt.Errorf("paypal: read an order: %w", gateway.ErrNotFound)
	}
	if err := g.call(ctx, request{method: http.MethodGet, path: "/v2/checkout/orders/" + ref}, &o); err != nil {
		return o, translate("read an order", err)
	}
	return o, nil
}

// Payment reads an order. One that its customer agreed to and whose money was not taken
// says so; it is taken by Finish.
func (g *Gateway) Payment(ctx context.Context, ref string) (gateway.Payment, error) {
	if p, is := refusal(ref); is {
		return p, nil
	}
	o, err := g.read(ctx, ref)
	return o.payment(), err
}

// refusal reads the ref of a charge that was refused.
func refusal(ref string) (gateway.Payment, bool) {
	rest, is := strings.CutPrefix(ref, declinedPrefix)
	issue, key, _ := strings.Cut(rest, "/")
	d := declineOf(issue)
	return gateway.Payment{Ref: ref, Key: key, State: gateway.Failed, Decline: d}, is && d != nil
}

// Finish captures an order that its customer has approved.
func (g *Gateway) Finish(ctx context.Context, ref string) (gateway.Payment, error) {
	if p, is := refusal(ref); is {
		return p, nil
	}
	o, err := g.read(ctx, ref)
	switch {
	case errors.Is(err, gateway.ErrNotFound): // PayPal forgets orders that nobody approves, after some hours
		return gateway.Payment{Ref: ref, State: gateway.Cancelled}, nil
	case err != nil || !o.payment().Agreed:
		return o.payment(), err
	}
	// An order is captured once, whatever the id; after a refusal and another approval it
	// is another request.
	sum := sha256.Sum256([]byte(o.Updated))
	var done order
	err = g.call(ctx, request{method: http.MethodPost, path: "/v2/checkout/orders/" + ref + "/capture", id: "capture/" + ref + "/" + hex.EncodeToString(sum[:5]), body: struct{}{}}, &done)
	if err == nil {
		return done.payment(), nil
	}
	return g.notCaptured(ctx, o, err)
}

// notCaptured is what an approved order is whose capture was refused.
func (g *Gateway) notCaptured(ctx context.Context, o order, err error) (gateway.Payment, error) {
	p, issue := o.payment(), issueOf(err)
	p.Agreed = false
	switch issue {
	case "ORDER_ALREADY_CAPTURED", "ORDER_NOT_APPROVED":
		return g.Payment(ctx, o.ID)
	case "INSTRUMENT_DECLINED", "PAYER_ACTION_REQUIRED", "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING": // there the customer can choose another card
		p.Decline = declineOf(issue)
		var refused *problem
		if errors.As(err, &refused) {
			if to := hrefOf(refused.Links, "redirect", "payer-action"); to != "" {
				p.ActionURL = to
			}
		}
		return p, nil
	}
	if p.Decline = declineOf(issue); p.Decline != nil {
		p.State, p.ActionURL = gateway.Failed, ""
		return p, nil
	}
	return gateway.Payment{}, translate("capture", err)
}

// Cancel gives an order up: PayPal has no call for that, but an order that nobody
// finishes takes no money, and is forgotten there after some hours.
func (g *Gateway) Cancel(ctx context.Context, ref string) (gateway.Payment, error) {
	p, err := g.Payment(ctx, ref)
	if err == nil && (p.State == gateway.RequiresAction || p.State == gateway.Created) {
		p.State, p.ActionURL, p.Agreed = gateway.Cancelled, "", false
	}
	return p, err
}
