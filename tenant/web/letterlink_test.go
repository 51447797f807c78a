package web_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/surface/surfacetest"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/account"
)

// A mail program ends letters before renewals with one POST that has no cookie and no token
// of a form (RFC 8058); a person says so on a page, and may have them again. Nobody does for
// another account, and nothing else can be done with the link.
func TestALinkEndsLetters(t *testing.T) {
	e := newEstate(t, tenancytest.New(t))
	id := e.buyersAccount(t, e.A)
	reminds := func() bool {
		t.Helper()
		var n account.Notices
		must(t, e.DB(e.A).View(t.Context(), func(tx *tenancy.Tx) (err error) {
			n, err = account.GetNotices(t.Context(), tx, id)
			return err
		}))
		return n.Reminds()
	}
	path := e.site.Letters.Path(e.A.ID, id)
	program := &surfacetest.Client{Front: e.front, Host: e.A.PrimaryHost}
	post := url.Values{"List-Unsubscribe": {"One-Click"}}
	forged := path[:len(path)-1] + "A"
	if forged == path {
		forged = path[:len(path)-1] + "B"
	}
	for what, wrong := range map[string]string{"another shop's": e.site.Letters.Path(e.B.ID, id), "forged": forged, "cut": path[:len(path)-4], "none": "/hooks/letters/x", "of no account": e.site.Letters.Path(e.A.ID, uuid.New())} {
		if a := program.Send(t, "POST", wrong, post); a.Status != 404 {
			t.Errorf("%s: %d", what, a.Status)
		}
		if a := program.Send(t, "GET", strings.Replace(wrong, "/hooks", "", 1), nil); a.Status != 404 {
			t.Errorf("%s, its page: %d", what, a.Status)
		}
	}
	if !reminds() {
		t.Fatal("a link that is none ended the letters")
	}
	for range 2 {
		if a := program.Send(t, "POST", path, post); a.Status != 204 {
			t.Fatalf("one click: %d", a.Status)
		}
	}
	if reminds() {
		t.Error("one click ends nothing")
	}
	a := program.Send(t, "GET", path, nil)
	if a.Status != 303 || a.Where != strings.Replace(path, "/hooks", "", 1) {
		t.Fatalf("followed by a person: %d to %q", a.Status, a.Where)
	}
	v := e.shopper(t, "")
	says(t, "the page", v.send(t, "GET", a.Where, nil), 200, "writes no letters", "Have them again", `content="noindex"`)
	if x := program.Send(t, "POST", a.Where, url.Values{"letters": {"on"}}); x.Status != 403 || reminds() {
		t.Errorf("from another site: %d", x.Status)
	}
	says(t, "having them again", v.send(t, "POST", a.Where, url.Values{"letters": {"on"}}), 303)
	if !reminds() {
		t.Error("they stay ended")
	}
	says(t, "the page", v.send(t, "GET", a.Where, nil), 200, "Do without them")
	says(t, "doing without", v.send(t, "POST", a.Where, url.Values{"letters": {"off"}}), 303)
	if reminds() {
		t.Error("they go on")
	}
}
