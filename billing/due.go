package billing

import "time"

// MostTermDays bounds the days somebody has to pay an invoice.
const MostTermDays = 90

// DueAfter is when an invoice is due whose customer has some days to pay, where it would be
// due at a time without them: so many days of their zone after it is issued, at the same time
// of day, and never sooner than without. What is invoiced ahead is not asked for earlier
// because somebody has a few days.
func DueAfter(due, issued time.Time, days int, zone *time.Location) time.Time {
	if days <= 0 {
		return due
	}
	if at := issued.In(zone).AddDate(0, 0, days).UTC(); at.After(due) {
		return at
	}
	return due
}
