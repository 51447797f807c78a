package web

import (
	"strconv"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/settings"
)

// settingsTab is one page of the shop's settings.
type settingsTab struct {
	Href, Label string
	Active      bool
}

// settingsTabs are the pages of the settings, one line each, as far as the person may go.
func settingsTabs(c *fiber.Ctx) []settingsTab {
	p, _ := surface.Principal(c)
	var tabs []settingsTab
	for _, t := range []struct {
		needs       identity.Permission
		href, label string
	}{
		{identity.SiteSettings, "/manage/settings", "General"},
		{identity.SiteSettings, "/manage/settings/billing", "Invoices and tax"},
		{identity.SiteSettings, ratesPath, "Tax rates"},
		{identity.SiteSettings, taxServicePath, "Tax service"},
		{identity.SiteSettings, renewalsPath, "Renewals"},
		{identity.SiteSettings, cancellationsPath, "Cancellations"},
		{identity.SiteSettings, bookkeepingPath, "Bookkeeping"},
	} {
		if p.May(t.needs) {
			tabs = append(tabs, settingsTab{t.href, t.label, c.Path() == t.href})
		}
	}
	return tabs
}

func (s *Site) billingSettingsRoutes() []surface.Route {
	return []surface.Route{
		{Method: "GET", Path: "/manage/settings/billing", Needs: identity.SiteSettings, Handler: s.showBilling},
		{Method: "POST", Path: "/manage/settings/billing", Needs: identity.SiteSettings, Handler: s.saveBilling},
	}
}

type billingView struct {
	settings.Billing
	Term      string // as typed
	Countries []place.Choice
	Tabs      []settingsTab
	Complete  bool
	Prices    []place.Choice
	Asks      bool // the register of VAT numbers is asked
}

func (s *Site) newBillingView(c *fiber.Ctx, b settings.Billing) billingView {
	countries := append([]place.Choice{{Value: "", Label: "Choose a country"}}, place.Countries()...)
	return billingView{Billing: b, Asks: s.AsksRegister, Term: strconv.Itoa(b.TermDays), Countries: countries, Prices: []place.Choice{{Value: "net", Label: "Without tax"}, {Value: "with_tax", Label: "With tax"}}, Tabs: settingsTabs(c), Complete: b.Company != "" && b.Country != "" && b.Line1 != "" && b.City != ""}
}

// showBilling handles GET /manage/settings/billing.
func (s *Site) showBilling(c *fiber.Ctx) error {
	var b settings.Billing
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
		b, err = settings.BillingOf(c.UserContext(), tx)
		return err
	})
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/settings-billing", "Invoices and tax", s.newBillingView(c, b))
}

// saveBilling handles POST /manage/settings/billing.
func (s *Site) saveBilling(c *fiber.Ctx) error {
	b := settings.Billing{
		Company: c.FormValue("company"), Line1: c.FormValue("line1"), Line2: c.FormValue("line2"), Postcode: c.FormValue("postcode"),
		City: c.FormValue("city"), Region: c.FormValue("region"), Country: c.FormValue("country"), TaxID: c.FormValue("tax_id"),
		TaxNumber: c.FormValue("tax_number"), Registration: c.FormValue("registration"),
		OSS: c.FormValue("oss") != "", Registered: c.FormValue("registered"), TrustNumbers: !s.AsksRegister || c.FormValue("confirmed_only") == "", PricesInclude: c.FormValue("prices") == "with_tax",
		Email: c.FormValue("email"), Phone: c.FormValue("phone"), SmallBusiness: c.FormValue("small_business") != "", Footer: c.FormValue("footer"),
		InvoiceNumber: c.FormValue("invoice_number"), CreditNumber: c.FormValue("credit_number"), YearlyNumbers: c.FormValue("yearly_numbers") != "",
	}
	term := table.Text(c.FormValue("term_days"), 10)
	days, err := strconv.Atoi(term)
	if err != nil {
		days = -1 // refused at its field
	}
	b.TermDays = days
	if err := settings.SaveBilling(c.UserContext(), surface.DB(c), b, office.By(c)); err != nil {
		v := s.newBillingView(c, b)
		v.Term = term
		return surface.FormError(c, err, "manage", "manage/settings-billing", "Invoices and tax", v)
	}
	err = surface.DB(c).Update(c.UserContext(), func(tx *tenancy.Tx) error { return invoicing.TellHeldTax(c.UserContext(), tx) })
	if err != nil {
		return err
	}
	return surface.Redirect(c, "/manage/settings/billing", "Saved. Invoices say so from now on.")
}
