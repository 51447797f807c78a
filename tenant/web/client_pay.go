package web

import (
	"net/url"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/sandbox"
	"github.com/ezscale/ezscale/billing/gateway/transfer"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/credit"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
)

func (s *Site) payRoutes() []surface.Route {
	return []surface.Route{
		{Method: fiber.MethodGet, Path: "/client/invoices/:invoice/pay", Needs: identity.SignedIn, Handler: s.showPay},
		{Method: fiber.MethodPost, Path: "/client/invoices/:invoice/pay", Needs: identity.SignedIn, Handler: s.pay},
		{Method: fiber.MethodGet, Path: "/client/payments/:payment", Needs: identity.SignedIn, Handler: s.paymentState},
	}
}

// payView is the page on which an invoice is paid.
type payView struct {
	Invoice invoicing.Invoice
	Overdue bool
	Choices payment.Choices
	Due     billing.Money // that is charged: what is owed without the credit that is used first
	Credit  billing.Money // that is used first, by itself
	Minor   int64         // of what is due, for the script
	Code    string        // its currency in lower case, for the script
	With    string        // what is chosen
	Save    bool
	Keep    bool   // where the customer is sent to another page
	Next    string // where to go when it is paid
	Declare string // what became of the last attempt; empty: nothing bad
	debitTyped
}

// pathID reads an id of a path; what is none belongs to nobody.
func pathID(c *fiber.Ctx, name string, missing error) (uuid.UUID, error) {
	id, err := uuid.Parse(c.Params(name))
	if err != nil {
		return uuid.Nil, missing
	}
	return id, nil
}

var (
	errNoInvoice = fault.New(fault.NotFound, "invoice.not_found", "There is no such invoice.")
	errNoPayment = fault.New(fault.NotFound, "payment.not_found", "There is no such payment.")
)

// payer is for which account the person pays something, when they belong to it and may.
func payer(c *fiber.Ctx, tx *tenancy.Tx, of uuid.UUID, missing error) error {
	acting, err := actingFor(c, tx, of)
	if fault.Is(err, "account.none") || err == nil && acting.AccountID != of {
		return missing
	}
	if err != nil {
		return err
	}
	return acting.Must(account.Pay)
}

// readPay reads what the page shows, in one transaction.
func (s *Site) readPay(c *fiber.Ctx) (v payView, err error) {
	id, err := pathID(c, "invoice", errNoInvoice)
	if err != nil {
		return v, err
	}
	db := surface.DB(c)
	var now time.Time
	err = db.View(c.UserContext(), func(tx *tenancy.Tx) error {
		if v.Invoice, err = invoicing.Get(c.UserContext(), tx, id); err != nil {
			return err
		}
		if err := payer(c, tx, v.Invoice.AccountID, errNoInvoice); err != nil {
			return err
		}
		now = tx.Now()
		if err := v.owes(c, tx); err != nil {
			return err
		}
		v.Choices, err = s.Payments.Choices(c.UserContext(), db, tx, v.Invoice.AccountID)
		return err
	})
	if err != nil {
		return v, err
	}
	due := v.Due
	v.Overdue, v.Minor, v.Code = v.Invoice.Overdue(now), due.Minor, strings.ToLower(due.Currency)
	v.Next = surface.LocalPath(c.FormValue("next"), "/client/invoices/"+id.String())
	v.With, v.Save, v.Keep = c.FormValue("with"), c.FormValue("save") == "on", c.FormValue("keep") == "on"
	if v.With == "" {
		v.With = v.first()
	}
	return v, nil
}

// awayKind begins the choice of a gateway with pages of its own.
const awayKind = "away"

// owes reads what is charged: credit that is spent by itself is spent first.
func (v *payView) owes(c *fiber.Ctx, tx *tenancy.Tx) error {
	v.Due, v.Credit.Currency = v.Invoice.Due(), v.Invoice.Currency
	has, byHand, err := credit.Available(c.UserContext(), tx, v.Invoice.AccountID, v.Invoice.Currency)
	if err != nil || byHand || v.Due.Minor <= 0 || v.Invoice.Kind != document.Invoice {
		return err
	}
	v.Credit.Minor = min(has.Minor, v.Due.Minor)
	v.Due.Minor -= v.Credit.Minor
	return nil
}

