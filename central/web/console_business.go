package web

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"slices"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/central/insight"
)

type businessView struct {
	insight.Business
	Currency   string
	Currencies []string // there are figures in; more than one is a choice
	Chart      businessChart
}

// businessChart is what the months brought the shops, came to wholesale, and left them.
type businessChart struct {
	Currency              string
	Revenue, Cost, Margin []branding.Point
}

// currencies are those there are figures in, the one that is shown among them.
func currencies(b insight.Business, shown string) []string {
	all := []string{shown}
	for _, list := range [][]insight.Sum{b.Retail, b.Wholesale, b.Owed} {
		for _, s := range list {
			all = append(all, s.Currency)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// showBusiness handles GET /business; with ?format=csv the months as a table.
func (s *Console) showBusiness(c *fiber.Ctx) error {
	currency := s.Office.Currency
	if currency == "" {
		currency = "EUR"
	}
	if asked := c.Query("currency"); asked != "" {
		if _, err := billing.New(0, asked); err == nil {
			currency = asked
		}
	}
	b, err := insight.Read(c.UserContext(), s.Central, currency)
	if err != nil {
		return err
	}
	if c.Query("format") == "csv" {
		return sendBusinessMonths(c, b, currency)
	}
	v := businessView{Business: b, Currency: currency, Currencies: currencies(b, currency)}
	if slices.ContainsFunc(b.Months, func(m insight.Month) bool { return m.Invoiced.Minor != 0 || m.Wholesale.Minor != 0 }) {
		v.Chart.Currency = currency
		for _, m := range b.Months {
			label := m.From.Format("Jan 06")
			v.Chart.Revenue = append(v.Chart.Revenue, branding.Point{Label: label, Value: m.Invoiced.Whole()})
			v.Chart.Cost = append(v.Chart.Cost, branding.Point{Label: label, Value: m.Wholesale.Whole()})
			v.Chart.Margin = append(v.Chart.Margin, branding.Point{Label: label, Value: m.Margin.Whole()})
		}
	}
	return surface.Render(c, "console", "console/business", "Business", v)
}

func sendBusinessMonths(c *fiber.Ctx, b insight.Business, currency string) error {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	rows := [][]string{{"month", "invoiced_net", "received", "wholesale_net", "left_to_shops", "currency"}}
	for _, m := range b.Months {
		rows = append(rows, []string{m.From.Format("2006-01"), m.Invoiced.Decimal(), m.Received.Decimal(), m.Wholesale.Decimal(), m.Margin.Decimal(), currency})
	}
	if err := w.WriteAll(rows); err != nil {
		return fmt.Errorf("write the months: %w", err)
	}
	c.Set(fiber.HeaderContentType, "text/csv; charset=utf-8")
	c.Set(fiber.HeaderContentDisposition, `attachment; filename="business-`+currency+`.csv"`)
	return c.Send(out.Bytes())
}
