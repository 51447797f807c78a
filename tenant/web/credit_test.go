package web_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// charge issues an invoice over eleven euros and ninety cents to the buyer of a tenant.
func (e *estate) charge(t testing.TB, of tenancy.Tenant, key string) (inv invoicing.Invoice) {
	t.Helper()
	must(t, e.DB(of).Update(t.Context(), func(tx *tenancy.Tx) error {
		before, err := invoicing.ByKey(t.Context(), tx, "paid/1")
		if err != nil {
			return err
		}
		inv, err = invoicing.Issue(t.Context(), tx, invoicing.Draft{Key: key, AccountID: before.AccountID, Currency: "EUR", Lines: []billing.Line{{Kind: "plan", Description: "VPS", Quantity: 1, Unit: billing.Money{Minor: 1000, Currency: "EUR"}}}})
		return err
	}))
	return inv
}

func TestCreditFromTheTeamToTheInvoice(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	owner, buyer := e.as(t, e.A, identity.ResellerOwner), e.as(t, e.A, identity.CustomerMember)
	page := "/manage/customers/" + e.things[e.A.ID][":customer"] + "/credit"
	for field, bad := range map[string]string{"amount": "1,50", "expires": "1999-01-01", "note": strings.Repeat("x", 201)} {
		f := url.Values{"amount": {"4.00"}, "expires": {""}, "note": {"for the outage"}}
		f.Set(field, bad)
		if a := owner.Send(t, "POST", page, f); a.Status != 422 || !strings.Contains(a.Page, `aria-invalid="true"`) {
			t.Errorf("%s %.20q: %d", field, bad, a.Status)
		}
	}
	give := url.Values{"key": {"018f3c2e-0000-7000-8000-000000000000"}, "amount": {"4.00"}, "note": {"for the outage"}}
	for range 2 { // a form that is sent twice gives once
		if a := owner.Send(t, "POST", page, give); a.Status != 303 {
			t.Fatalf("given: %d %s", a.Status, a.Page)
		}
	}
	first := e.charge(t, e.A, "credit/1")
	if first.ByCredit.Minor != 400 {
		t.Fatalf("credit paid %s", first.ByCredit)
	}
	at := "/client/invoices/" + first.ID.String()
	if a := buyer.Send(t, "GET", at, nil); !strings.Contains(a.Page, "€4.00 of it were paid from your") || strings.Contains(a.Page, "of your credit</button>") {
		t.Errorf("the invoice does not say what credit paid")
	}
	if a := buyer.Send(t, "POST", at+"/credit", nil); a.Status != 303 || a.Where != at {
		t.Errorf("without credit: %d to %q", a.Status, a.Where)
	}
	// By hand: the customer switches it, and presses the button.
	if a := buyer.Send(t, "POST", "/client/credit/automatic", url.Values{"to": {"off"}}); a.Status != 303 {
		t.Fatalf("by hand: %d", a.Status)
	}
	give.Set("key", "018f3c2e-0000-7000-8000-000000000001")
	if a := owner.Send(t, "POST", page, give); a.Status != 303 {
		t.Fatalf("given: %d", a.Status)
	}
	if a := buyer.Send(t, "GET", at+"/pay", nil); !strings.Contains(a.Page, "Pay €6.00") {
		t.Errorf("credit that waits for its customer lowers what is charged")
	}
	if a := buyer.Send(t, "GET", at, nil); !strings.Contains(a.Page, "Use €4.00 of your credit") {
		t.Errorf("the invoice does not offer the credit")
	}
	if a := buyer.Send(t, "POST", at+"/credit", nil); a.Status != 303 {
		t.Errorf("used: %d", a.Status)
	}
	if a := buyer.Send(t, "GET", at+"/pay", nil); !strings.Contains(a.Page, "Pay €2.00") {
		t.Errorf("the rest is not what is charged")
	}
	a := buyer.Send(t, "GET", "/client/credit", nil)
	for _, want := range []string{"for the outage", "Paid an invoice", "Pay invoices with it automatically", "$5.00"} {
		if !strings.Contains(a.Page, want) {
			t.Errorf("the credit page does not say %q", want)
		}
	}
	// By itself again: what is given later is used first on the page on which one pays.
	if a := buyer.Send(t, "POST", "/client/credit/automatic", url.Values{"to": {"on"}}); a.Status != 303 {
		t.Fatalf("by itself: %d", a.Status)
	}
	give.Set("key", "018f3c2e-0000-7000-8000-000000000002")
	if a := owner.Send(t, "POST", page, give); a.Status != 303 {
		t.Fatalf("given: %d", a.Status)
	}
	if a := buyer.Send(t, "GET", at+"/pay", nil); !strings.Contains(a.Page, "Pay €2.00 from your credit") {
		t.Errorf("credit does not pay all of it")
	}
	if a := buyer.Send(t, "POST", at+"/credit", url.Values{"next": {"/client/credit"}}); a.Status != 303 || a.Where != "/client/credit" {
		t.Errorf("all of it: %d to %q", a.Status, a.Where)
	}
	// Back to credit, by the refund form.
	back := url.Values{"key": {"018f3c2e-0000-7000-8000-000000000003"}, "payment": {"credit"}, "refund_amount": {"2.00"}, "credit_note": {"on"}}
	if a := owner.Send(t, "POST", "/manage/invoices/"+first.ID.String()+"/refund", back); a.Status != 303 {
		t.Errorf("given back: %d %s", a.Status, a.Page)
	}
	if a := owner.Send(t, "GET", page, nil); !strings.Contains(a.Page, "€4.00") || !strings.Contains(a.Page, "Came back from an invoice") {
		t.Errorf("what came back is not shown")
	}
	// Money that was paid becomes credit.
	paid := e.things[e.A.ID][":payment"]
	var invoice string
	must(t, e.Owner.QueryRow(t.Context(), "SELECT invoice_id::text FROM "+e.A.ID.Schema()+".payments WHERE id = $1", paid).Scan(&invoice))
	to := url.Values{"key": {"018f3c2e-0000-7000-8000-000000000004"}, "payment": {paid}, "refund_amount": {"9.00"}, "to": {"credit"}, "credit_note": {"on"}}
	if a := owner.Send(t, "POST", "/manage/invoices/"+invoice+"/refund", to); a.Status != 303 {
		t.Errorf("to credit: %d %s", a.Status, a.Page)
	}
	if a := buyer.Send(t, "GET", "/client/credit", nil); !strings.Contains(a.Page, "€13.00") {
		t.Errorf("the refund is not in the credit")
	}
	grant := e.things[e.A.ID][":grant"]
	if a := owner.Send(t, "POST", page+"/"+grant+"/take-back", nil); a.Status != 303 {
		t.Errorf("taken back: %d", a.Status)
	}
	if a := owner.Send(t, "POST", page+"/"+grant+"/take-back", nil); a.Status != 404 {
		t.Errorf("taken back twice: %d", a.Status)
	}
	must(t, e.DB(e.A).View(t.Context(), func(tx *tenancy.Tx) error {
		r, err := invoicing.Books(t.Context(), tx)
		if err == nil && !r.Holds() {
			t.Errorf("the books: %v", r.Problems)
		}
		return err
	}))
}

