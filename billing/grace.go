package billing

import (
	"errors"
	"fmt"
	"time"
)

// MoreTime is what a customer gets who asks for more time to pay: a week.
const MoreTime = 7 * day

// Base is the moment from which the days of an invoice's schedule count: when it is due,
// and a week after that for a customer who asked for more time. What has happened by
// then stays; everything ahead, tries, suspension and end, comes a week later.
func Base(due, asked time.Time) time.Time {
	if asked.IsZero() {
		return due
	}
	return due.Add(MoreTime)
}

// End is when what was suspended for an unpaid invoice ends, and when its customer is
// told so; a zero notice: nobody is told. A suspension that came late leaves as much
// time as one in time, and an end that was announced late comes as long after the notice
// as one announced in time. noticed is zero until it is announced.
func (d Dunning) End(base, suspended, noticed time.Time) (notice, end time.Time) {
	end = base.Add(d.EndAfter)
	if least := suspended.Add(d.EndAfter - d.SuspendAfter); end.Before(least) {
		end = least
	}
	if d.NoticeBefore <= 0 {
		return time.Time{}, end
	}
	if notice = end.Add(-d.NoticeBefore); notice.Before(suspended) {
		notice = suspended
	}
	told := noticed
	if told.IsZero() {
		told = notice
	}
	if least := told.Add(d.NoticeBefore); end.Before(least) {
		end = least
	}
	return notice, end
}

// LateFee is what a shop asks for when an invoice is paid late: an amount where there is
// one in the invoice's currency, and else a share of what is owed. The zero LateFee asks
// for nothing.
type LateFee struct {
	After   time.Duration // counted as the days of Dunning
	Ppm     int64         // of what is owed, in parts per million; 0: none
	Amounts []Money       // one a currency at most
}

// ErrFee is returned for a fee of less than nothing, or of more than what is owed.
var ErrFee = errors.New("billing: not a late fee")

// On reports whether anything is asked for at all.
func (f LateFee) On() bool { return f.Ppm > 0 || len(f.Amounts) > 0 }

// Of is the fee of an amount that is owed: never more than that amount, and nothing
// where nothing is owed.
func (f LateFee) Of(owed Money) (Money, error) {
	if f.Ppm < 0 || f.Ppm > PpmWhole {
		return Money{}, fmt.Errorf("%w: %d ppm", ErrFee, f.Ppm)
	}
	fee := Money{Currency: owed.Currency}
	if owed.Minor <= 0 {
		return fee, nil
	}
	for _, a := range f.Amounts {
		if a.Minor < 0 {
			return Money{}, fmt.Errorf("%w: %s", ErrFee, a)
		}
		if a.Currency == owed.Currency {
			fee.Minor = min(a.Minor, owed.Minor)
			return fee, nil
		}
	}
	return owed.Ratio(f.Ppm, PpmWhole)
}
