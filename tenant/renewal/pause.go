package renewal

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/hosting"
	"github.com/ezscale/ezscale/tenant/metering"
	"github.com/ezscale/ezscale/tenant/recognition"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// MostPause is the longest pause, in days, that a team may make and a plan may allow.
const MostPause = 365

// Pause is what is kept of a subscription's pauses.
type Pause struct {
	At       time.Time         `json:"at,omitzero"`    // since when; zero: it is not paused
	Until    time.Time         `json:"until,omitzero"` // it ends by itself then
	Team     bool              `json:"team,omitempty"` // made by the reseller's team: only they end it before
	Reason   string            `json:"reason,omitempty"`
	Paid     []billing.Period  `json:"paid,omitempty"`     // and not over when it began
	Past     []billing.Period  `json:"past,omitempty"`     // pauses there were
	Moved    []billing.Period  `json:"moved,omitempty"`    // what is paid since the last one moved it
	Of       []billing.Period  `json:"of,omitempty"`       // of each of Paid, and then Moved, the longer one it has a share of; none: they are whole
	Discount *billing.Discount `json:"discount,omitempty"` // that Paid, and then Moved, was invoiced with; nil: none
	Longer   billing.Period    `json:"longer,omitzero"`    // the month of usage that the last one made longer; zero: none
}

// moved is what is paid since the last pause moved it.
func (p *Pause) moved() []billing.Share {
	if p == nil {
		return nil
	}
	all := billing.Shares(p.Moved)
	for i := range p.Of {
		if len(p.Of) == len(all) {
			all[i].Whole = p.Of[i]
		}
	}
	return all
}

// PauseRequest asks to pause a subscription.
type PauseRequest struct {
	SubscriptionID uuid.UUID
	AccountID      uuid.UUID // whose it must be; uuid.Nil: anybody's, for the reseller's team
	Days           int
	Reason         string // of the team, or the customer; may be empty
}

// Pausable says why a subscription cannot be paused now; nil: it can.
func (s Subscription) Pausable(now time.Time) error {
	switch {
	case s.State == Paused:
		return fault.New(fault.Conflict, "pause.paused_before", "This subscription is paused already.")
	case s.State == PastDue || s.State == Suspended:
		return fault.New(fault.Conflict, "pause.overdue", "An invoice is overdue. Please pay it first; then the subscription can be paused.")
	case s.State != Active || s.Cycle.Months() == 0 || !s.Period.To.After(now):
		return fault.New(fault.Conflict, "pause.not_running", "Only what runs and is paid ahead can be paused.")
	case !s.CancelAt.IsZero():
		return fault.New(fault.Conflict, "pause.cancelled", "This subscription is cancelled. Take the cancellation back to pause it.")
	case s.Change != nil:
		return fault.New(fault.Conflict, "pause.change_under_way", "A change of this subscription is under way. Please wait until it is made, or take it back.")
	}
	return nil
}

// PauseDays is for how many days a subscription may be paused from now: by the team as
// long as any, by its customer what the plan allows within a year and is left of it.
func (s Subscription) PauseDays(now time.Time, team bool) int {
	if team {
		return MostPause
	}
	var past []billing.Period
	if s.Pause != nil {
		past = s.Pause.Past
	}
	return Days(billing.PauseLeft(time.Duration(s.PlanPause)*day, past, now))
}

// Pause stops a subscription for some days: its service is off, nothing is invoiced, and
// what is paid lasts longer by as much. An invoice of the next period that nobody has
// paid is withdrawn. Faults: subscription.not_found, those of Pausable, pause.unpaid,
// pause.not_offered, pause.bad_days, change.payment_under_way.
func (d *Desk) Pause(ctx context.Context, db *tenancy.DB, r PauseRequest, by audit.Origin) (s Subscription, err error) {
	r.Reason = strings.Join(strings.Fields(strings.ReplaceAll(strings.ToValidUTF8(r.Reason, ""), "\x00", "")), " ")
	if len([]rune(r.Reason)) > 200 {
		return s, fault.Field("reason", "pause.bad_reason", "Please use at most 200 characters.")
	}
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if s, err = theirs(ctx, tx, r.SubscriptionID, r.AccountID); err != nil {
			return err
		}
		if err := s.Pausable(tx.Now()); err != nil {
			return err
		}
		owed, err := unpaidPeriod(ctx, tx, s)
		if err != nil {
			return err
		}
		if owed != "" {
			return fault.New(fault.Conflict, "pause.unpaid", "Invoice "+owed+" is not paid yet. Please pay it first; then the subscription can be paused.")
		}
		left := s.PauseDays(tx.Now(), r.AccountID == uuid.Nil)
		switch {
		case left < 1:
			return fault.New(fault.Conflict, "pause.not_offered", "This subscription cannot be paused, or was for as long as it may be within a year.")
		case r.Days < 1 || r.Days > left:
			return fault.Field("days", "pause.bad_days", "Give a number of days from 1 to "+strconv.Itoa(left)+".")
		}
		if err := d.pause(ctx, tx, &s, r, by); err != nil {
			return err
		}
		return by.Record(ctx, tx, "subscription.paused", audit.Target{Kind: "subscription", ID: s.ID.String()},
			map[string]any{"label": s.Label, "days": r.Days, "until": s.Pause.Until, "reason": r.Reason})
	})
	return s, err
}

