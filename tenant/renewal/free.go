package renewal

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// asksNothing reports whether a draft is over what costs nothing, as a month of hours in which
// none ran. What a code takes all of, or a credit pays, was sold: it has an invoice.
func asksNothing(d invoicing.Draft) bool {
	for _, l := range d.Lines {
		if l.Unit.Minor != 0 || l.MeterID != "" {
			return false
		}
	}
	return true
}

// issueOwed makes the invoices of renewals. Where nothing is asked for there is none, unless it
// shares one over what costs something.
func issueOwed(ctx context.Context, w *work, subs []Subscription, drafts []invoicing.Draft) ([]invoicing.Invoice, error) {
	var owing []Subscription
	var asked []invoicing.Draft
	var of []int
	asks := map[uuid.UUID]bool{} // accounts
	for _, d := range drafts {
		asks[d.AccountID] = asks[d.AccountID] || !asksNothing(d)
	}
	for i, d := range drafts {
		if !asksNothing(d) || asks[d.AccountID] && w.policy.joins(subs[i]) && !w.alone {
			owing, asked, of = append(owing, subs[i]), append(asked, d), append(of, i)
		}
	}
	made := make([]invoicing.Invoice, len(drafts))
	if len(asked) == 0 {
		return made, nil
	}
	issued, err := issueTogether(ctx, w, owing, asked)
	for i, inv := range issued {
		made[of[i]] = inv
	}
	return made, err
}

// given gives a subscription a period for which nothing is asked.
func (d *Desk) given(ctx context.Context, w *work, s *Subscription, next billing.Period) error {
	if err := d.convert(ctx, w.tx, s); err != nil {
		return err
	}
	s.Period = next
	if !s.CancelAt.IsZero() && s.CancelAt.Before(next.To) {
		s.CancelAt = next.To
	}
	s.RenewsAt = w.policy.look(*s, w.tx.Now())
	if err := save(ctx, w.tx, *s); err != nil {
		return err
	}
	return put(ctx, w.tx, *s, "renewed/"+next.From.UTC().Format(time.RFC3339), activity.Event{
		Text: s.Label + " goes on until " + s.date(next.To) + ". Nothing was to be paid for it.", CustomerSees: true, Programs: news(*s, webhook.SubscriptionRenewed),
	})
}

// priceMonths keeps what is taken off the hours of the months that begin.
func (w *work) priceMonths(ctx context.Context, subs []Subscription) error {
	for _, s := range subs {
		if s.Cycle != billing.Hourly || s.Discount == nil && len(s.Loyalty) == 0 && s.Stays == nil && !s.hoursOff {
			continue
		}
		next := s.Next()
		off, err := s.discountFor(next)
		if err != nil {
			return err
		}
		if _, err := s.pricedFor(next.From).priceHours(ctx, w.tx, next.From, off); err != nil {
			return err
		}
	}
	return nil
}
