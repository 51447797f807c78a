package web_test

import (
	"strings"
	"testing"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/surfacetest"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// formFields are the names that forms and queries of the site use.
func formFields() []string {
	return strings.Fields(`q sort dir page state format before actor action target from until host confirm typed role name email password action image reason
		company code remember next locale currency time_zone theme brand accent headline subline terms imprint privacy css published revision purpose
		support_email sender_name sender_email number file current new _csrf key credit_amount credit_reason refund_amount refund_reason payment line1 line2 postcode city region country tax_id tax_number registration reference phone small_business oss registered exemption_number exemption_note exemption_from exemption_to confirmed_only prices term_days footer
		invoice_number credit_number when reason note subject body
		with save amount reason once credit_note gateway setup_intent setup method take numbers_1 back date amount_column currency party text month_first stripe_publishable_key stripe_secret_key stripe_on paypal_client_id paypal_client_secret paypal_on coinbase_key_id coinbase_key_secret coinbase_on transfer_iban transfer_on sandbox_on
		item go edit slug summary type description position visibility facts sku recommended stock kind quote ssh_keys terms show help label resource minimum maximum step choices
		upgrade downgrade cycle plan product hostname account account_name billing_email services_admin money_owner lead_days reminders.annual reminders.ending try_days suspend_days end_days percent
		coupon remove to code kind cycles setup countries new_customers max_uses max_per_account starts ends note amount.EUR
		notice_days week fee_days fee_percent fee.EUR days pause_days loyal loyalty cycles
		most stacks
		start plans option.ips
		declined months kind.other percent.other cycles.other days.other plan.other
		on wait_days per_year referrer.EUR newcomer.EUR least.EUR
		expires gift_amount count chart consultant client year_begins account.revenue as`)
}

// Nothing anybody sends to any route is an error of ours, whoever they are, and the
// neighbour never notices.
func TestJunk(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	before := e.state(t, e.B)
	theirs := e.things[e.B.ID]
	// Everybody sends to the routes they may use: at the others they are stopped before a
	// handler reads anything, which the permission matrix and the roles' test hold.
	for _, role := range []identity.Role{identity.ResellerOwner, identity.CustomerMember, ""} {
		c := e.as(t, e.A, role)
		junk := surfacetest.Junk{
			IDs: []string{theirs[":id"], theirs[":person"], theirs[":customer"], theirs[":invoice"], theirs[":subscription"], theirs[":order"], theirs[":shelf"], theirs[":size"], theirs[":extra"], theirs[":coupon"], theirs[":grant"], theirs[":gift"], theirs[":batch"], theirs[":newcomer"], e.A.ID.String()}, Fields: formFields(),
			Known: map[string]string{":purpose": "reset"},
			Each:  func() { *c = *e.as(t, e.A, role) }, // the last route may have signed us out
		}
		t.Logf("%q: %d requests", role, junk.Try(t, c, routesOf(role, e.site.Routes())))
	}
	unchanged(t, "the neighbour", before, e.state(t, e.B))
}

// routesOf are the routes somebody of the role gets through to.
func routesOf(role identity.Role, all []surface.Route) (some []surface.Route) {
	for _, r := range all {
		whose := identity.CustomerMember
		switch {
		case r.Needs == identity.Public:
			whose = ""
		case strings.HasPrefix(r.Path, "/manage"):
			whose = identity.ResellerOwner
		}
		if whose == role {
			some = append(some, r)
		}
	}
	return some
}

// The other tenant's ids lead nowhere: as if they had never been.
func TestTheNeighboursIdsAreUnknown(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	mine, theirs := e.state(t, e.A), e.state(t, e.B)
	tried := 0
	for _, r := range e.site.Routes() {
		if !strings.Contains(r.Path, ":") || strings.Contains(r.Path, ":purpose") || strings.Contains(r.Path, ":template") || strings.Contains(r.Path, ":number") || strings.Contains(r.Path, ":handle") || r.Path == "/brand/:file" || r.Path == "/legal/:page" {
			continue // named by words that every tenant has, or by secrets
		}
		role := identity.ResellerOwner
		if !strings.HasPrefix(r.Path, "/manage") {
			role = identity.CustomerMember
		}
		path := surfacetest.Fill(r.Path, e.things[e.B.ID], "018f3c2e-0000-7000-8000-000000000000")
		if a := e.as(t, e.A, role).Send(t, r.Method, path, good()); a.Status != 404 {
			t.Errorf("%s %s with the neighbour's id: %d to %q, want 404", r.Method, r.Path, a.Status, a.Where)
		}
		tried++
	}
	if tried < 15 {
		t.Errorf("only %d routes have ids", tried)
	}
	unchanged(t, "the neighbour", theirs, e.state(t, e.B))
	unchanged(t, "who asked", mine, e.state(t, e.A))
}

// A session of one tenant is nothing at the other's host.
func TestTheNeighboursSessionIsNobody(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	theirs := e.state(t, e.B)
	for _, r := range e.site.Routes() {
		if r.Needs == identity.Public {
			continue
		}
		role := identity.ResellerOwner
		if !strings.HasPrefix(r.Path, "/manage") {
			role = identity.CustomerMember
		}
		c := e.as(t, e.A, role)
		c.Host = e.B.PrimaryHost
		if a := c.Send(t, r.Method, surfacetest.Fill(r.Path, e.things[e.B.ID], "1"), good()); a.Status < 300 || a.Status == 303 && !strings.Contains(a.Where, "/sign-in") {
			t.Errorf("%s %s with the neighbour's session: %d to %q", r.Method, r.Path, a.Status, a.Where)
		}
	}
	unchanged(t, "the neighbour", theirs, e.state(t, e.B))
}

// A form without its token changes nothing, whoever sends it.
func TestFormsNeedTheirToken(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	before := e.state(t, e.A)
	for _, r := range e.site.Routes() {
		if r.Method != "POST" || strings.HasPrefix(r.Path, "/hooks/") { // programs prove themselves in another way
			continue
		}
		role := identity.ResellerOwner
		if !strings.HasPrefix(r.Path, "/manage") {
			role = identity.CustomerMember
		}
		c := e.as(t, e.A, role)
		c.CSRF = "stolen"
		if a := c.Send(t, "POST", surfacetest.Fill(r.Path, e.things[e.A.ID], "1"), good()); a.Status != 403 {
			t.Errorf("%s: %d to %q", r.Path, a.Status, a.Where)
		}
	}
	unchanged(t, "without a token", before, e.state(t, e.A))
}

// Who may not use a route gets 403 and changes nothing.
func TestRolesAreKept(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	before := e.state(t, e.A)
	for _, role := range identity.Roles(identity.Reseller) {
		for _, r := range e.site.Routes() {
			if r.Needs == identity.Public || !strings.HasPrefix(r.Path, "/manage") || (identity.Principal{World: identity.Reseller, Role: role}).May(r.Needs) {
				continue
			}
			if a := e.as(t, e.A, role).Send(t, r.Method, surfacetest.Fill(r.Path, e.things[e.A.ID], "1"), good()); a.Status != 403 {
				t.Errorf("%s: %s %s: %d, want 403", role, r.Method, r.Path, a.Status)
			}
		}
	}
	unchanged(t, "who may not", before, e.state(t, e.A))
}
