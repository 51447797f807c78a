package web

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/billing/document/facturx"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/branding"
	"github.com/ezscale/ezscale/branding/media"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// invoiceRow is an invoice in a list.
type invoiceRow struct {
	invoicing.Invoice
	Status map[string]any
	Due    billing.Money
}

// invoiceStatus says where an invoice stands, in the words of docs/components.md.
func invoiceStatus(i invoicing.Invoice, now time.Time) map[string]any {
	switch {
	case i.Kind == document.CreditNote:
		return office.Status("info", "Credited")
	case i.Overdue(now):
		m := office.Status("bad", "Overdue")
		m["Since"] = i.DueAt
		return m
	case i.State == invoicing.Open && i.Paid.Minor > 0:
		return office.Status("warn", "Partly paid")
	case i.State == invoicing.Open:
		return office.Status("warn", "Open")
	case i.State == invoicing.Void:
		return office.Status("idle", "Cancelled")
	case i.State == invoicing.Uncollectible:
		return office.Status("idle", "Given up")
	case i.Credited.Minor > 0 && i.Credited == i.Total:
		return office.Status("idle", "Credited")
	}
	return office.Status("good", "Paid")
}

func invoiceRows(found []invoicing.Invoice, now time.Time) []invoiceRow {
	rows := make([]invoiceRow, len(found))
	for i, x := range found {
		rows[i] = invoiceRow{x, invoiceStatus(x, now), x.Due()}
	}
	return rows
}

// invoiceFilter reads what a list page asks for; overdue is a state to people.
func invoiceFilter(r table.Request) invoicing.Filter {
	f := invoicing.Filter{Text: r.Text, Sort: r.Sort, Desc: r.Desc, Offset: r.Offset(), Limit: r.Limit()}
	switch state := r.Filters["state"]; state {
	case "overdue":
		f.Overdue = true
	case document.CreditNote:
		f.Kind = document.CreditNote
	default:
		f.State = invoicing.State(state)
	}
	return f
}

// sendInvoices writes a list as CSV, amounts as plain decimals.
func sendInvoices(c *fiber.Ctx, f invoicing.Filter) error {
	all, err := table.Collect(func(offset, limit int) ([]invoicing.Invoice, int, error) {
		f.Offset, f.Limit = offset, limit
		return invoicing.List(c.UserContext(), surface.DB(c), f)
	})
	if err != nil {
		return err
	}
	rows := make([][]string, len(all))
	for i, x := range all {
		rows[i] = []string{
			x.Number, x.Kind, x.AccountName, string(x.State), table.Time(x.IssuedAt), table.Time(x.DueAt), table.Time(x.PaidAt), x.Currency,
			x.Net.Decimal(), x.Tax.Decimal(), x.Total.Decimal(), x.Paid.Decimal(), x.Credited.Decimal(), x.Due().Decimal(),
		}
		if x.Kind == document.CreditNote {
			rows[i][13] = ""
		}
	}
	head := []string{"number", "kind", "customer", "state", "issued", "due", "paid at", "currency", "net", "tax", "total", "paid", "credited", "open"}
	return table.CSV(c, "invoices", head, rows)
}

// paper is a document as its page shows it.
type paper struct {
	document.Document
	From, To  []string
	Issued    string
	Due       string // empty: a credit note
	Corrected string // "INV-1 of 3 May 2026"
	Rows      []paperLine
	Sums      []paperSum
	Total     string
	FootLines []string
	Lines     string // where lines of usage open; empty: nowhere
}

type paperLine struct {
	Description, Span, Quantity, Unit, Rate, Net string
	Usage                                        int // its position, where there are events behind it
}

type paperSum struct{ Label, Amount string }

