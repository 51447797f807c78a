package renewal

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/catalog"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/metering"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// ChangeState is how far a change has come.
type ChangeState string

// The states of a change. One that is over is no longer kept with its subscription.
const (
	ChangeAwaitsPayment ChangeState = "awaiting_payment"
	ChangeApplying      ChangeState = "applying"  // paid; the platform is at it
	ChangeScheduled     ChangeState = "scheduled" // for the next period, whose invoice is not made
	ChangeInvoiced      ChangeState = "invoiced"  // the next period's invoice is made; the service is not changed yet
)

// Terms are what is sold: what a quote promises and a change puts in place.
type Terms struct {
	PlanID      uuid.UUID         `json:"plan_id"`
	Label       string            `json:"label"`
	Cycle       billing.Cycle     `json:"cycle"`
	AmountMinor int64             `json:"amount_minor"`
	Items       []Item            `json:"items"`
	Picked      catalog.Picked    `json:"picked"`
	SKU         string            `json:"sku,omitempty"`
	Spec        provisioners.Spec `json:"spec,omitzero"`

	Additions []catalog.Addition `json:"additions,omitempty"` // of the platform's price book, besides the product of SKU
}

// Change is the one change of a subscription that is under way.
type Change struct {
	QuoteID   uuid.UUID             `json:"quote_id"`
	State     ChangeState           `json:"state"`
	InvoiceID uuid.UUID             `json:"invoice_id,omitzero"` // to be paid first; uuid.Nil: none
	At        time.Time             `json:"at"`                  // when it begins; of one that awaits its payment, when it lapses
	Asked     time.Time             `json:"asked"`               // the moment it was priced for
	Terms     Terms                 `json:"terms"`
	Restarts  bool                  `json:"restarts,omitempty"`
	BackMinor int64                 `json:"back_minor,omitempty"` // net, to be given
	Return    billing.DowngradeMode `json:"return,omitempty"`     // and how
	TookStock bool                  `json:"took_stock,omitempty"`
	Placed    bool                  `json:"placed,omitempty"` // what is paid is changed; the service is not yet
	Cycles    int                   `json:"cycles,omitempty"` // that are paid ahead; nothing else changes
	Move      *Move                 `json:"move,omitempty"`   // to the bill day; nothing else changes
	Bought    []Item                `json:"bought,omitempty"` // and charged once; nothing else changes
	Hours     time.Time             `json:"hours,omitzero"`   // when hours begin that follow what is paid by the month; zero: with the change
}

// ChangeJob has a change put in place that is paid or whose time has come.
type ChangeJob struct {
	SubscriptionID uuid.UUID `json:"subscription_id"`
	QuoteID        uuid.UUID `json:"quote_id"`
}

// Kind names the job.
func (ChangeJob) Kind() string { return "subscription.change" }

// take on the terms of a change.
func (s *Subscription) takeOn(t Terms) {
	s.PlanID, s.Label, s.Cycle, s.Items, s.Picked = t.PlanID, t.Label, t.Cycle, t.Items, t.Picked
	s.Amount.Minor = t.AmountMinor
}

// Apply puts a change in place (job subscription.change): the service first, where it
// becomes another one, and what is paid a cycle with its answer. It may be repeated.
func (d *Desk) Apply(ctx context.Context, db *tenancy.DB, job ChangeJob) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		s, err := lock(ctx, tx, job.SubscriptionID)
		if err != nil {
			return err
		}
		c := s.Change
		if c == nil || c.QuoteID != job.QuoteID || c.State != ChangeApplying {
			return nil
		}
		if s.ServiceID != uuid.Nil && c.Terms.SKU != "" {
			under, err := hosting.Resize(ctx, tx, s.ServiceID, hosting.NewSize{Key: c.QuoteID, SKU: c.Terms.SKU, Label: c.Terms.Label, Spec: c.Terms.Spec})
			switch {
			case err != nil && tooLate(err):
				return d.refuse(ctx, tx, s, fault.From(err).Message)
			case err != nil:
				return queue.Retry(20*time.Second, err) // busy with something else
			case under:
				return nil // Resized follows
			}
		}
		return d.applied(ctx, tx, s)
	})
}

// tooLate says that a service will not become free for a change.
func tooLate(err error) bool {
	for _, code := range []string{"service.ended", "service.suspended", "service.in_trouble", "service.not_found"} {
		if fault.Is(err, code) {
			return true
		}
	}
	return false
}

