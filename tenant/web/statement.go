package web

import (
	"archive/zip"
	"bufio"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/billing/document/facturx"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/bookkeeping"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

func (s *Site) statementRoutes() []surface.Route {
	at := func(path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: fiber.MethodGet, Path: path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("/client/statement", identity.SignedIn, s.clientStatement),
		at("/client/statement.pdf", identity.SignedIn, s.clientStatement),
		at("/client/invoices.zip", identity.SignedIn, s.clientZIP),
		at("/manage/customers/:customer/statement", identity.SalesRead, s.customerStatement),
		at("/manage/customers/:customer/statement.pdf", identity.SalesRead, s.customerStatement),
		at("/manage/invoices.zip", identity.SalesRead, s.manageZIP),
	}
}

// statementView is a statement of an account as its page shows it.
type statementView struct {
	X                document.Statement
	Name             string
	From, To         string // first and last day
	Opening, Closing billing.Money
	Rows             []statementLine
	Back, BackWords  string
	Path, PDF, Docs  string
	Account          string // of the query; empty: it is the customer's own
}

type statementLine struct {
	document.StatementRow
	Charged, Paid, Balance billing.Money
}

// draw draws the statement of an account up for the days that are asked for.
func (v *statementView) draw(c *fiber.Ctx, tx *tenancy.Tx, id uuid.UUID, currency string) error {
	now := tx.Now()
	if c.Query("from") == "" {
		now = now.AddDate(0, -3, 0) // the month three months ago begins it
	}
	p, from, _, err := period(c, now)
	if err != nil {
		return err
	}
	if c.Query("to") == "" {
		q, _, _, err := period(c, tx.Now())
		if err != nil {
			return err
		}
		p.To = q.To
	}
	v.From, v.To = from, p.To.AddDate(0, 0, -1).Format(time.DateOnly)
	if v.X, err = bookkeeping.StatementOf(c.UserContext(), tx, id, currency, p); err != nil {
		return err
	}
	m := func(n int64) billing.Money { return billing.Money{Minor: n, Currency: v.X.Currency} }
	v.Opening, v.Closing = m(v.X.OpeningMinor), m(v.X.ClosingMinor)
	for _, r := range v.X.Rows {
		l := statementLine{StatementRow: r, Balance: m(r.BalanceMinor), Charged: m(max(r.Minor, 0)), Paid: m(max(-r.Minor, 0))}
		v.Rows = append(v.Rows, l)
	}
	return nil
}

// send answers with the page or the PDF, by the path that was asked for.
func (s *Site) sendStatement(c *fiber.Ctx, layout string, v statementView) error {
	if c.Path() != v.PDF {
		v.PDF += "?from=" + v.From + "&to=" + v.To
		if v.Account != "" {
			v.PDF += "&account=" + v.Account
		}
		return surface.Render(c, layout, layout+"/statement", "Statement of account", v)
	}
	look, err := Press{s.Brands, s.Media}.look(c.UserContext(), surface.DB(c))
	if err != nil {
		return err
	}
	b, err := document.StatementPDF(v.X, look)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "application/pdf")
	c.Set(fiber.HeaderContentDisposition, `inline; filename="statement-`+v.From+"-"+v.To+`.pdf"`)
	c.Set(fiber.HeaderCacheControl, "private, no-store")
	return c.Send(b)
}

// clientStatement handles GET /client/statement and /client/statement.pdf.
func (s *Site) clientStatement(c *fiber.Ctx) error {
	v := statementView{Back: "/client/invoices", BackWords: "Invoices", Path: "/client/statement", PDF: "/client/statement.pdf"}
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		a, err := acting(c, tx)
		if err == nil {
			err = a.Must(account.InvoicesSee)
		}
		if err != nil {
			return err
		}
		v.Name = a.Name
		return v.draw(c, tx, a.AccountID, a.Currency)
	})
	if err != nil {
		return err
	}
	return s.sendStatement(c, "client", v)
}

