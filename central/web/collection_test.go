package web_test

import (
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/stripe"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestCollectingOnBothSides: staff offer it, a customer pays, the reseller sees what it is
// owed and says where to, staff pay it out once, and the month's statement adds up. The other
// reseller sees none of it.
func TestCollectingOnBothSides(t *testing.T) {
	w := tenancytest.New(t)
	billedWorld(t, w)
	ctx := t.Context()
	h, p := openOver(t, w, identity.StaffBilling), openPartner(t, w)
	a := "/resellers/" + w.A.ID.String() + "/balance"
	p.want("nothing of it", p.get("/balance"), 200, "What you have paid ahead. Your invoices")
	h.want("no account", h.post(a+"/collection", "collect", "on", "collect_percent", "2.9", "collect_hold", "7"), 409, "set its keys first")
	h.desk.Taker = p.bank.desk.Taker
	h.want("not offered", h.get(a), 200, "Not offered", "Nothing was taken for them yet")
	h.want("junk", h.post(a+"/collection", "collect", "on", "collect_percent", "lots", "collect_fixed", "-1", "collect_hold", "x"), 422, "from 0 to 50", "such as 0.25", "from 0 to 180", `value="lots"`)
	h.want("offered", h.post(a+"/collection", "collect", "on", "collect_percent", "2.9", "collect_fixed", "0.25", "collect_hold", "7"), 303, a)
	h.want("shown", h.get(a), 200, "Offered", "2.9 %", "€0.25", "7 days")
	w.Clock.Advance(time.Second)
	g, err := stripe.NewShared(stripe.Config{SecretKey: platformKey, PublishableKey: "pk_test_platform", APIURL: p.bank.url, Shop: w.A.ID.String()}, "EUR")
	must(t, err)
	pay, err := g.Charge(ctx, gateway.Charge{Key: "pay/1", Amount: billing.Money{Minor: 20_000, Currency: "EUR"}, Customer: gateway.Customer{Key: "x"}, Reference: "NIM-2026-7"})
	must(t, err)
	p.bank.enter("payment_intents", pay.ClientSecret, "4242424242424242")
	must(t, w.DB(w.A).Update(ctx, func(tx *tenancy.Tx) error { return tx.TellCollected(ctx, pay.Ref) }))
	must(t, h.desk.BookCollected(ctx))
	// 200.00 less 6.05, and the open invoice of 51.49 is paid from it.
	h.want("staff see it", h.get(a), 200, "Customer's payment", "NIM-2026-7", "€142.46", "They have told no bank account yet")
	p.want("the reseller sees it", p.get("/balance"), 200, "Taken from your customers", "NIM-2026-7", "€142.46", "Held back")
	p.want("junk", p.post("/balance/payout-account", "payout_holder", "", "payout_iban", "DE00", "payout_bic", "?"), 422, "not a valid IBAN", "8 or 11", `value="DE00"`)
	p.want("where to", p.post("/balance/payout-account", "payout_holder", "Alpha GmbH", "payout_iban", "DE02 1203 0000 0000 2020 51"), 303, "/balance")
	h.want("nothing is due yet", h.get("/wholesale/payouts"), 200, "alpha", "DE02120300000000202051", "€0.00")
	h.want("too early", h.post(a+"/payout", "payout", "10", "payout_ref", "SEPA 1"), 422, "At most €0.00")
	_, err = w.Owner.Exec(ctx, "UPDATE central.collected_payments SET free_at = came_at") // sessions do not last a week
	must(t, err)
	h.want("due", h.get("/wholesale/payouts?format=csv"), 200, w.A.ID.String()+",alpha,Alpha GmbH,DE02120300000000202051,,142.46,EUR,PAYOUT-"+w.A.ID.String(), "-1\n")
	h.want("the first reference", h.get(a), 200, "-"+w.Clock.Now().UTC().Format("20060102")+"-1\"")
	for range 2 {
		h.want("paid out", h.post(a+"/payout", "payout", "100", "payout_ref", "SEPA 1"), 303, a)
	}
	h.want("once", h.get(a), 200, "€42.46", "SEPA 1", "-€100.00", "-"+w.Clock.Now().UTC().Format("20060102")+"-2\"")
	h.want("came back", h.post(a+"/payout-returned", "returned_ref", "SEPA 1"), 303, a)
	h.want("unknown", h.post(a+"/payout-returned", "returned_ref", "SEPA 2"), 422, "no payout with this reference")
	p.want("the month", p.get("/balance/statements"), 200, "Opening balance", "Closing balance", "€142.46", "Customers' payments", "Fees for taking them", "Payout that came back")
	p.want("its file", p.get("/balance/statements/2026-11?format=csv"), 200, "opening,,,0.00,EUR", "closing,,,142.46,EUR", "fee,NIM-2026-7,'-6.05")
	p.want("no month", p.get("/balance/statements/2026-13"), 404, "no statement of that month")
	w.Clock.Advance(11 * time.Minute)
	p.want("who sits there", p.post("/balance/payout-account", "payout_holder", "Mallory", "payout_iban", "GB33 BUKB 2020 1555 5555 55"), 303, "/security/prove?next=%2Fbalance")
	p.want("nothing changed", p.get("/balance"), 200, "Alpha GmbH")
	h.want("the other", h.get("/resellers/"+w.B.ID.String()+"/balance"), 200, "Nothing was taken for them yet")
	h.want("taken back", h.post(a+"/collection", "collect_percent", "2.9", "collect_fixed", "0.25", "collect_hold", "7"), 303, a)
	h.want("not offered", h.get(a), 200, "Not offered")
}
