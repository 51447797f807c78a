package renewal

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
)

// work is one transaction over many subscriptions. What is done of nearly all of them
// is gathered and written at its end, in one statement for all.
type work struct {
	tx       *tenancy.Tx
	policy   Policy
	advanced []Subscription // that are looked at next at RenewsAt, after Renewals invoices
	charges  []tenancy.Queued
	tries    map[uuid.UUID]time.Time // when invoices are looked at next; zero: never
	letters  []posted
	alone    bool // one that failed among others is tried by itself
}

// working does work and writes what it gathered.
func (d *Desk) working(ctx context.Context, tx *tenancy.Tx, do func(*work) error) error {
	p, err := PolicyOf(ctx, tx)
	if err != nil {
		return err
	}
	w := &work{tx: tx, policy: p, tries: map[uuid.UUID]time.Time{}}
	if err := do(w); err != nil {
		return err
	}
	if err := w.keepSubscriptions(ctx); err != nil {
		return err
	}
	if err := d.post(ctx, tx, w.letters); err != nil {
		return err
	}
	if err := tx.EnqueueAll(ctx, w.charges); err != nil {
		return err
	}
	return invoicing.ScheduleTries(ctx, tx, w.tries)
}

// advance says when a subscription is looked at next; zero: never.
func (w *work) advance(s Subscription, at time.Time) {
	s.RenewsAt = at
	w.advanced = append(w.advanced, s)
}

// schedule says when an invoice is looked at next; zero: never.
// Of several subscriptions on one invoice the soonest counts.
func (w *work) schedule(invoice uuid.UUID, at time.Time) {
	w.tries[invoice] = sooner(w.tries[invoice], at)
}

// charge has the saved method charged after the commit, once a try.
func (w *work) charge(b bill) {
	job := tenancy.Queued{
		Job:     payment.ChargeJob{InvoiceID: b.InvoiceID, Try: b.Tries},
		Options: tenancy.JobOptions{Key: fmt.Sprintf("charge/%s/%d", b.InvoiceID, b.Tries)},
	}
	same := func(q tenancy.Queued) bool { return q.Options.Key == job.Options.Key }
	if !joined(b.Key) || !slices.ContainsFunc(w.charges, same) { // asked for once, for all that stands on it
		w.charges = append(w.charges, job)
	}
}

// keepSubscriptions writes what advance gathered. It touches no other column: what
// changed of them in between stands.
func (w *work) keepSubscriptions(ctx context.Context) error {
	if len(w.advanced) == 0 {
		return nil
	}
	type row struct {
		ID       uuid.UUID  `json:"id"`
		Renewals int        `json:"renewals"`
		RenewsAt *time.Time `json:"renews_at"`
	}
	rows := make([]row, len(w.advanced))
	for i, s := range w.advanced {
		rows[i] = row{ID: s.ID, Renewals: s.Renewals}
		if !s.RenewsAt.IsZero() {
			rows[i].RenewsAt = &s.RenewsAt
		}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	_, err = w.tx.NewRaw(`UPDATE subscriptions s SET renewals = r.renewals, renews_at = r.renews_at, changed_at = ?
		FROM jsonb_to_recordset(?::jsonb) AS r(id uuid, renewals int, renews_at timestamptz) WHERE s.id = r.id AND s.state <> 'ended'`, w.tx.Now(), string(text)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep %d subscriptions: %w", len(rows), err)
	}
	return nil
}

// lockAll reads subscriptions in the order of their ids and keeps them from others until
// the transaction ends: everybody who locks several does so in this order.
func lockAll(ctx context.Context, tx *tenancy.Tx, ids []uuid.UUID) ([]Subscription, error) {
	sorted := slices.Clone(ids)
	slices.SortFunc(sorted, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return read(ctx, tx, "SELECT "+columns+tables+" WHERE s.id IN (?) ORDER BY s.id FOR UPDATE OF s", bun.List(slices.Compact(sorted)))
}
