package web

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gofiber/fiber/v2"
	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/office"
	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/table"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// wholesaleRoutes are what the platform charges its resellers: the price book, who is on
// which terms, the runs and the invoices down to the raw events.
func (s *Console) wholesaleRoutes() []surface.Route {
	at := func(method, path string, needs identity.Permission, h fiber.Handler) surface.Route {
		return surface.Route{Method: method, Path: path, Needs: needs, Handler: h}
	}
	return append(slices.Concat(s.balanceRoutes(), s.collectionRoutes(), s.booksRoutes()), []surface.Route{
		at("GET", "/wholesale", identity.WholesaleRead, s.showRuns),
		at("GET", "/wholesale/preview", identity.WholesaleRead, s.previewRun),
		at("POST", "/wholesale/runs", identity.WholesaleWrite, s.startRun),
		at("GET", "/wholesale/audit", identity.WholesaleRead, s.showAudit),
		at("GET", "/wholesale/invoices", identity.WholesaleRead, s.listInvoices),
		at("GET", "/wholesale/invoices/:invoice", identity.WholesaleRead, s.showInvoice),
		at("GET", "/wholesale/invoices/:invoice/pdf", identity.WholesaleRead, s.invoicePDF),
		at("GET", "/wholesale/invoices/:invoice/lines/:line", identity.WholesaleRead, s.showLine),
		at("POST", "/wholesale/invoices/:invoice/lines/:line/answer", identity.WholesaleWrite, s.answerLine),
		at("GET", "/wholesale/questions", identity.WholesaleRead, s.listQuestions),
		at("GET", "/wholesale/credits/:credit/pdf", identity.WholesaleRead, s.creditPDF),
		at("POST", "/wholesale/invoices/:invoice/payments", identity.WholesaleWrite, s.takeByHand),
		at("GET", "/wholesale/prices", identity.WholesaleRead, s.showBook),
		at("POST", "/wholesale/prices", identity.WholesaleWrite, s.setPrice),
		at("POST", "/wholesale/prices/:price/end", identity.WholesaleWrite, s.endPrice),
		at("GET", "/wholesale/skus/new", identity.WholesaleWrite, s.editSKU),
		at("GET", "/wholesale/skus/:sku", identity.WholesaleWrite, s.editSKU),
		at("POST", "/wholesale/skus", identity.WholesaleWrite, s.saveSKU),
		at("GET", "/wholesale/tiers", identity.WholesaleRead, s.showTiers),
		at("POST", "/wholesale/tiers", identity.WholesaleWrite, s.setTier),
		at("GET", "/wholesale/seller", identity.WholesaleRead, s.showSeller),
		at("POST", "/wholesale/seller", identity.WholesaleWrite, s.setSeller),
		at("GET", "/resellers/:id/billing", identity.WholesaleRead, s.showTerms),
		at("POST", "/resellers/:id/terms", identity.WholesaleWrite, s.setTerms),
		at("POST", "/resellers/:id/bill-day", identity.WholesaleWrite, s.setBillDay),
		at("POST", "/resellers/:id/limit", identity.WholesaleWrite, s.setLimit),
		at("GET", "/resellers/:id/agreed", identity.WholesaleRead, s.showAgreed),
		at("POST", "/resellers/:id/prices", identity.WholesaleWrite, s.setOverride),
		at("POST", "/resellers/:id/prices/:price/end", identity.WholesaleWrite, s.endOverride),
		at("POST", "/resellers/:id/amounts", identity.WholesaleWrite, s.addLine),
		at("POST", "/resellers/:id/amounts/:line/withdraw", identity.WholesaleWrite, s.withdrawLine),
	}...)
}

// wholesaleTabs are the tabs above the pages of wholesale billing.
func wholesaleTabs(active string) []map[string]any {
	var tabs []map[string]any
	for _, t := range [][2]string{{"/wholesale", "Runs"}, {"/wholesale/invoices", "Invoices"}, {"/wholesale/questions", "Questions"}, {payoutsPath, "Payouts"}, {booksPath, "Books"}, {"/wholesale/prices", "Price book"}, {"/wholesale/tiers", "Tiers"}, {connectPath, "Connect"}, {"/wholesale/seller", "Our details"}} {
		tabs = append(tabs, map[string]any{"Href": t[0], "Label": t[1], "Active": t[0] == active})
	}
	return tabs
}

func mayBill(c *fiber.Ctx) bool {
	p, _ := surface.Principal(c)
	return p.May(identity.WholesaleWrite)
}

type runsView struct {
	Tabs    []map[string]any
	Runs    []wholesale.RunRow
	Last    wholesale.Month // the month that is over
	Current wholesale.Month
	Billed  bool // Last was billed
	May     bool
}

