package web_test

import (
	"net/url"
	"testing"

	"github.com/ezscale/ezscale/branding/surface/browser"
	"github.com/ezscale/ezscale/branding/surface/surfacetest"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/account"
)

// TestTheAccountInABrowser looks at those pages about the customer's account that the walk
// of the demo does not come to: of a member who may little, and with an invitation.
func TestTheAccountInABrowser(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	port, box := serve(t, e.front), e.post()
	home := "http://" + e.A.PrimaryHost + ":" + port
	owner := e.as(t, e.A, identity.CustomerMember)
	e.colleague(t, e.A, "Ada", account.Admin)
	reader := e.colleague(t, e.A, "Rita", account.ReadOnly)
	says(t, "invite", owner.Send(t, "POST", "/client/account/members", url.Values{"email": {"tech@lee.test"}, "role": {"technical"}}), 303)
	link := box.last.Data["link"]
	says(t, "address", owner.Send(t, "POST", "/client/account/address", url.Values{"kind": {"business"}, "name": {"Zoë Berg"}, "company": {"Lee & Sons"}, "line1": {"Street 1"}, "city": {"Berlin"}, "country": {"DE"}}), 303)
	says(t, "another account", owner.Send(t, "POST", "/client/accounts", url.Values{"account_name": {"Second Ltd"}}), 303)
	says(t, "back to the first", owner.Send(t, "POST", "/client/accounts/choose", url.Values{"account": {e.buyersAccount(t, e.A).String()}}), 303)

	drive := browser.Open(t)
	tabs := map[*surfacetest.Client]*browser.Page{}
	for _, x := range []struct {
		name, path, words string
		as                *surfacetest.Client
	}{
		{"profile_reader", "/client/account", "An owner or administrator", reader},
		{"members", "/client/account/members", "tech@lee.test", owner},
		{"accounts", "/client/accounts", "You act for it", owner},
		{"invitation", link, "Choose a password", e.as(t, e.A, "")},
	} {
		p := tabs[x.as]
		if p == nil {
			p = tab(t, drive, home, x.as)
			tabs[x.as] = p
		}
		p.Go(home + x.path)
		p.Wait("main", x.words)
		p.CheckViews("account_" + x.name)
	}
}
