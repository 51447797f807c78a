package web_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/surface/browser"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// TestHoursInABrowser: the team sells a plan by the hour too, a customer orders it so, sees what
// it has cost by now, asks what a month would cost instead, and opens the line of the month's
// invoice to the hours behind it.
func TestHoursInABrowser(t *testing.T) {
	w := tenancytest.New(t)
	e := newEstate(t, w)
	e.onSale(t, w.A)
	db, things := e.DB(w.A), e.things[w.A.ID]
	must(t, db.Update(t.Context(), func(tx *tenancy.Tx) error { // the step of the address is done
		return exec(t.Context(), tx, `UPDATE accounts SET country = 'DE', kind = 'person', billing = '{"name":"Ida Buyer","line1":"Street 2","postcode":"10115","city":"Berlin","country":"DE"}'`)
	}))
	home, drive := "http://"+w.A.PrimaryHost+":"+serve(t, e.front), browser.Open(t)
	office := func() *browser.Page { return tab(t, drive, home, e.as(t, w.A, identity.ResellerOwner)) }
	client := func() *browser.Page { return tab(t, drive, home, e.as(t, w.A, identity.CustomerMember)) }
	team, plan := office(), "/manage/catalog/plans/"+things[":size"]
	team.Go(home + plan)
	team.Fill("hour.EUR", "0.02")
	team.Fill("hour_most.EUR", "9.50")
	team.ClickText("button", "Save")
	team.Wait("main", "Visitors see it now")
	see(team, home, map[string]string{"plan": plan, "scheduled": plan + "/prices", "agreed": "/manage/customers/" + things[":customer"] + "/prices"})

	shop := client()
	shop.Go(home + "/products/running/small")
	shop.Click(`input[name="cycle"][value="hourly"]`)
	shop.Wait(".summary", "€0.02 an hour, at most €9.50 a month")
	shop.CheckViews("hours/configure")
	shop.ClickText("button", "Continue")
	shop.Wait("main", "Order, and pay by the hour")
	shop.CheckViews("hours/checkout")
	shop.Click("#f-terms")
	shop.ClickText("button", "Order, and pay by the hour")
	shop.Wait("main", "Order #")
	shop.CheckViews("hours/order")

	desk := renewal.Desk{Mail: e.site.SignIn.Mail}
	var sub, first uuid.UUID
	must(t, db.View(t.Context(), func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT s.id, o.invoice_id FROM subscriptions s JOIN orders o ON o.id = s.order_id WHERE s.cycle = 'hourly'").Scan(t.Context(), &sub, &first)
	}))
	must(t, desk.Paid(t.Context(), db, first))
	e.Clock.Advance(84*time.Hour + 30*time.Minute)
	shop, at := client(), "/client/subscriptions/"+sub.String()
	shop.Go(home + at + "/usage")
	shop.Wait("main", "€1.70") // the hour that is begun counts
	see(shop, home, map[string]string{"client_usage": at + "/usage", "client_subscription": at, "client_subscriptions": "/client/subscriptions"})
	team = office()
	see(team, home, map[string]string{"manage_usage": "/manage/subscriptions/" + sub.String() + "/usage", "manage_subscription": "/manage/subscriptions/" + sub.String()})
	shop.Go(home + at + "/change")
	shop.CheckViews("hours/client_change")
	shop.Click(`input[name="cycle"][value="monthly"]`)
	shop.ClickText("button", "Show the price")
	shop.Wait("main", "This price counts until")
	shop.CheckViews("hours/client_quote")

	var end time.Time
	must(t, db.View(t.Context(), func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT metered_to FROM subscriptions WHERE id = ?", sub).Scan(t.Context(), &end)
	}))
	e.Clock.Set(end)
	must(t, desk.Renew(t.Context(), db, end))
	var invoice string
	must(t, db.View(t.Context(), func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT invoice_id FROM invoice_lines WHERE subscription_id = ? AND kind = 'usage'", sub).Scan(t.Context(), &invoice)
	}))
	shop, team = client(), office()
	for _, of := range []struct {
		name, at string
		page     *browser.Page
	}{{"client", "/client/invoices/", shop}, {"manage", "/manage/invoices/", team}} {
		of.page.Go(home + of.at + invoice)
		of.page.Wait("main", "744 hours, the most a month")
		of.page.CheckViews("hours/" + of.name + "_invoice")
		of.page.Follow(`main a[href^="` + of.at + invoice + `/lines/"]`)
		of.page.Wait("main", "744")
		of.page.CheckViews("hours/" + of.name + "_line")
	}
}

// see looks at pages, each in all views.
func see(p *browser.Page, home string, pages map[string]string) {
	for name, path := range pages {
		p.Go(home + path)
		p.CheckViews("hours/" + name)
	}
}
