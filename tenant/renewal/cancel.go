package renewal

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/recognition"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// Reason is why somebody cancels, as the survey offers it.
type Reason struct{ Value, Label string }

// Reasons are the answers of the survey.
func Reasons() []Reason {
	return []Reason{
		{"not_needed", "I do not need it any more"},
		{"too_expensive", "It is too expensive"},
		{"switched", "I am moving to another provider"},
		{"missing_feature", "Something I need is missing"},
		{"performance", "It is not fast or reliable enough"},
		{"support", "I am not happy with the support"},
		{"other", "Another reason"},
	}
}

// ReasonLabel is a reason in words; what is unknown is shown as it is.
func ReasonLabel(value string) string {
	for _, r := range Reasons() {
		if r.Value == value {
			return r.Label
		}
	}
	return value
}

// maxNote bounds what people write about a cancellation, in letters.
const maxNote = 1000

// CancelRequest asks to end a subscription.
type CancelRequest struct {
	SubscriptionID uuid.UUID
	AccountID      uuid.UUID // whose it must be; uuid.Nil: anybody's, for the reseller's team
	Now            bool      // instead of at the end of what is paid
	Reason         string    // of the survey
	Note           string
}

func (r *CancelRequest) check() error {
	wrong := map[string]string{}
	known := false
	for _, x := range Reasons() {
		known = known || x.Value == r.Reason
	}
	if !known {
		wrong["reason"] = "Please choose a reason."
	}
	r.Note = strings.TrimSpace(strings.ReplaceAll(strings.ToValidUTF8(r.Note, ""), "\x00", ""))
	if len([]rune(r.Note)) > maxNote {
		wrong["note"] = fmt.Sprintf("Please use at most %d characters.", maxNote)
	}
	return fault.Fields("subscription.bad_cancellation", wrong)
}

// Cancel ends a subscription now, with what runs for it, or at the end of the time that
// is paid. An invoice for a time after the end that nobody has paid is withdrawn. Nothing
// is given back: that is a refund. Faults: subscription.not_found,
// subscription.bad_cancellation, subscription.not_running, subscription.paused,
// subscription.cancelled_before.
func (d *Desk) Cancel(ctx context.Context, db *tenancy.DB, r CancelRequest, by audit.Origin) (s Subscription, err error) {
	if err := r.check(); err != nil {
		return s, err
	}
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if s, err = theirs(ctx, tx, r.SubscriptionID, r.AccountID); err != nil {
			return err
		}
		switch {
		case s.State == Paused && !r.Now:
			return fault.New(fault.Conflict, "subscription.paused", "This subscription is paused: end it now, or continue it and end it with what is paid.")
		case !s.Cancellable():
			return fault.New(fault.Conflict, "subscription.not_running", "This subscription does not run, so there is nothing to cancel.")
		}
		if s.Change != nil && s.Change.State != ChangeInvoiced {
			gone, err := drop(ctx, tx, &s)
			if err != nil {
				return err
			}
			if !gone {
				return errBeingMade
			}
			if err := keepChange(ctx, tx, s); err != nil {
				return err
			}
		}
		if !r.Now && s.mayRunOn(tx.Now()) { // the period began, and nobody has looked at it yet
			if err := runOn(ctx, tx, &s); err != nil {
				return err
			}
		}
		// Nothing is paid ahead of one that is overdue: its time is over.
		r.Now = r.Now || s.Period.To.IsZero() || !s.Period.To.After(tx.Now())
		if !s.CancelAt.IsZero() && !r.Now {
			return fault.New(fault.Conflict, "subscription.cancelled_before", "This subscription is cancelled already.")
		}
		s.CancelReason, s.CancelNote, s.CancelAt = r.Reason, r.Note, s.Period.To
		if r.Now {
			s.CancelAt = tx.Now().Truncate(time.Microsecond)
		}
		if err := d.cancel(ctx, tx, &s, by); err != nil {
			return err
		}
		if err := settle(ctx, tx); err != nil {
			return err
		}
		return by.Record(ctx, tx, "subscription.cancelled", audit.Target{Kind: "subscription", ID: s.ID.String()},
			map[string]any{"label": s.Label, "now": r.Now, "reason": r.Reason, "ends": s.CancelAt})
	})
	return s, err
}

func (d *Desk) cancel(ctx context.Context, tx *tenancy.Tx, s *Subscription, by audit.Origin) error {
	if !s.CancelAt.After(tx.Now()) {
		err := d.end(ctx, tx, *s, cancelled)
		s.State, s.EndedAt = Ended, tx.Now()
		return err
	}
	gone, err := withdraw(ctx, tx, *s, s.CancelAt)
	if err != nil {
		return err
	}
	p, err := PolicyOf(ctx, tx)
	if err != nil {
		return err
	}
	s.Renewals -= gone
	s.RenewsAt = p.look(*s, tx.Now())
	if err := save(ctx, tx, *s); err != nil {
		return err
	}
	at := fmt.Sprint(tx.Now().UnixMicro())
	if err := tellBy(ctx, tx, *s, "cancelled/"+at, s.Label+" was cancelled and ends on "+s.date(s.CancelAt)+".", by.Actor.Name, webhook.SubscriptionCancelled); err != nil {
		return err
	}
	return d.letter(ctx, tx, *s, letterCancelled(*s, at))
}

