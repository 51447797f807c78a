// Package metering owns what was used of subscriptions that are billed by it: the events
// that programs and services tell, each once, what they come to a month, and what that
// costs; the limits customers set, and the events behind each line of an invoice. It owns
// the tables usage_events, usage_totals and usage_marks and the column spend of
// subscriptions. What a plan is billed by is tenant/catalog's, and when an invoice is made
// is tenant/renewal's: it asks here for the lines. What the platform bills the reseller by
// is another thing and goes through tenancy's doors.
package metering

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// Mailer takes letters within a transaction; mail.Outbox does.
type Mailer interface {
	Enqueue(ctx context.Context, tx tenancy.Statements, m mail.Message) error
}

// Desk is where usage is told. It is safe for concurrent use.
type Desk struct {
	Mail  Mailer // of what is said when a limit is near
	Holds Holds  // nil: nothing is turned off
}

// Holds turns services off and on again for one reason; tenant/hosting does.
type Holds interface {
	Suspend(ctx context.Context, tx *tenancy.Tx, service uuid.UUID, reason string) error
	Release(ctx context.Context, tx *tenancy.Tx, service uuid.UUID) error
}

const (
	// MaxBatch is the most events one call takes.
	MaxBatch = 1000
	// MaxAge is how old an event may be.
	MaxAge = 92 * 24 * time.Hour
	// Kept is how long events are kept after they were told, at the least.
	Kept = 400 * 24 * time.Hour

	ahead = 5 * time.Minute // a clock that tells may be wrong by so much
	reach = MaxAge + 62*24*time.Hour
)

// sub is a subscription as its usage is counted.
type sub struct {
	ID, AccountID, PlanID, ServiceID        uuid.UUID
	Label, State, Currency, TimeZone, Spend string
	Hours                                   string // what an hour of it costs, by time; empty: as its meter says
	Name                                    string // of its service; empty: none
	AnchorAt, SoldAt, MeteredTo, RenewsAt   time.Time
	LongerFrom, LongerTo                    time.Time // the month that a pause made longer; zero: none
	Cycle                                   billing.Cycle
	zone                                    *time.Location
}

// sold are those of its plan's meters that it is billed by.
func (s sub) sold(all []catalog.Meter) []catalog.Meter {
	return catalog.SoldAt(all, s.PlanID, s.Cycle, s.SoldAt)
}

// period is the month of usage in which a time lies.
func (s sub) period(at time.Time) billing.Period {
	return billing.UsageMonth(s.AnchorAt, billing.Period{From: s.LongerFrom, To: s.LongerTo}, at, s.zone)
}

// open is the month that is invoiced next.
func (s sub) open(now time.Time) billing.Period {
	if s.MeteredTo.IsZero() {
		return s.period(now)
	}
	return s.period(s.MeteredTo.Add(-time.Microsecond))
}

// floor is the time from which usage is taken: since the months that are counted now
// began. After a pause they are counted from a day to come, and began with the month it was in.
func (s sub) floor(now time.Time) time.Time {
	switch {
	case s.AnchorAt.After(now):
		return s.SoldAt
	case !s.LongerFrom.IsZero() && s.LongerFrom.Before(s.AnchorAt):
		return later(s.LongerFrom, s.SoldAt)
	}
	return s.AnchorAt
}

// tries reports whether it is in a trial: of what it uses only quotas are counted, from its
// beginning and month by month, and nothing is owed for it.
func (s sub) tries() bool { return s.State == "trial" && !s.AnchorAt.IsZero() }

// runs reports whether it has begun and not ended.
func (s sub) runs() bool {
	return !s.AnchorAt.IsZero() && s.State != "trial" && s.State != "pending" && s.State != "ended"
}

// subs reads subscriptions in the order of their ids. Locked ones are kept from being
// invoiced until the transaction ends, and not from anything else.
func subs(ctx context.Context, tx *tenancy.Tx, where, lock string, args ...any) (map[uuid.UUID]sub, error) {
	var rows []sub
	err := tx.NewRaw(`SELECT s.id, s.account_id, s.plan_id, s.label, s.state, s.cycle, s.currency, a.time_zone, coalesce(s.spend::text, '') AS spend, coalesce(s.hours::text, '') AS hours,
			CASE WHEN s.state = 'trial' THEN (s.trial->>'from')::timestamptz ELSE s.anchor_at END AS anchor_at,
			(s.pause->'longer'->>'From')::timestamptz AS longer_from, (s.pause->'longer'->>'To')::timestamptz AS longer_to, coalesce(s.metered_at, s.created_at) AS sold_at, s.metered_to, s.renews_at, v.id AS service_id, coalesce(v.name, '') AS name
		FROM subscriptions s JOIN accounts a ON a.id = s.account_id LEFT JOIN services v ON v.subscription_id = s.id
		WHERE `+where+" ORDER BY s.id"+lock, args...).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read subscriptions that are metered: %w", err)
	}
	found := make(map[uuid.UUID]sub, len(rows))
	for _, r := range rows {
		if r.zone, err = time.LoadLocation(r.TimeZone); err != nil || r.TimeZone == "" {
			r.zone = time.UTC
		}
		found[r.ID] = r
	}
	return found, nil
}

