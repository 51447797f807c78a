package billing

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// RevenueEvent is what a reseller invoiced, or took back by a credit note: net, in minor
// units of Currency, never negative.
type RevenueEvent struct {
	Key, Kind, Currency string // kind: invoiced, credited; others count for nothing
	Minor               int64
	At, RecordedAt      time.Time
}

// Signed is what the event counts for.
func (e RevenueEvent) Signed() int64 {
	switch e.Kind {
	case "invoiced":
		return e.Minor
	case "credited":
		return -e.Minor
	}
	return 0
}

// CommissionLine is the share of a reseller's revenue while it was on one tier.
type CommissionLine struct {
	Tier   string
	PPM    int64
	Base   Money // invoiced less credited
	Net    Money // rounded once; negative when more was credited
	Events []RevenueEvent
}

// Commission works out a month's shares, one line for each tier and share: what was invoiced
// less what was credited at that time, in the tier's currency. Revenue in another currency
// counts for nothing: there is no rate for it.
func Commission(month Period, revenue []RevenueEvent, tiers []TierSpan) ([]CommissionLine, error) {
	type key struct {
		tier string
		ppm  int64
	}
	found := map[key]*CommissionLine{}
	for _, t := range tiers {
		on, ok := cut(t.Period, month)
		if !ok || t.CommissionPPM == 0 {
			continue
		}
		for _, e := range revenue {
			if e.Signed() == 0 || e.Currency != t.Fee.Currency || !on.Contains(e.At) {
				continue
			}
			k := key{t.Tier, t.CommissionPPM}
			if found[k] == nil {
				found[k] = &CommissionLine{Tier: t.Tier, PPM: t.CommissionPPM, Base: Money{Currency: e.Currency}}
			}
			l := found[k]
			var err error
			if l.Base, err = l.Base.Add(Money{Minor: e.Signed(), Currency: e.Currency}); err != nil {
				return nil, err
			}
			l.Events = append(l.Events, e)
		}
	}
	all := make([]CommissionLine, 0, len(found))
	for _, l := range found {
		var err error
		if l.Net, err = l.Base.Ratio(l.PPM, PpmWhole); err != nil {
			return nil, err
		}
		slices.SortFunc(l.Events, func(x, y RevenueEvent) int { return cmp.Or(x.At.Compare(y.At), strings.Compare(x.Key, y.Key)) })
		all = append(all, *l)
	}
	slices.SortFunc(all, func(x, y CommissionLine) int {
		return cmp.Or(strings.Compare(x.Tier, y.Tier), cmp.Compare(x.PPM, y.PPM))
	})
	return all, nil
}

// Agreed is the least a month, one of BillMonth's, costs: each tier's minimum by the time on it, rounded once for
// each time.
func Agreed(month Period, tiers []TierSpan) (Money, error) {
	var sum Money
	for _, t := range tiers {
		on, ok := cut(t.Period, month)
		if !ok || t.Minimum.Minor == 0 {
			continue
		}
		part, err := t.Minimum.Ratio(on.To.Sub(on.From).Microseconds(), MonthLength(month).Microseconds())
		if err != nil {
			return Money{}, err
		}
		if sum.Currency == "" {
			sum.Currency = part.Currency
		}
		if sum, err = sum.Add(part); err != nil {
			return Money{}, err
		}
	}
	return sum, nil
}

// ToTheMinimum is what a month's lines lack to what is agreed; never less than nothing, and
// nothing where nothing is agreed.
func ToTheMinimum(agreed, billed Money) (Money, error) {
	if agreed.Minor <= 0 {
		return Money{Currency: billed.Currency}, nil
	}
	lack, err := agreed.Sub(billed)
	if err != nil {
		return Money{}, err
	}
	lack.Minor = max(lack.Minor, 0)
	return lack, nil
}
