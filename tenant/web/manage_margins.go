package web

import (
	"strconv"
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenant/report"
)

// marginLink is a way to tell margins by, or how far back.
type marginLink struct {
	Href, Label string
	Active      bool
}

type marginsView struct {
	report.Margins
	By     report.By
	Months int
	Ways   []marginLink
	Spans  []marginLink
	CSV    string
	Column string
	Chart  marginChart
}

// marginChart is what billed months brought, cost and left, as it is drawn: the oldest
// first, in whole units of the currency.
type marginChart struct {
	Currency              string // empty: nothing was billed yet
	Revenue, Cost, Margin []branding.Point
}

func chartOf(m report.Margins) marginChart {
	v := marginChart{Currency: m.Currency}
	for _, r := range m.ByMonth {
		label := r.ID
		if month, err := time.Parse("2006-01", r.ID); err == nil {
			label = month.Format("Jan 06")
		}
		v.Revenue = append(v.Revenue, branding.Point{Label: label, Value: r.Revenue.Whole()})
		v.Cost = append(v.Cost, branding.Point{Label: label, Value: r.Cost.Whole()})
		v.Margin = append(v.Margin, branding.Point{Label: label, Value: r.Margin.Whole()})
	}
	return v
}

// showMargins handles GET /manage/reports/margins; with ?format=csv the rows as a table.
func (s *Site) showMargins(c *fiber.Ctx) error {
	v := marginsView{By: report.ByPlan, Months: 3, Column: "Plan"}
	switch by := report.By(c.Query("by")); by {
	case report.ByCustomer:
		v.By, v.Column = by, "Customer"
	case report.ByMonth:
		v.By, v.Column = by, "Month"
	}
	if n, err := strconv.Atoi(c.Query("months")); err == nil && (n == 1 || n == 6 || n == 12) {
		v.Months = n
	}
	var err error
	if v.Margins, err = report.ReadMargins(c.UserContext(), surface.DB(c), v.By, v.Months, s.Office.Wholesale); err != nil {
		return err
	}
	if c.Query("format") == "csv" {
		rows := make([][]string, 0, len(v.Rows)+1)
		for _, r := range v.Rows {
			rows = append(rows, []string{r.ID, r.Label, r.Revenue.Decimal(), r.Cost.Decimal(), r.Margin.Decimal(), v.Currency})
		}
		if v.Rest.Minor != 0 {
			left := billing.Money{Minor: -v.Rest.Minor, Currency: v.Currency}
			rows = append(rows, []string{"", "Of no " + string(v.By), "0", v.Rest.Decimal(), left.Decimal(), v.Currency})
		}
		return table.CSV(c, "margins-by-"+string(v.By), []string{"id", string(v.By), "revenue_net", "wholesale_cost", "margin", "currency"}, rows)
	}
	path := func(by report.By, months int) string {
		return "/manage/reports/margins?by=" + string(by) + "&months=" + strconv.Itoa(months)
	}
	v.CSV = path(v.By, v.Months) + "&format=csv"
	for _, w := range []struct {
		by    report.By
		label string
	}{{report.ByPlan, "By plan"}, {report.ByCustomer, "By customer"}, {report.ByMonth, "By month"}} {
		v.Ways = append(v.Ways, marginLink{path(w.by, v.Months), w.label, w.by == v.By})
	}
	for _, n := range []int{1, 3, 6, 12} {
		label := strconv.Itoa(n) + " months"
		if n == 1 {
			label = "Last month"
		}
		v.Spans = append(v.Spans, marginLink{path(v.By, n), label, n == v.Months})
	}
	v.Chart = chartOf(v.Margins)
	return surface.Render(c, "manage", "manage/margins", "Margins", v)
}
