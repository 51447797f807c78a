package web_test

import (
	"strings"
	"testing"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/branding/surface/surfacetest"
	"github.com/ezscale/ezscale/tenancy/identity"
)

// Nothing anybody sends to any route is an error of ours.
func TestJunk(t *testing.T) {
	h := open(t, identity.StaffAdmin)
	stock := h.stock()
	fields := []string{"q", "base_url", "token", "driver", "settings", "sku", "region", "region_name", "more", "packageId", "kind", "ref", "repair", "platform", "sort", "dir", "page", "status", "state", "behind", "before", "actor", "action", "target", "from", "until", "tenant", "role", "format",
		"name", "slug", "key", "owner_name", "owner_email", "locale", "currency", "time_zone", "trial_days", "reason", "note", "typed", "email", "require_totp", "period", "sku", "tier", "price", "from", "fee", "percent", "spec", "position", "kind", "unit", "type", "summary", "amount", "company", "country", "due_days", "footer", "to", "why", "question", "do", "text", "prepaid", "back", "collect", "collect_percent", "collect_fixed", "collect_hold", "payout", "payout_ref", "returned_ref"}
	var routes []surface.Route
	for _, r := range h.console.Routes() {
		if strings.HasPrefix(r.Path, "/security") || strings.HasPrefix(r.Path, "/sign-") || strings.HasPrefix(r.Path, "/domains") || r.Path == "/forgot" || strings.HasPrefix(r.Path, "/link") {
			continue // these have tests of their own, and sign us out
		}
		routes = append(routes, r)
	}
	junk := surfacetest.Junk{IDs: []string{h.A.ID.String()}, Fields: fields}
	tried := junk.Try(t, h.client(), routes)
	junk.Known = map[string]string{":action": "maintenance", ":platform": stock.platform.String()}
	tried += junk.Try(t, h.client(), routes)
	t.Logf("%d requests", tried)
}

// A form without its token changes nothing.
func TestFormsNeedTheirToken(t *testing.T) {
	h := open(t, identity.StaffAdmin)
	h.csrf = "stolen"
	for _, r := range h.console.Routes() {
		if r.Method != "POST" {
			continue
		}
		path := strings.NewReplacer(":id", h.A.ID.String(), ":action", "suspend", ":person", h.person.ID.String(), ":job", "1", ":mail", h.person.ID.String(), ":platform", h.person.ID.String(), ":offer", h.person.ID.String()).Replace(r.Path)
		if a := h.post(path, "reason", "x", "name", "stolen"); a.status != 403 {
			t.Errorf("%s: %d", r.Path, a.status)
		}
	}
	h.want("unchanged", h.get("/resellers"), 200, "alpha")
}

// Who may only read changes nothing, whatever they know of our paths.
func TestReadersOnlyRead(t *testing.T) {
	h := open(t, identity.StaffReadOnly)
	a := "/resellers/" + h.A.ID.String()
	for _, path := range []string{"/resellers", a + "/do/suspend", a + "/name", a + "/policy", "/staff", "/jobs/1/retry"} {
		if got := h.post(path, "reason", "x", "name", "x"); got.status != 403 {
			t.Errorf("POST %s: %d", path, got.status)
		}
	}
	for _, path := range []string{"/staff", "/audit", a + "/settings", a + "/activity", "/resellers/new"} {
		if got := h.get(path); got.status != 403 {
			t.Errorf("GET %s: %d", path, got.status)
		}
	}
	h.want("the list", h.get("/resellers"), 200, "alpha")
	if strings.Contains(h.get(a).page, "danger zone") {
		t.Error("offers what it refuses")
	}
}
