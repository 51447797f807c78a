package web_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/surfacetest"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

var seeder = audit.Origin{Actor: audit.System("test")}

// billedWorld is two resellers of whom October is billed; the clock stands in November.
func billedWorld(t testing.TB, w *tenancytest.World) {
	t.Helper()
	ctx := t.Context()
	d := &wholesale.Desk{Central: w.Central}
	from := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	must(t, d.SaveSKU(ctx, wholesale.SKU{Code: "wvps-s", Type: "vps", Name: "VPS S", Kind: wholesale.Service, State: "active"}, seeder))
	must(t, d.SetPrice(ctx, wholesale.NewPrice{SKU: "wvps-s", Currency: "EUR", Price: "4.20", From: from}, seeder))
	must(t, d.SetTier(ctx, wholesale.NewTier{Tier: "pro", Currency: "EUR", Name: "Pro", Fee: "49", Percent: "12.5", From: from}, seeder))
	for _, who := range []tenancy.Tenant{w.A, w.B} {
		must(t, d.SetTerms(ctx, who.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: from}, seeder))
		must(t, w.DB(who).Update(ctx, func(tx *tenancy.Tx) error {
			_, err := tx.RecordUsage(ctx, tenancy.Usage{Key: "service/1/start", Subject: "service/1", SKU: "wvps-s", Kind: "start", Quantity: 1, At: from.Add(240 * time.Hour)})
			return err
		}))
	}
	w.Clock.Set(from.AddDate(0, 1, 1))
	m, err := wholesale.ParseMonth("2026-10")
	must(t, err)
	_, err = d.Run(ctx, m, seeder, false)
	must(t, err)
}

// invoiceOf is the path's part that names a reseller's invoice.
func invoiceOf(t testing.TB, w *tenancytest.World, who tenancy.Tenant) string {
	t.Helper()
	rows, _, err := (&wholesale.Desk{Central: w.Central}).Invoices(t.Context(), wholesale.InvoiceFilter{Tenant: who.ID})
	must(t, err)
	return rows[0].ID.String()
}

// creditOf is a credit note of a reseller, of one cent.
func creditOf(t testing.TB, w *tenancytest.World, who tenancy.Tenant) string {
	t.Helper()
	ctx, d := t.Context(), &wholesale.Desk{Central: w.Central}
	id := uuid.MustParse(invoiceOf(t, w, who))
	must(t, d.Ask(ctx, who.ID, wholesale.Question{Invoice: id, Position: 2, Text: "Why?"}, seeder))
	_, l, _, err := d.Line(ctx, id, 2, who.ID, 0, 1)
	must(t, err)
	n, err := d.Accept(ctx, wholesale.Acceptance{Question: l.Open().ID, Amount: "0.01", Text: "Sorry."}, seeder)
	must(t, err)
	return n.ID.String()
}

