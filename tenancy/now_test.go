package tenancy_test

import (
	"testing"
	"time"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestATimeIsTheSameWhicheverWayItIsWritten: a value is cut off by the driver and text
// within JSON is rounded by Postgres, so that nothing finer than it keeps may be told.
func TestATimeIsTheSameWhicheverWayItIsWritten(t *testing.T) {
	w := tenancytest.New(t)
	for nanos := range time.Duration(4) {
		w.Clock.Set(time.Date(2026, 11, 21, 16, 5, 24, 502_312_000, time.UTC).Add(nanos * 333))
		for _, who := range []tenancy.Tenant{w.A, w.B} {
			err := w.DB(who).View(t.Context(), func(tx *tenancy.Tx) error {
				var same bool
				err := tx.NewRaw("SELECT ?::timestamptz = (?::jsonb->>'at')::timestamptz", tx.Now(), `{"at":"`+tx.Now().Format(time.RFC3339Nano)+`"}`).Scan(t.Context(), &same)
				if !same {
					t.Errorf("%s is told in two ways", tx.Now().Format(time.RFC3339Nano))
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}
