package renewal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// batch is how many subscriptions or invoices one transaction works on: enough that
// commits and statements do not count, few enough that a checkout waits for a number
// only briefly.
const batch = 100

// again is how long what cannot be worked on is left alone.
const again = time.Hour

// Renew does what is due of subscriptions: it makes the invoices of the next periods,
// announces what is to come, and ends what was cancelled. It may be interrupted anywhere and
// called again. One that fails does not keep others back: it is looked at again in an
// hour, and staff are told.
func (d *Desk) Renew(ctx context.Context, db *tenancy.DB, _ time.Time) error {
	return d.pass(ctx, db, `SELECT s.id FROM subscriptions s WHERE s.renews_at <= ? ORDER BY s.renews_at, s.account_id, s.id LIMIT ?`, d.renewAll, d.postpone)
}

type workOn func(ctx context.Context, w *work, ids []uuid.UUID) error

// pass works on what a query finds, in batches, until nothing is due.
func (d *Desk) pass(ctx context.Context, db *tenancy.DB, query string, do workOn, postpone func(context.Context, *tenancy.Tx, uuid.UUID, error) error) error {
	for {
		n, err := d.some(ctx, db, query, do)
		if err != nil && ctx.Err() == nil {
			n, err = d.singly(ctx, db, query, do, postpone)
		}
		if err != nil {
			return err
		}
		if n < batch {
			return db.Update(ctx, func(tx *tenancy.Tx) error { return settle(ctx, tx) })
		}
	}
}

// some works on one batch in one transaction and says on how many.
func (d *Desk) some(ctx context.Context, db *tenancy.DB, query string, do workOn) (n int, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		var ids []uuid.UUID
		if err := tx.NewRaw(query, tx.Now(), batch).Scan(ctx, &ids); err != nil {
			return fmt.Errorf("look for what is due: %w", err)
		}
		n = len(ids)
		if n == 0 {
			return nil
		}
		return d.working(ctx, tx, func(w *work) error { return do(ctx, w, ids) })
	})
	return n, err
}

// singly works on one after the other, each in a transaction of its own, and postpones
// what fails.
func (d *Desk) singly(ctx context.Context, db *tenancy.DB, query string, do workOn, postpone func(context.Context, *tenancy.Tx, uuid.UUID, error) error) (int, error) {
	var ids []uuid.UUID
	err := db.View(ctx, func(tx *tenancy.Tx) error { return tx.NewRaw(query, tx.Now(), batch).Scan(ctx, &ids) })
	if err != nil {
		return 0, fmt.Errorf("look for what is due: %w", err)
	}
	for _, id := range ids {
		failed := db.Update(ctx, func(tx *tenancy.Tx) error {
			return d.working(ctx, tx, func(w *work) error {
				w.alone = true
				return do(ctx, w, []uuid.UUID{id})
			})
		})
		if failed == nil {
			continue
		}
		if ctx.Err() != nil {
			return 0, failed
		}
		if err := db.Update(ctx, func(tx *tenancy.Tx) error { return postpone(ctx, tx, id, failed) }); err != nil {
			return 0, errors.Join(failed, err)
		}
	}
	return len(ids), nil
}

// postpone leaves a subscription alone for a while and tells staff.
func (d *Desk) postpone(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, why error) error {
	if _, err := tx.NewRaw("UPDATE subscriptions SET renews_at = ?, changed_at = ? WHERE id = ? AND renews_at <= ?", tx.Now().Add(again), tx.Now(), id, tx.Now()).Exec(ctx); err != nil {
		return fmt.Errorf("postpone subscription %s: %w", id, err)
	}
	return alert(ctx, tx, "renewal.failed", "subscription/"+id.String(), "A subscription could not be renewed.", why)
}

func alert(ctx context.Context, tx *tenancy.Tx, kind, subject, text string, why error) error {
	detail := map[string]any{"subject": subject}
	if why != nil {
		detail["error"] = why.Error()
	}
	_, err := tx.RaiseAlert(ctx, tenancy.Alert{Key: kind + "/" + subject + "/" + tx.Now().UTC().Format("2006-01-02"), Kind: kind, Text: text, Detail: detail})
	return err
}

