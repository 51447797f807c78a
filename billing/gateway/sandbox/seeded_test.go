package sandbox_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/sandbox"
)

func TestSeededMethodsFailAsOftenAsTheyAreToldAndAlwaysTheSame(t *testing.T) {
	g := &sandbox.Gateway{Now: func() time.Time { return time.Date(2027, 3, 9, 8, 0, 0, 0, time.UTC) }}
	choice := sandbox.Seeded{Seed: 7, Short: 100_000, Expired: 20_000}.Choice()
	soft, hard := 0, 0
	for i := range 2000 {
		c := gateway.Charge{Key: fmt.Sprintf("charge/%d/0", i), Amount: billing.Money{Minor: 500, Currency: "EUR"}, Method: fmt.Sprintf("%s/m%d", choice, i)}
		p, err := g.Charge(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		c.Key = fmt.Sprintf("charge/other%d/0", i) // another invoice of the same month
		again, err := g.Charge(t.Context(), c)
		if err != nil || again.State != p.State {
			t.Fatalf("method %d: %s, then %s (%v)", i, p.State, again.State, err)
		}
		if p.Decline == nil {
			continue
		}
		if p.Received.Minor != 0 {
			t.Errorf("a refused payment received %v", p.Received)
		}
		switch p.Decline.Kind {
		case gateway.Soft:
			soft++
		case gateway.Hard:
			hard++
		}
	}
	if soft < 150 || soft > 250 || hard < 20 || hard > 65 {
		t.Errorf("of 2000 methods, %d ran short and %d expired; about 200 and 40 were wanted", soft, hard)
	}
}

func TestASeededMethodThatRanShortCanPayLater(t *testing.T) {
	g := &sandbox.Gateway{Now: func() time.Time { return time.Date(2027, 3, 9, 8, 0, 0, 0, time.UTC) }}
	choice := sandbox.Seeded{Seed: 7, Short: 1_000_000}.Choice()
	later := 0
	for i := range 100 {
		for try := range 6 {
			p, err := g.Charge(t.Context(), gateway.Charge{Key: fmt.Sprintf("charge/x/%d", try), Amount: billing.Money{Minor: 500, Currency: "EUR"}, Method: fmt.Sprintf("%s/m%d", choice, i)})
			if err != nil {
				t.Fatal(err)
			}
			if try == 0 && p.State != gateway.Failed {
				t.Fatalf("the first try of method %d: %s", i, p.State)
			}
			if p.State == gateway.Succeeded {
				later++
				break
			}
		}
	}
	if later < 60 || later > 95 {
		t.Errorf("%d of 100 paid in the end; about 80 were wanted", later)
	}
}

func TestAForgedSeedIsAMethodThatWorks(t *testing.T) {
	g := &sandbox.Gateway{Now: time.Now}
	for _, method := range []string{"seeded.", "seeded.x.y.z/a", "seeded.1.2/a", "seeded.-9.-9.-9/a", "seeded.9999999999999999999999.1.1/a"} {
		p, err := g.Charge(t.Context(), gateway.Charge{Key: "k", Amount: billing.Money{Minor: 1, Currency: "EUR"}, Method: method})
		if err != nil || p.State != gateway.Succeeded {
			t.Errorf("%s: %s, %v", method, p.State, err)
		}
	}
}
