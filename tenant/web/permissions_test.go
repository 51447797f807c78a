package web_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/web"
)

var updatePermissions = flag.Bool("update-permissions", false, "write testdata/route_permissions.golden anew")

// Every route stands in the golden file with who may use it; read the difference
// before you write it anew.
func TestRoutePermissions(t *testing.T) {
	areas := []surface.Area{{Name: "manage", Prefix: "/manage", World: identity.Reseller}, {Name: "shop", World: identity.Customer}}
	got, err := surface.Matrix(areas, (&web.Site{Office: &web.Office{}}).Routes())
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/route_permissions.golden"
	if *updatePermissions {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, line := range strings.Split(string(want), "\n") {
		known[line] = true
	}
	for _, line := range strings.Split(got, "\n") {
		if !known[line] {
			t.Errorf("not in %s:\n%s", golden, line)
		}
	}
	if got != string(want) {
		t.Errorf("%s holds rows of routes that are gone, or in another order; run with -update-permissions and read the difference", golden)
	}
}
