package web

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenant/bookkeeping"
	"github.com/ezscale/ezscale/tenant/settings"
)

// limitView is how near a seller of the EU is to the threshold of Article 59c.
type limitView struct {
	Year         int
	Sum, Before  billing.Money // this year and the one before
	Limit        billing.Money
	Others       []billing.Money // this year, in other currencies: they count at the rate of the day
	OSS, Over    bool
	Near         bool // four fifths of it
	OtherMembers bool // the seller is in the EU, so that it counts at all
}

// limitOf reads it.
func limitOf(c *fiber.Ctx, tx *tenancy.Tx) (v limitView, err error) {
	b, err := settings.BillingOf(c.UserContext(), tx)
	if err != nil || !billing.InEU(b.Country) || b.SmallBusiness {
		return v, err
	}
	t, _ := surface.Tenant(c)
	now := tx.Now().In(zoneOf(t))
	from := time.Date(now.Year(), 1, 1, 0, 0, 0, 0, now.Location())
	v = limitView{Year: now.Year(), Limit: billing.CrossBorderLimit(), OSS: b.OSS, OtherMembers: true}
	if v.Sum, v.Others, err = bookkeeping.CrossBorder(c.UserContext(), tx, b.Country, bookkeeping.Period{From: from, To: from.AddDate(1, 0, 0)}); err != nil {
		return v, err
	}
	v.Before, _, err = bookkeeping.CrossBorder(c.UserContext(), tx, b.Country, bookkeeping.Period{From: from.AddDate(-1, 0, 0), To: from})
	most := max(v.Sum.Minor, v.Before.Minor)
	v.Over, v.Near = most > v.Limit.Minor, most > v.Limit.Minor/5*4
	return v, err
}

// taxReportView is what was taxed in a period, by country.
type taxReportView struct {
	From, To, Query string
	Rows            []taxReportRow
	Limit           limitView
}

type taxReportRow struct {
	bookkeeping.Taxed
	Where, Rate string
	OneStop     bool // of another member state than the seller's
}

func taxReport(c *fiber.Ctx) (v taxReportView, err error) {
	var refused error
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		var p bookkeeping.Period
		if p, v.From, v.To, refused = period(c, tx.Now()); refused != nil {
			return nil
		}
		all, err := bookkeeping.TaxReport(c.UserContext(), tx, p)
		if err != nil {
			return err
		}
		b, err := settings.BillingOf(c.UserContext(), tx)
		if err != nil {
			return err
		}
		for _, r := range all {
			row := taxReportRow{Taxed: r, Where: place.CountryName(r.Country), Rate: strings.TrimSpace(r.Name + " " + billing.Percent(r.Ppm)), OneStop: b.OSS && billing.InEU(r.Country) && r.Country != b.Country}
			if r.Region != "" {
				row.Where += ", " + place.RegionName(r.Country, r.Region)
			}
			v.Rows = append(v.Rows, row)
		}
		v.Limit, err = limitOf(c, tx)
		return err
	})
	if err != nil {
		return v, err
	}
	if refused != nil {
		v.From, v.To = table.Text(c.Query("from"), 20), table.Text(c.Query("to"), 20)
		return v, refused
	}
	v.Query = "?from=" + v.From + "&to=" + v.To
	return v, nil
}

// showTaxReport handles GET /manage/books/tax.
func (s *Site) showTaxReport(c *fiber.Ctx) error {
	v, err := taxReport(c)
	switch {
	case fault.Is(err, "books.bad_period"):
		return surface.FormError(c, err, "manage", "manage/books-tax", "Tax by country", v)
	case err != nil:
		return err
	}
	return surface.Render(c, "manage", "manage/books-tax", "Tax by country", v)
}

// taxReportCSV handles GET /manage/books/tax.csv.
func (s *Site) taxReportCSV(c *fiber.Ctx) error {
	v, err := taxReport(c)
	if err != nil {
		return err
	}
	rows := make([][]string, len(v.Rows))
	for i, r := range v.Rows {
		scheme := ""
		if r.OneStop {
			scheme = "OSS"
		}
		rows[i] = []string{r.Country, r.Region, r.Name, strings.TrimSuffix(billing.Percent(r.Ppm), " %"), r.Currency, r.Net.Decimal(), r.Tax.Decimal(), scheme}
	}
	return table.CSV(c, "tax-by-country", []string{"country", "region", "tax", "percent", "currency", "net", "tax amount", "scheme"}, rows)
}
