package web_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/signin"
	"github.com/ezscale/ezscale/branding/surface/surfacetest"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/account"
)

// postbox passes letters on and remembers the last.
type postbox struct {
	signin.Mailer
	mu   sync.Mutex
	last mail.Message
}

func (p *postbox) Enqueue(ctx context.Context, tx tenancy.Statements, m mail.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = m
	return p.Mailer.Enqueue(ctx, tx, m)
}

func (e *estate) post() *postbox {
	p := &postbox{Mailer: e.site.SignIn.Mail}
	e.site.SignIn.Mail = p
	return p
}

// buyersAccount is the account of a tenant's buyer.
func (e *estate) buyersAccount(t testing.TB, of tenancy.Tenant) (id uuid.UUID) {
	t.Helper()
	must(t, e.DB(of).View(t.Context(), func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT account_id FROM memberships WHERE person_id = ?", e.people[of.ID][identity.CustomerMember].ID).Scan(t.Context(), &id)
	}))
	return id
}

// colleague is another customer, signed in, with a role in the buyer's account; an empty
// role: in none.
func (e *estate) colleague(t testing.TB, of tenancy.Tenant, name string, role account.Role) *surfacetest.Client {
	t.Helper()
	var p identity.Person
	id := e.buyersAccount(t, of)
	must(t, e.DB(of).Update(t.Context(), func(tx *tenancy.Tx) (err error) {
		p, err = (identity.People{World: identity.Customer}).Add(t.Context(), tx, identity.NewPerson{Email: name + "@colleague.test", Name: name, Role: identity.CustomerMember, Verified: true}, "$hash")
		if err != nil || role == "" {
			return err
		}
		_, err = tx.NewRaw("INSERT INTO memberships (account_id, person_id, role, created_at) VALUES (?, ?, ?, ?)", id, p.ID, role, tx.Now()).Exec(t.Context())
		return err
	}))
	c := &surfacetest.Client{Front: e.front, Host: of.PrimaryHost, Cookies: map[string]string{}}
	token, session, err := e.sessions.Start(t.Context(), identity.Binding{World: identity.Customer, Tenant: of.ID, Host: of.PrimaryHost},
		identity.Session{PersonID: p.ID, Stage: identity.StageFull, Epoch: p.Epoch, ProvenAt: e.Clock.Now()})
	must(t, err)
	c.Cookies["ez_customer"], c.CSRF = token, session.CSRF
	return c
}

// says fails the test unless the answer has the status and all the words.
func says(t testing.TB, what string, a surfacetest.Answer, status int, words ...string) {
	t.Helper()
	if a.Status != status {
		t.Errorf("%s: %d to %q, want %d\n%.400s", what, a.Status, a.Where, status, a.Page)
	}
	for _, w := range words {
		if !strings.Contains(a.Page, w) {
			t.Errorf("%s: the page does not say %q", what, w)
		}
	}
}

// carries has a visitor's forms carry the token of the page they came from.
func carries(t testing.TB, c *surfacetest.Client, a surfacetest.Answer) {
	t.Helper()
	_, rest, ok := strings.Cut(a.Page, `name="_csrf" value="`)
	if c.CSRF, _, _ = strings.Cut(rest, `"`); !ok || c.CSRF == "" {
		t.Fatalf("the page has no form: %.300s", a.Page)
	}
	takes(c, a)
}

// takes keeps the cookies of an answer, as a browser does.
func takes(c *surfacetest.Client, a surfacetest.Answer) {
	for _, k := range (&http.Response{Header: a.Head}).Cookies() {
		c.Cookies[k.Name] = k.Value
	}
}

