package billing_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func TestStagesOfACreditLimit(t *testing.T) {
	for _, x := range []struct {
		owed, limit int64
		want        billing.LimitStage
	}{
		{0, 100, ""}, {79, 100, ""}, {80, 100, "near"}, {99, 100, "near"}, {100, 100, "reached"}, {500, 100, "reached"}, {-500, 100, ""}, {500, 0, ""}, {1, 1, "reached"}, {7, 9, ""}, {8, 9, "near"},
	} {
		if got := billing.StageOf(x.owed, x.limit); got != x.want {
			t.Errorf("%d of %d: %q, want %q", x.owed, x.limit, got, x.want)
		}
	}
}

// Owing more never brings anybody further from the limit, and a higher limit never nearer.
func TestStagesGrow(t *testing.T) {
	rank := map[billing.LimitStage]int{billing.LimitFine: 0, billing.LimitNear: 1, billing.LimitReached: 2}
	rapid.Check(t, func(t *rapid.T) {
		owed, limit, more := rapid.Int64Range(-1000, billing.MaxMinor/2).Draw(t, "owed"), rapid.Int64Range(1, billing.MaxMinor/2).Draw(t, "limit"), rapid.Int64Range(0, billing.MaxMinor/2).Draw(t, "more")
		at := rank[billing.StageOf(owed, limit)]
		if rank[billing.StageOf(owed+more, limit)] < at || rank[billing.StageOf(owed, limit+more)] > at {
			t.Fatalf("%d of %d, and %d more", owed, limit, more)
		}
	})
}