func TestStaffBillWholesale(t *testing.T) {
	w := tenancytest.New(t)
	billedWorld(t, w)
	h := openOver(t, w, identity.StaffBilling)
	inv := "/wholesale/invoices/" + invoiceOf(t, w, w.A)
	h.want("runs", h.get("/wholesale"), 200, "2026-10", "€102.98") // 2 × (49.00 + 2.85 - 0.36)
	h.want("a preview of the month under way", h.get("/wholesale/preview?period=2026-11"), 200, "alpha", "everything runs on", "€52.67")
	h.want("no such month", h.get("/wholesale/preview?period=x"), 303, "/wholesale")
	h.want("not over", h.post("/wholesale/runs", "period", "2026-11"), 303, "/wholesale")
	h.want("invoices", h.get("/wholesale/invoices?q=alpha"), 200, "WS-000001", "1 invoice")
	h.want("as a file", h.get("/wholesale/invoices?format=csv"), 200, "WS-000002,beta")
	h.want("one", h.get(inv), 200, "Platform fee, tier Pro", "VPS S: 0.6774 service months", "1 interval", "Book the payment")
	h.want("an audit that finds something", h.get("/wholesale/audit?period=2026-10"), 200, "Audit of 2026-10", "difference", "overbilled")
	line := regexp.MustCompile(regexp.QuoteMeta(inv) + `/lines/2`).FindString(h.get(inv).page)
	h.want("a line down to the raw event", h.get(line), 200, "service/1/start", "67.74 %", "Began, ran on")
	if pdf := h.get(inv + "/pdf"); pdf.status != 200 || !strings.HasPrefix(pdf.page, "%PDF-") {
		t.Errorf("pdf: %d %.40q", pdf.status, pdf.page)
	}
	h.want("junk for money", h.post(inv+"/payments", "key", "k", "amount", "1e3", "note", "x"), 422, "Enter an amount", `value="1e3"`)
	h.want("too much", h.post(inv+"/payments", "key", "k", "amount", "9999", "note", "x"), 422, "is owed")
	for range 2 {
		h.want("money", h.post(inv+"/payments", "key", "k1", "amount", "10.00", "note", "SEPA 17"), 303, inv)
	}
	h.want("booked once", h.get(inv), 200, "SEPA 17", "Open")
	rows, _, err := (&wholesale.Desk{Central: w.Central}).Invoices(t.Context(), wholesale.InvoiceFilter{Tenant: w.A.ID})
	must(t, err)
	if rows[0].PaidMinor != 1000 {
		t.Errorf("%d are paid", rows[0].PaidMinor)
	}
	h.want("the rest", h.post(inv+"/payments", "key", "k2", "amount", rows[0].Open().Decimal(), "note", "SEPA 18"), 303, inv)
	h.want("paid", h.get(inv), 200, "Paid")
}

func TestStaffKeepThePriceBook(t *testing.T) {
	w := tenancytest.New(t)
	billedWorld(t, w)
	h := openOver(t, w, identity.StaffAdmin)
	h.want("book", h.get("/wholesale/prices"), 200, "VPS S", "€4.20", "now")
	h.want("closed", h.post("/wholesale/prices", "sku", "wvps-s", "currency", "EUR", "price", "5", "from", "2026-10-20"), 422, "is billed", `value="2026-10-20"`)
	h.want("no price", h.post("/wholesale/prices", "sku", "wvps-s", "currency", "EUR", "price", "-5", "from", "2026-12-01"), 422, "not negative")
	h.want("set", h.post("/wholesale/prices", "sku", "wvps-s", "currency", "EUR", "price", "5.0042", "from", "2026-12-01"), 303, "/wholesale/prices")
	h.want("planned", h.get("/wholesale/prices"), 200, "€5.0042", "planned")
	h.want("sku", h.post("/wholesale/skus", "new", "on", "sku", "vps-m", "name", "VPS M", "type", "vps", "kind", "service", "spec", "{}", "position", "2", "state", "active"), 303, "/wholesale/prices")
	h.want("it has no price", h.get("/wholesale/prices"), 200, "no price: cannot be sold")
	h.want("edit", h.get("/wholesale/skus/vps-m"), 200, "VPS M")
	h.want("spec", h.post("/wholesale/skus", "sku", "vps-m", "name", "VPS M", "type", "vps", "kind", "service", "spec", "[", "position", "2", "state", "active"), 422, "object of JSON")
	h.want("tier in a month", h.post("/wholesale/tiers", "tier", "max", "name", "Max", "currency", "EUR", "fee", "99", "percent", "20", "from", "2026-12-15"), 422, "first day")
	h.want("tier", h.post("/wholesale/tiers", "tier", "max", "name", "Max", "currency", "EUR", "fee", "99", "percent", "20", "from", "2026-12-01"), 303, "/wholesale/tiers")
	h.want("tiers", h.get("/wholesale/tiers"), 200, "Max", "20 %", "€99.00")
	a := "/resellers/" + w.A.ID.String()
	h.want("terms", h.get(a+"/billing"), 200, "pro", "WS-000001")
	h.want("another currency", h.post(a+"/terms", "tier", "pro", "currency", "USD", "from", "2026-12-01"), 422, "no such tier in that currency")
	h.want("terms set", h.post(a+"/terms", "tier", "max", "currency", "EUR", "from", "2026-12-01"), 303, a+"/billing")
	h.want("seller", h.post("/wholesale/seller", "company", "EZSCALE GmbH", "country", "DE", "due_days", "14"), 303, "/wholesale/seller")
	h.want("a rate that is none", h.post("/wholesale/seller", "company", "EZSCALE GmbH", "country", "PL", "due_days", "14", "rates", "EUR PLN 4"), 422, "2026-11-02 EUR PLN 4.2731", ">EUR PLN 4<")
	h.want("seller with rates", h.post("/wholesale/seller", "company", "EZSCALE GmbH", "country", "PL", "due_days", "14", "rates", "2026-11-02 EUR PLN 4.27"), 303, "/wholesale/seller")
	h.want("its rates", h.get("/wholesale/seller"), 200, "2026-11-02 EUR PLN 4.27", "state their tax in PLN too")
	h.want("seller", h.post("/wholesale/seller", "company", "EZSCALE GmbH", "country", "DE", "due_days", "14"), 303, "/wholesale/seller")
	h.want("seller's days", h.post("/wholesale/seller", "company", "EZSCALE GmbH", "due_days", "soon"), 422, "from 0 to 120")
	reader := openOver(t, tenancytest.New(t), identity.StaffReadOnly)
	for _, path := range []string{"/wholesale/prices", "/wholesale/runs", "/wholesale/tiers", "/wholesale/skus", "/wholesale/seller"} {
		if got := reader.post(path, "period", "2026-10"); got.status != 403 {
			t.Errorf("POST %s: %d", path, got.status)
		}
	}
}

