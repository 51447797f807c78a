package web_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestHowAnAccountIsInvoiced chooses one invoice a day on both surfaces; the neighbour's
// customer is not there.
func TestHowAnAccountIsInvoiced(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	c, team := e.as(t, e.A, identity.CustomerMember), e.as(t, e.A, identity.ResellerOwner)
	const at = "/client/account/invoicing"
	behalf := "/manage/customers/" + e.things[e.A.ID][":customer"] + "/invoicing"
	before := e.state(t, e.B)
	says(t, "as it is", c.Send(t, "GET", at, nil), 200, "As usual here: each renewal has its own", `value="" checked`)
	for _, wrong := range []string{"maybe", "\x00", "YES"} {
		says(t, wrong, c.Send(t, "POST", at, url.Values{"together": {wrong}}), 422, "Please choose one.")
		says(t, wrong, team.Send(t, "POST", behalf, url.Values{"together": {wrong}}), 422, "Please choose one.")
	}
	for _, wrong := range []string{"0", "29", "-1", "1e1", "first", "99999999999999999999"} {
		says(t, wrong, c.Send(t, "POST", at, url.Values{"bill_day": {wrong}}), 422, "Choose a day from 1 to 28")
	}
	says(t, "chosen", c.Send(t, "POST", at, url.Values{"together": {"yes"}}), 303)
	says(t, "the team sees it", team.Send(t, "GET", behalf, nil), 200, `value="yes" checked`)
	says(t, "the team changes it", team.Send(t, "POST", behalf, url.Values{"together": {"no"}}), 303)
	says(t, "as it is now", c.Send(t, "GET", at, nil), 200, `value="no" checked`)
	sub := e.things[e.A.ID][":subscription"]
	says(t, "no day", c.Send(t, "POST", "/client/subscriptions/"+sub+"/bill-day", nil), 303)
	must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error { // what is billed by use keeps its day
		_, err := tx.NewRaw("UPDATE subscriptions SET metered_to = NULL").Exec(t.Context())
		return err
	}))
	says(t, "a day", c.Send(t, "POST", at, url.Values{"bill_day": {"28"}}), 303)
	says(t, "what can be moved", c.Send(t, "GET", at, nil), 200, `value="28" selected`, "What renews on another day", "Move to the 28th")
	says(t, "the team can, too", team.Send(t, "GET", behalf, nil), 200, "/manage/subscriptions/"+sub+"/bill-day")
	a := c.Send(t, "POST", "/client/subscriptions/"+sub+"/bill-day", nil)
	says(t, "the price", c.Send(t, "GET", a.Where, nil), 200, "to your bill day", "and move it", " of 3")
	if a := e.as(t, e.B, identity.CustomerMember).Send(t, "POST", "/client/subscriptions/"+sub+"/bill-day", nil); a.Status != 404 {
		t.Errorf("the neighbour: %d", a.Status)
	}
	says(t, "offered at it", c.Send(t, "GET", "/client/subscriptions/"+sub, nil), 200, "It renews on another day than the 28th")
	says(t, "accepted", c.Send(t, "POST", a.Where, nil), 303)
	says(t, "under way", c.Send(t, "GET", "/client/subscriptions/"+sub, nil), 200, "It is moved to the bill day as soon as")
	says(t, "written down", team.Send(t, "GET", "/manage/activity", nil), 200, "account.invoicing_changed")
	if a := team.Send(t, "GET", strings.Replace(behalf, e.things[e.A.ID][":customer"], e.things[e.B.ID][":customer"], 1), nil); a.Status != 404 {
		t.Errorf("the neighbour's customer: %d", a.Status)
	}
	e.onSale(t, e.A)
	shop := shopper{c}
	says(t, "into the cart", shop.send(t, "POST", "/cart", url.Values{"product": {"running"}, "plan": {"small"}, "cycle": {"monthly"}, "go": {"cart"}}), 303)
	for _, page := range []string{"/cart", "/checkout"} {
		says(t, page, shop.send(t, "GET", page, nil), 200, " days ", " until 28 ", "then the full price", "€10.00")
	}
	unchanged(t, "the neighbour", before, e.state(t, e.B))
}

// TestDaysToPay: the team gives an account days to pay; its customer reads it everywhere and
// cannot change it.
func TestDaysToPay(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	c, team := e.as(t, e.A, identity.CustomerMember), e.as(t, e.A, identity.ResellerOwner)
	customer := "/manage/customers/" + e.things[e.A.ID][":customer"]
	at, before := customer+"/invoicing/terms", e.state(t, e.B)
	for _, wrong := range []string{"0.5", "91", "-1", "thirty", "99999999999999999999"} {
		says(t, wrong, team.Send(t, "POST", at, url.Values{"term_days": {wrong}}), 422, "Give a number of days from 1 to 90")
	}
	says(t, "saved", team.Send(t, "POST", at, url.Values{"term_days": {" 30 "}}), 303)
	says(t, "the form", team.Send(t, "GET", customer+"/invoicing", nil), 200, `name="term_days"`, `value="30"`)
	says(t, "the customer's page", team.Send(t, "GET", customer, nil), 200, "Days to pay</dt>", ">30<")
	says(t, "the customer reads it", c.Send(t, "GET", "/client/account/invoicing", nil), 200, "Your invoices are due 30 days after they are issued.")
	if a := c.Send(t, "GET", "/client/account/invoicing", nil); strings.Contains(a.Page, "term_days") {
		t.Error("the customer is offered to change it")
	}
	says(t, "another setting", c.Send(t, "POST", "/client/account/invoicing", url.Values{"together": {"yes"}, "term_days": {"90"}}), 303)
	says(t, "it stays", team.Send(t, "GET", customer+"/invoicing", nil), 200, `value="30"`)
	says(t, "what runs", c.Send(t, "GET", "/client/subscriptions", nil), 200, "Invoiced until")
	var account string
	must(t, e.DB(e.A).View(t.Context(), func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT id::text FROM accounts WHERE term_days = 30").Scan(t.Context(), &account)
	}))
	says(t, "by hand", team.Send(t, "GET", "/manage/invoice-drafts/new?account="+account, nil), 200, `name="term_days"`, `value="30"`)
	says(t, "written down", team.Send(t, "GET", "/manage/activity", nil), 200, "account.terms_changed")
	says(t, "told", team.Send(t, "GET", customer, nil), 200, "New invoices are due 30 days after they are issued.")
	for who, x := range map[string]string{"the neighbour's": e.things[e.B.ID][":customer"], "nobody's": "0190a000-0000-7000-8000-000000000000"} {
		if a := team.Send(t, "POST", "/manage/customers/"+x+"/invoicing/terms", url.Values{"term_days": {"3"}}); a.Status != 404 {
			t.Errorf("%s: %d", who, a.Status)
		}
	}
	says(t, "none of their own", team.Send(t, "POST", at, url.Values{"term_days": {""}}), 303)
	says(t, "as usual", c.Send(t, "GET", "/client/subscriptions", nil), 200, "Paid until")
	unchanged(t, "the neighbour", before, e.state(t, e.B))
}
