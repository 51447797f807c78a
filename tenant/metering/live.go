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
	return live(ctx, tx, id, tx.Now(), tx.Now(), 0)
}

// LiveSince is Live where what is paid changed: what it has no more is counted until a moment that
// may be over, and what it has instead from then on or, by the hour, from the hour that is cut.
func LiveSince(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, at, cut time.Time) error {
	return live(ctx, tx, id, earlier(at, cut), cut, 0)
}

// LiveAfter is Live after a pause: what was left of the hour that had begun is left of it still.
func LiveAfter(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, pause time.Duration) error {
	return live(ctx, tx, id, tx.Now(), tx.Now(), pause)
}

// live ends hours at a time and begins others at another. An hour that is paid is not begun
// again: where hours ended within one, those that follow begin with its end.
func live(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, stop, start time.Time, pause time.Duration) error {
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
	now, held, asked := stop.UTC().Truncate(time.Microsecond), false, false
	mark := id.String() + "/" + strconv.FormatInt(now.UnixMicro(), 10)
	var news []told
	begin := func(m catalog.Meter) error {
		at := start
		if m.Feed == catalog.FeedHours {
			paid, err := paidUntil(ctx, tx, id, stop)
			if err != nil {
				return err
			}
			if !paid.IsZero() {
				at = later(at, paid.Add(pause))
			}
		}
		news = append(news, telling(s, m, "live/"+mark+"/"+m.Code, mark, billing.PhaseStart, at.UTC().Truncate(time.Microsecond)))
		return nil
	}
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
		if held {
			continue
		}
		if err := begin(m); err != nil {
			return err
		}
	}
	old, err := stops(ctx, tx, s, run, "left/"+strconv.FormatInt(now.UnixMicro(), 10), catalog.Meter.OfLife, now)
	if err != nil {
		return err
	}
	return enter(ctx, tx, append(news, old...))
}

// paidUntil is the end of the last hour that is paid of what is paid by the hour, where it ends
// at a time or has ended before; zero: there was none.
func paidUntil(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, stop time.Time) (end time.Time, err error) {
	var x struct{ StartedAt, StoppedAt time.Time }
	err = tx.NewRaw(`SELECT x.started_at, x.stopped_at FROM usage_marks x JOIN meters m ON m.id = x.meter_id WHERE x.subscription_id = ? AND m.feed = 'hours' AND x.period_from = '-infinity'
		AND x.started_at IS NOT NULL AND x.stopped_at IS NOT NULL ORDER BY greatest(x.started_at, x.stopped_at) DESC LIMIT 1`, id).Scan(ctx, &x)
	if err != nil && !tenancy.IsNoRows(err) {
		return end, fmt.Errorf("look for the hours of subscription %s: %w", id, err)
	}
	if !x.StartedAt.IsZero() {
		end = billing.HourEnd(x.StartedAt, x.StoppedAt)
	}
	running, err := hoursOf(ctx, tx, id)
	if err != nil {
		return end, err
	}
	for _, x := range running { // that end now
		end = later(end, billing.HourEnd(x.Start, stop))
	}
	return end, nil
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
	running, err := hoursOf(ctx, tx, id)
	for _, x := range running {
		end = later(end, billing.HourEnd(x.Start, at))
	}
	return end, err
}
