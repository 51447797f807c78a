package web

import (
	"slices"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// ratesView is the shop's own rates of tax, and the form for one more.
type ratesView struct {
	Tabs      []settingsTab
	Rows      []rateRow
	Countries []place.Choice
	Classes   []place.Choice
	Customers []place.Choice
	In        invoicing.NewRate
	From      string
	Limit     limitView
	Exchange  exchangeView
}

type rateRow struct {
	invoicing.OwnRate
	Where, What string
	Now, Later  bool
}

// taxClasses are the classes of products, for a list.
func taxClasses() []place.Choice {
	words := map[string]string{billing.Standard: "Standard", "reduced": "Reduced", billing.Zero: "Not taxed", "software": "Software", "service": "Services of people"}
	var all []place.Choice
	for _, c := range billing.Classes() {
		all = append(all, place.Choice{Value: c, Label: words[c]})
	}
	return all
}

func taxCustomers() []place.Choice {
	return []place.Choice{{Value: "", Label: "Everybody"}, {Value: string(billing.Consumers), Label: "Consumers"}, {Value: string(billing.Businesses), Label: "Businesses"}}
}

// rateRowOf says in words where a rate counts and for what.
func rateRowOf(r invoicing.OwnRate, now time.Time) rateRow {
	row := rateRow{OwnRate: r, Where: place.CountryName(r.Country), What: choiceLabel(taxClasses(), r.Class), Now: r.Holds(now), Later: r.ValidFrom.After(now)}
	if r.Region != "" {
		row.Where += ", " + place.RegionName(r.Country, r.Region)
	}
	if r.Customer != billing.Anybody {
		row.What += ", " + strings.ToLower(choiceLabel(taxCustomers(), string(r.Customer)))
	}
	if r.Adds {
		row.What += ", on top of the country's"
	}
	return row
}

func choiceLabel(all []place.Choice, value string) string {
	if i := slices.IndexFunc(all, func(c place.Choice) bool { return c.Value == value }); i >= 0 {
		return all[i].Label
	}
	return value
}

func (s *Site) ratesView(c *fiber.Ctx) (v ratesView, err error) {
	v = ratesView{Tabs: settingsTabs(c), Countries: append([]place.Choice{{Value: "", Label: "Choose a country"}}, place.Countries()...), Classes: taxClasses(), Customers: taxCustomers(), In: invoicing.NewRate{Name: "VAT"}}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		all, err := invoicing.OwnRates(c.UserContext(), tx)
		for _, r := range all {
			v.Rows = append(v.Rows, rateRowOf(r, tx.Now()))
		}
		if err == nil {
			v.Limit, err = limitOf(c, tx)
		}
		if err == nil {
			v.Exchange, err = s.exchangeView(c.UserContext(), tx)
		}
		return err
	})
	return v, err
}

// showRates handles GET /manage/settings/tax.
func (s *Site) showRates(c *fiber.Ctx) error {
	v, err := s.ratesView(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/settings-tax", "Tax rates", v)
}

// ratePlace reads what a rate is for.
func ratePlace(c *fiber.Ctx) invoicing.RatePlace {
	return invoicing.RatePlace{Country: table.Text(c.FormValue("country"), 10), Region: table.Text(c.FormValue("region"), 60),
		Class: table.Text(c.FormValue("class"), 20), Customer: billing.Customer(table.Text(c.FormValue("customer"), 20))}
}

// setRate handles POST /manage/settings/tax.
func (s *Site) setRate(c *fiber.Ctx) error {
	from := table.Text(c.FormValue("from"), 20)
	in := invoicing.NewRate{RatePlace: ratePlace(c), Adds: c.FormValue("adds") == "on", Name: table.Text(c.FormValue("name"), 100),
		Percent: table.Text(c.FormValue("percent"), 20), Source: table.Text(c.FormValue("source"), 500), From: table.Day(from)}
	err := invoicing.SetRate(c.UserContext(), surface.DB(c), in, office.By(c))
	if err == nil {
		return surface.Redirect(c, ratesPath, "Saved. Invoices of that country have the rate from then on.")
	}
	v, failed := s.ratesView(c)
	if failed != nil {
		return failed
	}
	v.In, v.From = in, from
	return surface.FormError(c, err, "manage", "manage/settings-tax", "Tax rates", v)
}

// endRate handles POST /manage/settings/tax/end.
func (s *Site) endRate(c *fiber.Ctx) error {
	if err := invoicing.EndRate(c.UserContext(), surface.DB(c), ratePlace(c), table.Day(c.FormValue("from")), office.By(c)); err != nil {
		return err
	}
	return surface.Redirect(c, ratesPath, "The rate has ended. What was issued does not change.")
}
