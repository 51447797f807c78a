package web_test

import (
	"testing"
	"time"

	"github.com/go-rod/rod/lib/proto"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/surface/browser"
	"github.com/ezscale/ezscale/branding/surface/surfacetest"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/settings"
)

// tab is an empty tab with somebody's cookies for a site.
func tab(t *testing.T, drive *browser.Browser, home string, c *surfacetest.Client) *browser.Page {
	t.Helper()
	p := drive.Page(t, "about:blank", browser.Desktop)
	for name, value := range c.Cookies {
		must(t, p.SetCookies([]*proto.NetworkCookieParam{{Name: name, Value: value, URL: home, HTTPOnly: true}}))
	}
	return p
}

// threeLines is a draft of a server with two options.
func threeLines(key string, account uuid.UUID) invoicing.Draft {
	eur := func(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }
	month := billing.Monthly.Period(tenancytest.Start, 0, time.UTC)
	return invoicing.Draft{Key: key, AccountID: account, Currency: "EUR", Lines: []billing.Line{
		{Kind: "plan", Description: "Cloud VPS Drift", Period: month, Quantity: 1, Unit: eur(1190)},
		{Kind: "option", Description: "Additional IPv4 addresses", Period: month, Quantity: 3, Unit: eur(250)},
		{Kind: "setup", Description: "Set-up", Quantity: 1, Unit: eur(500)},
	}}
}

// TestInvoicesInABrowser looks at the pages about invoices as the customer and as the
// reseller: a paid one that was credited in part, an open one, a form that is refused.
func TestInvoicesInABrowser(t *testing.T) {
	w := tenancytest.New(t)
	e := newEstate(t, w)
	b := settings.DefaultBilling()
	b.Company, b.Line1, b.Postcode, b.City, b.Country, b.TaxID = "Alpha GmbH", "Hauptstr. 1", "10115", "Berlin", "DE", "DE123456789"
	b.Footer = "Amtsgericht Charlottenburg HRB 12345\nIBAN DE02 1203 0000 0000 2020 51"
	must(t, settings.SaveBilling(t.Context(), w.DB(w.A), b, audit.Origin{Actor: audit.Actor{Kind: "reseller", ID: "p", Name: "Olga"}}))
	account := uuid.MustParse(e.things[w.A.ID][":account"])
	var paid, open invoicing.Invoice
	must(t, w.DB(w.A).Update(t.Context(), func(tx *tenancy.Tx) (err error) {
		paid, err = invoicing.Issue(t.Context(), tx, threeLines("order/2", account))
		if err != nil {
			return err
		}
		open, err = invoicing.Issue(t.Context(), tx, threeLines("order/3", account))
		return err
	}))
	e.receive(t, w.A, paid.ID, paid.Total.Minor)
	must(t, w.DB(w.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		_, err := invoicing.Credit(t.Context(), tx, invoicing.CreditRequest{Key: "credit/x", InvoiceID: paid.ID, Amount: billing.Money{Minor: 500, Currency: "EUR"}, Reason: "Outage of two hours"})
		return err
	}))
	home := "http://" + w.A.PrimaryHost + ":" + serve(t, e.front)
	drive := browser.Open(t)
	customer := tab(t, drive, home, e.as(t, w.A, identity.CustomerMember))
	team := tab(t, drive, home, e.as(t, w.A, identity.ResellerOwner))
	for _, page := range []struct {
		name, path string
		of         *browser.Page
	}{
		{"client_open", "/client/invoices/" + open.ID.String(), customer},
		{"manage_paid", "/manage/invoices/" + paid.ID.String(), team},
	} {
		page.of.Go(home + page.path)
		page.of.CheckViews("invoices/" + page.name)
	}
	t.Run("a refused form", func(t *testing.T) {
		p := team
		p.Go(home + "/manage/invoices/" + paid.ID.String())
		p.Fill("credit_amount", "1,50")
		p.Allow("422")
		p.ClickText("button", "Issue a credit note")
		p.Wait("#credit_amount-error", "with a point")
		p.Check("a refused form")
		p.Screenshot("invoices/refused")
		p.Fill("credit_amount", "1.50")
		p.ClickText("button", "Issue a credit note")
		p.Wait("main", "Issued the credit note CN-2026-00003")
	})
}
