package metering

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/activity"
)

// Limit is what a customer wants to spend a month on usage, before tax.
type Limit struct {
	Minor int64 `json:"limit_minor"`
	Stop  bool  `json:"stop"` // turn the service off when it is reached
}

// Money is the limit in the subscription's currency.
func (l Limit) Money(currency string) billing.Money {
	return billing.Money{Minor: l.Minor, Currency: currency}
}

// AgendaSpend is the kind of due work that looks at what runs towards a limit.
const AgendaSpend = "spend"

// lookEvery is how often what runs is looked at.
const lookEvery = 15 * time.Minute

// limit is what is kept; what cannot be read is none.
func (s sub) limit() *Limit {
	var l Limit
	if s.Spend == "" || json.Unmarshal([]byte(s.Spend), &l) != nil {
		return nil
	}
	return &l
}

// limited are those subscriptions of new events that have a limit.
func limited(all map[uuid.UUID]sub, news []told) map[uuid.UUID]sub {
	found := map[uuid.UUID]sub{}
	for _, t := range news {
		if s := all[t.sub.ID]; s.Spend != "" {
			found[s.ID] = s
		}
	}
	return found
}

// watch looks at what subscriptions with a limit have spent, tells who set it, and turns
// services off.
func (d *Desk) watch(ctx context.Context, tx *tenancy.Tx, all map[uuid.UUID]sub) error {
	if len(all) == 0 {
		return nil
	}
	found, err := running(ctx, tx, all)
	if err != nil {
		return err
	}
	for _, u := range found {
		if err := d.weighLimit(ctx, tx, u); err != nil {
			return err
		}
		for _, m := range u.Meters {
			if m.Running > 0 || m.Meter.Aggregation == billing.MeterWeighted {
				if err := tx.AdvanceAgenda(ctx, AgendaSpend, tx.Now().Add(lookEvery)); err != nil {
					return err
				}
				break
			}
		}
	}
	return nil
}

// weighLimit tells of a limit that is near, each step once a month.
func (d *Desk) weighLimit(ctx context.Context, tx *tenancy.Tx, u Usage) error {
	if u.Limit == nil {
		return nil
	}
	limit := u.Limit.Money(u.Net.Currency)
	step, err := billing.Reached(u.Net, limit)
	if err != nil || step == 0 {
		return err
	}
	stops := step == 100 && u.Limit.Stop && u.service != uuid.Nil && d.Holds != nil
	if stops {
		if err := d.Holds.Suspend(ctx, tx, u.service, "The spend limit of "+limit.Format("en")+" is reached."); err != nil {
			return err
		}
		if err := Rest(ctx, tx, u.SubscriptionID); err != nil {
			return err
		}
	}
	key := "subscription/" + u.SubscriptionID.String() + "/spend/" + u.Period.From.UTC().Format(time.RFC3339) + "/" + strconv.Itoa(step)
	text := fmt.Sprintf("%s has used %d %% of its spend limit of %s.", u.Label, step, limit.Format("en"))
	if stops {
		text = u.Label + " was turned off because its spend limit of " + limit.Format("en") + " is reached."
	}
	err = activity.Tell(ctx, tx, activity.Event{
		Key: key, AccountID: u.AccountID, SubjectKind: activity.Subscription, SubjectID: u.SubscriptionID, Kind: "subscription.spend", Text: text, CustomerSees: true,
	})
	if err != nil {
		return err
	}
	return d.write(ctx, tx, u, key, step, stops)
}

// write writes that a limit is near.
func (d *Desk) write(ctx context.Context, tx *tenancy.Tx, u Usage, key string, step int, stops bool) error {
	what, off := u.Label, ""
	if u.name != "" && u.name != u.Label {
		what += " (" + u.name + ")"
	}
	if stops {
		off = "yes"
	}
	return d.post(ctx, tx, u.AccountID, key, mail.SpendLimit, func(locale string) map[string]string {
		return map[string]string{
			"what": what, "percent": strconv.Itoa(step), "spent": u.Net.Format(locale), "limit": u.Limit.Money(u.Net.Currency).Format(locale),
			"until": u.Period.To.In(u.zone).Format("2 January 2006"), "off": off, "link": "/client/subscriptions/" + u.SubscriptionID.String(),
		}
	})
}

// post writes to whom an account's invoices go, with a copy for whom the account chose.
func (d *Desk) post(ctx context.Context, tx *tenancy.Tx, of uuid.UUID, key, template string, say func(locale string) map[string]string) error {
	to, err := account.ForInvoice(ctx, tx, of)
	if err != nil || to.Email == "" || d.Mail == nil {
		return err
	}
	data := say(to.Locale)
	data["name"] = to.Name
	if err := d.Mail.Enqueue(ctx, tx, mail.Message{Key: key, Template: template, To: to.Email, Data: data}); err != nil {
		return err
	}
	copies, err := account.Copies(ctx, tx, of, to.Email)
	if err != nil {
		return err
	}
	for _, r := range copies {
		data["name"] = r.Name
		err := d.Mail.Enqueue(ctx, tx, mail.Message{Key: key + "/" + r.ID.String(), Template: template, To: r.Email, Data: data})
		if err != nil && !fault.Is(err, "mail.bad_address") {
			return err
		}
	}
	return nil
}