func (s *Console) showRuns(c *fiber.Ctx) error {
	runs, err := s.Wholesale.Runs(c.UserContext())
	if err != nil {
		return err
	}
	now := s.Central.Now()
	v := runsView{Tabs: wholesaleTabs("/wholesale"), Runs: runs, Last: wholesale.Last(now), May: mayBill(c)}
	if v.Current, err = wholesale.ParseMonth(now.UTC().Format("2006-01")); err != nil {
		return err
	}
	for _, r := range runs {
		v.Billed = v.Billed || r.Period == v.Last.Name
	}
	return surface.Render(c, "console", "console/wholesale", "Wholesale", v)
}

// previewRows is how many resellers a preview shows; the sums are of all.
const previewRows = 200

type previewView struct {
	Report wholesale.Report
	More   int // resellers that are not shown
	Over   bool
	May    bool
}

func (s *Console) previewRun(c *fiber.Ctx) error {
	m, err := wholesale.ParseMonth(c.Query("period"))
	if err != nil {
		return office.Refused(c, err, "/wholesale")
	}
	r, err := s.Wholesale.Run(c.UserContext(), m, office.By(c), true)
	if err != nil {
		return office.Refused(c, err, "/wholesale")
	}
	v := previewView{Report: r, Over: !s.Central.Now().Before(m.To), May: mayBill(c)}
	if len(r.Rows) > previewRows {
		v.More = len(r.Rows) - previewRows
		v.Report.Rows = r.Rows[:previewRows]
	}
	return surface.Render(c, "console", "console/wholesale_preview", "Preview of "+m.Name, v)
}

func (s *Console) startRun(c *fiber.Ctx) error {
	if err := s.Wholesale.Start(c.UserContext(), c.FormValue("period"), office.By(c)); err != nil {
		return office.Refused(c, err, "/wholesale")
	}
	return surface.Redirect(c, "/wholesale", "The run has started. Its invoices stand here when it is done; a large fleet takes a minute or two.")
}

type invoicesView struct {
	Tabs  []map[string]any
	List  table.Request
	Rows  []invoiceRow
	Total int
}

type invoiceRow struct {
	wholesale.InvoiceRow
	Status map[string]any
}

func invoiceStatus(r wholesale.InvoiceRow, now time.Time) map[string]any {
	switch {
	case r.State == "paid":
		return office.Status("good", "Paid")
	case r.State == "uncollectible":
		return office.Status("idle", "Given up")
	case r.TotalMinor < 0:
		return office.Status("info", "Credit")
	case r.Overdue(now):
		return office.Status("bad", "Overdue")
	}
	return office.Status("warn", "Open")
}

func (s *Console) listInvoices(c *fiber.Ctx) error {
	r := table.Read(c, "period", "state", "tenant")
	f := wholesale.InvoiceFilter{Text: r.Text, Period: r.Filters["period"], State: r.Filters["state"], Sort: r.Sort, Desc: r.Desc, Offset: r.Offset(), Limit: r.Limit()}
	f.Tenant, _ = tenancy.ParseID(r.Filters["tenant"])
	if r.CSV {
		return invoicesCSV(c, s.Wholesale, f)
	}
	rows, total, err := s.Wholesale.Invoices(c.UserContext(), f)
	if err != nil {
		return err
	}
	return surface.Render(c, "console", "console/wholesale_invoices", "Wholesale invoices", invoicesView{wholesaleTabs("/wholesale/invoices"), r, withStatus(rows, s.Central.Now()), total})
}

func withStatus(rows []wholesale.InvoiceRow, now time.Time) []invoiceRow {
	all := make([]invoiceRow, len(rows))
	for i, r := range rows {
		all[i] = invoiceRow{r, invoiceStatus(r, now)}
	}
	return all
}

func invoicesCSV(c *fiber.Ctx, d *wholesale.Desk, f wholesale.InvoiceFilter) error {
	all, err := table.Collect(func(offset, limit int) ([]wholesale.InvoiceRow, int, error) {
		f.Offset, f.Limit = offset, limit
		return d.Invoices(c.UserContext(), f)
	})
	if err != nil {
		return err
	}
	rows := make([][]string, len(all))
	for i, x := range all {
		rows[i] = []string{x.Number, x.Name, x.Period, x.State, x.Tier, x.Currency, x.Net().Decimal(), x.Tax().Decimal(), x.Total().Decimal(), x.Open().Decimal(), table.Time(x.IssuedAt), table.Time(x.DueAt), table.Time(x.PaidAt)}
	}
	return table.CSV(c, "wholesale-invoices", []string{"number", "reseller", "month", "state", "tier", "currency", "net", "tax", "total", "open", "issued", "due", "paid"}, rows)
}

