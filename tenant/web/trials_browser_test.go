package web_test

import (
	"testing"

	"github.com/ezscale/ezscale/branding/surface/browser"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestTrialsInABrowser gives a plan a trial that needs a card, and tries it: the shop says
// what it costs and when, a card that is declined begins nothing, and one that is saved
// does. Then the trial is ended early.
func TestTrialsInABrowser(t *testing.T) {
	w := tenancytest.New(t)
	e := newEstate(t, w)
	e.onSale(t, w.A)
	e.takeCards(t, w.A)
	must(t, e.DB(w.A).Update(t.Context(), func(tx *tenancy.Tx) error { // the step of the address is done
		return exec(t.Context(), tx, `UPDATE accounts SET country = 'DE', kind = 'person', billing = '{"name":"Ida Buyer","line1":"Street 2","postcode":"10115","city":"Berlin","country":"DE"}'`)
	}))
	home := "http://" + w.A.PrimaryHost + ":" + serve(t, e.front)
	drive := browser.Open(t)
	team := tab(t, drive, home, e.as(t, w.A, identity.ResellerOwner))
	team.Go(home + "/manage/catalog/plans/" + e.things[w.A.ID][":size"])
	team.Fill("trial_days", "14")
	team.Click("#f-trial_card")
	team.Screenshot("trials/plan")
	team.ClickText("button", "Save")
	team.Wait("main", "Visitors see it now")

	shop := tab(t, drive, home, e.as(t, w.A, identity.CustomerMember))
	shop.Allow("402") // a declined card is an answer of the simulator's
	shop.Go(home + "/products/running/small")
	shop.Wait(".summary", "14 days free. €0.00 today, then €10.00 a month from")
	shop.CheckViews("trials/configure")
	shop.ClickText("button", "Continue")
	shop.Wait("main", "The trial begins when a card is saved.")
	shop.CheckViews("trials/card")
	typeCard(shop, "4000000000000002")
	shop.ClickText("button", "Save the card")
	shop.Wait("main", "declined")
	typeCard(shop, "4242424242424242")
	shop.ClickText("button", "Save the card")
	shop.Wait("main", "Begin the trial for €0.00")
	shop.Wait("main", "The first invoice is paid with Visa •••• 4242 when the trial is over.")
	shop.CheckViews("trials/begin")
	shop.Click("#f-terms")
	shop.ClickText("button", "Begin the trial")
	shop.Wait("main", "Order #")
	shop.CheckViews("trials/order")
	var sub string
	must(t, e.DB(w.A).View(t.Context(), func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT id FROM subscriptions WHERE state = 'trial'").Scan(t.Context(), &sub)
	}))
	shop.Go(home + "/client/subscriptions/" + sub)
	shop.Wait("main", "It is a trial until")
	shop.CheckViews("trials/subscription")
	shop.ClickText("button", "Keep it and pay from now on")
	shop.Wait("main", "The trial is over, and the first invoice is being paid")
}
