package web

import (
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/place"
)

// How a reseller pays: its details for invoices, the card they are charged to, and the
// page on which one is paid.

const billingPath = "/billing"

func (s *Partner) payRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", billingPath, identity.StatementRead, s.billing),
		at("POST", billingPath, identity.StatementPay, s.setBilling),
		at("POST", billingPath+"/card", identity.StatementPay, s.addCard),
		at("GET", billingPath+"/card/saved", identity.StatementPay, s.cardSaved),
		at("POST", billingPath+"/card/remove", identity.StatementPay, s.removeCard),
		at("GET", "/invoices/:invoice/pay", identity.StatementPay, s.showPay),
		at("POST", "/invoices/:invoice/pay", identity.StatementPay, s.pay),
		at("GET", "/payments/:payment", identity.StatementPay, s.paymentState),
		at("POST", "/hooks/:gateway", identity.Public, s.hook),
	}
}

// connectHook is where the gateway tells of accounts that resellers connected.
const connectHook = "connect"

// hook handles POST /hooks/:gateway: what the gateway tells of the platform's own account.
// The signature over the bytes as they came is the only proof.
func (s *Partner) hook(c *fiber.Ctx) error {
	if c.Params("gateway") == connectHook && s.Connected != nil {
		if err := s.Connected(c.UserContext(), surface.Header(c), c.Body()); err != nil {
			return err
		}
		return c.SendStatus(fiber.StatusNoContent)
	}
	if err := s.Wholesale.Receive(c.UserContext(), c.Params("gateway"), surface.Header(c), c.Body()); err != nil {
		return err
	}
	return c.SendStatus(fiber.StatusNoContent)
}

type billingView struct {
	In        document.Party // as it is, or as it was typed
	Card      wholesale.Card
	Cards     bool // cards are taken
	Script    *wholesale.FormScript
	Countries []place.Choice
}

func (s *Partner) readBilling(c *fiber.Ctx) (me wholesale.Partner, v billingView, err error) {
	if me, err = s.mine(c); err != nil {
		return me, v, err
	}
	p, err := s.Wholesale.Profile(c.UserContext(), me.ID)
	v = billingView{In: p.Party, Card: p.Card, Cards: s.Wholesale.Taker != nil, Script: s.Wholesale.FormScript(),
		Countries: append([]place.Choice{{Value: "", Label: "Choose a country"}}, place.Countries()...)}
	return me, v, err
}

func renderBilling(c *fiber.Ctx, v billingView, refused error) error {
	if v.Script != nil {
		surface.AllowOrigins(c, v.Script.Origins...)
	}
	if refused != nil {
		return surface.FormError(c, refused, "partner", "partner/billing", "Billing details", v)
	}
	return surface.Render(c, "partner", "partner/billing", "Billing details", v)
}

// billing handles GET /billing.
func (s *Partner) billing(c *fiber.Ctx) error {
	_, v, err := s.readBilling(c)
	if err != nil {
		return err
	}
	return renderBilling(c, v, nil)
}

// setBilling handles POST /billing.
func (s *Partner) setBilling(c *fiber.Ctx) error {
	me, v, err := s.readBilling(c)
	if err != nil {
		return err
	}
	for field, to := range map[string]*string{
		"company": &v.In.Company, "name": &v.In.Name, "line1": &v.In.Line1, "line2": &v.In.Line2, "postcode": &v.In.Postcode, "city": &v.In.City,
		"region": &v.In.Region, "country": &v.In.Country, "tax_id": &v.In.TaxID, "email": &v.In.Email,
	} {
		*to = table.Text(c.FormValue(field), 200)
	}
	if err := s.Wholesale.SetProfile(c.UserContext(), me.ID, v.In, office.By(c)); err != nil {
		return renderBilling(c, v, err)
	}
	return surface.Redirect(c, billingPath, "Saved. It counts for invoices to come.")
}

var errNeedsScript = fault.Field("with", "wholesale_payment.needs_script", "Entering a card needs JavaScript. Please allow it for this page.")

