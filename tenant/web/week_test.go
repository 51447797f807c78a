package web_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
)

// renewed is an open invoice of the next period of the tenant's subscription.
func (e *estate) renewed(t testing.TB, of tenancy.Tenant, days int) uuid.UUID {
	t.Helper()
	ctx, sub := t.Context(), e.things[of.ID][":subscription"]
	var inv invoicing.Invoice
	must(t, e.DB(of).Update(ctx, func(tx *tenancy.Tx) error {
		var account uuid.UUID
		if err := tx.NewRaw("SELECT account_id FROM subscriptions WHERE id = ?", sub).Scan(ctx, &account); err != nil {
			return err
		}
		from := tx.Now().AddDate(0, 0, days).UTC()
		line := billing.Line{Kind: "plan", SubscriptionID: sub, Description: "VPS Small", Quantity: 1, Unit: billing.Money{Minor: 999, Currency: "EUR"}, Period: billing.Period{From: from, To: from.AddDate(0, 1, 0)}}
		var err error
		inv, err = invoicing.Issue(ctx, tx, invoicing.Draft{Key: "renewal/" + sub + "/" + from.Format(time.RFC3339), AccountID: account, Currency: "EUR", DueAt: from, Lines: []billing.Line{line}})
		return err
	}))
	return inv.ID
}

func TestPauseAndPayAhead(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	c, team := e.as(t, e.A, identity.CustomerMember), e.as(t, e.A, identity.ResellerOwner)
	at := "/client/subscriptions/" + e.things[e.A.ID][":subscription"]
	behalf := strings.Replace(at, "/client/", "/manage/", 1)
	if a := c.Send(t, "GET", at, nil); a.Status != 200 || strings.Contains(a.Page, "Take a break") || !strings.Contains(a.Page, "Pay ahead") {
		t.Errorf("a plan that is not paused: %d", a.Status)
	}
	must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw("UPDATE plans SET pause_days = 30").Exec(t.Context())
		return err
	}))
	says(t, "offered", c.Send(t, "GET", at, nil), 200, "Take a break", "From 1 to 30.")
	says(t, "instead of cancelling", c.Send(t, "GET", at+"/cancel", nil), 200, "Pause it instead")
	for _, days := range []string{"", "0", "31", "x"} {
		c.Send(t, "POST", at+"/pause", url.Values{"days": {days}})
	}
	if a := e.as(t, e.B, identity.CustomerMember).Send(t, "POST", at+"/pause", url.Values{"days": {"5"}}); a.Status != 404 {
		t.Errorf("the neighbour: %d", a.Status)
	}
	a := c.Send(t, "POST", at+"/prepay", url.Values{"cycles": {"3"}})
	if a.Status != 303 || !strings.HasPrefix(a.Where, at+"/change/") {
		t.Fatalf("pay ahead: %d to %s", a.Status, a.Where)
	}
	says(t, "the price ahead", c.Send(t, "GET", a.Where, nil), 200, "Pay ahead for VPS Small", "ahead</button>", "€29.97")
	says(t, "pause", c.Send(t, "POST", at+"/pause", url.Values{"days": {"5"}}), 303)
	says(t, "paused", c.Send(t, "GET", at, nil), 200, "It is paused since", "Continue now", "Paused")
	says(t, "the team sees it", team.Send(t, "GET", behalf, nil), 200, "It is paused since")
	says(t, "in the list", team.Send(t, "GET", "/manage/subscriptions?state=paused", nil), 200, "VPS Small")
	says(t, "continue", c.Send(t, "POST", at+"/continue", nil), 303)
	says(t, "the team pauses", team.Send(t, "POST", behalf+"/pause", url.Values{"days": {"5"}, "reason": {"Works on the rack."}}), 303)
	if a := c.Send(t, "GET", at, nil); a.Status != 200 || !strings.Contains(a.Page, "Works on the rack.") || strings.Contains(a.Page, "Continue now") {
		t.Errorf("the team's pause: %d", a.Status)
	}
	says(t, "ended now", c.Send(t, "POST", at+"/cancel", url.Values{"when": {"now"}, "reason": {"other"}}), 303)
	says(t, "ended", c.Send(t, "GET", at, nil), 200, "Ended")
}

func TestGiveMeAWeek(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	one, two := e.renewed(t, e.A, 1), e.renewed(t, e.A, 40)
	c, team := e.as(t, e.A, identity.CustomerMember), e.as(t, e.A, identity.ResellerOwner)
	at := "/client/invoices/" + one.String()
	says(t, "offered", c.Send(t, "GET", at, nil), 200, "Give me a week")
	if a := team.Send(t, "GET", "/manage/invoices/"+one.String(), nil); a.Status != 200 || strings.Contains(a.Page, "a week more") {
		t.Errorf("before: %d", a.Status)
	}
	if a := e.as(t, e.B, identity.CustomerMember).Send(t, "POST", at+"/week", nil); a.Status != 404 {
		t.Errorf("the neighbour: %d", a.Status)
	}
	for range 2 {
		says(t, "given", c.Send(t, "POST", at+"/week", nil), 303)
	}
	says(t, "the customer sees it", c.Send(t, "GET", at, nil), 200, "You have a week more.")
	says(t, "so does the team", team.Send(t, "GET", "/manage/invoices/"+one.String(), nil), 200, "The customer gave themselves a week more.")

	// Whoever holds a letter's link may as well, by a form and not by opening it.
	link := e.site.Links.Path(e.A.ID, two, payment.LetterDue, e.Clock.Now().Add(time.Hour))
	v := e.shopper(t, "")
	if a := v.send(t, "GET", link, nil); a.Status != 200 || !strings.Contains(a.Page, "Give me a week") {
		t.Errorf("the link's page: %d", a.Status)
	}
	if a := v.send(t, "POST", link+"/week", url.Values{}); a.Status != 303 || a.Where != link {
		t.Errorf("by link: %d to %s", a.Status, a.Where)
	}
	if a := v.send(t, "GET", link, nil); !strings.Contains(a.Page, "You have a week more.") {
		t.Error("the link's page does not say it")
	}
	off := url.Values{"lead_days": {"3"}, "try_days": {"0, 1"}, "suspend_days": {"7"}, "end_days": {"21"}, "notice_days": {"3"}}
	says(t, "switch it off", team.Send(t, "POST", "/manage/settings/renewals", off), 303)
	three := e.renewed(t, e.A, 80)
	if a := c.Send(t, "GET", "/client/invoices/"+three.String(), nil); a.Status != 200 || strings.Contains(a.Page, "Give me a week") {
		t.Errorf("switched off: %d", a.Status)
	}
	says(t, "the report", team.Send(t, "GET", "/manage/reports?days=30", nil), 200, "What reminders brought", "in these 30 days")
	says(t, "as a table", team.Send(t, "GET", "/manage/reports?format=recovered", nil), 200, "rule,what,payments")
}
