package web

import (
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// What a reseller has paid ahead: the statement, paying more, and topping up by itself.

const balancePath = "/balance"

func (s *Partner) balanceRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", balancePath, identity.StatementRead, s.balance),
		at("GET", statementsPath, identity.StatementRead, s.balanceStatement),
		at("GET", statementsPath+"/:month", identity.StatementRead, s.balanceStatement),
		at("POST", balancePath+"/payout-account", identity.StatementPay, s.setPayoutAccount),
		at("POST", balancePath+"/settings", identity.StatementPay, s.setTopUp),
		at("GET", balancePath+"/top-up", identity.StatementPay, s.showTopUp),
		at("POST", balancePath+"/top-up", identity.StatementPay, s.topUp),
	}
}

type balanceView struct {
	B      wholesale.Balance
	Card   wholesale.Card
	Cards  bool // cards are taken
	Rows   []movementRow
	Total  int
	List   table.Request
	May    bool
	Amount string // as typed
	Warn   string
	Auto   string

	C       wholesale.Collection
	Account wholesale.PayoutAccount // as typed
}

type movementRow struct {
	wholesale.Movement
	What string
	Href string // of the invoice; empty: none
}

// movementsOf says in words what moved a balance.
func movementsOf(rows []wholesale.Movement, invoices string) []movementRow {
	all := make([]movementRow, len(rows))
	for i, m := range rows {
		all[i] = movementRow{Movement: m, What: movementWord(m.Kind, m.AmountMinor > 0)}
		if m.InvoiceID != uuid.Nil {
			all[i].Href = invoices + "/" + m.InvoiceID.String()
		}
	}
	return all
}

// movementWord says in words what kind of movement it was; came: it made the balance more.
func movementWord(kind string, came bool) string {
	if came {
		switch kind {
		case "customer_refund":
			return "Refund that came back"
		case "dispute":
			return "Given back by a bank"
		case "payout":
			return "Payout that came back"
		}
	}
	return map[string]string{"topup": "Top-up", "invoice": "Invoice", "refund": "Given back", "returned": "Came back", "collected": "Customer's payment", "fee": "Fee for taking it",
		"customer_refund": "Refund to a customer", "dispute": "Asked back by a bank", "payout": "Payout"}[kind]
}

// balanceCSV is a balance's whole statement as a file.
func balanceCSV(c *fiber.Ctx, d *wholesale.Desk, of tenancy.ID) error {
	all, err := table.Collect(func(offset, limit int) ([]wholesale.Movement, int, error) {
		_, rows, total, err := d.BalanceOf(c.UserContext(), of, offset, limit)
		return rows, total, err
	})
	if err != nil {
		return err
	}
	rows := make([][]string, len(all))
	for i, m := range all {
		rows[i] = []string{table.Time(m.At), m.Kind, m.Note, m.Amount().Decimal(), m.Left().Decimal(), m.Currency}
	}
	return table.CSV(c, "balance", []string{"at", "kind", "note", "amount", "left", "currency"}, rows)
}

func (s *Partner) readBalance(c *fiber.Ctx) (me wholesale.Partner, v balanceView, err error) {
	if me, err = s.mine(c); err != nil {
		return me, v, err
	}
	v.List = table.Read(c)
	p, rows, total, err := s.Wholesale.BalanceOf(c.UserContext(), me.ID, v.List.Offset(), v.List.Limit())
	if err != nil {
		return me, v, err
	}
	v.C, v.Account = p.Collection, p.Collection.Account
	who, _ := surface.Principal(c)
	v.B, v.Card, v.Cards, v.Rows, v.Total, v.May = p.Balance, p.Card, s.Wholesale.Taker != nil, movementsOf(rows, "/invoices"), total, who.May(identity.StatementPay)
	v.Warn, v.Auto, v.Amount = typedMoney(p.Balance.WarnAt), typedMoney(p.Balance.TopUp), p.Balance.Suggested().Decimal()
	return me, v, nil
}

// typedMoney is an amount as a field holds it; nothing is empty.
func typedMoney(m billing.Money) string {
	if m.Minor == 0 {
		return ""
	}
	return m.Decimal()
}

// balance handles GET /balance.
func (s *Partner) balance(c *fiber.Ctx) error {
	me, v, err := s.readBalance(c)
	if err != nil {
		return err
	}
	if v.List.CSV {
		return balanceCSV(c, s.Wholesale, me.ID)
	}
	return surface.Render(c, "partner", "partner/balance", "Balance", v)
}

