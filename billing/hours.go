package billing

import (
	"math/big"
	"time"
)

// MonthHours is how many hours a full month has where hours are compared with what a month
// costs.
const MonthHours = 720

// HourPrice is what an hour costs, and what a month does at most.
type HourPrice struct {
	Rate Rate  `json:"rate"`
	Most Money `json:"most"` // net, in the rate's currency; of no minor units: there is no most
}

// Words say it: "€0.02 an hour, at most €12.00 a month".
func (h HourPrice) Words(locale string) string {
	words := h.Rate.Format(locale) + " an hour"
	if h.Most.Minor > 0 {
		words += ", at most " + h.Most.Format(locale) + " a month"
	}
	return words
}

// Month is what a full month of them costs: MonthHours, or the most.
func (h HourPrice) Month() (Money, error) {
	return h.Over(MonthHours)
}

// Over is what so many hours of one month cost, rounded once.
func (h HourPrice) Over(hours int64) (Money, error) {
	net, _, err := h.over(hours)
	return net, err
}

// over is Over, and whether it would have come to more than the most.
func (h HourPrice) over(hours int64) (Money, bool, error) {
	c, err := Tariff{Model: Graduated, Tiers: []Tier{{Unit: h.Rate}}, Most: h.most()}.Price(new(big.Rat).SetInt64(hours))
	return c.Net, c.Most, err
}

// most is the most as a tariff has it.
func (h HourPrice) most() Money {
	if h.Most.Minor == 0 {
		return Money{}
	}
	return h.Most
}

// Times is what so many of it cost.
func (h HourPrice) Times(n int64) (HourPrice, error) {
	units, err := scale(h.Rate.Units, n, 1)
	if err != nil {
		return HourPrice{}, err
	}
	h.Rate.Units = units
	if h.Most.Minor > 0 {
		h.Most, err = h.Most.Times(n)
	}
	return h, err
}

// Less takes parts per million off, of the most, too.
func (h HourPrice) Less(ppm int64) (HourPrice, error) {
	var err error
	if h.Rate, err = h.Rate.Less(ppm); err != nil || h.Most.Minor == 0 {
		return h, err
	}
	h.Most, err = h.Most.Ratio(PpmWhole-ppm, PpmWhole)
	return h, err
}

// ByHours is what an hour costs of something that costs so much a month: a 720th of it, and the
// month's price at most.
func ByHours(month Money) (HourPrice, error) {
	rate, err := RateOf(month)
	if err != nil {
		return HourPrice{}, err
	}
	h := HourPrice{Most: month}
	rate.Units = (rate.Units + MonthHours/2) / MonthHours
	h.Rate = rate.short(month)
	return h, nil
}

// short is a rate with no more decimals than a month of it needs to come to as much: "0.00417"
// of 3.00, and not "0.0041666667".
func (r Rate) short(month Money) Rate {
	for step := int64(rateOne); step > 1; step /= 10 {
		x := Rate{(r.Units + step - 1) / step * step, r.Currency}
		if over, err := x.Over(bigHours, bigOne); err == nil && x.Units > 0 && (over.Minor-month.Minor)*1000 <= month.Minor {
			return x
		}
	}
	return r
}

var bigHours, bigOne = big.NewInt(MonthHours), big.NewInt(1)

// SumHours is what several parts cost together: the rates add up, and so do the mosts where each
// has one.
func SumHours(all ...HourPrice) (sum HourPrice) {
	capped := true
	for _, h := range all {
		if h.Rate.IsZero() {
			continue
		}
		sum.Rate.Currency, sum.Most.Currency = h.Rate.Currency, h.Rate.Currency
		sum.Rate.Units += h.Rate.Units
		sum.Most.Minor += h.Most.Minor
		capped = capped && h.Most.Minor > 0
	}
	if !capped {
		sum.Most.Minor = 0
	}
	return sum
}

// HourPrice is what the tariff costs by the hour, where its units are hours; false: it is
// another kind of price. A most may be an amount, or a number of hours after which the rest
// costs nothing; of both the lower counts.
func (t Tariff) HourPrice() (h HourPrice, ok bool) {
	if t.Check() != nil || t.Model != Graduated || t.Included != nil && t.Included.Sign() > 0 || len(t.Tiers) > 2 || t.Tiers[0].Flat.Minor > 0 {
		return h, false
	}
	h = HourPrice{Rate: t.Tiers[0].Unit, Most: Money{t.Most.Minor, t.Tiers[0].Unit.Currency}}
	if len(t.Tiers) == 1 {
		return h, true
	}
	if last := t.Tiers[1]; !last.Unit.IsZero() || last.Flat.Minor > 0 {
		return HourPrice{}, false
	}
	m, err := h.Rate.Over(t.Tiers[0].UpTo.Num(), t.Tiers[0].UpTo.Denom())
	if err != nil {
		return HourPrice{}, false
	}
	if h.Most.Minor == 0 || m.Minor < h.Most.Minor {
		h.Most = m
	}
	return h, true
}

// HourEnd is the end of the hour that is begun at a time by what is counted in hours since
// start: until then it is paid for.
func HourEnd(start, at time.Time) time.Time {
	if !at.After(start) {
		return start
	}
	return start.Add(time.Duration(ceilSteps(at.Sub(start), time.Hour)) * time.Hour)
}
