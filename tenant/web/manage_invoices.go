package web

import (
	"context"
	"errors"
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
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/renewal"
)

func (s *Site) manageInvoiceRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: "/manage/invoices" + path, Needs: needs, Handler: h}
	}
	return []surface.Route{
		at("GET", "", identity.SalesRead, s.manageInvoices),
		at("GET", "/:invoice.pdf", identity.SalesRead, s.manageInvoiceFile("pdf")),
		at("GET", "/:invoice.ubl.xml", identity.SalesRead, s.manageInvoiceFile(invoicing.UBL)),
		at("GET", "/:invoice.cii.xml", identity.SalesRead, s.manageInvoiceFile(invoicing.CII)),
		at("GET", "/:invoice", identity.SalesRead, s.manageInvoice),
		at("POST", "/:invoice/credit", identity.SalesWrite, s.creditInvoice),
		at("POST", "/:invoice/refund", identity.SalesWrite, s.refundInvoice),
		at("POST", "/:invoice/refunds/:refund/credit", identity.SalesWrite, s.creditRefund),
	}
}

type manageInvoicesView struct {
	List  table.Request
	Rows  []invoiceRow
	Total int
}

// manageInvoices handles GET /manage/invoices.
func (s *Site) manageInvoices(c *fiber.Ctx) error {
	r := table.Read(c, "state")
	f := invoiceFilter(r)
	if r.CSV {
		return sendInvoices(c, f)
	}
	v := manageInvoicesView{List: r}
	err := surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
		found, total, err := invoicing.Listed(c.UserContext(), tx, f)
		v.Rows, v.Total = invoiceRows(found, tx.Now()), total
		return err
	})
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/invoices", "Invoices", v)
}

// oneInvoice reads what the page of an invoice shows.
func (s *Site) oneInvoice(c *fiber.Ctx) (invoiceView, error) {
	id, err := invoiceID(c)
	if err != nil {
		return invoiceView{}, err
	}
	p, _ := surface.Principal(c)
	v := invoiceView{Base: "/manage/invoices", FormKey: uuid.NewString()}
	err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error { return v.read(c.UserContext(), tx, id) })
	// What was paid too much, or credited before, must not be credited a second time.
	v.Note = v.Due.Minor >= 0
	if !p.May(identity.SalesWrite) {
		v.MayCredit, v.MayRefund = false, false
	}
	return v, err
}

