package billing

import (
	"errors"
	"math"
	"math/big"
)

// ErrOverflow is returned when an amount does not fit into 64 bits of minor units.
var ErrOverflow = errors.New("billing: amount out of range")

// ErrNoRatio is returned for a ratio whose denominator is not positive.
var ErrNoRatio = errors.New("billing: the denominator of a ratio must be positive")

// scale is n*num/den, rounded half away from zero: the only rounding of money there
// is, so that a price, its tax and its proration can never disagree about half a cent.
func scale(n, num, den int64) (int64, error) {
	if den <= 0 {
		return 0, ErrNoRatio
	}
	product := new(big.Int).Mul(big.NewInt(n), big.NewInt(num))
	negative := product.Sign() < 0
	product.Abs(product)
	// floor((2·|n·num| + den) / (2·den)) is |n·num|/den rounded half up, and the sign
	// put back makes that half away from zero.
	product.Lsh(product, 1).Add(product, big.NewInt(den))
	product.Quo(product, new(big.Int).Lsh(big.NewInt(den), 1))
	if negative {
		product.Neg(product)
	}
	if !product.IsInt64() {
		return 0, ErrOverflow
	}
	return product.Int64(), nil
}

func addChecked(a, b int64) (int64, error) {
	if (b > 0 && a > math.MaxInt64-b) || (b < 0 && a < math.MinInt64-b) {
		return 0, ErrOverflow
	}
	return a + b, nil
}
