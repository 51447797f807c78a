package web_test

import (
	"net/url"
	"strings"
	"testing"

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
	says(t, "chosen", c.Send(t, "POST", at, url.Values{"together": {"yes"}}), 303)
	says(t, "the team sees it", team.Send(t, "GET", behalf, nil), 200, `value="yes" checked`)
	says(t, "the team changes it", team.Send(t, "POST", behalf, url.Values{"together": {"no"}}), 303)
	says(t, "as it is now", c.Send(t, "GET", at, nil), 200, `value="no" checked`)
	says(t, "written down", team.Send(t, "GET", "/manage/activity", nil), 200, "account.invoicing_changed")
	if a := team.Send(t, "GET", strings.Replace(behalf, e.things[e.A.ID][":customer"], e.things[e.B.ID][":customer"], 1), nil); a.Status != 404 {
		t.Errorf("the neighbour's customer: %d", a.Status)
	}
	unchanged(t, "the neighbour", before, e.state(t, e.B))
}
