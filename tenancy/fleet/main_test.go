package fleet_test

import (
	"os"
	"testing"

	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestMain(m *testing.M) {
	if dsn := os.Getenv("EZSCALE_TEST_MIGRATOR"); dsn != "" {
		migrateUntilKilled(dsn) // this process is a migrator of TestMigratorsMayBeKilled
	}
	tenancytest.Main(m)
}
