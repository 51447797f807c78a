package renewal

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/settings"
)

// Policy is how a shop renews, kept in shop_settings under "renewal".
type Policy struct {
	LeadDays  int // an invoice is made so long before its period begins
	Reminders Reminders
	Dunning   billing.Dunning
	Plans     map[uuid.UUID]billing.Dunning // of plans that have one of their own, see DunningOf
	Week      bool                          // customers may give themselves a week more, once a period
	Fee       billing.LateFee               // for invoices of renewals that are paid late; zero: none
	Loyalty   billing.Loyalty               // taken off renewals by tenure; nil: nothing is
	Together  bool                          // the renewals of one account on one day make one invoice, unless the account says otherwise
	Shorten   bool                          // what moves to a bill day is credited back to the day that comes next; otherwise it is charged until the first after what is paid
	FeeSince  time.Time                     // invoices issued earlier have no fee: nobody was told of one
}

// DefaultPolicy makes invoices three days ahead, announces those of a year (see
// DefaultReminders), gives who asks for it a week more and asks for no late fee.
func DefaultPolicy() Policy {
	return Policy{LeadDays: 3, Reminders: DefaultReminders(), Dunning: billing.DefaultDunning(), Week: true}
}

const day = 24 * time.Hour

// stored is a policy as it is kept; what is missing is as in DefaultPolicy.
type stored struct {
	Lead   int  `json:"lead_days"`
	Remind *int `json:"remind_days,omitempty"` // of shops that saved it before there were Reminders
	storedDunning
	Plans map[uuid.UUID]storedDunning `json:"plans,omitempty"`
	Week  bool                        `json:"week"`

	FeeDays    int              `json:"fee_days"`
	FeePpm     int64            `json:"fee_ppm"`
	FeeAmounts map[string]int64 `json:"fee_amounts"` // by currency
	FeeSince   time.Time        `json:"fee_since"`
	Loyalty    billing.Loyalty  `json:"loyalty"` // read with every subscription, too

	Reminders map[billing.Cycle]billing.Reminders `json:"reminders"`
	Together  bool                                `json:"together"`
	Shorten   bool                                `json:"shorten"`
}

func (p Policy) stored() stored {
	x := stored{Lead: p.LeadDays, Reminders: p.Reminders.stored(), storedDunning: storeDunning(p.Dunning), Plans: map[uuid.UUID]storedDunning{},
		Week: p.Week, FeeDays: Days(p.Fee.After), FeePpm: p.Fee.Ppm, FeeAmounts: map[string]int64{}, FeeSince: p.FeeSince, Loyalty: p.Loyalty, Together: p.Together, Shorten: p.Shorten}
	for _, a := range p.Fee.Amounts {
		x.FeeAmounts[a.Currency] = a.Minor
	}
	for plan, d := range p.Plans {
		x.Plans[plan] = storeDunning(d)
	}
	return x
}

func (x stored) policy() Policy {
	p := Policy{LeadDays: min(max(x.Lead, 0), mostLead), Reminders: readReminders(x.Reminders),
		Dunning: x.dunning(), Week: x.Week, FeeSince: x.FeeSince, Loyalty: x.Loyalty, Together: x.Together, Shorten: x.Shorten, Fee: billing.LateFee{After: time.Duration(x.FeeDays) * day, Ppm: x.FeePpm}}
	for _, currency := range slices.Sorted(maps.Keys(x.FeeAmounts)) {
		p.Fee.Amounts = append(p.Fee.Amounts, billing.Money{Minor: x.FeeAmounts[currency], Currency: currency})
	}
	if len(x.Plans) > 0 {
		p.Plans = make(map[uuid.UUID]billing.Dunning, len(x.Plans))
	}
	for plan, d := range x.Plans {
		p.Plans[plan] = d.dunning()
	}
	return p
}

// Days are the whole days of a time.
func Days(d time.Duration) int { return int(d / day) }

// PolicyOf is the shop's policy.
func PolicyOf(ctx context.Context, tx *tenancy.Tx) (Policy, error) {
	x := DefaultPolicy().stored()
	x.Reminders = nil
	if _, err := settings.Named(ctx, tx, policyName, &x); err != nil {
		return DefaultPolicy(), err
	}
	p := x.policy()
	switch {
	case x.Reminders == nil && x.Remind != nil:
		p.Reminders = yearly(min(max(*x.Remind, 0), 60), p.LeadDays)
	case x.Reminders == nil:
		p.Reminders = DefaultReminders()
	}
	return p, nil
}

const (
	policyName = "renewal"

	mostLead, mostTries  = 14, 8
	mostSuspend, mostEnd = 60, 180
	mostNotice           = 30

	// mostFeePpm bounds a fee by share: what is more is a penalty, which courts strike out.
	mostFeePpm = 250_000
)

// check answers with the fault renewal_settings.invalid.
func (p Policy) check() error {
	wrong := map[string]string{}
	x := p.stored()
	daysBetween(wrong, "lead_days", x.Lead, 0, mostLead)
	p.Reminders.check(wrong)
	x.check(wrong)
	p.checkFee(x, wrong)
	if p.Loyalty.Check() != nil {
		wrong["loyalty"] = fmt.Sprintf("Give at most %d steps whose months and percentages grow, such as 12: 5, 24: 10.", billing.MostLoyalty)
	}
	return fault.Fields("renewal_settings.invalid", wrong)
}

