package billing

// Sold is what a customer pays for something that is bought by the month.
type Sold struct {
	Amount Money // a cycle, as it is priced; by the hour: a full month, zero where it is not known
	Cycle  Cycle
	Held   int64 // the tax the amount holds, parts per million on top of the net; 0: none
}

// AMonth is what it brings in a month, net, rounded once. It reports false for what is not
// paid by months: once, or by the hour where nobody knows what a full month comes to.
func (s Sold) AMonth() (Money, bool, error) {
	months := int64(s.Cycle.Months())
	if months == 0 || s.Cycle == Hourly && s.Amount.Minor == 0 {
		return Money{Currency: s.Amount.Currency}, false, nil
	}
	net, err := s.Amount.Ratio(PpmWhole, months*(PpmWhole+s.Held))
	return net, err == nil, err
}

// Loss is what a month of it loses at a wholesale price a month; nothing where it earns. It
// reports false for what cannot be compared: not sold by the month, or in another currency,
// for which there is no rate.
func (s Sold) Loss(wholesale Rate) (Money, bool, error) {
	brings, ok, err := s.AMonth()
	if err != nil || !ok || brings.Currency != wholesale.Currency {
		return Money{Currency: s.Amount.Currency}, false, err
	}
	costs, err := wholesale.Round()
	if err != nil {
		return Money{}, false, err
	}
	loss, err := costs.Sub(brings)
	loss.Minor = max(loss.Minor, 0)
	return loss, err == nil, err
}
