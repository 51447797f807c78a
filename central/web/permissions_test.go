package web_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/branding/surface"
	"github.com/ezscale/ezscale/central/web"
	"github.com/ezscale/ezscale/tenancy/identity"
)

var updatePermissions = flag.Bool("update-permissions", false, "write testdata/route_permissions.golden anew")

// Every route stands in the golden file with who may use it; read the difference
// before you write it anew.
func TestRoutePermissions(t *testing.T) {
	areas := []surface.Area{{Name: "console", World: identity.Staff}}
	got, err := surface.Matrix(areas, (&web.Console{}).Routes())
	if err != nil {
		t.Fatal(err)
	}
	compareMatrix(t, "testdata/route_permissions.golden", got)
}

func compareMatrix(t *testing.T, golden, got string) {
	t.Helper()
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
