package web_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// The team lets two codes count; a visitor adds and removes each by itself, and is told
// why a third does not.
func TestSeveralCodesInACart(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	e.onSale(t, e.A)
	owner := e.as(t, e.A, identity.ResellerOwner)
	for code, with := range map[string]string{"FIFTH": "any", "TENTH": "any", "ALONE": ""} {
		f := url.Values{"code": {code}, "kind": {"percent"}, "percent": {map[string]string{"FIFTH": "20", "TENTH": "10", "ALONE": "5"}[code]}, "cycles": {"1"}, "stacks": {with}}
		says(t, code, owner.Send(t, "POST", "/manage/coupons/new", f), 303)
	}
	says(t, "a strange rule", owner.Send(t, "POST", "/manage/coupons/new", url.Values{"code": {"ODD"}, "kind": {"percent"}, "percent": {"5"}, "cycles": {"1"}, "stacks": {"all"}}), 422, "Please choose one of these")
	says(t, "kept", owner.Send(t, "GET", "/manage/coupons/codes/FIFTH", nil), 200, `<option value="any" selected>`)
	c := e.shopper(t, "")
	c.send(t, "POST", "/cart", url.Values{"product": {"running"}, "plan": {"small"}, "cycle": {"monthly"}})
	put := func(code string) int { return c.send(t, "POST", "/cart/coupon", url.Values{"coupon": {code}}).Status }
	if put("fifth") != 303 {
		t.Fatal("one code")
	}
	says(t, "one counts", c.send(t, "POST", "/cart/coupon", url.Values{"coupon": {"tenth"}}), 422, "Only one code counts for an order: FIFTH does.")
	says(t, "too many", owner.Send(t, "POST", "/manage/coupons/together", url.Values{"most": {"9"}}), 422, "from 1 to 5")
	says(t, "two", owner.Send(t, "POST", "/manage/coupons/together", url.Values{"most": {"2"}}), 303)
	says(t, "not with it", c.send(t, "POST", "/cart/coupon", url.Values{"coupon": {"alone"}}), 422, "The codes FIFTH and ALONE do not count together.", "<strong>FIFTH</strong> counts.")
	if put("tenth") != 303 {
		t.Fatal("two codes")
	}
	page := c.send(t, "GET", "/cart", nil)
	says(t, "both", page, 200, `name="remove" value="FIFTH"`, `name="remove" value="TENTH"`, "€7.20", "FIFTH and TENTH")
	if strings.Contains(page.Page, "Add a code") {
		t.Error("a third is asked for")
	}
	c.send(t, "POST", "/cart/coupon", url.Values{"remove": {"FIFTH"}})
	says(t, "one is left", c.send(t, "GET", "/cart", nil), 200, `value="TENTH"`, "€9.00", "Add a code")
}
