package billing_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ezscale/ezscale/billing"
)

func TestWhatIsDoneAboutWhatIsContested(t *testing.T) {
	const over, open, lost = billing.ContestOver, billing.ContestOpen, billing.ContestLost
	for name, x := range map[string]struct {
		c    billing.Contests
		all  []billing.Contest
		want billing.ContestStep
	}{
		"nothing is said":               {billing.Contests{}, []billing.Contest{open, lost}, billing.ContestNothing},
		"nothing is contested":          {billing.Contests{Opened: "suspend", Lost: "end"}, nil, billing.ContestNothing},
		"open":                          {billing.Contests{Opened: "suspend"}, []billing.Contest{open}, billing.ContestSuspend},
		"won":                           {billing.Contests{Opened: "suspend", Lost: "end"}, []billing.Contest{over}, billing.ContestNothing},
		"lost, and let be":              {billing.Contests{Opened: "suspend"}, []billing.Contest{lost}, billing.ContestNothing},
		"lost":                          {billing.Contests{Lost: "end"}, []billing.Contest{lost}, billing.ContestEnd},
		"one won while another is open": {billing.Contests{Opened: "suspend"}, []billing.Contest{over, open}, billing.ContestSuspend},
		"the gravest counts":            {billing.Contests{Opened: "suspend", Lost: "end"}, []billing.Contest{lost, open, over}, billing.ContestEnd},
	} {
		if got := x.c.Step(x.all...); got != x.want {
			t.Errorf("%s: %q and not %q", name, got, x.want)
		}
	}
	for c, want := range map[billing.Contests]bool{
		{}: true, {Opened: "suspend", Lost: "end"}: true, {Lost: "suspend"}: true,
		{Opened: "end"}: false, {Opened: "x"}: false, {Lost: "x"}: false,
	} {
		if c.Valid() != want {
			t.Errorf("%+v counts as valid: %t", c, c.Valid())
		}
	}
}

// In whatever order disputes are heard of, and however often, the same is done; one more
// never makes it milder.
func TestTheOrderOfContestsDoesNotMatter(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 20261122))
	steps := []billing.ContestStep{"", "suspend", "end"}
	grave := func(s billing.ContestStep) int { return slices.Index(steps, s) }
	for range 5000 {
		c := billing.Contests{Opened: steps[rnd.IntN(2)], Lost: steps[rnd.IntN(3)]}
		all := make([]billing.Contest, rnd.IntN(6))
		for i := range all {
			all[i] = billing.Contest(rnd.IntN(3))
		}
		want := c.Step(all...)
		shuffled := append(slices.Clone(all), all...)
		rnd.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := c.Step(shuffled...); got != want {
			t.Fatalf("%+v of %v is %q, and of %v %q", c, all, want, shuffled, got)
		}
		if got := c.Step(append(all, billing.Contest(rnd.IntN(3)))...); grave(got) < grave(want) {
			t.Fatalf("%+v: one more made %q of %q", c, got, want)
		}
	}
}
