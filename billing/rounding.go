package billing

import (
	"errors"
	"math"
	"math/big"
	"math/bits"
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
	// In 128 bits and without allocating: a quote has a few of these for each line.
	hi, lo := bits.Mul64(magnitude(n), magnitude(num))
	if hi >= uint64(den) {
		return 0, ErrOverflow
	}
	whole, left := bits.Div64(hi, lo, uint64(den))
	if left >= uint64(den)-left {
		whole++ // den is at least 2 here, so that the whole is below its maximum
	}
	if (n < 0) != (num < 0) {
		if whole > 1<<63 {
			return 0, ErrOverflow
		}
		return -int64(whole), nil
	}
	if whole > math.MaxInt64 {
		return 0, ErrOverflow
	}
	return int64(whole), nil
}

// magnitude is n without its sign.
func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// divide is n/d, rounded half away from zero; d is positive. It may change n.
func divide(n, d *big.Int) (int64, error) {
	negative := n.Sign() < 0
	n.Abs(n)
	// floor((2·|n| + d) / 2·d) is |n|/d rounded half up, and the sign put back makes
	// that half away from zero.
	n.Lsh(n, 1).Add(n, d)
	n.Quo(n, new(big.Int).Lsh(d, 1))
	if negative {
		n.Neg(n)
	}
	if !n.IsInt64() {
		return 0, ErrOverflow
	}
	return n.Int64(), nil
}

func addChecked(a, b int64) (int64, error) {
	if (b > 0 && a > math.MaxInt64-b) || (b < 0 && a < math.MinInt64-b) {
		return 0, ErrOverflow
	}
	return a + b, nil
}
