package stripe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	stripego "github.com/stripe/stripe-go/v76"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
)

// What is kept with everything we make.
const (
	metaKey  = "ezscale_key"
	metaShop = "ezscale_shop"
	metaMode = "ezscale_mode"
	metaRef  = "ezscale_reference"
	metaPart = "ezscale_part" // whose part of a shared account: see Shared
)

// How a payment is confirmed: with a saved method by us, or in the browser, where
// another card may follow one that was declined.
const (
	modeCharge = "charge"
	modeChoose = "choose"
)

// Charge makes a PaymentIntent and, with a method, confirms it.
func (g *Gateway) Charge(ctx context.Context, c gateway.Charge) (gateway.Payment, error) {
	p := &stripego.PaymentIntentParams{
		Amount: stripego.Int64(c.Amount.Minor), Currency: stripego.String(strings.ToLower(c.Amount.Currency)),
		Description: optional(c.Description), PaymentMethodTypes: stripego.StringSlice([]string{"card"}),
	}
	p.ApplicationFeeAmount = g.fee(c.Amount)
	p.StatementDescriptorSuffix = optional(g.cfg.Statement)
	if c.Kind == gateway.DirectDebit {
		if c.Amount.Currency != debitCurrency {
			return notInEuro(c), nil
		}
		p.PaymentMethodTypes = stripego.StringSlice([]string{gateway.DirectDebit})
	}
	p.Context = ctx
	p.SetIdempotencyKey(g.key(c.Key))
	p.AddMetadata(metaKey, c.Key)
	g.sign(p)
	if c.Reference != "" && g.cfg.part { // the account's owner tells payments apart by it
		p.AddMetadata(metaRef, short(c.Reference, 100))
	}
	p.AddExpand("payment_method")
	if c.Save || c.Method != "" {
		ref, err := g.customer(ctx, c.Customer)
		if err != nil {
			return gateway.Payment{}, err
		}
		p.Customer = stripego.String(ref)
	}
	if c.Save {
		p.SetupFutureUsage = stripego.String(string(stripego.PaymentIntentSetupFutureUsageOffSession))
	}
	if c.Method == "" {
		p.AddMetadata(metaMode, modeChoose)
	} else {
		p.AddMetadata(metaMode, modeCharge)
		p.PaymentMethod, p.Confirm = stripego.String(c.Method), stripego.Bool(true)
		if c.OnSession {
			p.ReturnURL = optional(c.ReturnURL)
		} else {
			p.OffSession = stripego.Bool(true)
		}
	}
	pi, err := g.api.PaymentIntents.New(p)
	if err == nil {
		return paymentOf(pi), nil
	}
	return g.refused(ctx, c, stripego.StringValue(p.Customer), err)
}

// refused tells a decline from an error.
func (g *Gateway) refused(ctx context.Context, c gateway.Charge, customer string, err error) (gateway.Payment, error) {
	var se *stripego.Error
	if !errors.As(err, &se) {
		return gateway.Payment{}, translate("charge", err)
	}
	gone := se.Param == "payment_method" && (se.Code == stripego.ErrorCodeResourceMissing || se.HTTPStatusCode == 404)
	switch {
	case se.Type == stripego.ErrorTypeCard && se.PaymentIntent != nil:
		p := paymentOf(se.PaymentIntent)
		if d := declineOf(se); d != nil && p.State != gateway.Succeeded {
			p.State, p.Decline = gateway.Failed, d
		}
		return p, nil
	case se.Type == stripego.ErrorTypeCard:
		return gateway.Payment{Key: c.Key, State: gateway.Failed, Amount: c.Amount, CustomerRef: customer, Decline: declineOf(se)}, nil
	case gone:
		return gateway.Payment{Key: c.Key, State: gateway.Failed, Amount: c.Amount, CustomerRef: customer,
			Decline: &gateway.Decline{Kind: gateway.Hard, Code: "method_gone", Text: texts["method_gone"]}}, nil
	case se.Type == stripego.ErrorTypeIdempotency && customer != "":
		return g.byKey(ctx, customer, c.Key, err)
	}
	return gateway.Payment{}, translate("charge", err)
}

// byKey finds the payment begun with a key when what is asked for now differs from what
// was asked then, as the address to come back to may.
func (g *Gateway) byKey(ctx context.Context, customer, key string, cause error) (gateway.Payment, error) {
	p := &stripego.PaymentIntentListParams{Customer: stripego.String(customer)}
	p.Context = ctx
	p.Limit = stripego.Int64(100)
	p.Single = true
	list := g.api.PaymentIntents.List(p)
	for list.Next() {
		if pi := list.PaymentIntent(); pi.Metadata[metaKey] == key && (!g.cfg.part || pi.Metadata[metaPart] == g.cfg.Shop) {
			return g.Payment(ctx, pi.ID)
		}
	}
	if err := list.Err(); err != nil {
		return gateway.Payment{}, translate("look for a payment", err)
	}
	return gateway.Payment{}, fmt.Errorf("stripe: charge: %w: %w", gateway.ErrUnavailable, cause)
}

