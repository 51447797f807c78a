package renewal

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/metering"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// Trial is what is kept of the trial a subscription begins with.
type Trial struct {
	billing.Trial
	Days   int       `json:"days"`
	Card   bool      `json:"card,omitempty"`   // a card had to be saved first
	Once   []Item    `json:"once,omitempty"`   // on the first invoice, besides the price of its period
	PaidAt time.Time `json:"paid_at,omitzero"` // of that invoice; zero: it is not paid
}

// Trying reports whether the subscription is in a trial.
func (s Subscription) Trying() bool { return s.State == InTrial && s.Trial != nil }

// trialAt is when a trial is looked at next.
func (s Subscription) trialAt(now time.Time) time.Time {
	if !s.CancelAt.IsZero() {
		return s.CancelAt
	}
	if step, next := s.Trial.Step(now); step != billing.TrialOver {
		return next
	}
	return s.Trial.Until
}

// firstAfterTrial reports whether a period is the first that is paid for.
func (s Subscription) firstAfterTrial(p billing.Period) bool {
	return s.Trial != nil && !p.From.IsZero() && p.From.Equal(s.Trial.Until)
}

// afterTrial is what the first invoice asks for besides the price of its period.
func (s Subscription) afterTrial(p billing.Period) (lines []billing.Line) {
	if !s.firstAfterTrial(p) {
		return nil
	}
	for _, x := range s.Trial.Once {
		lines = append(lines, billing.Line{Kind: x.Kind, SubscriptionID: s.ID.String(), Description: x.Label, Quantity: max(x.Quantity, 1), Unit: x.Each(s.Amount.Currency)})
	}
	return lines
}

// AfterTrial is what the first invoice after the trial comes to before tax, and when it
// is made.
func (s Subscription) AfterTrial() (billing.Money, time.Time) {
	next := s.begun()
	lines, _, err := next.discounted(next.Next())
	sum := billing.Money{Currency: s.Amount.Currency}
	for _, l := range lines {
		if l.Net == (billing.Money{}) {
			l, err = l.Priced()
		}
		if err == nil {
			sum, err = sum.Add(l.Net)
		}
	}
	if err != nil {
		return s.Amount, s.Trial.Until
	}
	return sum, s.Trial.Until
}

// begun is a subscription in a trial as it is when the trial is over: its first period
// begins there, and its invoice is the first.
func (s Subscription) begun() Subscription {
	s.State, s.AnchorAt, s.Renewals = Active, s.Trial.Until, -1
	return s
}

// BeginTrials lets the subscriptions of an order run that begin with a trial. What the
// team has not delivered yet is tried from then on. It may be repeated.
func BeginTrials(ctx context.Context, tx *tenancy.Tx, order uuid.UUID) error {
	subs, err := read(ctx, tx, "SELECT "+columns+tables+" WHERE s.order_id = ? AND s.state = 'pending' AND s.trial IS NOT NULL"+
		" AND NOT EXISTS (SELECT FROM services v WHERE v.subscription_id = s.id AND v.sku = '' AND v.began_at IS NULL) ORDER BY s.id FOR UPDATE OF s", order)
	if err != nil || len(subs) == 0 {
		return err
	}
	p, err := PolicyOf(ctx, tx)
	if err != nil {
		return err
	}
	for _, s := range subs {
		now := tx.Now().Truncate(time.Microsecond)
		s.Trial.Trial = billing.BeginTrial(now, s.Trial.Days, s.Zone())
		s.State, s.Period = InTrial, billing.Period{From: now, To: s.Trial.Until}
		s.RenewsAt = p.look(s, now)
		if err := keepTrial(ctx, tx, s); err != nil {
			return err
		}
		err := put(ctx, tx, s, "trial_begun", activity.Event{Text: fmt.Sprintf("%s began with a trial until %s.", s.Label, s.date(s.Trial.Until)), CustomerSees: true, Programs: news(s, webhook.SubscriptionStarted)})
		if err != nil {
			return err
		}
	}
	return settle(ctx, tx)
}

// forgetTrial lets who ordered have a trial of the product after all: nobody delivered this
// one, so nothing was tried.
func forgetTrial(ctx context.Context, tx *tenancy.Tx, s Subscription) error {
	_, err := tx.NewRaw("DELETE FROM trial_marks WHERE product_id = (SELECT product_id FROM plans WHERE id = ?) AND subscription_id = ?", s.PlanID, s.ID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("forget the trial of subscription %s: %w", s.ID, err)
	}
	return nil
}

func keepTrial(ctx context.Context, tx *tenancy.Tx, s Subscription) error {
	text, err := orNull(s.Trial)
	if err != nil {
		return err
	}
	if _, err := tx.NewRaw("UPDATE subscriptions SET trial = ?::jsonb WHERE id = ?", text, s.ID).Exec(ctx); err != nil {
		return fmt.Errorf("keep the trial of subscription %s: %w", s.ID, err)
	}
	return save(ctx, tx, s)
}

// trial does what is due of a trial: it tells its customer that it ends, or ends it, and
// then the first invoice is to be made.
func (d *Desk) trial(ctx context.Context, w *work, s *Subscription) (over bool, err error) {
	step, next := s.Trial.Step(w.tx.Now())
	switch step {
	case billing.TrialOver:
		return true, d.trialOver(ctx, w.tx, s, "")
	case billing.TrialNotice:
		if err := d.letter(ctx, w.tx, *s, letterTrialEnding(*s)); err != nil {
			return false, err
		}
	}
	w.advance(*s, next)
	return false, nil
}

