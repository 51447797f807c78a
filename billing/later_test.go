package billing_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

// Whatever is added to a subscription, and however often within a period: what was paid for
// the period is what each stretch costs with the code, to a cent a line. A share that counts
// on is a share of what is bought later; an amount is taken off once a period and not again.
func TestWhatIsBoughtLaterIsLessTheCodeToo(t *testing.T) {
	month := billing.Period{From: time.Date(2027, 4, 1, 0, 0, 0, 0, time.UTC), To: time.Date(2027, 5, 1, 0, 0, 0, 0, time.UTC)}
	rapid.Check(t, func(t *rapid.T) {
		d := &billing.Discount{Code: "CODE", Ppm: rapid.Int64Range(1, billing.PpmWhole).Draw(t, "ppm")}
		if rapid.Bool().Draw(t, "amount") {
			d.Ppm, d.Off = 0, eur(rapid.Int64Range(1, 3000).Draw(t, "off"))
		}
		parts := []billing.Part{{Kind: "plan", Label: "VPS", Quantity: 1, Price: eur(rapid.Int64Range(0, 5000).Draw(t, "plan"))}}
		paid, at := reduced(t, d, parts), month.From
		costs := 0.0 // the exact price of each stretch, with the code
		rounded := 1
		for n := range rapid.IntRange(1, 4).Draw(t, "changes") {
			next := at.Add(time.Duration(rapid.Int64Range(1, int64(month.To.Sub(at))/2).Draw(t, "later")))
			costs += float64(reduced(t, d, parts)) * float64(next.Sub(at)) / float64(month.To.Sub(month.From))
			now := append([]billing.Part{}, parts...)
			now[0].Price.Minor += rapid.Int64Range(0, 4000).Draw(t, "dearer")
			now = append(now, billing.Part{Kind: "option", Code: string(rune('a' + n)), Label: "More", Quantity: 1, Price: eur(rapid.Int64Range(0, 2000).Draw(t, "more"))})
			old, err := d.Parts(parts)
			must(t, err)
			then, err := d.Parts(now)
			must(t, err)
			c, err := billing.Change{At: next, Zone: time.UTC, Paid: []billing.Period{month}, Old: billing.Terms{Cycle: billing.Monthly, Parts: old},
				New: billing.Terms{Cycle: billing.Monthly, Parts: then}, Upgrade: billing.UpgradeProrate, Downgrade: billing.DowngradeCredit}.Price()
			must(t, err)
			if c.Net.Minor > 0 && reduced(t, d, now) < reduced(t, d, parts) {
				t.Fatalf("%s for what costs less", c.Net)
			}
			paid, rounded, parts, at = paid+c.Net.Minor, rounded+len(c.Lines), now, next
		}
		costs += float64(reduced(t, d, parts)) * float64(month.To.Sub(at)) / float64(month.To.Sub(month.From))
		if off := float64(paid) - costs; off > float64(rounded) || off < -float64(rounded) {
			t.Fatalf("%d was paid for a month that costs %.2f", paid, costs)
		}
	})
}

// reduced is what parts cost a cycle, with a code.
func reduced(t *rapid.T, d *billing.Discount, parts []billing.Part) (sum int64) {
	less, err := d.Parts(parts)
	must(t, err)
	for _, p := range less {
		sum += p.Price.Minor
	}
	return sum
}

func must(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What is charged once and bought later is less by the shares that count for all invoices and
// for what is charged once, and by nothing else: a code for the first invoice was given with it.
func TestWhatIsChargedOnceLater(t *testing.T) {
	move := []billing.Part{{Kind: "setup", Label: "We move you", Quantity: 1, Price: eur(4900)}}
	for what, c := range map[string]struct {
		d    *billing.Discount
		want int64
	}{
		"no code":                    {nil, 4900},
		"a fifth of all":             {&billing.Discount{Code: "A", Ppm: 200_000, Setup: true}, 3920},
		"a fifth, not of setting up": {&billing.Discount{Code: "A", Ppm: 200_000}, 4900},
		"of the first cycle only":    {&billing.Discount{Code: "A", Ppm: 200_000, Cycles: 1, Setup: true}, 4900},
		"an amount a cycle":          {&billing.Discount{Code: "A", Off: eur(500), Setup: true}, 4900},
		"for this plan":              {&billing.Discount{Code: "A", Ppm: 200_000, Setup: true, Plans: []string{"s", "m"}}, 3920},
		"for another plan":           {&billing.Discount{Code: "A", Ppm: 200_000, Setup: true, Plans: []string{"m"}}, 4900},
		"two codes":                  {billing.Stack(&billing.Discount{Code: "A", Ppm: 200_000, Setup: true}, &billing.Discount{Code: "B", Ppm: 500_000, Cycles: 3, Setup: true}), 3920},
	} {
		got, err := c.d.On("s").Once().Parts(move)
		if err != nil || got[0].Price != eur(c.want) {
			t.Errorf("%s: %s, want %d (%v)", what, got[0].Price, c.want, err)
		}
	}
}
