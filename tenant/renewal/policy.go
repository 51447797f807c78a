package renewal

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// Policy is how a shop renews, kept in shop_settings under "renewal".
type Policy struct {
	LeadDays   int             `json:"lead_days"`   // an invoice is made so long before its period begins
	RemindDays int             `json:"remind_days"` // for cycles of a year and more: a letter so long before the invoice
	Dunning    billing.Dunning `json:"-"`
}

// DefaultPolicy makes invoices three days ahead and announces a year's two weeks before.
func DefaultPolicy() Policy {
	return Policy{LeadDays: 3, RemindDays: 14, Dunning: billing.DefaultDunning()}
}

const day = 24 * time.Hour

// PolicyOf is the shop's policy.
func PolicyOf(ctx context.Context, tx *tenancy.Tx) (Policy, error) {
	p := DefaultPolicy()
	var text string
	err := tx.NewRaw("SELECT value::text FROM shop_settings WHERE name = 'renewal'").Scan(ctx, &text)
	if tenancy.IsNoRows(err) {
		return p, nil
	}
	if err != nil {
		return p, fmt.Errorf("read the renewal policy: %w", err)
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return p, fmt.Errorf("read the renewal policy: %w", err)
	}
	p.LeadDays, p.RemindDays = min(max(p.LeadDays, 0), 14), min(max(p.RemindDays, 0), 60)
	return p, nil
}

// lead is how long before a period its invoice is made: never more than a quarter of
// the cycle.
func (p Policy) lead(next billing.Period) time.Duration {
	lead := time.Duration(p.LeadDays) * day
	if !next.To.IsZero() {
		lead = min(lead, next.To.Sub(next.From)/4)
	}
	return lead
}

// look is when a subscription is to be looked at next, as it stands: to end it, to
// announce a year's invoice, or to make the invoice of the next period. Zero: never.
func (p Policy) look(s Subscription, now time.Time) time.Time {
	if !s.Runs() || s.AnchorAt.IsZero() {
		return time.Time{}
	}
	if !s.CancelAt.IsZero() {
		return s.CancelAt
	}
	next := s.Next()
	if next.To.IsZero() {
		return time.Time{} // paid once
	}
	issue := next.From.Add(-p.lead(next))
	if at := p.remindAt(s, issue); !at.IsZero() && now.Before(at) {
		return at
	}
	return issue
}

// remindAt is when a year's invoice is announced; zero: it is not.
func (p Policy) remindAt(s Subscription, issue time.Time) time.Time {
	if s.Cycle.Months() < 12 || p.RemindDays == 0 {
		return time.Time{}
	}
	return issue.Add(-time.Duration(p.RemindDays) * day)
}
