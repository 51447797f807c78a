package bookkeeping

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// RevenueMonth is what a month earned, or will by what is invoiced.
type RevenueMonth struct {
	From     time.Time // its first moment, in the shop's zone
	Currency string
	Earned   billing.Money
	Deferred billing.Money // invoiced and not earned at its end
	Ahead    bool          // it is not over: by time alone, without what is invoiced from now on
}

// Revenue is what was and will be earned.
type Revenue struct {
	Months  []RevenueMonth  // by currency, the earliest first
	Waiting []billing.Money // deferred for a time that has no beginning yet: orders to be paid, and pauses
}

// RevenueMonths is what the months since a time earned by the books, and what those to
// come will earn of what is deferred today, to the last one that earns anything. What a
// month under way has earned is recognised at its end; what it shows is what is expected.
func RevenueMonths(ctx context.Context, tx *tenancy.Tx, since time.Time, zone *time.Location) (r Revenue, err error) {
	past, err := revenuePast(ctx, tx, since, zone)
	if err != nil {
		return r, err
	}
	ahead, waiting, err := revenueAhead(ctx, tx, zone)
	if err != nil {
		return r, err
	}
	today := tx.Now().In(zone)
	month := time.Date(today.Year(), today.Month(), 1, 0, 0, 0, 0, zone)
	for currency, months := range past {
		r.Months = append(r.Months, lay(currency, months, ahead[currency], month)...)
	}
	slices.SortFunc(r.Months, func(x, y RevenueMonth) int {
		return cmp.Or(cmp.Compare(x.Currency, y.Currency), x.From.Compare(y.From))
	})
	for currency, minor := range waiting {
		if minor != 0 {
			r.Waiting = append(r.Waiting, billing.Money{Minor: minor, Currency: currency})
		}
	}
	slices.SortFunc(r.Waiting, func(x, y billing.Money) int { return cmp.Compare(x.Currency, y.Currency) })
	return r, nil
}

// moved is what moved on the two accounts in a month.
type moved struct{ earned, deferred int64 }

// lay puts what was and what will be one after the other. What stood before the first
// month is under the zero time.
func lay(currency string, past map[time.Time]moved, ahead map[time.Time]int64, now time.Time) (all []RevenueMonth) {
	m := func(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: currency} }
	stood, first, last := past[time.Time{}].deferred, now, now
	for at := range past {
		if !at.IsZero() && at.Before(first) {
			first = at
		}
	}
	for at := range ahead {
		if at.After(last) {
			last = at
		}
	}
	for at := first; !at.After(last); at = at.AddDate(0, 1, 0) {
		was := past[at]
		stood += was.deferred - ahead[at]
		all = append(all, RevenueMonth{From: at, Currency: currency, Earned: m(was.earned + ahead[at]), Deferred: m(stood), Ahead: !at.Before(now)})
	}
	return all
}

func revenuePast(ctx context.Context, tx *tenancy.Tx, since time.Time, zone *time.Location) (map[string]map[time.Time]moved, error) {
	var rows []struct {
		Currency         string
		Month            time.Time
		Earned, Deferred int64
	}
	err := tx.NewRaw(`SELECT currency, CASE WHEN at >= ?0 THEN date_trunc('month', at, ?1) ELSE '0001-01-01 00:00:00+00'::timestamptz END AS month,
			coalesce(sum(CASE WHEN credit = 'revenue' THEN amount_minor WHEN debit = 'revenue' THEN -amount_minor END), 0)::bigint AS earned,
			coalesce(sum(CASE WHEN credit = 'deferred_revenue' THEN amount_minor WHEN debit = 'deferred_revenue' THEN -amount_minor END), 0)::bigint AS deferred
		FROM ledger_postings WHERE 'revenue' IN (debit, credit) OR 'deferred_revenue' IN (debit, credit) GROUP BY 1, 2`, since, zone.String()).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read what was earned: %w", err)
	}
	all := map[string]map[time.Time]moved{}
	for _, r := range rows {
		if all[r.Currency] == nil {
			all[r.Currency] = map[time.Time]moved{}
		}
		at := time.Time{}
		if r.Month.Year() > 1 {
			local := r.Month.In(zone)
			at = time.Date(local.Year(), local.Month(), 1, 0, 0, 0, 0, zone)
		}
		all[r.Currency][at] = moved{r.Earned, r.Deferred}
	}
	return all, nil
}

// revenueAhead is what months will earn of what is deferred, line by line as it will be
// recognised.
func revenueAhead(ctx context.Context, tx *tenancy.Tx, zone *time.Location) (ahead map[string]map[time.Time]int64, waiting map[string]int64, err error) {
	ahead, waiting = map[string]map[time.Time]int64{}, map[string]int64{}
	var after uuid.UUID
	for position := 0; ; {
		var rows []struct {
			InvoiceID           uuid.UUID
			Position            int
			Currency            string
			NetMinor, DoneMinor int64
			From, To, DoneTo    time.Time
		}
		err := tx.NewRaw(`SELECT invoice_id, position, currency, net_minor, done_minor, CASE WHEN NOT held THEN period_from END AS "from", CASE WHEN NOT held THEN period_to END AS "to", done_to
			FROM recognitions WHERE done_minor <> net_minor AND (invoice_id, position) > (?, ?) ORDER BY invoice_id, position LIMIT ?`, after, position, pageSize).Scan(ctx, &rows)
		if err != nil {
			return nil, nil, fmt.Errorf("read what is deferred: %w", err)
		}
		for _, r := range rows {
			after, position = r.InvoiceID, r.Position
			if r.To.IsZero() {
				waiting[r.Currency] += r.NetMinor - r.DoneMinor
				continue
			}
			if ahead[r.Currency] == nil {
				ahead[r.Currency] = map[time.Time]int64{}
			}
			done, net := r.DoneMinor, billing.Money{Minor: r.NetMinor, Currency: r.Currency}
			for _, cut := range billing.Cuts(r.DoneTo, r.To.AddDate(0, 2, 0), zone) {
				earned, err := billing.Earned(net, billing.Period{From: r.From, To: r.To}, cut)
				if err != nil {
					return nil, nil, fmt.Errorf("work out what will be earned: %w", err)
				}
				ahead[r.Currency][cut.In(zone).AddDate(0, -1, 0)] += earned.Minor - done
				if done = earned.Minor; done == r.NetMinor {
					break
				}
			}
		}
		if len(rows) < pageSize {
			return ahead, waiting, nil
		}
	}
}