func TestTheCustomersAccount(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	owner, box := e.as(t, e.A, identity.CustomerMember), e.post()
	says(t, "profile", owner.Send(t, "GET", "/client/account", nil), 200, "Address for invoices", "Both stay as they are")
	says(t, "a name that is none", owner.Send(t, "POST", "/client/account", url.Values{"account_name": {" "}}), 422, "Please give the account a name.")
	says(t, "a name", owner.Send(t, "POST", "/client/account", url.Values{"account_name": {"Buyer <b>& Co"}}), 303)
	says(t, "the name", owner.Send(t, "GET", "/client/account", nil), 200, "Buyer <b>& Co")
	bad := url.Values{"kind": {"business"}, "name": {"Zoë"}, "line1": {"Street 1"}, "city": {"Berlin"}, "country": {"DE"}, "tax_id": {"FR1"}, "billing_email": {"nobody"}}
	says(t, "a bad address", owner.Send(t, "POST", "/client/account/address", bad), 422, "Please give the company", "This is not a VAT number of Germany.", "does not look like an e-mail", `value="Street 1"`)
	bad.Set("company", "Lee")
	bad.Set("tax_id", "DE123456788")
	bad.Set("billing_email", "bills@lee.test")
	says(t, "an address", owner.Send(t, "POST", "/client/account/address", bad), 303)
	says(t, "the address", owner.Send(t, "GET", "/client/account", nil), 200, "bills@lee.test", "DE123456788")
	says(t, "notices", owner.Send(t, "POST", "/client/account/notifications", url.Values{"money_billing": {"on"}}), 303)
	if a := owner.Send(t, "GET", "/client/account/notifications", nil); strings.Count(a.Page, " checked") != 2 || !strings.Contains(a.Page, "bills@lee.test always gets these") {
		t.Errorf("the notices were not kept: %d boxes are checked", strings.Count(a.Page, " checked"))
	}
	says(t, "no reminders", owner.Send(t, "POST", "/client/account/notifications", url.Values{"money_billing": {"on"}, "reminders_shown": {"on"}}), 303)
	if a := owner.Send(t, "GET", "/client/account/notifications", nil); strings.Count(a.Page, " checked") != 1 {
		t.Errorf("reminders are not switched off: %d boxes are checked", strings.Count(a.Page, " checked"))
	}
	says(t, "activity", owner.Send(t, "GET", "/client/account/activity", nil), 200, "The address for invoices was changed.")
	says(t, "a wrong invitation", owner.Send(t, "POST", "/client/account/members", url.Values{"email": {"no address"}, "role": {"root"}}), 422, "does not look like", "Please choose one of the roles.")
	says(t, "an invitation", owner.Send(t, "POST", "/client/account/members", url.Values{"email": {"tech@lee.test"}, "role": {"technical"}}), 303)
	if box.last.Template != mail.AccountInvitation || box.last.To != "tech@lee.test" {
		t.Fatalf("the letter: %+v", box.last)
	}
	a := owner.Send(t, "GET", "/client/account/members", nil)
	says(t, "members", a, 200, "tech@lee.test", "Withdraw")
	if strings.Contains(a.Page, strings.TrimPrefix(box.last.Data["link"], "/invitations/")) {
		t.Error("the page of members gives the link away")
	}
	me := "/client/account/members/" + e.people[e.A.ID][identity.CustomerMember].ID.String()
	says(t, "me", owner.Send(t, "GET", me, nil), 200, "Leave")
	owner.Send(t, "POST", me+"/remove", nil)
	says(t, "the last owner left", owner.Send(t, "GET", me, nil), 200)
	theirs := "/client/account/members/" + e.people[e.B.ID][identity.CustomerMember].ID.String()
	says(t, "the neighbour's member", owner.Send(t, "GET", theirs, nil), 404)
	says(t, "the neighbour's member removed", owner.Send(t, "POST", theirs+"/remove", nil), 404)

	for _, role := range []account.Role{account.Billing, account.Technical, account.ReadOnly} {
		c := e.colleague(t, e.A, string(role), role)
		before := e.state(t, e.A)
		for path, form := range map[string]url.Values{"": {"account_name": {"Mine"}}, "/address": bad, "/members": {"email": {"x@y.test"}, "role": {"admin"}}, "/notifications": {}, strings.TrimPrefix(me, "/client/account") + "/role": {"role": {"read_only"}}} {
			if path == "/address" {
				form.Set("city", "Hamburg")
			}
			if a := c.Send(t, "POST", "/client/account"+path, form); a.Status != 403 && (!strings.HasSuffix(path, "/role") || a.Status != 303) {
				t.Errorf("%s POST %s: %d", role, path, a.Status)
			}
		}
		unchanged(t, string(role), before, e.state(t, e.A))
		a := c.Send(t, "GET", "/client/account", nil)
		if sees := strings.Contains(a.Page, "Street 1"); a.Status != 200 || sees != account.May(role, account.InvoicesSee) {
			t.Errorf("%s: %d, sees the address: %v", role, a.Status, sees)
		}
		if a := c.Send(t, "GET", "/client/account/members", nil); a.Status != 200 || strings.Contains(a.Page, "tech@lee.test") {
			t.Errorf("%s sees whom others invited: %d", role, a.Status)
		}
		if a := c.Send(t, "GET", "/client/invoices", nil); (a.Status == 200) != account.May(role, account.InvoicesSee) {
			t.Errorf("%s at the invoices: %d", role, a.Status)
		}
	}
}

