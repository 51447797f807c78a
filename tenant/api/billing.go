package api

import (
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

type accountBody struct {
	ID       uuid.UUID `json:"id"`
	Name     string    `json:"name"`
	Currency string    `json:"currency"`
	Role     string    `json:"role"` // of the token's maker
	Token    string    `json:"token"`
}

// getAccount handles GET /account: whom the token acts for.
func (a *API) getAccount(c call) (int, any, error) {
	b := accountBody{ID: c.caller.AccountID, Role: string(c.caller.Role), Token: c.caller.TokenName}
	err := c.db.View(c.ctx(), func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT name, currency FROM accounts WHERE id = ?", c.caller.AccountID).Scan(c.ctx(), &b.Name, &b.Currency)
	})
	return fiber.StatusOK, b, err
}

type invoice struct {
	ID       uuid.UUID  `json:"id"`
	Number   string     `json:"number"`
	Kind     string     `json:"kind"`
	State    string     `json:"state"`
	Net      amount     `json:"net"`
	Tax      amount     `json:"tax"`
	Total    amount     `json:"total"`
	Due      amount     `json:"due"` // still owed
	IssuedAt time.Time  `json:"issued_at"`
	DueAt    *time.Time `json:"due_at"`
	PaidAt   *time.Time `json:"paid_at"`
}

type fullInvoice struct {
	invoice
	Document document.Document `json:"document"` // as it was issued
}

func invoiceOf(i invoicing.Invoice) invoice {
	return invoice{
		ID: i.ID, Number: i.Number, Kind: i.Kind, State: string(i.State), Net: amountOf(i.Net), Tax: amountOf(i.Tax), Total: amountOf(i.Total),
		Due: amountOf(i.Owed()), IssuedAt: i.IssuedAt.UTC(), DueAt: moment(i.DueAt), PaidAt: moment(i.PaidAt),
	}
}

// listInvoices handles GET /invoices, the newest first.
func (a *API) listInvoices(c call) (int, any, error) {
	w, err := windowOf(c, ofInvoices)
	if err != nil {
		return 0, nil, err
	}
	f := invoicing.Filter{AccountID: c.caller.AccountID, Limit: w.limit + 1, BeforeAt: w.at, BeforeID: w.id, Uncounted: true}
	switch s := invoicing.State(c.Query("state")); s {
	case "":
	case invoicing.Open, invoicing.Paid, invoicing.Void, invoicing.Uncollectible:
		f.State = s
	default:
		return 0, nil, fault.Field("state", "api.state_invalid", "state is open, paid, void or uncollectible.")
	}
	found, _, err := invoicing.List(c.ctx(), c.db, f)
	if err != nil {
		return 0, nil, err
	}
	place := func(i invoicing.Invoice) (time.Time, uuid.UUID) { return i.IssuedAt, i.ID }
	return fiber.StatusOK, pageOf(found, w, ofInvoices, place, invoiceOf), nil
}

var errInvoice = fault.New(fault.NotFound, "invoice.not_found", "There is no such invoice.")

// own finds an invoice of the caller's account; another's is not there.
func own(c call, tx *tenancy.Tx) (invoicing.Invoice, error) {
	id, err := idOf(c, errInvoice)
	if err != nil {
		return invoicing.Invoice{}, err
	}
	inv, err := invoicing.Get(c.ctx(), tx, id)
	if err == nil && (inv.AccountID != c.caller.AccountID || inv.Kind == document.TopUp) {
		err = errInvoice
	}
	return inv, err
}

// getInvoice handles GET /invoices/{id}.
func (a *API) getInvoice(c call) (int, any, error) {
	var out fullInvoice
	err := c.db.View(c.ctx(), func(tx *tenancy.Tx) error {
		inv, err := own(c, tx)
		if err != nil {
			return err
		}
		out.invoice = invoiceOf(inv)
		out.Document, err = invoicing.Stored(c.ctx(), tx, inv.ID)
		return err
	})
	return fiber.StatusOK, out, err
}

// giveWeek handles POST /invoices/{id}/week: a week more to pay a renewal, once a period.
func (a *API) giveWeek(c call) (int, any, error) {
	id, err := idOf(c, errInvoice)
	if err != nil {
		return 0, nil, err
	}
	off, err := a.Renewal.GiveWeek(c.ctx(), c.db, id, c.caller.AccountID, c.by())
	if err != nil {
		return 0, nil, err
	}
	return fiber.StatusOK, struct {
		RunsUntil time.Time `json:"runs_until"`
	}{off.UTC()}, nil
}

// ownDocument is the document of an invoice of the caller's account.
func ownDocument(c call) (d document.Document, err error) {
	err = c.db.View(c.ctx(), func(tx *tenancy.Tx) error {
		inv, err := own(c, tx)
		if err == nil {
			d, err = invoicing.Stored(c.ctx(), tx, inv.ID)
		}
		return err
	})
	return d, err
}

// getElectronic handles GET /invoices/{id}/ubl and /invoices/{id}/cii.
func getElectronic(syntax string) func(call) (int, any, error) {
	return func(c call) (int, any, error) {
		d, err := ownDocument(c)
		if err != nil {
			return 0, nil, err
		}
		file, name, err := invoicing.Electronic(d, syntax)
		if err != nil {
			return 0, nil, err
		}
		return fiber.StatusOK, rawAnswer{contentType: fiber.MIMEApplicationXMLCharsetUTF8, fileName: name, bytes: file}, nil
	}
}

// getInvoicePDF handles GET /invoices/{id}/pdf.
func (a *API) getInvoicePDF(c call) (int, any, error) {
	d, err := ownDocument(c)
	if err != nil {
		return 0, nil, err
	}
	pdf, name, err := a.PDF(c.ctx(), c.db, d)
	if err != nil {
		return 0, nil, err
	}
	return fiber.StatusOK, rawAnswer{contentType: "application/pdf", fileName: name, bytes: pdf}, nil
}
