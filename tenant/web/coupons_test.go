package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/branding/surface/surfacetest"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// onSale gives the tenant's running plan a price of ten euros a month.
func (e *estate) onSale(t testing.TB, of tenancy.Tenant) {
	t.Helper()
	must(t, e.DB(of).Update(t.Context(), func(tx *tenancy.Tx) error {
		return exec(t.Context(), tx, "INSERT INTO prices (plan_id, currency, cycle, amount_minor, setup_minor) VALUES (?, ?, 'monthly', 1000, 0) ON CONFLICT DO NOTHING", e.things[of.ID][":size"], of.Currency)
	}))
}

// shopper keeps what answers give it, as a browser does.
type shopper struct{ *surfacetest.Client }

func (e *estate) shopper(t testing.TB, role identity.Role) shopper {
	t.Helper()
	s := shopper{e.as(t, e.A, role)}
	s.send(t, "GET", "/products/running/small", nil)
	return s
}

func (s shopper) send(t testing.TB, method, path string, form url.Values) surfacetest.Answer {
	t.Helper()
	a := s.Send(t, method, path, form)
	for _, k := range (&http.Response{Header: a.Head}).Cookies() {
		if s.Cookies[k.Name] = k.Value; k.MaxAge < 0 {
			delete(s.Cookies, k.Name)
		}
	}
	if _, rest, ok := strings.Cut(a.Page, `name="_csrf" value="`); ok && s.Cookies["ez_customer"] == "" {
		s.CSRF, _, _ = strings.Cut(rest, `"`)
	}
	return a
}

func TestTheTeamMakesCoupons(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	owner := e.as(t, e.A, identity.ResellerOwner)
	good := url.Values{"code": {"welcome20"}, "kind": {"percent"}, "percent": {"20"}, "cycles": {"3"}, "max_uses": {"10"}, "ends": {"2030-12-31"}, "note": {"for the fair"}}
	for field, bad := range map[string]string{"code": "x", "kind": "gift", "percent": "101", "cycles": "-1", "max_uses": "0", "starts": "tomorrow", "ends": "1999-01-01", "countries": "DE, Atlantis", "plan": "small"} {
		f := url.Values{}
		for k, v := range good {
			f[k] = v
		}
		f.Set(field, bad)
		if a := owner.Send(t, "POST", "/manage/coupons/new", f); a.Status != 422 || !strings.Contains(a.Page, "for the fair") {
			t.Errorf("%s %q: %d", field, bad, a.Status)
		}
	}
	if a := owner.Send(t, "POST", "/manage/coupons/new", good); a.Status != 303 || a.Where != "/manage/coupons/codes/WELCOME20" {
		t.Fatalf("%d to %q", a.Status, a.Where)
	}
	if a := owner.Send(t, "POST", "/manage/coupons/new", good); a.Status != 422 || !strings.Contains(a.Page, "There is such a code already.") {
		t.Errorf("twice: %d", a.Status)
	}
	a := owner.Send(t, "GET", "/manage/coupons", nil)
	for _, want := range []string{"WELCOME20", "20 %", "the first 3 invoices", "0 of 10", "until 31 Dec 2030", "€5.00"} {
		if !strings.Contains(a.Page, want) {
			t.Errorf("the list does not say %q", want)
		}
	}
	if a := owner.Send(t, "GET", "/manage/coupons/codes/welcome20", nil); a.Status != 200 || !strings.Contains(a.Page, `value="2030-12-31"`) || !strings.Contains(a.Page, "Switch it off") {
		t.Errorf("its page: %d", a.Status)
	}
	change := url.Values{"kind": {"amount"}, "amount.EUR": {"5.00"}, "cycles": {"0"}}
	if a := owner.Send(t, "POST", "/manage/coupons/codes/WELCOME20", change); a.Status != 303 {
		t.Errorf("changed: %d", a.Status)
	}
	if a := owner.Send(t, "POST", "/manage/coupons/codes/WELCOME20/switch", url.Values{"to": {"off"}}); a.Status != 303 {
		t.Errorf("switched off: %d", a.Status)
	}
	if a := owner.Send(t, "GET", "/manage/coupons", nil); !strings.Contains(a.Page, "every invoice") || !strings.Contains(a.Page, ">Off<") {
		t.Errorf("the list does not say that it is off")
	}
	if a := e.as(t, e.A, identity.ResellerAgent).Send(t, "GET", "/manage/coupons", nil); a.Status != 200 || strings.Contains(a.Page, "New coupon") {
		t.Errorf("support: %d", a.Status)
	}
}

