package web_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

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

// TestATiersRoomOnBothSides: a tier's limits are set with it, and both sides see what is used.
func TestATiersRoomOnBothSides(t *testing.T) {
	w := tenancytest.New(t)
	h := openOver(t, w, identity.StaffAdmin)
	p := openPartner(t, w)
	a := "/resellers/" + w.A.ID.String()
	month := wholesale.MonthOf(w.Clock.Now()).From.Format("2006-01-02")
	set := func(team, services string) answer {
		return h.post("/wholesale/tiers", "tier", "lean", "currency", "EUR", "name", "Lean", "fee", "0", "percent", "0", "team", team, "services", services, "from", month)
	}
	h.want("junk", set("nobody", "0"), 422, "Enter a number, 1 or more.", `value="nobody"`)
	h.want("set", set("3", "1"), 303, "/wholesale/tiers")
	h.want("listed", h.get("/wholesale/tiers"), 200, `data-label="Team" class="num">3<`, `data-label="Services" class="num">1<`)
	p.want("before its terms", p.get("/"), 200, "of 25 your tier gives")
	must(t, h.desk.SetTerms(t.Context(), w.A.ID, wholesale.NewTerms{Tier: "lean", Currency: "EUR", From: wholesale.MonthOf(w.Clock.Now()).From}, seeder))
	page := p.read("/")
	p.want("nothing used", page, 200, "of 1 your tier gives", "of 3 your tier gives")
	if strings.Contains(page.page, "gives no service more") {
		t.Error("full with nothing sold")
	}
	at := w.Clock.Now()
	must(t, w.DB(w.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		return tx.ShowService(t.Context(), tenancy.ServiceShown{ID: uuid.New(), SKU: "vps-s", Desired: "active", Observed: "active", BeganAt: &at, ChangedAt: at})
	}))
	p.want("full", p.get("/"), 200, "Your tier gives no service more")
	h.want("staff see it", h.get(a), 200, "Its tier gives no service more", "of 1 its tier gives", "of 3 its tier gives")
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

// TestABalanceOnBothSides: staff have a reseller pay ahead and book what arrives; the reseller
// tops up by card and sees each movement; what is left goes back.
func TestABalanceOnBothSides(t *testing.T) {
	w := tenancytest.New(t)
	billedWorld(t, w)
	h := openOver(t, w, identity.StaffBilling)
	a := "/resellers/" + w.A.ID.String()
	h.want("none", h.get(a+"/billing"), 200, "nothing is paid ahead", a+"/balance")
	h.want("pays ahead", h.post(a+"/balance/terms", "prepaid", "on"), 303, a+"/balance")
	h.want("shown", h.get(a+"/balance"), 200, "They pay ahead", "used up", "€104.16")
	h.want("junk", h.post(a+"/balance/top-up", "key", "k", "amount", "1e3", "note", "x"), 422, "Enter an amount from", `value="1e3"`)
	for range 2 {
		h.want("booked", h.post(a+"/balance/top-up", "key", "k", "amount", "60", "note", "SEPA 17"), 303, a+"/balance")
	}
	h.want("the invoice is paid from it", h.get(a+"/balance"), 200, "SEPA 17", "Invoice WS-000001", "-€51.49", "€8.51")
	p := openPartner(t, w)
	p.want("the reseller's side", p.get("/"), 200, "Your balance is used up", "€8.51")
	p.want("its statement", p.get("/balance"), 200, "SEPA 17", "/invoices/"+invoiceOf(t, w, w.A), "2 movements")
	p.want("as a file", p.get("/balance?format=csv"), 200, "51.49,8.51,EUR")
	p.want("how much", p.get("/balance/top-up?amount=x"), 422, "Enter an amount from", `value="x"`)
	page := p.get("/balance/top-up?amount=100")
	p.want("how", page, 200, "Pay €100.00", `data-minor="10000"`, `name="key"`)
	p.want("without a card", p.post("/balance/top-up", "amount", "100", "key", "f1", "with", "kept"), 404, "no such card")
	p.want("without a script", p.post("/balance/top-up", "amount", "100", "key", "f1", "with", "card"), 422, "needs JavaScript")
	st, err := p.bank.desk.AddCard(t.Context(), w.A.ID, "")
	must(t, err)
	p.bank.enter("setup_intents", st.ClientSecret, "4242424242424242")
	p.want("kept", p.get("/billing/card/saved?setup_intent="+st.Ref), 303, "/billing")
	for range 2 {
		p.want("topped up", p.post("/balance/top-up", "amount", "100", "key", "f2", "with", "kept"), 303, "/balance")
	}
	p.want("it is there once", p.get("/balance"), 200, "€108.51", "3 movements")
	p.want("junk", p.post("/balance/settings", "warn", "-1", "auto", "lots"), 422, "such as 100.00", `value="lots"`)
	p.want("by itself", p.post("/balance/settings", "warn", "20", "auto", "50"), 303, "/balance")
	p.want("kept so", p.get("/balance"), 200, `value="20.00"`, `value="50.00"`, "•••• 4242")
	h.want("too much", h.post(a+"/balance/back", "key", "b", "back", "200", "reason", "x", "to", "card"), 422, "at most €108.51")
	h.want("given back", h.post(a+"/balance/back", "key", "b", "back", "8.51", "reason", "SEPA 99", "to", "transfer"), 303, a+"/balance")
	h.want("less is there", h.get(a+"/balance"), 200, "Given back", "SEPA 99", "€100.00")
}

// TestABillDayOnBothSides: staff set it, and both see which month is under way.
func TestABillDayOnBothSides(t *testing.T) {
	w := tenancytest.New(t)
	billedWorld(t, w)
	h := openOver(t, w, identity.StaffBilling)
	a := "/resellers/" + w.A.ID.String()
	h.want("calendar months", h.get(a+"/billing"), 200, `?period=2026-11">2026-11</a>; after it come 2026-12`)
	h.want("junk", h.post(a+"/bill-day", "day", "31"), 422, "from 1 to 28", `value="31"`)
	h.want("set", h.post(a+"/bill-day", "day", "15"), 303, a+"/billing")
	h.want("to come", h.get(a+"/billing"), 200, "after it come 1 Dec to 14 Dec 2026 and 15 Dec to 14 Jan 2027")
	h.want("who is not in it", h.get("/wholesale/preview?period=2026-12"), 200, "beta", "1 reseller is not in it", "15 Dec to 14 Jan 2027")
	h.want("a preview of it", h.get("/wholesale/preview?period=2026-12-01..2026-12-15"), 200, "alpha", "everything runs on")
	w.Clock.Set(w.Clock.Now().AddDate(0, 1, 0))
	p := openPartner(t, w)
	p.want("the reseller's side", p.get("/month"), 200, "What 1 Dec to 14 Dec 2026 will cost", "€23.79") // 14 of 31 days of 49.00 and of 4.20 less 12.5 %
}
