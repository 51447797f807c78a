package billing

import "time"

// MonthPart is what falls into one calendar month, UTC.
type MonthPart struct {
	From time.Time // the month's first moment
	Part Money
}

// SpreadOver is Spread over the given months, which are in order and need not be calendar
// months. What is for other times is in no part.
func SpreadOver(amount Money, p Period, months []Period) ([]MonthPart, error) {
	if !p.To.After(p.From) {
		for _, m := range months {
			if m.Contains(p.From) {
				return []MonthPart{{m.From, amount}}, nil
			}
		}
		return nil, nil
	}
	var parts []MonthPart
	var weights []int64
	rest := p.To.Sub(p.From).Microseconds()
	for _, m := range months {
		in, ok := cut(p, m)
		if !ok {
			continue
		}
		weight := in.To.Sub(in.From).Microseconds()
		parts, weights = append(parts, MonthPart{From: m.From}), append(weights, weight)
		rest -= weight
	}
	if len(parts) == 0 {
		return nil, nil
	}
	shares, err := amount.Split(append(weights, rest)...)
	if err != nil {
		return nil, err
	}
	for i := range parts {
		parts[i].Part = shares[i]
	}
	return parts, nil
}

// Spread divides an amount over the calendar months of the period it is for, by time: the
// parts sum to it, to the cent. What is for no time falls wholly into the month of its
// beginning.
func Spread(amount Money, p Period) ([]MonthPart, error) {
	from := p.From.UTC()
	month := time.Date(from.Year(), from.Month(), 1, 0, 0, 0, 0, time.UTC)
	if !p.To.After(p.From) {
		return []MonthPart{{month, amount}}, nil
	}
	var parts []MonthPart
	var weights []int64
	for at := month; at.Before(p.To); at = at.AddDate(0, 1, 0) {
		in, ok := cut(p, Period{From: at, To: at.AddDate(0, 1, 0)})
		if !ok {
			continue
		}
		parts, weights = append(parts, MonthPart{From: at}), append(weights, in.To.Sub(in.From).Microseconds())
	}
	shares, err := amount.Split(weights...)
	if err != nil {
		return nil, err
	}
	for i := range parts {
		parts[i].Part = shares[i]
	}
	return parts, nil
}
