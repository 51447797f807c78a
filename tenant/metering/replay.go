package metering

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// A twin has nobody who uses anything. It tells what its original told in its last full
// month, day by day, through the door by which programs tell: so invoices, limits and quotas
// see it as they see any usage. All it needs was copied with it.

// AgendaReplay is the kind of due work in which a twin tells what is used.
const AgendaReplay = "usage_replay"

const (
	replaySetting = "twin_usage"         // of shop_settings: how far it has come
	windowSetting = "twin_usage_windows" // and what is told anew, by subscription
	replaySource  = "twin"
	day           = 24 * time.Hour
)

// replay is how far a twin has come.
type replay struct {
	At   time.Time `json:"at"`   // when it was copied
	Told int       `json:"told"` // days since then
}

// window is the time of a subscription that is told again and again: its last full month of
// usage, or as much as there is.
type window struct {
	From time.Time `json:"from"`
	Days int       `json:"days"`
	Day  int       `json:"day"` // of these, the one that follows the copy
}

// dayOf is the beginning of the window's day that is told as a day after the copy.
func (w window) dayOf(n int) time.Time { return w.From.Add(time.Duration((w.Day+n)%w.Days) * day) }

// windowAt is what is told anew of a subscription that was copied at a time; false: it has
// not begun by then.
func (s sub) windowAt(at time.Time) (window, bool) {
	if s.AnchorAt.IsZero() || !s.AnchorAt.Before(at) {
		return window{}, false
	}
	now := s.period(at)
	last := s.period(now.From.Add(-time.Microsecond))
	if last.From.Before(later(s.AnchorAt, s.SoldAt)) { // no full month: what there is
		from := later(s.AnchorAt, s.SoldAt)
		if !from.Before(at) {
			return window{}, false
		}
		return window{From: from, Days: int((at.Sub(from) + day - 1) / day)}, true
	}
	days := max(1, int((last.To.Sub(last.From)+day/2)/day))
	return window{From: last.From.UTC(), Days: days, Day: int(at.Sub(now.From)/day) % days}, true
}

// BeginReplay has a twin that was just copied tell usage while its clock goes on. Where the
// original never told any, nothing is done.
func BeginReplay(ctx context.Context, tx *tenancy.Tx) error {
	all, err := subs(ctx, tx, "s.state IN ('active', 'past_due', 'suspended', 'paused') AND EXISTS (SELECT FROM usage_events e WHERE e.subscription_id = s.id)", "")
	if err != nil || len(all) == 0 {
		return err
	}
	windows := map[uuid.UUID]window{}
	for id, s := range all {
		if w, ok := s.windowAt(tx.Now()); ok {
			windows[id] = w
		}
	}
	for name, value := range map[string]any{replaySetting: replay{At: tx.Now().UTC()}, windowSetting: windows} {
		text, err := rows(value)
		if err != nil {
			return err
		}
		_, err = tx.NewRaw(`INSERT INTO shop_settings (name, value, changed_at) VALUES (?0, ?1::jsonb, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at`, name, text, tx.Now()).Exec(ctx)
		if err != nil {
			return fmt.Errorf("have a twin tell usage: %w", err)
		}
	}
	return tx.AdvanceAgenda(ctx, AgendaReplay, tx.Now().Add(day))
}

// Replay tells the days that are over since the last telling, and puts the next on the
// agenda. It is of twins only, and may be repeated: an event has its name by the day, the
// subscription and the meter.
func (d *Desk) Replay(ctx context.Context, db *tenancy.DB, _ time.Time) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		var r replay
		var kept []struct{ Name, Value string }
		err := tx.NewRaw("SELECT name, value::text AS value FROM shop_settings WHERE name IN (?, ?)", replaySetting, windowSetting).Scan(ctx, &kept)
		if err != nil {
			return fmt.Errorf("read what a twin tells: %w", err)
		}
		if !db.Tenant().Sandbox || len(kept) < 2 {
			return tx.SetAgenda(ctx, AgendaReplay, time.Time{})
		}
		windows := map[uuid.UUID]window{}
		for _, k := range kept {
			into := any(&r)
			if k.Name == windowSetting {
				into = &windows
			}
			if err := json.Unmarshal([]byte(k.Value), into); err != nil {
				return fmt.Errorf("read what a twin tells: %w", err)
			}
		}
		for ; r.Told < int(tx.Now().Sub(r.At)/day); r.Told++ {
			if err := d.replayDay(ctx, tx, windows, r.Told); err != nil {
				return err
			}
		}
		text, err := rows(r)
		if err != nil {
			return err
		}
		if _, err := tx.NewRaw("UPDATE shop_settings SET value = ?::jsonb, changed_at = ? WHERE name = ?", text, tx.Now(), replaySetting).Exec(ctx); err != nil {
			return fmt.Errorf("keep what a twin told: %w", err)
		}
		return tx.SetAgenda(ctx, AgendaReplay, r.At.Add(time.Duration(r.Told+1)*day))
	})
}

