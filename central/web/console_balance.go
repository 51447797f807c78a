package web

import (
	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// What a reseller has paid ahead, for staff: the terms, the statement, money that arrived by
// bank transfer and money that goes back.

func (s *Console) balanceRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", "/resellers/:id/balance", identity.WholesaleRead, s.showBalance),
		at("POST", "/resellers/:id/balance/terms", identity.WholesaleWrite, s.setPrepaid),
		at("POST", "/resellers/:id/balance/top-up", identity.WholesaleWrite, s.bookTopUp),
		at("POST", "/resellers/:id/balance/back", identity.WholesaleWrite, s.giveBack),
	}
}

type consoleBalanceView struct {
	resellerView
	B     wholesale.Balance
	Terms bool // there is a currency to hold it in
	Cards bool
	Rows  []movementRow
	Total int
	List  table.Request
	May   bool
	Key   string
	In    wholesale.ByHand
	Back  wholesale.Back

	C           wholesale.Collection
	Collect     wholesale.NewCollectionTerms
	Payout      wholesale.NewPayout
	ReturnedRef string
}

func (s *Console) balanceView(c *fiber.Ctx, r reseller.Reseller) (v consoleBalanceView, err error) {
	v = consoleBalanceView{resellerView: s.resellerView(c, r, "/billing"), List: table.Read(c), Cards: s.Wholesale.Taker != nil, May: mayBill(c)}
	p, rows, total, err := s.Wholesale.BalanceOf(c.UserContext(), r.ID, v.List.Offset(), v.List.Limit())
	if err != nil {
		return v, err
	}
	v.B, v.Rows, v.Total, v.Terms = p.Balance, movementsOf(rows, "/wholesale/invoices"), total, p.Balance.Held.Currency != ""
	v.C = p.Collection
	v.Collect, v.Payout = typedTerms(v.C.Terms), wholesale.NewPayout{Ref: v.C.PayoutRef(s.Wholesale.Central.Now())}
	if v.C.Payable.Minor > 0 {
		v.Payout.Amount = v.C.Payable.Decimal()
	}
	key, err := uuid.NewV7()
	v.Key = key.String()
	v.Back.Amount = typedMoney(v.C.PaidAhead)
	return v, err
}

// showBalance handles GET /resellers/:id/balance.
func (s *Console) showBalance(c *fiber.Ctx) error {
	r, err := s.one(c)
	if err != nil {
		return err
	}
	v, err := s.balanceView(c, r)
	if err != nil {
		return err
	}
	if v.List.CSV {
		return balanceCSV(c, s.Wholesale, r.ID)
	}
	return surface.Render(c, "console", "console/reseller_balance", r.Name, v)
}

// changeBalance does what a form of the page asks for and leads back to it.
func (s *Console) changeBalance(c *fiber.Ctx, said string, do func(r reseller.Reseller) error, typed func(v *consoleBalanceView)) error {
	r, err := s.one(c)
	if err != nil {
		return err
	}
	if err := do(r); err != nil {
		v, verr := s.balanceView(c, r)
		if verr != nil {
			return verr
		}
		typed(&v)
		return surface.FormError(c, err, "console", "console/reseller_balance", r.Name, v)
	}
	return surface.Redirect(c, "/resellers/"+r.ID.String()+"/balance", said)
}

// setPrepaid handles POST /resellers/:id/balance/terms.
func (s *Console) setPrepaid(c *fiber.Ctx) error {
	on, said := c.FormValue("prepaid") == "on", "They pay afterwards from now on."
	if on {
		said = "They pay ahead from now on."
	}
	return s.changeBalance(c, said, func(r reseller.Reseller) error {
		return s.Wholesale.SetPrepaid(c.UserContext(), r.ID, on, office.By(c))
	}, func(*consoleBalanceView) {})
}

// bookTopUp handles POST /resellers/:id/balance/top-up.
func (s *Console) bookTopUp(c *fiber.Ctx) error {
	in := wholesale.ByHand{Key: table.Text(c.FormValue("key"), 100), Amount: table.Text(c.FormValue("amount"), 40), Note: table.Text(c.FormValue("note"), 200)}
	return s.changeBalance(c, "The money is on the balance.", func(r reseller.Reseller) error {
		return s.Wholesale.BookTopUp(c.UserContext(), r.ID, in, office.By(c))
	}, func(v *consoleBalanceView) { v.In, v.Key = in, in.Key })
}

// giveBack handles POST /resellers/:id/balance/back.
func (s *Console) giveBack(c *fiber.Ctx) error {
	in := wholesale.Back{Key: table.Text(c.FormValue("key"), 100), Amount: table.Text(c.FormValue("back"), 40), Note: table.Text(c.FormValue("reason"), 200), Card: c.FormValue("to") == "card"}
	return s.changeBalance(c, "It is off the balance and goes back.", func(r reseller.Reseller) error {
		return s.Wholesale.GiveBack(c.UserContext(), r.ID, in, office.By(c))
	}, func(v *consoleBalanceView) { v.Back, v.Key = in, in.Key })
}
