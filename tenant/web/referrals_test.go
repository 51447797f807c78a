package web_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/referral"
)

// A link is remembered until somebody signs up, on the page for it or in the middle of
// the checkout.
func TestLinksSurviveSigningUp(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	page := e.as(t, e.A, identity.CustomerMember).Send(t, "GET", "/client/credit/referrals", nil)
	_, rest, _ := strings.Cut(page.Page, "/r/")
	code := rest[:13]
	came := func() int {
		return scanOne[int](t, e, "SELECT count(*) FROM accounts WHERE referral->>'state' = 'joined' AND name IN ('Ada One', 'Ben Two', 'Cem Three')")
	}
	c := e.shopper(t, "")
	if a := c.send(t, "GET", "/r/"+code, nil); a.Status != 303 || a.Where != "/" {
		t.Fatalf("%d to %q", a.Status, a.Where)
	}
	c.send(t, "GET", "/sign-up", nil)
	if a := c.send(t, "POST", "/sign-up", url.Values{"name": {"Ada One"}, "email": {"ada@one.test"}}); a.Status != 200 && a.Status != 303 || came() != 1 {
		t.Errorf("signed up: %d, %d came", a.Status, came())
	}
	c = e.shopper(t, "")
	c.send(t, "GET", "/r/"+strings.ToUpper(code), nil)
	c.send(t, "POST", "/products/running/small", url.Values{"cycle": {"monthly"}})
	c.send(t, "GET", "/products/running/small", nil)
	c.send(t, "POST", "/checkout/code", url.Values{"name": {"Ben Two"}, "email": {"ben@two.test"}})
	if a := c.send(t, "POST", "/checkout/enter", url.Values{"code": {mailedCode(t, e, c.Cookies["ez_code"])}, "password": {"a long pass phrase"}}); a.Status != 303 || came() != 2 {
		t.Errorf("signed up in the checkout: %d, %d came", a.Status, came())
	}
	// A cookie that was made up brings nobody, and hinders nobody.
	c = e.shopper(t, "")
	c.Cookies["ez_ref"] = c.Cookies["ez_cart"] + "x"
	c.send(t, "GET", "/sign-up", nil)
	if c.send(t, "POST", "/sign-up", url.Values{"name": {"Cem Three"}, "email": {"cem@three.test"}}); came() != 2 || scanOne[int](t, e, "SELECT count(*) FROM accounts WHERE name = 'Cem Three'") != 1 {
		t.Errorf("%d came", came())
	}
}

// Customers of a shop that gives something for it are led to their link from everywhere and
// from the overview, those of another are not; pages know at once when it changes.
func TestReferralsAreFound(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	version := func() (n int64) {
		t.Helper()
		must(t, e.Owner.QueryRow(t.Context(), "SELECT content_version FROM central.tenants WHERE id = $1", e.A.ID.Number()).Scan(&n))
		return n
	}
	by := audit.Origin{Actor: audit.System("test")}
	gives := map[string]billing.ReferralTerms{"EUR": {Referrer: 1000}}
	must(t, referral.Save(t.Context(), e.DB(e.B), referral.Program{Terms: gives}, by))
	must(t, referral.Save(t.Context(), e.DB(e.A), referral.Program{Terms: gives}, by))
	was := version()
	must(t, referral.Save(t.Context(), e.DB(e.A), referral.Program{On: true, Terms: gives}, by))
	if version() == was {
		t.Error("what is kept of the site stays as it was")
	}
	buyer := e.as(t, e.A, identity.CustomerMember)
	a := buyer.Send(t, "GET", "/client", nil)
	says(t, "the overview", a, 200, "Bring somebody", "Your link")
	if billing, own, next := strings.Index(a.Page, `href="/client/invoices"`), strings.Index(a.Page, `href="/client/credit/referrals"`), strings.Index(a.Page, `href="/client/account"`); billing < 0 || own < billing || next < own {
		t.Errorf("the navigation has it at %d, between %d and %d", own, billing, next)
	}
	says(t, "their page", buyer.Send(t, "GET", "/client/credit/referrals", nil), 200, `href="/client/credit/referrals" aria-current="page"`)
	if a := e.as(t, e.B, identity.CustomerMember).Send(t, "GET", "/client", nil); a.Status != 200 || strings.Contains(a.Page, "/client/credit/referrals") {
		t.Errorf("%d: led to what another shop has", a.Status)
	}
}

