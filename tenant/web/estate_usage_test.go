package web_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/metering"
)

// furnishUsage has the tenant's plan billed by traffic, something used of the buyer's
// subscription, and a line about it on the buyer's invoice.
func (e *estate) furnishUsage(t testing.TB, of tenancy.Tenant) {
	t.Helper()
	ctx, things, db := t.Context(), e.things[of.ID], e.DB(of)
	sub, plan := uuid.MustParse(things[":subscription"]), uuid.Nil
	must(t, db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT plan_id FROM subscriptions WHERE id = ?", sub).Scan(ctx, &plan)
	}))
	m, err := catalog.SaveMeter(ctx, db, catalog.MeterForm{PlanID: plan, Code: "traffic", Name: "Traffic", Unit: "GB", Aggregation: "sum", Feed: catalog.FeedAPI, Model: "graduated", Included: "10",
		Tiers: map[string]string{"EUR": "100 | 0.10\n0.0042"}}, audit.Origin{Actor: audit.System("test")})
	must(t, err)
	must(t, db.Update(ctx, func(tx *tenancy.Tx) error {
		if err := exec(ctx, tx, "UPDATE subscriptions SET metered_at = ?, metered_to = coalesce(period_to, ?) WHERE id = ?", tx.Now(), tx.Now().Add(24*time.Hour), sub); err != nil {
			return err
		}
		return exec(ctx, tx, `INSERT INTO invoice_lines (invoice_id, position, kind, subscription_id, description, period_from, period_to, quantity, unit_minor, net_minor, tax_percent, tax_note, meter_id, usage_round)
			SELECT ?::uuid, 9, 'usage', s.id, 'Traffic', s.anchor_at, s.metered_to, 1, 0, 0, 0, '', ?::uuid, 0 FROM subscriptions s WHERE s.id = ?`, things[":invoice"], m.ID, sub)
	}))
	out, err := (&metering.Desk{}).Record(ctx, db, []metering.Event{{Source: "edge", ID: "one-" + of.Slug, SubscriptionID: sub, Meter: "traffic", Value: "25.5", At: e.Clock.Now()}})
	must(t, err)
	if out[0].Status != metering.Accepted {
		t.Fatalf("usage was not taken: %+v", out)
	}
	things[":meter"], things[":line"] = m.ID.String(), "9"
}

func TestUsagePages(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	things, theirs := e.things[e.A.ID], e.things[e.B.ID]
	c, team := e.as(t, e.A, identity.CustomerMember), e.as(t, e.A, identity.ResellerOwner)
	at := "/client/subscriptions/" + things[":subscription"]
	says(t, "the subscription", c.Send(t, "GET", at, nil), 200, at+"/usage")
	says(t, "what was used", c.Send(t, "GET", at+"/usage", nil), 200, "Used this month", "25.5 GB", "10 GB a month included", "1.55")
	says(t, "the team's view of it", team.Send(t, "GET", "/manage/subscriptions/"+things[":subscription"]+"/usage", nil), 200, "Used this month", "1.55")
	must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		if err := exec(t.Context(), tx, "UPDATE services SET subscription_id = ? WHERE id = ?", uuid.MustParse(things[":subscription"]), uuid.MustParse(things[":service"])); err != nil {
			return err
		}
		return exec(t.Context(), tx, "UPDATE meters SET capped = true, included = 34 WHERE id = ?", uuid.MustParse(things[":meter"]))
	}))
	says(t, "of a quota", c.Send(t, "GET", at+"/usage", nil), 200, "25.5 GB of 34 GB", `value="75"`, `href="`+at+`/change">Upgrade`)
	says(t, "at the service", c.Send(t, "GET", "/client/services/"+things[":service"]+"/billing", nil), 200, "25.5 GB of 34 GB", ">Upgrade<")
	if a := team.Send(t, "GET", "/manage/subscriptions/"+things[":subscription"]+"/usage", nil); strings.Contains(a.Page, ">Upgrade<") || !strings.Contains(a.Page, "of 34 GB") {
		t.Error("the team is offered to upgrade")
	}
	must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		return exec(t.Context(), tx, "UPDATE meters SET capped = false, included = 10 WHERE id = ?", uuid.MustParse(things[":meter"]))
	}))
	if a := c.Send(t, "GET", "/client/subscriptions/"+theirs[":subscription"]+"/usage", nil); a.Status != 404 {
		t.Errorf("the usage of another shop's: %d", a.Status)
	}
	if a := c.Send(t, "POST", at+"/spend", url.Values{"limit": {"2.00"}, "stop": {"on"}}); a.Status != 303 {
		t.Errorf("a limit: %d", a.Status)
	}
	says(t, "with a limit", c.Send(t, "GET", at+"/usage", nil), 200, "77 % of your limit", "turned off when it is reached")
	for _, bad := range []string{"-1", "x", "1.234", "0"} {
		says(t, "the limit "+bad, c.Send(t, "POST", at+"/spend", url.Values{"limit": {bad}}), 422, "Please enter an amount")
	}
	if a := c.Send(t, "POST", "/client/subscriptions/"+theirs[":subscription"]+"/spend", url.Values{"limit": {"5"}}); a.Status != 404 {
		t.Errorf("the limit of another shop's: %d", a.Status)
	}
	if a := c.Send(t, "POST", at+"/spend", url.Values{"limit": {""}}); a.Status != 303 {
		t.Errorf("no limit: %d", a.Status)
	}
	for who, base := range map[string]string{"client": "/client/invoices/", "manage": "/manage/invoices/"} {
		x := c
		if who == "manage" {
			x = team
		}
		line := base + things[":invoice"] + "/lines/9"
		says(t, who+": the line", x.Send(t, "GET", line, nil), 200, "one-"+e.A.Slug, "edge", "25.5")
		if a := x.Send(t, "GET", line+"?format=csv", nil); a.Status != 200 || !strings.Contains(a.Page, "one-"+e.A.Slug) {
			t.Errorf("%s: the file: %d %s", who, a.Status, a.Page)
		}
		for _, none := range []string{"/lines/1", "/lines/0", "/lines/x", "/lines/99999999999999999999"} {
			if a := x.Send(t, "GET", base+things[":invoice"]+none, nil); a.Status != 404 {
				t.Errorf("%s: %s: %d", who, none, a.Status)
			}
		}
		if a := x.Send(t, "GET", base+theirs[":invoice"]+"/lines/9", nil); a.Status != 404 {
			t.Errorf("%s: another shop's line: %d", who, a.Status)
		}
	}
}

