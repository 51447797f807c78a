package billing_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func TestContestedCredit(t *testing.T) {
	for name, c := range map[string]struct {
		was        billing.ContestedCredit
		away, gone int64
		want       billing.ContestedCredit
	}{
		"disputed, nothing spent":      {billing.ContestedCredit{Left: 50}, 50, 0, billing.ContestedCredit{Held: 50}},
		"disputed, some spent":         {billing.ContestedCredit{Left: 20}, 50, 0, billing.ContestedCredit{Held: 20}},
		"a part is disputed":           {billing.ContestedCredit{Left: 50}, 30, 0, billing.ContestedCredit{Left: 20, Held: 30}},
		"won":                          {billing.ContestedCredit{Held: 20}, 0, 0, billing.ContestedCredit{Left: 20}},
		"lost":                         {billing.ContestedCredit{Held: 20}, 50, 50, billing.ContestedCredit{Lost: 20}},
		"lost at once":                 {billing.ContestedCredit{Left: 20}, 50, 50, billing.ContestedCredit{Lost: 20}},
		"lost, and given back later":   {billing.ContestedCredit{Lost: 20}, 0, 0, billing.ContestedCredit{Left: 20}},
		"one is lost, another decided": {billing.ContestedCredit{Held: 50}, 50, 30, billing.ContestedCredit{Held: 20, Lost: 30}},
		"spent credit comes back":      {billing.ContestedCredit{Left: 10, Held: 20}, 50, 0, billing.ContestedCredit{Held: 30}},
	} {
		if got := c.was.Settle(c.away, c.gone); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// Nothing comes into being or is lost, nothing is below zero, and the way there does not count.
func TestContestedCreditKeepsItsSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := func(name string) int64 { return rapid.Int64Range(-5, 1000).Draw(t, name) }
		c := billing.ContestedCredit{Left: max(n("left"), 0), Held: max(n("held"), 0), Lost: max(n("lost"), 0)}
		away, gone := n("away"), n("gone")
		got := c.Settle(away, gone)
		if got.Left+got.Held+got.Lost != c.Left+c.Held+c.Lost || min(got.Left, got.Held, got.Lost) < 0 || got.Held+got.Lost > max(away, 0) {
			t.Fatalf("%+v by %d, %d: %+v", c, away, gone, got)
		}
		if by := c.Settle(n("before"), n("before, gone")).Settle(away, gone); by != got || got.Settle(away, gone) != got {
			t.Fatalf("%+v by %d, %d: %+v, by a way %+v", c, away, gone, got, by)
		}
		if back := got.Settle(0, 0); back.Left != c.Left+c.Held+c.Lost {
			t.Fatalf("won: %+v", back)
		}
	})
}
