package web_test

import (
	"strings"
	"testing"

	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestACreditLimitOnBothSides: staff set it, and both see how far it is used.
func TestACreditLimitOnBothSides(t *testing.T) {
	w := tenancytest.New(t)
	billedWorld(t, w)
	h := openOver(t, w, identity.StaffBilling)
	a := "/resellers/" + w.A.ID.String()
	h.want("none", h.get(a+"/billing"), 200, "There is none")
	h.want("junk", h.post(a+"/limit", "limit", "lots"), 422, "such as 500.00", `value="lots"`)
	h.want("set", h.post(a+"/limit", "limit", "104"), 303, a+"/billing")
	h.want("used", h.get(a+"/billing"), 200, "€104.16", "of €104.00", "Nothing new is sold", `value="104.00"`) // 51.49 open and 52.67 running
	p := openPartner(t, w)
	p.want("the reseller's side", p.get("/"), 200, "Your credit limit is reached", "€104.16", "of €104.00")
	h.want("taken away", h.post(a+"/limit", "limit", ""), 303, a+"/billing")
	h.want("none any more", h.get(a+"/billing"), 200, "There is none")
}

// TestAPersonWithTwoShopsChooses: the pages are about the shop that was chosen last, and
// nobody chooses what is not theirs.
func TestAPersonWithTwoShopsChooses(t *testing.T) {
	w := tenancytest.New(t)
	h := openPartner(t, w)
	if page := h.read("/").page; strings.Contains(page, `action="/choose"`) {
		t.Error("one shop is to be chosen among")
	}
	h.want("another's", h.post("/choose", "shop", h.B.ID.String()), 404, "You do not speak for that business")
	must(t, w.Central.Update(t.Context(), func(tx *tenancy.CentralTx) error { return wholesale.Link(t.Context(), tx, h.person.ID, w.B.ID) }))
	h.want("the first", h.read("/"), 200, "<h1>alpha</h1>", `action="/choose"`, "beta")
	h.want("chosen", h.keep(h.post("/choose", "shop", h.B.ID.String())), 303, "/")
	h.want("the second", h.get("/"), 200, "<h1>beta</h1>")
	h.want("junk", h.post("/choose", "shop", "x"), 404, "You do not speak for that business")
	_, err := w.Owner.Exec(t.Context(), "DELETE FROM central.partners WHERE tenant_id = $1", w.B.ID.Number())
	must(t, err)
	h.want("no longer theirs", h.get("/"), 200, "<h1>alpha</h1>")
}