func (p Policy) checkFee(x stored, wrong map[string]string) {
	if p.Fee.On() && (x.FeeDays < 1 || x.FeeDays > x.End) {
		wrong["fee_days"] = "Give a number of days from 1 to those after which the service ends."
	}
	if x.FeePpm < 0 || x.FeePpm > mostFeePpm {
		wrong["fee_percent"] = "Give a percentage from 0 to " + billing.Percent(mostFeePpm) + "."
	}
	for _, a := range p.Fee.Amounts {
		if _, err := billing.New(a.Minor, a.Currency); err != nil || a.Minor <= 0 {
			wrong["fee."+a.Currency] = "Give an amount of more than nothing."
		}
	}
}

// SavePolicy changes how the shop renews; plans with days of their own keep them. Invoices that are unpaid follow it at once, a
// subscription from its next period on. Fault: renewal_settings.invalid.
func SavePolicy(ctx context.Context, db *tenancy.DB, p Policy, by audit.Origin) error {
	if err := p.check(); err != nil {
		return err
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		if err := settings.Hold(ctx, tx, policyName); err != nil {
			return err
		}
		was, err := PolicyOf(ctx, tx)
		p.Reminders = readReminders(p.Reminders.stored())
		if p.FeeSince, p.Plans = was.FeeSince, was.Plans; err != nil || reflect.DeepEqual(was, p) {
			return err
		}
		if p.Fee.On() && !was.Fee.On() {
			p.FeeSince = tx.Now().UTC()
		}
		x := p.stored()
		if err := settings.Put(ctx, tx, policyName, x); err != nil {
			return err
		}
		if err := wakeForReminders(ctx, tx, was.Reminders, p.Reminders); err != nil {
			return err
		}
		if p.Together && !was.Together {
			if err := wakeToJoin(ctx, tx, uuid.Nil); err != nil {
				return err
			}
		}
		return by.Record(ctx, tx, "settings.renewals_changed", audit.Target{Kind: "settings", ID: "renewals"}, map[string]any{
			"lead_days": x.Lead, "reminders": x.Reminders, "try_days": x.Tries, "suspend_days": x.Suspend, "end_days": x.End,
			"notice_days": x.Notice, "week": x.Week, "fee_days": x.FeeDays, "fee_ppm": x.FeePpm, "fee_amounts": x.FeeAmounts, "loyalty": x.Loyalty, "together": x.Together, "shorten": x.Shorten,
		})
	})
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

// look is when a subscription is to be looked at next, as it stands: to end it or its
// pause, to announce a renewal or that end, to make the invoice of the next period, or that of
// what was used in a month that ended. Zero: never.
func (p Policy) look(s Subscription, now time.Time) time.Time {
	at := p.lookAt(s, now)
	if !s.Runs() || s.AnchorAt.IsZero() {
		return at
	}
	return sooner(at, s.MeteredTo, s.foldAt(now), s.runsOnAt(now))
}

// lookAt is look, but for what was used.
func (p Policy) lookAt(s Subscription, now time.Time) time.Time {
	if s.State == Paused && s.Pause != nil {
		return s.Pause.Until
	}
	if s.State == InTrial {
		return s.trialAt(now)
	}
	if !s.Runs() || s.AnchorAt.IsZero() {
		return time.Time{}
	}
	if c := s.Change; c != nil {
		switch c.State {
		case ChangeAwaitsPayment: // nothing is renewed until it is paid or lapses
			return c.At
		case ChangeApplying:
			return time.Time{}
		case ChangeInvoiced:
			was := s
			was.Change = nil
			return sooner(p.lookAt(was, now), c.At)
		}
	}
	if !s.CancelAt.IsZero() {
		return sooner(p.Reminders.Ending.Next(s.CancelAt, s.CancelAt, now, s.Zone()), s.CancelAt)
	}
	next := s.Next()
	if next.To.IsZero() {
		return time.Time{} // paid once
	}
	issue := p.issueAt(s, next)
	return sooner(p.Reminders.Renewal[s.Cycle].Next(next.From, issue, now, s.Zone()), issue)
}

// issueAt is when the invoice of a period of a subscription is made.
func (p Policy) issueAt(s Subscription, next billing.Period) time.Time {
	if p.joins(s) && s.ahead(next) {
		return billing.TogetherAt(next, p.LeadDays, s.Zone())
	}
	return next.From.Add(-p.leadOf(s, next))
}

// ahead reports whether the invoice of a period is made before it begins.
func (s Subscription) ahead(next billing.Period) bool {
	return s.MeteredTo.IsZero() && !s.firstAfterTrial(next)
}

// leadOf is how long before a period of a subscription its invoice is made: what is
// billed by use is known only when the time is over, and a trial owes nothing before it is.
func (p Policy) leadOf(s Subscription, next billing.Period) time.Duration {
	if !s.ahead(next) {
		return 0
	}
	return p.lead(next)
}
