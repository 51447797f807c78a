package web_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/access"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// furnishPrograms gives the tenant's customer an account, if they have none, a token and
// an endpoint, and the reseller an endpoint.
func (e *estate) furnishPrograms(t testing.TB, of tenancy.Tenant) {
	t.Helper()
	ctx, db, by := t.Context(), e.DB(of), audit.Origin{Actor: audit.System("test")}
	things, buyer := e.things[of.ID], e.people[of.ID][identity.CustomerMember]
	var account uuid.UUID
	must(t, db.Update(ctx, func(tx *tenancy.Tx) error {
		err := tx.NewRaw("SELECT account_id FROM memberships WHERE person_id = ? LIMIT 1", buyer.ID).Scan(ctx, &account)
		if !tenancy.IsNoRows(err) {
			return err
		}
		account = uuid.Must(uuid.NewV7())
		if _, err := tx.NewRaw("INSERT INTO accounts (id, name, currency, created_at, changed_at) VALUES (?, 'Buyer Ltd', 'EUR', ?, ?)", account, tx.Now(), tx.Now()).Exec(ctx); err != nil {
			return err
		}
		_, err = tx.NewRaw("INSERT INTO memberships (account_id, person_id, role, created_at) VALUES (?, ?, 'owner', ?)", account, buyer.ID, tx.Now()).Exec(ctx)
		return err
	}))
	token, _, err := access.Create(ctx, db, access.New{AccountID: account, PersonID: buyer.ID, Name: "deploy", Scopes: []access.Scope{access.ServicesRead}}, by)
	must(t, err)
	theirs, _, err := e.site.Webhooks.Add(ctx, db, webhook.Owner{AccountID: account}, "https://example.com/theirs", nil, by)
	must(t, err)
	own, _, err := e.site.Webhooks.Add(ctx, db, webhook.Owner{}, "https://example.com/own", nil, by)
	must(t, err)
	things[":token"], things[":endpoint"], things[":hook"] = token.ID.String(), theirs.ID.String(), own.ID.String()
}

func TestATokenIsShownOnce(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	c := e.as(t, e.A, identity.CustomerMember)
	form := url.Values{"name": {"ci"}, "scope_services:read": {"1"}, "expires": {"30"}}
	made := c.Send(t, "POST", "/client/api/tokens", form)
	at := strings.Index(made.Page, access.Prefix)
	if made.Status != 200 || at < 0 || made.Head.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d with %v", made.Status, made.Head)
	}
	secret := strings.FieldsFunc(made.Page[at:], func(r rune) bool { return r == '<' || r == '"' })[0]
	if _, err := access.Recognise(t.Context(), e.DB(e.A), secret); err != nil {
		t.Errorf("the secret %.8s… opens nothing: %v", secret, err)
	}
	if again := c.Send(t, "GET", "/client/api", nil); again.Status != 200 || strings.Contains(again.Page, secret) {
		t.Errorf("%d, and the secret is shown again", again.Status)
	}
	for name, bad := range map[string]url.Values{
		"no name":         {"scope_services:read": {"1"}, "expires": {"30"}},
		"no scope":        {"name": {"x"}, "expires": {"30"}},
		"a strange time":  {"name": {"x"}, "scope_services:read": {"1"}, "expires": {"-5"}},
		"a time of words": {"name": {"x"}, "scope_services:read": {"1"}, "expires": {"soon"}},
	} {
		if got := c.Send(t, "POST", "/client/api/tokens", bad); got.Status != 422 {
			t.Errorf("%s: %d", name, got.Status)
		}
	}
}