// What is agreed with one reseller, and who would sell at a loss before it is saved.
func TestStaffAgreeWithAReseller(t *testing.T) {
	w := tenancytest.New(t)
	billedWorld(t, w)
	h := openOver(t, w, identity.StaffBilling)
	began, minor := time.Date(2026, 10, 11, 0, 0, 0, 0, time.UTC), int64(499)
	must(t, w.DB(w.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		return tx.ShowService(t.Context(), tenancy.ServiceShown{ID: uuid.New(), SKU: "wvps-s", Desired: "active", Observed: "active", BeganAt: &began, ChangedAt: began,
			Retail: tenancy.Retail{Minor: &minor, Currency: "EUR", Cycle: "monthly"}})
	}))
	page := "/resellers/" + w.A.ID.String() + "/agreed"
	form := []string{"sku", "wvps-s", "price", "6.00", "from", "2026-12-01", "to", "2027-01-01", "reason", "A large order"}
	prices := "/resellers/" + w.A.ID.String() + "/prices"
	h.want("nothing yet", h.get(page), 200, "the price book holds", "Amounts by hand")
	h.want("junk", h.post(prices, "sku", "wvps-s", "price", "x", "from", "2026-12-01"), 422, "Enter an amount", "Please fill this in")
	asked := h.post(prices, form...)
	h.want("a loss is shown first", asked, 200, "Some would sell at a loss", "alpha", "€4.99", "€5.25", "€0.26", `value="A large order"`)
	if strings.Contains(h.get(page).page, "€6.00") {
		t.Error("it was saved before it was confirmed")
	}
	seen := regexp.MustCompile(`name="seen" value="([0-9a-f]+)"`).FindStringSubmatch(asked.page)
	h.want("what was seen was another", h.post(prices, append(form, "seen", "00")...), 200, "Some would sell at a loss")
	h.want("confirmed", h.post(prices, append(form, "seen", seen[1])...), 303, page)
	h.want("agreed", h.get(page), 200, "€6.00", "planned", "A large order")
	h.want("the book, the same way", h.post("/wholesale/prices", "sku", "wvps-s", "currency", "EUR", "price", "6", "from", "2026-11-10"), 200, "Some would sell at a loss", "at 6 EUR", "€0.26")
	id := regexp.MustCompile(`/prices/([0-9a-f-]{36})/end`).FindStringSubmatch(h.get(page).page)
	h.want("nobody else's", h.post("/resellers/"+w.B.ID.String()+"/prices/"+id[1]+"/end"), 404)
	h.want("taken back", h.post(prices+"/"+id[1]+"/end"), 303, page)

	amounts := "/resellers/" + w.A.ID.String() + "/amounts"
	h.want("no amount", h.post(amounts, "key", "k", "amount", "0", "why", "x"), 422, "Enter an amount", `value="x"`)
	for range 2 {
		h.want("an amount", h.post(amounts, "key", "k", "amount", "-12.00", "why", "An outage"), 303, page)
	}
	a := h.get(page)
	h.want("it waits", a, 200, "-€12.00", "An outage", "the next invoice")
	line := regexp.MustCompile(`/amounts/([0-9a-f-]{36})/withdraw`).FindAllStringSubmatch(a.page, -1)
	if len(line) != 1 {
		t.Fatalf("%d amounts", len(line))
	}
	h.want("nobody else's", h.post("/resellers/"+w.B.ID.String()+"/amounts/"+line[0][1]+"/withdraw"), 404)
	h.want("withdrawn", h.post(amounts+"/"+line[0][1]+"/withdraw"), 303, page)
	h.want("it is gone", h.get(page), 200, "withdrawn by")
	reader := openOver(t, tenancytest.New(t), identity.StaffReadOnly)
	for _, path := range []string{prices, amounts} {
		if got := reader.post(path); got.status != 403 {
			t.Errorf("POST %s: %d", path, got.status)
		}
	}
}

