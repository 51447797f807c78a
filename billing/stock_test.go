package billing_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

// Two pieces, one of which is kept for Ida until 14:35: Ben may take one, and two once
// her time is over.
func ExampleStockLeft() {
	until := time.Date(2026, 11, 22, 14, 35, 0, 0, time.UTC)
	held := map[string]billing.StockHold{"ida": {Pieces: 1, Until: until}}
	fmt.Println(billing.StockLeft(2, held, "ben", until.Add(-time.Second)), billing.StockLeft(2, held, "ida", until.Add(-time.Second)), billing.StockLeft(2, held, "ben", until))
	// Output: 1 2 2
}

// Whatever is held and sold in whatever order, as time passes: never more is kept than
// there is, and who holds a piece can buy it until their time is over.
func TestStockIsNeverPromisedTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stock, now := rapid.IntRange(0, 6).Draw(t, "stock"), time.Unix(1_800_000_000, 0)
		var held map[string]billing.StockHold
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "seconds")) * time.Second)
			who := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "who")
			n := rapid.IntRange(0, 3).Draw(t, "pieces")
			left := billing.StockLeft(stock, held, who, now)
			if mine, ok := held[who]; ok && now.Before(mine.Until) && mine.Pieces > left {
				t.Fatalf("%s holds %d and may take %d of %d: %v", who, mine.Pieces, left, stock, held)
			}
			if rapid.Bool().Draw(t, "buy") {
				if n > 0 && n <= left { // as an order does
					stock -= n
					held, _ = billing.HoldStock(stock, held, who, billing.StockHold{}, now)
				}
			} else {
				next, ok := billing.HoldStock(stock, held, who, billing.StockHold{Pieces: n, Until: now.Add(15 * time.Minute)}, now)
				if ok != (n <= left) {
					t.Fatalf("%d of %d left: %v", n, left, ok)
				}
				held = next
			}
			sum := 0
			for _, h := range held {
				if now.Before(h.Until) {
					sum += h.Pieces
				}
			}
			if sum > stock || stock < 0 {
				t.Fatalf("%d are kept of %d: %v", sum, stock, held)
			}
			if at := billing.HeldUntil(held, who, now); !at.IsZero() && !at.After(now) {
				t.Fatalf("free at %v, before %v", at, now)
			}
		}
	})
}
