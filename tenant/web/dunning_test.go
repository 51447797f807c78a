package web_test

import (
	"net/url"
	"testing"

	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestDaysOfAPlan gives a plan days of its own and takes them away; what makes no sense is
// refused at its field, and the neighbour's plan is not there.
func TestDaysOfAPlan(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	owner, agent := e.as(t, e.A, identity.ResellerOwner), e.as(t, e.A, identity.ResellerAgent)
	at, theirs := "/manage/catalog/plans/"+e.things[e.A.ID][":size"]+"/dunning", "/manage/catalog/plans/"+e.things[e.B.ID][":size"]+"/dunning"
	before := e.state(t, e.B)
	own := url.Values{"days": {"own"}, "try_days": {"0, 2"}, "suspend_days": {"4"}, "end_days": {"9"}, "notice_days": {"1"}}
	says(t, "the shop's", owner.Send(t, "GET", at, nil), 200, "0, 1, 3, 5, 7", `value="shop" checked`)
	wrong := url.Values{"days": {"own"}, "try_days": {"2, 0"}, "suspend_days": {"4"}, "end_days": {"3"}, "notice_days": {"x"}}
	says(t, "nonsense", owner.Send(t, "POST", at, wrong), 422, `value="own" checked`, `value="2, 0"`, "Give days that grow", "A service ends after it was suspended", "from 0 to 30")
	says(t, "its own", owner.Send(t, "POST", at, own), 303)
	says(t, "its own, shown", owner.Send(t, "GET", at, nil), 200, `value="own" checked`, `value="0, 2"`, `value="9"`)
	says(t, "the editor leads there", owner.Send(t, "GET", "/manage/catalog/plans/"+e.things[e.A.ID][":size"], nil), 200, at)
	says(t, "the shop's stay", owner.Send(t, "GET", "/manage/settings/renewals", nil), 200, "0, 1, 3, 5, 7")
	says(t, "an agent", agent.Send(t, "POST", at, own), 403)
	for _, method := range []string{"GET", "POST"} {
		says(t, method+" the neighbour's", owner.Send(t, method, theirs, own), 404)
		says(t, method+" nobody's", owner.Send(t, method, "/manage/catalog/plans/x/dunning", own), 404)
	}
	says(t, "back to the shop's", owner.Send(t, "POST", at, url.Values{"days": {"shop"}}), 303)
	says(t, "the shop's again", owner.Send(t, "GET", at, nil), 200, "0, 1, 3, 5, 7", `value="shop" checked`)
	unchanged(t, "the neighbour", before, e.state(t, e.B))
}
