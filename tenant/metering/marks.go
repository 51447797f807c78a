package metering

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// mark counts what is counted once: values of their months, and sessions.
func (b *book) mark(ctx context.Context, news []told) error {
	if len(news) == 0 {
		return nil
	}
	var values, sessions []told
	for _, e := range news {
		if e.meter.Aggregation == billing.MeterSessions {
			sessions = append(sessions, e)
		} else {
			values = append(values, e)
		}
	}
	if err := b.markValues(ctx, values); err != nil {
		return err
	}
	return b.markSessions(ctx, sessions)
}

type markRow struct {
	Sub   uuid.UUID  `json:"s"`
	Meter uuid.UUID  `json:"m"`
	From  *time.Time `json:"f,omitempty"`
	Mark  string     `json:"k"`
	Start *time.Time `json:"a,omitempty"`
	Stop  *time.Time `json:"z,omitempty"`
}

func sortMarks(all []markRow) {
	slices.SortFunc(all, func(x, y markRow) int {
		if c := cmp.Or(slices.Compare(x.Sub[:], y.Sub[:]), slices.Compare(x.Meter[:], y.Meter[:])); c != 0 || x.From == nil {
			return cmp.Or(c, strings.Compare(x.Mark, y.Mark))
		}
		return cmp.Or(x.From.Compare(*y.From), strings.Compare(x.Mark, y.Mark))
	})
}

func (b *book) markValues(ctx context.Context, news []told) error {
	if len(news) == 0 {
		return nil
	}
	all := make([]markRow, len(news))
	for i, e := range news {
		from := e.period.From
		all[i] = markRow{Sub: e.sub.ID, Meter: e.meter.ID, From: &from, Mark: e.mark}
	}
	sortMarks(all)
	text, err := rows(all)
	if err != nil {
		return err
	}
	var added []struct {
		SubscriptionID, MeterID uuid.UUID
		PeriodFrom              time.Time
	}
	err = b.tx.NewRaw(`INSERT INTO usage_marks (subscription_id, meter_id, period_from, mark)
		SELECT r.s, r.m, r.f, r.k FROM jsonb_to_recordset(?::jsonb) AS r(s uuid, m uuid, f timestamptz, k text)
		ON CONFLICT DO NOTHING RETURNING subscription_id, meter_id, period_from`, text).Scan(ctx, &added)
	if err != nil {
		return fmt.Errorf("mark values: %w", err)
	}
	for _, r := range added {
		t := b.totals[keyOf(r.SubscriptionID, r.MeterID, billing.Period{From: r.PeriodFrom})]
		t.sum.Add(t.sum, big.NewRat(1, 1))
	}
	return nil
}

// markSessions keeps the earliest start and the latest stop of each, and counts the steps
// of those that stopped anew.
func (b *book) markSessions(ctx context.Context, news []told) error {
	if len(news) == 0 {
		return nil
	}
	by, at := map[pair]told{}, map[string]*markRow{}
	for _, e := range news {
		by[pair{e.sub.ID, e.meter.ID}] = e
		k := e.sub.ID.String() + e.meter.ID.String() + e.mark
		r := at[k]
		if r == nil {
			r = &markRow{Sub: e.sub.ID, Meter: e.meter.ID, Mark: e.mark}
			at[k] = r
		}
		when := e.At
		if e.Phase == billing.PhaseStart && (r.Start == nil || when.Before(*r.Start)) {
			r.Start = &when
		}
		if e.Phase == billing.PhaseStop && (r.Stop == nil || when.After(*r.Stop)) {
			r.Stop = &when
		}
	}
	all := make([]markRow, 0, len(at))
	for _, r := range at {
		all = append(all, *r)
	}
	sortMarks(all)
	text, err := rows(all)
	if err != nil {
		return err
	}
	var now []session
	err = b.tx.NewRaw(`INSERT INTO usage_marks AS x (subscription_id, meter_id, period_from, mark, started_at, stopped_at)
		SELECT r.s, r.m, '-infinity', r.k, r.a, r.z FROM jsonb_to_recordset(?::jsonb) AS r(s uuid, m uuid, k text, a timestamptz, z timestamptz)
		ON CONFLICT (subscription_id, meter_id, period_from, mark) DO UPDATE SET
			started_at = least(x.started_at, excluded.started_at), stopped_at = greatest(x.stopped_at, excluded.stopped_at)
		RETURNING subscription_id, meter_id, mark, started_at, stopped_at`, text).Scan(ctx, &now)
	if err != nil {
		return fmt.Errorf("mark sessions: %w", err)
	}
	for k, e := range by {
		if err := b.resession(ctx, e.sub, e.meter, slices.DeleteFunc(slices.Clone(now), func(s session) bool { return pair{s.SubscriptionID, s.MeterID} != k })); err != nil {
			return err
		}
	}
	return nil
}

