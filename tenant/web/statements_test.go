package web_test

import (
	"strings"
	"testing"

	"github.com/ezscale/ezscale/branding/surface/surfacetest"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// mostStatements is what a page may send to the database, its transactions' begin and
// commit among them.
const mostStatements = 10

// Every page of /manage and of the client area comes with few statements.
func TestPagesAskLittle(t *testing.T) {
	w, count := tenancytest.NewCounted(t)
	e := newEstate(t, w)
	looked := 0
	for _, r := range e.site.Routes() {
		if r.Method != "GET" || r.Needs == identity.Public {
			continue
		}
		role := identity.ResellerOwner
		if !strings.HasPrefix(r.Path, "/manage") {
			role = identity.CustomerMember
		}
		c := e.as(t, e.A, role)
		path := surfacetest.Fill(r.Path, e.things[e.A.ID], "1")
		c.Send(t, "GET", path, nil) // what is kept in memory is there from now on
		var a surfacetest.Answer
		n := count.Since(func() { a = c.Send(t, "GET", path, nil) })
		// The estate's shop has no address: its invoice is read and refused as an electronic one.
		electronic := a.Status == 409 && strings.HasSuffix(path, ".xml")
		if a.Status != 200 && a.Status != 303 && !electronic {
			t.Errorf("GET %s: %d", path, a.Status)
		}
		if n == 0 || n > mostStatements {
			t.Errorf("GET %s: %d statements, want 1 to %d", path, n, mostStatements)
		}
		t.Logf("%2d %s", n, r.Path)
		looked++
	}
	if looked < 15 {
		t.Errorf("only %d pages", looked)
	}
}
