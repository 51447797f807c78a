package gateway_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
)

// TestDisputesInAnyOrder: the states of a dispute, heard in any order and repeated, end
// where the last of them stands, and the movements add up to what it says.
func TestDisputesInAnyOrder(t *testing.T) {
	eur := func(n int64) billing.Money { return billing.Money{Minor: n, Currency: "EUR"} }
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Int64Range(1, 1e6).Draw(t, "amount")
		state := func(s gateway.DisputeState, moves int, withdrawn int64) gateway.Dispute {
			return gateway.Dispute{Ref: "dp_1", State: s, Amount: eur(amount), Withdrawn: eur(withdrawn), Moves: moves}
		}
		life := []gateway.Dispute{state(gateway.NeedsResponse, 0, 0), state(gateway.NeedsResponse, 1, amount), state(gateway.UnderReview, 1, amount)}
		switch rapid.IntRange(0, 2).Draw(t, "end") {
		case 0:
			life = append(life, state(gateway.Lost, 1, amount))
		case 1:
			life = append(life, state(gateway.Won, 1, amount), state(gateway.Won, 2, 0))
		case 2: // the bank takes its word back
			life = append(life, state(gateway.Won, 2, 0), state(gateway.Lost, 3, amount))
		}
		last := life[len(life)-1]
		heard := rapid.SliceOfN(rapid.SampledFrom(life), 0, 12).Draw(t, "heard")
		heard = append(heard, last)
		heard = append(heard, rapid.SliceOfN(rapid.SampledFrom(life), 0, 6).Draw(t, "late")...)
		var kept []gateway.Disputed
		var withdrawn, lost int64
		for _, d := range heard {
			var n gateway.DisputeNews
			kept, n = gateway.Hear(kept, d, time.Unix(0, 0))
			withdrawn, lost = withdrawn+n.Withdrawn, lost+n.Lost
			if again, n := gateway.Hear(kept, d, time.Unix(9, 0)); n.Changed || len(again) != len(kept) {
				t.Fatalf("%+v twice: %+v", d, n)
			}
		}
		if len(kept) != 1 || kept[0].State != last.State || kept[0].WithdrawnMinor != last.Withdrawn.Minor || withdrawn != last.Withdrawn.Minor {
			t.Fatalf("%+v, moved %d, want %+v", kept, withdrawn, last)
		}
		if want := map[bool]int64{true: last.Withdrawn.Minor}[last.State == gateway.Lost]; lost != want {
			t.Fatalf("lost %d, want %d", lost, want)
		}
	})
}