// trialOver begins what is paid for, where the trial ends.
func (d *Desk) trialOver(ctx context.Context, tx *tenancy.Tx, s *Subscription, actor string) (err error) {
	*s = s.begun()
	if s.MeteredTo, err = metering.Begin(ctx, tx, s.ID, s.PlanID, s.AnchorAt, s.Zone()); err != nil {
		return err
	}
	if err := keepTrial(ctx, tx, *s); err != nil {
		return err
	}
	if !s.MeteredTo.IsZero() {
		off, err := s.discountFor(s.Next())
		if err != nil {
			return err
		}
		if _, err := s.priceHours(ctx, tx, s.AnchorAt, off); err != nil {
			return err
		}
		if err := metering.Live(ctx, tx, s.ID); err != nil {
			return err
		}
	}
	return put(ctx, tx, *s, "trial_over", activity.Event{Text: "The trial of " + s.Label + " is over. Its first invoice is made.", Actor: actor, CustomerSees: true})
}

// convert notes that what came after a trial was paid for, once, and has the team told what
// of it is theirs to do.
func (d *Desk) convert(ctx context.Context, tx *tenancy.Tx, s *Subscription) error {
	if s.Trial == nil || !s.Trial.PaidAt.IsZero() || s.State == InTrial {
		return nil
	}
	s.Trial.PaidAt = tx.Now().UTC()
	if err := keepTrial(ctx, tx, *s); err != nil {
		return err
	}
	bought := slices.DeleteFunc(slices.Clone(s.Trial.Once), func(x Item) bool { return x.Code == "" }) // the price of setting up has none
	if len(bought) == 0 {
		return nil
	}
	return TellExtras(ctx, tx, d.Mail, *s, "trial", BoughtWords(bought))
}

func letterTrialEnding(s Subscription) message {
	card := ""
	if s.HasMethod {
		card = "yes"
	}
	next := s.begun()
	return message{
		key: "subscription/" + s.ID.String() + "/trial_ending", template: mail.TrialEnding,
		data:    map[string]string{"what": s.what(), "on": s.date(s.Trial.Until), "every": s.Cycle.Words(), "card": card, "link": s.path()},
		amounts: map[string]billing.Money{"amount": next.NextAmount()},
	}
}

// PayNow ends a trial before its time, for somebody who wants to keep it: the first
// period begins now and its invoice is made. Faults: subscription.not_found,
// trial.none, trial.cancelled.
func (d *Desk) PayNow(ctx context.Context, db *tenancy.DB, id, account uuid.UUID, by audit.Origin) (s Subscription, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if s, err = theirs(ctx, tx, id, account); err != nil {
			return err
		}
		switch {
		case s.State != InTrial:
			return fault.New(fault.Conflict, "trial.none", "This subscription is in no trial.")
		case !s.CancelAt.IsZero():
			return fault.New(fault.Conflict, "trial.cancelled", "This trial is cancelled. Take the cancellation back first.")
		}
		s.Trial.Trial = s.Trial.Cut(tx.Now().Truncate(time.Microsecond))
		s.Period.To = s.Trial.Until
		err := d.working(ctx, tx, func(w *work) error {
			if err := d.trialOver(ctx, tx, &s, by.Actor.Name); err != nil {
				return err
			}
			return d.invoice(ctx, w, []Subscription{s})
		})
		if err != nil {
			return err
		}
		if err := settle(ctx, tx); err != nil {
			return err
		}
		return by.Record(ctx, tx, "trial.ended_early", audit.Target{Kind: "subscription", ID: s.ID.String()}, map[string]any{"label": s.Label})
	})
	return s, err
}

// Tried is what became of the trials of one plan.
type Tried struct {
	PlanID    uuid.UUID
	Label     string // as it was sold last
	Begun     int    // in all
	Running   int
	Unpaid    int // over, and their first invoice waits
	Converted int // paid for after it
	Ended     int // without having been paid for
}

// Rate is how many of the trials that are over were converted, "40 %"; empty: none is over.
func (t Tried) Rate() string {
	over := t.Begun - t.Running
	if over <= 0 {
		return ""
	}
	return strconv.Itoa((t.Converted*100+over/2)/over) + " %"
}

// Trials are what became of the shop's trials, by plan, the most tried first.
func Trials(ctx context.Context, tx *tenancy.Tx) (all []Tried, err error) {
	err = tx.NewRaw(`SELECT plan_id, (array_agg(label ORDER BY created_at DESC))[1] AS label, count(*) AS begun, count(*) FILTER (WHERE state = 'trial') AS running,
			count(*) FILTER (WHERE state NOT IN ('trial', 'ended') AND trial->>'paid_at' IS NULL) AS unpaid, count(*) FILTER (WHERE trial->>'paid_at' IS NOT NULL) AS converted,
			count(*) FILTER (WHERE state = 'ended' AND trial->>'paid_at' IS NULL) AS ended
		FROM subscriptions WHERE trial->>'from' IS NOT NULL GROUP BY plan_id ORDER BY begun DESC, label LIMIT 200`).Scan(ctx, &all)
	if err != nil {
		return nil, fmt.Errorf("count trials: %w", err)
	}
	return all, nil
}
