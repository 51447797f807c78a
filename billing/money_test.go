package billing_test

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func eur(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }

func TestRatioRoundsHalfAwayFromZero(t *testing.T) {
	for _, test := range []struct {
		name           string
		minor, num, by int64
		want           int64
	}{
		{"exact", 1000, 19, 100, 190},
		{"below half goes down", 1001, 24, 100, 240},
		{"half goes up", 50, 1, 100, 1},
		{"negative half goes down", -50, 1, 100, -1},
		{"above half goes up", 51, 1, 100, 1},
		{"negative ratio", 250, -1, 100, -3},
		{"larger than 64 bits on the way", math.MaxInt64, 3, 3, math.MaxInt64},
		{"the least amount", math.MinInt64, 1, 1, math.MinInt64},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := eur(test.minor).Ratio(test.num, test.by)
			if err != nil || got != eur(test.want) {
				t.Errorf("%d·%d/%d = %v, %v; want %d", test.minor, test.num, test.by, got, err, test.want)
			}
		})
	}
}

func TestArithmeticRefuses(t *testing.T) {
	usd := billing.Money{Minor: 1, Currency: "USD"}
	var none billing.Money
	for _, test := range []struct {
		name string
		do   func() error
		want error
	}{
		{"adding another currency", func() error { _, err := eur(1).Add(usd); return err }, billing.ErrMixed},
		{"taking away another currency", func() error { _, err := eur(1).Sub(usd); return err }, billing.ErrMixed},
		{"comparing another currency", func() error { _, err := eur(1).Compare(usd); return err }, billing.ErrMixed},
		{"adding no currency", func() error { _, err := eur(1).Add(none); return err }, billing.ErrCurrency},
		{"splitting no currency", func() error { _, err := none.Split(1); return err }, billing.ErrCurrency},
		{"a sum beyond 64 bits", func() error { _, err := eur(math.MaxInt64).Add(eur(1)); return err }, billing.ErrOverflow},
		{"a sum below 64 bits", func() error { _, err := eur(math.MinInt64).Add(eur(-1)); return err }, billing.ErrOverflow},
		{"the least amount taken away", func() error { _, err := eur(0).Sub(eur(math.MinInt64)); return err }, billing.ErrOverflow},
		{"a product beyond 64 bits", func() error { _, err := eur(math.MaxInt64).Times(2); return err }, billing.ErrOverflow},
		{"a ratio over nothing", func() error { _, err := eur(1).Ratio(1, 0); return err }, billing.ErrNoRatio},
		{"a split without weight", func() error { _, err := eur(1).Split(0, 0); return err }, billing.ErrNoRatio},
		{"a split with negative weight", func() error { _, err := eur(1).Split(2, -1); return err }, billing.ErrNoRatio},
		{"a currency that is none", func() error { _, err := billing.New(1, "XXL"); return err }, billing.ErrCurrency},
	} {
		t.Run(test.name, func(t *testing.T) {
			if err := test.do(); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		name, text, code string
		want             int64
		err              error
	}{
		{"cents", "19.99", "EUR", 1999, nil},
		{"one decimal", "19.9", "EUR", 1990, nil},
		{"no decimals", "19", "EUR", 1900, nil},
		{"yen", "1999", "JPY", 1999, nil},
		{"three digits", "1.234", "KWD", 1234, nil},
		{"negative", "-0.05", "EUR", -5, nil},
		{"too fine", "1.999", "EUR", 0, billing.ErrAmount},
		{"yen with a point", "1.0", "JPY", 0, billing.ErrAmount},
		{"grouped", "1,000.00", "EUR", 0, billing.ErrAmount},
		{"a comma", "1,50", "EUR", 0, billing.ErrAmount},
		{"an exponent", "1e3", "EUR", 0, billing.ErrAmount},
		{"empty", "", "EUR", 0, billing.ErrAmount},
		{"only a point", ".", "EUR", 0, billing.ErrAmount},
		{"two signs", "--1", "EUR", 0, billing.ErrAmount},
		{"other digits", "١٢", "EUR", 0, billing.ErrAmount},
		{"too much", "99999999999999999999", "EUR", 0, billing.ErrOverflow},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := billing.Parse(test.text, test.code)
			if !errors.Is(err, test.err) || (err == nil && got.Minor != test.want) {
				t.Errorf("Parse(%q, %s) = %v, %v; want %d, %v", test.text, test.code, got, err, test.want, test.err)
			}
		})
	}
}