// A person of two accounts acts for the one they chose, as long as they belong to it;
// what belongs to others is unknown.
func TestSwitchingAccounts(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	first := e.buyersAccount(t, e.A)
	c := e.as(t, e.A, identity.CustomerMember)
	if a := c.Send(t, "GET", "/client/services", nil); strings.Contains(a.Page, "switch account") {
		t.Error("who has one account is offered a choice")
	}
	says(t, "another account without a name", c.Send(t, "POST", "/client/accounts", url.Values{"account_name": {""}}), 422, "Please give the account a name.")
	says(t, "another account", c.Send(t, "POST", "/client/accounts", url.Values{"account_name": {"Second Ltd"}}), 303)
	for path, words := range map[string]string{"/client": "Second Ltd", "/client/services": "Second Ltd", "/client/orders": "No orders yet", "/client/invoices": "No invoices yet", "/client/subscriptions": "Second Ltd", "/client/account": "Second Ltd", "/client/api": "Second Ltd"} {
		says(t, "for the second, "+path, c.Send(t, "GET", path, nil), 200, words)
	}
	service := "/client/services/" + e.things[e.A.ID][":service"]
	if a := c.Send(t, "GET", "/client/services", nil); strings.Contains(a.Page, service) {
		t.Error("the services of the first are among those of the second")
	}
	// A link from a mail works whichever of their own accounts they act for.
	for _, path := range []string{service, "/client/invoices/" + e.things[e.A.ID][":invoice"], "/client/orders/" + e.things[e.A.ID][":order"], "/client/subscriptions/" + e.things[e.A.ID][":subscription"]} {
		says(t, "of the first, "+path, c.Send(t, "GET", path, nil), 200)
	}
	foreign := e.colleague(t, e.A, "foreign", "")
	says(t, "somebody without an account", foreign.Send(t, "GET", "/client", nil), 303)
	says(t, "their accounts", foreign.Send(t, "GET", "/client/accounts", nil), 200, "You belong to no account")
	for what, id := range map[string]string{"of others": first.String(), "the neighbour's": e.buyersAccount(t, e.B).String(), "nobody's": uuid.NewString(), "junk": "x\x00"} {
		says(t, "choose "+what, foreign.Send(t, "POST", "/client/accounts/choose", url.Values{"account": {id}}), 404)
	}
	for _, path := range []string{service, "/client/invoices/" + e.things[e.A.ID][":invoice"], "/client/orders/" + e.things[e.A.ID][":order"], "/client/subscriptions/" + e.things[e.A.ID][":subscription"], "/client/account"} {
		says(t, "a foreigner at "+path, foreign.Send(t, "GET", path, nil), 404)
	}
	says(t, "back", c.Send(t, "POST", "/client/accounts/choose", url.Values{"account": {first.String()}}), 303)
	says(t, "for the first", c.Send(t, "GET", "/client/services", nil), 200, service)

	// Who is removed acts for what is left, at once.
	guest := e.colleague(t, e.A, "guest", account.ReadOnly)
	says(t, "the guest's own", guest.Send(t, "POST", "/client/accounts", url.Values{"account_name": {"Guest's own"}}), 303)
	says(t, "the guest chooses", guest.Send(t, "POST", "/client/accounts/choose", url.Values{"account": {first.String()}}), 303)
	says(t, "the guest sees", guest.Send(t, "GET", "/client/services", nil), 200, service)
	must(t, e.DB(e.A).Update(t.Context(), func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw("DELETE FROM memberships WHERE account_id = ? AND role = 'read_only'", first).Exec(t.Context())
		return err
	}))
	if a := guest.Send(t, "GET", "/client/services", nil); a.Status != 200 || strings.Contains(a.Page, service) {
		t.Errorf("who was removed sees the services still: %d", a.Status)
	}
	says(t, "a service of it", guest.Send(t, "GET", service, nil), 404)
}

