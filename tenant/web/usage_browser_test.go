package web_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/surface/browser"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestUsageInABrowser looks at what was used as its customer and the team do: the month so
// far, a limit that is set, the events behind a line, the meter, and a quota that is used up
// in a trial.
func TestUsageInABrowser(t *testing.T) {
	w := tenancytest.New(t)
	e := newEstate(t, w)
	things := e.things[w.A.ID]
	home, drive := "http://"+w.A.PrimaryHost+":"+serve(t, e.front), browser.Open(t)
	customer, team := tab(t, drive, home, e.as(t, w.A, identity.CustomerMember)), tab(t, drive, home, e.as(t, w.A, identity.ResellerOwner))
	at := "/client/subscriptions/" + things[":subscription"]
	customer.Go(home + at + "/usage")
	customer.CheckViews("usage/client")
	customer.Fill("limit", "2.00")
	customer.Click(`input[name="stop"]`)
	customer.Follow(`form[action$="/spend"] button`)
	customer.Wait("main", "77 % of your limit")
	customer.CheckViews("usage/client_limit")
	for _, page := range []struct {
		name, path string
		of         *browser.Page
	}{
		{"client_line", "/client/invoices/" + things[":invoice"] + "/lines/" + things[":line"], customer},
		{"manage_line", "/manage/invoices/" + things[":invoice"] + "/lines/" + things[":line"], team},
		{"manage_usage", "/manage/subscriptions/" + things[":subscription"] + "/usage", team},
		{"manage_meter", "/manage/catalog/meters/" + things[":meter"], team},
	} {
		page.of.Go(home + page.path)
		page.of.CheckViews("usage/" + page.name)
	}
	must(t, e.DB(w.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		if err := exec(t.Context(), tx, "UPDATE meters SET capped = true, included = 25.5 WHERE id = ?", uuid.MustParse(things[":meter"])); err != nil {
			return err
		}
		var trial string
		id := uuid.MustParse(things[":subscription"])
		if err := tx.NewRaw("SELECT jsonb_build_object('from', anchor_at, 'until', anchor_at + interval '90 days', 'days', 90)::text FROM subscriptions WHERE id = ?", id).Scan(t.Context(), &trial); err != nil {
			return err
		}
		return exec(t.Context(), tx, "UPDATE subscriptions SET state = 'trial', metered_to = NULL, trial = ?::jsonb WHERE id = ?", trial, id)
	}))
	customer.Go(home + at + "/usage")
	customer.Wait("main", "Used in the trial")
	customer.Wait("main", "no more is taken before")
	customer.CheckViews("usage/client_trial")
}
