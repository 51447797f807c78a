package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/ezscale/ezscale/billing"
)

const (
	pricingRounds = 40
	pricingQuotes = 5_000 // a round: a few milliseconds, so that the clock's own grain does not count
)

// pricing quotes a change of a plan with an option over and over, each at another
// moment of the month.
func (r *run) pricing(ctx context.Context) error {
	begin := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	euro := func(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }
	of := func(plan, option string, price, on int64) billing.Terms {
		return billing.Terms{Cycle: billing.Monthly, Parts: []billing.Part{
			{Kind: "plan", Code: plan, Label: "Cloud VPS " + plan, Quantity: 1, Price: euro(price)},
			{Kind: "option", Code: "ipv4", Label: option, Quantity: 1, Price: euro(on)},
		}}
	}
	c := billing.Change{
		Zone: time.UTC, Paid: []billing.Period{billing.Monthly.Period(begin, 0, time.UTC)},
		Old: of("Drift", "IPv4: 1", 1190, 200), New: of("Gale", "IPv4: 2", 4790, 400), Upgrade: billing.UpgradeProrate, Downgrade: billing.DowngradeAtRenewal,
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	took, lines := make([]time.Duration, pricingRounds), 0
	for i := range took {
		if err := ctx.Err(); err != nil {
			return err
		}
		began := time.Now()
		for n := range pricingQuotes {
			c.At = begin.Add(time.Duration(i*pricingQuotes+n) * 10 * time.Second)
			got, err := c.Price()
			if err != nil {
				return fmt.Errorf("quote a change: %w", err)
			}
			lines += len(got.Lines)
		}
		took[i] = time.Since(began)
	}
	runtime.ReadMemStats(&after)
	if want := 4 * pricingRounds * pricingQuotes; lines != want {
		return fmt.Errorf("quote a change: %d lines, not %d", lines, want)
	}
	slices.Sort(took)
	r.promise("pricing", "a quoted change of plan with an option, four lines, median", took[pricingRounds/2].Seconds()*1e6/pricingQuotes, "µs", atMost, 5)
	r.promise("pricing", "allocations of one", float64(after.Mallocs-before.Mallocs)/(pricingRounds*pricingQuotes), "", atMost, 10)
	return nil
}
