package web_test

import (
	"bytes"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/surface/surfacetest"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// sell gives the account of a tenant's customer an open invoice over 23.80 euros.
func (e *estate) sell(t testing.TB, of tenancy.Tenant, things map[string]string, buyer identity.Person) {
	t.Helper()
	ctx, account := t.Context(), uuid.Nil
	must(t, e.DB(of).Update(ctx, func(tx *tenancy.Tx) error {
		if err := tx.NewRaw("SELECT account_id FROM memberships WHERE person_id = ?", buyer.ID).Scan(ctx, &account); err != nil {
			return err
		}
		inv, err := invoicing.Issue(ctx, tx, invoicing.Draft{Key: "order/1", AccountID: account, Currency: "EUR", Lines: []billing.Line{
			{Kind: "plan", Description: "Cloud VPS <b>Drift</b>", Quantity: 2, Unit: billing.Money{Minor: 1190, Currency: "EUR"}},
		}})
		things[":account"], things[":invoice"] = account.String(), inv.ID.String()
		for _, file := range []string{".pdf", ".ubl.xml", ".cii.xml"} {
			things[":invoice"+file] = inv.ID.String() + file
		}
		return err
	}))
}

// receive books a payment of the whole invoice by card.
func (e *estate) receive(t testing.TB, of tenancy.Tenant, invoice uuid.UUID, minor int64) uuid.UUID {
	t.Helper()
	ctx, id := t.Context(), uuid.Must(uuid.NewV7())
	must(t, e.DB(of).Update(ctx, func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO gateways (code, state, public_settings, check_error, position, changed_at) VALUES ('transfer', 'on', '{}', '', 1, ?) ON CONFLICT DO NOTHING`, tx.Now()).Exec(ctx)
		if err != nil {
			return err
		}
		_, err = tx.NewRaw(`INSERT INTO payments (id, key, invoice_id, account_id, gateway, currency, amount_minor, refunded_minor, state, decline_code, decline_text, on_session, created_at, settled_at, changed_at)
			VALUES (?, ?, ?, ?, 'transfer', 'EUR', ?, 0, 'succeeded', '', '', true, ?, ?, ?)`, id, id.String(), invoice, e.things[of.ID][":account"], minor, tx.Now(), tx.Now(), tx.Now()).Exec(ctx)
		if err != nil {
			return err
		}
		return invoicing.Applied(ctx, tx, invoicing.Application{InvoiceID: invoice, PaymentID: id, Gateway: "transfer", Amount: billing.Money{Minor: minor, Currency: "EUR"}})
	}))
	return id
}

func TestCustomersSeeTheirInvoices(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	id := e.things[e.A.ID][":invoice"]
	c := e.as(t, e.A, identity.CustomerMember)
	for path, says := range map[string]string{
		"/client/invoices":                    "INV-2026-00001",
		"/client/invoices?state=overdue":      "Nothing fits",
		"/client/invoices?format=csv":         "INV-2026-00001,invoice,Buyer & Co,open,",
		"/client/invoices/" + id:              "Cloud VPS <b>Drift</b>", /* the answer is unescaped */
		"/manage/invoices?q=buyer":            "INV-2026-00001",
		"/manage/invoices?format=csv":         ",EUR,23.80,0.00,23.80,0.00,0.00,23.80",
		"/manage/invoices/" + id:              "Credit without paying back",
		"/manage/settings/billing":            "Your details are not complete.",
		"/manage/invoices?state=zz%00&page=z": "Nothing fits",
	} {
		who := c
		if strings.HasPrefix(path, "/manage") {
			who = e.as(t, e.A, identity.ResellerOwner)
		}
		if a := who.Send(t, "GET", path, nil); a.Status != 200 || !strings.Contains(a.Page, says) {
			t.Errorf("%s: %d without %q:\n%s", path, a.Status, says, a.Page)
		}
	}
	if a := c.Send(t, "GET", "/client/invoices/"+id+".pdf", nil); a.Status != 200 || !bytes.HasPrefix([]byte(a.Page), []byte("%PDF-")) {
		t.Errorf("the PDF: %d", a.Status)
	}
	// The shop has not said who it is: an electronic invoice would name nobody.
	if a := c.Send(t, "GET", "/client/invoices/"+id+".ubl.xml", nil); a.Status != 409 || !strings.Contains(a.Page, "the seller's country") {
		t.Errorf("an electronic invoice of nobody: %d\n%s", a.Status, a.Page)
	}
	// A technical contact sees no invoices; who is in no account, nothing.
	member := e.people[e.A.ID][identity.CustomerMember]
	set := func(q string) {
		must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error { _, err := tx.NewRaw(q, member.ID).Exec(t.Context()); return err }))
	}
	set("UPDATE memberships SET role = 'technical' WHERE person_id = ?")
	for _, path := range []string{"/client/invoices", "/client/invoices?format=csv", "/client/invoices/" + id, "/client/invoices/" + id + ".pdf", "/client/invoices/" + id + ".ubl.xml", "/client/invoices/" + id + ".cii.xml"} {
		if a := c.Send(t, "GET", path, nil); a.Status != 403 {
			t.Errorf("a technical contact, %s: %d", path, a.Status)
		}
	}
	set("DELETE FROM memberships WHERE person_id = ?")
	for _, path := range []string{"/client/invoices/" + id, "/client/invoices/" + id + ".pdf", "/client/invoices/" + id + ".ubl.xml", "/client/invoices/" + id + ".cii.xml"} {
		if a := c.Send(t, "GET", path, nil); a.Status != 404 {
			t.Errorf("who is in no account, %s: %d", path, a.Status)
		}
	}
}

func TestTheTeamCreditsAndGivesBack(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	id := uuid.MustParse(e.things[e.A.ID][":invoice"])
	pay := e.receive(t, e.A, id, 2380)
	at := "/manage/invoices/" + id.String()
	c := e.as(t, e.A, identity.ResellerOwner)
	for amount, says := range map[string]string{
		"-1": "Give an amount of more than nothing.", "0": "Give an amount of more than nothing.", "1e3": "Give an amount in EUR such as 12.50.",
		"1,50": "with a point and without grouping", "1.999": "Give an amount in EUR", "99999999999999999999": "more than any invoice", "23.81": "left to credit",
		"+5": "Give an amount in EUR", "0x10": "Give an amount in EUR", "１２": "Give an amount in EUR",
	} {
		a := c.Send(t, "POST", at+"/credit", url.Values{"credit_amount": {amount}, "key": {uuid.NewString()}})
		if a.Status != 422 || !strings.Contains(a.Page, says) || !strings.Contains(a.Page, `id="credit_amount-error"`) {
			t.Errorf("credit %q: %d without %q", amount, a.Status, says)
		}
	}
	for name, form := range map[string]url.Values{
		"no amount":       {"payment": {pay.String()}},
		"too much":        {"payment": {pay.String()}, "refund_amount": {"23.81"}},
		"no payment":      {"refund_amount": {"1.00"}},
		"another payment": {"refund_amount": {"1.00"}, "payment": {uuid.NewString()}},
	} {
		if a := c.Send(t, "POST", at+"/refund", form); a.Status != 422 {
			t.Errorf("refund, %s: %d", name, a.Status)
		}
	}
	if a := c.Send(t, "GET", at, nil); !strings.Contains(a.Page, `name="credit_note" value="on" checked`) {
		t.Error("a refund is not offered with a credit note")
	}
	// Twice the same form is one change.
	credit := url.Values{"credit_amount": {"3.80"}, "credit_reason": {"Outage"}, "key": {uuid.NewString()}}
	refund := url.Values{"refund_amount": {"10.00"}, "payment": {pay.String()}, "credit_note": {"on"}, "key": {uuid.NewString()}}
	for range 2 {
		if a := c.Send(t, "POST", at+"/credit", credit); a.Status != 303 {
			t.Errorf("credit: %d\n%s", a.Status, a.Page)
		}
		if a := c.Send(t, "POST", at+"/refund", refund); a.Status != 303 {
			t.Errorf("refund: %d\n%s", a.Status, a.Page)
		}
	}
	must(t, e.DB(e.A).View(t.Context(), func(tx *tenancy.Tx) error {
		inv, err := invoicing.Get(t.Context(), tx, id)
		if inv.Credited.Minor != 1380 {
			t.Errorf("credited %v", inv.Credited)
		}
		return err
	}))
	if a := c.Send(t, "GET", at, nil); !strings.Contains(a.Page, "CN-2026-00002") || !strings.Contains(a.Page, "CN-2026-00003") || strings.Contains(a.Page, `name="credit_note" value="on" checked`) {
		t.Errorf("the page: %s", a.Page)
	}
	// What is on its way is not asked for again.
	refund = url.Values{"refund_amount": {"3.80"}, "payment": {pay.String()}, "key": {uuid.NewString()}}
	if a := c.Send(t, "GET", at, nil); !strings.Contains(a.Page, "-€3.80") || !strings.Contains(a.Page, "give it back.") {
		t.Errorf("3.80 too much: %s", a.Page)
	}
	if a := c.Send(t, "POST", at+"/refund", refund); a.Status != 303 {
		t.Errorf("refund: %d\n%s", a.Status, a.Page)
	}
	if a := c.Send(t, "GET", at, nil); !strings.Contains(a.Page, "€13.80 are on their way back.") || strings.Contains(a.Page, "give it back.") {
		t.Errorf("all of it is on its way: %s", a.Page)
	}
}

func TestBillingSettings(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	c := e.as(t, e.A, identity.ResellerOwner)
	form := func(field, value string) url.Values {
		f := url.Values{"company": {"Alpha GmbH"}, "line1": {"Way 1"}, "city": {"Berlin"}, "country": {"DE"}, "term_days": {"14"}, "invoice_number": {"A-{number:4}"}, "credit_number": {"G-{year}-{number}"}}
		f.Set(field, value)
		return f
	}
	for field, values := range map[string][]string{
		"country": {"XX", "de-DE", "\x00\xff"}, "term_days": {"", "-1", "91", "1e1", "99999999999999999999"}, "email": {"nobody", "a@b\r\nBcc: x@y.z"},
		"invoice_number": {"", "A", "{number}{year}", "A1-{number}", "G-{number}", "{number:99}", "<b>{number}"}, "credit_number": {"a-{number}"}, "footer": {strings.Repeat("x", 601), strings.Repeat("\n x", 20)},
	} {
		for _, v := range values {
			if a := c.Send(t, "POST", "/manage/settings/billing", form(field, v)); a.Status != 422 {
				t.Errorf("%s %q: %d", field, v, a.Status)
			}
		}
	}
	if a := c.Send(t, "POST", "/manage/settings/billing", form("tax_id", "DE123456789")); a.Status != 303 {
		t.Errorf("%d: %s", a.Status, a.Page)
	}
	says(t, "numbers that would repeat", c.Send(t, "POST", "/manage/settings/billing", form("yearly_numbers", "on")), 422, "Put {year}- before the number", `aria-invalid="true"`)
	yearly := form("yearly_numbers", "on")
	yearly.Set("invoice_number", "A-{year}-{number:4}")
	says(t, "by the year", c.Send(t, "POST", "/manage/settings/billing", yearly), 303)
	says(t, "as it is kept", c.Send(t, "GET", "/manage/settings/billing", nil), 200, `name="yearly_numbers" value="on" checked`)
	if a := c.Send(t, "POST", "/manage/settings/billing", form("tax_id", "DE123456789")); a.Status != 303 {
		t.Errorf("%d: %s", a.Status, a.Page)
	}
	if a := c.Send(t, "GET", "/manage/settings/billing", nil); !strings.Contains(a.Page, "DE123456789") || strings.Contains(a.Page, "not complete") {
		t.Error(a.Page)
	}
}

// Whoever may see an invoice has it as an electronic one too: with the shop's register
// number, its bank account and the customer's reference as they stood that day.
func TestElectronicInvoices(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	reseller, customer := e.as(t, e.A, identity.ResellerOwner), e.as(t, e.A, identity.CustomerMember)
	seller := url.Values{"company": {"Alpha GmbH"}, "line1": {"Way 1"}, "city": {"Berlin"}, "country": {"DE"}, "tax_id": {"DE123456789"}, "registration": {"HRB 1"}, "tax_number": {"30/1"},
		"term_days": {"14"}, "invoice_number": {"A-{number:4}"}, "credit_number": {"G-{year}-{number}"}}
	buyer := url.Values{"kind": {"person"}, "name": {"Zoë"}, "line1": {"Street 1"}, "city": {"Berlin"}, "country": {"DE"}, "reference": {"PO 4711"}}
	for path, form := range map[string]url.Values{"/manage/settings/billing": seller, "/client/account/address": buyer} {
		who := customer
		if strings.HasPrefix(path, "/manage") {
			who = reseller
		}
		if a := who.Send(t, "POST", path, form); a.Status != 303 {
			t.Fatalf("%s: %d\n%s", path, a.Status, a.Page)
		}
	}
	var id uuid.UUID
	must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		inv, err := invoicing.Issue(t.Context(), tx, invoicing.Draft{Key: "order/2", AccountID: uuid.MustParse(e.things[e.A.ID][":account"]), Currency: "EUR",
			Lines: []billing.Line{{Kind: "plan", Description: "Cloud VPS", Quantity: 1, Unit: billing.Money{Minor: 1000, Currency: "EUR"}}}})
		id = inv.ID
		return err
	}))
	for file, says := range map[string][]string{
		".ubl.xml": {"<cbc:BuyerReference>PO 4711</cbc:BuyerReference>", "<cbc:CompanyID>HRB 1</cbc:CompanyID>", "<cbc:ID>DE02120300000000202051</cbc:ID>", ">11.90</cbc:PayableAmount>"},
		".cii.xml": {"<ram:BuyerReference>PO 4711</ram:BuyerReference>", "<ram:IBANID>DE02120300000000202051</ram:IBANID>", "<ram:DuePayableAmount>11.90</ram:DuePayableAmount>"},
	} {
		for path, who := range map[string]*surfacetest.Client{"/manage/invoices/": reseller, "/client/invoices/": customer} {
			a := who.Send(t, "GET", path+id.String()+file, nil)
			if a.Status != 200 {
				t.Errorf("%s%s: %d\n%s", path, file, a.Status, a.Page)
			}
			for _, want := range says {
				if !strings.Contains(a.Page, want) {
					t.Errorf("%s%s says no %s:\n%s", path, file, want, a.Page)
				}
			}
		}
	}
}
