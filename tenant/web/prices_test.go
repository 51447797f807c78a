package web_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestTheTeamChangesPricesOnADay(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	e.onSale(t, e.A)
	owner, things := e.as(t, e.A, identity.ResellerOwner), e.things[e.A.ID]
	at := "/manage/catalog/plans/" + things[":size"]
	says(t, "the plan", owner.Send(t, "GET", at, nil), 200, at+"/prices")
	form := url.Values{"from": {"2090-01-01"}, "who": {"all"}, "notice_days": {"30"}, "price.EUR.monthly": {"12.00"}}
	says(t, "too far", owner.Send(t, "POST", at+"/prices", form), 422, "within two years")
	day := e.Clock.Now().AddDate(0, 3, 0).Format("2006-01-02")
	form.Set("from", day)
	says(t, "what it does", owner.Send(t, "POST", at+"/prices", form), 200, "What it does", "Schedule it", `value="12.00"`)
	if n := scanOne[int](t, e, "SELECT count(*) FROM price_changes WHERE state = 'scheduled'"); n != 0 {
		t.Errorf("a preview kept %d changes", n)
	}
	form.Set("schedule", "yes")
	if a := owner.Send(t, "POST", at+"/prices", form); a.Status != 303 || a.Where != at+"/prices" {
		t.Fatalf("%d to %q", a.Status, a.Where)
	}
	says(t, "the list", owner.Send(t, "GET", at+"/prices", nil), 200, "€10.00 to €12.00", "Letters go out", "A change is scheduled")
	id := scanOne[string](t, e, "SELECT id::text FROM price_changes WHERE state = 'scheduled'")
	cancel := "/manage/catalog/price-changes/" + id + "/cancel"
	if a := e.as(t, e.B, identity.ResellerOwner).Send(t, "POST", cancel, nil); a.Status != 404 {
		t.Errorf("the other shop's team: %d", a.Status)
	}
	if a := owner.Send(t, "POST", cancel, nil); a.Status != 303 {
		t.Errorf("cancelled: %d", a.Status)
	}
	if a := owner.Send(t, "GET", at+"/prices", nil); strings.Contains(a.Page, "A change is scheduled") {
		t.Error("it is still scheduled")
	}
	says(t, "an option's", owner.Send(t, "GET", "/manage/catalog/options/"+things[":extra"]+"/prices", nil), 200, "price.each.EUR.monthly")
}

func TestACustomersOwnPriceIsWhatTheySee(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	e.onSale(t, e.A)
	owner, things := e.as(t, e.A, identity.ResellerOwner), e.things[e.A.ID]
	at := "/manage/customers/" + things[":customer"] + "/prices"
	says(t, "the customer", owner.Send(t, "GET", "/manage/customers/"+things[":customer"], nil), 200, at)
	form := url.Values{"plan": {things[":size"]}, "cycle": {"monthly"}, "amount": {"7.50"}, "note": {"since the fair"}}
	if a := owner.Send(t, "POST", at, url.Values{"plan": {things[":size"]}, "note": {"since the fair"}}); a.Status != 422 || !strings.Contains(a.Page, "since the fair") {
		t.Errorf("without an amount: %d", a.Status)
	}
	if a := owner.Send(t, "POST", at, form); a.Status != 303 || !strings.HasPrefix(a.Where, at) {
		t.Fatalf("%d to %q", a.Status, a.Where)
	}
	says(t, "the list", owner.Send(t, "GET", at, nil), 200, "€7.50", "since the fair", "Counts")
	c := e.shopper(t, identity.CustomerMember)
	says(t, "their plan", c.Send(t, "GET", "/products/running/small", nil), 200, "€7.50", "agreed on with you. Usually the plan costs €10.00")
	stranger := e.as(t, e.A, identity.ResellerOwner)
	stranger.Cookies = map[string]string{}
	if a := stranger.Send(t, "GET", "/products/running/small", nil); a.Status != 200 || strings.Contains(a.Page, "€7.50") {
		t.Errorf("a stranger sees %d", a.Status)
	}
	id := scanOne[string](t, e, "SELECT id::text FROM agreed_prices WHERE amount_minor = 750")
	if a := e.as(t, e.B, identity.ResellerOwner).Send(t, "POST", "/manage/customers/"+e.things[e.B.ID][":customer"]+"/prices/"+id+"/end", nil); a.Status != 404 && a.Status != 303 {
		t.Errorf("the other shop's team: %d", a.Status)
	}
	if a := owner.Send(t, "POST", at+"/"+id+"/end", nil); a.Status != 303 {
		t.Errorf("ended: %d", a.Status)
	}
	if a := c.Send(t, "GET", "/products/running/small", nil); strings.Contains(a.Page, "€7.50") {
		t.Error("it still counts")
	}
}

func scanOne[T any](t testing.TB, e *estate, query string) (v T) {
	t.Helper()
	must(t, e.DB(e.A).View(t.Context(), func(tx *tenancy.Tx) error { return tx.NewRaw(query).Scan(t.Context(), &v) }))
	return v
}
