package web_test

import (
	"context"
	"maps"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/billing/gateway/stripelab"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/settings"
	"github.com/ezscale/ezscale/tenant/taxservice"
)

// TestTaxService switches it on, tests the connection, and shows what it said, in the settings
// and at an invoice that rests on it.
func TestTaxService(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	lab := stripelab.New(stripelab.Options{})
	lab.AddAccount("sk_test_one", "pk_test_one")
	server := httptest.NewServer(lab.Handler())
	t.Cleanup(server.Close)
	*e.site.TaxDesk = taxservice.Desk{Open: func(context.Context, *tenancy.DB) (taxservice.Service, error) {
		return stripe.New(stripe.Config{SecretKey: "sk_test_one", PublishableKey: "pk_test_one", APIURL: server.URL})
	}}
	c := e.as(t, e.A, identity.ResellerOwner)
	const at = "/manage/settings/tax-service"
	before := e.state(t, e.B)
	says(t, "off", c.Send(t, "GET", at, nil), 200, "Nothing was asked yet", "It was not tested yet")
	form := url.Values{"on": {"on"}, "countries": {"ca, US"}, "days": {"14"}, "last": {"last"}, "code.service": {"txcd_20030000"}}
	for field, bad := range map[string]string{"countries": "CA XX", "days": "1e1", "code.service": "TX CD"} {
		wrong := maps.Clone(form)
		wrong.Set(field, bad)
		says(t, field, c.Send(t, "POST", at, wrong), 422, `id="`+field+`-error"`)
	}
	says(t, "on", c.Send(t, "POST", at, form), 303)
	says(t, "tested", c.Send(t, "POST", at+"/check", nil), 303)
	says(t, "shown", c.Send(t, "GET", at, nil), 200, `value="CA US"`, `value="14"`, "works", "US-TX")
	lab.SetFaults(stripelab.Faults{Down: true})
	says(t, "down", c.Send(t, "POST", at+"/check", nil), 303)
	says(t, "said", c.Send(t, "GET", at, nil), 200, "Stripe does not answer")
	lab.SetFaults(stripelab.Faults{})

	seller := settings.DefaultBilling()
	seller.Company, seller.Country = "Alpha Inc.", "CA"
	must(t, settings.SaveBilling(t.Context(), e.DB(e.A), seller, audit.Origin{}))
	account := e.buyersAccount(t, e.A)
	must(t, e.site.TaxDesk.Ask(t.Context(), e.DB(e.A), []billing.TaxQuestion{{Country: "CA", Region: "BC", Class: billing.Standard, Customer: billing.Consumers}, {Country: "CA", Region: "", Class: billing.Standard, Customer: billing.Consumers}}))
	var id uuid.UUID
	must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`UPDATE accounts SET country = 'CA', kind = 'person', tax_id = '', billing = coalesce(billing, '{}') || '{"region": "BC"}' WHERE id = ?`, account).Exec(t.Context())
		if err != nil {
			return err
		}
		inv, err := invoicing.Issue(t.Context(), tx, invoicing.Draft{Key: "taxed", AccountID: account, Currency: "EUR", Lines: []billing.Line{{Kind: "plan", Description: "VPS", Quantity: 1, Unit: billing.Money{Minor: 1000, Currency: "EUR"}}}})
		id = inv.ID
		return err
	}))
	says(t, "what it said", c.Send(t, "GET", at, nil), 200, "Canada, British Columbia", "GST Canada 5 %, PST British Columbia 7 %: together 12 %", "taxcalc_", "does not know this place")
	says(t, "at the invoice", c.Send(t, "GET", "/manage/invoices/"+id.String(), nil), 200, "Stripe Tax of 15 October 2026", "taxcalc_", "GST Canada 5 % and PST British Columbia 7 %.")
	says(t, "written down", c.Send(t, "GET", "/manage/activity", nil), 200, "tax_service.changed", "tax_service.checked")
	unchanged(t, "the neighbour", before, e.state(t, e.B))
}