func TestFormatFollowsTheLocale(t *testing.T) {
	for _, test := range []struct {
		money  billing.Money
		locale string
		want   string
	}{
		{eur(123450), "en", "€1,234.50"},
		{eur(123450), "de", "1.234,50\u00a0€"},
		{billing.Money{Minor: 1999, Currency: "JPY"}, "en", "¥1,999"},
		{billing.Money{Minor: 1234, Currency: "KWD"}, "en", "KWD\u00a01.234"},
		{eur(-500), "en", "-€5.00"},
		{eur(499), "xx-nonsense", "€4.99"},
	} {
		if got := test.money.Format(test.locale); got != test.want {
			t.Errorf("%v in %s = %q, want %q", test.money, test.locale, got, test.want)
		}
	}
}

func TestSplitGivesAwayExactlyEverything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := eur(rapid.Int64().Draw(t, "whole"))
		weights := rapid.SliceOfN(rapid.Int64Range(0, 1<<40), 1, 12).Draw(t, "weights")
		weights[0]++ // one at least is positive
		parts, err := whole.Split(weights...)
		if err != nil {
			t.Fatal(err)
		}
		sum, total := eur(0), int64(0)
		for i, p := range parts {
			if sum, err = sum.Add(p); err != nil {
				t.Fatal(err)
			}
			total += weights[i]
		}
		if sum != whole {
			t.Fatalf("parts of %v sum to %v", whole, sum)
		}
		for i, p := range parts {
			// |part·total - whole·weight| <= total: one minor unit off.
			off := new(big.Int).Mul(big.NewInt(p.Minor), big.NewInt(total))
			off.Sub(off, new(big.Int).Mul(big.NewInt(whole.Minor), big.NewInt(weights[i])))
			if off.CmpAbs(big.NewInt(total)) > 0 {
				t.Fatalf("part %d of %v by %v is %v", i, whole, weights, p)
			}
		}
	})
}

func TestRatioIsTheNearestAmount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(-1<<50, 1<<50).Draw(t, "n")
		num := rapid.Int64Range(-1000, 1000).Draw(t, "num")
		den := rapid.Int64Range(1, 1000).Draw(t, "den")
		got, err := eur(n).Ratio(num, den)
		if err != nil {
			t.Fatal(err)
		}
		// Twice the distance to the exact value is at most one whole.
		off := new(big.Int).Mul(big.NewInt(got.Minor), big.NewInt(den))
		off.Sub(off, new(big.Int).Mul(big.NewInt(n), big.NewInt(num)))
		off.Lsh(off, 1)
		if off.CmpAbs(big.NewInt(den)) > 0 {
			t.Fatalf("%d·%d/%d = %d is not the nearest", n, num, den, got.Minor)
		}
		mirrored, err := eur(-n).Ratio(num, den)
		if err != nil || mirrored.Minor != -got.Minor {
			t.Fatalf("rounding is not symmetric: %d and %d", got.Minor, mirrored.Minor)
		}
	})
}

func TestDecimalReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := billing.Money{
			Minor:    rapid.Int64().Draw(t, "minor"),
			Currency: rapid.SampledFrom([]string{"EUR", "USD", "JPY", "KWD", "CLF"}).Draw(t, "currency"),
		}
		back, err := billing.Parse(m.Decimal(), m.Currency)
		if err != nil || back != m {
			t.Fatalf("%v reads back as %v, %v", m, back, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"0", "19.99", "-0.01", "00.5", "9223372036854775807", "1.", "", "½"} {
		f.Add(s, "EUR")
	}
	f.Fuzz(func(t *testing.T, text, code string) {
		m, err := billing.Parse(text, code)
		if err != nil {
			return
		}
		if back, err := billing.Parse(m.Decimal(), code); err != nil || back != m {
			t.Fatalf("%q is %v, which reads back as %v, %v", text, m, back, err)
		}
	})
}

func ExampleMoney_Split() {
	price := billing.Money{Minor: 1000, Currency: "EUR"}
	parts, err := price.Split(1, 1, 1)
	fmt.Println(parts, err)
	// Output: [3.33 EUR 3.34 EUR 3.33 EUR] <nil>
}