// Resized follows when the platform has changed a service, or refused to (job
// service.resized). It may be repeated.
func (d *Desk) Resized(ctx context.Context, db *tenancy.DB, job hosting.ResizedJob) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		s, err := lock(ctx, tx, job.SubscriptionID)
		if fault.Is(err, "subscription.not_found") {
			return nil
		}
		if err != nil {
			return err
		}
		if s.Change == nil || s.Change.QuoteID != job.Key || s.Change.State != ChangeApplying {
			return nil
		}
		if job.Problem != "" {
			return d.refuse(ctx, tx, s, job.Problem)
		}
		return d.applied(ctx, tx, s)
	})
}

// applied puts the new terms in place and gives back what is over.
func (d *Desk) applied(ctx context.Context, tx *tenancy.Tx, s Subscription) error {
	if s.Change.Cycles > 0 {
		return d.appliedAhead(ctx, tx, s)
	}
	if s.Change.Move != nil {
		return d.appliedMove(ctx, tx, s)
	}
	if len(s.Change.Bought) > 0 {
		return d.appliedExtras(ctx, tx, s)
	}
	c, was := *s.Change, s.Label+" runs as it was ordered."
	hoursAt := tx.Now()
	switch {
	case c.Placed:
		hoursAt = c.At
	case !c.Hours.IsZero():
		hoursAt = c.Hours
	case (s.Cycle == billing.Hourly) != (c.Terms.Cycle == billing.Hourly): // that moment on it is paid otherwise
		hoursAt = c.Asked
	}
	if !c.Placed {
		was = changeWords(s, c.Terms)
		if c.TookStock {
			if err := moveStock(ctx, tx, s.PlanID, 1); err != nil {
				return err
			}
		}
		s.takeOn(c.Terms)
		if c.Restarts {
			running := s.discountAt(c.Asked)
			s.restart()
			s.AnchorAt, s.Renewals = c.Asked, 0
			if s.Pause != nil { // what it had moved is over
				s.Pause.Moved, s.Pause.Of, s.Pause.Discount = nil, nil, nil
				s.Pause.Longer = billing.Period{}
			}
			s.Stub = nil
			s.Period, s.Taken = s.Cycle.Period(s.AnchorAt, 0, s.Zone()), nil
			switch {
			case loyal(running):
				s.note(s.Period, running, c.Asked)
			case stays(running) && s.Stays != nil && s.Stays.Discount != nil:
				s.note(s.Period, s.Stays.Discount, c.Asked)
			}
			if !s.MeteredTo.IsZero() {
				if err := metering.Reanchor(ctx, tx, s.ID, s.AnchorAt); err != nil {
					return err
				}
			}
		}
	}
	if s.ServiceID != uuid.Nil {
		additions, err := catalog.AdditionsNow(ctx, tx, c.Terms.PlanID, c.Terms.Picked, c.Terms.Additions)
		if err != nil {
			return err
		}
		if err := hosting.SetAddons(ctx, tx, s.ServiceID, c.QuoteID, AddonsFor(additions)); err != nil {
			return err
		}
	}
	if c.BackMinor > 0 && c.Return == billing.DowngradeCredit {
		s.Credit.Minor += c.BackMinor
	}
	s.Change = nil
	if c.BackMinor > 0 && c.Return == billing.DowngradeRefund {
		if err := s.giveBack(ctx, tx, c.QuoteID); err != nil {
			return err
		}
	}
	if err := d.close(ctx, tx, s); err != nil {
		return err
	}
	cut, err := s.priceHours(ctx, tx, hoursAt, s.discountAt(hoursAt))
	if err != nil {
		return err
	}
	if err := metering.LiveSince(ctx, tx, s.ID, hoursAt, cut); err != nil { // by the meters of what it is now
		return err
	}
	if err := put(ctx, tx, s, "changed/"+c.QuoteID.String(), activity.Event{Text: was, CustomerSees: true, Programs: news(s, webhook.SubscriptionChanged)}); err != nil {
		return err
	}
	return d.letter(ctx, tx, s, letterChanged(s, c))
}

// appliedAhead gives a subscription the cycles that were paid ahead.
func (d *Desk) appliedAhead(ctx context.Context, tx *tenancy.Tx, s Subscription) error {
	c := *s.Change
	s.prepaid(c.Cycles, c.Asked)
	s.Change = nil
	if err := d.close(ctx, tx, s); err != nil {
		return err
	}
	return put(ctx, tx, s, "changed/"+c.QuoteID.String(), activity.Event{
		Text: s.Label + " is paid ahead until " + s.date(s.Period.To) + ".", CustomerSees: true, Programs: news(s, webhook.SubscriptionRenewed),
	})
}