func (d *Desk) pause(ctx context.Context, tx *tenancy.Tx, s *Subscription, r PauseRequest, by audit.Origin) error {
	if err := takeBackNext(ctx, tx, s); err != nil {
		return err
	}
	now := tx.Now().Truncate(time.Microsecond)
	p := Pause{At: now, Until: now.Add(time.Duration(r.Days) * day), Team: r.AccountID == uuid.Nil, Reason: r.Reason, Discount: s.discountAt(now)}
	if s.Pause != nil {
		p.Past, p.Longer = s.Pause.Past, s.Pause.Longer
	}
	shares, _ := s.paid(now)
	p.Paid, p.Of = apart(shares)
	s.Pause, s.State, s.RenewsAt = &p, Paused, p.Until
	if err := metering.Rest(ctx, tx, s.ID); err != nil {
		return err
	}
	if err := keepChange(ctx, tx, *s); err != nil {
		return err
	}
	if err := recognition.Hold(ctx, tx, s.ID, now); err != nil {
		return err
	}
	if s.ServiceID != uuid.Nil {
		if err := hosting.Suspend(ctx, tx, s.ServiceID, hosting.HoldPause, "It is paused until "+s.date(p.Until)+"."); err != nil {
			return err
		}
	}
	at := strconv.FormatInt(now.UnixMicro(), 10)
	if err := tellBy(ctx, tx, *s, "paused/"+at, s.Label+" is paused until "+s.date(p.Until)+".", by.Actor.Name, webhook.SubscriptionPaused); err != nil {
		return err
	}
	if err := settle(ctx, tx); err != nil {
		return err
	}
	return d.letter(ctx, tx, *s, message{
		key: "subscription/" + s.ID.String() + "/paused/" + at, template: mail.SubscriptionPaused,
		data: map[string]string{"what": s.what(), "until": s.date(p.Until), "reason": p.Reason, "link": s.path()},
	})
}

// Continue ends a pause. Of a customer only what a customer paused is taken: a team's
// pause is the team's. Faults: subscription.not_found, pause.not_paused, pause.by_team.
func (d *Desk) Continue(ctx context.Context, db *tenancy.DB, id, account uuid.UUID, by audit.Origin) (s Subscription, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if s, err = theirs(ctx, tx, id, account); err != nil {
			return err
		}
		switch {
		case s.State != Paused || s.Pause == nil:
			return fault.New(fault.Conflict, "pause.not_paused", "This subscription is not paused.")
		case s.Pause.Team && account != uuid.Nil:
			return fault.New(fault.Conflict, "pause.by_team", "We paused this subscription. Please write to us to have it continued.")
		}
		p, err := PolicyOf(ctx, tx)
		if err != nil {
			return err
		}
		if err := d.resume(ctx, tx, p, &s, by.Actor.Name); err != nil {
			return err
		}
		if err := settle(ctx, tx); err != nil {
			return err
		}
		return by.Record(ctx, tx, "subscription.continued", audit.Target{Kind: "subscription", ID: s.ID.String()}, map[string]any{"label": s.Label})
	})
	return s, err
}

// continued is a subscription as it is when its pause ends at a time: what is paid comes
// later by the pause, and the next periods follow it.
func (s Subscription) continued(at time.Time) Subscription {
	pause, was := billing.Period{From: s.Pause.At, To: at}, *s.Pause
	next := Pause{Past: append(append([]billing.Period{}, was.Past...), pause), Moved: billing.Resumed(was.Paid, pause), Of: billing.Resumed(was.Of, pause), Discount: was.Discount}
	s.State, s.Stub = Active, nil
	if n := len(next.Moved); n > 0 {
		s.Period = next.Moved[n-1]
	}
	month := s.usageMonth(was.At)
	s.restart()
	s.AnchorAt, s.Renewals, s.Taken = s.Period.To, -1, nil
	next.Longer = billing.Lengthened(month, pause, s.AnchorAt, s.Zone())
	s.Pause = &next
	return s
}

// usageMonth is the month of usage in which a time lies.
func (s Subscription) usageMonth(at time.Time) billing.Period {
	var longer billing.Period
	if s.Pause != nil {
		longer = s.Pause.Longer
	}
	return billing.UsageMonth(s.AnchorAt, longer, at, s.Zone())
}

// resume ends a pause now.
func (d *Desk) resume(ctx context.Context, tx *tenancy.Tx, p Policy, s *Subscription, actor string) (err error) {
	now := tx.Now().Truncate(time.Microsecond)
	paused := now.Sub(s.Pause.At)
	if err := recognition.Continue(ctx, tx, s.ID, paused); err != nil {
		return err
	}
	*s = s.continued(now)
	if !s.MeteredTo.IsZero() {
		if s.MeteredTo, err = metering.Lengthen(ctx, tx, s.ID, s.Pause.Longer); err != nil {
			return err
		}
	}
	s.RenewsAt = p.look(*s, now)
	if err := keepChange(ctx, tx, *s); err != nil {
		return err
	}
	if err := metering.LiveAfter(ctx, tx, s.ID, paused); err != nil {
		return err
	}
	if s.ServiceID != uuid.Nil {
		if err := hosting.Release(ctx, tx, s.ServiceID, hosting.HoldPause); err != nil {
			return err
		}
	}
	at := strconv.FormatInt(now.UnixMicro(), 10)
	if err := tellBy(ctx, tx, *s, "continued/"+at, s.Label+" runs again and is paid until "+s.date(s.Period.To)+".", actor, webhook.SubscriptionContinued); err != nil {
		return err
	}
	return d.letter(ctx, tx, *s, message{
		key: "subscription/" + s.ID.String() + "/continued/" + at, template: mail.SubscriptionContinued,
		data: map[string]string{"what": s.what(), "until": s.date(s.Period.To), "link": s.path()},
	})
}