// first is what is chosen when nobody has chosen yet.
func (v payView) first() string {
	switch {
	case len(v.Choices.Methods) > 0:
		return "method:" + v.Choices.Methods[0].ID.String()
	case v.Choices.Script != nil:
		return "card"
	case v.Choices.Debit != nil:
		return debitKind
	case len(v.Choices.Away) > 0:
		return awayKind + ":" + v.Choices.Away[0].Code
	case v.Choices.Sandbox:
		return sandbox.Code + ":" + sandbox.Works
	}
	return transfer.Code
}

// showPay handles GET /client/invoices/:invoice/pay. Coming back to it after paying
// leads on instead of asking again.
func (s *Site) showPay(c *fiber.Ctx) error {
	v, err := s.readPay(c)
	if err != nil {
		return err
	}
	if v.Invoice.Due().Minor <= 0 {
		return surface.Redirect(c, v.Next, "Invoice "+v.Invoice.Number+" is paid. Thank you.")
	}
	return s.renderPay(c, v, nil)
}

func (s *Site) renderPay(c *fiber.Ctx, v payView, refused error) error {
	if v.Choices.Script != nil {
		surface.AllowOrigins(c, v.Choices.Script.Origins...)
	}
	title := "Pay invoice " + v.Invoice.Number
	if refused != nil {
		return surface.FormError(c, refused, "client", "client/pay", title, v)
	}
	return surface.Render(c, "client", "client/pay", title, v)
}

// pay handles POST /client/invoices/:invoice/pay, from the form or its script.
func (s *Site) pay(c *fiber.Ctx) error {
	v, err := s.readPay(c)
	if err != nil {
		return err
	}
	if v.With == debitKind && v.Choices.Debit != nil {
		if err := s.payByDebit(c, &v); err != nil {
			return s.renderPay(c, v, err)
		}
	}
	r, err := v.request(c)
	if err != nil {
		return s.renderPay(c, v, err)
	}
	p, gp, err := s.Payments.Begin(c.UserContext(), surface.DB(c), r)
	switch {
	case fault.Is(err, "payment.nothing_due"):
		return s.paid(c, v)
	case err != nil && fault.From(err).Kind == fault.Unavailable && !surface.AsksJSON(c):
		return s.renderPay(c, v, fault.Wrap(err, fault.Conflict, "gateway.unavailable", fault.From(err).Message))
	case err != nil:
		if surface.AsksJSON(c) {
			return err
		}
		return s.renderPay(c, v, err)
	}
	state := statePath(p.ID, v.Next)
	if surface.AsksJSON(c) {
		return c.JSON(surface.CardAnswer{State: string(p.State), ClientSecret: gp.ClientSecret, Next: state, Message: p.DeclineText})
	}
	switch {
	case p.State == gateway.Succeeded:
		return s.paid(c, v)
	case p.State == gateway.Failed:
		return s.renderPay(c, v, fault.Field("with", "payment.declined", p.DeclineText))
	case p.State == gateway.RequiresAction && gp.ActionURL == "":
		return s.renderPay(c, v, fault.Field("with", "payment.needs_script", "Entering a card needs JavaScript. Please allow it for this page, or choose another way to pay."))
	}
	return surface.Redirect(c, state, "")
}

// payByDebit keeps the bank account that was entered, and chooses it.
func (s *Site) payByDebit(c *fiber.Ctx, v *payView) error {
	v.typed(c)
	m, _, err := s.agree(c, v.Invoice.AccountID, v.Choices.Debit)
	if err != nil {
		return err
	}
	v.Choices.Methods = append(v.Choices.Methods, m)
	v.With = "method:" + m.ID.String()
	return nil
}

// paid leads on from a page whose invoice is paid.
func (s *Site) paid(c *fiber.Ctx, v payView) error {
	if surface.AsksJSON(c) {
		return c.JSON(surface.CardAnswer{State: string(gateway.Succeeded), Next: v.Next})
	}
	return surface.Redirect(c, v.Next, "Thank you. Invoice "+v.Invoice.Number+" is paid.")
}

func statePath(id uuid.UUID, next string) string {
	return "/client/payments/" + id.String() + "?next=" + url.QueryEscape(next)
}

var errChoice = fault.Field("with", "payment.no_choice", "Choose how you want to pay.")

