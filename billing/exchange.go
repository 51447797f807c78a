package billing

import (
	"fmt"
	"math/big"
	"slices"
	"time"
)

// AccountingCurrency is the currency in which a country wants its tax stated (EN 16931 BT-6),
// whatever an invoice is in: its own. Empty: not known, and none is stated.
func AccountingCurrency(country string) string {
	switch country {
	case "CZ":
		return "CZK"
	case "DK":
		return "DKK"
	case "HU":
		return "HUF"
	case "PL":
		return "PLN"
	case "RO":
		return "RON"
	case "SE":
		return "SEK"
	case "GB":
		return "GBP"
	case "CH", "LI":
		return "CHF"
	case "NO":
		return "NOK"
	case "AU":
		return "AUD"
	case "NZ":
		return "NZD"
	case "CA":
		return "CAD"
	case "IN":
		return "INR"
	}
	if InEU(country) { // Bulgaria too, since 2026
		return "EUR"
	}
	return ""
}

// ECB is the source of the euro foreign exchange reference rates of the European Central Bank.
const ECB = "European Central Bank"

// How old a rate may be that is used: one entered by hand holds a month, which is how long tax
// offices' own do; a daily one over weekends and holidays.
const (
	OwnRateAge   = 31 * 24 * time.Hour
	DailyRateAge = 7 * 24 * time.Hour
)

// ExchangeRate says what one unit of a currency is worth in another on a day.
type ExchangeRate struct {
	From   string    `json:"from"`
	Into   string    `json:"into"`
	Value  string    `json:"value"` // a plain decimal, more than nothing
	Day    time.Time `json:"day"`
	Source string    `json:"source"`
}

// Check answers with the rate's value, or what is wrong with it.
func (r ExchangeRate) Check() (*big.Rat, error) {
	v, err := ParseQuantity(r.Value)
	if err != nil || v.Sign() <= 0 {
		return nil, fmt.Errorf("a rate is a decimal of more than nothing: %q", r.Value)
	}
	return v, nil
}

// FindRate is the rate for an amount on a day: the latest entered by hand that is not too old,
// otherwise the latest daily one, directly, turned around, or by what both are worth in euros on
// one day. It is rounded to six decimals, so that what is stated can be worked out again.
func FindRate(rates []ExchangeRate, from, into string, at time.Time) (found ExchangeRate, ok bool) {
	for _, own := range []bool{true, false} {
		age := DailyRateAge
		if own {
			age = OwnRateAge
		}
		var usable []ExchangeRate
		for _, r := range rates {
			if (r.Source != ECB) == own && !r.Day.After(at) && at.Sub(r.Day) < age {
				usable = append(usable, r)
			}
		}
		slices.SortStableFunc(usable, func(x, y ExchangeRate) int { return y.Day.Compare(x.Day) })
		for _, r := range usable {
			v := worth(usable, r.Day, from, into)
			if v == nil && !own {
				v = cross(worth(usable, r.Day, "EUR", from), worth(usable, r.Day, "EUR", into))
			}
			if v != nil {
				return ExchangeRate{From: from, Into: into, Value: v.FloatString(6), Day: r.Day, Source: r.Source}, true
			}
		}
	}
	return found, false
}

// worth is what a currency is worth in another by the rates of a day; nil: they do not say.
func worth(rates []ExchangeRate, day time.Time, from, into string) *big.Rat {
	for _, r := range rates {
		v, err := r.Check()
		switch {
		case err != nil || !r.Day.Equal(day):
		case r.From == from && r.Into == into:
			return v
		case r.From == into && r.Into == from:
			return v.Inv(v)
		}
	}
	return nil
}

func cross(from, into *big.Rat) *big.Rat {
	if from == nil || into == nil {
		return nil
	}
	return new(big.Rat).Quo(into, from)
}

// Exchange is an amount by a rate, rounded once, half away from zero.
func Exchange(amount Money, r ExchangeRate) (Money, error) {
	v, err := r.Check()
	if err != nil {
		return Money{}, err
	}
	if amount.Currency != r.From {
		return Money{}, fmt.Errorf("%w: a rate of %s for %s", ErrMixed, r.From, amount.Currency)
	}
	was, err := Digits(r.From)
	if err != nil {
		return Money{}, err
	}
	is, err := Digits(r.Into)
	if err != nil {
		return Money{}, err
	}
	v.Mul(v, new(big.Rat).SetInt64(amount.Minor))
	for ; is > was; is-- {
		v.Mul(v, big.NewRat(10, 1))
	}
	for ; was > is; was-- {
		v.Quo(v, big.NewRat(10, 1))
	}
	whole, err := divide(new(big.Int).Set(v.Num()), v.Denom())
	if err != nil {
		return Money{}, err
	}
	return Money{Minor: whole, Currency: r.Into}, nil
}
