package surfacetest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/branding/surface"
)

// Junk is what is sent to every route.
type Junk struct {
	IDs    []string          // besides the usual, in the place of every parameter
	Fields []string          // names of forms and queries
	Known  map[string]string // parameters that keep a value of their own, by name with the colon
	Each   func()            // before every route; nil: nothing
}

func usualIDs() []string {
	return []string{"0", "-1", "x", "4294967295", "99999999999999999999", "%00", "%ff", "..", "a'b", strings.Repeat("9", 3000), "018f3c2e-0000-7000-8000-000000000000"}
}

func values() []string {
	return []string{"\x00", "\xff\xfe", strings.Repeat("é", 5000), "'; DROP TABLE tenants; --", "-1", "{{.}}", "<script>", "\u202e", "%", "1e400", "NaN", "2026-99-99"}
}

// Try sends junk to every route and fails the test for each answer that is an error
// of ours. It returns how many requests were made.
func (j Junk) Try(t testing.TB, c *Client, routes []surface.Route) (tried int) {
	t.Helper()
	forms := j.forms()
	for _, r := range routes {
		if j.Each != nil {
			j.Each()
		}
		for i, path := range j.paths(r.Path) {
			form := forms[i%len(forms)]
			query := path + "?" + form
			type request struct{ what, method, path, form string }
			all := []request{{"as it is", r.Method, path, ""}, {"with a query of junk", r.Method, query, form}}
			if r.Method != http.MethodGet { // a GET has no body
				all = append(all, request{"with a form of junk", r.Method, path, form})
			}
			if i == 0 { // what no handler takes is answered before any id is read
				all = append(all, request{"by another method", "DELETE", path, form}, request{"by POST", "POST", query, form})
			}
			for _, a := range all {
				tried++
				if got := c.send(t, a.method, a.path, a.form); got.Status >= 500 {
					t.Errorf("%s %.80s %s: %d\n%.600s", a.method, path, a.what, got.Status, got.Page)
				}
			}
		}
	}
	return tried
}

// forms are as many forms as there are values, written out: each has another value in
// each field.
func (j Junk) forms() (all []string) {
	words := values()
	for i := range words {
		form := url.Values{}
		for k, f := range j.Fields {
			form.Set(f, words[(i+k)%len(words)])
		}
		all = append(all, form.Encode())
	}
	return all
}

// paths is the route's path once with each id.
func (j Junk) paths(pattern string) []string {
	if !strings.Contains(pattern, ":") {
		return []string{pattern}
	}
	var all []string
	for _, id := range append(usualIDs(), j.IDs...) {
		all = append(all, Fill(pattern, j.Known, id))
	}
	return all
}

// Fill puts values into a route's path by the parameters' names; rest is for those
// that have none.
func Fill(pattern string, known map[string]string, rest string) string {
	parts := strings.Split(pattern, "/")
	for i, p := range parts {
		if v, ok := known[p]; ok {
			parts[i] = v
		} else if strings.HasPrefix(p, ":") {
			parts[i] = rest
		}
	}
	return strings.Join(parts, "/")
}
