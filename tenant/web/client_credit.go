package web

import (
	"net/url"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/credit"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/referral"
)

const creditPath = "/client/credit"

func (s *Site) clientCreditRoutes() []surface.Route {
	at := func(method, path string, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: path, Needs: identity.SignedIn, Handler: h}
	}
	return []surface.Route{
		at("GET", creditPath, s.showCredit),
		at("POST", creditPath+"/automatic", s.switchCredit),
		at("POST", creditPath+"/top-up", s.topUp(false)),
		at("POST", creditPath+"/gifts", s.topUp(true)),
		at("POST", creditPath+"/gifts/:gift/show", s.showGift),
		at("POST", creditPath+"/redeem", s.redeemGift),
		at("POST", "/client/invoices/:invoice/credit", s.payWithCredit),
	}
}

// creditView is the page of an account's credit.
type creditView struct {
	Account account.Acting
	Purse   credit.Purse
	Rows    []creditRow
	Open    []grantLine
	MayEdit bool
	Brings  bool // there is credit for bringing customers
	FormKey string
	Amount  string // as typed
	Gift    string // the amount of a gift code, as typed
	Code    string // a gift code, as typed
	Shown   string // a gift code that can be read now; empty: none
	Gifts   []credit.Gift
}

// creditRow is a line of its history.
type creditRow struct {
	credit.Move
	Says string // "Spent on invoice"
}

// grantLine is a piece of credit that something is left of.
type grantLine struct {
	credit.Grant
	From string // "Top-up"
}

func creditRows(p credit.Purse) []creditRow {
	rows := make([]creditRow, len(p.Moves))
	for i, m := range p.Moves {
		rows[i].Move = m
		switch m.Kind {
		case "granted":
			rows[i].Says = m.Of.Words()
		case "spent":
			rows[i].Says = "Paid an invoice"
		case "returned":
			rows[i].Says = "Came back from an invoice"
		case "expired":
			if rows[i].Says = "Expired"; m.Actor != "system" {
				rows[i].Says = "Taken back"
			}
		case "held":
			if rows[i].Says = "Held: its payment is disputed"; m.Amount.Minor > 0 {
				rows[i].Says = "No longer held"
			}
		case "lost":
			if rows[i].Says = "Taken back with its payment"; m.Amount.Minor > 0 {
				rows[i].Says = "Its payment came back"
			}
		case "withdrawn":
			if rows[i].Says = "Paid out"; m.Amount.Minor > 0 {
				rows[i].Says = "Could not be paid out"
			}
		}
	}
	return rows
}

func grantLines(all []credit.Grant) []grantLine {
	lines := make([]grantLine, len(all))
	for i, g := range all {
		lines[i] = grantLine{g, g.Kind.Words()}
	}
	return lines
}

func (s *Site) readCredit(c *fiber.Ctx) (v creditView, err error) {
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		if v.Account, err = acting(c, tx); err != nil {
			return err
		}
		if err := v.Account.Must(account.InvoicesSee); err != nil {
			return err
		}
		v.MayEdit = v.Account.May(account.Pay)
		p, err := referral.Of(c.UserContext(), tx)
		if err != nil {
			return err
		}
		v.Brings = p.On
		if v.Purse, err = credit.Of(c.UserContext(), tx, v.Account.AccountID); err == nil && v.MayEdit {
			v.Gifts, err = credit.Bought(c.UserContext(), tx, v.Account.AccountID)
		}
		return err
	})
	if err != nil {
		return v, err
	}
	v.FormKey, v.Rows, v.Open = uuid.NewString(), creditRows(v.Purse), grantLines(v.Purse.Open)
	if len(v.Purse.Balances) == 0 {
		v.Purse.Balances = []billing.Money{{Currency: v.Account.Currency}}
	}
	return v, nil
}

// showCredit handles GET /client/credit.
func (s *Site) showCredit(c *fiber.Ctx) error {
	v, err := s.readCredit(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "client", "client/credit", "Credit", v)
}

// switchCredit handles POST /client/credit/automatic.
func (s *Site) switchCredit(c *fiber.Ctx) error {
	var a account.Acting
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
		a, err = actingPayer(c, tx)
		return err
	})
	if err != nil {
		return err
	}
	byHand, says := c.FormValue("to") == "off", "Your credit pays new invoices by itself from now on."
	if byHand {
		says = "Your credit waits for you from now on: use it on the page of an invoice."
	}
	if err := credit.SpendByHand(c.UserContext(), surface.DB(c), a.AccountID, byHand, office.By(c)); err != nil {
		return err
	}
	return surface.Redirect(c, creditPath, says)
}

