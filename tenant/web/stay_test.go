package web_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// Who cancels is shown the offer for their reason once, takes it or declines it with one
// click, and nothing of what they said is lost.
func TestAnOfferOnTheWayOut(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	owner, c := e.as(t, e.A, identity.ResellerOwner), e.as(t, e.A, identity.CustomerMember)
	const settings = "/manage/settings/cancellations"
	good := url.Values{"months": {"12"}, "kind.too_expensive": {"discount"}, "percent.too_expensive": {"25"}, "cycles.too_expensive": {"2"}, "kind.not_needed": {"pause"}, "days.not_needed": {"30"}}
	for field, bad := range map[string]string{"months": "x", "percent.too_expensive": "101", "days.not_needed": "0", "kind.not_needed": "gift"} {
		f := url.Values{}
		for k, v := range good {
			f[k] = v
		}
		f.Set(field, bad)
		says(t, field, owner.Send(t, "POST", settings, f), 422, "Save")
	}
	says(t, "saved", owner.Send(t, "POST", settings, good), 303)
	says(t, "kept", owner.Send(t, "GET", settings, nil), 200, `value="25"`, `value="30"`, "Nothing was offered yet")
	at := "/client/subscriptions/" + e.things[e.A.ID][":subscription"]
	ask := url.Values{"when": {"end"}, "reason": {"too_expensive"}, "note": {"<b>sorry</b>"}}
	says(t, "the offer", c.Send(t, "POST", at+"/cancel", ask), 200, "25 % off the next 2 invoices", "Stay with 25 % off", `name="declined"`, "sorry")
	ask.Set("declined", "yes")
	says(t, "declined", c.Send(t, "POST", at+"/cancel", ask), 303)
	says(t, "it is cancelled", c.Send(t, "GET", at, nil), 200, "Keep it after all")
	says(t, "taken back", c.Send(t, "POST", at+"/resume", nil), 303)
	ask.Del("declined")
	says(t, "once more", c.Send(t, "POST", at+"/cancel", ask), 200, "Stay with 25 % off")
	says(t, "another reason has none", e.as(t, e.B, identity.CustomerMember).Send(t, "POST", at+"/stay", ask), 404)
	for range 2 { // sent twice it is taken once
		says(t, "taken", c.Send(t, "POST", at+"/stay", ask), 303)
	}
	says(t, "it goes on", c.Send(t, "GET", at, nil), 200, "25 % off the next 2 invoices", "Offer you took")
	says(t, "no second offer", c.Send(t, "POST", at+"/cancel", ask), 303)
	a := owner.Send(t, "GET", settings, nil)
	if says(t, "the report", a, 200, "It is too expensive", "too early"); !strings.Contains(a.Page, `<td data-label="Taken" class="num">1</td>`) {
		t.Error("what was taken is not counted")
	}
}
