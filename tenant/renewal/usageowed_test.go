package renewal_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/renewal"
)

// calls is a meter of a tenth of a euro a call.
func calls() catalog.MeterForm {
	return catalog.MeterForm{Code: "calls", Unit: "call", Aggregation: "sum", Tiers: map[string]string{"EUR": "0.1"}}
}

func TestUsageThatIsOwedIsForeseenNamedAndInvoicedAtTheEnd(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(january)
	s := scenery(t, w, w.A)
	s.meter(calls())
	ida := s.customer("ida", false)
	sub := s.runs(ida, 1000)
	if got := s.tell(used(sub, "1", "calls", "50", s.Clock.Now())); got[0] != "accepted" {
		t.Fatalf("told: %v", got)
	}
	var first renewal.Foreseen
	s.update(func(tx *tenancy.Tx) error {
		all, err := renewal.Upcoming(t.Context(), tx, ida, 3)
		if err == nil {
			first = all[0]
			if all[1].SoFar || all[1].Net.Minor != 1000 {
				t.Errorf("the second has %s", all[1].Net)
			}
		}
		return err
	})
	if !first.SoFar || first.Net.Minor != 1500 {
		t.Errorf("foreseen: %s, so far %t", first.Net, first.SoFar)
	}
	// Made on the day the month ends, and not paid: a change is refused in words that say why.
	next := s.get(sub).Next().From
	s.Clock.Set(next)
	s.tick()
	if got := s.nets(sub); !slices.Equal(got, []int64{1500}) {
		t.Fatalf("invoiced: %v", got)
	}
	_, err := s.desk.QuoteChange(t.Context(), s.db, renewal.ChangeAsk{SubscriptionID: sub, Plan: "m"})
	if code(err) != "change.usage_unpaid" || !strings.Contains(err.Error(), "what you used") {
		t.Errorf("a change: %v", err)
	}
	// It ends unpaid. What was used since is invoiced all the same, and is not given up with the rest.
	s.tell(used(sub, "2", "calls", "30", s.Clock.Now()))
	s.until(next, 24)
	if got := s.get(sub).State; got != renewal.Ended {
		t.Fatalf("it is %s", got)
	}
	states := scanAll[string](s.shop, "SELECT i.state || ' ' || i.net_minor FROM invoices i WHERE i.key LIKE 'renewal/%' AND i.kind = 'invoice' ORDER BY i.issued_at")
	if !slices.Equal(states, []string{"uncollectible 1500", "open 300"}) {
		t.Errorf("invoices: %v", states)
	}
	s.until(next, 50)
	if got := scan[string](s.shop, "SELECT state FROM invoices WHERE key LIKE '%/usage/end'"); got != "uncollectible" {
		t.Errorf("after its own reminders the last one is %s", got)
	}
	s.books()
}