// mailedCode is the code a browser waits for.
func mailedCode(t *testing.T, e *estate, cookie string) string {
	t.Helper()
	sealed, err := base64.RawURLEncoding.DecodeString(cookie)
	must(t, err)
	plain, err := e.site.SignIn.Keys.Open("sign-in code", []byte("customer/"+e.A.PrimaryHost), sealed)
	must(t, err)
	var a struct{ C string }
	must(t, json.Unmarshal(plain, &a))
	return a.C
}

// The team says what is given, sees who came, and decides by hand.
func TestTheTeamsReferrals(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	owner, buyer := e.as(t, e.A, identity.ResellerOwner), e.as(t, e.A, identity.CustomerMember)
	const at = "/manage/referrals"
	good := url.Values{"on": {"on"}, "wait_days": {"10"}, "per_year": {"3"}, "referrer.EUR": {"12.50"}, "newcomer.EUR": {"5"}, "least.EUR": {""}}
	for field, bad := range map[string]string{"wait_days": "soon", "per_year": "-1", "referrer.EUR": "1,5", "least.EUR": "x"} {
		f := url.Values{}
		for k, v := range good {
			f[k] = v
		}
		f.Set(field, bad)
		says(t, field, owner.Send(t, "POST", at, f), 422, `aria-invalid="true"`)
	}
	says(t, "saved", owner.Send(t, "POST", at, good), 303)
	says(t, "the list", owner.Send(t, "GET", at, nil), 200, "Newcomer", `value="12.50"`, "Signed up")
	says(t, "the link", buyer.Send(t, "GET", "/client/credit/referrals", nil), 200, "€12.50", "€5.00", "Has not paid enough yet")
	if a := buyer.Send(t, "GET", "/client/credit/referrals", nil); strings.Contains(a.Page, "Newcomer") {
		t.Error("the referrer is told who it is")
	}
	says(t, "by credit", buyer.Send(t, "GET", "/client/credit", nil), 200, "/client/credit/referrals")
	one := at + "/" + e.things[e.A.ID][":newcomer"]
	for range 2 {
		says(t, "refused", owner.Send(t, "POST", one+"/refuse", nil), 303)
	}
	says(t, "refused", buyer.Send(t, "GET", "/client/credit/referrals", nil), 200, "Our team looked at it")
	says(t, "granted", owner.Send(t, "POST", one+"/grant", url.Values{"note": {"a friend"}}), 303)
	says(t, "granted", buyer.Send(t, "GET", "/client/credit/referrals", nil), 200, "Granted", "Credit you got")
	says(t, "what it cost", owner.Send(t, "GET", at+"?state=granted", nil), 200, "€17.50", "by member0")
	says(t, "once more", owner.Send(t, "POST", one+"/refuse", nil), 303)
	if n := scanOne[int](t, e, "SELECT count(*) FROM credit_grants WHERE kind = 'referral'"); n != 2 {
		t.Errorf("%d pieces of credit", n)
	}
	says(t, "support decides nothing", e.as(t, e.A, identity.ResellerAgent).Send(t, "POST", one+"/refuse", nil), 403)
	says(t, "off", owner.Send(t, "POST", at, url.Values{"wait_days": {"10"}, "per_year": {"3"}}), 303)
	says(t, "off", buyer.Send(t, "GET", "/client/credit/referrals", nil), 200, "Nothing is given at the moment", billing.Money{Minor: 1250, Currency: "EUR"}.Format("en"))
}
