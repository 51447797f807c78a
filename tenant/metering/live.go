package metering

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// Live begins the hours of a subscription that runs, by the meters that its life feeds, and
// ends those of meters it has no more, as after a change. Hours that have begun go on: it may
// be repeated. In a trial, a pause, or while its spend limit holds it, none begin.
func Live(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) error {
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
	now, held, asked := tx.Now().UTC().Truncate(time.Microsecond), false, false
	mark := id.String() + "/" + strconv.FormatInt(now.UnixMicro(), 10)
	var news []told
	for _, m := range catalog.SoldAt(sold, s.PlanID, s.SoldAt) {
		k := pair{id, m.ID}
		if m.Feed != catalog.FeedLife {
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
	old, err := stops(ctx, tx, s, run, "left/"+strconv.FormatInt(now.UnixMicro(), 10), catalog.FeedLife, now)
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
	news, err := stops(ctx, tx, all[id], run, "rest/"+strconv.FormatInt(now.UnixMicro(), 10), catalog.FeedLife, now)
	if err != nil {
		return err
	}
	return enter(ctx, tx, news)
}
