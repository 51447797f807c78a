package web

import (
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/renewal"
)

func (s *Site) payLinkRoutes() []surface.Route {
	at := func(method, path string, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: "/pay/:token" + path, Needs: identity.Public, Handler: h}
	}
	return []surface.Route{
		at(fiber.MethodGet, "", s.showPayLink),
		at(fiber.MethodPost, "", s.payByLink),
		at(fiber.MethodPost, "/week", s.weekByLink),
		at(fiber.MethodGet, "/payments/:payment", s.payLinkState),
	}
}

// linkPay is an invoice that is paid with a link. Its page shows the number and what is
// owed: whoever holds the link need not be the customer. Saved methods are not offered.
type linkPay struct {
	payView
	Path string
	Week renewal.Week
	from payment.Letter
}

// How often a network may try links that are none, and pay with one, an hour.
const payLinkTries = 60

// readLink says which invoice the path's link is for. The fault is pay_link.over.
func (s *Site) readLink(c *fiber.Ctx) (uuid.UUID, payment.Letter, error) {
	c.Set(fiber.HeaderCacheControl, "no-store")
	c.Set("X-Robots-Tag", "noindex, nofollow")
	of := surface.DB(c).Tenant().ID
	id, from, err := s.Links.Read(of, c.Params("token"), s.SignIn.Clock())
	if err == nil && c.Method() == fiber.MethodGet {
		return id, from, nil
	}
	ok, slow := s.SignIn.Throttle.Take(c.UserContext(), "pay-link", of.String()+"/"+identity.Network(surface.ClientIP(c)), payLinkTries, time.Hour)
	switch {
	case slow != nil:
		return id, from, slow
	case !ok:
		return id, from, fault.New(fault.TooMany, "pay_link.too_often", "That was tried too often. Please wait an hour, or sign in to see your invoices.")
	}
	return id, from, err
}

func (s *Site) readPayLink(c *fiber.Ctx) (v linkPay, err error) {
	db := surface.DB(c)
	surface.FormToken(c)
	id, from, err := s.readLink(c)
	if err != nil {
		return v, err
	}
	err = db.View(c.UserContext(), func(tx *tenancy.Tx) error {
		inv, err := invoicing.Get(c.UserContext(), tx, id)
		if fault.Is(err, "invoice.not_found") || err == nil && inv.Owed().Minor <= 0 {
			return payment.ErrLink()
		}
		if err != nil {
			return err
		}
		v.Invoice, v.from, v.Overdue = inv, from, inv.Overdue(tx.Now())
		if v.Week, err = renewal.WeekOf(c.UserContext(), tx, inv); err != nil {
			return err
		}
		if err := v.owes(c, tx); err != nil {
			return err
		}
		v.Choices, err = s.Payments.Choices(c.UserContext(), db, tx, inv.AccountID)
		return err
	})
	if err != nil {
		return v, err
	}
	v.Choices.Methods, v.Choices.Debit = nil, nil // whoever holds the link gives nobody's mandate
	v.Path = "/pay/" + c.Params("token")
	v.Minor, v.Code = v.Due.Minor, strings.ToLower(v.Invoice.Currency)
	if v.With = c.FormValue("with"); v.With == "" {
		v.With = v.first()
	}
	return v, nil
}

// showPayLink handles GET /pay/:token.
func (s *Site) showPayLink(c *fiber.Ctx) error {
	v, err := s.readPayLink(c)
	if err != nil {
		return err
	}
	return renderPayLink(c, v, nil)
}

func renderPayLink(c *fiber.Ctx, v linkPay, refused error) error {
	if v.Choices.Script != nil {
		surface.AllowOrigins(c, v.Choices.Script.Origins...)
	}
	title := "Pay invoice " + v.Invoice.Number
	if refused != nil {
		return surface.FormError(c, refused, "shop", "shop/pay", title, v)
	}
	return surface.Render(c, "shop", "shop/pay", title, v)
}

