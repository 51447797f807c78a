package stripe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	stripego "github.com/stripe/stripe-go/v76"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
)

// TaxName is how Stripe's tax calculation is called where people read of it.
const TaxName = "Stripe Tax"

// TaxCode is Stripe's code for a class of products.
func TaxCode(class string, who billing.Customer) string {
	switch class {
	case "software":
		if who == billing.Businesses {
			return "txcd_10103001" // software as a service, business use
		}
		return "txcd_10103000" // software as a service, personal use
	case "service":
		return "txcd_20030000" // general services
	case "reduced":
		return "txcd_10000000" // general electronically supplied services
	}
	return "txcd_10701100" // website hosting
}

// asked is the sum that is asked about, in minor units: large enough that what is taxed in
// part shows its share to the hundredth of a per cent.
const asked = 1_000_000

// TaxRates asks what is charged at a place, by a calculation of which nothing becomes a
// transaction at Stripe. code is Stripe's code for the class; empty: the usual one. Each call
// may cost its owner a fee. Errors: billing.ErrTaxPlace and gateway's.
func (g *Gateway) TaxRates(ctx context.Context, q billing.TaxQuestion, code, currency string, at time.Time) (billing.TaxAnswer, error) {
	if code == "" {
		code = TaxCode(q.Class, q.Customer)
	}
	p := &stripego.TaxCalculationParams{
		Currency: stripego.String(strings.ToLower(currency)), TaxDate: stripego.Int64(at.Unix()),
		CustomerDetails: &stripego.TaxCalculationCustomerDetailsParams{
			AddressSource: stripego.String("billing"),
			Address:       &stripego.AddressParams{Country: stripego.String(q.Country), State: optional(q.Region), PostalCode: optional(q.Postcode)},
		},
		LineItems: []*stripego.TaxCalculationLineItemParams{{
			Amount: stripego.Int64(asked), Quantity: stripego.Int64(1), Reference: stripego.String("rates"), TaxBehavior: stripego.String("exclusive"), TaxCode: stripego.String(code),
		}},
	}
	p.Context = ctx
	p.AddExpand("line_items.data.tax_breakdown")
	c, err := g.api.TaxCalculations.New(p)
	var se *stripego.Error
	switch {
	case errors.As(err, &se) && (se.Code == "customer_tax_location_invalid" || se.Code == "taxes_calculation_failed"):
		return billing.TaxAnswer{}, fmt.Errorf("stripe: %w: %s", billing.ErrTaxPlace, se.Code)
	case err != nil:
		return billing.TaxAnswer{}, translate("calculate tax", err)
	case c.LineItems == nil || len(c.LineItems.Data) != 1:
		return billing.TaxAnswer{}, fmt.Errorf("stripe: calculate tax: %w: an answer without its line", gateway.ErrUnavailable)
	}
	return taxAnswer(c, at)
}

// taxAnswer reads the parts of a calculation's one line.
func taxAnswer(c *stripego.TaxCalculation, at time.Time) (billing.TaxAnswer, error) {
	a := billing.TaxAnswer{Service: TaxName, Reference: c.ID, At: at}
	var reasons []string
	for _, b := range c.LineItems.Data[0].TaxBreakdown {
		reason := string(b.TaxabilityReason)
		if !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
		switch reason {
		case "not_collecting", "not_supported", "reverse_charge": // decided by what is known here
			continue
		}
		a.Collects = true
		if b.TaxRateDetails == nil || b.TaxableAmount <= 0 {
			continue
		}
		ppm, err := billing.ParsePercent(b.TaxRateDetails.PercentageDecimal)
		if err != nil {
			return a, fmt.Errorf("stripe: calculate tax: a rate of %.20q: %w", b.TaxRateDetails.PercentageDecimal, gateway.ErrUnavailable)
		}
		// Of what is taxed in part the rate is taken of the whole.
		share, err := billing.Money{Minor: ppm, Currency: "EUR"}.Ratio(b.TaxableAmount, asked)
		if err != nil {
			return a, fmt.Errorf("stripe: calculate tax: %w: %w", gateway.ErrUnavailable, err)
		}
		part := billing.TaxPart{Name: taxName(string(b.TaxRateDetails.TaxType)), Ppm: share.Minor}
		if j := b.Jurisdiction; j != nil {
			part.Place, a.Country = j.DisplayName, j.Country
		}
		a.Parts = append(a.Parts, part)
	}
	if len(a.Parts) == 0 {
		a.Why = strings.Join(reasons, ", ")
	}
	if a.Whole() > billing.PpmWhole {
		return a, fmt.Errorf("stripe: calculate tax: %w: more than all of it", gateway.ErrUnavailable)
	}
	return a, nil
}

// taxName is what stands on invoices.
func taxName(kind string) string {
	switch kind {
	case "sales_tax", "":
		return "Sales tax"
	case "lease_tax", "amusement_tax", "communications_tax":
		kind = strings.ReplaceAll(kind, "_", " ")
		return strings.ToUpper(kind[:1]) + kind[1:]
	}
	return strings.ToUpper(kind)
}

// CheckTax asks whether the account's tax settings are complete, and where it is registered.
// notes are what its owner is to do there.
func (g *Gateway) CheckTax(ctx context.Context) (places, notes []string, err error) {
	p := &stripego.TaxSettingsParams{}
	p.Context = ctx
	s, err := g.api.TaxSettings.Get(p)
	if err != nil {
		return nil, nil, translate("read the tax settings", err)
	}
	if s.Status != stripego.TaxSettingsStatusActive {
		missing := "something"
		if d := s.StatusDetails; d != nil && d.Pending != nil && len(d.Pending.MissingFields) > 0 {
			missing = strings.Join(d.Pending.MissingFields, ", ")
		}
		notes = append(notes, "Stripe's tax settings are not complete: "+missing+" is missing. Finish them at Stripe.")
	}
	l := &stripego.TaxRegistrationListParams{Status: stripego.String("active")}
	l.Context, l.Single, l.Limit = ctx, true, stripego.Int64(100)
	all := g.api.TaxRegistrations.List(l)
	for all.Next() {
		r := all.TaxRegistration()
		at := r.Country
		if o := r.CountryOptions; o != nil && r.Country == "US" && o.US != nil {
			at += "-" + o.US.State
		}
		places = append(places, at)
	}
	if err := all.Err(); err != nil {
		return nil, nil, translate("list the tax registrations", err)
	}
	if len(places) == 0 {
		notes = append(notes, "No registration is entered at Stripe, so that it charges no tax anywhere: your own rates decide. Enter where you are registered at Stripe.")
	}
	return places, notes, nil
}
