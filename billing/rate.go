package billing

import (
	"fmt"
	"math/big"
	"strings"

	"github.com/bojanz/currency"
)

// rateDigits is how many decimals of a minor unit a Rate keeps.
const rateDigits = 8

// rateOne is one minor unit in a Rate's units.
const rateOne = 100_000_000

// Rate is a price that may be finer than the minor unit: 0.0042 euros an hour is 0.42
// cents. It becomes Money only by Over, which rounds once. Rates are compared with ==;
// the zero Rate is no price of no currency.
type Rate struct {
	Units    int64 // hundred millionths of a minor unit
	Currency string
}

// ParseRate reads a plain decimal of whole units such as "4.2" or "0.0042": not
// negative, a point, no grouping, up to eight decimals more than the currency has.
func ParseRate(decimal, code string) (Rate, error) {
	digits, err := Digits(code)
	if err != nil {
		return Rate{}, err
	}
	units, err := parseUnits(decimal, digits+rateDigits)
	return Rate{units, code}, err
}

// ParseMinorRate reads a decimal of minor units, as the database keeps it: "420.5".
func ParseMinorRate(decimal, code string) (Rate, error) {
	if _, err := Digits(code); err != nil {
		return Rate{}, err
	}
	units, err := parseUnits(decimal, rateDigits)
	return Rate{units, code}, err
}

// RateOf is money as a rate; not more than 92 billion minor units.
func RateOf(m Money) (Rate, error) {
	units, err := scale(m.Minor, rateOne, 1)
	if err == nil && m.Currency == "" {
		err = ErrCurrency
	}
	return Rate{units, m.Currency}, err
}

// parseUnits reads digits with at most so many decimals and answers in the last one's unit.
func parseUnits(decimal string, decimals int) (int64, error) {
	whole, part, point := strings.Cut(decimal, ".")
	if whole == "" || (point && part == "") || len(part) > decimals || len(decimal) > 40 || strings.Trim(whole+part, "0123456789") != "" {
		return 0, fmt.Errorf("%w: %.40q", ErrAmount, decimal)
	}
	n, ok := new(big.Int).SetString(whole+part+strings.Repeat("0", decimals-len(part)), 10)
	if !ok {
		return 0, fmt.Errorf("%w: %.40q", ErrAmount, decimal)
	}
	if !n.IsInt64() {
		return 0, ErrOverflow
	}
	return n.Int64(), nil
}

// Over is r·num/den as money, rounded once, half away from zero: the price of a month
// over the microseconds that were used of it.
func (r Rate) Over(num, den *big.Int) (Money, error) {
	if r.Currency == "" {
		return Money{}, ErrCurrency
	}
	if den.Sign() <= 0 {
		return Money{}, ErrNoRatio
	}
	n := new(big.Int).Mul(big.NewInt(r.Units), num)
	d := new(big.Int).Mul(den, big.NewInt(rateOne))
	minor, err := divide(n, d)
	return Money{minor, r.Currency}, err
}

// Less takes parts per million off: a discount of 12.5 % is 125000. What is finer than a
// rate is rounded half away from zero; it is for showing, not for adding up.
func (r Rate) Less(ppm int64) (Rate, error) {
	units, err := scale(r.Units, 1_000_000-ppm, 1_000_000)
	return Rate{units, r.Currency}, err
}

// Round is the rate as money, half away from zero.
func (r Rate) Round() (Money, error) { return r.Over(big.NewInt(1), big.NewInt(1)) }

// Minor is the rate as a decimal of minor units, as ParseMinorRate reads it.
func (r Rate) Minor() string { return decimalOf(r.Units, rateDigits, 0) }

// Decimal is the rate as a plain decimal of whole units with at least the currency's
// digits; ParseRate reads it back.
func (r Rate) Decimal() string {
	digits, err := Digits(r.Currency)
	if err != nil {
		digits = 0
	}
	return decimalOf(r.Units, digits+rateDigits, digits)
}

// String is for logs: "0.0042 EUR".
func (r Rate) String() string { return strings.TrimSpace(r.Decimal() + " " + r.Currency) }

// Format writes the price for people as Money.Format does, with as many decimals as it
// has.
func (r Rate) Format(locale string) string {
	amount, err := currency.NewAmount(r.Decimal(), r.Currency)
	if err != nil {
		return r.String()
	}
	f := currency.NewFormatter(currency.NewLocale(locale))
	f.MaxDigits = 11
	return f.Format(amount)
}

// IsZero reports whether the price is nothing.
func (r Rate) IsZero() bool { return r.Units == 0 }

// decimalOf writes n of so many decimals, without zeros at the end but for keep.
func decimalOf(n int64, decimals, keep int) string {
	s := new(big.Int).Abs(big.NewInt(n)).String()
	if missing := decimals + 1 - len(s); missing > 0 {
		s = strings.Repeat("0", missing) + s
	}
	whole, part := s[:len(s)-decimals], s[len(s)-decimals:]
	for len(part) > keep && part[len(part)-1] == '0' {
		part = part[:len(part)-1]
	}
	if part != "" {
		whole += "." + part
	}
	if n < 0 {
		whole = "-" + whole
	}
	return whole
}
