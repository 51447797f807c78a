package web

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/place"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/settings"
)

// Invoices that the team writes by hand, until they are issued.

const draftsPath = "/manage/invoice-drafts"

func (s *Site) draftRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: draftsPath + path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", "", identity.SalesRead, s.showDrafts),
		at("GET", "/new", identity.SalesWrite, s.newDraft),
		at("GET", "/:draft/pro-forma.pdf", identity.SalesRead, s.draftPDF),
		at("GET", "/:draft", identity.SalesRead, s.showInvoiceDraft),
		at("POST", "", identity.SalesWrite, s.saveDraft),
		at("POST", "/:draft/issue", identity.SalesWrite, s.issueDraft),
		at("POST", "/:draft/drop", identity.SalesWrite, s.dropDraft),
	}
}

type draftsView struct {
	Rows   []draftRow
	MayAdd bool
}

type draftRow struct {
	invoicing.Sheet
	Says string
}

// showDrafts handles GET /manage/invoice-drafts.
func (s *Site) showDrafts(c *fiber.Ctx) error {
	p, _ := surface.Principal(c)
	v := draftsView{MayAdd: p.May(identity.SalesWrite)}
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		all, err := invoicing.Sheets(c.UserContext(), tx)
		for _, x := range all {
			v.Rows = append(v.Rows, draftRow{x, x.Lines[0].Text})
		}
		return err
	})
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/invoice-drafts", "Drafts of invoices", v)
}

// draftView is one draft, as it is or as it was typed.
type draftView struct {
	Form     invoicing.SheetForm
	Customer string
	Classes  []place.Choice
	WithTax  bool   // prices hold tax
	Saved    bool   // it is kept
	Paper    *paper // what it comes to; nil: not kept yet
	MayEdit  bool
}

func (s *Site) draftView(c *fiber.Ctx, tx *tenancy.Tx, f invoicing.SheetForm) (draftView, error) {
	who, err := account.ForInvoice(c.UserContext(), tx, f.AccountID)
	if err != nil {
		return draftView{}, err
	}
	b, err := settings.BillingOf(c.UserContext(), tx)
	if err != nil {
		return draftView{}, err
	}
	f.Currency = who.Currency
	if f.TermDays == "" {
		f.TermDays = strconv.Itoa(cmp.Or(who.TermDays, b.TermDays))
	}
	for n := len(f.Lines) + 3; len(f.Lines) < min(n, invoicing.MostSheetLines); {
		f.Lines = append(f.Lines, invoicing.SheetFormLine{Class: billing.Standard})
	}
	p, _ := surface.Principal(c)
	return draftView{Form: f, Customer: who.Account, Classes: taxClasses(), WithTax: b.PricesInclude, MayEdit: p.May(identity.SalesWrite)}, nil
}

// newDraft handles GET /manage/invoice-drafts/new?account=.
func (s *Site) newDraft(c *fiber.Ctx) error {
	id, err := uuid.Parse(c.Query("account"))
	if err != nil {
		return surface.RedirectFlash(c, "/manage/customers", surface.Flash{Kind: "info", Text: "Choose the customer whom you want to write an invoice."})
	}
	var v draftView
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
		v, err = s.draftView(c, tx, invoicing.SheetForm{ID: uuid.New(), AccountID: id})
		return err
	})
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/invoice-draft", "New invoice", v)
}

func draftID(c *fiber.Ctx) (uuid.UUID, error) {
	id, err := uuid.Parse(c.Params("draft"))
	if err != nil {
		return uuid.Nil, fault.New(fault.NotFound, "invoice_draft.not_found", "There is no such draft.")
	}
	return id, nil
}

// readDraft reads a draft and what it comes to now.
func readDraft(c *fiber.Ctx, tx *tenancy.Tx) (x invoicing.Sheet, doc document.Document, err error) {
	id, err := draftID(c)
	if err != nil {
		return x, doc, err
	}
	if x, err = invoicing.SheetOf(c.UserContext(), tx, id); err != nil || x.InvoiceID != uuid.Nil {
		return x, doc, err
	}
	doc, err = invoicing.SheetProForma(c.UserContext(), tx, surface.DB(c), x)
	return x, doc, err
}

