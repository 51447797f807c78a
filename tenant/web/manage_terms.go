package web

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// How the shop renews and collects.

const (
	renewalsPath = "/manage/settings/renewals"
	ratesPath    = "/manage/settings/tax"
)

func (s *Site) termsRoutes() []surface.Route {
	at := func(method, path string, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: path, Needs: identity.SiteSettings, Handler: h}
	}
	return []surface.Route{
		at("GET", renewalsPath, s.showRenewals),
		at("POST", renewalsPath, s.saveRenewals),
		at("GET", ratesPath, s.showRates),
		at("POST", ratesPath, s.setRate),
		at("POST", ratesPath+"/end", s.endRate),
		at("POST", ratesPath+"/exchange", s.enterRate),
		at("POST", ratesPath+"/exchange/remove", s.removeRate),
		at("POST", ratesPath+"/exchange/daily", s.fetchRates),
	}
}

// renewalsView is the policy as it is, or as it was typed.
type renewalsView struct {
	dunningFields
	Tabs                           []settingsTab
	Lead                           string
	Reminders                      []reminderField
	FeeDays, FeePercent            string
	Fees                           []amountCell // one a currency
	Week, Loyal, Together, Shorten bool
	Loyalty                        string
}

func newRenewalsView(c *fiber.Ctx, p renewal.Policy) renewalsView {
	v := renewalsView{Tabs: settingsTabs(c), Lead: strconv.Itoa(p.LeadDays), Reminders: reminderFields(func(c billing.Cycle) string {
		if c == renewal.EndingDays {
			return daysText(p.Reminders.Ending)
		}
		return daysText(p.Reminders.Renewal[c])
	})}
	v.dunningFields = dunningText(p.Dunning)
	v.Week, v.Together, v.Shorten = p.Week, p.Together, p.Shorten
	v.Loyal, v.Loyalty = len(p.Loyalty) > 0, loyaltyText(p.Loyalty)
	if !v.Loyal {
		v.Loyalty = loyaltyText(billing.DefaultLoyalty())
	}
	typed := map[string]string{}
	if p.Fee.On() {
		v.FeeDays = strconv.Itoa(renewal.Days(p.Fee.After))
	}
	if p.Fee.Ppm > 0 {
		v.FeePercent = strings.TrimSuffix(billing.Percent(p.Fee.Ppm), " %")
	}
	for _, a := range p.Fee.Amounts {
		typed[a.Currency] = a.Decimal()
	}
	t, _ := surface.Tenant(c)
	v.Fees = feeCells(t.Currency, typed)
	return v
}

// reminderField is where the days before one kind of end are typed.
type reminderField struct {
	Cycle              billing.Cycle
	Name, Label, Value string
}

func reminderFields(value func(billing.Cycle) string) (all []reminderField) {
	for _, cycle := range append(renewal.RemindedCycles(), renewal.EndingDays) {
		label := "Renewals of " + cycle.Words()
		if cycle == renewal.EndingDays {
			label = "The end of what was cancelled"
		}
		all = append(all, reminderField{cycle, renewal.RemindersField(cycle), label, value(cycle)})
	}
	return all
}

// daysText writes days as they are typed: "30, 7".
func daysText(days []int) string {
	all := make([]string, len(days))
	for i, d := range days {
		all[i] = strconv.Itoa(d)
	}
	return strings.Join(all, ", ")
}

// readReminders reads what daysText wrote; what cannot be read is refused later.
func readReminders(fields []reminderField) renewal.Reminders {
	r := renewal.Reminders{Renewal: map[billing.Cycle]billing.Reminders{}}
	for _, f := range fields {
		var days billing.Reminders
		for _, d := range strings.FieldsFunc(f.Value, func(r rune) bool { return r == ',' || r == ' ' }) {
			days = append(days, wholeDays(d))
		}
		if f.Cycle == renewal.EndingDays {
			r.Ending = days
		} else {
			r.Renewal[f.Cycle] = days
		}
	}
	return r
}

// loyaltyText writes steps as they are typed: "12: 5, 24: 10".
func loyaltyText(l billing.Loyalty) string {
	steps := make([]string, len(l))
	for i, s := range l {
		steps[i] = strconv.Itoa(s.Months) + ": " + strings.TrimSuffix(billing.Percent(s.Ppm), " %")
	}
	return strings.Join(steps, ", ")
}