// session is a mark of a meter that counts time.
type session struct {
	SubscriptionID, MeterID uuid.UUID
	Mark                    string
	StartedAt, StoppedAt    time.Time // zero: not told
}

func (s session) of() billing.Session {
	return billing.Session{Mark: s.Mark, Start: s.StartedAt, Stop: s.StoppedAt}
}

// resession counts the steps of all months that sessions which changed lie in.
func (b *book) resession(ctx context.Context, s sub, m catalog.Meter, changed []session) error {
	var first, last time.Time
	for _, x := range changed {
		if x.StartedAt.IsZero() || x.StoppedAt.IsZero() {
			continue
		}
		if first.IsZero() || x.StartedAt.Before(first) {
			first = x.StartedAt
		}
		if x.StoppedAt.After(last) {
			last = x.StoppedAt
		}
	}
	if first.IsZero() || last.Before(first) {
		return nil
	}
	from := first
	if floor := s.floor(b.tx.Now()); first.Before(floor) {
		first = floor
	}
	var all []wanted
	for p := s.period(first); !p.From.After(last); p = s.period(p.To) {
		all = append(all, want(s, m.ID, p, b.tx.Now()))
	}
	if err := b.ensure(ctx, all); err != nil {
		return err
	}
	// Months of before a change of the anchor have totals and are made no more.
	from, to := s.period(from).From, s.period(last).To
	for _, t := range b.totals {
		if t.SubscriptionID == s.ID && t.MeterID == m.ID && t.PeriodTo.After(from) && t.PeriodFrom.Before(from) {
			from = t.PeriodFrom
		}
	}
	stopped, err := sessionsIn(ctx, b.tx, []pair{{s.ID, m.ID}}, from, to)
	if err != nil {
		return err
	}
	for _, t := range b.totals {
		if t.SubscriptionID != s.ID || t.MeterID != m.ID || !t.PeriodTo.After(from) || t.PeriodFrom.After(last) {
			continue
		}
		var steps int64
		for _, x := range stopped {
			if !x.StoppedAt.IsZero() {
				steps += billing.Increments(x.StartedAt, x.StoppedAt, m.Step(), t.period())
			}
		}
		t.sum = new(big.Rat).SetInt64(steps)
		b.touch(t)
	}
	return nil
}

// sessionsIn are the sessions of meters that began before to and had not stopped by from.
func sessionsIn(ctx context.Context, tx *tenancy.Tx, of []pair, from, to time.Time) (found []session, err error) {
	if len(of) == 0 {
		return nil, nil
	}
	type row struct {
		Sub   uuid.UUID `json:"s"`
		Meter uuid.UUID `json:"m"`
	}
	asked := make([]row, len(of))
	for i, p := range of {
		asked[i] = row(p)
	}
	text, err := rows(asked)
	if err != nil {
		return nil, err
	}
	err = tx.NewRaw(`SELECT x.subscription_id, x.meter_id, x.mark, x.started_at, x.stopped_at FROM jsonb_to_recordset(?::jsonb) AS r(s uuid, m uuid)
		JOIN usage_marks x ON x.subscription_id = r.s AND x.meter_id = r.m AND x.period_from = '-infinity'
		WHERE x.started_at < ? AND (x.stopped_at IS NULL OR x.stopped_at > ?) ORDER BY x.started_at, x.mark`, text, to, from).Scan(ctx, &found)
	if err != nil {
		return nil, fmt.Errorf("read sessions: %w", err)
	}
	return found, nil
}

// runningOf are the sessions of subscriptions that have not stopped.
func runningOf(ctx context.Context, tx *tenancy.Tx, ids []uuid.UUID) (map[pair][]billing.Session, error) {
	var found []session
	err := tx.NewRaw(`SELECT subscription_id, meter_id, mark, started_at FROM usage_marks
		WHERE subscription_id IN (?) AND period_from = '-infinity' AND started_at IS NOT NULL AND stopped_at IS NULL ORDER BY started_at, mark`, bun.List(ids)).Scan(ctx, &found)
	if err != nil {
		return nil, fmt.Errorf("read what runs: %w", err)
	}
	run := map[pair][]billing.Session{}
	for _, s := range found {
		k := pair{s.SubscriptionID, s.MeterID}
		run[k] = append(run[k], s.of())
	}
	return run, nil
}
