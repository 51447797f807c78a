package metering

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// Traffic is what a platform counted of a service from the beginning of one of its own
// periods, in bytes.
type Traffic struct {
	From, To time.Time
	Used     int64
}

// Carried tells what a platform had counted of a service at a time. The meters of its plan
// that traffic feeds count, in GB of 10^9 bytes, what is more than was told of the same
// period before; so it may be told in any order and again, and nothing is lost when the
// platform was away for a while. What the last look at a period of the platform's missed is
// counted at that period's end, as soon as the platform tells it.
//
// Of a period that had begun before the plan had such a meter, or in a trial, the first
// telling is where counting begins.
func (d *Desk) Carried(ctx context.Context, db *tenancy.DB, subscription, service uuid.UUID, all []Traffic, seen time.Time) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		found, err := subs(ctx, tx, "s.id = ?", " FOR KEY SHARE OF s", subscription)
		if err != nil {
			return err
		}
		s, known := found[subscription]
		if !known || !s.runs() {
			return nil
		}
		news, err := s.carried(ctx, tx, service, all, seen)
		if err != nil {
			return err
		}
		if err := enter(ctx, tx, news); err != nil {
			return err
		}
		return d.watch(ctx, tx, limited(found, news))
	})
}

func (s sub) carried(ctx context.Context, tx *tenancy.Tx, service uuid.UUID, all []Traffic, seen time.Time) (news []told, err error) {
	sold, err := metersFor(ctx, tx, map[uuid.UUID]sub{s.ID: s})
	if err != nil {
		return nil, err
	}
	meters := slices.DeleteFunc(s.sold(sold), func(m catalog.Meter) bool { return m.Feed != catalog.FeedTraffic })
	if len(meters) == 0 {
		return nil, nil
	}
	// Two tellings at once would both count from where the one before them ended.
	if _, err := tx.NewRaw("SELECT FROM services WHERE id = ? FOR UPDATE", service).Exec(ctx); err != nil {
		return nil, fmt.Errorf("lock service %s: %w", service, err)
	}
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b Traffic) int { return a.From.Compare(b.From) })
	for _, t := range all {
		if !t.To.After(s.SoldAt) || t.To.Before(seen.Add(-MaxAge)) {
			continue
		}
		mark := trafficMark(service, t.From)
		was, known, err := lastTraffic(ctx, tx, mark)
		if err != nil {
			return nil, err
		}
		// A platform's period begins with a day. What went in a trial is free.
		if !known && later(s.SoldAt, s.floor(tx.Now())).After(t.From.Add(24*time.Hour)) {
			was = t.kilobytes()
		} else if t.kilobytes() <= was {
			continue
		}
		at := later(earlier(seen, t.To.Add(-time.Microsecond)), s.SoldAt, s.floor(tx.Now()))
		for _, m := range meters {
			n := telling(s, m, fmt.Sprintf("%s%020d/%s", mark, t.kilobytes(), m.Code), "", "", at)
			n.value = big.NewRat(t.kilobytes()-was, 1e6)
			news = append(news, n)
		}
	}
	return news, nil
}

// kilobytes are the whole ones: quantities have six decimals of a GB.
func (t Traffic) kilobytes() int64 { return t.Used / 1000 }

// trafficMark begins the ids of all events about a period of the platform's. What had been
// counted follows, at a fixed width, so that the last in order is the most.
func trafficMark(service uuid.UUID, from time.Time) string {
	return "traffic/" + service.String() + "/" + strconv.FormatInt(from.Unix(), 10) + "/"
}

// lastTraffic is how much of a period has been told, in kilobytes.
func lastTraffic(ctx context.Context, tx *tenancy.Tx, mark string) (kilobytes int64, known bool, err error) {
	var id string
	err = tx.NewRaw("SELECT id FROM usage_events WHERE source = 'service' AND id > ? AND id < ? ORDER BY id DESC LIMIT 1", mark, mark+"~").Scan(ctx, &id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("look what traffic was told: %w", err)
	}
	told, _, _ := strings.Cut(strings.TrimPrefix(id, mark), "/")
	kilobytes, err = strconv.ParseInt(told, 10, 64)
	return kilobytes, true, err
}
