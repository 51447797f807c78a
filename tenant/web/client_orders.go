package web

import (
	"cmp"
	"context"
	"slices"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/checkout"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
)

func (s *Site) orderRoutes() []surface.Route {
	client := func(method, path string, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: "/client/orders" + path, Needs: identity.SignedIn, Handler: h}
	}
	manage := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: "/manage/orders" + path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		client("GET", "", s.clientOrders),
		client("GET", "/:order", s.clientOrder),
		client("GET", "/:order/state", s.clientOrderState),
		client("POST", "/:order/cancel", s.cancelOwnOrder),
		manage("GET", "", identity.SalesRead, s.manageOrders),
		manage("GET", "/:order", identity.SalesRead, s.manageOrder),
		manage("POST", "/:order/cancel", identity.SalesWrite, s.cancelOrder),
	}
}

var errNoOrder = fault.New(fault.NotFound, "order.not_found", "There is no such order.")

func orderID(c *fiber.Ctx) (uuid.UUID, error) {
	id, err := uuid.Parse(c.Params("order"))
	if err != nil {
		return uuid.Nil, errNoOrder
	}
	return id, nil
}

// orderRow is an order in a list.
type orderRow struct {
	checkout.Order
	What   string
	Status map[string]any
}

func orderStatus(s checkout.State) map[string]any {
	switch s {
	case checkout.AwaitingPayment:
		return office.Status("warn", "Waits for payment")
	case checkout.PaidState:
		return office.Status("busy", "Being set up")
	case checkout.Fulfilled:
		return office.Status("good", "Done")
	default:
		return office.Status("idle", "Cancelled")
	}
}

func orderRows(all []checkout.Order) []orderRow {
	rows := make([]orderRow, len(all))
	for i, o := range all {
		rows[i] = orderRow{o, checkout.What(o.Items), orderStatus(o.State)}
	}
	return rows
}

type ordersView struct {
	List  table.Request
	Rows  []orderRow
	Total int
}

// clientOrders handles GET /client/orders.
func (s *Site) clientOrders(c *fiber.Ctx) error {
	acting, err := s.seeing(c)
	if err != nil {
		return err
	}
	r := table.Read(c)
	found, total, err := s.orders().List(c.UserContext(), surface.DB(c), checkout.Filter{AccountID: acting.AccountID, Offset: r.Offset(), Limit: r.Limit()})
	if err != nil {
		return err
	}
	return surface.Render(c, "client", "client/orders", "Orders", ordersView{List: r, Rows: orderRows(found), Total: total})
}

// orders reads orders also where nothing is sold.
func (s *Site) orders() *checkout.Desk {
	if s.Selling != nil {
		return s.Selling.Checkout
	}
	return &checkout.Desk{}
}

// seeing is the account the person acts for, when they may see its orders.
func (s *Site) seeing(c *fiber.Ctx) (a account.Acting, err error) {
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		a, err = seeingIn(c, tx)
		return err
	})
	return a, err
}

func seeingIn(c *fiber.Ctx, tx *tenancy.Tx) (account.Acting, error) {
	a, err := acting(c, tx)
	if err == nil {
		err = a.Must(account.InvoicesSee)
	}
	return a, err
}

// orderView is one order.
type orderView struct {
	O         checkout.Order
	What      string
	Status    map[string]any
	Items     []orderItem
	Invoice   *invoicing.Invoice
	Timeline  []activity.Told
	Steps     []stepView
	Live      bool   // something is still to happen
	Paying    string // what became of the payment that the order waits for; empty: nobody paid
	MayCancel bool
	MayPay    bool
	acting    account.Acting // of the customer who looks
}

type orderItem struct {
	quoteItem
	Service *checkout.Delivered
	Status  map[string]any
}

type stepView struct {
	Label, Note string
	Class       string // is-done, is-now
}

// clientOrder handles GET /client/orders/:order.
func (s *Site) clientOrder(c *fiber.Ctx) error {
	v, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "client", "client/order", "Order "+v.O.Name(), v)
}

// clientOrderState handles GET /client/orders/:order/state: the part that comes alive.
func (s *Site) clientOrderState(c *fiber.Ctx) error {
	v, err := s.ownOrder(c)
	if err != nil {
		return err
	}
	return surface.Fragment(c, "client/order", "order-state", v)
}

func (s *Site) ownOrder(c *fiber.Ctx) (v orderView, err error) {
	id, err := orderID(c)
	if err != nil {
		return v, err
	}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		got, err := viewOrder(c.UserContext(), tx, id, uuid.Nil, surface.DB(c).Tenant().Locale)
		if err != nil {
			return err
		}
		acting, err := actingFor(c, tx, got.O.AccountID)
		if fault.Is(err, "account.none") || err == nil && acting.AccountID != got.O.AccountID {
			return errNoOrder
		}
		if err == nil {
			err = acting.Must(account.InvoicesSee)
		}
		if err != nil {
			return err
		}
		v, v.acting = got, acting
		open := v.O.State == checkout.AwaitingPayment && v.Paying == ""
		v.MayPay, v.MayCancel = open && acting.May(account.Pay), open && acting.May(account.Buy)
		return err
	})
	return v, err
}

