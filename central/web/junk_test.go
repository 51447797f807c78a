package web_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/tenancy/identity"
)

// Nothing anybody sends to any route is an error of ours.
func TestJunk(t *testing.T) {
	h := open(t, identity.StaffAdmin)
	ids := []string{"0", "-1", "x", "4294967295", "99999999999999999999", "%00", "%ff", "..", "a'b", strings.Repeat("9", 3000), h.A.ID.String(), "018f3c2e-0000-7000-8000-000000000000"}
	values := []string{"\x00", "\xff\xfe", strings.Repeat("é", 5000), "'; DROP TABLE tenants; --", "-1", "{{.}}", "<script>", "\u202e", "%", "1e400", "NaN", "2026-99-99"}
	fields := []string{"q", "sort", "dir", "page", "status", "state", "behind", "before", "actor", "action", "target", "from", "until", "tenant", "role", "format",
		"name", "slug", "key", "owner_name", "owner_email", "locale", "currency", "time_zone", "trial_days", "reason", "note", "typed", "email", "require_totp"}
	tried := 0
	for _, r := range h.console.Routes() {
		if strings.HasPrefix(r.Path, "/security") || strings.HasPrefix(r.Path, "/sign-") || strings.HasPrefix(r.Path, "/domains") || r.Path == "/forgot" || strings.HasPrefix(r.Path, "/link") {
			continue // these have tests of their own, and sign us out
		}
		paths := []string{r.Path}
		if strings.Contains(r.Path, ":") {
			paths = nil
			for _, id := range ids {
				var parts []string
				for _, p := range strings.Split(r.Path, "/") {
					if p == ":action" && id == h.A.ID.String() {
						p = "maintenance"
					} else if strings.HasPrefix(p, ":") {
						p = id
					}
					parts = append(parts, p)
				}
				paths = append(paths, strings.Join(parts, "/"))
			}
		}
		for i, path := range paths {
			form := url.Values{}
			for j, f := range fields {
				form.Set(f, values[(i+j)%len(values)])
			}
			query := path + "?" + form.Encode()
			for _, a := range []struct {
				what string
				answer
			}{
				{"as it is", h.send(r.Method, path, url.Values{})}, {"with a form of junk", h.send(r.Method, path, form)}, {"with a query of junk", h.send(r.Method, query, form)},
				{"by another method", h.send("DELETE", path, form)}, {"by POST", h.send("POST", query, form)},
			} {
				if tried++; a.status >= 500 {
					t.Errorf("%s %.80s %s: %d\n%.600s", r.Method, path, a.what, a.status, a.page)
				}
			}
		}
	}
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
		path := strings.NewReplacer(":id", h.A.ID.String(), ":action", "suspend", ":person", h.person.ID.String(), ":job", "1", ":mail", h.person.ID.String()).Replace(r.Path)
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
