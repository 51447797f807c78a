package web

import (
	"context"
	"time"

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
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/credit"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/renewal"
)

func (s *Site) clientInvoiceRoutes() []surface.Route {
	at := func(path string, h fiber.Handler) surface.Route {
		return surface.Route{Method: fiber.MethodGet, Path: "/client/invoices" + path, Needs: identity.SignedIn, Handler: h}
	}
	return []surface.Route{
		at("", s.clientInvoices),
		at("/:invoice.pdf", s.clientInvoiceFile("pdf")),
		at("/:invoice.ubl.xml", s.clientInvoiceFile(invoicing.UBL)),
		at("/:invoice.cii.xml", s.clientInvoiceFile(invoicing.CII)),
		at("/:invoice", s.clientInvoice),
		{Method: fiber.MethodPost, Path: "/client/invoices/:invoice/week", Needs: identity.SignedIn, Handler: s.clientWeek},
	}
}

type clientInvoicesView struct {
	List  table.Request
	Rows  []invoiceRow
	Total int
}

// clientInvoices handles GET /client/invoices.
func (s *Site) clientInvoices(c *fiber.Ctx) error {
	r := table.Read(c, "state")
	f := invoiceFilter(r)
	v := clientInvoicesView{List: r}
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		acting, err := acting(c, tx)
		if err == nil {
			err = acting.Must(account.InvoicesSee)
		}
		if err != nil || r.CSV {
			f.AccountID = acting.AccountID
			return err
		}
		f.AccountID = acting.AccountID
		found, total, err := invoicing.Listed(c.UserContext(), tx, f)
		v.Rows, v.Total = invoiceRows(found, tx.Now()), total
		return err
	})
	if err != nil {
		return err
	}
	if r.CSV {
		return sendInvoices(c, f)
	}
	return surface.Render(c, "client", "client/invoices", "Invoices", v)
}

// theirInvoice reads an invoice of an account the person belongs to and may see the
// invoices of; any other is unknown.
func theirInvoice(ctx context.Context, tx *tenancy.Tx, person, id uuid.UUID) (invoicing.Invoice, document.Document, account.Acting, error) {
	inv, acting, err := theirBill(ctx, tx, person, id)
	if err != nil {
		return inv, document.Document{}, acting, err
	}
	doc, err := invoicing.Stored(ctx, tx, id)
	return inv, doc, acting, err
}

// theirBill is theirInvoice without its document.
func theirBill(ctx context.Context, tx *tenancy.Tx, person, id uuid.UUID) (invoicing.Invoice, account.Acting, error) {
	inv, err := invoicing.Get(ctx, tx, id)
	if err != nil {
		return inv, account.Acting{}, err
	}
	acting, err := account.Current(ctx, tx, person, inv.AccountID)
	if fault.Is(err, "account.none") || err == nil && acting.AccountID != inv.AccountID {
		return invoicing.Invoice{}, acting, fault.New(fault.NotFound, "invoice.not_found", "There is no such invoice.")
	}
	if err == nil {
		err = acting.Must(account.InvoicesSee)
	}
	if err != nil {
		return invoicing.Invoice{}, acting, err
	}
	return inv, acting, nil
}

// clientInvoice handles GET /client/invoices/:invoice.
func (s *Site) clientInvoice(c *fiber.Ctx) error {
	id, err := invoiceID(c)
	if err != nil {
		return err
	}
	v := invoiceView{Base: "/client/invoices"}
	person, _ := surface.Principal(c)
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		inv, doc, acting, err := theirInvoice(c.UserContext(), tx, person.PersonID, id)
		if err != nil {
			return err
		}
		if acting.Accounts > 1 {
			surface.SetActing(c, acting.Name)
		}
		v.X, v.Paper, v.Due, v.Status = inv, paperOf(doc), inv.Due(), invoiceStatus(inv, tx.Now())
		v.Paper.Lines = v.Base + "/" + inv.ID.String() + "/lines"
		v.MayPay = inv.State == invoicing.Open && v.Due.Minor > 0 && acting.May(account.Pay)
		if v.MayPay {
			usable, _, err := credit.Available(c.UserContext(), tx, inv.AccountID, inv.Currency)
			if err != nil {
				return err
			}
			v.Usable = billing.Money{Minor: min(usable.Minor, v.Due.Minor), Currency: inv.Currency}
		}
		if inv.Credited.Minor > 0 {
			if v.Notes, err = invoicing.Notes(c.UserContext(), tx, inv); err != nil {
				return err
			}
		}
		all, err := payment.List(c.UserContext(), tx, payment.Filter{InvoiceID: inv.ID})
		if v.Payments = paymentRows(all); err != nil || !v.MayPay {
			return err
		}
		v.Week, err = renewal.WeekOf(c.UserContext(), tx, inv)
		return err
	})
	if err != nil {
		return err
	}
	return surface.Render(c, "client", "client/invoice", v.Paper.Title()+" "+v.X.Number, v)
}

// clientWeek handles POST /client/invoices/:invoice/week: a week more to pay it.
func (s *Site) clientWeek(c *fiber.Ctx) error {
	id, err := invoiceID(c)
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
	off, err := s.renewalDesk().GiveWeek(c.UserContext(), surface.DB(c), id, inv.AccountID, office.By(c))
	if err != nil {
		return office.Refused(c, err, back)
	}
	return surface.Redirect(c, back, weekWords(off))
}

func weekWords(off time.Time) string {
	return "You have a week more. It keeps running until " + off.Format("2 January 2006") + " at least."
}

// clientInvoiceFile handles GET /client/invoices/:invoice.pdf, .ubl.xml and .cii.xml.
func (s *Site) clientInvoiceFile(as string) fiber.Handler {
	return func(c *fiber.Ctx) error {
		id, err := invoiceID(c)
		if err != nil {
			return err
		}
		var doc document.Document
		person, _ := surface.Principal(c)
		err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
			_, doc, _, err = theirInvoice(c.UserContext(), tx, person.PersonID, id)
			return err
		})
		if err != nil {
			return err
		}
		return s.sendDocument(c, doc, as)
	}
}
