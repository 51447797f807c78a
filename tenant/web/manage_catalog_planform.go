package web

import (
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// priceRow is one currency's amounts as they are typed.
type priceRow struct {
	Currency string
	Cells    []priceCell
	Setup    string
	Hour     string
	HourCap  string
}

type priceCell struct {
	Cycle       catalog.Cycle
	Label, Name string
	Value       string
}

// planForm reads what the editor sends.
func planForm(c *fiber.Ctx) catalog.PlanForm {
	f := catalog.PlanForm{
		SKU: c.FormValue("sku"), ByHand: c.FormValue("by_hand") == "on", Slug: c.FormValue("slug"), Name: c.FormValue("name"), Summary: c.FormValue("summary"), Facts: strings.ReplaceAll(c.FormValue("facts"), "\r", ""),
		Recommended: c.FormValue("recommended") != "", Position: c.FormValue("position"), Visibility: c.FormValue("visibility"), Stock: c.FormValue("stock"), Upgrade: c.FormValue("upgrade"), Downgrade: c.FormValue("downgrade"), PauseDays: c.FormValue("pause_days"), TrialDays: c.FormValue("trial_days"), TrialCard: c.FormValue("trial_card") != "",
		Prices: map[string]map[catalog.Cycle]string{}, Setup: map[string]string{}, Hour: map[string]string{}, HourCap: map[string]string{}, HoursMost: c.FormValue("hours_most"),
	}
	c.Request().PostArgs().VisitAll(func(k, v []byte) {
		name, value := string(k), string(v)
		switch {
		case name == "region" && len(f.Regions) < 200:
			f.Regions = append(f.Regions, value)
		case name == "image" && len(f.Images) < 500:
			f.Images = append(f.Images, value)
		}
	})
	for _, currency := range knownCurrencies() {
		f.Setup[currency] = c.FormValue("setup." + currency)
		f.Hour[currency], f.HourCap[currency] = c.FormValue("hour."+currency), c.FormValue("hour_most."+currency)
		f.Prices[currency] = map[catalog.Cycle]string{}
		for _, cycle := range catalog.EditCycles() {
			f.Prices[currency][cycle] = c.FormValue("price." + currency + "." + string(cycle))
		}
	}
	return f
}

// knownCurrencies are those a shop may have prices in.
func knownCurrencies() []string {
	var all []string
	for _, x := range place.Currencies("") {
		all = append(all, x.Value)
	}
	return all
}

// formOf is a plan as the editor shows it.
func formOf(p catalog.FullPlan) catalog.PlanForm {
	f := catalog.PlanForm{ID: p.ID, ProductID: p.ProductID, SKU: p.SKU, ByHand: p.Delivery.ByHand, Slug: p.Slug, Name: p.Name, Summary: p.Summary, Recommended: p.Recommended,
		Position: strconv.Itoa(p.Position), Visibility: string(p.Visibility), Upgrade: string(p.Upgrade), Downgrade: string(p.Downgrade), Regions: p.Delivery.Regions, Images: p.Delivery.Images,
		Prices: map[string]map[catalog.Cycle]string{}, Setup: map[string]string{}}
	f.Hour, f.HourCap, f.HoursMost = catalog.HourForm(p.Meters)
	for _, x := range p.Facts {
		f.Facts += x.Label + ": " + x.Value + "\n"
	}
	if p.Stock != nil {
		f.Stock = strconv.Itoa(*p.Stock)
	}
	if p.PauseDays > 0 {
		f.PauseDays = strconv.Itoa(p.PauseDays)
	}
	if f.TrialCard = p.TrialCard; p.TrialDays > 0 {
		f.TrialDays = strconv.Itoa(p.TrialDays)
	}
	for _, x := range p.Shown() {
		if f.Prices[x.Currency] == nil {
			f.Prices[x.Currency] = map[catalog.Cycle]string{}
		}
		if x.Setup > 0 {
			f.Setup[x.Currency] = billing.Money{Minor: x.Setup, Currency: x.Currency}.Decimal()
		}
		if x.Cycle == catalog.Hourly {
			continue // the meter has its price
		}
		f.Prices[x.Currency][x.Cycle] = billing.Money{Minor: x.Amount, Currency: x.Currency}.Decimal()
	}
	return f
}
