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
	c, err := Tariff{Model: Graduated, Tiers: []Tier{{Unit: h.Rate}}, Most: h.Most}.Price(new(big.Rat).SetInt64(hours))
	return c.Net, err
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