// Look looks at what runs towards a limit without being told anew (agenda AgendaSpend).
func (d *Desk) Look(ctx context.Context, db *tenancy.DB, _ time.Time) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		var ids []uuid.UUID
		err := tx.NewRaw(`SELECT s.id FROM subscriptions s WHERE s.spend IS NOT NULL AND s.state IN ('active', 'past_due') AND (
				EXISTS (SELECT FROM usage_marks x WHERE x.subscription_id = s.id AND x.period_from = '-infinity' AND x.started_at IS NOT NULL AND x.stopped_at IS NULL)
				OR EXISTS (SELECT FROM meters m WHERE m.plan_id = s.plan_id AND m.aggregation = 'time_weighted')) ORDER BY s.id LIMIT 10000`).Scan(ctx, &ids)
		if err != nil {
			return fmt.Errorf("look for what runs towards a limit: %w", err)
		}
		if err := tx.SetAgenda(ctx, AgendaSpend, time.Time{}); err != nil || len(ids) == 0 {
			return err
		}
		all, err := subs(ctx, tx, "s.id IN (?)", " FOR KEY SHARE OF s", bun.List(ids))
		if err != nil {
			return err
		}
		return d.watch(ctx, tx, all)
	})
}

// maxLimit is the highest limit, in minor units.
const maxLimit = 10_000_000_00

// SetLimit sets what may be spent a month on a subscription's usage; nil: there is no
// limit. A service that was turned off for a lower limit runs again. Account is whose it
// must be; uuid.Nil: anybody's, for the reseller's team. Faults: subscription.not_found,
// spend.bad_limit, spend.not_metered.
func (d *Desk) SetLimit(ctx context.Context, db *tenancy.DB, id, account uuid.UUID, l *Limit, by audit.Origin) error {
	if l != nil && (l.Minor <= 0 || l.Minor > maxLimit) {
		return fault.Field("limit", "spend.bad_limit", "Please enter an amount such as 50, or nothing for no limit.")
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		all, err := subs(ctx, tx, "s.id = ?", " FOR NO KEY UPDATE OF s", id)
		if err != nil {
			return err
		}
		s, known := all[id]
		if !known || account != uuid.Nil && s.AccountID != account {
			return fault.New(fault.NotFound, "subscription.not_found", "There is no such subscription.")
		}
		text, detail := (*string)(nil), map[string]any{"limit": nil}
		if l != nil {
			raw, err := rows(l)
			if err != nil {
				return err
			}
			text, detail = &raw, map[string]any{"limit": l.Money(s.Currency).String(), "stop": l.Stop}
		}
		if _, err := tx.NewRaw("UPDATE subscriptions SET spend = ?::jsonb, changed_at = ? WHERE id = ?", text, tx.Now(), id).Exec(ctx); err != nil {
			return fmt.Errorf("set a spend limit: %w", err)
		}
		if s.Spend = ""; text != nil {
			s.Spend = *text
		}
		if err := d.relimit(ctx, tx, s); err != nil {
			return err
		}
		words := "The spend limit of " + s.Label + " was taken away."
		if l != nil {
			words = "The spend limit of " + s.Label + " is " + l.Money(s.Currency).Format("en") + " a month."
		}
		err = activity.Tell(ctx, tx, activity.Event{
			Key: "subscription/" + id.String() + "/spend_limit/" + strconv.FormatInt(tx.Now().UnixMicro(), 10), AccountID: s.AccountID, SubjectKind: activity.Subscription, SubjectID: id,
			Kind: "subscription.spend_limit", Text: words, Actor: by.Actor.Name, CustomerSees: true,
		})
		if err != nil {
			return err
		}
		return by.Record(ctx, tx, "subscription.spend_limit", audit.Target{Kind: "subscription", ID: id.String()}, detail)
	})
}

// relimit lets a service run that a new limit leaves room for, and looks at the limit.
func (d *Desk) relimit(ctx context.Context, tx *tenancy.Tx, s sub) error {
	found, err := running(ctx, tx, map[uuid.UUID]sub{s.ID: s})
	if err != nil {
		return err
	}
	u := found[0]
	if !u.Metered() && u.Limit != nil {
		return fault.New(fault.Conflict, "spend.not_metered", "Nothing of this subscription is billed by use.")
	}
	room := u.Limit == nil || !u.Limit.Stop || u.Net.Minor < u.Limit.Minor
	if room && s.ServiceID != uuid.Nil && d.Holds != nil {
		if err := d.Holds.Release(ctx, tx, s.ServiceID); err != nil {
			return err
		}
		if err := Live(ctx, tx, s.ID); err != nil {
			return err
		}
	}
	return d.watch(ctx, tx, map[uuid.UUID]sub{s.ID: s})
}
