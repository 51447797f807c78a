package invoicing

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/settings"
)

// The series of numbers there are.
const (
	SeriesInvoice    = "invoice"
	SeriesCreditNote = "credit_note"
	SeriesTopUp      = "top_up"
	SeriesOrder      = "order"
	SeriesCustomer   = "customer"
)

// first is the first number of a series: documents begin at one, as auditors expect;
// orders and customers do not tell how few there are.
func first(series string) int64 {
	if series == SeriesInvoice || series == SeriesCreditNote || series == SeriesTopUp {
		return 1
	}
	return 1001
}

// seriesRow is a series, locked until the transaction ends.
type seriesRow struct {
	Next     int64
	LastHash []byte
	Year     int   // of which its numbers are, where they begin again each year; 0: they never did
	Before   int64 // documents before those of that year
}

// turn has numbers begin again where the shop wants it and the year is another than that of
// the last document, in the shop's time zone. One whose moment is of the year before, and which
// waited for its number while another had the first of the new year, is counted with the new.
func (s *seriesRow) turn(b settings.Billing, now time.Time, zone *time.Location) {
	year := now.In(zone).Year()
	switch {
	case !b.YearlyNumbers:
	case s.Year == 0:
		s.Year = year
	case year > s.Year:
		s.Year, s.Before = year, s.Next-1
	}
}

// number is how the number of a place in the series is written. Where numbers began again once
// and do no more, they go on; a pattern without the year counts all there are.
func (s seriesRow) number(b settings.Billing, code string, place int64, now time.Time) string {
	pattern, at := b.Pattern(code), now.UTC()
	if s.Year != 0 && (b.YearlyNumbers || at.Year() < s.Year) { // where they go on, never back
		at = time.Date(s.Year, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if strings.Contains(pattern, settings.YearMark) {
		place -= s.Before
	}
	return written(pattern, place, at)
}

// lockSeries makes everybody else who wants a number of the series wait.
func lockSeries(ctx context.Context, tx *tenancy.Tx, series string) (s seriesRow, err error) {
	err = tx.NewRaw(`INSERT INTO number_series AS s (code, pattern, next, last_hash) VALUES (?, '', ?, '')
		ON CONFLICT (code) DO UPDATE SET code = excluded.code RETURNING s.next, s.last_hash, coalesce(s.year, 0) AS year, coalesce(s.before, 0) AS before`, series, first(series)).Scan(ctx, &s)
	if err != nil {
		return s, fmt.Errorf("lock the series %s: %w", series, err)
	}
	return s, nil
}

// NextNumber takes the next number of a series and says how it is written. The series
// waits for the end of the transaction: a number that is rolled back is given again.
// Take it late. Invoices and credit notes take theirs in Issue and Credit.
func NextNumber(ctx context.Context, tx *tenancy.Tx, series string) (int64, string, error) {
	if series != SeriesOrder && series != SeriesCustomer {
		return 0, "", fmt.Errorf("numbers of the series %q are not given here", series)
	}
	pattern := settings.DefaultBilling().Pattern(series)
	var n int64
	err := tx.NewRaw(`INSERT INTO number_series AS s (code, pattern, next, last_hash) VALUES (?, ?, ?, '')
		ON CONFLICT (code) DO UPDATE SET next = s.next + 1 RETURNING s.next - 1`, series, pattern, first(series)+1).Scan(ctx, &n)
	if err != nil {
		return 0, "", fmt.Errorf("take a number of the series %s: %w", series, err)
	}
	return n, written(pattern, n, tx.Now()), nil
}

// written fills a pattern such as INV-{year}-{number:5}.
func written(pattern string, n int64, at time.Time) string {
	s := strings.ReplaceAll(pattern, "{year}", at.Format("2006"))
	before, rest, ok := strings.Cut(s, "{number")
	if !ok {
		return s + strconv.FormatInt(n, 10)
	}
	width, after, _ := strings.Cut(rest, "}")
	digits, _ := strconv.Atoi(strings.TrimPrefix(width, ":"))
	return fmt.Sprintf("%s%0*d%s", before, min(digits, 9), n, after)
}
