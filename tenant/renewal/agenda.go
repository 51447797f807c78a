package renewal

import (
	"context"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/tenancy"
)

// The kinds of due work.
const (
	AgendaRenewal    = "renewal"    // subscriptions to be invoiced or ended
	AgendaCollection = "collection" // invoices to be collected
)

// settleAgenda says when the tenant is to be looked at next. Setting the agenda waits
// for others who do; what they committed meanwhile is seen by the second look.
func settleAgenda(ctx context.Context, tx *tenancy.Tx) error {
	var renew2, collect2 time.Time
	renew, collect, err := setEarliest(ctx, tx)
	if err != nil {
		return fmt.Errorf("set what is due next: %w", err)
	}
	err = tx.NewRaw(`SELECT coalesce(renew, ?2), coalesce(collect, ?2) FROM (`+earliest+`) x`, nil, nil, time.Time{}, tx.Now()).Scan(ctx, &renew2, &collect2)
	if err != nil {
		return fmt.Errorf("read what is due next: %w", err)
	}
	if !collect2.Equal(collect) {
		if err := tx.SetAgenda(ctx, AgendaCollection, collect2); err != nil {
			return err
		}
	}
	if !renew2.Equal(renew) {
		return tx.SetAgenda(ctx, AgendaRenewal, renew2)
	}
	return nil
}

// setEarliest puts both times on the agenda, in one statement where doors and tables are in
// one place.
func setEarliest(ctx context.Context, tx *tenancy.Tx) (renew, collect time.Time, err error) {
	spread, err := tx.Spread(ctx)
	if err != nil {
		return renew, collect, err
	}
	if !spread {
		var done [2]string
		err = tx.NewRaw(`SELECT coalesce(renew, ?2), coalesce(collect, ?2), door.set_agenda(?0, collect)::text, door.set_agenda(?1, renew)::text FROM (`+earliest+`) x`,
			AgendaCollection, AgendaRenewal, time.Time{}, tx.Now()).Scan(ctx, &renew, &collect, &done[0], &done[1])
		return renew, collect, err
	}
	err = tx.NewRaw(`SELECT coalesce(renew, ?2), coalesce(collect, ?2) FROM (`+earliest+`) x`, nil, nil, time.Time{}, tx.Now()).Scan(ctx, &renew, &collect)
	if err == nil {
		err = tx.SetAgenda(ctx, AgendaCollection, collect)
	}
	if err == nil {
		err = tx.SetAgenda(ctx, AgendaRenewal, renew)
	}
	return renew, collect, err
}

// earliest are the times on the agenda: what should have been done is due now (?3). A time
// that was on the agenda before would not be looked at again.
const earliest = `SELECT (SELECT greatest(renews_at, ?3) FROM subscriptions WHERE renews_at IS NOT NULL ORDER BY renews_at LIMIT 1) AS renew,
	(SELECT greatest(next_try_at, ?3) FROM invoices WHERE next_try_at IS NOT NULL ORDER BY next_try_at LIMIT 1) AS collect OFFSET 0`

// upcoming is a time on the agenda, as earliest says it.
func upcoming(t, now time.Time) time.Time {
	if !t.IsZero() && t.Before(now) {
		return now
	}
	return t
}
