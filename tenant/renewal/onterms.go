package renewal

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// An account with days to pay has a period before it pays for it: what runs, runs on when
// the period begins, as if it were paid, until its invoice is overdue.

// SetTerms says how many days an account has to pay what it is invoiced from now on; 0:
// none of its own. Invoices that are made keep their day. Faults: account.not_found,
// terms.invalid.
func SetTerms(ctx context.Context, db *tenancy.DB, account uuid.UUID, days int, by audit.Origin) error {
	if days < 0 || days > billing.MostTermDays {
		return fault.Field("term_days", "terms.invalid", "Give a number of days from 1 to "+strconv.Itoa(billing.MostTermDays)+", or nothing.")
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		if _, err := RhythmOf(ctx, tx, account); err != nil {
			return err
		}
		res, err := tx.NewRaw("UPDATE accounts SET term_days = nullif(?0, 0), changed_at = ?1 WHERE id = ?2 AND coalesce(term_days, 0) <> ?0", days, tx.Now(), account).Exec(ctx)
		if err != nil {
			return fmt.Errorf("keep the days account %s has to pay: %w", account, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		text := "New invoices are due " + strconv.Itoa(days) + " days after they are issued."
		switch days {
		case 0:
			text = "New invoices are due as usual again: there are no days to pay of the account's own any more."
		case 1:
			text = "New invoices are due a day after they are issued."
		}
		err = activity.Tell(ctx, tx, activity.Event{
			Key: "account/" + account.String() + "/terms/" + strconv.FormatInt(tx.Now().UnixMicro(), 10), AccountID: account, SubjectKind: activity.Account, SubjectID: account,
			Kind: "account.terms_changed", Text: text, Actor: by.Actor.Name, CustomerSees: true,
		})
		if err != nil {
			return err
		}
		return by.Record(ctx, tx, "account.terms_changed", audit.Target{Kind: "account", ID: account.String()}, map[string]any{"term_days": days})
	})
}

// current is the last period that is invoiced and has begun; zero: none has.
func (s Subscription) current(now time.Time) (p billing.Period) {
	for n := s.Renewals; n >= 0 && !s.AnchorAt.IsZero(); n-- {
		if p = s.Cycle.Period(s.AnchorAt, n, s.Zone()); !p.From.After(now) {
			return p
		}
	}
	return billing.Period{}
}

// mayRunOn reports whether a period has begun that is not paid and need not be yet.
func (s Subscription) mayRunOn(now time.Time) bool {
	if s.State != Active {
		return false
	}
	p := s.current(now)
	return p.To.After(s.Period.To) && (s.CancelAt.IsZero() || s.CancelAt.After(p.From))
}

// runsOnAt is when a period begins that is invoiced, not paid, and need not be by then;
// zero: none does.
func (s Subscription) runsOnAt(now time.Time) time.Time {
	if s.TermDays == 0 || s.State != Active || s.Renewals < 0 {
		return time.Time{}
	}
	if p := s.Cycle.Period(s.AnchorAt, s.Renewals, s.Zone()); p.From.After(now) && p.To.After(s.Period.To) {
		return p.From
	}
	return time.Time{}
}

// runOn gives a subscription that may run on the period that has begun, if its invoice is
// open, not due, and none before it is overdue. Paid later, it has the period already. Where the
// account's days were taken back, an invoice that was made with them keeps them.
func runOn(ctx context.Context, tx *tenancy.Tx, s *Subscription) error {
	p := s.current(tx.Now())
	bills, err := billsOf(ctx, tx, "i.account_id = ? AND i.state = 'open' AND i.due_at > ? AND l.subscription_id = ? AND l.period_from = ? AND (? OR i.document->>'term_days' IS NOT NULL)",
		s.AccountID, tx.Now(), s.ID, p.From, s.TermDays > 0)
	if err != nil || len(bills) == 0 {
		return err
	}
	if late, err := overdue(ctx, tx, *s); err != nil || late {
		return err
	}
	b := bills[0]
	s.Period = p
	if _, err := tx.NewRaw("UPDATE subscriptions SET period_from = ?, period_to = ?, changed_at = ? WHERE id = ?", p.From, p.To, tx.Now(), s.ID).Exec(ctx); err != nil {
		return fmt.Errorf("have subscription %s run on: %w", s.ID, err)
	}
	return put(ctx, tx, *s, "renewed/"+b.InvoiceID.String(), activity.Event{
		Text: s.Label + " runs on until " + s.date(p.To) + ". Invoice " + b.Number + " is due on " + s.date(b.DueAt) + ".", CustomerSees: true, Programs: news(*s, webhook.SubscriptionRenewed),
	})
}

// had reports whether a subscription that was cancelled had the period of an invoice to its end,
// as those have it who may pay later: what is paid for it is owed, and nothing to give back.
func (s Subscription) had(b bill) bool {
	return !s.CancelAt.IsZero() && !b.PeriodTo.IsZero() && !b.PeriodTo.After(s.EndedAt)
}

// unpaidPeriod is the number of an open invoice of a period of a subscription that has
// begun, as those have it who may pay later; empty: there is none.
func unpaidPeriod(ctx context.Context, tx *tenancy.Tx, s Subscription) (string, error) {
	bills, err := billsOf(ctx, tx, "i.account_id = ? AND i.state = 'open' AND i.key LIKE 'renewal/%' AND l.subscription_id = ? AND l.meter_id IS NULL AND l.period_from <= ?", s.AccountID, s.ID, tx.Now())
	if err != nil || len(bills) == 0 {
		return "", err
	}
	return bills[0].Number, nil
}

// mustBePaid refuses a change by which what runs would end sooner, at a time, while its period
// is owed: paid later, the period would be there again beside what was given back for it. Fault:
// change.unpaid.
func (s Subscription) mustBePaid(ctx context.Context, tx *tenancy.Tx, ends time.Time) error {
	if !ends.Before(s.Period.To) {
		return nil
	}
	owed, err := unpaidPeriod(ctx, tx, s)
	if err != nil || owed == "" {
		return err
	}
	return fault.New(fault.Conflict, "change.unpaid", "Invoice "+owed+" is not paid yet, and this would shorten what it is for. Please pay it first.")
}