// showInvoiceDraft handles GET /manage/invoice-drafts/:draft; of one that was issued it leads to
// the invoice.
func (s *Site) showInvoiceDraft(c *fiber.Ctx) error {
	var v draftView
	var x invoicing.Sheet
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		var doc document.Document
		var err error
		if x, doc, err = readDraft(c, tx); err != nil || x.InvoiceID != uuid.Nil {
			return err
		}
		f := invoicing.SheetForm{ID: x.ID, AccountID: x.AccountID, From: x.From, To: x.To, TermDays: strconv.Itoa(x.TermDays)}
		for _, l := range x.Lines {
			f.Lines = append(f.Lines, invoicing.SheetFormLine{Text: l.Text, Quantity: strconv.FormatInt(l.Quantity, 10), Unit: billing.Money{Minor: l.UnitMinor, Currency: x.Currency}.Decimal(), Class: l.Class})
		}
		if v, err = s.draftView(c, tx, f); err != nil {
			return err
		}
		paper := paperOf(doc)
		v.Saved, v.Paper = true, &paper
		return nil
	})
	switch {
	case err != nil:
		return err
	case x.InvoiceID != uuid.Nil:
		return surface.Redirect(c, "/manage/invoices/"+x.InvoiceID.String(), "")
	}
	return surface.Render(c, "manage", "manage/invoice-draft", "Draft of an invoice", v)
}

// draftPDF handles GET /manage/invoice-drafts/:draft/pro-forma.pdf: the pro-forma invoice.
func (s *Site) draftPDF(c *fiber.Ctx) error {
	var doc document.Document
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		x, d, err := readDraft(c, tx)
		if err == nil && x.InvoiceID != uuid.Nil {
			return fault.New(fault.Conflict, "invoice_draft.issued", "This draft was issued. Look at its invoice.")
		}
		doc = d
		return err
	})
	if err != nil {
		return err
	}
	return s.sendPDF(c, doc)
}

// saveDraft handles POST /manage/invoice-drafts.
func (s *Site) saveDraft(c *fiber.Ctx) error {
	f := invoicing.SheetForm{From: table.Text(c.FormValue("from"), 20), To: table.Text(c.FormValue("to"), 20), TermDays: table.Text(c.FormValue("term_days"), 10)}
	var err error
	if f.ID, err = uuid.Parse(c.FormValue("id")); err != nil {
		f.ID = uuid.New()
	}
	if f.AccountID, err = uuid.Parse(c.FormValue("account")); err != nil {
		return fault.New(fault.NotFound, "account.not_found", "There is no such account.")
	}
	for i := range invoicing.MostSheetLines {
		at := "." + strconv.Itoa(i)
		l := invoicing.SheetFormLine{Text: table.Text(c.FormValue("text"+at), 400), Quantity: table.Text(c.FormValue("quantity"+at), 20), Unit: table.Text(c.FormValue("unit"+at), 40), Class: table.Text(c.FormValue("class"+at), 20)}
		if strings.TrimSpace(l.Text+l.Unit) != "" {
			f.Lines = append(f.Lines, l)
		}
	}
	var v draftView
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) (err error) {
		v, err = s.draftView(c, tx, f)
		return err
	})
	if err != nil {
		return err
	}
	f.Currency = v.Form.Currency
	if err := invoicing.SaveSheet(c.UserContext(), surface.DB(c), f, office.By(c)); err != nil {
		return surface.FormError(c, err, "manage", "manage/invoice-draft", "Draft of an invoice", v)
	}
	return surface.Redirect(c, draftsPath+"/"+f.ID.String(), "Saved. Nothing is issued yet.")
}

// issueDraft handles POST /manage/invoice-drafts/:draft/issue.
func (s *Site) issueDraft(c *fiber.Ctx) error {
	id, err := draftID(c)
	if err != nil {
		return err
	}
	inv, err := invoicing.IssueSheet(c.UserContext(), surface.DB(c), id, office.By(c))
	if err != nil {
		return err
	}
	return surface.Redirect(c, "/manage/invoices/"+inv.ID.String(), "Issued "+inv.Number+". The customer is written to.")
}

// dropDraft handles POST /manage/invoice-drafts/:draft/drop.
func (s *Site) dropDraft(c *fiber.Ctx) error {
	id, err := draftID(c)
	if err != nil {
		return err
	}
	if err := invoicing.DropSheet(c.UserContext(), surface.DB(c), id, office.By(c)); err != nil {
		return err
	}
	return surface.Redirect(c, draftsPath, "Thrown away.")
}