// topUp handles POST /client/credit/top-up and /client/credit/gifts: the amount is paid like
// an invoice, and becomes the account's credit or a gift code.
func (s *Site) topUp(gift bool) fiber.Handler {
	return func(c *fiber.Ctx) error {
		v, err := s.readCredit(c)
		if err == nil {
			err = v.Account.Must(account.Pay)
		}
		if err != nil {
			return err
		}
		if key, err := uuid.Parse(c.FormValue("key")); err == nil {
			v.FormKey = key.String()
		}
		field, typed := "amount", &v.Amount
		if gift {
			field, typed = "gift_amount", &v.Gift
		}
		*typed = table.Text(c.FormValue(field), 40)
		amount, err := billing.Parse(strings.TrimSpace(*typed), v.Account.Currency)
		if err != nil {
			err = fault.Field(field, "top_up.bad_amount", "Give an amount in "+v.Account.Currency+" such as 25.00.")
			return surface.FormError(c, err, "client", "client/credit", "Credit", v)
		}
		inv, err := invoicing.AskTopUp(c.UserContext(), surface.DB(c), invoicing.TopUp{Key: v.FormKey, AccountID: v.Account.AccountID, Amount: amount, Gift: gift}, office.By(c))
		if err != nil {
			if gift {
				err = atForm(err, "gift")
			}
			return surface.FormError(c, err, "client", "client/credit", "Credit", v)
		}
		return surface.Redirect(c, "/client/invoices/"+inv.ID.String()+"/pay?next="+url.QueryEscape(creditPath), "")
	}
}

// showGift handles POST /client/credit/gifts/:gift/show: the code can be read on this page
// and never again.
func (s *Site) showGift(c *fiber.Ctx) error {
	id, err := pathID(c, "gift", fault.New(fault.NotFound, "gift.not_found", "There is no such gift code, or it was used."))
	if err != nil {
		return err
	}
	v, err := s.readCredit(c)
	if err == nil {
		err = v.Account.Must(account.Pay)
	}
	if err != nil {
		return err
	}
	code, err := credit.Show(c.UserContext(), surface.DB(c), v.Account.AccountID, id, office.By(c))
	if err != nil {
		return err
	}
	if v, err = s.readCredit(c); err != nil { // the list says now which code this is
		return err
	}
	v.Shown = code
	c.Set(fiber.HeaderCacheControl, "no-store")
	return surface.Render(c, "client", "client/credit", "Credit", v)
}

// How often an account, and a network, may try codes an hour.
const redeemTries = 10

// redeemGift handles POST /client/credit/redeem.
func (s *Site) redeemGift(c *fiber.Ctx) error {
	v, err := s.readCredit(c)
	if err == nil {
		err = v.Account.Must(account.Pay)
	}
	if err != nil {
		return err
	}
	v.Code = table.Text(c.FormValue("code"), 60)
	if err := s.mayGuess(c, v.Account.AccountID); err != nil {
		return surface.FormError(c, err, "client", "client/credit", "Credit", v)
	}
	g, err := credit.Redeem(c.UserContext(), surface.DB(c), v.Account.AccountID, v.Code, office.By(c))
	if err != nil {
		return surface.FormError(c, err, "client", "client/credit", "Credit", v)
	}
	return surface.Redirect(c, creditPath, g.Amount.Format("en")+" are in your credit.")
}

// mayGuess counts a try at a gift code. The fault at the field code is gift.too_often.
func (s *Site) mayGuess(c *fiber.Ctx, of uuid.UUID) error {
	tenant := surface.DB(c).Tenant().ID.String()
	for what, subject := range map[string]string{"gift-account": of.String(), "gift-network": identity.Network(surface.ClientIP(c))} {
		limit := int64(redeemTries)
		if what == "gift-network" {
			limit *= 5
		}
		ok, err := s.SignIn.Throttle.Take(c.UserContext(), what, tenant+"/"+subject, limit, time.Hour)
		if err != nil {
			return err
		}
		if !ok {
			return fault.Field("code", "gift.too_often", "That was tried too often. Please wait an hour.")
		}
	}
	return nil
}

// payWithCredit handles POST /client/invoices/:invoice/credit.
func (s *Site) payWithCredit(c *fiber.Ctx) error {
	id, err := pathID(c, "invoice", errNoInvoice)
	if err != nil {
		return err
	}
	var inv invoicing.Invoice
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		if inv, err = invoicing.Get(c.UserContext(), tx, id); err != nil {
			return err
		}
		return payer(c, tx, inv.AccountID, errNoInvoice)
	})
	if err != nil {
		return err
	}
	back := "/client/invoices/" + id.String()
	next := surface.LocalPath(c.FormValue("next"), back)
	spent, err := invoicing.PayWithCredit(c.UserContext(), surface.DB(c), id, office.By(c))
	if f := fault.From(err); err != nil && f.Kind == fault.Conflict {
		return surface.RedirectFlash(c, back, surface.Flash{Kind: "bad", Text: f.Message})
	}
	if err != nil {
		return err
	}
	return surface.Redirect(c, next, spent.Format("en")+" of your credit paid invoice "+inv.Number+".")
}