func TestACodeInTheCart(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	e.onSale(t, e.A)
	pick := url.Values{"product": {"running"}, "plan": {"small"}, "cycle": {"monthly"}, "ips": {"0"}}
	theirs, ours := e.things[e.B.ID][":coupon"], e.things[e.A.ID][":coupon"]
	for role, back := range map[identity.Role]string{"": "/cart", identity.CustomerMember: "/checkout"} {
		c := e.shopper(t, role)
		if a := c.send(t, "POST", back+"/coupon", url.Values{"coupon": {ours}}); a.Status != 303 || a.Where != "/cart" {
			t.Errorf("without anything in the cart: %d to %q", a.Status, a.Where)
		}
		if a := c.send(t, "POST", "/cart", pick); a.Status != 303 {
			t.Fatalf("into the cart: %d %s", a.Status, a.Page)
		}
		for _, bad := range []string{theirs, "NOSUCH", "'--", "\x00\xff", strings.Repeat("Ä", 400)} {
			if a := c.send(t, "POST", back+"/coupon", url.Values{"coupon": {bad}}); a.Status != 422 || !strings.Contains(a.Page, "This code is not valid.") {
				t.Errorf("%.20q at %s: %d", bad, back, a.Status)
			}
		}
		if a := c.send(t, "POST", back+"/coupon", url.Values{"coupon": {" " + strings.ToLower(ours)}}); a.Status != 303 || a.Where != back {
			t.Fatalf("at %s: %d to %q", back, a.Status, a.Where)
		}
		a := c.send(t, "GET", back, nil)
		for _, want := range []string{"With " + ours, "−€5.00", "<strong>" + ours + "</strong> counts", "the next 2 times", "€10.00 a month from"} {
			if !strings.Contains(a.Page, want) {
				t.Errorf("%s does not say %q", back, want)
			}
		}
		if a := c.send(t, "POST", back+"/coupon", url.Values{"remove": {"yes"}}); a.Status != 303 {
			t.Errorf("taken out: %d", a.Status)
		}
		if a := c.send(t, "GET", back, nil); strings.Contains(a.Page, ours) {
			t.Errorf("%s names a code that was taken out", back)
		}
	}
}

// What was typed once is no longer valid when it is ordered: the page says so, and the
// order is made at the price it shows.
func TestACodeThatEndsMeanwhile(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	e.onSale(t, e.A)
	c, ours := e.shopper(t, identity.CustomerMember), e.things[e.A.ID][":coupon"]
	c.send(t, "POST", "/cart", url.Values{"product": {"running"}, "plan": {"small"}, "cycle": {"monthly"}, "ips": {"0"}})
	if a := c.send(t, "POST", "/checkout/coupon", url.Values{"coupon": {ours}}); a.Status != 303 {
		t.Fatalf("%d", a.Status)
	}
	must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error { return exec(t.Context(), tx, "UPDATE coupons SET uses = max_uses") }))
	if a := c.send(t, "GET", "/checkout", nil); a.Status != 200 || !strings.Contains(a.Page, "used as often as it may be") || strings.Contains(a.Page, "−€5.00") {
		t.Errorf("%d", a.Status)
	}
}

// Codes are not guessed: somebody who tries many waits.
func TestGuessingCodes(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	e.onSale(t, e.A)
	c := e.shopper(t, "")
	c.send(t, "POST", "/cart", url.Values{"product": {"running"}, "plan": {"small"}, "cycle": {"monthly"}, "ips": {"0"}})
	for range 30 {
		if a := c.send(t, "POST", "/cart/coupon", url.Values{"coupon": {"GUESS"}}); a.Status != 422 {
			t.Fatalf("%d", a.Status)
		}
	}
	if a := c.send(t, "POST", "/cart/coupon", url.Values{"coupon": {e.things[e.A.ID][":coupon"]}}); a.Status != 429 || !strings.Contains(a.Page, "many codes in a short time") {
		t.Errorf("after thirty: %d", a.Status)
	}
}