// readLoyalty reads what loyaltyText wrote; what cannot be read becomes a step that is
// refused later.
func readLoyalty(typed string) (l billing.Loyalty) {
	for _, step := range strings.Split(typed, ",") {
		months, percent, _ := strings.Cut(step, ":")
		n, err := strconv.Atoi(strings.TrimSpace(months))
		if err != nil {
			n = 0
		}
		ppm, err := billing.ParsePercent(percent)
		if err != nil {
			ppm = 0
		}
		if l = append(l, billing.LoyaltyStep{Months: n, Ppm: ppm}); len(l) > billing.MostLoyalty {
			break
		}
	}
	return l
}

// feeCells are a field for the shop's currency, and one for each in which there is a fee.
func feeCells(own string, typed map[string]string) []amountCell {
	cells := []amountCell{{own, "fee." + own, typed[own]}}
	for _, currency := range slices.Sorted(maps.Keys(typed)) {
		if currency != own && typed[currency] != "" {
			cells = append(cells, amountCell{currency, "fee." + currency, typed[currency]})
		}
	}
	return cells
}

// readFee reads what the form says of the late fee; what cannot be read is refused at
// its field.
func (v *renewalsView) readFee(c *fiber.Ctx) (fee billing.LateFee, err error) {
	wrong, typed := map[string]string{}, map[string]string{}
	v.FeeDays, v.FeePercent = table.Text(c.FormValue("fee_days"), 10), table.Text(c.FormValue("fee_percent"), 20)
	for _, currency := range knownCurrencies() {
		text := table.Text(c.FormValue("fee."+currency), 30)
		if text == "" {
			continue
		}
		typed[currency] = text
		a, err := billing.Parse(text, currency)
		switch {
		case err != nil || a.Minor < 0 || a.Minor > billing.MaxMinor:
			wrong["fee."+currency] = "Give an amount such as 5.00."
		case a.Minor > 0:
			fee.Amounts = append(fee.Amounts, a)
		}
	}
	t, _ := surface.Tenant(c)
	v.Fees = feeCells(t.Currency, typed)
	if v.FeePercent != "" {
		if fee.Ppm, err = billing.ParsePercent(v.FeePercent); err != nil {
			wrong["fee_percent"] = "Give a percentage such as 5 or 2.5."
		}
	}
	if fee.On() {
		fee.After = daysLong(v.FeeDays)
	}
	return fee, fault.Fields("renewal_settings.invalid", wrong)
}

// showRenewals handles GET /manage/settings/renewals.
func (s *Site) showRenewals(c *fiber.Ctx) error {
	var p renewal.Policy
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
		p, err = renewal.PolicyOf(c.UserContext(), tx)
		return err
	})
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/settings-renewals", "Renewals and reminders", newRenewalsView(c, p))
}

// saveRenewals handles POST /manage/settings/renewals.
func (s *Site) saveRenewals(c *fiber.Ctx) error {
	v := renewalsView{Tabs: settingsTabs(c), Lead: table.Text(c.FormValue("lead_days"), 10), Reminders: reminderFields(func(cycle billing.Cycle) string { return table.Text(c.FormValue(renewal.RemindersField(cycle)), 60) }),
		dunningFields: typedDunning(c), Week: c.FormValue("week") != ""}
	p := renewal.Policy{LeadDays: wholeDays(v.Lead), Reminders: readReminders(v.Reminders), Dunning: v.read(), Week: v.Week}
	if v.Loyal, v.Loyalty = c.FormValue("loyal") != "", table.Text(c.FormValue("loyalty"), 200); v.Loyal {
		p.Loyalty = readLoyalty(v.Loyalty)
	}
	v.Together = c.FormValue("together") != ""
	v.Shorten = c.FormValue("shorten") != ""
	p.Together, p.Shorten = v.Together, v.Shorten
	var err error
	if p.Fee, err = v.readFee(c); err == nil {
		err = renewal.SavePolicy(c.UserContext(), surface.DB(c), p, office.By(c))
	}
	if err != nil {
		return surface.FormError(c, err, "manage", "manage/settings-renewals", "Renewals and reminders", v)
	}
	return surface.Redirect(c, renewalsPath, "Saved. Open invoices follow it at once, subscriptions from their next period on.")
}

// wholeDays reads a number of days; what is none, or more than years, is refused later.
func wholeDays(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 10_000 {
		return -1
	}
	return n
}

func daysLong(s string) time.Duration { return time.Duration(wholeDays(s)) * 24 * time.Hour }
