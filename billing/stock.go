package billing

import "time"

// StockHold is so many pieces that are kept for somebody until a time.
type StockHold struct {
	Pieces int       `json:"pieces"`
	Until  time.Time `json:"until"` // from then on it counts no more, whether or not it was taken away
}

// StockLeft is how many pieces of a stock somebody may take at a moment: those that are
// not kept for others. What is kept for themselves is theirs. Never less than nothing.
func StockLeft(stock int, held map[string]StockHold, who string, now time.Time) int {
	for other, h := range held {
		if other != who && now.Before(h.Until) {
			stock -= h.Pieces
		}
	}
	return max(stock, 0)
}

// HoldStock keeps pieces for somebody, in place of what was kept for them before, and
// forgets what no longer counts; no pieces keep nothing. It reports false, and changes
// nothing, where too few are left. The map that is given stays as it is.
func HoldStock(stock int, held map[string]StockHold, who string, h StockHold, now time.Time) (map[string]StockHold, bool) {
	if h.Pieces > 0 && h.Pieces > StockLeft(stock, held, who, now) {
		return held, false
	}
	next := map[string]StockHold{}
	for other, x := range held {
		if other != who && now.Before(x.Until) {
			next[other] = x
		}
	}
	if h.Pieces > 0 {
		next[who] = h
	}
	return next, true
}

// HeldUntil is when the first piece that is kept for others may be free again; zero: none
// is kept.
func HeldUntil(held map[string]StockHold, who string, now time.Time) (at time.Time) {
	for other, h := range held {
		if other != who && now.Before(h.Until) && (at.IsZero() || h.Until.Before(at)) {
			at = h.Until
		}
	}
	return at
}
