package tenancy_test

import (
	"os"
	"testing"

	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestMain(m *testing.M) {
	if job := os.Getenv("TENANCY_TEST_VICTIM"); job != "" {
		beVictim(job) // this process is there to be killed, see crash_test.go
		return
	}
	tenancytest.Main(m)
}