// customer is the account at Stripe, made when it is not there.
func (g *Gateway) customer(ctx context.Context, c gateway.Customer) (string, error) {
	if c.Ref != "" {
		return c.Ref, nil
	}
	p := &stripego.CustomerParams{Name: optional(c.Name), Email: optional(c.Email)}
	p.Context = ctx
	p.SetIdempotencyKey(g.key("customer/" + c.Key + "/" + fingerprint(c)))
	p.AddMetadata(metaKey, c.Key)
	g.sign(p)
	made, err := g.api.Customers.New(p)
	if err != nil {
		return "", translate("make a customer", err)
	}
	return made.ID, nil
}

// Payment reads a PaymentIntent.
func (g *Gateway) Payment(ctx context.Context, ref string) (gateway.Payment, error) {
	p := &stripego.PaymentIntentParams{}
	p.Context = ctx
	p.AddExpand("payment_method")
	pi, err := g.api.PaymentIntents.Get(ref, p)
	if err != nil {
		return gateway.Payment{}, translate("read a payment", err)
	}
	return paymentOf(pi), nil
}

// Cancel cancels a PaymentIntent, unless it is too late.
func (g *Gateway) Cancel(ctx context.Context, ref string) (gateway.Payment, error) {
	p := &stripego.PaymentIntentCancelParams{}
	p.Context = ctx
	pi, err := g.api.PaymentIntents.Cancel(ref, p)
	var se *stripego.Error
	switch {
	case err == nil:
		return paymentOf(pi), nil
	case errors.As(err, &se) && se.Code == stripego.ErrorCodePaymentIntentUnexpectedState:
		return g.Payment(ctx, ref)
	}
	return gateway.Payment{}, translate("cancel a payment", err)
}

func paymentOf(pi *stripego.PaymentIntent) gateway.Payment {
	currency := strings.ToUpper(string(pi.Currency))
	p := gateway.Payment{
		Ref: pi.ID, Key: pi.Metadata[metaKey], ClientSecret: pi.ClientSecret, Method: methodOf(pi.PaymentMethod),
		Amount: billing.Money{Minor: pi.Amount, Currency: currency}, Received: billing.Money{Minor: pi.AmountReceived, Currency: currency},
		Shop: pi.Metadata[metaPart], Reference: pi.Metadata[metaRef], BegunAt: time.Unix(pi.Created, 0).UTC(),
	}
	if pi.Customer != nil {
		p.CustomerRef = pi.Customer.ID
	}
	switch pi.Status {
	case stripego.PaymentIntentStatusSucceeded:
		p.State = gateway.Succeeded
	case stripego.PaymentIntentStatusProcessing, stripego.PaymentIntentStatusRequiresCapture:
		p.State = gateway.Processing
	case stripego.PaymentIntentStatusCanceled:
		p.State = gateway.Cancelled
	default:
		p.State = gateway.RequiresAction
		p.Decline = declineOf(pi.LastPaymentError)
		if p.Decline != nil && pi.Metadata[metaMode] == modeCharge && pi.Status == stripego.PaymentIntentStatusRequiresPaymentMethod {
			p.State = gateway.Failed
		}
	}
	if a := pi.NextAction; a != nil && a.RedirectToURL != nil && p.State == gateway.RequiresAction {
		p.ActionURL = a.RedirectToURL.URL
	}
	return p
}

// methodOf is a payment method, when it was expanded.
func methodOf(pm *stripego.PaymentMethod) *gateway.Method {
	if pm == nil || pm.Type == "" {
		return nil
	}
	m := &gateway.Method{Ref: pm.ID, Kind: string(pm.Type), Label: strings.ToUpper(string(pm.Type)[:1]) + string(pm.Type)[1:]}
	if pm.Customer != nil {
		m.CustomerRef = pm.Customer.ID
	}
	if d := pm.SEPADebit; d != nil {
		m.Label, m.Country = "Bank account "+d.Country+" •••• "+d.Last4, strings.ToUpper(d.Country)
	}
	if c := pm.Card; c != nil {
		m.Label, m.Fingerprint = brand(c.Brand)+" •••• "+c.Last4, c.Fingerprint
		m.Country = strings.ToUpper(c.Country)
		if c.ExpYear > 0 && c.ExpMonth >= 1 && c.ExpMonth <= 12 {
			m.ExpiresOn = time.Date(int(c.ExpYear), time.Month(c.ExpMonth)+1, 1, 0, 0, 0, 0, time.UTC)
		}
	}
	return m
}

func brand(b stripego.PaymentMethodCardBrand) string {
	switch b {
	case stripego.PaymentMethodCardBrandAmex:
		return "American Express"
	case stripego.PaymentMethodCardBrandDiners:
		return "Diners Club"
	case stripego.PaymentMethodCardBrandDiscover:
		return "Discover"
	case stripego.PaymentMethodCardBrandJCB:
		return "JCB"
	case stripego.PaymentMethodCardBrandMastercard:
		return "Mastercard"
	case stripego.PaymentMethodCardBrandUnionpay:
		return "UnionPay"
	case stripego.PaymentMethodCardBrandVisa:
		return "Visa"
	}
	return "Card"
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
