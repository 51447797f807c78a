package web_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/branding/surface/surfacetest"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// The team makes an add-on and a slider, a stranger configures with them, and who has the
// service adds one to it and removes it.
func TestAddonsOnThePages(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	e.onSale(t, e.A)
	owner, things := e.as(t, e.A, identity.ResellerOwner), e.things[e.A.ID]
	shelf := "/manage/catalog/products/" + things[":shelf"]
	addon := url.Values{"code": {"backups"}, "label": {"Backups"}, "help": {"Every night."}, "kind": {"addon"}, "minimum": {"0"}, "maximum": {"1"}, "step": {"1"}, "choices": {"one | 0 | 2.50"}, "position": {"5"}, "visibility": {"public"}}
	says(t, "an add-on", owner.Send(t, "POST", shelf+"/options/new", addon), 303)
	slider := url.Values{"code": {"traffic"}, "label": {"Traffic"}, "kind": {"slider"}, "minimum": {"1"}, "maximum": {"10"}, "step": {"1"}, "start": {"3"}, "choices": {"1 TB | 0 | 1.00"}, "position": {"6"}, "visibility": {"public"}, "plans": {things[":size"]}}
	says(t, "a slider that begins nowhere", owner.Send(t, "POST", shelf+"/options/new", url.Values{"code": {"x"}, "label": {"X"}, "kind": {"slider"}, "minimum": {"1"}, "maximum": {"2"}, "step": {"1"}, "start": {"5"}, "choices": {"a"}, "visibility": {"public"}}), 422, "not one of the steps")
	says(t, "a slider", owner.Send(t, "POST", shelf+"/options/new", slider), 303)
	c := e.shopper(t, "")
	a := c.send(t, "GET", "/products/running/small", nil)
	says(t, "the configurator", a, 200, `type="range"`, `id="f-option.traffic" name="option.traffic" value="3" min="1" max="10" step="1"`, "Add-ons", `type="checkbox" id="f-option.backups"`, "€13.00")
	a = c.send(t, "POST", "/products/running/small", url.Values{"product": {"running"}, "plan": {"small"}, "cycle": {"monthly"}, "option.traffic": {"5"}, "option.backups": {"1"}})
	says(t, "with an add-on", a, 200, "€17.50", "Backups")
	says(t, "in the cart", c.send(t, "POST", "/cart", url.Values{"product": {"running"}, "plan": {"small"}, "cycle": {"monthly"}, "option.backups": {"1"}, "go": {"cart"}}), 303)
	says(t, "in the cart", c.send(t, "GET", "/cart", nil), 200, "Backups", "€15.50")
	once := url.Values{"code": {"move"}, "label": {"We move you"}, "help": {"A site of yours."}, "kind": {"once"}, "minimum": {"0"}, "maximum": {"3"}, "step": {"1"}, "choices": {"a site | 0 | 49.00"}, "position": {"7"}, "visibility": {"public"}}
	says(t, "one that is charged once", owner.Send(t, "POST", shelf+"/options/new", once), 303)
	// On the page of a service.
	must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		return exec(t.Context(), tx, "UPDATE subscriptions SET anchor_at = ?0, period_from = ?0, period_to = ?0::timestamptz + interval '1 month' WHERE id = (SELECT subscription_id FROM services WHERE id = ?1)", tx.Now(), e.things[e.A.ID][":service"])
	}))
	buyer := e.as(t, e.A, identity.CustomerMember)
	at := "/client/services/" + things[":service"] + "/billing"
	page := buyer.Send(t, "GET", at, nil)
	says(t, "what can be added", page, 200, "Add-ons", "Every night.", "€2.50", `name="option.backups" value="1"`)
	var sub string
	if _, rest, ok := strings.Cut(page.Page, `action="/client/subscriptions/`); ok {
		sub, _, _ = strings.Cut(rest, "/change")
	}
	says(t, "more than there are", buyer.Send(t, "POST", "/client/subscriptions/"+sub+"/change", url.Values{"option.backups": {"99"}}), 422)
	change := buyer.Send(t, "GET", "/client/subscriptions/"+sub+"/change", nil)
	says(t, "where it changes", change, 200, `name="option.backups" value="1">`) // there since after the order, and not ticked
	if strings.Contains(change.Page, `name="option.backups" value="1" checked`) {
		t.Error("what they do not have is ticked")
	}
	extra := url.Values{"option.move": {"2"}}
	says(t, "what is charged once", page, 200, "Charged once", "A site of yours.", "€49.00", `name="option.move"`)
	says(t, "where the team buys it for them", owner.Send(t, "GET", "/manage/subscriptions/"+sub, nil), 200, "Charged once", `action="/manage/subscriptions/`+sub+`/buy"`)
	for _, at := range []string{"/client/subscriptions/", "/manage/subscriptions/"} {
		who := buyer
		if strings.HasPrefix(at, "/manage") {
			who = owner
		}
		offer := who.Send(t, "POST", at+sub+"/buy", extra)
		if offer.Status != 303 || !strings.Contains(offer.Where, at+sub+"/change/") {
			t.Fatalf("%d to %q", offer.Status, offer.Where)
		}
		says(t, "its quote", who.Send(t, "GET", offer.Where, nil), 200, "Charged once.", "We move you: 2", "€98.00", "Buy for €")
	}
	for what, form := range map[string]url.Values{"nothing": {}, "too many": {"option.move": {"4"}}, "what is unknown": {"option.x": {"1"}}, "what is no number": {"option.move": {"-1e9"}}} {
		if a := buyer.Send(t, "POST", "/client/subscriptions/"+sub+"/buy", form); a.Status >= 500 || strings.Contains(a.Where, "/change/") {
			t.Errorf("%s: %d to %q", what, a.Status, a.Where)
		}
	}
	says(t, "another shop's", e.as(t, e.B, identity.CustomerMember).Send(t, "POST", "/client/subscriptions/"+sub+"/buy", extra), 404)
	says(t, "another shop's team", e.as(t, e.B, identity.ResellerOwner).Send(t, "POST", "/manage/subscriptions/"+sub+"/buy", extra), 404)
	quote := buyer.Send(t, "POST", "/client/subscriptions/"+sub+"/change", url.Values{"option.backups": {"1"}})
	if quote.Status != 303 || !strings.Contains(quote.Where, "/change/") {
		t.Fatalf("%d to %q", quote.Status, quote.Where)
	}
	says(t, "the quote", buyer.Send(t, "GET", quote.Where, nil), 200, "Backups")
	says(t, "another shop's", e.as(t, e.B, identity.CustomerMember).Send(t, "POST", "/client/subscriptions/"+sub+"/change", url.Values{"option.backups": {"1"}}), 404)
}

