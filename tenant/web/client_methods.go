package web

import (
	"net/url"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/sandbox"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/payment"
)

const methodsPath = "/client/payment-methods"

func (s *Site) methodRoutes() []surface.Route {
	at := func(method, path string, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: methodsPath + path, Needs: identity.SignedIn, Handler: h}
	}
	return []surface.Route{
		at("GET", "", s.listMethods),
		at("POST", "", s.addMethod),
		at("GET", "/saved", s.methodSaved),
		at("POST", "/:method/default", s.makeDefault),
		at("POST", "/:method/remove", s.removeMethod),
	}
}

// methodsView is the page of saved ways to pay.
type methodsView struct {
	Account account.Acting
	Choices payment.Choices
	MayEdit bool
	debitTyped
}

// acting is the account the customer acts for, with the right to pay for it.
func actingPayer(c *fiber.Ctx, tx *tenancy.Tx) (account.Acting, error) {
	a, err := acting(c, tx)
	if err != nil {
		return a, err
	}
	return a, a.Must(account.Pay)
}

func (s *Site) readMethods(c *fiber.Ctx) (v methodsView, err error) {
	db := surface.DB(c)
	err = db.View(c.UserContext(), func(tx *tenancy.Tx) error {
		if v.Account, err = acting(c, tx); err != nil {
			return err
		}
		if err := v.Account.Must(account.InvoicesSee); err != nil {
			return err
		}
		v.MayEdit = v.Account.May(account.Pay)
		v.Choices, err = s.Payments.Choices(c.UserContext(), db, tx, v.Account.AccountID)
		return err
	})
	return v, err
}

// listMethods handles GET /client/payment-methods.
func (s *Site) listMethods(c *fiber.Ctx) error {
	v, err := s.readMethods(c)
	if err != nil {
		return err
	}
	return renderMethods(c, v, nil)
}

func renderMethods(c *fiber.Ctx, v methodsView, refused error) error {
	if v.Choices.Script != nil && v.MayEdit {
		surface.AllowOrigins(c, v.Choices.Script.Origins...)
	}
	if refused != nil {
		return surface.FormError(c, refused, "client", "client/methods", "Payment methods", v)
	}
	return surface.Render(c, "client", "client/methods", "Payment methods", v)
}

// addMethod handles POST /client/payment-methods: the page's script asks for a secret to
// confirm the card with.
func (s *Site) addMethod(c *fiber.Ctx) error {
	v, err := s.readMethods(c)
	if err == nil {
		err = v.Account.Must(account.Pay)
	}
	if err != nil {
		return err
	}
	if c.FormValue("with") == debitKind && v.Choices.Debit != nil {
		_, charged, err := s.agree(c, v.Account.AccountID, v.Choices.Debit)
		if err != nil {
			v.typed(c)
			return renderMethods(c, v, err)
		}
		return surface.Redirect(c, methodsPath, withCharges("Your bank account is saved. We wrote to you what you agreed to.", charged))
	}
	code := v.Choices.Card
	if v.Choices.Script == nil {
		code = sandbox.Code
	}
	if kind, rest, _ := strings.Cut(c.FormValue("with"), ":"); kind == awayKind {
		code = rest // one that is not offered is not known either
	}
	st, id, charged, err := s.Payments.AddMethod(c.UserContext(), surface.DB(c), v.Account.AccountID, code, surface.BaseURL(c)+savedPath(c, payment.SetupHole))
	if err != nil {
		if surface.AsksJSON(c) {
			return err
		}
		return renderMethods(c, v, err)
	}
	if surface.AsksJSON(c) {
		return c.JSON(surface.CardAnswer{State: string(st.State), ClientSecret: st.ClientSecret, Next: methodsPath + "/saved?setup_intent=" + url.QueryEscape(st.Ref) + nextQuery(c)})
	}
	switch {
	case st.State == gateway.RequiresAction && st.ActionURL != "":
		return surface.Redirect(c, savedPath(c, id.String()), "")
	case st.State != gateway.Succeeded:
		return renderMethods(c, v, fault.Field("with", "payment.needs_script", "Entering a card needs JavaScript. Please allow it for this page, or choose another way to pay."))
	}
	return surface.Redirect(c, afterSaving(c), withCharges("The card is saved.", charged))
}

