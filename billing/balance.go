package billing

import "time"

// TrialLine is an account of some books in a trial balance.
type TrialLine struct {
	Account  string
	Currency string
	Opening  Money // debits less credits before the period
	Debit    Money // in it
	Credit   Money
}

// Closing is what stands on it at the end.
func (l TrialLine) Closing() Money {
	return Money{Minor: l.Opening.Minor + l.Debit.Minor - l.Credit.Minor, Currency: l.Currency}
}

// TrialSums are the sums of the lines of each currency, which must follow one another: in
// books that balance openings and closings come to nothing.
func TrialSums(lines []TrialLine) (sums []TrialLine) {
	for _, l := range lines {
		if n := len(sums); n == 0 || sums[n-1].Currency != l.Currency {
			nothing := Money{Currency: l.Currency}
			sums = append(sums, TrialLine{Currency: l.Currency, Opening: nothing, Debit: nothing, Credit: nothing})
		}
		sum := &sums[len(sums)-1]
		sum.Opening.Minor += l.Opening.Minor
		sum.Debit.Minor += l.Debit.Minor
		sum.Credit.Minor += l.Credit.Minor
	}
	return sums
}

// Aged is what somebody owes, by how long it has been due.
type Aged struct {
	Currency string
	NotDue   Money
	Days30   Money // due for up to 30 days
	Days60   Money // 31 to 60
	Days90   Money // 61 to 90
	Older    Money
}

// Add counts an amount that is due at a time.
func (a *Aged) Add(open Money, due, now time.Time) {
	bucket := &a.Older
	switch late := now.Sub(due); {
	case late < 0:
		bucket = &a.NotDue
	case late < 30*day:
		bucket = &a.Days30
	case late < 60*day:
		bucket = &a.Days60
	case late < 90*day:
		bucket = &a.Days90
	}
	*bucket = Money{Minor: bucket.Minor + open.Minor, Currency: open.Currency}
}

// Total is all of it.
func (a Aged) Total() Money {
	return Money{Minor: a.NotDue.Minor + a.Days30.Minor + a.Days60.Minor + a.Days90.Minor + a.Older.Minor, Currency: a.Currency}
}