func subsOf(ctx context.Context, tx *tenancy.Tx, ids []uuid.UUID) (map[uuid.UUID]sub, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return subs(ctx, tx, "s.id IN (?)", "", bun.List(ids))
}

// metersFor are the meters plans ever had.
func metersFor(ctx context.Context, tx *tenancy.Tx, all map[uuid.UUID]sub) ([]catalog.Meter, error) {
	seen := map[uuid.UUID]bool{}
	var plans []uuid.UUID
	for _, s := range all {
		if !seen[s.PlanID] {
			seen[s.PlanID], plans = true, append(plans, s.PlanID)
		}
	}
	return catalog.MetersOf(ctx, tx, plans)
}

// totalKey names a total.
type totalKey struct {
	Sub, Meter uuid.UUID
	From       int64 // the period's beginning, in microseconds
}

func keyOf(sub, meter uuid.UUID, p billing.Period) totalKey {
	return totalKey{sub, meter, p.From.UnixMicro()}
}

// total is what the events of a meter come to in a month.
type total struct {
	SubscriptionID, MeterID uuid.UUID
	PeriodFrom, PeriodTo    time.Time
	Events                  int64
	Quantity                string
	LastAt                  time.Time // zero: none
	LastKey                 string
	LastValue               string
	Rounds                  int
	Late                    int64
	BilledMinor             int64

	sum, holds *big.Rat // Quantity and LastValue
}

const totalColumns = `t.subscription_id, t.meter_id, t.period_from, t.period_to, t.events, t.quantity::text AS quantity, t.last_at, t.last_key,
	t.last_value::text AS last_value, t.rounds, t.late, t.billed_minor`

func (t *total) key() totalKey          { return keyOf(t.SubscriptionID, t.MeterID, t.period()) }
func (t *total) period() billing.Period { return billing.Period{From: t.PeriodFrom, To: t.PeriodTo} }

func (t *total) parse() error {
	var ok1, ok2 bool
	t.sum, ok1 = new(big.Rat).SetString(t.Quantity)
	t.holds, ok2 = new(big.Rat).SetString(t.LastValue)
	if !ok1 || !ok2 {
		return fmt.Errorf("a total of subscription %s is no number", t.SubscriptionID)
	}
	return nil
}

func totals(ctx context.Context, tx *tenancy.Tx, rest string, args ...any) ([]*total, error) {
	var rows []*total
	if err := tx.NewRaw("SELECT "+totalColumns+" FROM "+rest, args...).Scan(ctx, &rows); err != nil {
		return nil, fmt.Errorf("read totals of usage: %w", err)
	}
	for _, t := range rows {
		if err := t.parse(); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// used is the quantity of a total at a time: what runs and what holds is counted up to it.
func (t *total) used(m catalog.Meter, running []billing.Session, now time.Time) *big.Rat {
	p, until := t.period(), now
	if until.After(p.To) {
		until = p.To
	}
	switch m.Aggregation {
	case billing.MeterWeighted:
		since, area := p.From, new(big.Rat).Set(t.sum)
		if t.LastAt.After(since) {
			since = t.LastAt
		}
		if until.After(since) {
			area.Add(area, new(big.Rat).Mul(t.holds, new(big.Rat).SetInt64(until.Sub(since).Microseconds())))
		}
		return billing.MeanOver(p, area)
	case billing.MeterSessions:
		steps := new(big.Rat).Set(t.sum)
		for _, s := range running {
			steps.Add(steps, new(big.Rat).SetInt64(billing.Increments(s.Start, until, m.Step(), p)))
		}
		return steps.Mul(steps, billing.StepHours(1, m.Step()))
	}
	return new(big.Rat).Set(t.sum)
}

// priced is what a quantity costs in a currency; what has no price in it costs nothing.
func priced(m catalog.Meter, used *big.Rat, currency string) (billing.Charge, error) {
	tariff, ok, err := m.Tariff(currency)
	if err != nil {
		return billing.Charge{}, fmt.Errorf("meter %s: %w", m.ID, err)
	}
	if !ok {
		return billing.Charge{Used: used, Included: new(big.Rat), Over: new(big.Rat), Net: billing.Money{Currency: currency}}, nil
	}
	c, err := tariff.Price(used)
	if errors.Is(err, billing.ErrOverflow) || err == nil && c.Net.Minor > billing.MaxMinor {
		return c, fault.Wrap(billing.ErrOverflow, fault.Invalid, "usage.out_of_range", "More was used of "+m.Name+" than can be invoiced.")
	}
	return c, err
}

// decimal writes a quantity as the database keeps it: exact, for it has few decimals.
func decimal(q *big.Rat) string { return q.FloatString(6) }

func rows(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}