// invoiceID is the invoice in the path.
func invoiceID(c *fiber.Ctx) (uuid.UUID, error) {
	id, err := uuid.Parse(c.Params("invoice"))
	if err != nil {
		return id, fault.New(fault.NotFound, "wholesale_invoice.unknown", "There is no such invoice.")
	}
	return id, nil
}

type invoiceView struct {
	I        wholesale.Invoice
	Status   map[string]any
	Base     string // path of the invoice's pages
	Staff    bool
	May      bool // take money by hand, or pay
	Key      string
	Amount   string
	Note     string
	Question string
}

// lookAtInvoice reads an invoice of anybody, or of the tenant given.
func lookAtInvoice(c *fiber.Ctx, d *wholesale.Desk, base string, of tenancy.ID) (invoiceView, error) {
	id, err := invoiceID(c)
	if err != nil {
		return invoiceView{}, err
	}
	inv, err := d.Invoice(c.UserContext(), id, of)
	if err != nil {
		return invoiceView{}, err
	}
	key, err := uuid.NewV7()
	return invoiceView{I: inv, Status: invoiceStatus(inv.InvoiceRow, d.Central.Now()), Base: base + "/" + inv.ID.String(), Key: key.String(), Amount: inv.Open().Decimal()}, err
}

func (s *Console) showInvoice(c *fiber.Ctx) error {
	v, err := lookAtInvoice(c, s.Wholesale, "/wholesale/invoices", tenancy.ID{})
	if err != nil {
		return err
	}
	v.Staff, v.May = true, mayBill(c)
	return surface.Render(c, "console", "console/wholesale_invoice", "Invoice "+v.I.Number, v)
}

func (s *Console) invoicePDF(c *fiber.Ctx) error {
	v, err := lookAtInvoice(c, s.Wholesale, "/wholesale/invoices", tenancy.ID{})
	if err != nil {
		return err
	}
	return sendPDF(c, v.I)
}

func (s *Console) takeByHand(c *fiber.Ctx) error {
	v, err := lookAtInvoice(c, s.Wholesale, "/wholesale/invoices", tenancy.ID{})
	if err != nil {
		return err
	}
	in := wholesale.ByHand{Key: table.Text(c.FormValue("key"), 100), Amount: table.Text(c.FormValue("amount"), 40), Note: table.Text(c.FormValue("note"), 200)}
	if err := s.Wholesale.TakeByHand(c.UserContext(), v.I.ID, in, office.By(c)); err != nil {
		v.Staff, v.May, v.Key, v.Amount, v.Note = true, true, in.Key, in.Amount, in.Note
		return surface.FormError(c, err, "console", "console/wholesale_invoice", "Invoice "+v.I.Number, v)
	}
	return surface.Redirect(c, v.Base, "The money is booked.")
}

type lineView struct {
	I      wholesale.InvoiceRow
	L      wholesale.Line
	Price  *billing.Rate // nil: the line has none
	Stays  []wholesale.Evidence
	Base   string // path of the invoice
	List   table.Request
	Status map[string]any
	Asked  []questionRow
	Ask    bool // the reseller may ask
	May    bool // staff may answer
	Text   string
	Amount string
}

// lookAtLine reads a line with a page of its evidence.
func lookAtLine(c *fiber.Ctx, d *wholesale.Desk, base string, of tenancy.ID) (lineView, error) {
	id, err := invoiceID(c)
	if err != nil {
		return lineView{}, err
	}
	position, err := strconv.ParseInt(c.Params("line"), 10, 32)
	if err != nil {
		return lineView{}, fault.New(fault.NotFound, "wholesale_invoice.unknown", "There is no such invoice.")
	}
	r := table.Read(c)
	inv, l, stays, err := d.Line(c.UserContext(), id, int(position), of, r.Offset(), r.Limit())
	if err != nil {
		return lineView{}, err
	}
	v := lineView{I: inv, L: l, Stays: stays, Base: base + "/" + inv.ID.String(), List: r, Status: invoiceStatus(inv, d.Central.Now())}
	for _, q := range l.Asked {
		v.Asked = append(v.Asked, questionRow{q, questionStatus(q)})
	}
	if rate, err := billing.ParseMinorRate(l.PriceMinor, inv.Currency); err == nil && l.Stays > 0 {
		v.Price = &rate
	}
	return v, nil
}

func (s *Console) showLine(c *fiber.Ctx) error {
	v, err := lookAtLine(c, s.Wholesale, "/wholesale/invoices", tenancy.ID{})
	if err != nil {
		return err
	}
	v.May = mayBill(c)
	return surface.Render(c, "console", "console/wholesale_line", "A line of "+v.I.Number, v)
}

// dayOf reads a day as a form sends it.
func dayOf(c *fiber.Ctx, field string) time.Time {
	return table.Day(strings.TrimSpace(c.FormValue(field)))
}
