package billing

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"
)

func TestHowMuchOfAQuotaIsUsed(t *testing.T) {
	for _, c := range []struct {
		used, granted string
		step, share   int
	}{{"0", "10", 0, 0}, {"7.49", "10", 0, 74}, {"7.5", "10", 75, 75}, {"9", "10", 90, 90}, {"9.999999", "10", 90, 99}, {"10", "10", 100, 100}, {"12", "10", 100, 100}, {"0", "0", 0, 100}} {
		used, err := ParseQuantity(c.used)
		if err != nil {
			t.Fatal(err)
		}
		granted, err := ParseQuantity(c.granted)
		if err != nil {
			t.Fatal(err)
		}
		if step, share := QuotaReached(used, granted), QuotaShare(used, granted); step != c.step || share != c.share {
			t.Errorf("%s of %s: step %d, %d %%; want %d, %d %%", c.used, c.granted, step, share, c.step, c.share)
		}
	}
}

// Using more never comes to less, 100 % means that nothing is left, and a step is told when its
// share is there.
func TestQuotaSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		granted := big.NewRat(rapid.Int64Range(1, 1_000_000).Draw(t, "granted"), rapid.Int64Range(1, 1000).Draw(t, "of"))
		used := big.NewRat(rapid.Int64Range(0, 2_000_000).Draw(t, "used"), rapid.Int64Range(1, 1000).Draw(t, "by"))
		more := new(big.Rat).Add(used, big.NewRat(rapid.Int64Range(0, 1000).Draw(t, "more"), 7))
		step, share := QuotaReached(used, granted), QuotaShare(used, granted)
		if QuotaReached(more, granted) < step || QuotaShare(more, granted) < share {
			t.Fatal("more is less")
		}
		if (share == 100) != (used.Cmp(granted) >= 0) || (step == 100) != (share == 100) || (step >= 75) != (share >= 75) || (step >= 90) != (share >= 90) {
			t.Fatalf("%s of %s: step %d at %d %%", used, granted, step, share)
		}
	})
}
