package metering

import (
	"context"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// Powered tells that a service has been on since a time, and until another; zero: it is
// on. The meters of its plan that a service feeds count the time between. It may be told
// in any order and again.
func (d *Desk) Powered(ctx context.Context, db *tenancy.DB, subscription, service uuid.UUID, since, until time.Time) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		all, err := subs(ctx, tx, "s.id = ?", " FOR KEY SHARE OF s", subscription)
		if err != nil {
			return err
		}
		s, known := all[subscription]
		if !known || !s.runs() {
			return nil
		}
		news, err := s.powered(ctx, tx, service, since.UTC().Truncate(time.Microsecond), until.UTC().Truncate(time.Microsecond))
		if err != nil {
			return err
		}
		if err := enter(ctx, tx, news); err != nil {
			return err
		}
		return d.watch(ctx, tx, limited(all, news))
	})
}

// powered are the events of a time a service was on. A meter that the plan has no more
// counts up to when it changed, one it has since counts from then.
func (s sub) powered(ctx context.Context, tx *tenancy.Tx, service uuid.UUID, since, until time.Time) (news []told, err error) {
	mark := service.String() + "/" + strconv.FormatInt(since.UnixMicro(), 10)
	sold, err := metersFor(ctx, tx, map[uuid.UUID]sub{s.ID: s})
	if err != nil {
		return nil, err
	}
	fed := map[uuid.UUID]bool{}
	for _, m := range s.sold(sold) {
		if m.Feed != catalog.FeedPower {
			continue
		}
		fed[m.ID] = true
		from := later(since, s.SoldAt, s.floor(tx.Now()))
		news = append(news, telling(s, m, "on/"+mark+"/"+m.Code, mark, billing.PhaseStart, from))
		if !until.IsZero() {
			news = append(news, telling(s, m, "off/"+mark+"/"+m.Code, mark, billing.PhaseStop, later(until, from)))
		}
	}
	if until.IsZero() {
		return news, nil
	}
	run, err := runningOf(ctx, tx, []uuid.UUID{s.ID})
	if err != nil {
		return nil, err
	}
	for k := range run {
		if fed[k.Meter] {
			delete(run, k)
		}
	}
	old, err := stops(ctx, tx, s, run, "off/"+mark, func(m catalog.Meter) bool { return m.Feed == catalog.FeedPower }, earlier(until, s.SoldAt))
	return append(news, old...), err
}

func later(times ...time.Time) (last time.Time) {
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last.UTC().Truncate(time.Microsecond)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func telling(s sub, m catalog.Meter, id, mark, phase string, at time.Time) told {
	return told{Event: Event{Source: "service", ID: id, At: at, Phase: phase}, sub: s, meter: m, period: s.period(at), value: new(big.Rat), mark: mark}
}

// stops are the ends of what runs of a subscription; of some meters, or of all.
func stops(ctx context.Context, tx *tenancy.Tx, s sub, run map[pair][]billing.Session, id string, of func(catalog.Meter) bool, at time.Time) (news []told, err error) {
	var ids []uuid.UUID
	for k := range run {
		if k.Sub == s.ID {
			ids = append(ids, k.Meter)
		}
	}
	meters, err := catalog.Meters(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	for _, m := range meters {
		if of != nil && !of(m) {
			continue
		}
		for _, x := range run[pair{s.ID, m.ID}] {
			news = append(news, telling(s, m, id+"/"+m.Code+"/"+x.Mark, x.Mark, billing.PhaseStop, at))
		}
	}
	return news, nil
}

// enter keeps what a service told.
func enter(ctx context.Context, tx *tenancy.Tx, news []told) (err error) {
	if len(news) == 0 {
		return nil
	}
	slices.SortFunc(news, func(x, y told) int { return strings.Compare(x.ID, y.ID) })
	b := &book{tx: tx, totals: map[totalKey]*total{}, touched: map[totalKey]bool{}}
	if err := b.lock(ctx, news); err != nil {
		return err
	}
	out := make([]Outcome, len(news))
	for i := range news {
		news[i].place = i
	}
	if news, err = b.keep(ctx, news, out); err != nil || len(news) == 0 {
		return err
	}
	if err := b.count(ctx, news); err != nil {
		return err
	}
	if err := b.write(ctx); err != nil {
		return err
	}
	return schedule(ctx, tx, news)
}

// Stop ends the sessions of a subscription that ends now.
func Stop(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) error {
	run, err := runningOf(ctx, tx, []uuid.UUID{id})
	if err != nil || len(run) == 0 {
		return err
	}
	all, err := subsOf(ctx, tx, []uuid.UUID{id})
	if err != nil {
		return err
	}
	news, err := stops(ctx, tx, all[id], run, "end/"+id.String(), nil, tx.Now())
	if err != nil {
		return err
	}
	return enter(ctx, tx, news)
}

// Reanchor cuts the month of a subscription whose months begin anew at a time.
func Reanchor(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, at time.Time) error {
	_, err := tx.NewRaw("UPDATE usage_totals SET period_to = ? WHERE subscription_id = ? AND period_from < ? AND period_to > ?", at, id, at, at).Exec(ctx)
	return err
}

// Lengthen has the month of a subscription that was paused go on until a later end
// (billing.Lengthened), and returns until when the usage is that is invoiced next.
func Lengthen(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, month billing.Period) (meteredTo time.Time, err error) {
	_, err = tx.NewRaw("UPDATE usage_totals SET period_to = ? WHERE subscription_id = ? AND period_from = ? AND rounds = 0", month.To, id, month.From).Exec(ctx)
	if err == nil {
		err = tx.NewRaw("UPDATE subscriptions SET metered_to = CASE WHEN metered_to > ?0 THEN ?1 ELSE metered_to END WHERE id = ?2 RETURNING metered_to", month.From, month.To, id).Scan(ctx, &meteredTo)
	}
	if err != nil {
		return meteredTo, fmt.Errorf("lengthen the month of usage of subscription %s: %w", id, err)
	}
	return meteredTo, nil
}