func TestAPartnerReadsItsStatementAndNobodyElses(t *testing.T) {
	w := tenancytest.New(t)
	billedWorld(t, w)
	h := openPartner(t, w)
	inv, theirs := "/invoices/"+invoiceOf(t, w, w.A), "/invoices/"+invoiceOf(t, w, w.B)
	h.want("overview", h.get("/"), 200, "tier pro", "WS-000001", "€51.49")
	h.want("list", h.get("/invoices"), 200, "WS-000001", "1 invoice")
	h.want("one", h.get(inv), 200, "VPS S: 0.6774 service months")
	h.want("its line", h.get(inv+"/lines/2"), 200, "service/1/start", "Question this line")
	if pdf := h.get(inv + "/pdf"); pdf.status != 200 || !strings.HasPrefix(pdf.page, "%PDF-") {
		t.Errorf("pdf: %d", pdf.status)
	}
	h.want("prices", h.get("/prices"), 200, "VPS S", "€3.675")
	h.want("an empty question", h.post(inv+"/lines/2/question", "text", " "), 422, "Please fill this in")
	for range 2 {
		h.want("a question", h.post(inv+"/lines/2/question", "text", "Why so much?"), 303, inv+"/lines/2")
	}
	var asked int
	must(t, w.Owner.QueryRow(t.Context(), "SELECT count(*) FROM central.alerts WHERE kind = 'invoice.question' AND text LIKE '%Why so much?'").Scan(&asked))
	if asked != 1 {
		t.Errorf("staff were told %d times", asked)
	}
	for _, path := range []string{theirs, theirs + "/pdf", theirs + "/lines/2", "/invoices/" + uuid.NewString(), inv + "/lines/77"} {
		h.want(path, h.get(path), 404, "no such invoice")
	}
	h.want("a question about theirs", h.post(theirs+"/lines/2/question", "text", "x"), 404, "no such invoice")
	if page := h.get("/invoices?format=csv").page; strings.Contains(page, "WS-000002") {
		t.Error("another's invoice in the file")
	}
}

