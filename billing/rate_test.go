package billing_test

import (
	"errors"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
)

func TestParseRate(t *testing.T) {
	for _, test := range []struct {
		text, code string
		units      int64
		back       string
		err        error
	}{
		{"4.2", "EUR", 420_00000000, "4.20", nil},
		{"0.0042", "EUR", 42000000, "0.0042", nil},
		{"1", "JPY", 1_00000000, "1", nil},
		{"1.5", "JPY", 1_50000000, "1.5", nil},
		{"0.0000000001", "EUR", 1, "0.0000000001", nil},
		{"0.00000000001", "EUR", 0, "", billing.ErrAmount},
		{"-1", "EUR", 0, "", billing.ErrAmount},
		{"1e3", "EUR", 0, "", billing.ErrAmount},
		{"", "EUR", 0, "", billing.ErrAmount},
		{"1", "XXL", 0, "", billing.ErrCurrency},
		{"99999999999", "EUR", 0, "", billing.ErrOverflow},
	} {
		r, err := billing.ParseRate(test.text, test.code)
		if !errors.Is(err, test.err) || (err == nil && (r.Units != test.units || r.Decimal() != test.back)) {
			t.Errorf("ParseRate(%q, %s) = %d, %q, %v", test.text, test.code, r.Units, r.Decimal(), err)
		}
	}
}

func TestRatesReadBackAndRoundOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := billing.Rate{Units: rapid.Int64Range(0, 1<<62).Draw(t, "units"), Currency: rapid.SampledFrom([]string{"EUR", "JPY", "KWD"}).Draw(t, "currency")}
		if back, err := billing.ParseRate(r.Decimal(), r.Currency); err != nil || back != r {
			t.Fatalf("%v reads back as %v, %v", r, back, err)
		}
		if back, err := billing.ParseMinorRate(r.Minor(), r.Currency); err != nil || back != r {
			t.Fatalf("%s minor units read back as %v, %v", r.Minor(), back, err)
		}
		num, den := big.NewInt(rapid.Int64Range(-1000, 1000).Draw(t, "num")), big.NewInt(rapid.Int64Range(1, 1<<40).Draw(t, "den"))
		m, err := r.Over(num, den)
		if errors.Is(err, billing.ErrOverflow) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		exact := new(big.Rat).SetFrac(new(big.Int).Mul(big.NewInt(r.Units), num), new(big.Int).Mul(den, big.NewInt(100_000_000)))
		off := new(big.Rat).Sub(new(big.Rat).SetInt64(m.Minor), exact)
		if off.Abs(off).Cmp(big.NewRat(1, 2)) > 0 {
			t.Fatalf("%v·%v/%v is %v", r, num, den, m)
		}
	})
}

func TestRatesAreWrittenForPeople(t *testing.T) {
	for text, want := range map[string]string{"4.2": "€4.20", "0.0042": "€0.0042", "1000": "€1,000.00"} {
		r, err := billing.ParseRate(text, "EUR")
		if err != nil || r.Format("en") != want {
			t.Errorf("%s reads %q, %v; want %q", text, r.Format("en"), err, want)
		}
	}
}
