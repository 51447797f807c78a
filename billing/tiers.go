package billing

import (
	"errors"
	"fmt"
	"math/big"
)

// TierModel is how the price of a quantity follows from its tiers.
type TierModel string

// The models.
const (
	Graduated TierModel = "graduated" // each tier's units at that tier's price
	Volume    TierModel = "volume"    // all units at the price of the tier in which the quantity ends
	Packages  TierModel = "package"   // whole packages, the last one begun is paid in full
)

// Tier is a price for units up to a quantity, the ones before it excepted.
type Tier struct {
	UpTo *big.Rat // counted after the allowance; nil: without end
	Unit Rate     // of one unit, or of one package
	Flat Money    // once, as soon as the tier is reached; zero: nothing
}

// Tariff is what a metered quantity costs in one currency.
type Tariff struct {
	Model    TierModel
	Included *big.Rat // costs nothing; nil: none
	Package  *big.Rat // units of one package
	Tiers    []Tier   // ascending; the last without end
	Most     Money    // all of it costs no more than this; of no minor units: there is no most
}

// ChargePart is what a quantity costs at one price.
type ChargePart struct {
	Quantity *big.Rat // units, or packages
	Unit     Rate
	Flat     Money // zero: none
}

// Charge is what a quantity costs and how that came about.
type Charge struct {
	Used, Included, Over *big.Rat // Over is what is paid for
	Parts                []ChargePart
	Net                  Money // rounded once, and no more than the tariff's most
	Most                 bool  // it would have come to more
}

// ErrTariff is returned for a tariff that says no price for some quantity.
var ErrTariff = errors.New("billing: not a tariff")

// Check reports whether the tariff has a price for every quantity.
func (t Tariff) Check() error {
	if len(t.Tiers) == 0 || t.Model != Graduated && t.Model != Volume && t.Model != Packages {
		return fmt.Errorf("%w: no tiers or no model", ErrTariff)
	}
	if t.Included != nil && t.Included.Sign() < 0 {
		return fmt.Errorf("%w: a negative allowance", ErrTariff)
	}
	if t.Model == Packages && (t.Package == nil || t.Package.Sign() <= 0 || len(t.Tiers) != 1) {
		return fmt.Errorf("%w: packages have one size and one price", ErrTariff)
	}
	if t.Most != (Money{}) && (t.Most.Minor < 0 || t.Most.Currency != t.Tiers[0].Unit.Currency) {
		return fmt.Errorf("%w: a most in another currency", ErrTariff)
	}
	before := new(big.Rat)
	for i, x := range t.Tiers {
		last := i == len(t.Tiers)-1
		switch {
		case x.UpTo == nil != last:
			return fmt.Errorf("%w: only the last tier has no end", ErrTariff)
		case !last && x.UpTo.Cmp(before) <= 0:
			return fmt.Errorf("%w: tiers do not ascend", ErrTariff)
		case x.Unit.Currency == "" || x.Unit.Currency != t.Tiers[0].Unit.Currency || x.Unit.Units < 0:
			return fmt.Errorf("%w: a tier without a price in the tariff's currency", ErrTariff)
		case x.Flat != (Money{}) && (x.Flat.Currency != x.Unit.Currency || x.Flat.Minor < 0):
			return fmt.Errorf("%w: a fee in another currency", ErrTariff)
		}
		if !last {
			before = x.UpTo
		}
	}
	return nil
}

// Price is what a quantity costs. It is rounded once, for all tiers together.
func (t Tariff) Price(used *big.Rat) (Charge, error) {
	if err := t.Check(); err != nil {
		return Charge{}, err
	}
	c := Charge{Used: used, Included: new(big.Rat), Over: new(big.Rat).Set(used)}
	if t.Included != nil {
		c.Included.Set(t.Included)
	}
	if c.Over.Sub(c.Over, c.Included); c.Over.Sign() <= 0 {
		c.Over.SetInt64(0)
		c.Net = Money{Currency: t.Tiers[0].Unit.Currency}
		return c, nil
	}
	switch t.Model {
	case Packages:
		packs := new(big.Rat).Quo(c.Over, t.Package)
		whole, rest := new(big.Int).QuoRem(packs.Num(), packs.Denom(), new(big.Int))
		if rest.Sign() > 0 {
			whole.Add(whole, big.NewInt(1))
		}
		c.Parts = []ChargePart{{new(big.Rat).SetInt(whole), t.Tiers[0].Unit, t.Tiers[0].Flat}}
	case Volume:
		for _, x := range t.Tiers {
			if x.UpTo == nil || c.Over.Cmp(x.UpTo) <= 0 {
				c.Parts = []ChargePart{{new(big.Rat).Set(c.Over), x.Unit, x.Flat}}
				break
			}
		}
	default:
		c.Parts = t.graduated(c.Over)
	}
	var err error
	c.Net, c.Most, err = sumParts(c.Parts, t.Tiers[0].Unit.Currency, t.Most.Minor)
	return c, err
}

func (t Tariff) graduated(over *big.Rat) (parts []ChargePart) {
	before := new(big.Rat)
	for _, x := range t.Tiers {
		to := over
		if x.UpTo != nil && x.UpTo.Cmp(over) < 0 {
			to = x.UpTo
		}
		if to.Cmp(before) <= 0 {
			break
		}
		parts = append(parts, ChargePart{new(big.Rat).Sub(to, before), x.Unit, x.Flat})
		before = to
	}
	return parts
}

// sumParts adds up exactly and rounds once, half away from zero; a most of 0 is none. What
// comes to more than the most is cut before it is rounded, so that it may come to anything.
func sumParts(parts []ChargePart, currency string, most int64) (net Money, cut bool, err error) {
	sum := new(big.Rat)
	for _, p := range parts {
		sum.Add(sum, new(big.Rat).Mul(p.Quantity, new(big.Rat).SetFrac(big.NewInt(p.Unit.Units), big.NewInt(rateOne))))
		sum.Add(sum, new(big.Rat).SetInt64(p.Flat.Minor))
	}
	if most > 0 && sum.Cmp(new(big.Rat).SetInt64(most)) > 0 {
		return Money{most, currency}, true, nil
	}
	minor, err := divide(new(big.Int).Set(sum.Num()), new(big.Int).Set(sum.Denom()))
	return Money{minor, currency}, false, err
}

// SpendSteps are the shares of a spend limit, in per cent, at which its owner is told.
func SpendSteps() []int { return []int{50, 75, 90, 100} }

// Reached is the highest of SpendSteps that what was spent has come to; 0: none. A limit
// of nothing is reached by anything that is spent.
func Reached(spent, limit Money) (int, error) {
	if err := spent.matches(limit); err != nil {
		return 0, err
	}
	reached := 0
	for _, step := range SpendSteps() {
		due, err := limit.Ratio(int64(step), 100)
		if err != nil {
			return 0, err
		}
		if spent.Minor > 0 && spent.Minor >= due.Minor {
			reached = step
		}
	}
	return reached, nil
}
