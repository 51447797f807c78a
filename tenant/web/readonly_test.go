package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// A reseller who does not pay the platform sees everything and changes nothing; its
// neighbour does not notice.
func TestAReadOnlyConsoleChangesNothing(t *testing.T) {
	w := tenancytest.New(t)
	w.A.Restriction = tenancy.Notice
	e := newEstate(t, w)
	owner, neighbour := e.as(t, w.A, identity.ResellerOwner), e.as(t, w.B, identity.ResellerOwner)
	tried := 0
	for _, r := range e.site.Routes() {
		if r.Method == http.MethodGet || !strings.HasPrefix(r.Path, "/manage/") {
			continue
		}
		free := false
		for _, p := range []string{"/manage/sign-", "/manage/security", "/manage/link/", "/manage/forgot"} {
			free = free || strings.HasPrefix(r.Path, p)
		}
		if free {
			continue
		}
		tried++
		path := strings.NewReplacer(":number", "1").Replace(r.Path)
		for param, value := range e.things[w.A.ID] {
			path = strings.ReplaceAll(path, param, value)
		}
		if res := owner.Send(t, r.Method, path, url.Values{}); res.Status != http.StatusForbidden || !strings.Contains(res.Page, "read only") {
			t.Errorf("%s %s answers %d", r.Method, r.Path, res.Status)
		}
	}
	if tried < 10 {
		t.Fatalf("%d routes were tried", tried)
	}
	for path, says := range map[string]string{"/manage": "An invoice of the platform is overdue", "/": "No new orders at the moment"} {
		if res := owner.Send(t, http.MethodGet, path, nil); res.Status != http.StatusOK || !strings.Contains(res.Page, says) {
			t.Errorf("%s answers %d without %q", path, res.Status, says)
		}
		if res := neighbour.Send(t, http.MethodGet, path, nil); res.Status != http.StatusOK || strings.Contains(res.Page, says) {
			t.Errorf("the neighbour's %s answers %d", path, res.Status)
		}
	}
	if res := neighbour.Send(t, http.MethodPost, "/manage/brand/discard", url.Values{"revision": {"0"}}); res.Status == http.StatusForbidden {
		t.Errorf("the neighbour's console is read only: %s", res.Page)
	}
}