// close keeps a subscription whose change is over.
func (d *Desk) close(ctx context.Context, tx *tenancy.Tx, s Subscription) error {
	p, err := PolicyOf(ctx, tx)
	if err != nil {
		return err
	}
	if s.Runs() {
		s.RenewsAt = p.look(s, tx.Now())
	}
	if err := keepChange(ctx, tx, s); err != nil {
		return err
	}
	return settle(ctx, tx)
}

// refuse ends a change that the platform refused: everything stays as it was, and what
// was paid for it goes back by itself.
func (d *Desk) refuse(ctx context.Context, tx *tenancy.Tx, s Subscription, problem string) error {
	c := *s.Change
	s.Change = nil
	if c.TookStock {
		if err := moveStock(ctx, tx, c.Terms.PlanID, 1); err != nil {
			return err
		}
	}
	if c.InvoiceID != uuid.Nil {
		if err := s.giveBack(ctx, tx, c.QuoteID); err != nil {
			return err
		}
	}
	if err := d.close(ctx, tx, s); err != nil {
		return err
	}
	if c.Placed { // a downgrade: the customer pays less and has what there was
		return tell(ctx, tx, s, "change_problem/"+c.QuoteID.String(), "The service could not be changed to "+c.Terms.Label+", which is what is paid for: "+problem, false)
	}
	text := s.Label + " could not be changed to " + c.Terms.Label + ". It runs on as it was."
	if c.InvoiceID != uuid.Nil {
		text += " What you paid for the change is given back."
	}
	if err := tell(ctx, tx, s, "change_refused/"+c.QuoteID.String(), text, true); err != nil {
		return err
	}
	if err := tell(ctx, tx, s, "change_problem/"+c.QuoteID.String(), "The change was refused: "+problem, false); err != nil {
		return err
	}
	return d.letter(ctx, tx, s, letterNotChanged(s, c))
}

// drop takes back a change that is not being put in place. It reports false for one that
// is, or whose payment is under way.
func drop(ctx context.Context, tx *tenancy.Tx, s *Subscription) (bool, error) {
	c := s.Change
	if c == nil {
		return true, nil
	}
	if c.State == ChangeApplying || c.State == ChangeInvoiced {
		return false, nil
	}
	if c.State == ChangeAwaitsPayment {
		gone, err := voidUnpaid(ctx, tx, c.InvoiceID, "The change was not made")
		if err != nil || !gone {
			return false, err
		}
	}
	if c.TookStock {
		if err := moveStock(ctx, tx, c.Terms.PlanID, 1); err != nil {
			return false, err
		}
	}
	s.Change = nil
	text := "The change to " + c.Terms.Label + " is not made."
	switch {
	case c.Cycles > 0:
		text = c.Terms.Label + " is not paid ahead."
	case c.Move != nil:
		text = c.Terms.Label + " keeps its own day."
	case len(c.Bought) > 0:
		text = BoughtWords(c.Bought) + " was not bought for " + c.Terms.Label + "."
	}
	return true, tell(ctx, tx, *s, "change_dropped/"+c.QuoteID.String(), text, true)
}

// moveStock counts pieces of a plan that is counted. None is taken that is kept for
// somebody who checks out: the fault is change.sold_out then.
func moveStock(ctx context.Context, tx *tenancy.Tx, plan uuid.UUID, n int) error {
	r, err := tx.NewRaw(`UPDATE plans SET stock = stock + ?0 WHERE id = ?1 AND stock IS NOT NULL AND (?0 > 0 OR stock + ?0 >=
		(SELECT coalesce(sum((h.value->>'pieces')::int), 0) FROM jsonb_each(coalesce(held, '{}')) AS h WHERE (h.value->>'until')::timestamptz > ?2))`, n, plan, tx.Now()).Exec(ctx)
	if err != nil {
		return fmt.Errorf("count plan %s: %w", plan, err)
	}
	if counted, err := r.RowsAffected(); err != nil || counted > 0 || n > 0 {
		return err
	}
	return errSoldOut
}

var errSoldOut = fault.Field("plan", "change.sold_out", "This plan is sold out at the moment. Please choose another one, or come back later.")
