package web

import (
	"bytes"
	"encoding/csv"
	"fmt"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/central/insight"
)

type businessView struct {
	insight.Business
	Currency string
	Points   []branding.Point
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
	v := businessView{Business: b, Currency: currency}
	any := false
	for _, m := range b.Months {
		any = any || m.Invoiced.Minor != 0
		whole, err := m.Invoiced.Ratio(1, 100) // the height of a bar
		if err != nil {
			return err
		}
		v.Points = append(v.Points, branding.Point{Label: m.From.Format("Jan 06"), Value: whole.Minor})
	}
	if !any {
		v.Points = nil
	}
	return surface.Render(c, "console", "console/business", "Business", v)
}

func sendBusinessMonths(c *fiber.Ctx, b insight.Business, currency string) error {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	rows := [][]string{{"month", "invoiced_net", "received", "currency"}}
	for _, m := range b.Months {
		rows = append(rows, []string{m.From.Format("2006-01"), m.Invoiced.Decimal(), m.Received.Decimal(), currency})
	}
	if err := w.WriteAll(rows); err != nil {
		return fmt.Errorf("write the months: %w", err)
	}
	c.Set(fiber.HeaderContentType, "text/csv; charset=utf-8")
	c.Set(fiber.HeaderContentDisposition, `attachment; filename="business-`+currency+`.csv"`)
	return c.Send(out.Bytes())
}