func TestMetersAreEdited(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	things, team := e.things[e.A.ID], e.as(t, e.A, identity.ResellerOwner)
	form := url.Values{"code": {"desktop"}, "name": {"Desktop time"}, "aggregation": {"sessions"}, "feed": {"power"}, "model": {"graduated"}, "step_minutes": {"15"}, "tiers.EUR": {"0.20"}}
	add := "/manage/catalog/plans/" + things[":size"] + "/meters/new"
	if a := team.Send(t, "POST", add, form); a.Status != 303 {
		t.Fatalf("a meter: %d %s", a.Status, a.Page)
	}
	says(t, "the plan", team.Send(t, "GET", "/manage/catalog/plans/"+things[":size"], nil), 200, "Desktop time", "an hour, billed in steps of 15 minutes")
	says(t, "the same code", team.Send(t, "POST", add, form), 422, "Another meter of this plan has this code")
	for field, bad := range map[string]url.Values{
		"up to": {"tiers.EUR": {"100 | 0.1"}}, "no price": {"tiers.EUR": {""}}, "letters": {"tiers.EUR": {"much"}}, "fed wrongly": {"aggregation": {"sum"}, "tiers.EUR": {"1"}}, "package": {"model": {"package"}},
		"traffic by the hour": {"feed": {"traffic"}}, "traffic refused": {"feed": {"traffic"}, "aggregation": {"sum"}, "capped": {"on"}},
	} {
		f := url.Values{}
		for k, v := range form {
			f[k] = v
		}
		f["code"] = []string{"other"}
		for k, v := range bad {
			f[k] = v
		}
		if a := team.Send(t, "POST", add, f); a.Status != 422 {
			t.Errorf("%s: %d", field, a.Status)
		}
	}
	carried := url.Values{"code": {"carried"}, "name": {"Carried"}, "unit": {"parcels"}, "aggregation": {"sum"}, "feed": {"traffic"}, "model": {"graduated"}, "included": {"500"}, "tiers.EUR": {"0.01"}}
	if a := team.Send(t, "POST", add, carried); a.Status != 303 {
		t.Errorf("a meter of traffic: %d %s", a.Status, a.Page)
	}
	says(t, "traffic is in GB", team.Send(t, "GET", "/manage/catalog/plans/"+things[":size"], nil), 200, "500 GB")
	e.Clock.Advance(time.Minute)
	edit := "/manage/catalog/meters/" + things[":meter"]
	says(t, "the meter", team.Send(t, "GET", edit, nil), 200, "100 | 0.10", "0.0042")
	if a := team.Send(t, "POST", edit, url.Values{"code": {"traffic"}, "name": {"Traffic"}, "aggregation": {"sum"}, "feed": {"api"}, "model": {"volume"}, "tiers.EUR": {"0.5"}}); a.Status != 303 {
		t.Errorf("another price: %d %s", a.Status, a.Page)
	}
	// Who has the plan keeps what it was sold with.
	says(t, "the subscription", e.as(t, e.A, identity.CustomerMember).Send(t, "GET", "/client/subscriptions/"+things[":subscription"]+"/usage", nil), 200, "10 GB a month included")
	if a := team.Send(t, "GET", edit, nil); a.Status != 404 {
		t.Errorf("the old meter: %d", a.Status)
	}
	if a := team.Send(t, "GET", "/manage/catalog/meters/"+e.things[e.B.ID][":meter"], nil); a.Status != 404 {
		t.Errorf("another shop's meter: %d", a.Status)
	}
}

func TestTeamTokensAreMade(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	team := e.as(t, e.A, identity.ResellerOwner)
	a := team.Send(t, "POST", "/manage/api/tokens", url.Values{"name": {"edge"}, "expires": {"90"}, "scope_usage:write": {"1"}})
	says(t, "a token", a, 200, "tok_", "edge")
	says(t, "the list", team.Send(t, "GET", "/manage/api", nil), 200, "edge", "usage:write")
	if strings.Contains(e.as(t, e.A, identity.CustomerMember).Send(t, "GET", "/client/api", nil).Page, "usage:write") {
		t.Error("a customer is offered to tell usage")
	}
	says(t, "nothing chosen", team.Send(t, "POST", "/manage/api/tokens", url.Values{"name": {"x"}, "expires": {"90"}}), 422, "Choose what the token may do")
}
