package web_test

import (
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/surface/surfacetest"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/renewal"
	"github.com/ezscale/ezscale/themes"
)

// subscribe gives the buyer of a tenant a subscription that runs.
func (e *estate) subscribe(t testing.TB, of tenancy.Tenant) {
	t.Helper()
	ctx := t.Context()
	id := uuid.New()
	must(t, e.DB(of).Update(ctx, func(tx *tenancy.Tx) error {
		buyer := e.people[of.ID][identity.CustomerMember].ID
		var account, plan uuid.UUID
		err := tx.NewRaw("SELECT account_id FROM memberships WHERE person_id = ? LIMIT 1", buyer).Scan(ctx, &account)
		if tenancy.IsNoRows(err) {
			account = uuid.New()
			if _, err := tx.NewRaw("INSERT INTO accounts (id, name, currency, created_at, changed_at) VALUES (?, 'Buyer Ltd', 'EUR', ?, ?)", account, tx.Now(), tx.Now()).Exec(ctx); err != nil {
				return err
			}
			_, err = tx.NewRaw("INSERT INTO memberships (account_id, person_id, role, created_at) VALUES (?, ?, 'owner', ?)", account, buyer, tx.Now()).Exec(ctx)
		}
		if err != nil {
			return err
		}
		if err := tx.NewRaw("SELECT id FROM plans ORDER BY id LIMIT 1").Scan(ctx, &plan); err != nil {
			return err
		}
		quote, order := uuid.New(), uuid.New()
		_, err = tx.NewRaw(`INSERT INTO quotes (id, kind, account_id, currency, net_minor, tax_minor, total_minor, body, created_at, expires_at) VALUES (?, 'checkout', ?, 'EUR', 1, 0, 1, '{}', ?, ?)`,
			quote, account, tx.Now(), tx.Now()).Exec(ctx)
		if err != nil {
			return err
		}
		_, err = tx.NewRaw(`INSERT INTO orders (id, number, quote_id, account_id, person_id, state, currency, total_minor, ip, placed_at, changed_at) VALUES (?, 77001, ?, ?, ?, 'paid', 'EUR', 1, '', ?, ?)`,
			order, quote, account, buyer, tx.Now(), tx.Now()).Exec(ctx)
		if err != nil {
			return err
		}
		_, err = renewal.Open(ctx, tx, renewal.New{ID: id, AccountID: account, OrderID: order, PlanID: plan, Label: "VPS Small", Cycle: billing.Monthly, Currency: "EUR", Amount: billing.Money{Minor: 999, Currency: "EUR"}})
		if err != nil {
			return err
		}
		_, err = tx.NewRaw("UPDATE subscriptions SET state = 'active', anchor_at = ?, period_from = ?, period_to = ? WHERE id = ?", tx.Now(), tx.Now(), tx.Now().AddDate(0, 1, 0), id).Exec(ctx)
		return err
	}))
	e.things[of.ID][":subscription"], e.things[of.ID][":template"] = id.String(), "invoice_due"
	e.things[of.ID][":offer"] = e.offer(t, of, id)
}

// offer is the price of a change of a subscription to another plan of its product.
func (e *estate) offer(t testing.TB, of tenancy.Tenant, sub uuid.UUID) string {
	t.Helper()
	ctx, db := t.Context(), e.DB(of)
	must(t, db.Update(ctx, func(tx *tenancy.Tx) error {
		other := uuid.New()
		_, err := tx.NewRaw(`INSERT INTO plans (id, product_id, slug, name, summary, facts, recommended, position, visibility, created_at, changed_at)
			SELECT ?, p.product_id, 'grand', 'Grand', '', '[]', false, 99, 'public', p.created_at, p.created_at FROM plans p JOIN subscriptions s ON s.plan_id = p.id WHERE s.id = ?`, other, sub).Exec(ctx)
		if err != nil {
			return err
		}
		_, err = tx.NewRaw("INSERT INTO prices (plan_id, currency, cycle, amount_minor, setup_minor) VALUES (?, 'EUR', 'monthly', 8800, 0), (?, 'EUR', 'annual', 88000, 0)", other, other).Exec(ctx)
		return err
	}))
	desk := renewal.Desk{Mail: e.site.SignIn.Mail}
	q, err := desk.QuoteChange(ctx, db, renewal.ChangeAsk{SubscriptionID: sub, Plan: "grand"})
	must(t, err)
	return q.ID.String()
}

