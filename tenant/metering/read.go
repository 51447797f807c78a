package metering

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// LastHours is SQL of what the hours of a subscription s came to in the month of it that was
// invoiced last, by ?0, the time that is now: what they are taken to bring a month.
const LastHours = `CASE WHEN s.metered_to IS NOT NULL THEN coalesce((SELECT sum(t.billed_minor) FROM usage_totals t JOIN meters m ON m.id = t.meter_id
	WHERE t.subscription_id = s.id AND t.rounds > 0 AND t.period_to <= ?0 AND t.period_to > ?0::timestamptz - interval '1 month'
	AND (m.feed = 'life' OR m.feed = 'hours' AND s.cycle = 'hourly')), 0) ELSE 0 END`

// Used is what was used by one meter this month so far.
type Used struct {
	Meter    catalog.Meter
	Events   int64
	Quantity *big.Rat
	Left     *big.Rat // of what is included
	Charge   billing.Charge
	Hours    []billing.HourLine // what is paid by the hour, part by part
	Running  int                // sessions that have not stopped
}

// Usage is what was used of a subscription in the month that is invoiced next.
type Usage struct {
	SubscriptionID uuid.UUID
	AccountID      uuid.UUID
	Label          string
	Period         billing.Period
	Meters         []Used
	Net            billing.Money // what it costs so far, before tax
	Limit          *Limit        // nil: none
	service        uuid.UUID
	name           string // of the service
	state          string
	zone           *time.Location
}

// Share is how much of the limit was spent, in per cent; 0 without one.
func (u Usage) Share() int {
	if u.Limit == nil || u.Limit.Minor <= 0 {
		return 0
	}
	return int(min(999, u.Net.Minor*100/u.Limit.Minor))
}

// Tries reports whether it is in a trial: of its meters those stand there that have a quota.
func (u Usage) Tries() bool { return u.state == "trial" }

// Metered reports whether there is anything to show.
func (u Usage) Metered() bool { return len(u.Meters) > 0 }

// Of is the usage of one subscription of an account, uuid.Nil: whosever. Fault:
// subscription.not_found, usage.out_of_range.
func Of(ctx context.Context, tx *tenancy.Tx, id, account uuid.UUID) (Usage, error) {
	all, err := subsOf(ctx, tx, []uuid.UUID{id})
	if err != nil {
		return Usage{}, err
	}
	s, known := all[id]
	if !known || account != uuid.Nil && s.AccountID != account {
		return Usage{}, fault.New(fault.NotFound, "subscription.not_found", "There is no such subscription.")
	}
	found, err := running(ctx, tx, all)
	if err != nil {
		return Usage{}, err
	}
	return found[0], nil
}