func TestJoiningByMail(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	owner, box := e.as(t, e.A, identity.CustomerMember), e.post()
	invite := func(email string) string {
		t.Helper()
		says(t, "invite "+email, owner.Send(t, "POST", "/client/account/members", url.Values{"email": {email}, "role": {"technical"}}), 303)
		return box.last.Data["link"]
	}
	link := invite("new@lee.test")
	c := e.as(t, e.A, "")
	page := c.Send(t, "GET", link, nil)
	says(t, "the link", page, 200, "Technical contact", `value="new@lee.test"`)
	carries(t, c, page)
	says(t, "looked at by a mail scanner", e.as(t, e.A, "").Send(t, "GET", link, nil), 200)
	says(t, "at the neighbour's", e.as(t, e.B, "").Send(t, "GET", link, nil), 404)
	says(t, "without a name and a password", c.Send(t, "POST", link, url.Values{"name": {""}, "password": {"short"}}), 422, "Please enter your name.", "10 characters")
	in := url.Values{"name": {"Newt"}, "password": {"correct horse battery"}}
	a := c.Send(t, "POST", link, in)
	if a.Status != 303 || a.Where != "/client" {
		t.Fatalf("join: %d to %q\n%.300s", a.Status, a.Where, a.Page)
	}
	takes(c, a)
	says(t, "the newcomer", c.Send(t, "GET", "/client/services", nil), 200, e.things[e.A.ID][":service"])
	says(t, "the newcomer at the invoices", c.Send(t, "GET", "/client/invoices", nil), 403)
	again := e.as(t, e.A, "")
	says(t, "once more", again.Send(t, "GET", link, nil), 410, "Ask whoever invited you")
	carries(t, again, again.Send(t, "GET", "/sign-in", nil))
	says(t, "sent once more", again.Send(t, "POST", link, in), 410)

	other := e.colleague(t, e.A, "other", "")
	link = invite("known@colleague.test")
	known := e.colleague(t, e.A, "known", "")
	says(t, "signed in as another", other.Send(t, "GET", link, nil), 200, "you are signed in as other@colleague.test")
	other.Send(t, "POST", link, in)
	says(t, "who it was not sent to", other.Send(t, "GET", "/client/account", nil), 404)
	says(t, "not signed in", e.as(t, e.A, "").Send(t, "GET", link, nil), 200, "Sign in and join")
	thief := e.as(t, e.A, "")
	carries(t, thief, thief.Send(t, "GET", "/sign-in", nil))
	says(t, "who has a password is not entered with another", thief.Send(t, "POST", link, in), 303)
	says(t, "the thief", thief.Send(t, "GET", "/client", nil), 303)
	says(t, "the known one", known.Send(t, "GET", link, nil), 200, "Join as known")
	says(t, "joins", known.Send(t, "POST", link, nil), 303)
	says(t, "is in", known.Send(t, "GET", "/client/services", nil), 200, e.things[e.A.ID][":service"])
	for _, junk := range []string{"/invitations/x", "/invitations/" + strings.Repeat("a", 43), "/invitations/%00"} {
		says(t, junk, c.Send(t, "GET", junk, nil), 404)
	}
}

// The page of a customer shows what the account has, and nothing of another's.
func TestWhatACustomerHas(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	team, things := e.as(t, e.A, identity.ResellerOwner), e.things[e.A.ID]
	at := "/manage/customers/" + things[":customer"]
	e.colleague(t, e.A, "tessa", account.Technical)
	a := team.Send(t, "GET", at, nil)
	says(t, "the customer", a, 200, "/manage/services/"+things[":service"], "/manage/invoices/"+things[":invoice"], "/manage/orders/"+things[":order"],
		"/manage/subscriptions/"+things[":subscription"], "tessa@colleague.test", "Technical contact", "What happened", "Outstanding")
	for _, of := range []string{":service", ":invoice", ":order", ":subscription", ":customer"} {
		if strings.Contains(a.Page, e.things[e.B.ID][of]) {
			t.Errorf("the neighbour's %s is on the page", of)
		}
	}
	mine := e.buyersAccount(t, e.A)
	says(t, "the account by its id", team.Send(t, "GET", at+"?account="+mine.String(), nil), 200, "/manage/services/"+things[":service"])
	stranger := e.colleague(t, e.A, "stranger", "")
	says(t, "another account", stranger.Send(t, "POST", "/client/accounts", url.Values{"account_name": {"Theirs"}}), 303)
	var theirs, person uuid.UUID
	must(t, e.DB(e.A).View(t.Context(), func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT a.id, m.person_id FROM accounts a JOIN memberships m ON m.account_id = a.id WHERE a.name = 'Theirs'").Scan(t.Context(), &theirs, &person)
	}))
	for _, id := range []string{theirs.String(), e.buyersAccount(t, e.B).String(), "x"} {
		says(t, "an account they do not belong to", team.Send(t, "GET", at+"?account="+id, nil), 404)
	}
	a = team.Send(t, "GET", "/manage/customers/"+person.String(), nil)
	says(t, "somebody without anything", a, 200, "No services yet.", "No invoices yet.", "nothing")
	if strings.Contains(a.Page, things[":service"]) {
		t.Error("the page shows another's service")
	}
}
