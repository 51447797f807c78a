package web

import (
	"time"

	"github.com/gofiber/fiber/v2"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/bookkeeping"
)

// revenueSince is how many months back revenue is shown.
const revenueSince = 12

// revenueOf is what the months of the last year earned and those to come will.
func revenueOf(c *fiber.Ctx) (r bookkeeping.Revenue, err error) {
	t, _ := surface.Tenant(c)
	zone := zoneOf(t)
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
		now := tx.Now().In(zone)
		r, err = bookkeeping.RevenueMonths(c.UserContext(), tx, time.Date(now.Year(), now.Month()-revenueSince, 1, 0, 0, 0, 0, zone), zone)
		return err
	})
	return r, err
}

// showRevenue handles GET /manage/books/revenue.
func (s *Site) showRevenue(c *fiber.Ctx) error {
	r, err := revenueOf(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/books-revenue", "Revenue by month", r)
}

// revenueCSV handles GET /manage/books/revenue.csv.
func (s *Site) revenueCSV(c *fiber.Ctx) error {
	r, err := revenueOf(c)
	if err != nil {
		return err
	}
	rows := make([][]string, len(r.Months))
	for i, m := range r.Months {
		state := "booked"
		if m.Ahead {
			state = "expected"
		}
		rows[i] = []string{m.From.Format("2006-01"), m.Currency, m.Earned.Decimal(), m.Deferred.Decimal(), state}
	}
	return table.CSV(c, "revenue", []string{"month", "currency", "earned", "deferred at its end", "state"}, rows)
}