// addCard handles POST /billing/card: the page's script asks for a secret to confirm the
// card with.
func (s *Partner) addCard(c *fiber.Ctx) error {
	me, v, err := s.readBilling(c)
	if err != nil {
		return err
	}
	st, err := s.Wholesale.AddCard(c.UserContext(), me.ID, surface.BaseURL(c)+billingPath+"/card/saved")
	switch {
	case err != nil && surface.AsksJSON(c):
		return err
	case err != nil:
		return renderBilling(c, v, shown(err))
	case surface.AsksJSON(c):
		return c.JSON(surface.CardAnswer{State: string(st.State), ClientSecret: st.ClientSecret, Next: billingPath + "/card/saved?setup_intent=" + url.QueryEscape(st.Ref)})
	}
	return renderBilling(c, v, errNeedsScript)
}

// shown puts a gateway that does not answer onto the page with the form.
func shown(err error) error {
	if fault.Is(err, "wholesale_gateway.unavailable") {
		return fault.Wrap(err, fault.Conflict, "wholesale_gateway.unavailable", fault.From(err).Message)
	}
	return err
}

// cardSaved handles GET /billing/card/saved: where the card form and the bank lead back to.
func (s *Partner) cardSaved(c *fiber.Ctx) error {
	me, err := s.mine(c)
	if err != nil {
		return err
	}
	ref := strings.Clone(c.Query("setup_intent"))
	if ref == "" || len(ref) > 255 {
		return surface.Redirect(c, billingPath, "")
	}
	st, err := s.Wholesale.FinishCard(c.UserContext(), me.ID, ref, office.By(c))
	switch {
	case err != nil:
		return err
	case st.State == gateway.Succeeded:
		return surface.Redirect(c, billingPath, "The card is kept. Invoices are charged to it from now on.")
	case st.Decline != nil:
		return surface.RedirectFlash(c, billingPath, surface.Flash{Kind: "bad", Text: st.Decline.Text})
	}
	return surface.RedirectFlash(c, billingPath, surface.Flash{Kind: "info", Text: "The card is not kept yet."})
}

// removeCard handles POST /billing/card/remove.
func (s *Partner) removeCard(c *fiber.Ctx) error {
	me, v, err := s.readBilling(c)
	if err != nil {
		return err
	}
	if err := s.Wholesale.RemoveCard(c.UserContext(), me.ID, office.By(c)); err != nil {
		return renderBilling(c, v, shown(err))
	}
	return surface.Redirect(c, billingPath, "The card is removed.")
}

type payView struct {
	I       wholesale.InvoiceRow
	Base    string
	Overdue bool
	Card    wholesale.Card
	Script  *wholesale.FormScript
	Minor   int64  // of what is open, for the script
	Code    string // its currency in lower case, for the script
	With    string // what is chosen
	Save    bool
}

func (s *Partner) readPay(c *fiber.Ctx) (me wholesale.Partner, v payView, err error) {
	if me, err = s.mine(c); err != nil {
		return me, v, err
	}
	id, err := invoiceID(c)
	if err != nil {
		return me, v, err
	}
	inv, card, err := s.Wholesale.ToPay(c.UserContext(), me.ID, id)
	if err != nil {
		return me, v, err
	}
	v = payView{
		I: inv, Base: "/invoices/" + inv.ID.String(), Overdue: inv.Overdue(s.Central.Now()), Card: card, Script: s.Wholesale.FormScript(),
		Minor: inv.Open().Minor, Code: strings.ToLower(inv.Currency), With: table.Text(c.FormValue("with"), 20), Save: c.FormValue("save") == "on",
	}
	if v.With == "" {
		v.With = "card"
		if card.Kept() {
			v.With = "kept"
		}
	}
	return me, v, nil
}

func renderPay(c *fiber.Ctx, v payView, refused error) error {
	if v.Script != nil {
		surface.AllowOrigins(c, v.Script.Origins...)
	}
	title := "Pay invoice " + v.I.Number
	if refused != nil {
		return surface.FormError(c, refused, "partner", "partner/pay", title, v)
	}
	return surface.Render(c, "partner", "partner/pay", title, v)
}

// showPay handles GET /invoices/:invoice/pay.
func (s *Partner) showPay(c *fiber.Ctx) error {
	_, v, err := s.readPay(c)
	if err != nil {
		return err
	}
	if v.I.State != "open" || v.Minor <= 0 {
		return surface.Redirect(c, v.Base, "Nothing is owed on "+v.I.Number+".")
	}
	return renderPay(c, v, nil)
}

