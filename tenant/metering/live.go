package metering

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// Live begins the hours of a subscription that runs, by the meters that its life feeds, and
// ends those of meters it has no more, as after a change. Hours that have begun go on: it may
// be repeated. In a trial, a pause, or while its spend limit holds it, none begin.
func Live(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) error {
	return LiveSince(ctx, tx, id, tx.Now())
}

// LiveSince is Live as of a moment that is over: what is paid otherwise since then is counted
// until or from it.
func LiveSince(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, at time.Time) error {
	all, err := subsOf(ctx, tx, []uuid.UUID{id})
	if err != nil {
		return err
	}
	s, known := all[id]
	if !known || !s.runs() || s.State == "trial" || s.State == "paused" {
		return nil
	}
	sold, err := metersFor(ctx, tx, all)
	if err != nil {
		return err
	}
	run, err := runningOf(ctx, tx, []uuid.UUID{id})
	if err != nil {
		return err
	}
	now, held, asked := at.UTC().Truncate(time.Microsecond), false, false
	mark := id.String() + "/" + strconv.FormatInt(now.UnixMicro(), 10)
	var news []told
	for _, m := range s.sold(sold) {
		k := pair{id, m.ID}
		if !m.OfLife() {
			continue
		}
		if len(run[k]) > 0 {
			delete(run, k)
			continue
		}
		if !asked {
			asked = true
			if err := tx.NewRaw("SELECT EXISTS (SELECT FROM services WHERE subscription_id = ? AND jsonb_exists(holds, 'spend'))", id).Scan(ctx, &held); err != nil {
				return fmt.Errorf("look what holds subscription %s: %w", id, err)
			}
		}
		if !held {
			news = append(news, telling(s, m, "live/"+mark+"/"+m.Code, mark, "start", now))
		}
	}
	old, err := stops(ctx, tx, s, run, "left/"+strconv.FormatInt(now.UnixMicro(), 10), catalog.Meter.OfLife, now)
	if err != nil {
		return err
	}
	return enter(ctx, tx, append(news, old...))
}

// Rest ends the hours of a subscription that is paused, or turned off for its spend limit.
func Rest(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) error {
	run, err := runningOf(ctx, tx, []uuid.UUID{id})
	if err != nil || len(run) == 0 {
		return err
	}
	all, err := subsOf(ctx, tx, []uuid.UUID{id})
	if err != nil {
		return err
	}
	now := tx.Now().UTC().Truncate(time.Microsecond)
	news, err := stops(ctx, tx, all[id], run, "rest/"+strconv.FormatInt(now.UnixMicro(), 10), catalog.Meter.OfLife, now)
	if err != nil {
		return err
	}
	return enter(ctx, tx, news)
}

// HourEnd is the end of the hour that a subscription paid by the hour has begun at a time;
// zero: none runs.
func HourEnd(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, at time.Time) (end time.Time, err error) {
	run, err := runningOf(ctx, tx, []uuid.UUID{id})
	if err != nil || len(run) == 0 {
		return end, err
	}
	var ids []uuid.UUID
	for k := range run {
		ids = append(ids, k.Meter)
	}
	all, err := catalog.Meters(ctx, tx, ids)
	if err != nil {
		return end, err
	}
	for _, m := range all {
		if m.Feed != catalog.FeedHours {
			continue
		}
		for _, x := range run[pair{id, m.ID}] {
			end = later(end, billing.HourEnd(x.Start, at))
		}
	}
	return end, nil
}
