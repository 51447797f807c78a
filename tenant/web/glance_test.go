package web

import (
	"testing"
	"time"

	"github.com/ezscale/ezscale/tenancy"
)

// TestGlances covers how long a glance is remembered, that one alone makes it anew, and
// that shops, currencies and what a person may see are kept apart.
func TestGlances(t *testing.T) {
	var g Glances
	at := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	k := glanceKey{"EUR", true}
	of := func(n int) (x glance) { x.Figures.Customers = n; return x }
	seen := func(tenant tenancy.ID, k glanceKey, after time.Duration) int {
		x, ok := g.find(tenant, k, at.Add(after))
		if !ok {
			return 0
		}
		return x.Figures.Customers
	}
	a, err := tenancy.NumberedID(1)
	if err != nil {
		t.Fatal(err)
	}
	b, err := tenancy.NumberedID(2)
	if err != nil {
		t.Fatal(err)
	}
	g.keep(a, k, at, of(7))
	for _, c := range []struct {
		name   string
		tenant tenancy.ID
		key    glanceKey
		after  time.Duration
		want   int
	}{
		{"young", a, k, 900 * time.Millisecond, 7},
		{"another shop's", b, k, 0, 0},
		{"another currency", a, glanceKey{"USD", true}, 0, 0},
		{"without sums", a, glanceKey{"EUR", false}, 0, 0},
		{"before it was made", a, k, -time.Second, 0},
		{"the first who finds it too old", a, k, time.Second, 0},
		{"the second", a, k, time.Second, 7},
		{"nobody made it anew", a, k, 4 * time.Second, 0},
	} {
		if got := seen(c.tenant, c.key, c.after); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	g.keep(a, k, at, of(8))
	g.keep(b, k, at, of(9))
	g.forget(a)
	if seen(a, k, 0) != 0 || seen(b, k, 0) != 9 {
		t.Error("forgetting one shop's is not what happened")
	}
	var none *Glances
	none.keep(a, k, at, of(1))
	none.forget(a)
	if _, ok := none.find(a, k, at); ok {
		t.Error("nil remembers")
	}
}