func viewOrder(ctx context.Context, tx *tenancy.Tx, id, accountID uuid.UUID, locale string) (v orderView, err error) {
	if v.O, err = checkout.GetIn(ctx, tx, id, accountID); err != nil {
		return v, err
	}
	v.What, v.Status = checkout.What(v.O.Items), orderStatus(v.O.State)
	there, err := checkout.DeliveredOf(ctx, tx, id)
	if err != nil {
		return v, err
	}
	running, delivered := 0, 0
	for _, x := range v.O.Items {
		item := orderItem{quoteItem: viewItem(x, locale)}
		if d, ok := there[x.SubscriptionID]; ok && d.ServiceID != uuid.Nil {
			item.Service, item.Status = &d, deliveredStatus(d)
			if d.Began {
				running++
			}
		}
		if x.SKU != "" {
			delivered++
		}
		v.Items = append(v.Items, item)
	}
	if v.O.InvoiceID != nil {
		inv, err := invoicing.Get(ctx, tx, *v.O.InvoiceID)
		if err != nil {
			return v, err
		}
		v.Invoice = &inv
		if err := v.paying(ctx, tx); err != nil {
			return v, err
		}
	}
	v.Live = v.O.State == checkout.AwaitingPayment || v.O.State == checkout.PaidState
	v.Steps = orderSteps(v.O, v.Paying, running, delivered)
	v.Timeline, err = activity.List(ctx, tx, activity.Filter{Subjects: []uuid.UUID{v.O.ID}, CustomerView: accountID != uuid.Nil})
	return v, err
}

// paying looks whether the payment an order waits for was made already. The order hears
// of it a moment later, a debit takes days: nobody must be asked to pay again meanwhile.
func (v *orderView) paying(ctx context.Context, tx *tenancy.Tx) error {
	if v.O.State != checkout.AwaitingPayment || v.Invoice.State == invoicing.Void {
		return nil
	}
	if v.Invoice.Due().Minor <= 0 {
		v.Paying, v.Status = "Your payment is here. We begin to set everything up.", office.Status("busy", "Paid")
		return nil
	}
	all, err := payment.List(ctx, tx, payment.Filter{InvoiceID: v.Invoice.ID})
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(p payment.Payment) bool { return p.State == gateway.Processing }) {
		v.Paying, v.Status = "Your payment is under way. We set everything up as soon as it is here.", office.Status("busy", "Payment under way")
	}
	return nil
}

func deliveredStatus(d checkout.Delivered) map[string]any {
	switch d.Observed {
	case "active":
		return office.Status("good", "Running")
	case "suspended":
		return office.Status("warn", "Suspended")
	case "failed":
		return office.Status("bad", "Needs our team")
	case "gone":
		return office.Status("idle", "Ended")
	}
	return office.Status("busy", "Being installed")
}

// orderSteps is how far an order is, in the customer's words.
func orderSteps(o checkout.Order, paying string, running, delivered int) []stepView {
	if o.State == checkout.Cancelled {
		return nil
	}
	steps := []stepView{{Label: "Ordered", Class: "is-done"}, {Label: "Paid"}, {Label: "Set up"}, {Label: "Ready"}}
	if o.InvoiceID == nil {
		steps[1] = stepView{Label: "Trial begun"}
	}
	switch o.State {
	case checkout.AwaitingPayment:
		steps[1] = stepView{Label: "Payment", Note: cmp.Or(paying, "We set everything up as soon as it is paid."), Class: "is-now"}
	case checkout.PaidState:
		steps[1].Class = "is-done"
		steps[2] = stepView{Label: "Being set up", Note: "Usually 60 to 90 seconds. This page follows by itself.", Class: "is-now"}
		if delivered > 1 {
			steps[2].Note = itoa(running) + " of " + itoa(delivered) + " are running. This page follows by itself."
		}
	default:
		for i := range steps {
			steps[i].Class = "is-done"
		}
	}
	return steps
}

// cancelOwnOrder handles POST /client/orders/:order/cancel.
func (s *Site) cancelOwnOrder(c *fiber.Ctx) error {
	id, err := orderID(c)
	if err != nil {
		return err
	}
	v, err := s.ownOrder(c)
	if err == nil {
		err = v.acting.Must(account.Buy)
	}
	if err != nil {
		return err
	}
	back := "/client/orders/" + id.String()
	if s.Selling == nil {
		return errNoOrder
	}
	err = s.Selling.Checkout.Cancel(c.UserContext(), surface.DB(c), checkout.CancelRequest{OrderID: id, AccountID: v.acting.AccountID, By: office.By(c)})
	if err != nil {
		return office.Refused(c, err, back)
	}
	return surface.Redirect(c, back, "The order is cancelled. There is nothing to pay.")
}