// usedThen is what one meter of one subscription was told on a day of the original's.
type usedThen struct {
	SubscriptionID uuid.UUID
	Code, Feed     string
	Attribute      string
	Mark, Name     string // Name is short and printable
	Value          string
	Micros         int64 // of a session: how long it was
}

// replayDay tells one day after the copy, the n-th from 0.
func (d *Desk) replayDay(ctx context.Context, tx *tenancy.Tx, windows map[uuid.UUID]window, n int) error {
	type row struct {
		Sub  uuid.UUID `json:"s"`
		From time.Time `json:"a"`
		To   time.Time `json:"b"`
	}
	asked := make([]row, 0, len(windows))
	for id, w := range windows {
		from := w.dayOf(n)
		asked = append(asked, row{id, from, from.Add(day)})
	}
	text, err := rows(asked)
	if err != nil {
		return err
	}
	var then []usedThen
	// What is off uses nothing. A session that did not stop runs on by itself.
	err = tx.NewRaw(`WITH r AS (SELECT x.s, x.a, x.b FROM jsonb_to_recordset(?0::jsonb) AS x(s uuid, a timestamptz, b timestamptz) JOIN subscriptions s ON s.id = x.s
			WHERE s.state IN ('active', 'past_due') AND NOT EXISTS (SELECT FROM services v WHERE v.subscription_id = s.id AND v.desired = 'suspended'))
		SELECT e.subscription_id, m.code, m.feed, m.attribute, max(e.mark) AS mark, CASE WHEN m.aggregation = 'unique' THEN md5(e.mark) ELSE '' END AS name, 0 AS micros,
			round(CASE m.aggregation WHEN 'sum' THEN sum(e.value) WHEN 'max' THEN max(e.value) WHEN 'unique' THEN 1 ELSE (array_agg(e.value ORDER BY e.at DESC, e.id DESC))[1] END, 6)::text AS value
		FROM r JOIN usage_events e ON e.subscription_id = r.s AND e.at >= r.a AND e.at < r.b JOIN meters m ON m.id = e.meter_id
		WHERE m.aggregation <> 'sessions' GROUP BY e.subscription_id, m.id, 6
		UNION ALL SELECT x.subscription_id, m.code, m.feed, m.attribute, x.mark, md5(x.mark), (extract(epoch FROM x.stopped_at - x.started_at) * 1000000)::bigint, ''
		FROM r JOIN usage_marks x ON x.subscription_id = r.s AND x.period_from = '-infinity' AND x.started_at >= r.a AND x.started_at < r.b AND x.stopped_at > x.started_at JOIN meters m ON m.id = x.meter_id
		ORDER BY 1, 2, 6`, text).Scan(ctx, &then)
	if err != nil {
		return fmt.Errorf("read what a twin's original used: %w", err)
	}
	var events []Event
	for _, u := range then {
		events = append(events, u.events(tx.Now(), n)...)
	}
	for len(events) > 0 {
		some := events[:min(MaxBatch, len(events))]
		events = events[len(some):]
		if _, err := d.RecordIn(ctx, tx, some); err != nil {
			return err
		}
	}
	return nil
}

// events tell it as of now.
func (u usedThen) events(now time.Time, n int) []Event {
	e := Event{Source: replaySource, ID: fmt.Sprintf("%d/%s/%s/%s", n, u.SubscriptionID, u.Code, u.Name), SubscriptionID: u.SubscriptionID, Meter: u.Code, At: now, feed: u.Feed}
	if u.Micros == 0 {
		if e.Value = u.Value; u.Attribute != "" && u.Mark != "" {
			e.Attributes = map[string]string{u.Attribute: u.Mark}
		}
		if q, ok := new(big.Rat).SetString(u.Value); !ok || q.Sign() < 0 {
			return nil
		}
		return []Event{e}
	}
	e.Attributes = map[string]string{"session": fmt.Sprintf("twin/%d/%s", n, u.Name)}
	on, off := e, e
	on.ID, on.Phase, on.At = e.ID+"/on", billing.PhaseStart, now.Add(-time.Duration(u.Micros)*time.Microsecond)
	off.ID, off.Phase = e.ID+"/off", billing.PhaseStop
	return []Event{on, off}
}