// payByLink handles POST /pay/:token, from the form or its script.
func (s *Site) payByLink(c *fiber.Ctx) error {
	v, err := s.readPayLink(c)
	if err != nil {
		return err
	}
	r, err := v.request(c)
	if err != nil {
		return renderPayLink(c, v, err)
	}
	r.Save, r.Via = false, payment.ByLink(v.from)
	r.ReturnURL = surface.BaseURL(c) + v.Path + "/payments/{payment}"
	p, gp, err := s.Payments.Begin(c.UserContext(), surface.DB(c), r)
	switch {
	case fault.Is(err, "payment.nothing_due") && v.Credit.Minor > 0:
		return surface.Redirect(c, "/", "Thank you. Invoice "+v.Invoice.Number+" is paid from credit.")
	case fault.Is(err, "payment.nothing_due"):
		return payment.ErrLink()
	case err != nil && surface.AsksJSON(c):
		return err
	case err != nil && fault.From(err).Kind == fault.Unavailable:
		return renderPayLink(c, v, fault.Wrap(err, fault.Conflict, "gateway.unavailable", fault.From(err).Message))
	case err != nil:
		return renderPayLink(c, v, err)
	}
	state := v.Path + "/payments/" + p.ID.String()
	if surface.AsksJSON(c) {
		return c.JSON(surface.CardAnswer{State: string(p.State), ClientSecret: gp.ClientSecret, Next: state, Message: p.DeclineText})
	}
	switch {
	case p.State == gateway.Failed:
		return renderPayLink(c, v, fault.Field("with", "payment.declined", p.DeclineText))
	case p.State == gateway.RequiresAction && gp.ActionURL == "":
		return renderPayLink(c, v, fault.Field("with", "payment.needs_script", "Entering a card needs JavaScript. Please allow it for this page, or choose another way to pay."))
	}
	return surface.Redirect(c, state, "")
}

// weekByLink handles POST /pay/:token/week: who holds the link may ask for more time, as
// they may pay.
func (s *Site) weekByLink(c *fiber.Ctx) error {
	v, err := s.readPayLink(c)
	if err != nil {
		return err
	}
	by := audit.Origin{Actor: audit.Actor{Kind: string(identity.Customer), ID: "pay-link", Name: "whoever holds the link in a letter"}, IP: surface.ClientIP(c), RequestID: surface.RequestID(c)}
	off, err := s.renewalDesk().GiveWeek(c.UserContext(), surface.DB(c), v.Invoice.ID, uuid.Nil, by)
	if err != nil {
		return office.Refused(c, err, v.Path)
	}
	return surface.Redirect(c, v.Path, weekWords(off))
}

// payLinkState handles GET /pay/:token/payments/:payment: how a payment of the link's
// invoice stands, and the thanks when it is made.
func (s *Site) payLinkState(c *fiber.Ctx) error {
	id, err := pathID(c, "payment", errNoPayment)
	if err != nil {
		return err
	}
	db := surface.DB(c)
	of, _, err := s.readLink(c)
	if err != nil {
		return err
	}
	var p payment.Payment
	err = db.View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
		if p, err = payment.Get(c.UserContext(), tx, id); err == nil && (p.InvoiceID != of || !p.OnSession) {
			err = errNoPayment
		}
		return err
	})
	if err != nil {
		return err
	}
	again := "/pay/" + c.Params("token")
	var gp gateway.Payment
	if !p.State.Final() {
		p, gp, err = s.Payments.Refresh(c.UserContext(), db, id)
		if err != nil && fault.From(err).Kind != fault.Unavailable {
			return err
		}
	}
	v := stateView{Payment: p, ActionURL: gp.ActionURL, Instructions: gp.Instructions, Next: "/", Again: again, Where: placeOf(p.Gateway)}
	switch {
	case gaveUp(c) && p.State == gateway.RequiresAction:
		return surface.RedirectFlash(c, again, surface.Flash{Kind: "info", Text: turnedBack})
	case p.State == gateway.Succeeded:
		return surface.Render(c, "shop", "shop/paid", "Thank you", v)
	case p.State == gateway.Cancelled, p.State == gateway.Failed, p.State == gateway.RequiresAction && err == nil && gp.ActionURL == "":
		return surface.RedirectFlash(c, again, surface.Flash{Kind: "bad", Text: "The payment was not made. Nothing was charged. " + p.DeclineText})
	}
	return surface.Render(c, "shop", "shop/payment", "Payment of invoice "+p.Invoice, v)
}
