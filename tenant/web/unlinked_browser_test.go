package web_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/branding/surface/browser"
	"github.com/ezscale/ezscale/branding/surface/surfacetest"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/account"
)

// TestPagesNoLinkLeadsTo looks at pages that the walk through the demo does not come by,
// because there is nothing of the kind in it.
func TestPagesNoLinkLeadsTo(t *testing.T) {
	w := tenancytest.New(t)
	e := newEstate(t, w)
	e.onSale(t, w.A)
	home, drive := "http://"+w.A.PrimaryHost+":"+serve(t, e.front), browser.Open(t)
	for _, x := range []struct {
		role  identity.Role
		pages map[string]string
	}{
		{identity.CustomerMember, map[string]string{
			"client_add": "/client/subscriptions/:subscription/add", "client_quote": "/client/subscriptions/:subscription/change/:offer", "client_hook": "/client/webhooks/:endpoint",
		}},
		{identity.ResellerOwner, map[string]string{
			"manage_quote": "/manage/subscriptions/:subscription/change/:offer", "manage_draft": "/manage/invoice-drafts/:draft", "manage_code": "/manage/coupons/codes/:coupon", "manage_hook": "/manage/webhooks/:hook", "manage_domain": "/manage/domains/:id",
		}},
	} {
		c := e.as(t, w.A, x.role)
		p := tab(t, drive, home, c)
		for name, path := range x.pages {
			at := surfacetest.Fill(path, e.things[w.A.ID], "none")
			if a := c.Send(t, "GET", at, nil); a.Status != 200 {
				t.Errorf("%s answers %d to %q", path, a.Status, a.Where)
				continue
			}
			p.Go(home + at)
			if name == "manage_quote" {
				p.Wait(".summary", "Charge €78.01 and change")
			}
			p.CheckViews("unlinked/" + name)
		}
	}
	box := e.post()
	says(t, "an invitation", e.as(t, w.A, identity.CustomerMember).Send(t, "POST", "/client/account/members", url.Values{"email": {"tech@lee.test"}, "role": {"technical"}}), 303)
	nobody := tab(t, drive, home, e.as(t, w.A, ""))
	nobody.Go(home + box.last.Data["link"])
	nobody.Wait("main", "Join")
	nobody.CheckViews("unlinked/invitation")
	nobody.Go(home + strings.Replace(e.site.Letters.Path(w.A.ID, e.buyersAccount(t, w.A)), account.LetterPath, account.LetterPage, 1))
	nobody.CheckViews("unlinked/letters")
	nobody.Follow(`main form button`)
	nobody.CheckViews("unlinked/letters_done")
}
