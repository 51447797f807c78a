package billing

import "fmt"

// FromGross takes lines whose Unit and Net hold tax and gives them without it, with
// their sums: of each rule what the lines come to with tax stays to the cent, the tax in
// it is gross × rate / (1 + rate), rounded once, and the net is divided over the lines
// so that they sum to it. home is the rate that the prices were made with, by line: where
// the rule leaves the tax out (reverse charge, export), the buyer pays the price
// without it. Faults are those of Totals.
func FromGross(lines []Line, home func(Line) int64) ([]Line, []TaxSum, error) {
	out := make([]Line, len(lines))
	copy(out, lines)
	type bundle struct {
		rule TaxRule
		rate int64
	}
	var order []bundle
	of := map[bundle][]int{}
	for i, l := range lines {
		b := bundle{rule: l.Tax, rate: l.Tax.Ppm}
		if l.Tax.Untaxed() {
			b.rate = home(l)
		}
		if b.rate < 0 || b.rate > PpmWhole {
			return nil, nil, fmt.Errorf("%w: %d ppm", ErrRate, b.rate)
		}
		if of[b] == nil {
			order = append(order, b)
		}
		of[b] = append(of[b], i)
	}
	var sums []TaxSum
	for _, b := range order {
		sum, err := b.rule.without(out, of[b], b.rate)
		if err != nil {
			return nil, nil, err
		}
		if at := placeOf(sums, b.rule); at >= 0 {
			if sums[at].Net, err = sums[at].Net.Add(sum.Net); err != nil {
				return nil, nil, err
			}
			continue
		}
		sums = append(sums, sum)
	}
	return out, sums, nil
}

func placeOf(sums []TaxSum, r TaxRule) int {
	for i, s := range sums {
		if s.Rule == r {
			return i
		}
	}
	return -1
}

// without takes the tax at a rate out of some lines.
func (r TaxRule) without(lines []Line, at []int, rate int64) (TaxSum, error) {
	gross := Money{Currency: lines[at[0]].Net.Currency}
	var err error
	for _, i := range at {
		if gross, err = gross.Add(lines[i].Net); err != nil {
			return TaxSum{}, err
		}
	}
	if gross.Minor < 0 {
		return TaxSum{}, fmt.Errorf("%w: %s", ErrNegative, gross)
	}
	tax, err := gross.Ratio(rate, PpmWhole+rate)
	if err != nil {
		return TaxSum{}, err
	}
	net, err := gross.Sub(tax)
	if err != nil {
		return TaxSum{}, err
	}
	// Each line without its own tax, and what rounding left over to the largest.
	left, largest := net, at[0]
	for _, i := range at {
		whole := lines[i].Net
		own, err := whole.Ratio(rate, PpmWhole+rate)
		if err != nil {
			return TaxSum{}, err
		}
		lines[i].Net.Minor -= own.Minor
		left.Minor -= lines[i].Net.Minor
		if abs(lines[i].Net.Minor) > abs(lines[largest].Net.Minor) {
			largest = i
		}
	}
	lines[largest].Net.Minor += left.Minor
	for _, i := range at {
		l := &lines[i]
		switch {
		case l.Quantity > 0 && l.Net.Minor%l.Quantity == 0 && unitIs(*l, rate):
			l.Unit.Minor = l.Net.Minor / l.Quantity
		default:
			own, err := l.Unit.Ratio(rate, PpmWhole+rate)
			if err != nil {
				return TaxSum{}, err
			}
			l.Unit.Minor -= own.Minor
		}
	}
	if r.Untaxed() {
		tax.Minor = 0
	}
	return TaxSum{Rule: r, Net: net, Tax: tax}, nil
}

// unitIs reports whether the line's net was quantity of unit with tax, within rounding.
func unitIs(l Line, rate int64) bool {
	own, err := l.Unit.Ratio(rate, PpmWhole+rate)
	return err == nil && abs((l.Unit.Minor-own.Minor)*l.Quantity-l.Net.Minor) <= l.Quantity
}

func abs(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}
