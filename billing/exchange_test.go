package billing

import (
	"math/big"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func rateDay(s string) time.Time {
	at, _ := time.Parse(time.DateOnly, s)
	return at
}

func TestWhichRateIsUsed(t *testing.T) {
	ecb := func(into, value, day string) ExchangeRate {
		return ExchangeRate{From: "EUR", Into: into, Value: value, Day: rateDay(day), Source: ECB}
	}
	rates := []ExchangeRate{ecb("SEK", "11.2345", "2026-11-20"), ecb("USD", "1.08", "2026-11-20"), ecb("SEK", "11.1", "2026-11-19"),
		{From: "GBP", Into: "SEK", Value: "13.5", Day: rateDay("2026-11-01"), Source: "own"}, {From: "GBP", Into: "SEK", Value: "99", Day: rateDay("2026-12-01"), Source: "own"},
		ecb("GBP", "0.85", "2026-11-20")}
	for _, c := range []struct{ from, into, at, value, day string }{
		{"EUR", "SEK", "2026-11-22", "11.234500", "2026-11-20"},
		{"EUR", "SEK", "2026-11-19", "11.100000", "2026-11-19"}, // none of a day to come
		{"SEK", "EUR", "2026-11-22", "0.089012", "2026-11-20"},  // turned around
		{"USD", "SEK", "2026-11-22", "10.402315", "2026-11-20"}, // 11.2345 / 1.08
		{"GBP", "SEK", "2026-11-22", "13.500000", "2026-11-01"}, // the shop's own goes before the bank's
		{"EUR", "SEK", "2026-11-27", "", ""},                    // a week old
		{"CHF", "SEK", "2026-11-22", "", ""},
	} {
		r, ok := FindRate(rates, c.from, c.into, rateDay(c.at))
		if ok != (c.value != "") || ok && (r.Value != c.value || !r.Day.Equal(rateDay(c.day)) || r.From != c.from || r.Into != c.into) {
			t.Errorf("%s into %s on %s: %+v %v, want %s of %s", c.from, c.into, c.at, r, ok, c.value, c.day)
		}
	}
	// 19.00 EUR are 213.46 SEK (213.4555), and as many euros are 3,230 yen, which have no cents.
	for _, c := range []struct {
		rate ExchangeRate
		want Money
	}{{rates[0], Money{21346, "SEK"}}, {ExchangeRate{From: "EUR", Into: "JPY", Value: "170"}, Money{3230, "JPY"}}} {
		if got, err := Exchange(Money{1900, "EUR"}, c.rate); err != nil || got != c.want {
			t.Errorf("19.00 EUR are %v, %v; want %v", got, err, c.want)
		}
	}
	if _, err := Exchange(Money{1, "USD"}, rates[0]); err == nil {
		t.Error("dollars by a rate of euros")
	}
	for country, want := range map[string]string{"DE": "EUR", "BG": "EUR", "SE": "SEK", "GB": "GBP", "XX": ""} {
		if got := AccountingCurrency(country); got != want {
			t.Errorf("%s accounts in %q, want %q", country, got, want)
		}
	}
}

// What is exchanged differs from the exact amount by half a minor unit at most, and a debt by as
// much as a credit.
func TestExchangeRoundsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		minor := rapid.Int64Range(-1e12, 1e12).Draw(t, "minor")
		r := ExchangeRate{From: "EUR", Into: rapid.SampledFrom([]string{"SEK", "JPY", "KWD"}).Draw(t, "into"), Value: rapid.StringMatching(`[1-9][0-9]{0,3}\.[0-9]{6}`).Draw(t, "rate")}
		got, err := Exchange(Money{minor, "EUR"}, r)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Exchange(Money{-minor, "EUR"}, r)
		if err != nil || back.Minor != -got.Minor {
			t.Fatalf("%v and %v: %v", got, back, err)
		}
		exact, _ := r.Check()
		exact.Mul(exact, big.NewRat(minor, 100))
		digits, _ := Digits(r.Into)
		for range digits {
			exact.Mul(exact, big.NewRat(10, 1))
		}
		off := exact.Sub(exact, new(big.Rat).SetInt64(got.Minor))
		if off.Abs(off).Cmp(big.NewRat(1, 2)) > 0 {
			t.Fatalf("%d by %s is %v", minor, r.Value, got)
		}
	})
}
