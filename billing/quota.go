package billing

import "math/big"

// QuotaSteps are the shares of what a plan grants, in per cent, at which its owner is told.
func QuotaSteps() []int { return []int{75, 90, 100} }

// QuotaReached is the highest of QuotaSteps that what was used has come to; 0: none. A quota of
// nothing is used up from the beginning and told of by nobody.
func QuotaReached(used, granted *big.Rat) int {
	reached := 0
	for _, step := range QuotaSteps() {
		due := new(big.Rat).Mul(granted, big.NewRat(int64(step), 100))
		if granted.Sign() > 0 && used.Cmp(due) >= 0 {
			reached = step
		}
	}
	return reached
}

// QuotaShare is what was used of what is granted, in whole per cent, rounded down: it is 100
// only when nothing is left.
func QuotaShare(used, granted *big.Rat) int {
	if granted.Sign() <= 0 {
		return 100
	}
	share := new(big.Rat).Mul(used, big.NewRat(100, 1))
	share.Quo(share, granted)
	whole := new(big.Int).Quo(share.Num(), share.Denom())
	if !whole.IsInt64() || whole.Int64() > 100 {
		return 100
	}
	return int(max(whole.Int64(), 0))
}