func paperOf(d document.Document) paper {
	p := paper{Document: d, From: d.Seller.Address(), To: d.Buyer.Address(), Issued: d.Day(d.IssuedAt), Total: d.Total().Format(d.Locale)}
	if d.Kind == document.Invoice {
		p.Due = d.Day(d.DueAt)
		if d.TermDays > 0 {
			p.Due += " (" + d.TermWords() + ")"
		}
	}
	if c := d.Corrects; c != nil {
		p.Corrected = c.Number + " of " + d.Day(c.IssuedAt)
	}
	for i, l := range d.Lines {
		row := paperLine{
			Description: l.Description, Span: d.Span(l), Quantity: strconv.FormatInt(l.Quantity, 10), Unit: d.Money(l.UnitMinor).Format(d.Locale),
			Rate: document.Rate(d.Taxes[l.Tax].Ppm), Net: d.Money(l.NetMinor).Format(d.Locale),
		}
		if l.MeterID != "" {
			row.Usage = i + 1
		}
		p.Rows = append(p.Rows, row)
	}
	p.Sums = append(p.Sums, paperSum{"Net", d.Net().Format(d.Locale)})
	for _, t := range d.Taxes {
		if t.Ppm > 0 || t.Note != "" {
			p.Sums = append(p.Sums, paperSum{t.Label() + " on " + d.Money(t.NetMinor).Format(d.Locale), d.Money(t.TaxMinor).Format(d.Locale)})
		}
	}
	if t := d.TaxIn; t != nil {
		p.Sums = append(p.Sums, paperSum{"Tax in " + t.Currency, t.Money().Format(d.Locale)})
	}
	if d.Footer != "" {
		p.FootLines = strings.Split(d.Footer, "\n")
	}
	return p
}

// paymentRow is a payment as pages show it.
type paymentRow struct {
	payment.Payment
	By     string // Visa •••• 4242, or the gateway
	Status map[string]any
	Left   billing.Money
}

// disputeRow is a dispute of a payment.
type disputeRow struct {
	gateway.Disputed
	Text string
	Held billing.Money // what the bank took and did not give back
	Tone string
	Off  bool // something it paid for is suspended for it
	// Credit says that it paid for credit, which does not count while the money is away.
	Credit bool
}

func disputeRows(all []payment.Payment) (rows []disputeRow) {
	for _, p := range all {
		for _, k := range p.Disputes {
			tone := "warn"
			if k.State.Closed() || k.State == gateway.UnderReview {
				tone = "info"
			}
			rows = append(rows, disputeRow{k, payment.DisputeText(p, k), billing.Money{Minor: k.WithdrawnMinor, Currency: p.Amount.Currency}, tone, p.TurnedOff, p.TopUp})
		}
	}
	return rows
}

func paymentRows(all []payment.Payment) []paymentRow {
	rows := make([]paymentRow, len(all))
	for i, p := range all {
		rows[i] = paymentRow{p, p.Method, paymentStatus(p), p.Left()}
		if rows[i].By == "" {
			rows[i].By = gatewayNames[p.Gateway]
		}
	}
	return rows
}

// gatewayNames says a gateway in words.
var gatewayNames = map[string]string{"stripe": "Card", "platform": "Card", "paypal": "PayPal", "coinbase": "USDC", "transfer": "Bank transfer", "sandbox": "Test payment"}

func paymentStatus(p payment.Payment) map[string]any {
	switch p.State {
	case gateway.Succeeded:
		if p.Refunded.Minor > 0 && p.Refunded == p.Amount {
			return office.Status("idle", "Refunded")
		}
		return office.Status("good", "Received")
	case gateway.Failed:
		return office.Status("bad", "Failed")
	case gateway.Cancelled:
		return office.Status("idle", "Cancelled")
	case gateway.RequiresAction:
		return office.Status("warn", "Waits for the customer")
	}
	return office.Status("busy", "Under way")
}

