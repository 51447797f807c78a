package web_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/payment"
)

// TestPayingFromABankAccountWithoutAScript: the shop switches it on, a customer gives a
// mandate at the page on which an invoice is paid, and another among the payment methods.
func TestPayingFromABankAccountWithoutAScript(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	lab := e.takeCards(t, e.A)
	owner := e.as(t, e.A, identity.ResellerOwner)
	keys := url.Values{"stripe_publishable_key": {"pk_test_browser"}, "stripe_on": {"on"}, "stripe_debits": {"on"}, "stripe_debit_notice": {"20"}}
	if a := owner.Send(t, "POST", "/manage/settings/payments/stripe", keys); a.Status != 422 || !strings.Contains(a.Page, "from 1 to 14") {
		t.Errorf("twenty days: %d", a.Status)
	}
	keys.Set("stripe_debit_notice", "5")
	if a := owner.Send(t, "POST", "/manage/settings/payments/stripe", keys); a.Status != 303 {
		t.Fatalf("switching it on: %d", a.Status)
	}
	id := e.bill(t, e.A, "debit/1")
	c := e.as(t, e.A, identity.CustomerMember)
	at := "/client/invoices/" + id + "/pay"
	if a := c.Send(t, "GET", at, nil); a.Status != 200 || !strings.Contains(a.Page, `value="debit"`) || !strings.Contains(a.Page, "up to 5 days before") {
		t.Fatalf("the page: %d", a.Status)
	}
	form := url.Values{"with": {"debit"}, "debit_holder": {"Ida Berg"}, "debit_iban": {"DE12 3"}}
	if a := c.Send(t, "POST", at, form); a.Status != 422 || !strings.Contains(a.Page, "not a valid IBAN") || !strings.Contains(a.Page, "only with your mandate") || !strings.Contains(a.Page, "DE12 3") {
		t.Errorf("what is no account: %d", a.Status)
	}
	form.Set("debit_iban", "DE89 3704 0044 0532 0130 00")
	form.Set("debit_agree", "on")
	begun := c.Send(t, "POST", at, form)
	if begun.Status != 303 || !strings.HasPrefix(begun.Where, "/client/payments/") {
		t.Fatalf("%d to %q: %s", begun.Status, begun.Where, begun.Page)
	}
	if a := c.Send(t, "GET", begun.Where, nil); a.Status != 200 || !strings.Contains(a.Page, "five working days") || strings.Contains(a.Page, "every 3s") {
		t.Errorf("under way: %d", a.Status)
	}
	if a := c.Send(t, "POST", at, url.Values{"with": {"transfer"}}); a.Status != 409 && a.Status != 422 || !strings.Contains(a.Page, "please do not pay again") {
		t.Errorf("once more: %d", a.Status)
	}
	form.Set("debit_iban", "AT611904300234573201")
	if a := c.Send(t, "POST", "/client/payment-methods", form); a.Status != 303 {
		t.Errorf("another account: %d", a.Status)
	}
	page := c.Send(t, "GET", "/client/payment-methods", nil).Page
	for _, says := range []string{"Bank account DE •••• 3000", "Bank account AT •••• 3201", "mandate ", "bank DE 37040044"} {
		if !strings.Contains(page, says) {
			t.Errorf("the methods do not say %q", says)
		}
	}
	if strings.Contains(page, "0532013000") {
		t.Error("the number of the account is shown")
	}
	if a := e.as(t, e.B, identity.CustomerMember).Send(t, "POST", "/client/payment-methods", form); a.Status == 303 {
		t.Errorf("at a shop that does not offer it: %d to %q", a.Status, a.Where)
	}
	var p payment.Payment
	must(t, e.DB(e.A).View(t.Context(), func(tx *tenancy.Tx) error {
		all, err := payment.List(t.Context(), tx, payment.Filter{})
		p = all[0]
		return err
	}))
	must(t, lab.SettleDebit(p.Ref, ""))
	if a := c.Send(t, "GET", begun.Where, nil); a.Status != 303 || a.Where != "/client/invoices/"+id {
		t.Errorf("it came: %d to %q", a.Status, a.Where)
	}
	var entries []audit.Recorded
	must(t, e.DB(e.A).View(t.Context(), func(tx *tenancy.Tx) (err error) {
		entries, err = audit.List(t.Context(), tx, audit.Filter{Action: "payment_method.mandate_given"})
		return err
	}))
	if len(entries) != 2 || p.State != gateway.Processing {
		t.Errorf("%d mandates in the trail, %s", len(entries), p.State)
	}
}