func TestChangeASubscription(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	c := e.as(t, e.A, identity.CustomerMember)
	at := "/client/subscriptions/" + e.things[e.A.ID][":subscription"]
	if a := c.Send(t, "GET", at+"/change", nil); a.Status != 200 || !strings.Contains(a.Page, "Grand") || !strings.Contains(a.Page, "€88.00 a month") {
		t.Errorf("%d: nothing to choose", a.Status)
	}
	if a := c.Send(t, "POST", at+"/change", url.Values{"plan": {"none"}}); a.Status != 422 || !strings.Contains(a.Page, "There is no such plan.") {
		t.Errorf("a plan that is not: %d", a.Status)
	}
	a := c.Send(t, "POST", at+"/change", url.Values{"plan": {"grand"}, "cycle": {"monthly"}})
	offer := a.Where
	if a.Status != 303 || !strings.HasPrefix(offer, at+"/change/") {
		t.Fatalf("%d to %s", a.Status, offer)
	}
	page := c.Send(t, "GET", offer, nil)
	for _, want := range []string{"Not used of VPS Small", "€88.00", "and change", "This price counts until"} {
		if !strings.Contains(page.Page, want) {
			t.Errorf("the offer does not say %q", want)
		}
	}
	for who, other := range map[string]*surfacetest.Client{"the neighbour": e.as(t, e.B, identity.CustomerMember), "a stranger": e.as(t, e.A, "")} {
		if a := other.Send(t, "POST", offer, nil); a.Status != 404 && a.Status != 403 {
			t.Errorf("%s accepts: %d", who, a.Status)
		}
	}
	a = c.Send(t, "POST", offer, nil)
	if to := a.Where; a.Status != 303 || !strings.HasPrefix(to, "/client/invoices/") && to != at {
		t.Fatalf("accepted: %d to %s", a.Status, to)
	}
	if a := c.Send(t, "GET", at, nil); !strings.Contains(a.Page, "It changes to") || !strings.Contains(a.Page, "Pay now") || strings.Contains(a.Page, "Change plan or options") {
		t.Errorf("the page does not say what is under way")
	}
	if a := c.Send(t, "GET", at+"/change", nil); a.Status != 303 {
		t.Errorf("a second change: %d", a.Status)
	}
	team := e.as(t, e.A, identity.ResellerOwner)
	behalf := strings.Replace(at, "/client/", "/manage/", 1)
	if a := team.Send(t, "POST", behalf+"/drop-change", nil); a.Status != 303 {
		t.Errorf("the team takes it back: %d", a.Status)
	}
	a = team.Send(t, "POST", behalf+"/change", url.Values{"plan": {"grand"}, "cycle": {"annual"}})
	if a = team.Send(t, "POST", a.Where, nil); a.Status != 303 || a.Where != behalf {
		t.Errorf("the team changes it: %d", a.Status)
	}
}

// theLetters are read once for all estates: nothing of a test is in them.
var theLetters = sync.OnceValues(func() (*mail.Letters, error) {
	return mail.LoadLetters(themes.Files, []string{"base", "aurora", "forge"})
})

func mustLetters(t testing.TB) *mail.Letters {
	t.Helper()
	l, err := theLetters()
	must(t, err)
	return l
}