// customerStatement handles GET /manage/customers/:customer/statement?account= and
// .pdf.
func (s *Site) customerStatement(c *fiber.Ctx) error {
	id, err := customerID(c)
	if err != nil {
		return err
	}
	v := statementView{Path: "/manage/customers/" + id.String() + "/statement", Back: "/manage/customers/" + id.String(), BackWords: "Customer"}
	v.PDF = v.Path + ".pdf"
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		all, err := account.Of(c.UserContext(), tx, id)
		if err != nil {
			return err
		}
		for _, a := range all {
			if asked := c.Query("account"); asked == "" || a.AccountID.String() == asked {
				v.Name, v.Account = a.Name, a.AccountID.String()
				return v.draw(c, tx, a.AccountID, "")
			}
		}
		return errNoAccount()
	})
	if err != nil {
		return err
	}
	return s.sendStatement(c, "manage", v)
}

// mostFiles is how many documents one archive holds.
const mostFiles = 300

// clientZIP handles GET /client/invoices.zip?from=&to=&as=.
func (s *Site) clientZIP(c *fiber.Ctx) error {
	var f invoicing.Filter
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		a, err := acting(c, tx)
		if err == nil {
			err = a.Must(account.InvoicesSee)
		}
		f.AccountID = a.AccountID
		return err
	})
	if err != nil {
		return err
	}
	return s.sendZIP(c, f)
}

// manageZIP handles GET /manage/invoices.zip?from=&to=&as=.
func (s *Site) manageZIP(c *fiber.Ctx) error { return s.sendZIP(c, invoicing.Filter{}) }

// sendZIP streams the documents of a period as one archive: the stored documents are read
// first, and printed one after the other while they are sent.
func (s *Site) sendZIP(c *fiber.Ctx, f invoicing.Filter) error {
	as := table.Text(c.Query("as"), 4)
	if as == "" {
		as = "pdf"
	}
	if as != "pdf" && as != invoicing.UBL && as != invoicing.CII {
		return fault.Field("as", "invoice.bad_form", "Choose pdf, ubl or cii.")
	}
	var docs []document.Document
	var from, to string
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		p, first, last, err := period(c, tx.Now())
		if err != nil {
			return err
		}
		f.From, f.To, from, to = p.From, p.To, first, last
		docs, err = invoicing.StoredAll(c.UserContext(), tx, f, mostFiles)
		return err
	})
	if err != nil {
		return err
	}
	look, err := Press{s.Brands, s.Media}.look(c.UserContext(), surface.DB(c))
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "application/zip")
	c.Set(fiber.HeaderContentDisposition, `attachment; filename="invoices-`+from+"-"+to+`.zip"`)
	c.Set(fiber.HeaderCacheControl, "private, no-store")
	c.Context().SetBodyStreamWriter(func(w *bufio.Writer) {
		// What fails now ends the archive without its directory: no program opens it.
		if err := writeZIP(w, docs, as, look); err == nil {
			_ = w.Flush()
		}
	})
	return nil
}

// writeZIP writes each document as a file. One that cannot be an electronic invoice is
// named in a text beside the others.
func writeZIP(w *bufio.Writer, docs []document.Document, as string, look document.Look) error {
	z := zip.NewWriter(w)
	add := func(name string, at time.Time, body []byte) error {
		f, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: at.UTC()})
		if err == nil {
			_, err = f.Write(body)
		}
		return err
	}
	missing := ""
	for _, d := range docs {
		name, body := d.FileName()+".pdf", []byte(nil)
		var err error
		if as == "pdf" {
			body, _, err = facturx.PDF(d, look)
		} else {
			body, name, err = invoicing.Electronic(d, as)
		}
		if fault.Is(err, "invoice.not_electronic") {
			missing += d.Number + ": " + fault.From(err).Message + "\r\n"
			continue
		}
		if err == nil {
			err = add(name, d.IssuedAt, body)
		}
		if err != nil {
			return err
		}
	}
	if missing != "" {
		if err := add("not-electronic.txt", time.Time{}, []byte(missing)); err != nil {
			return err
		}
	}
	return z.Close()
}
