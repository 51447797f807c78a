package demo_test

import (
	"testing"
	"time"

	"github.com/ezscale/ezscale/cmd/ezscale/demo"
)

// TestAHistoryBeginsWithAMonth, and long enough ago for a renewal that was not paid to have
// turned something off, whatever day of the year it is.
func TestAHistoryBeginsWithAMonth(t *testing.T) {
	for now := time.Date(2027, 1, 1, 0, 30, 0, 0, time.UTC); now.Year() < 2029; now = now.AddDate(0, 0, 1) {
		for months := range 4 {
			begins := demo.Begins(now, months)
			days := now.Sub(begins).Hours() / 24
			if begins.Day() != 1 || begins.Hour() != 8 || months > 0 && (days < 41 || days > float64(31*months+41+31)) || months == 0 && begins.Month() != now.Month() {
				t.Fatalf("%d months before %s begin at %s", months, now, begins)
			}
		}
	}
}