// savedPath is where the customer comes back to from the pages of a gateway that keeps a
// method.
func savedPath(c *fiber.Ctx, setup string) string {
	return methodsPath + "/saved?setup=" + setup + nextQuery(c)
}

// nextQuery keeps in an address that the customer came from the checkout.
func nextQuery(c *fiber.Ctx) string {
	if c.Query("next") == "checkout" {
		return "&next=checkout"
	}
	return ""
}

// afterSaving is where a customer goes on who has saved a method, or has not.
func afterSaving(c *fiber.Ctx) string {
	if c.Query("next") == "checkout" {
		return "/checkout"
	}
	return methodsPath
}

// goView sends a customer to the pages of a gateway.
type goView struct{ URL, Where, Back string }

// setupDone is where a customer stands who was sent away to have a method kept.
func (s *Site) setupDone(c *fiber.Ctx, of uuid.UUID) error {
	id, err := uuid.Parse(c.Query("setup"))
	if err != nil {
		return errNoMethod
	}
	st, charged, err := s.Payments.FinishSetup(c.UserContext(), surface.DB(c), of, id)
	switch {
	case err != nil:
		return err
	case st.State == gateway.Succeeded:
		return surface.Redirect(c, afterSaving(c), withCharges("It is saved.", charged))
	case st.State == gateway.RequiresAction && st.ActionURL != "" && !gaveUp(c):
		return surface.Render(c, "client", "client/go", "Payment methods", goView{st.ActionURL, "PayPal", afterSaving(c)})
	}
	return surface.RedirectFlash(c, afterSaving(c), surface.Flash{Kind: "info", Text: "You came back without agreeing. Nothing was saved."})
}

// withCharges adds to a message which invoices are charged now.
func withCharges(text string, charged []payment.Charging) string {
	return strings.TrimSpace(text + " " + payment.Words(charged))
}

// methodSaved handles GET /client/payment-methods/saved: where the card form and the
// bank lead back to.
func (s *Site) methodSaved(c *fiber.Ctx) error {
	v, err := s.readMethods(c)
	if err == nil {
		err = v.Account.Must(account.Pay)
	}
	if err != nil {
		return err
	}
	if c.Query("setup") != "" {
		return s.setupDone(c, v.Account.AccountID)
	}
	ref := c.Query("setup_intent")
	if v.Choices.Script == nil || ref == "" || len(ref) > 255 {
		return surface.Redirect(c, methodsPath, "")
	}
	st, charged, err := s.Payments.FinishMethod(c.UserContext(), surface.DB(c), v.Account.AccountID, v.Choices.Card, ref)
	switch {
	case err != nil:
		return err
	case st.State == gateway.Succeeded:
		return surface.Redirect(c, afterSaving(c), withCharges("The card is saved.", charged))
	case st.Decline != nil:
		return surface.RedirectFlash(c, afterSaving(c), surface.Flash{Kind: "bad", Text: st.Decline.Text})
	}
	return surface.RedirectFlash(c, afterSaving(c), surface.Flash{Kind: "info", Text: "The card is not saved yet."})
}

var errNoMethod = fault.New(fault.NotFound, "method.not_found", "There is no such payment method.")

// ownMethod is the method of the path and the account it must be of.
func ownMethod(c *fiber.Ctx) (of, id uuid.UUID, err error) {
	if id, err = pathID(c, "method", errNoMethod); err != nil {
		return of, id, err
	}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		a, err := actingPayer(c, tx)
		of = a.AccountID
		return err
	})
	return of, id, err
}

// makeDefault handles POST /client/payment-methods/:method/default.
func (s *Site) makeDefault(c *fiber.Ctx) error {
	of, id, err := ownMethod(c)
	var charged []payment.Charging
	if err == nil {
		charged, err = payment.MakeDefault(c.UserContext(), surface.DB(c), of, id, office.By(c))
	}
	if err != nil {
		return err
	}
	return surface.Redirect(c, methodsPath, withCharges("Invoices are collected with this from now on.", charged))
}

// removeMethod handles POST /client/payment-methods/:method/remove.
func (s *Site) removeMethod(c *fiber.Ctx) error {
	of, id, err := ownMethod(c)
	if err == nil {
		err = s.Payments.RemoveMethod(c.UserContext(), surface.DB(c), of, id, office.By(c))
	}
	if err != nil {
		return err
	}
	return surface.Redirect(c, methodsPath, "It is removed.")
}