// OfAll is Of for several subscriptions, by id; one that is no more is left out.
func OfAll(ctx context.Context, tx *tenancy.Tx, ids []uuid.UUID) (map[uuid.UUID]Usage, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	all, err := subsOf(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	found, err := running(ctx, tx, all)
	if err != nil {
		return nil, err
	}
	by := make(map[uuid.UUID]Usage, len(found))
	for _, u := range found {
		by[u.SubscriptionID] = u
	}
	return by, nil
}

// running reads the usage of subscriptions, in the order of their ids.
func running(ctx context.Context, tx *tenancy.Tx, all map[uuid.UUID]sub) ([]Usage, error) {
	ids := make([]uuid.UUID, 0, len(all))
	for id := range all {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	sold, err := metersFor(ctx, tx, all)
	if err != nil {
		return nil, err
	}
	if len(sold) == 0 && !slices.ContainsFunc(ids, func(id uuid.UUID) bool { return all[id].Hours != "" }) {
		return plain(all, ids, tx.Now()), nil
	}
	found, err := totals(ctx, tx, "usage_totals t WHERE t.subscription_id IN (?) AND t.rounds = 0", bun.List(ids))
	if err != nil {
		return nil, err
	}
	if sold, err = withOthers(ctx, tx, sold, found); err != nil {
		return nil, err
	}
	run := map[pair][]billing.Session{}
	if slices.ContainsFunc(sold, func(m catalog.Meter) bool { return m.Aggregation == billing.MeterSessions }) {
		if run, err = runningOf(ctx, tx, ids); err != nil {
			return nil, err
		}
	}
	by := map[totalKey]*total{}
	for _, t := range found {
		by[t.key()] = t
	}
	hours, err := hoursRunning(ctx, tx, all, sold, by, run)
	if err != nil {
		return nil, err
	}
	out := plain(all, ids, tx.Now())
	for i := range out {
		s := all[out[i].SubscriptionID]
		if s.AnchorAt.IsZero() {
			continue
		}
		for _, m := range s.billed(sold, by, out[i].Period) {
			if s.tries() && !m.Capped {
				continue
			}
			t := by[keyOf(s.ID, m.ID, out[i].Period)]
			if t == nil {
				t = &total{SubscriptionID: s.ID, MeterID: m.ID, PeriodFrom: out[i].Period.From, PeriodTo: out[i].Period.To, sum: new(big.Rat), holds: new(big.Rat)}
				if err := t.carry(ctx, tx, m); err != nil {
					return nil, err
				}
			}
			if err := out[i].add(s, m, t, run[pair{s.ID, m.ID}], hours, tx.Now()); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// withOthers adds the meters of totals that are of plans a subscription had before.
func withOthers(ctx context.Context, tx *tenancy.Tx, sold []catalog.Meter, of []*total) ([]catalog.Meter, error) {
	known := map[uuid.UUID]bool{}
	for _, m := range sold {
		known[m.ID] = true
	}
	var others []uuid.UUID
	for _, t := range of {
		if !known[t.MeterID] {
			known[t.MeterID], others = true, append(others, t.MeterID)
		}
	}
	more, err := catalog.Meters(ctx, tx, others)
	return append(sold, more...), err
}

// billed are the meters of a month: those it has, and those of its plan that counted in it
// before what is paid changed.
func (s sub) billed(all []catalog.Meter, by map[totalKey]*total, p billing.Period) []catalog.Meter {
	found := s.sold(all)
	for _, m := range all {
		if by[keyOf(s.ID, m.ID, p)] != nil && !slices.ContainsFunc(found, func(x catalog.Meter) bool { return x.ID == m.ID }) {
			found = append(found, m)
		}
	}
	return found
}

func plain(all map[uuid.UUID]sub, ids []uuid.UUID, now time.Time) []Usage {
	out := make([]Usage, len(ids))
	for i, id := range ids {
		s := all[id]
		out[i] = Usage{SubscriptionID: id, AccountID: s.AccountID, Label: s.Label, Net: billing.Money{Currency: s.Currency}, Limit: s.limit(), service: s.ServiceID, name: s.Name, state: s.State, zone: s.zone}
		if !s.AnchorAt.IsZero() {
			out[i].Period = s.open(now)
		}
	}
	return out
}

// carry finds what holds since before the month.
func (t *total) carry(ctx context.Context, tx *tenancy.Tx, m catalog.Meter) error {
	if m.Aggregation != billing.MeterWeighted {
		return nil
	}
	var value string
	err := tx.NewRaw(`SELECT value::text FROM usage_events WHERE subscription_id = ? AND meter_id = ? AND at < ? ORDER BY at DESC, source DESC, id DESC LIMIT 1`,
		t.SubscriptionID, t.MeterID, t.PeriodFrom).Scan(ctx, &value)
	if tenancy.IsNoRows(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read what holds: %w", err)
	}
	if _, ok := t.holds.SetString(value); !ok {
		return fmt.Errorf("a value of subscription %s is no number", t.SubscriptionID)
	}
	return nil
}

// hoursRunning reads what is behind the hours of months that are invoiced next.
func hoursRunning(ctx context.Context, tx *tenancy.Tx, all map[uuid.UUID]sub, sold []catalog.Meter, by map[totalKey]*total, run map[pair][]billing.Session) (hourly, error) {
	of, feeds := map[pair]bool{}, map[uuid.UUID]bool{}
	for _, m := range sold {
		feeds[m.ID] = m.Feed == catalog.FeedHours
	}
	for k := range run {
		if feeds[k.Meter] {
			of[k] = true
		}
	}
	for k := range by {
		if feeds[k.Meter] {
			of[pair{k.Sub, k.Meter}] = true
		}
	}
	var from, to time.Time
	for k := range of {
		p := all[k.Sub].open(tx.Now())
		if from.IsZero() || p.From.Before(from) {
			from = p.From
		}
		to = later(to, p.To)
	}
	return hourlyOf(ctx, tx, of, from, to)
}

func (u *Usage) add(s sub, m catalog.Meter, t *total, run []billing.Session, hours hourly, now time.Time) error {
	used := Used{Meter: m, Events: t.Events, Quantity: t.used(m, run, now), Running: len(run)}
	var err error
	if used.Charge, err = priced(m, used.Quantity, s.Currency); err != nil {
		return err
	}
	if m.Feed == catalog.FeedHours {
		if used.Hours, err = hours.price(s, m, t, now); err != nil {
			return err
		}
		used.Charge = hourCharge(used.Charge, used.Hours)
	}
	if used.Left = new(big.Rat).Sub(used.Charge.Included, used.Quantity); used.Left.Sign() < 0 {
		used.Left.SetInt64(0)
	}
	u.Meters = append(u.Meters, used)
	u.Net, err = u.Net.Add(used.Charge.Net)
	return err
}