// request is what the form asks for.
func (v payView) request(c *fiber.Ctx) (payment.BeginRequest, error) {
	r := payment.BeginRequest{InvoiceID: v.Invoice.ID, OnSession: true, ReturnURL: surface.BaseURL(c) + "/client/payments/{payment}?next=" + url.QueryEscape(v.Next)}
	kind, rest, _ := strings.Cut(v.With, ":")
	switch {
	case kind == "card" && v.Choices.Script != nil:
		r.Gateway, r.Save = v.Choices.Card, v.Save
		return r, nil
	case kind == transfer.Code && v.Choices.Transfer:
		r.Gateway = transfer.Code
		return r, nil
	case kind == awayKind:
		for _, a := range v.Choices.Away {
			if a.Code == rest {
				r.Gateway, r.Save = a.Code, v.Keep && a.Keeps
				return r, nil
			}
		}
	case kind == sandbox.Code && v.Choices.Sandbox && (rest == sandbox.Works || rest == sandbox.Declined):
		r.Gateway, r.Choice, r.Save = sandbox.Code, rest, v.Save
		return r, nil
	case kind == "method":
		for _, m := range v.Choices.Methods {
			if m.ID.String() == rest {
				r.Gateway, r.MethodID = m.Gateway, &m.ID
				return r, nil
			}
		}
	}
	return r, errChoice
}

// stateView is a payment that is under way.
type stateView struct {
	Payment      payment.Payment
	ActionURL    string // where the customer confirms it
	Instructions []gateway.Instruction
	Next, Again  string
	Where        string // what is called where the ActionURL leads; empty: a bank
}

// gaveUp reports whether a customer turned back at a gateway's own pages.
func gaveUp(c *fiber.Ctx) bool { return c.Query(gateway.GivenUp) != "" }

// placeOf is what the place is called where a gateway's customers pay.
func placeOf(code string) string {
	switch code {
	case paypalCode:
		return "PayPal"
	case coinbaseCode:
		return "Coinbase"
	}
	return ""
}

const turnedBack = "You came back without paying. Nothing was charged."

// paymentState handles GET /client/payments/:payment: where a customer comes back to
// from their bank, and where a payment under way is looked at.
func (s *Site) paymentState(c *fiber.Ctx) error {
	id, err := pathID(c, "payment", errNoPayment)
	if err != nil {
		return err
	}
	db := surface.DB(c)
	var p payment.Payment
	err = db.View(c.UserContext(), func(tx *tenancy.Tx) error {
		if p, err = payment.Get(c.UserContext(), tx, id); err != nil {
			return err
		}
		return payer(c, tx, p.AccountID, errNoPayment)
	})
	if err != nil {
		return err
	}
	v := stateView{Next: surface.LocalPath(c.Query("next"), "/client/invoices/"+p.InvoiceID.String())}
	v.Again = "/client/invoices/" + p.InvoiceID.String() + "/pay?next=" + url.QueryEscape(v.Next)
	var gp gateway.Payment
	if !p.State.Final() {
		p, gp, err = s.Payments.Refresh(c.UserContext(), db, id)
		if err != nil && fault.From(err).Kind != fault.Unavailable {
			return err
		}
	}
	v.Payment, v.ActionURL, v.Instructions, v.Where = p, gp.ActionURL, gp.Instructions, placeOf(p.Gateway)
	switch {
	case gaveUp(c) && p.State == gateway.RequiresAction:
		return surface.RedirectFlash(c, v.Again, surface.Flash{Kind: "info", Text: turnedBack})
	case p.State == gateway.Succeeded:
		return surface.Redirect(c, v.Next, "Thank you. Invoice "+p.Invoice+" is paid.")
	case p.State == gateway.Cancelled:
		return surface.RedirectFlash(c, v.Again, surface.Flash{Kind: "info", Text: "That payment was given up. You can begin another one."})
	case p.State == gateway.Failed, p.State == gateway.RequiresAction && err == nil && gp.ActionURL == "":
		text := p.DeclineText
		if text == "" {
			text = "The payment is not finished. Nothing was charged."
		}
		return surface.RedirectFlash(c, v.Again, surface.Flash{Kind: "bad", Text: text})
	}
	return surface.Render(c, "client", "client/payment", "Payment of invoice "+p.Invoice, v)
}