// setTopUp handles POST /balance/settings.
func (s *Partner) setTopUp(c *fiber.Ctx) error {
	me, v, err := s.readBalance(c)
	if err != nil {
		return err
	}
	v.Warn, v.Auto = table.Text(c.FormValue("warn"), 40), table.Text(c.FormValue("auto"), 40)
	if err := s.Wholesale.SetTopUp(c.UserContext(), me.ID, v.Warn, v.Auto, office.By(c)); err != nil {
		return surface.FormError(c, err, "partner", "partner/balance", "Balance", v)
	}
	return surface.Redirect(c, balancePath, "Saved.")
}

type topUpView struct {
	Amount billing.Money
	Typed  string
	B      wholesale.Balance
	Card   wholesale.Card
	Script *wholesale.FormScript
	Code   string // the currency in lower case, for the script
	Key    string
	With   string
	Save   bool
}

// readTopUp answers the page of the balance too, on which the amount is chosen.
func (s *Partner) readTopUp(c *fiber.Ctx) (me wholesale.Partner, b balanceView, v topUpView, err error) {
	if me, b, err = s.readBalance(c); err != nil {
		return me, b, v, err
	}
	v = topUpView{B: b.B, Card: b.Card, Script: s.Wholesale.FormScript(), Code: strings.ToLower(b.B.Held.Currency), Save: c.FormValue("save") == "on",
		Typed: table.Text(c.FormValue("amount"), 40), With: table.Text(c.FormValue("with"), 20), Key: table.Text(c.FormValue("key"), 40)}
	if v.Typed == "" {
		v.Typed = b.Amount
	}
	b.Amount = v.Typed
	if v.With == "" {
		v.With = "card"
		if b.Card.Kept() {
			v.With = "kept"
		}
	}
	v.Amount, err = wholesale.TopUpAmount(v.Typed, b.B.Held.Currency)
	return me, b, v, err
}

func renderTopUp(c *fiber.Ctx, v topUpView, refused error) error {
	if v.Script != nil {
		surface.AllowOrigins(c, v.Script.Origins...)
	}
	if refused != nil {
		return surface.FormError(c, refused, "partner", "partner/top_up", "Top up", v)
	}
	return surface.Render(c, "partner", "partner/top_up", "Top up", v)
}

// showTopUp handles GET /balance/top-up: how the amount that was chosen is to be paid.
func (s *Partner) showTopUp(c *fiber.Ctx) error {
	_, b, v, err := s.readTopUp(c)
	if fault.Is(err, "balance.invalid") || fault.Is(err, "balance.no_terms") {
		return surface.FormError(c, err, "partner", "partner/balance", "Balance", b)
	}
	if err != nil {
		return err
	}
	key, err := uuid.NewV7()
	if err != nil {
		return err
	}
	v.Key = key.String()
	return renderTopUp(c, v, nil)
}

// topUp handles POST /balance/top-up, from the form or its script.
func (s *Partner) topUp(c *fiber.Ctx) error {
	me, _, v, err := s.readTopUp(c)
	if err != nil {
		return err
	}
	if v.With != "kept" && v.With != "card" {
		return renderTopUp(c, v, fault.Field("with", "wholesale_payment.no_choice", "Choose how you want to pay."))
	}
	a, gp, err := s.Wholesale.TopUp(c.UserContext(), me.ID, wholesale.TopUpRequest{
		Key: v.Key, Amount: v.Typed, Kept: v.With == "kept", Save: v.Save, ReturnURL: surface.BaseURL(c) + "/payments/{payment}",
	})
	switch {
	case err != nil && surface.AsksJSON(c):
		return err
	case err != nil:
		return renderTopUp(c, v, shown(err))
	}
	state := "/payments/" + url.PathEscape(a.ID.String())
	if surface.AsksJSON(c) {
		return c.JSON(surface.CardAnswer{State: string(a.State), ClientSecret: gp.ClientSecret, Next: state, Message: a.DeclineText})
	}
	switch {
	case a.State == gateway.Succeeded:
		return surface.Redirect(c, balancePath, toppedUp(a))
	case a.State == gateway.Failed:
		return renderTopUp(c, v, fault.Field("with", "wholesale_payment.declined", a.DeclineText))
	case a.State == gateway.RequiresAction && gp.ActionURL == "":
		return renderTopUp(c, v, errNeedsScript)
	}
	return surface.Redirect(c, state, "")
}

func toppedUp(a wholesale.Attempt) string {
	return "Thank you. " + a.Amount().Format("en") + " are on your balance."
}