// What nothing is delivered of has no service's page: its customer adds and buys at the
// subscription's own, where others are led to the service.
func TestBuyingWithoutAService(t *testing.T) {
	w, count := tenancytest.NewCounted(t)
	e := newEstate(t, w)
	e.onSale(t, e.A)
	things := e.things[e.A.ID]
	shelf := "/manage/catalog/products/" + things[":shelf"]
	owner, buyer := e.as(t, e.A, identity.ResellerOwner), e.as(t, e.A, identity.CustomerMember)
	for _, x := range []url.Values{
		{"code": {"advice"}, "label": {"An hour of advice"}, "help": {"By telephone."}, "kind": {"once"}, "minimum": {"0"}, "maximum": {"3"}, "step": {"1"}, "choices": {"an hour | 0 | 49.00"}, "position": {"7"}, "visibility": {"public"}},
		{"code": {"care"}, "label": {"Care"}, "kind": {"addon"}, "minimum": {"0"}, "maximum": {"1"}, "step": {"1"}, "choices": {"one | 0 | 2.50"}, "position": {"5"}, "visibility": {"public"}},
	} {
		says(t, "an add-on", owner.Send(t, "POST", shelf+"/options/new", x), 303)
	}
	var sub string
	must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		if err := tx.NewRaw("SELECT subscription_id FROM services WHERE id = ?", things[":service"]).Scan(t.Context(), &sub); err != nil {
			return err
		}
		return exec(t.Context(), tx, "UPDATE subscriptions SET anchor_at = ?0, period_from = ?0, period_to = ?0::timestamptz + interval '1 month' WHERE id = ?1", tx.Now(), sub)
	}))
	at := "/client/subscriptions/" + sub
	if a := buyer.Send(t, "GET", at, nil); a.Status != 200 || strings.Contains(a.Page, "Add to it") {
		t.Errorf("%d: it is bought in two places", a.Status)
	}
	must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		return exec(t.Context(), tx, "UPDATE services SET subscription_id = (SELECT id FROM subscriptions s WHERE NOT EXISTS (SELECT FROM services v WHERE v.subscription_id = s.id) LIMIT 1) WHERE id = ?", things[":service"])
	}))
	var page surfacetest.Answer
	for _, path := range []string{at, at + "/add"} {
		if n := count.Since(func() { page = buyer.Send(t, "GET", path, nil) }); n > mostStatements {
			t.Errorf("%s: %d statements", path, n)
		}
		says(t, "the way there", page, 200, "Add to")
	}
	says(t, "what can be bought", page, 200, "Charged once", "By telephone.", "€49.00", `action="`+at+`/buy"`, "Add-ons", `name="option.care" value="1"`)
	for path, form := range map[string]url.Values{"/buy": {"option.advice": {"2"}}, "/change": {"option.care": {"1"}}} {
		offer := buyer.Send(t, "POST", at+path, form)
		if offer.Status != 303 || !strings.Contains(offer.Where, at+"/change/") {
			t.Fatalf("%s: %d to %q", path, offer.Status, offer.Where)
		}
		says(t, "its quote", buyer.Send(t, "GET", offer.Where, nil), 200)
	}
	says(t, "another shop's", e.as(t, e.B, identity.CustomerMember).Send(t, "GET", at+"/add", nil), 404)
}
