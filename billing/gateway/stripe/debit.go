package stripe

import (
	"context"
	"errors"
	"net/http"
	"strings"

	stripego "github.com/stripe/stripe-go/v76"

	"github.com/ezscale/ezscale/billing/gateway"
)

// debitCurrency is the only one SEPA knows.
const debitCurrency = "EUR"

func notInEuro(c gateway.Charge) gateway.Payment {
	return gateway.Payment{Key: c.Key, State: gateway.Failed, Amount: c.Amount,
		Decline: &gateway.Decline{Kind: gateway.Hard, Code: "currency_not_supported", Text: "A bank account is collected from in euros only. Please pay in another way."}}
}

// Agree makes a SetupIntent of a bank account and confirms it with the mandate its owner
// gave on our page.
func (g *Gateway) Agree(ctx context.Context, a gateway.Agreement) (gateway.Setup, error) {
	customer, err := g.customer(ctx, a.Customer)
	if err != nil {
		return gateway.Setup{}, err
	}
	p := &stripego.SetupIntentParams{
		Customer: stripego.String(customer), Usage: stripego.String("off_session"), Confirm: stripego.Bool(true), PaymentMethodTypes: stripego.StringSlice([]string{gateway.DirectDebit}),
		PaymentMethodData: &stripego.SetupIntentPaymentMethodDataParams{
			Type: stripego.String(gateway.DirectDebit), SEPADebit: &stripego.SetupIntentPaymentMethodDataSEPADebitParams{IBAN: stripego.String(plainIBAN(a.IBAN))},
			BillingDetails: &stripego.SetupIntentPaymentMethodDataBillingDetailsParams{Name: optional(a.Holder), Email: optional(a.Customer.Email)},
		},
		MandateData: &stripego.SetupIntentMandateDataParams{CustomerAcceptance: &stripego.SetupIntentMandateDataCustomerAcceptanceParams{
			Type: stripego.MandateCustomerAcceptanceTypeOnline, AcceptedAt: stripego.Int64(a.At.Unix()),
			Online: &stripego.SetupIntentMandateDataCustomerAcceptanceOnlineParams{IPAddress: stripego.String(a.IP), UserAgent: stripego.String(a.Browser)},
		}},
	}
	p.Context = ctx
	p.SetIdempotencyKey(a.Key)
	p.AddMetadata(metaKey, a.Key)
	p.AddMetadata(metaShop, g.cfg.Shop)
	p.AddExpand("payment_method")
	p.AddExpand("mandate")
	s, err := g.api.SetupIntents.New(p)
	var se *stripego.Error
	switch {
	case err == nil:
		return setupOf(s), nil
	case errors.As(err, &se) && (se.Type == stripego.ErrorTypeCard || se.HTTPStatusCode == http.StatusBadRequest && aboutAccount(se)):
		d := declineOf(se)
		if _, known := texts[d.Code]; !known {
			d.Text = texts["invalid_bank_account_iban"]
		}
		return gateway.Setup{Key: a.Key, State: gateway.Failed, CustomerRef: customer, Decline: d}, nil
	}
	return gateway.Setup{}, translate("make a mandate", err)
}

// aboutAccount reports whether Stripe refuses what its owner typed.
func aboutAccount(se *stripego.Error) bool {
	return strings.Contains(string(se.Code), "iban") || strings.Contains(string(se.Code), "bank_account") || strings.Contains(se.Param, "iban") || strings.Contains(se.Param, "sepa_debit")
}

func plainIBAN(s string) string {
	return strings.ToUpper(strings.Map(func(r rune) rune {
		if r == ' ' || r == '\u00a0' || r == '-' {
			return -1
		}
		return r
	}, s))
}

// withMandate adds to a method what its owner agreed to.
func withMandate(m *gateway.Method, pm *stripego.PaymentMethod, of *stripego.Mandate) *gateway.Method {
	if m == nil || of == nil || of.PaymentMethodDetails == nil || of.PaymentMethodDetails.SEPADebit == nil {
		return m
	}
	d := of.PaymentMethodDetails.SEPADebit
	m.Mandate = &gateway.Mandate{Ref: of.ID, Reference: d.Reference, URL: d.URL}
	if b := pm.SEPADebit; b != nil {
		m.Mandate.Bank, m.Mandate.Account = strings.TrimSpace(b.Country+" "+b.BankCode), b.Fingerprint
	}
	return m
}
