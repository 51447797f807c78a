package billing

import (
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/bojanz/currency"
)

// Money is an amount of one currency in its minor unit: {1999, "EUR"} is 19.99 euros,
// {1999, "JPY"} 1999 yen. Values are compared with ==. The zero Money is no money of
// no currency; it is an error to calculate with it.
type Money struct {
	Minor    int64
	Currency string // ISO 4217
}

var (
	// ErrMixed is returned when two currencies meet.
	ErrMixed = errors.New("billing: amounts of different currencies")
	// ErrCurrency is returned for what is not the code of a currency in use.
	ErrCurrency = errors.New("billing: unknown currency")
	// ErrAmount is returned for text that is not an amount of the currency.
	ErrAmount = errors.New("billing: not an amount")
)

// New is minor units of a currency, which must be a known ISO 4217 code.
func New(minor int64, code string) (Money, error) {
	if _, ok := currency.GetDigits(code); !ok {
		return Money{}, fmt.Errorf("%w: %q", ErrCurrency, code)
	}
	return Money{Minor: minor, Currency: code}, nil
}

// Digits is how many decimals the currency has: 2 for EUR, 0 for JPY, 3 for KWD.
func Digits(code string) (int, error) {
	d, ok := currency.GetDigits(code)
	if !ok {
		return 0, fmt.Errorf("%w: %q", ErrCurrency, code)
	}
	return int(d), nil
}

// Parse reads a plain decimal such as "19.99" or "-3": a point, no grouping, and no
// more decimals than the currency has.
func Parse(decimal, code string) (Money, error) {
	digits, err := Digits(code)
	if err != nil {
		return Money{}, err
	}
	bad := fmt.Errorf("%w: %.40q", ErrAmount, decimal)
	body, negative := strings.CutPrefix(decimal, "-")
	major, minor, point := strings.Cut(body, ".")
	if major == "" || (point && minor == "") || len(minor) > digits || len(body) > 40 || strings.Trim(major+minor, "0123456789") != "" {
		return Money{}, bad
	}
	n, ok := new(big.Int).SetString(major+minor+strings.Repeat("0", digits-len(minor)), 10)
	if !ok {
		return Money{}, bad
	}
	if negative {
		n.Neg(n)
	}
	if !n.IsInt64() {
		return Money{}, ErrOverflow
	}
	return Money{Minor: n.Int64(), Currency: code}, nil
}

// Add is m + o of the same currency.
func (m Money) Add(o Money) (Money, error) {
	if err := m.matches(o); err != nil {
		return Money{}, err
	}
	sum, err := addChecked(m.Minor, o.Minor)
	return Money{sum, m.Currency}, err
}

// Sub is m - o of the same currency.
func (m Money) Sub(o Money) (Money, error) {
	if err := m.matches(o); err != nil {
		return Money{}, err
	}
	negated, err := scale(o.Minor, -1, 1)
	if err != nil {
		return Money{}, err
	}
	diff, err := addChecked(m.Minor, negated)
	return Money{diff, m.Currency}, err
}

// Times is n of m: the price of three.
func (m Money) Times(n int64) (Money, error) { return m.Ratio(n, 1) }

// Ratio is m·num/den, rounded half away from zero; den must be positive. Nineteen
// per cent of m is m.Ratio(19, 100).
func (m Money) Ratio(num, den int64) (Money, error) {
	if m.Currency == "" {
		return Money{}, ErrCurrency
	}
	n, err := scale(m.Minor, num, den)
	return Money{n, m.Currency}, err
}

// Split divides m by weights so that the parts sum to m exactly. Each part differs
// from its exact share by at most one minor unit. Weights are not negative and one
// at least is positive.
func (m Money) Split(weights ...int64) ([]Money, error) {
	if m.Currency == "" {
		return nil, ErrCurrency
	}
	var total int64
	for _, w := range weights {
		if w < 0 {
			return nil, ErrNoRatio
		}
		var err error
		if total, err = addChecked(total, w); err != nil {
			return nil, err
		}
	}
	if total == 0 {
		return nil, ErrNoRatio
	}
	parts := make([]Money, len(weights))
	var soFar, given int64
	for i, w := range weights {
		soFar += w
		// Rounding what is due up to here, and giving the difference, leaves nothing over.
		due, err := scale(m.Minor, soFar, total)
		if err != nil {
			return nil, err
		}
		parts[i] = Money{due - given, m.Currency}
		given = due
	}
	return parts, nil
}

// Compare is -1, 0 or 1 as m is less than, equal to or more than o of the same currency.
func (m Money) Compare(o Money) (int, error) {
	if err := m.matches(o); err != nil {
		return 0, err
	}
	switch {
	case m.Minor < o.Minor:
		return -1, nil
	case m.Minor > o.Minor:
		return 1, nil
	default:
		return 0, nil
	}
}

// Whole is the amount in whole units of its currency, rounded: for the height of a bar and
// never for an amount that somebody reads.
func (m Money) Whole() int64 {
	digits, err := Digits(m.Currency)
	if err != nil {
		return 0
	}
	unit := int64(1)
	for range digits {
		unit *= 10
	}
	whole, err := m.Ratio(1, unit)
	if err != nil {
		return 0
	}
	return whole.Minor
}

// IsZero reports whether the amount is nothing.
func (m Money) IsZero() bool { return m.Minor == 0 }

func (m Money) matches(o Money) error {
	if m.Currency == "" || o.Currency == "" {
		return ErrCurrency
	}
	if m.Currency != o.Currency {
		return fmt.Errorf("%w: %s and %s", ErrMixed, m.Currency, o.Currency)
	}
	return nil
}

// Decimal is the amount as a plain decimal with all of the currency's digits; Parse
// reads it back.
func (m Money) Decimal() string {
	digits, err := Digits(m.Currency)
	if err != nil {
		digits = 0
	}
	s := new(big.Int).Abs(big.NewInt(m.Minor)).String()
	if digits > 0 {
		if missing := digits + 1 - len(s); missing > 0 {
			s = strings.Repeat("0", missing) + s
		}
		s = s[:len(s)-digits] + "." + s[len(s)-digits:]
	}
	if m.Minor < 0 {
		s = "-" + s
	}
	return s
}

// String is for logs: "19.99 EUR".
func (m Money) String() string { return strings.TrimSpace(m.Decimal() + " " + m.Currency) }

// Format writes the amount for people, by the CLDR rules of a BCP 47 locale:
// "€19.99" in en, "19,99 €" in de. An unknown locale reads as English.
func (m Money) Format(locale string) string {
	amount, err := currency.NewAmount(m.Decimal(), m.Currency)
	if err != nil {
		return m.String()
	}
	f := currency.NewFormatter(currency.NewLocale(locale))
	return f.Format(amount)
}

// FormatNumber writes the amount by the rules of a locale without its currency, for
// columns whose head names it: "1,234.50" in en, "1.234,50" in de.
func (m Money) FormatNumber(locale string) string {
	amount, err := currency.NewAmount(m.Decimal(), m.Currency)
	if err != nil {
		return m.Decimal()
	}
	f := currency.NewFormatter(currency.NewLocale(locale))
	f.CurrencyDisplay = currency.DisplayNone
	return strings.TrimSpace(f.Format(amount))
}

// FormatCode is Format with the currency's three letters instead of its sign.
func (m Money) FormatCode(locale string) string {
	amount, err := currency.NewAmount(m.Decimal(), m.Currency)
	if err != nil {
		return m.String()
	}
	f := currency.NewFormatter(currency.NewLocale(locale))
	f.CurrencyDisplay = currency.DisplayCode
	return f.Format(amount)
}
