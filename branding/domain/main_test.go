package domain

import (
	"os"
	"testing"

	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(runChild())
	}
	tenancytest.Main(m)
}

func testKeyring(t testing.TB) *secrets.Keyring {
	t.Helper()
	key, err := secrets.NewKey("one")
	if err != nil {
		t.Fatal(err)
	}
	ring, err := secrets.Parse(key)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}