// A gift code on its way: bought, shown once, redeemed by whoever types it, and guessed by
// nobody for long.
func TestGiftCodesOnThePages(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	owner, buyer := e.as(t, e.A, identity.ResellerOwner), e.as(t, e.A, identity.CustomerMember)
	a := owner.Send(t, "POST", "/manage/gift-codes", url.Values{"name": {"Spring"}, "count": {"1"}, "amount": {"12.00"}})
	_, rest, _ := strings.Cut(a.Page, `aria-label="The codes, one a line">`)
	code, _, _ := strings.Cut(rest, "\n")
	if a.Status != 200 || len(code) != 19 {
		t.Fatalf("made: %d %q", a.Status, code)
	}
	if a := owner.Send(t, "GET", "/manage/gift-codes", nil); strings.Contains(a.Page, code) || !strings.Contains(a.Page, "Spring") {
		t.Errorf("the code can be read twice")
	}
	if a := buyer.Send(t, "POST", "/client/credit/redeem", url.Values{"code": {code}}); a.Status != 303 {
		t.Errorf("redeemed: %d", a.Status)
	}
	if a := buyer.Send(t, "POST", "/client/credit/redeem", url.Values{"code": {code}}); a.Status != 422 || !strings.Contains(a.Page, "redeemed already") {
		t.Errorf("redeemed twice: %d", a.Status)
	}
	if a := buyer.Send(t, "GET", "/client/credit", nil); !strings.Contains(a.Page, "€12.00") || !strings.Contains(a.Page, "Show the code") {
		t.Errorf("the credit is not shown")
	}
	a = buyer.Send(t, "POST", "/client/credit/gifts/"+e.things[e.A.ID][":gift"]+"/show", nil)
	if a.Status != 200 || !strings.Contains(a.Page, "Your gift code") || a.Head.Get("Cache-Control") != "no-store" {
		t.Errorf("shown: %d", a.Status)
	}
	if a := buyer.Send(t, "POST", "/client/credit/gifts", url.Values{"gift_amount": {"0.10"}}); a.Status != 422 || !strings.Contains(a.Page, "Give an amount from") {
		t.Errorf("too small: %d", a.Status)
	}
	if a := buyer.Send(t, "POST", "/client/credit/top-up", url.Values{"amount": {"25.00"}}); a.Status != 303 || !strings.Contains(a.Where, "/pay?next=") {
		t.Errorf("paid ahead: %d to %q", a.Status, a.Where)
	}
	for range 12 {
		a = buyer.Send(t, "POST", "/client/credit/redeem", url.Values{"code": {"AAAA-AAAA-AAAA-AAAA"}})
	}
	if a.Status != 422 || !strings.Contains(a.Page, "tried too often") {
		t.Errorf("twelve guesses: %d", a.Status)
	}
}