// invoiceView is the page of one invoice, for the customer or the reseller.
type invoiceView struct {
	X        invoicing.Invoice
	Paper    paper
	Status   map[string]any
	Due      billing.Money
	Notes    []invoicing.Invoice
	Payments []paymentRow
	Disputes []disputeRow
	Told     []activity.Told
	Base     string // path of the list
	MayPay   bool
	Week     renewal.Week  // how it stands to a week more
	Usable   billing.Money // of the account's credit, what could pay it
	// The reseller's:
	MayCredit bool
	MayRefund bool // a payment has something to give back
	Left      billing.Money
	// Money that went back without a credit note: it is owed again.
	Uncredited []payment.Refund
	OnTheWay   billing.Money // given back and not gone yet; part of Due already
	Form       string        // credit or refund, when one was refused
	FormKey    string        // names a form's change, so that sending it twice is one
	Refund     typed
	Credit     typed
	Payment    string
	Note       bool // a refund with a credit note
	ToCredit   bool // a refund that becomes credit

	Evidence     *invoicing.Evidence // where the buyer was; nil: none was kept
	EvidenceSays string
	EvidenceBad  bool          // its pieces do not agree
	TaxAsked     []taxAskedRow // how its rates came about, where a tax service is asked
}

// typed is what a form about an amount sent.
type typed struct{ Amount, Reason string }

func invoiceID(c *fiber.Ctx) (uuid.UUID, error) {
	id, err := uuid.Parse(c.Params("invoice"))
	if err != nil {
		return uuid.Nil, fault.New(fault.NotFound, "invoice.not_found", "There is no such invoice.")
	}
	return id, nil
}

// Press prints documents in a shop's look, for people as for programs.
type Press struct {
	Brands *branding.Desk
	Media  *media.Library // nil: no logo
}

// PDF prints a document, with its electronic form inside where it has one, and says what
// the file is called. A logo that cannot be read is left out: the invoice matters more.
func (p Press) PDF(ctx context.Context, db *tenancy.DB, d document.Document) (pdf []byte, name string, err error) {
	look, err := p.look(ctx, db)
	if err != nil {
		return nil, "", err
	}
	pdf, _, err = facturx.PDF(d, look)
	return pdf, d.FileName() + ".pdf", err
}

// look is how the shop's documents look.
func (p Press) look(ctx context.Context, db *tenancy.DB) (document.Look, error) {
	brand, err := p.Brands.Brand(ctx, db)
	if err != nil {
		return document.Look{}, err
	}
	look := document.Look{Color: brand.Tokens.Brand, Name: brand.Name}
	if parts := strings.Split(strings.TrimPrefix(brand.LogoURL, "/media/"), "/"); p.Media != nil && len(parts) == 2 {
		if f, err := p.Media.Open(ctx, db, parts[0], parts[1]); err == nil {
			look.Logo = f.Bytes
		}
	}
	return look, nil
}

// sendPDF prints a document in the shop's look.
func (s *Site) sendPDF(c *fiber.Ctx, d document.Document) error {
	b, name, err := Press{s.Brands, s.Media}.PDF(c.UserContext(), surface.DB(c), d)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, "application/pdf")
	c.Set(fiber.HeaderContentDisposition, `inline; filename="`+name+`"`)
	c.Set(fiber.HeaderCacheControl, "private, no-store")
	return c.Send(b)
}

// sendElectronic sends a document as an electronic invoice.
func sendElectronic(c *fiber.Ctx, d document.Document, syntax string) error {
	file, name, err := invoicing.Electronic(d, syntax)
	if err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, fiber.MIMEApplicationXMLCharsetUTF8)
	c.Set(fiber.HeaderContentDisposition, `attachment; filename="`+name+`"`)
	c.Set(fiber.HeaderCacheControl, "private, no-store")
	return c.Send(file)
}

// sendDocument sends a document as the file that was asked for: pdf, ubl or cii.
func (s *Site) sendDocument(c *fiber.Ctx, d document.Document, as string) error {
	if as == "pdf" {
		return s.sendPDF(c, d)
	}
	return sendElectronic(c, d, as)
}
