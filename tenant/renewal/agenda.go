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
	renew, collect, err := earliest(ctx, tx)
	if err != nil {
		return err
	}
	if err := tx.SetAgenda(ctx, AgendaCollection, collect); err != nil {
		return err
	}
	if err := tx.SetAgenda(ctx, AgendaRenewal, renew); err != nil {
		return err
	}
	renew2, collect2, err := earliest(ctx, tx)
	if err != nil {
		return err
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

func earliest(ctx context.Context, tx *tenancy.Tx) (renew, collect time.Time, err error) {
	err = tx.NewRaw(`SELECT coalesce((SELECT min(renews_at) FROM subscriptions WHERE renews_at IS NOT NULL), ?0),
		coalesce((SELECT min(next_try_at) FROM invoices WHERE next_try_at IS NOT NULL), ?0)`, time.Time{}).Scan(ctx, &renew, &collect)
	if err != nil {
		return renew, collect, fmt.Errorf("read what is due next: %w", err)
	}
	return upcoming(renew, tx.Now()), upcoming(collect, tx.Now()), nil
}

// upcoming is a time on the agenda: what should have been done is due now. A time that
// was on the agenda before would not be looked at again.
func upcoming(t, now time.Time) time.Time {
	if !t.IsZero() && t.Before(now) {
		return now
	}
	return t
}
