package web

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenant/exchange"
	"github.com/ezscale/ezscale/tenant/settings"
)

// The rates of exchange by which invoices in other currencies state their tax in the currency of
// the shop's country.

// exchangeView is the shop's rates, and the form for one more.
type exchangeView struct {
	Own        string // the currency of the shop's country; empty: not known
	Kept       exchange.Kept
	MayFetch   bool
	Needed     []neededRate
	Currencies []place.Choice
	In         billing.ExchangeRate
	Day        string
}

// neededRate is a currency the shop sells in, and what it is worth today; no Value: not known.
type neededRate struct {
	Currency string
	billing.ExchangeRate
}

func (s *Site) exchangeView(ctx context.Context, tx *tenancy.Tx) (v exchangeView, err error) {
	var row struct{ Shop, Kept, Sold string }
	err = tx.NewRaw(`SELECT coalesce((SELECT value::text FROM shop_settings WHERE name = ?), '') AS shop, coalesce((SELECT value::text FROM shop_settings WHERE name = ?), '{}') AS kept,
		coalesce((SELECT string_agg(currency, ' ' ORDER BY currency) FROM (SELECT DISTINCT currency FROM prices) x), '') AS sold`, settings.BillingName, exchange.Name).Scan(ctx, &row)
	if err != nil {
		return v, fmt.Errorf("read the rates of exchange: %w", err)
	}
	shop, err := settings.ReadBilling(row.Shop)
	if err != nil {
		return v, err
	}
	if v.Kept, err = exchange.Read(row.Kept); err != nil {
		return v, err
	}
	v.Own, v.MayFetch, v.In = billing.AccountingCurrency(shop.Country), s.DailyRates, billing.ExchangeRate{Into: billing.AccountingCurrency(shop.Country)}
	v.Currencies = append([]place.Choice{{Value: "", Label: "Choose a currency"}}, place.Currencies(v.Own)...)
	for _, code := range strings.Fields(row.Sold) {
		if v.Own == "" || code == v.Own {
			continue
		}
		rate, _ := billing.FindRate(v.Kept.All(), code, v.Own, tx.Now())
		v.Needed = append(v.Needed, neededRate{code, rate})
	}
	return v, nil
}

// enterRate handles POST /manage/settings/tax/exchange.
func (s *Site) enterRate(c *fiber.Ctx) error {
	day := table.Text(c.FormValue("rate_day"), 20)
	in := billing.ExchangeRate{From: table.Text(c.FormValue("rate_from"), 3), Into: table.Text(c.FormValue("rate_into"), 3), Value: table.Text(c.FormValue("value"), 30), Day: table.Day(day)}
	err := exchange.Enter(c.UserContext(), surface.DB(c), in, office.By(c))
	if err == nil {
		return surface.Redirect(c, ratesPath, "Saved. Invoices of the next month use it until you enter a newer one.")
	}
	v, failed := s.ratesView(c)
	if failed != nil {
		return failed
	}
	v.Exchange.In, v.Exchange.Day = in, day
	return surface.FormError(c, err, "manage", "manage/settings-tax", "Tax rates", v)
}

// removeRate handles POST /manage/settings/tax/exchange/remove.
func (s *Site) removeRate(c *fiber.Ctx) error {
	err := exchange.Remove(c.UserContext(), surface.DB(c), table.Text(c.FormValue("rate_from"), 3), table.Text(c.FormValue("rate_into"), 3), table.Day(c.FormValue("rate_day")), office.By(c))
	if err != nil {
		return office.Refused(c, err, ratesPath)
	}
	return surface.Redirect(c, ratesPath, "The rate is taken out. What was issued does not change.")
}

// fetchRates handles POST /manage/settings/tax/exchange/daily.
func (s *Site) fetchRates(c *fiber.Ctx) error {
	on := c.FormValue("daily") == "on" && s.DailyRates
	if err := exchange.SetDaily(c.UserContext(), surface.DB(c), on, office.By(c)); err != nil {
		return err
	}
	said := "The daily rates are not fetched any more."
	if on {
		said = "The daily rates are fetched from now on."
	}
	return surface.Redirect(c, ratesPath, said)
}

// OwnRates are the newest rates entered by hand, for a list.
func (v exchangeView) OwnRates() []billing.ExchangeRate { return v.Kept.Own[:min(len(v.Kept.Own), 20)] }

// FetchedOn is the day of the daily rates; zero: there are none.
func (v exchangeView) FetchedOn() time.Time {
	if len(v.Kept.Fetched) == 0 {
		return time.Time{}
	}
	return v.Kept.Fetched[0].Day
}
