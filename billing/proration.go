package billing

import (
	"errors"
	"strconv"
	"time"
)

// ErrPeriod is returned for a period without an end, or one that ends before it begins.
var ErrPeriod = errors.New("billing: not a period")

// Rest is what of the price of a period is left at a time: its share of the time to the
// period's end, exact to the nanosecond and rounded once, half away from zero. Before
// the period it is the price, after it nothing.
//
// It is always taken of the whole price and the whole period, never of an earlier rest.
// So what a stretch of time costs, the rest at its begin less the rest at its end, sums
// to the price over any stretches that make up the period, however many there are.
func Rest(price Money, p Period, at time.Time) (Money, error) {
	length := p.To.Sub(p.From)
	if p.From.IsZero() || length <= 0 {
		return Money{}, ErrPeriod
	}
	left := min(p.To.Sub(at), length)
	if left <= 0 {
		return price.Ratio(0, 1)
	}
	return price.Ratio(int64(left), int64(length))
}

// Span is a length of time in its two largest units: "12 days 4 hours".
func Span(d time.Duration) string { return string(appendSpan(nil, d)) }

// appendSpan writes a length of time in its two largest units: "12 days 4 hours". What
// is smaller is left out; the share of a price is taken of the exact length.
func appendSpan(b []byte, d time.Duration) []byte {
	days, d := d/day, d%day
	hours, minutes := d/time.Hour, d%time.Hour/time.Minute
	switch {
	case days > 0:
		b = appendUnits(b, int64(days), " day")
		if hours > 0 {
			b = appendUnits(append(b, ' '), int64(hours), " hour")
		}
	case hours > 0:
		b = appendUnits(b, int64(hours), " hour")
		if minutes > 0 {
			b = appendUnits(append(b, ' '), int64(minutes), " minute")
		}
	default:
		b = appendUnits(b, int64(minutes), " minute")
	}
	return b
}

func appendUnits(b []byte, n int64, unit string) []byte {
	b = append(strconv.AppendInt(b, n, 10), unit...)
	if n != 1 {
		b = append(b, 's')
	}
	return b
}
