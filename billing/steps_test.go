package billing_test

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

// Memory from 2 to 16 GB by 2 GB: four are two steps, five cannot be chosen.
func ExampleSteps_Count() {
	s := billing.Steps{Minimum: 2, Maximum: 16, Step: 2, Start: 4}
	fmt.Println(s.Count(4))
	fmt.Println(s.Count(5))
	fmt.Println(s.Count(18))
	// Output:
	// 2 true
	// 0 false
	// 0 false
}

func TestStepsThatAreNone(t *testing.T) {
	for _, s := range []billing.Steps{{Minimum: -1, Step: 1}, {Minimum: 3, Maximum: 2, Step: 1, Start: 3}, {Maximum: 5}, {Maximum: 10, Step: 3, Start: 4}, {Minimum: 2, Maximum: 4, Step: 1, Start: 5}} {
		if s.Check() == nil {
			t.Errorf("%+v", s)
		}
	}
}

// More is never fewer steps, a step more is one more, and what can be chosen lies between.
func TestStepsGrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := billing.Steps{Minimum: rapid.IntRange(0, 50).Draw(t, "min"), Step: rapid.IntRange(1, 20).Draw(t, "step")}
		s.Maximum, s.Start = s.Minimum+rapid.IntRange(0, 300).Draw(t, "more"), s.Minimum
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		last := int64(-1)
		for n := -1; n <= s.Maximum+s.Step; n++ {
			steps, ok := s.Count(n)
			if !ok {
				continue
			}
			if n < s.Minimum || n > s.Maximum || last >= 0 && steps != last+1 {
				t.Fatalf("%d of %+v are %d steps after %d", n, s, steps, last)
			}
			last = steps
		}
	})
}
