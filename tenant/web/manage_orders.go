package web

import (
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/checkout"
)

func itoa(n int) string { return strconv.Itoa(n) }

// manageOrders handles GET /manage/orders.
func (s *Site) manageOrders(c *fiber.Ctx) error {
	r := table.Read(c, "state")
	f := checkout.Filter{Text: r.Text, State: checkout.State(r.Filters["state"]), Sort: r.Sort, Desc: r.Desc, Offset: r.Offset(), Limit: r.Limit()}
	if r.CSV {
		return s.ordersCSV(c, f)
	}
	found, total, err := s.orders().List(c.UserContext(), surface.DB(c), f)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/orders", "Orders", ordersView{List: r, Rows: orderRows(found), Total: total})
}

func (s *Site) ordersCSV(c *fiber.Ctx, f checkout.Filter) error {
	all, err := table.Collect(func(offset, limit int) ([]checkout.Order, int, error) {
		f.Offset, f.Limit = offset, limit
		return s.orders().List(c.UserContext(), surface.DB(c), f)
	})
	if err != nil {
		return err
	}
	rows := make([][]string, len(all))
	for i, o := range all {
		rows[i] = []string{strconv.FormatInt(o.Number, 10), o.AccountName, checkout.What(o.Items), o.Total.Decimal(), o.Currency, string(o.State), table.Time(o.PlacedAt)}
	}
	return table.CSV(c, "orders", []string{"number", "account", "what", "total", "currency", "state", "placed"}, rows)
}

// manageOrder handles GET /manage/orders/:order.
func (s *Site) manageOrder(c *fiber.Ctx) error {
	id, err := orderID(c)
	if err != nil {
		return err
	}
	var v orderView
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
		v, err = viewOrder(c.UserContext(), tx, id, uuid.Nil, surface.DB(c).Tenant().Locale)
		return err
	})
	if err != nil {
		return err
	}
	p, _ := surface.Principal(c)
	v.MayCancel = v.O.State == checkout.AwaitingPayment && v.Paying == "" && p.May(identity.SalesWrite)
	return surface.Render(c, "manage", "manage/order", "Order "+v.O.Name(), v)
}

// cancelOrder handles POST /manage/orders/:order/cancel.
func (s *Site) cancelOrder(c *fiber.Ctx) error {
	id, err := orderID(c)
	if err != nil {
		return err
	}
	if s.Selling == nil {
		return errNoOrder
	}
	back := "/manage/orders/" + id.String()
	reason := strings.Join(strings.Fields(strings.ReplaceAll(strings.ToValidUTF8(c.FormValue("reason"), ""), "\x00", "")), " ")
	err = s.Selling.Checkout.Cancel(c.UserContext(), surface.DB(c), checkout.CancelRequest{OrderID: id, Reason: reason, By: office.By(c)})
	if err != nil {
		return office.Refused(c, err, back)
	}
	return surface.Redirect(c, back, "The order is cancelled, and its customer knows.")
}
