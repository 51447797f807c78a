package metering

import (
	"context"
	"fmt"
	"math/big"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// Quotas: a capped meter takes no more than its plan includes. What is taken is decided with
// the total locked (book.capped), so of two who want the last unit one gets it; what is asked
// beforehand (Ask) is only an answer.

// Question asks whether a plan would still grant something.
type Question struct {
	SubscriptionID uuid.UUID // or the service of it
	ServiceID      uuid.UUID
	Meter          string // its code
	Value          string // a plain decimal; empty: one
}

// Grant is how a meter stands this month, and whether what was asked for would be taken.
type Grant struct {
	SubscriptionID uuid.UUID
	Meter          catalog.Meter
	Period         billing.Period
	Used, Left     *big.Rat // Left: of what is included
	Granted        bool
}

// ChangePath is where a customer gets more: the page on which the plan is changed.
func ChangePath(subscription uuid.UUID) string {
	return "/client/subscriptions/" + subscription.String() + "/change"
}

// morePath is where a customer gets more than a subscription grants: a trial cannot be
// changed, but ended to pay from now on.
func (s sub) morePath() string { return morePath(s.ID, s.tries()) }

func morePath(id uuid.UUID, tries bool) string {
	if tries {
		return "/client/subscriptions/" + id.String()
	}
	return ChangePath(id)
}

// forMore says how a customer gets more than a subscription grants.
func (s sub) forMore() string {
	if s.tries() {
		return "It is a trial: end it and pay from now on, or wait until the next month begins, for more."
	}
	return "Upgrade the plan for more."
}

// Ask answers whether what is asked for would be taken now. Nothing is used by asking. Account is
// whose the subscription must be, uuid.Nil: whosever. Faults: usage.bad_question,
// subscription.not_found, usage.unknown_meter, and usage.quota_used_up, which leads to where
// there is more.
func Ask(ctx context.Context, tx *tenancy.Tx, q Question, account uuid.UUID) (Grant, error) {
	if (q.SubscriptionID == uuid.Nil) == (q.ServiceID == uuid.Nil) {
		return Grant{}, fault.Field("subscription_id", "usage.bad_question", "Name a subscription or a service, and not both.")
	}
	wanted := big.NewRat(1, 1)
	if q.Value != "" {
		var err error
		if wanted, err = billing.ParseQuantity(q.Value); err != nil {
			return Grant{}, fault.Field("value", "usage.bad_question", "value is a decimal such as 1.5, not negative, with at most 15 digits and 6 decimals.")
		}
	}
	if q.ServiceID != uuid.Nil {
		of, err := subscriptionsOf(ctx, tx, []uuid.UUID{q.ServiceID})
		if err != nil {
			return Grant{}, err
		}
		q.SubscriptionID = of[q.ServiceID] // of nobody: not found
	}
	u, err := Of(ctx, tx, q.SubscriptionID, account)
	if err != nil {
		return Grant{}, err
	}
	for _, m := range u.Meters {
		if m.Meter.Code != q.Meter {
			continue
		}
		g := Grant{SubscriptionID: u.SubscriptionID, Meter: m.Meter, Period: u.Period, Used: m.Quantity, Left: m.Left}
		if g.Granted = !m.Meter.Capped || wanted.Cmp(m.Left) <= 0; !g.Granted {
			text := fmt.Sprintf("The plan includes %s a month, of which %s are left until %s. %s", m.Meter.Amount(m.Charge.Included), m.Meter.Amount(m.Left), u.Period.To.In(u.zone).Format("2 January 2006"), sub{AnchorAt: u.Period.From, State: u.state}.forMore())
			return g, fault.Leading(fault.New(fault.QuotaExceeded, "usage.quota_used_up", text), morePath(u.SubscriptionID, u.Tries()))
		}
		return g, nil
	}
	return Grant{}, fault.New(fault.NotFound, "usage.unknown_meter", "The plan has no such meter.")
}

// warn tells owners of quotas that new events brought to the next step, each step once a month.
func (d *Desk) warn(ctx context.Context, tx *tenancy.Tx, b *book, news []told) error {
	done := map[totalKey]bool{}
	for _, t := range news {
		k := t.total()
		if !t.meter.Capped || done[k] || t.round > 0 {
			continue
		}
		done[k] = true
		granted, err := billing.ParseQuantity(t.meter.Included)
		if err != nil {
			return err
		}
		used := b.totals[k].sum
		step := billing.QuotaReached(used, granted)
		if step == 0 || step == billing.QuotaReached(b.was[k], granted) {
			continue
		}
		if err := d.tellOfQuota(ctx, tx, t, step, used, granted); err != nil {
			return err
		}
	}
	return nil
}

func (d *Desk) tellOfQuota(ctx context.Context, tx *tenancy.Tx, t told, step int, used, granted *big.Rat) error {
	key := "subscription/" + t.sub.ID.String() + "/quota/" + t.meter.ID.String() + "/" + t.period.From.UTC().Format(time.RFC3339) + "/" + strconv.Itoa(step)
	err := activity.Tell(ctx, tx, activity.Event{
		Key: key, AccountID: t.sub.AccountID, SubjectKind: activity.Subscription, SubjectID: t.sub.ID, Kind: "subscription.quota", CustomerSees: true,
		Text: fmt.Sprintf("%s has used %d %% of what its plan includes: %s of %s.", t.sub.Label, step, t.meter.Amount(used), t.meter.Amount(granted)),
	})
	if err != nil {
		return err
	}
	what := t.sub.Label
	if t.sub.Name != "" && t.sub.Name != t.sub.Label {
		what += " (" + t.sub.Name + ")"
	}
	return d.post(ctx, tx, t.sub.AccountID, key, mail.QuotaNear, func(string) map[string]string {
		return map[string]string{"what": what, "meter": t.meter.Name, "percent": strconv.Itoa(step), "used": t.meter.Amount(used), "limit": t.meter.Amount(granted),
			"until": t.period.To.In(t.sub.zone).Format("2 January 2006"), "link": t.sub.morePath()}
	})
}