// renewAll does what is due of subscriptions. What is done of most of them, an invoice
// and the next look, is done for all of them together.
func (d *Desk) renewAll(ctx context.Context, w *work, ids []uuid.UUID) error {
	if len(ids) == batch { // the last account's others are in the next
		more, err := companions(ctx, w, ids)
		if err != nil {
			return err
		}
		ids = append(ids, more...)
	}
	subs, err := lockAll(ctx, w.tx, ids)
	if err != nil {
		return err
	}
	var due, used []Subscription
	for _, s := range subs {
		if len(s.folded) > 0 {
			if err := keepFolded(ctx, w.tx, &s); err != nil {
				return err
			}
		}
		if s.mayRunOn(w.tx.Now()) && !s.RenewsAt.IsZero() && !s.RenewsAt.After(w.tx.Now()) {
			if err := runOn(ctx, w.tx, &s); err != nil {
				return err
			}
		}
		now, at := w.tx.Now(), w.policy.lookAt(s, w.tx.Now())
		switch {
		case s.RenewsAt.IsZero() || s.RenewsAt.After(now): // somebody was faster
		case s.usageDue(now) && (at.IsZero() || at.After(now)): // a month of usage ended, and nothing else
			if err := d.remind(ctx, w, s); err != nil {
				return err
			}
			used = append(used, s)
		case at.IsZero():
			w.advance(s, at)
		case s.State == Paused:
			if at.After(now) {
				w.advance(s, at)
			} else if err := d.resume(ctx, w.tx, w.policy, &s, ""); err != nil {
				return err
			}
		case s.Change != nil && s.Change.State == ChangeAwaitsPayment:
			if err := d.lapse(ctx, w, s); err != nil {
				return err
			}
		case s.Change != nil && s.Change.State == ChangeInvoiced && !s.Change.At.After(now):
			if err := beginInvoiced(ctx, w, s); err != nil {
				return err
			}
		case !s.CancelAt.IsZero() && !s.CancelAt.After(now):
			if err := d.end(ctx, w.tx, s, cancelled); err != nil {
				return err
			}
		case s.State == InTrial:
			over, err := d.trial(ctx, w, &s)
			if err != nil {
				return err
			}
			if over {
				due = append(due, s)
			}
		case at.After(now): // not yet; where it is announced, that may be due
			if err := d.remind(ctx, w, s); err != nil {
				return err
			}
			w.advance(s, w.policy.look(s, now))
		default:
			due = append(due, s)
		}
	}
	if err := d.invoiceUsage(ctx, w, used); err != nil {
		return err
	}
	return d.invoice(ctx, w, due)
}