// Resume undoes a cancellation that has not come into effect. Faults:
// subscription.not_found, subscription.not_cancelled.
func (d *Desk) Resume(ctx context.Context, db *tenancy.DB, id, account uuid.UUID, by audit.Origin) (s Subscription, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if s, err = theirs(ctx, tx, id, account); err != nil {
			return err
		}
		if !s.Runs() && s.State != InTrial || s.CancelAt.IsZero() || !s.CancelAt.After(tx.Now()) {
			return fault.New(fault.Conflict, "subscription.not_cancelled", "There is no cancellation to take back.")
		}
		p, err := PolicyOf(ctx, tx)
		if err != nil {
			return err
		}
		s.CancelAt, s.CancelReason, s.CancelNote = time.Time{}, "", ""
		s.RenewsAt = p.look(s, tx.Now())
		if err := save(ctx, tx, s); err != nil {
			return err
		}
		at := fmt.Sprint(tx.Now().UnixMicro())
		if err := tellBy(ctx, tx, s, "resumed/"+at, "The cancellation of "+s.Label+" was taken back.", by.Actor.Name, webhook.SubscriptionResumed); err != nil {
			return err
		}
		if err := settle(ctx, tx); err != nil {
			return err
		}
		return by.Record(ctx, tx, "subscription.resumed", audit.Target{Kind: "subscription", ID: s.ID.String()}, map[string]any{"label": s.Label})
	})
	return s, err
}

// theirs locks a subscription of an account; of another it is not found.
func theirs(ctx context.Context, tx *tenancy.Tx, id, account uuid.UUID) (Subscription, error) {
	s, err := lock(ctx, tx, id)
	if err == nil && account != uuid.Nil && s.AccountID != account {
		return Subscription{}, errNone
	}
	return s, err
}

// ending is why a subscription ends.
type ending string

const (
	cancelled ending = "cancelled"
	unpaid    ending = "unpaid"
	takenBack ending = "taken_back" // the customer's bank took the money back
)

// end ends a subscription with what runs for it. Invoices for a time that never came are
// withdrawn; what is owed for a time that was used stays owed after a cancellation and
// is given up after the whole schedule.
func (d *Desk) end(ctx context.Context, tx *tenancy.Tx, s Subscription, why ending) error {
	now := tx.Now()
	if !s.MeteredTo.IsZero() {
		if err := lastUsage(ctx, tx, s); err != nil {
			return err
		}
	}
	if s.State == Pending && s.Trial != nil {
		if err := forgetTrial(ctx, tx, s); err != nil {
			return err
		}
	}
	s.State, s.EndedAt, s.RenewsAt = Ended, now, time.Time{}
	if s.Change != nil {
		if err := abandon(ctx, tx, &s); err != nil {
			return err
		}
	}
	if _, err := withdraw(ctx, tx, s, now); err != nil {
		return err
	}
	if why == unpaid {
		if err := giveUp(ctx, tx, s); err != nil {
			return err
		}
	}
	if err := save(ctx, tx, s); err != nil {
		return err
	}
	if err := recognition.Finish(ctx, tx, s.ID); err != nil {
		return err
	}
	text, reason := s.Label+" ended.", "it was cancelled"
	switch why {
	case unpaid:
		text, reason = s.Label+" ended because it was not paid.", "it was not paid"
	case takenBack:
		text, reason = s.Label+" ended because the bank took a payment for it back.", "the bank took a payment for it back"
	}
	if s.ServiceID != uuid.Nil {
		if err := hosting.Terminate(ctx, tx, s.ServiceID, reason); err != nil {
			return err
		}
	}
	err := put(ctx, tx, s, "ended", activity.Event{Text: text, CustomerSees: true, Programs: news(s, webhook.SubscriptionEnded)})
	if err != nil {
		return err
	}
	return d.letter(ctx, tx, s, letterEnded(s, why))
}

// withdraw credits invoices of a subscription for periods that begin at a time or
// later, where nothing was paid and nothing is under way. It says how many.
func withdraw(ctx context.Context, tx *tenancy.Tx, s Subscription, from time.Time) (n int, err error) {
	bills, err := billsOf(ctx, tx, `i.account_id = ? AND i.state = 'open' AND i.paid_minor = coalesce(i.credit_minor, 0) AND i.key LIKE 'renewal/%' AND l.subscription_id = ? AND l.period_from >= ?
		AND NOT EXISTS (SELECT FROM payments p WHERE p.invoice_id = i.id AND p.state IN ('created', 'requires_action', 'processing'))
		AND NOT EXISTS (SELECT FROM invoice_lines u WHERE u.invoice_id = i.id AND u.meter_id IS NOT NULL AND u.subscription_id = l.subscription_id)`, s.AccountID, s.ID, from)
	if err != nil {
		return 0, err
	}
	for _, b := range bills {
		const reason = "Cancelled before the period began"
		if joined(b.Key) {
			err = withdrawLines(ctx, tx, s, b, reason)
		} else {
			_, err = invoicing.Credit(ctx, tx, invoicing.CreditRequest{Key: "withdrawn/" + b.InvoiceID.String(), InvoiceID: b.InvoiceID, Reason: reason, CreditBack: true})
		}
		if err != nil {
			return n, fmt.Errorf("withdraw invoice %s: %w", b.Number, err)
		}
		if err := returnCredit(ctx, tx, s.ID, b.InvoiceID); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// giveUp stops collecting what a subscription that ended still owes, but for what it used
// last, of which nobody has been reminded yet.
func giveUp(ctx context.Context, tx *tenancy.Tx, s Subscription) error {
	bills, err := billsOf(ctx, tx, "i.account_id = ? AND i.state = 'open' AND i.key LIKE 'renewal/%' AND i.key <> ? AND l.subscription_id = ?", s.AccountID, usageKey(s, "end"), s.ID)
	if err != nil {
		return err
	}
	for _, b := range bills {
		if err := giveUpOn(ctx, tx, s, b); err != nil {
			return err
		}
	}
	return nil
}
