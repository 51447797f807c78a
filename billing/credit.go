package billing

import "fmt"

// Gross is the sum with its tax.
func (s TaxSum) Gross() (Money, error) { return s.Net.Add(s.Tax) }

// Credit divides an amount to be credited, tax included, over what is left of an
// invoice's sums, in their proportion. No part is more than what is left of its sum,
// and crediting all that is left gives the sums themselves: however an invoice is
// credited in pieces, the pieces come to the invoice. Sums of nothing get nothing.
func Credit(left []TaxSum, amount Money) ([]TaxSum, error) {
	if amount.Minor <= 0 {
		return nil, fmt.Errorf("%w: %s", ErrNegative, amount)
	}
	weights, whole := make([]int64, len(left)), Money{Currency: amount.Currency}
	for i, s := range left {
		gross, err := s.Gross()
		if err != nil {
			return nil, err
		}
		if s.Net.Minor < 0 || s.Tax.Minor < 0 {
			return nil, fmt.Errorf("%w: %s", ErrNegative, gross)
		}
		if whole, err = whole.Add(gross); err != nil {
			return nil, err
		}
		weights[i] = gross.Minor
	}
	if c, err := amount.Compare(whole); err != nil {
		return nil, err
	} else if c > 0 {
		return nil, fmt.Errorf("%w: %s of %s", ErrOverflow, amount, whole)
	}
	parts, err := amount.Split(weights...)
	if err != nil {
		return nil, err
	}
	credits := make([]TaxSum, len(left))
	for i, s := range left {
		credits[i] = TaxSum{Rule: s.Rule, Net: Money{Currency: amount.Currency}, Tax: Money{Currency: amount.Currency}}
		if parts[i].IsZero() {
			continue
		}
		halves, err := parts[i].Split(s.Net.Minor, s.Tax.Minor)
		if err != nil {
			return nil, err
		}
		credits[i].Net, credits[i].Tax = halves[0], halves[1]
	}
	return credits, nil
}

// CreditNet is Credit for an amount without tax: the tax that goes back with it is in
// proportion to what is left. However an invoice is credited in pieces, the pieces come to
// the invoice, net and tax.
func CreditNet(left []TaxSum, net Money) ([]TaxSum, error) {
	if net.Minor <= 0 {
		return nil, fmt.Errorf("%w: %s", ErrNegative, net)
	}
	weights, whole := make([]int64, len(left)), Money{Currency: net.Currency}
	for i, s := range left {
		if s.Net.Minor < 0 || s.Tax.Minor < 0 {
			return nil, fmt.Errorf("%w: %s", ErrNegative, s.Net)
		}
		var err error
		if whole, err = whole.Add(s.Net); err != nil {
			return nil, err
		}
		weights[i] = s.Net.Minor
	}
	if c, err := net.Compare(whole); err != nil {
		return nil, err
	} else if c > 0 {
		return nil, fmt.Errorf("%w: %s of %s", ErrOverflow, net, whole)
	}
	parts, err := net.Split(weights...)
	if err != nil {
		return nil, err
	}
	credits := make([]TaxSum, len(left))
	for i, s := range left {
		credits[i] = TaxSum{Rule: s.Rule, Net: parts[i], Tax: Money{Currency: net.Currency}}
		if parts[i].IsZero() {
			continue
		}
		if credits[i].Tax, err = s.Tax.Ratio(parts[i].Minor, s.Net.Minor); err != nil {
			return nil, err
		}
	}
	return credits, nil
}
