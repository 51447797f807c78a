package renewal

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/payment"
)

// TryFailed counts a failed try (job payment.failed), once: the next one is put on the
// schedule, the customer is written to, and after the last one the service is turned
// off. An invoice that is no renewal is left alone.
func (d *Desk) TryFailed(ctx context.Context, db *tenancy.DB, f payment.FailedTry) error {
	return d.TryFailedMany(ctx, db, []payment.FailedTry{f})
}

// TryFailedMany is TryFailed for many tries of a shop, together or not at all.
func (d *Desk) TryFailedMany(ctx context.Context, db *tenancy.DB, all []payment.FailedTry) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		news := false
		err := d.working(ctx, tx, func(w *work) error {
			t, err := takeTried(ctx, tx, all)
			if err != nil {
				return err
			}
			for _, f := range all {
				subs, bills, err := t.of(ctx, tx, f.InvoiceID)
				switch {
				case err == nil && len(bills) == 0:
					t.stale = true
					err = d.changeTryFailed(ctx, tx, f)
				case err == nil && (len(bills) == 1 || isOrder(bills[0]) || joined(bills[0].Key)) && awaited(bills[0], f):
					news, err = true, d.tryFailed(ctx, w, subs, bills, f)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || !news {
			return err
		}
		return settle(ctx, tx)
	})
}

// tried is what failed tries are about, read for all of them at once. What one changes of
// an invoice or a subscription the next one reads anew.
type tried struct {
	subs  map[uuid.UUID]Subscription
	bills map[uuid.UUID][]bill
	used  map[uuid.UUID]bool // invoices and subscriptions that may have changed since
	stale bool               // anything may have
}

func takeTried(ctx context.Context, tx *tenancy.Tx, all []payment.FailedTry) (t tried, err error) {
	t = tried{bills: map[uuid.UUID][]bill{}, used: map[uuid.UUID]bool{}}
	ids := make([]uuid.UUID, len(all))
	for i, f := range all {
		ids[i] = f.InvoiceID
	}
	var bills []bill
	t.subs, bills, err = take(ctx, tx, ids)
	for _, b := range bills {
		t.bills[b.InvoiceID] = append(t.bills[b.InvoiceID], b)
	}
	return t, err
}

// of is one invoice with its subscriptions.
func (t *tried) of(ctx context.Context, tx *tenancy.Tx, invoice uuid.UUID) (map[uuid.UUID]Subscription, []bill, error) {
	bills := t.bills[invoice]
	fresh := !t.stale && !t.used[invoice]
	t.used[invoice] = true
	for _, b := range bills {
		fresh = fresh && !t.used[b.SubscriptionID]
		t.used[b.SubscriptionID] = true
	}
	if fresh {
		return t.subs, bills, nil
	}
	return take(ctx, tx, []uuid.UUID{invoice})
}

// awaited reports whether a failed try is news: it is the next one of the schedule, or
// was made outside of it.
func awaited(b bill, f payment.FailedTry) bool {
	return b.AskedAt.IsZero() && (f.MethodID != uuid.Nil || b.Tries == f.Try)
}

// tryFailed follows on a failed try: the invoice moves on once, and each subscription on it
// as its state asks for.
func (d *Desk) tryFailed(ctx context.Context, w *work, subs map[uuid.UUID]Subscription, bills []bill, f payment.FailedTry) error {
	b := bills[0]
	s := subs[b.SubscriptionID]
	if f.MethodID != uuid.Nil {
		return d.extraTryFailed(ctx, w, s, b, f)
	}
	if f.Code == payment.NoMethod { // no try: whoever has no method is written to instead
		for _, b := range bills {
			if err := d.chase(ctx, w, subs[b.SubscriptionID], b); err != nil {
				return err
			}
		}
		return nil
	}
	now, tx, p := w.tx.Now(), w.tx, w.policy
	step := p.dunning(s, b).Refused(f.Decline, b.base(), now, b.Tries, s.Zone())
	if step.Replace && s.HasMethod { // there is another one by now, which goes on with the schedule
		step = p.dunning(s, b).Refused(billing.RefusedSoft, b.base(), now, b.Tries, s.Zone())
	}
	if err := keepStep(ctx, tx, b, step); err != nil {
		return err
	}
	for i, b := range bills {
		s := subs[b.SubscriptionID]
		if err := pastDue(ctx, tx, &s, b); err != nil {
			return err
		}
		if i == 0 && f.Code != payment.ByTransfer { // money on its way has not failed
			m, err := d.letterFailed(ctx, tx, p, s, b, f, step)
			if err != nil {
				return err
			}
			w.letters = append(w.letters, posted{s.AccountID, m})
		}
		next := sooner(step.Next, p.feeAt(b, now))
		follow := func() error { return d.press(ctx, w, s, b, !step.Next.IsZero(), next) }
		if s.State == Ended {
			follow = func() error { return d.chaseDebt(ctx, w, s, b, next) }
		}
		if err := follow(); err != nil {
			return err
		}
	}
	return nil
}

// extraTryFailed follows on a try with a new method outside of the schedule, which it
// leaves as it is: the customer is told, and where the bank wants them it waits.
func (d *Desk) extraTryFailed(ctx context.Context, w *work, s Subscription, b bill, f payment.FailedTry) error {
	if f.Code == payment.NoMethod || f.Code == payment.ByTransfer {
		return nil
	}
	step := w.policy.dunning(s, b).Refused(f.Decline, b.base(), w.tx.Now(), b.Tries-1, s.Zone()) // it took no try's place
	switch {
	case step.Confirm:
		if err := keepStep(ctx, w.tx, b, step); err != nil {
			return err
		}
	case !s.HasMethod || s.State == Suspended:
		step.Next = time.Time{}
	case !step.Next.IsZero():
		w.schedule(b.InvoiceID, step.Next)
	}
	m, err := d.letterFailed(ctx, w.tx, w.policy, s, b, f, step)
	w.letters = append(w.letters, posted{s.AccountID, m})
	return err
}

// keepStep counts a failed try, or notes that the customer has to confirm.
func keepStep(ctx context.Context, tx *tenancy.Tx, b bill, step billing.Step) error {
	if step.Confirm {
		return invoicing.AskToConfirm(ctx, tx, b.InvoiceID)
	}
	return invoicing.MarkFailedTry(ctx, tx, b.InvoiceID, step.Next)
}
