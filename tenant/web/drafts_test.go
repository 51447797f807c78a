package web_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/surface/surfacetest"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestInvoicesByHandOnThePages(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	owner := e.as(t, e.A, identity.ResellerOwner)
	before := e.state(t, e.B)
	const at = "/manage/invoice-drafts"
	var account string
	must(t, e.Owner.QueryRow(t.Context(), "SELECT account_id FROM "+e.A.ID.Schema()+".invoice_drafts").Scan(&account))
	says(t, "the list", owner.Send(t, "GET", at, nil), 200, "Work")
	says(t, "a new one", owner.Send(t, "GET", at+"/new?account="+account, nil), 200, "Price of one, EUR")
	says(t, "of nobody", owner.Send(t, "GET", at+"/new", nil), 303)
	form := url.Values{"id": {uuid.NewString()}, "account": {account}, "text.0": {"Moving"}, "quantity.0": {"2"}, "unit.0": {"no"}, "term_days": {"7"}}
	says(t, "refused", owner.Send(t, "POST", at, form), 422, "Give an amount in EUR such as 12.50.", "Moving")
	form.Set("unit.0", "12.50")
	a := owner.Send(t, "POST", at, form)
	says(t, "saved", a, 303)
	draft := at + "/" + form.Get("id")
	says(t, "shown", owner.Send(t, "GET", draft, nil), 200, "What it would say today", "25.00", "Issue it")
	if a := owner.Send(t, "GET", draft+"/pro-forma.pdf", nil); a.Status != 200 || !strings.HasPrefix(a.Page, "%PDF-") {
		t.Errorf("the pro-forma invoice: %d", a.Status)
	}
	says(t, "support may not", e.as(t, e.A, identity.ResellerAgent).Send(t, "POST", draft+"/issue", nil), 403)
	says(t, "issued", owner.Send(t, "POST", draft+"/issue", nil), 303)
	says(t, "leads to the invoice", owner.Send(t, "GET", draft, nil), 303)
	says(t, "thrown away", owner.Send(t, "POST", at+"/"+e.things[e.A.ID][":draft"]+"/drop", nil), 303)
	says(t, "all done", owner.Send(t, "GET", at, nil), 200, "No drafts")
	sub := e.things[e.A.ID][":subscription"]
	for path, who := range map[string]*surfacetest.Client{"/client/subscriptions/": e.as(t, e.A, identity.CustomerMember), "/manage/subscriptions/": owner} {
		if a := who.Send(t, "GET", path+sub+"/pro-forma.pdf", nil); a.Status != 200 || !strings.HasPrefix(a.Page, "%PDF-") {
			t.Errorf("%s: %d", path, a.Status)
		}
	}
	unchanged(t, "the neighbour", before, e.state(t, e.B))
}