// A question goes to and fro between the two surfaces and ends in a credit note that both see.
func TestALineIsQuestionedAndCredited(t *testing.T) {
	w := tenancytest.New(t)
	billedWorld(t, w)
	staff, h := openOver(t, w, identity.StaffBilling), openPartner(t, w)
	inv := "/invoices/" + invoiceOf(t, w, w.A)
	line := "/wholesale" + inv + "/lines/2"
	staff.want("none yet", staff.get("/wholesale/questions"), 200, "Nobody questions anything")
	h.want("none yet", h.get("/questions"), 200, "You have no questions")
	h.want("asked", h.post(inv+"/lines/2/question", "text", "Why so much?"), 303, inv+"/lines/2")
	staff.want("listed", staff.get("/wholesale/questions?state=open"), 200, "alpha", "Why so much?", "WS-000001")
	a := staff.get(line)
	staff.want("on its line", a, 200, "Why so much?", "Accept with a credit note")
	id := regexp.MustCompile(`name="question" value="([0-9a-f-]{36})"`).FindStringSubmatch(a.page)
	staff.want("an empty answer", staff.post(line+"/answer", "question", id[1], "do", "answer"), 422, "Please fill this in")
	staff.want("an answer", staff.post(line+"/answer", "question", id[1], "do", "answer", "text", "It ran for 21 days."), 303, line)
	h.want("both", h.get(inv+"/lines/2"), 200, "Why so much?", "It ran for 21 days.", "Say more")
	staff.want("too much", staff.post(line+"/answer", "question", id[1], "do", "accept", "amount", "99", "text", "Sorry."), 422, "At most", `value="99"`, "Sorry.")
	staff.want("no question", staff.post(line+"/answer", "question", "x", "do", "accept"), 404)
	staff.want("accepted", staff.post(line+"/answer", "question", id[1], "do", "accept", "amount", "1.00", "text", "Sorry."), 303, line)
	staff.want("once", staff.post(line+"/answer", "question", id[1], "do", "accept", "amount", "1.00", "text", "Sorry."), 303, line)
	h.want("in the list", h.get("/questions"), 200, "Accepted", "WC-000001")
	page := h.get(inv)
	h.want("on the invoice", page, 200, "Credit note WC-000001")
	credit := regexp.MustCompile(`/credits/[0-9a-f-]{36}/pdf`).FindString(page.page)
	if pdf := h.get(credit); pdf.status != 200 || !strings.HasPrefix(pdf.page, "%PDF-") {
		t.Errorf("%s: %d", credit, pdf.status)
	}
	if pdf := staff.get("/wholesale" + credit); pdf.status != 200 || !strings.HasPrefix(pdf.page, "%PDF-") {
		t.Errorf("staff, %s: %d", credit, pdf.status)
	}
	h.want("none of theirs", h.get("/credits/"+uuid.NewString()+"/pdf"), 404)
	reader := openOver(t, tenancytest.New(t), identity.StaffReadOnly)
	if got := reader.post(line+"/answer", "question", id[1]); got.status != 403 {
		t.Errorf("a reader answers: %d", got.status)
	}
}

// Nothing anybody sends to the partner centre is an error of ours.
func TestPartnerJunk(t *testing.T) {
	w := tenancytest.New(t)
	billedWorld(t, w)
	h := openPartner(t, w)
	var routes []surface.Route
	for _, r := range h.console.Routes() {
		if !strings.HasPrefix(r.Path, "/security") && !strings.HasPrefix(r.Path, "/sign-") && r.Path != "/forgot" && !strings.HasPrefix(r.Path, "/link") {
			routes = append(routes, r)
		}
	}
	junk := surfacetest.Junk{IDs: []string{invoiceOf(t, w, w.A)}, Fields: []string{"q", "sort", "dir", "page", "state", "period", "format", "for", "text", "with", "save", "setup_intent", "company", "line1", "city", "country", "tax_id", "email", "amount", "key", "warn", "auto", "payout_holder", "payout_iban", "payout_bic"}, Known: map[string]string{":line": "2"}}
	t.Logf("%d requests", junk.Try(t, h.client(), routes))
}

// Every page of the partner centre comes with few statements.
func TestPartnerPagesAskLittle(t *testing.T) {
	w, count := tenancytest.NewCounted(t)
	billedWorld(t, w)
	h := openPartner(t, w)
	known := map[string]string{":invoice": invoiceOf(t, w, w.A), ":line": "2", ":credit": creditOf(t, w, w.A), ":month": "2026-10"}
	known[":payment"] = h.bank.begin(h.A, known[":invoice"]).ID.String()
	for _, r := range h.console.Routes() {
		if r.Method != "GET" || r.Needs == identity.Public {
			continue
		}
		path := surfacetest.Fill(r.Path, known, "1")
		h.send("GET", path, url.Values{})
		var a answer
		n := count.Since(func() { a = h.get(path) })
		leads := r.Path == "/payments/:payment" || r.Path == "/billing/card/saved"
		if a.status != 200 && (!leads || a.status != 303) || n == 0 || n > 12 {
			t.Errorf("GET %s: %d with %d statements", path, a.status, n)
		}
	}
}
