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

// Every page of the console comes with few statements.
func TestPagesAskLittle(t *testing.T) {
	w, count := tenancytest.NewCounted(t)
	billedWorld(t, w)
	h := openOver(t, w, identity.StaffAdmin)
	stock := h.stock()
	known := map[string]string{":id": h.A.ID.String(), ":action": "suspend", ":person": h.person.ID.String(), ":invoice": invoiceOf(t, w, h.A), ":line": "2", ":credit": creditOf(t, w, h.A), ":sku": "wvps-s", ":platform": stock.platform.String(),
		":offer": stock.offer[strings.LastIndex(stock.offer, "/")+1:], ":tenant": h.A.ID.String(), ":service": stock.service.String()}
	looked := 0
	for _, r := range h.console.Routes() {
		if r.Method != "GET" || r.Needs == identity.Public || strings.HasPrefix(r.Path, "/domains") || r.Path == "/jobs/:job" {
			continue // the domains' pages need parts that this test has not, a job is one statement
		}
		path := surfacetest.Fill(r.Path, known, "1")
		if r.Path == "/wholesale/preview" {
			continue // it works a whole month out
		}
		h.get(path) // connections are open from now on
		var a answer
		n := count.Since(func() { a = h.get(path) })
		if a.status != 200 && a.status != 303 {
			t.Errorf("GET %s: %d", path, a.status)
		}
		if n == 0 || n > mostStatements {
			t.Errorf("GET %s: %d statements, want 1 to %d", path, n, mostStatements)
		}
		looked++
	}
	if looked < 15 {
		t.Errorf("only %d pages", looked)
	}
}