func (v *invoiceView) read(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (err error) {
	if v.X, err = invoicing.Get(ctx, tx, id); err != nil {
		return err
	}
	doc, evidence, err := invoicing.StoredWithEvidence(ctx, tx, id)
	if err != nil {
		return err
	}
	v.locate(evidence)
	v.Paper, v.Due, v.Status = paperOf(doc), v.X.Due(), invoiceStatus(v.X, tx.Now())
	v.Paper.Lines = v.Base + "/" + v.X.ID.String() + "/lines"
	v.Left = billing.Money{Minor: v.X.Total.Minor - v.X.Credited.Minor, Currency: v.X.Currency}
	v.MayCredit = v.X.Kind == document.Invoice && v.Left.Minor > 0
	if v.Week, err = renewal.WeekOf(ctx, tx, v.X); err != nil {
		return err
	}
	if v.Notes, err = invoicing.Notes(ctx, tx, v.X); err != nil {
		return err
	}
	all, err := payment.List(ctx, tx, payment.Filter{InvoiceID: id})
	if err != nil {
		return err
	}
	v.Payments, v.Disputes = paymentRows(all), disputeRows(all)
	v.MayRefund = v.X.ByCredit.Minor > 0
	refunded := false
	for _, p := range all {
		v.MayRefund = v.MayRefund || p.Left().Minor > 0
		refunded = refunded || p.Refunded.Minor > 0
	}
	switch {
	case refunded && v.Due.Minor < 0: // else it looks as if it were still to be given back
		if v.OnTheWay.Minor, err = payment.OnTheWayBack(ctx, tx, id); err != nil {
			return err
		}
		v.OnTheWay.Currency = v.X.Currency
		v.Due.Minor += v.OnTheWay.Minor
	case refunded && v.Due.Minor > 0:
		if v.Uncredited, err = payment.Uncredited(ctx, tx, id); err != nil {
			return err
		}
	}
	v.Told, err = activity.List(ctx, tx, activity.Filter{Subjects: []uuid.UUID{id}, Limit: 30})
	return err
}

// locate says in words where the buyer was.
func (v *invoiceView) locate(e *invoicing.Evidence) {
	if e == nil {
		return
	}
	country, agree, conflict := e.Judge()
	v.Evidence, v.EvidenceBad, v.TaxAsked = e, conflict, taxAskedRows(e.Tax)
	switch {
	case conflict:
		v.EvidenceSays = "The pieces do not agree."
	case agree > 1:
		v.EvidenceSays = strconv.Itoa(agree) + " pieces agree on " + place.CountryName(country) + "."
	case agree == 1:
		v.EvidenceSays = "One piece, for " + place.CountryName(country) + "."
	}
}

// manageInvoice handles GET /manage/invoices/:invoice.
func (s *Site) manageInvoice(c *fiber.Ctx) error {
	v, err := s.oneInvoice(c)
	if err != nil {
		return err
	}
	return surface.Render(c, "manage", "manage/invoice", v.Paper.Title()+" "+v.X.Number, v)
}

// manageInvoiceFile handles GET /manage/invoices/:invoice.pdf, .ubl.xml and .cii.xml.
func (s *Site) manageInvoiceFile(as string) fiber.Handler {
	return func(c *fiber.Ctx) error {
		id, err := invoiceID(c)
		if err != nil {
			return err
		}
		var doc document.Document
		err = surface.DB(c).View(c.UserContext(), func(tx *tenancy.Tx) error {
			doc, err = invoicing.Stored(c.UserContext(), tx, id)
			return err
		})
		if err != nil {
			return err
		}
		return s.sendDocument(c, doc, as)
	}
}

// creditInvoice handles POST /manage/invoices/:invoice/credit.
func (s *Site) creditInvoice(c *fiber.Ctx) error {
	v, q, err := s.readMoneyForm(c, "credit")
	v.Credit = q.typed
	if err == nil {
		var note invoicing.Invoice
		note, err = invoicing.CreditByHand(c.UserContext(), surface.DB(c), invoicing.CreditRequest{
			Key: "credit/form/" + q.key, InvoiceID: v.X.ID, Amount: q.amount, Reason: q.reason,
		}, office.By(c))
		if err == nil {
			return surface.Redirect(c, v.Base+"/"+v.X.ID.String(), "Issued the credit note "+note.Number+" over "+note.Total.Format(v.Paper.Locale)+".")
		}
	}
	return surface.FormError(c, atForm(err, v.Form), "manage", "manage/invoice", "Invoice "+v.X.Number, v)
}

// refundInvoice handles POST /manage/invoices/:invoice/refund.
func (s *Site) refundInvoice(c *fiber.Ctx) error {
	v, q, err := s.readMoneyForm(c, "refund")
	v.Refund = q.typed
	if err == nil {
		v.Payment, v.Note, v.ToCredit = table.Text(c.FormValue("payment"), 40), c.FormValue("credit_note") != "", c.FormValue("to") == "credit"
		err = v.refund(c, s.Payments, q)
		if err == nil {
			return surface.Redirect(c, v.Base+"/"+v.X.ID.String(), v.refunded(q.amount))
		}
	}
	return surface.FormError(c, atForm(err, v.Form), "manage", "manage/invoice", "Invoice "+v.X.Number, v)
}

// creditRefund handles POST /manage/invoices/:invoice/refunds/:refund/credit.
func (s *Site) creditRefund(c *fiber.Ctx) error {
	id, err := invoiceID(c)
	if err != nil {
		return err
	}
	refund, err := uuid.Parse(c.Params("refund"))
	if err != nil {
		return fault.New(fault.NotFound, "refund.not_found", "There is no such refund.")
	}
	note, err := payment.CreditRefund(c.UserContext(), surface.DB(c), id, refund, table.Text(c.FormValue("reason"), 300), office.By(c))
	if err != nil {
		return err
	}
	return surface.Redirect(c, "/manage/invoices/"+id.String(), "Issued the credit note "+note.Number+" over "+note.Total.Format("en")+".")
}

func (v *invoiceView) refund(c *fiber.Ctx, desk *payment.Desk, q moneyForm) error {
	if q.amount == (billing.Money{}) {
		return fault.Field("amount", "invoice.bad_form", "Give the amount to give back.")
	}
	if v.Payment == byCredit && v.X.ByCredit.Minor > 0 {
		r := payment.RefundRequest{Key: q.key, Amount: q.amount, Reason: q.reason, CreditNote: v.Note}
		return payment.ReturnCredit(c.UserContext(), surface.DB(c), v.X.ID, r, office.By(c))
	}
	for _, p := range v.Payments {
		if p.ID.String() == v.Payment {
			_, err := desk.GiveBack(c.UserContext(), surface.DB(c), payment.RefundRequest{
				Key: "form/" + q.key, PaymentID: p.ID, Amount: q.amount, Reason: q.reason, CreditNote: v.Note, ToCredit: v.ToCredit,
			}, office.By(c))
			return err
		}
	}
	return fault.Field("payment", "invoice.bad_form", "Choose one of the payments.")
}

// byCredit is the payment of a refund form that was credit, and goes back to it.
const byCredit = "credit"

func (v *invoiceView) refunded(amount billing.Money) string {
	if v.ToCredit || v.Payment == byCredit {
		return amount.Format(v.Paper.Locale) + " went to the customer's credit."
	}
	return amount.Format(v.Paper.Locale) + " are being given back."
}

// moneyForm is what the forms about an amount send.
type moneyForm struct {
	typed
	key    string
	amount billing.Money // zero: left empty
	reason string
}

// readMoneyForm reads the invoice and one of the forms about it, whose name its fields
// begin with.
func (s *Site) readMoneyForm(c *fiber.Ctx, form string) (invoiceView, moneyForm, error) {
	v, err := s.oneInvoice(c)
	if err != nil {
		return v, moneyForm{}, err
	}
	key, err := uuid.Parse(c.FormValue("key"))
	if err != nil {
		key = uuid.New()
	}
	q := moneyForm{key: v.X.ID.String() + "/" + key.String(), reason: table.Text(c.FormValue(form+"_reason"), 300)}
	q.typed = typed{Amount: table.Text(c.FormValue(form+"_amount"), 60), Reason: q.reason}
	v.FormKey, v.Form = key.String(), form
	if q.Amount == "" {
		return v, q, nil
	}
	q.amount, err = billing.Parse(q.Amount, v.X.Currency)
	switch {
	case errors.Is(err, billing.ErrOverflow):
		err = fault.Field("amount", "invoice.bad_form", "This is more than any invoice comes to.")
	case err != nil && strings.Contains(q.Amount, ","):
		err = fault.Field("amount", "invoice.bad_form", "Write the amount with a point and without grouping, such as 12.50.")
	case err != nil:
		err = fault.Field("amount", "invoice.bad_form", "Give an amount in "+v.X.Currency+" such as 12.50.")
	case q.amount.Minor <= 0:
		err = fault.Field("amount", "invoice.bad_form", "Give an amount of more than nothing.")
	}
	return v, q, err
}

// atForm puts what is wrong with an amount to the field of the form that was sent.
func atForm(err error, form string) error {
	f := fault.From(err)
	message, ok := f.Fields["amount"]
	if !ok {
		return err
	}
	at := *f
	at.Fields = map[string]string{form + "_amount": message}
	return &at
}