// pay handles POST /invoices/:invoice/pay, from the form or its script.
func (s *Partner) pay(c *fiber.Ctx) error {
	me, v, err := s.readPay(c)
	if err != nil {
		return err
	}
	if v.With != "kept" && v.With != "card" {
		return renderPay(c, v, fault.Field("with", "wholesale_payment.no_choice", "Choose how you want to pay."))
	}
	a, gp, err := s.Wholesale.Pay(c.UserContext(), me.ID, wholesale.PayRequest{
		Invoice: v.I.ID, Kept: v.With == "kept", Save: v.Save, ReturnURL: surface.BaseURL(c) + "/payments/{payment}",
	})
	switch {
	case fault.Is(err, "wholesale_payment.nothing_due"):
		return paid(c, v)
	case err != nil && surface.AsksJSON(c):
		return err
	case err != nil:
		return renderPay(c, v, shown(err))
	}
	state := "/payments/" + a.ID.String()
	if surface.AsksJSON(c) {
		return c.JSON(surface.CardAnswer{State: string(a.State), ClientSecret: gp.ClientSecret, Next: state, Message: a.DeclineText})
	}
	switch {
	case a.State == gateway.Succeeded:
		return paid(c, v)
	case a.State == gateway.Failed:
		return renderPay(c, v, fault.Field("with", "wholesale_payment.declined", a.DeclineText))
	case a.State == gateway.RequiresAction && gp.ActionURL == "":
		return renderPay(c, v, errNeedsScript)
	}
	return surface.Redirect(c, state, "")
}

// paid leads on from a page whose invoice is paid.
func paid(c *fiber.Ctx, v payView) error {
	if surface.AsksJSON(c) {
		return c.JSON(surface.CardAnswer{State: string(gateway.Succeeded), Next: v.Base})
	}
	return surface.Redirect(c, v.Base, "Thank you. Invoice "+v.I.Number+" is paid.")
}

// paymentView is a payment that is under way.
type paymentView struct {
	Payment      attempt
	ActionURL    string // where the reseller confirms it
	Instructions []gateway.Instruction
	Next, Again  string
}

type attempt struct {
	wholesale.Attempt
	Invoice string // its number
}

// paymentState handles GET /payments/:payment: where a reseller comes back to from its
// bank, and where a payment under way is looked at.
func (s *Partner) paymentState(c *fiber.Ctx) error {
	me, err := s.mine(c)
	if err != nil {
		return err
	}
	id, err := uuid.Parse(c.Params("payment"))
	if err != nil {
		return fault.New(fault.NotFound, "wholesale_payment.unknown", "There is no such payment.")
	}
	a, gp, err := s.Wholesale.Look(c.UserContext(), me.ID, id)
	if err != nil && fault.From(err).Kind != fault.Unavailable {
		return err
	}
	base := "/invoices/" + a.InvoiceID.String()
	again := base + "/pay"
	if a.TopUp() {
		base, again = balancePath, balancePath+"/top-up?amount="+url.QueryEscape(a.Amount().Decimal())
	}
	switch {
	case a.State == gateway.Succeeded && a.TopUp():
		return surface.Redirect(c, base, toppedUp(a))
	case a.State == gateway.Succeeded:
		return surface.Redirect(c, base, "Thank you. Invoice "+a.Number+" is paid.")
	case a.State == gateway.Cancelled:
		return surface.RedirectFlash(c, base, surface.Flash{Kind: "info", Text: "That payment was given up. You can begin another one."})
	case a.State == gateway.Failed, a.State == gateway.RequiresAction && err == nil && gp.ActionURL == "":
		text := a.DeclineText
		if text == "" {
			text = "The payment is not finished. Nothing was charged."
		}
		return surface.RedirectFlash(c, again, surface.Flash{Kind: "bad", Text: text})
	}
	v := paymentView{Payment: attempt{a, a.Number}, ActionURL: gp.ActionURL, Next: base, Again: again}
	return surface.Render(c, "partner", "partner/payment", "Payment", v)
}