func TestMailTexts(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	c := e.as(t, e.A, identity.ResellerOwner)
	at := "/manage/mail-texts/invoice_due"
	if a := c.Send(t, "GET", at, nil); a.Status != 200 || !strings.Contains(a.Page, "INV-2026-00042") {
		t.Errorf("%d: no preview", a.Status)
	}
	if a := c.Send(t, "POST", at, url.Values{"subject": {"Hi"}, "body": {"{% for i in (1..9) %}x{% endfor %}"}}); a.Status != 422 || !strings.Contains(a.Page, "cannot be used here") {
		t.Errorf("a loop: %d", a.Status)
	}
	if a := c.Send(t, "POST", at, url.Values{"subject": {"Please pay"}, "body": {"Dear {{ data.name }}"}}); a.Status != 303 {
		t.Errorf("save: %d", a.Status)
	}
	if a := c.Send(t, "GET", at, nil); !strings.Contains(a.Page, "Dear Zoë Berg") || !strings.Contains(a.Page, "Back to the built-in words") {
		t.Errorf("the words were not kept")
	}
	if a := e.as(t, e.B, identity.ResellerOwner).Send(t, "GET", at, nil); strings.Contains(a.Page, "Please pay\"") {
		t.Errorf("the neighbour has them too")
	}
	if a := c.Send(t, "POST", at+"/preview", url.Values{"subject": {"<b>Hi</b>"}, "body": {"Dear {{ data.name }}, soon"}}); a.Status != 200 ||
		!strings.Contains(a.Page, "<b>Hi</b>") || !strings.Contains(a.Page, "Dear Zoë Berg, soon") || !strings.Contains(a.Head.Get("Content-Security-Policy"), "; sandbox") {
		t.Errorf("the letter as typed: %d %s", a.Status, a.Head.Get("Content-Security-Policy"))
	}
	if a := c.Send(t, "POST", at+"/preview", url.Values{"subject": {"Hi"}, "body": {"{% for i in (1..9) %}x{% endfor %}"}}); a.Status != 422 || !strings.Contains(a.Page, "cannot be used here") {
		t.Errorf("a loop in the preview: %d", a.Status)
	}
	if a := c.Send(t, "POST", at+"/reset", nil); a.Status != 303 {
		t.Errorf("reset: %d", a.Status)
	}
	if a := c.Send(t, "GET", at, nil); strings.Contains(a.Page, "Dear Zoë") {
		t.Errorf("the words are there still")
	}
}

func TestCancelAndTakeItBack(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	c := e.as(t, e.A, identity.CustomerMember)
	at := "/client/subscriptions/" + e.things[e.A.ID][":subscription"]
	if a := c.Send(t, "GET", at, nil); a.Status != 200 || !strings.Contains(a.Page, "VPS Small") {
		t.Fatalf("%d", a.Status)
	}
	if a := c.Send(t, "POST", at+"/cancel", url.Values{"when": {"end"}}); a.Status != 422 || !strings.Contains(a.Page, "Please choose a reason.") {
		t.Errorf("without a reason: %d", a.Status)
	}
	if a := c.Send(t, "POST", at+"/cancel", url.Values{"when": {"end"}, "reason": {"not_needed"}}); a.Status != 303 {
		t.Errorf("cancel: %d", a.Status)
	}
	if a := c.Send(t, "GET", at, nil); !strings.Contains(a.Page, "Keep it after all") {
		t.Errorf("afterwards there is no way back")
	}
	if a := e.as(t, e.A, identity.ResellerOwner).Send(t, "GET", strings.Replace(at, "/client", "/manage", 1), nil); !strings.Contains(a.Page, "I do not need it any more") {
		t.Errorf("the team does not see the reason")
	}
	if a := c.Send(t, "POST", at+"/resume", nil); a.Status != 303 {
		t.Errorf("resume: %d", a.Status)
	}
	if a := c.Send(t, "GET", at, nil); strings.Contains(a.Page, "Keep it after all") {
		t.Errorf("it is cancelled still")
	}
}
