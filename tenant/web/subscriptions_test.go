package web_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
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
}

func mustLetters(t testing.TB, names []string) *mail.Letters {
	t.Helper()
	l, err := mail.LoadLetters(themes.Files, names)
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