// invoice makes the invoices of the next periods, each once, and has them collected from
// the day they are due.
func (d *Desk) invoice(ctx context.Context, w *work, subs []Subscription) error {
	if len(subs) == 0 {
		return nil
	}
	now, drafts := w.tx.Now(), make([]invoicing.Draft, len(subs))
	taken, credits := make([]*Change, len(subs)), make([]int64, len(subs)) // changes that begin with the period, and credit that is used
	noted := make([]bool, len(subs))                                       // what was taken off is kept
	moved, err := wentOut(ctx, w.tx, subs)
	if err != nil {
		return err
	}
	for i, s := range subs {
		was := s.PlanID
		if change := s.Change; s.takeScheduled() {
			if subs[i], taken[i] = s, s.Change; change.TookStock {
				if err := moveStock(ctx, w.tx, was, 1); err != nil {
					return err
				}
			}
		}
		next := s.Next()
		lines, used, err := s.credited(next)
		if err != nil {
			return fmt.Errorf("renew subscription %s: %w", s.ID, err)
		}
		if len(s.Loyalty) > 0 || len(s.Taken) > 0 || s.stay() != nil {
			d, err := s.discountFor(next)
			if err != nil {
				return fmt.Errorf("renew subscription %s: %w", s.ID, err)
			}
			s.note(next, d, now)
			subs[i], noted[i] = s, true
		}
		credits[i] = used
		drafts[i] = invoicing.Draft{Key: periodKey(s, next), AccountID: s.AccountID, Currency: s.Amount.Currency, Lines: lines, DueAt: next.From, CollectAt: next.From, OnTerms: true}
		if next.From.Before(now) {
			drafts[i].DueAt, drafts[i].CollectAt = now, now
		}
	}
	bills, err := addUsage(ctx, w, subs, drafts, credits)
	if err != nil {
		return err
	}
	if err := w.priceMonths(ctx, subs); err != nil {
		return err
	}
	made, err := issueOwed(ctx, w, subs, drafts)
	if err != nil {
		return fmt.Errorf("renew %d subscriptions from %s: %w", len(subs), subs[0].ID, err)
	}
	if err := settleUsage(ctx, w, subs, made, bills); err != nil {
		return err
	}
	on := map[uuid.UUID]int{}
	for _, inv := range made {
		on[inv.ID]++
	}
	for i, s := range subs {
		next, inv := s.Next(), made[i]
		s.Renewals++
		if inv.ID == uuid.Nil {
			if err := d.given(ctx, w, &s, next); err != nil {
				return err
			}
		}
		if taken[i] != nil || credits[i] != 0 || noted[i] || moved[s.ID] {
			s.RenewsAt = w.policy.look(s, now)
			if inv.ID == uuid.Nil || !inv.IssuedAt.Before(now) {
				s.Credit.Minor -= credits[i]
			}
			if err := keepChange(ctx, w.tx, s); err != nil {
				return err
			}
		}
		w.advance(s, w.policy.look(s, now))
		if inv.State != invoicing.Open {
			continue
		}
		if now.Before(inv.DueAt) {
			if s.Debit { // announced now, and collected when it is due
				w.charge(bill{InvoiceID: inv.ID, Tries: inv.Tries, Key: inv.Key})
			}
			if inv.IssuedAt.Before(now) { // it was made before, whatever became of it since
				w.schedule(inv.ID, inv.DueAt)
			}
			if s.mayRunOn(now) {
				if err := runOn(ctx, w.tx, &s); err != nil {
					return err
				}
			}
			continue
		}
		// The state is what was read: chasing changes what is kept of it at once.
		s.RenewsAt = w.policy.look(s, now)
		b := bill{
			InvoiceID: inv.ID, AccountID: s.AccountID, SubscriptionID: s.ID, Number: inv.Number, State: string(inv.State), Key: inv.Key, Currency: inv.Currency,
			PeriodFrom: next.From, PeriodTo: next.To, DueAt: inv.DueAt, IssuedAt: inv.IssuedAt, DueMinor: inv.Due().Minor, Tries: inv.Tries,
			Others: on[inv.ID] - 1,
		}
		if err := d.chase(ctx, w, s, b); err != nil {
			return err
		}
	}
	return nil
}

// periodKey is the natural key of the invoice of a period.
func periodKey(s Subscription, p billing.Period) string {
	return "renewal/" + s.ID.String() + "/" + p.From.UTC().Format(time.RFC3339)
}

// issueAll makes invoices, or finds those that were made. One that was withdrawn (see
// withdraw) is followed by another.
func issueAll(ctx context.Context, tx *tenancy.Tx, drafts []invoicing.Draft) ([]invoicing.Invoice, error) {
	made, err := invoicing.IssueAll(ctx, tx, drafts)
	if err != nil {
		return nil, err
	}
	for i, d := range drafts {
		for n := 2; made[i].State == invoicing.Void; n++ {
			d.Key = fmt.Sprintf("%s/%d", drafts[i].Key, n)
			if made[i], err = invoicing.Issue(ctx, tx, d); err != nil {
				return nil, err
			}
		}
	}
	return made, nil
}

// lines are what a period costs: what was sold, item by item, as long as the items add
// up to the amount.
func (s Subscription) lines(p billing.Period) []billing.Line {
	s = s.pricedFor(p.From)
	name := s.Label
	if s.ServiceName != "" && s.ServiceName != s.Label {
		name += " (" + s.ServiceName + ")"
	}
	one := func(kind, text string, minor int64) billing.Line {
		unit := billing.Money{Minor: minor, Currency: s.Amount.Currency}
		return billing.Line{Kind: kind, SubscriptionID: s.ID.String(), Description: text, Period: p, Quantity: 1, Unit: unit}
	}
	var sum int64
	var lines []billing.Line
	for _, it := range s.Items {
		sum += it.AmountMinor
		text := name
		if it.Kind != "plan" {
			text = s.Label + ": " + it.Label
		}
		l := one(it.Kind, text, it.AmountMinor)
		if it.PriceID != uuid.Nil {
			l.PriceID = it.PriceID.String()
		}
		if it.Quantity > 1 && it.AmountMinor%it.Quantity == 0 {
			l.Quantity, l.Unit.Minor = it.Quantity, it.AmountMinor/it.Quantity
		}
		lines = append(lines, l)
	}
	if len(lines) == 0 || sum != s.Amount.Minor {
		lines = []billing.Line{one("plan", name, s.Amount.Minor)}
	}
	return append(lines, s.afterTrial(p)...)
}
