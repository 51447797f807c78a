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

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// book is the totals a transaction works on, locked.
type book struct {
	tx      *tenancy.Tx
	totals  map[totalKey]*total
	touched map[totalKey]bool
	was     map[totalKey]*big.Rat // of capped meters, before what is told now
}

// wanted is a total there has to be.
type wanted struct {
	Sub   uuid.UUID `json:"s"`
	Meter uuid.UUID `json:"m"`
	From  time.Time `json:"f"`
	To    time.Time `json:"t"`
	Round int       `json:"r"` // 1: its month is invoiced
}

func want(s sub, meter uuid.UUID, p billing.Period, now time.Time) wanted {
	w := wanted{Sub: s.ID, Meter: meter, From: p.From, To: p.To}
	if !p.To.After(s.open(now).From) {
		w.Round = 1
	}
	return w
}

func (w wanted) key() totalKey { return keyOf(w.Sub, w.Meter, billing.Period{From: w.From, To: w.To}) }

func (b *book) lock(ctx context.Context, news []told) error {
	seen := map[totalKey]bool{}
	var all []wanted
	for _, t := range news {
		if !seen[t.total()] {
			seen[t.total()] = true
			all = append(all, want(t.sub, t.meter.ID, t.period, b.tx.Now()))
		}
	}
	return b.ensure(ctx, all)
}

// ensure locks the totals of meters, all of a meter that may still change, and makes those
// that are missing. Totals are locked in one order by everybody.
func (b *book) ensure(ctx context.Context, all []wanted) error {
	if len(all) == 0 {
		return nil
	}
	slices.SortFunc(all, func(x, y wanted) int {
		return cmp.Or(slices.Compare(x.Sub[:], y.Sub[:]), slices.Compare(x.Meter[:], y.Meter[:]), x.From.Compare(y.From))
	})
	text, err := rows(all)
	if err != nil {
		return err
	}
	oldest := b.tx.Now().Add(-reach)
	for _, w := range all {
		if w.From.Before(oldest) {
			oldest = w.From
		}
	}
	for {
		found, err := totals(ctx, b.tx, `(SELECT DISTINCT s, m FROM jsonb_to_recordset(?::jsonb) AS r(s uuid, m uuid)) k
			JOIN usage_totals t ON t.subscription_id = k.s AND t.meter_id = k.m AND t.period_to > ?
			ORDER BY t.subscription_id, t.meter_id, t.period_from FOR UPDATE OF t`, text, oldest)
		if err != nil {
			return err
		}
		for _, t := range found {
			if b.totals[t.key()] == nil {
				b.totals[t.key()] = t
			}
		}
		if !slices.ContainsFunc(all, func(w wanted) bool { return b.totals[w.key()] == nil }) {
			return nil
		}
		_, err = b.tx.NewRaw(`INSERT INTO usage_totals (subscription_id, meter_id, period_from, period_to, events, quantity, last_key, last_value, rounds, late, billed_minor)
			SELECT r.s, r.m, r.f, r.t, 0, 0, '', 0, r.r, 0, 0 FROM jsonb_to_recordset(?::jsonb) AS r(s uuid, m uuid, f timestamptz, t timestamptz, r int)
			ON CONFLICT DO NOTHING`, text).Exec(ctx)
		if err != nil {
			return fmt.Errorf("begin totals of usage: %w", err)
		}
	}
}

// count adds new events to the totals.
func (b *book) count(ctx context.Context, news []told) error {
	marked, weighed := map[totalKey]bool{}, map[pair]reweigh{}
	var marks []told
	for _, e := range news {
		t := b.totals[e.total()]
		t.Events++
		if t.Rounds > 0 {
			t.Late++
		}
		b.touched[t.key()] = true
		switch e.meter.Aggregation {
		case billing.MeterSum:
			t.sum.Add(t.sum, e.value)
		case billing.MeterMax:
			if e.value.Cmp(t.sum) > 0 {
				t.sum.Set(e.value)
			}
		case billing.MeterLast:
			t.last(e)
			t.sum.Set(t.holds)
		case billing.MeterWeighted:
			k := pair{e.sub.ID, e.meter.ID}
			if w, known := weighed[k]; !known || t.PeriodFrom.Before(w.from) {
				weighed[k] = reweigh{e.sub, e.meter, t.PeriodFrom}
			}
		default:
			marks = append(marks, e)
			marked[t.key()] = true
		}
	}
	for _, w := range weighed {
		if err := b.weigh(ctx, w); err != nil {
			return err
		}
	}
	return b.mark(ctx, marks)
}

// last keeps the latest of a total's values; of one time, that of the greatest name.
func (t *total) last(e told) {
	name := e.Source + "/" + e.ID
	if e.At.After(t.LastAt) || e.At.Equal(t.LastAt) && name > t.LastKey {
		t.LastAt, t.LastKey = e.At, name
		t.holds.Set(e.value)
	}
}

type pair struct{ Sub, Meter uuid.UUID }

// reweigh is a meter whose values that hold are weighed anew from a month on: an event
// that came late holds into the months after it.
type reweigh struct {
	sub   sub
	meter catalog.Meter
	from  time.Time
}

func (b *book) weigh(ctx context.Context, w reweigh) error {
	var found []struct {
		At         time.Time
		Key, Value string
	}
	err := b.tx.NewRaw(`SELECT at, source || '/' || id AS key, value::text AS value FROM usage_events WHERE subscription_id = ?0 AND meter_id = ?1
		AND at >= coalesce((SELECT max(at) FROM usage_events WHERE subscription_id = ?0 AND meter_id = ?1 AND at < ?2), ?2)`, w.sub.ID, w.meter.ID, w.from).Scan(ctx, &found)
	if err != nil {
		return fmt.Errorf("read what holds: %w", err)
	}
	events := make([]billing.MeterEvent, len(found))
	for i, f := range found {
		v, ok := new(big.Rat).SetString(f.Value)
		if !ok {
			return fmt.Errorf("a value of subscription %s is no number", w.sub.ID)
		}
		events[i] = billing.MeterEvent{Key: f.Key, At: f.At, Value: v}
	}
	slices.SortFunc(events, func(x, y billing.MeterEvent) int { return cmp.Or(x.At.Compare(y.At), strings.Compare(x.Key, y.Key)) })
	for _, t := range b.totals {
		if t.SubscriptionID != w.sub.ID || t.MeterID != w.meter.ID || t.PeriodFrom.Before(w.from) {
			continue
		}
		t.weigh(events)
		b.touch(t)
	}
	return nil
}

// weigh works a total out of all events that hold in its month, in order.
func (t *total) weigh(sorted []billing.MeterEvent) {
	p := t.period()
	t.LastAt, t.LastKey = time.Time{}, ""
	t.holds.SetInt64(0)
	until := p.From
	for _, e := range sorted {
		if !e.At.Before(p.To) {
			break
		}
		t.holds.Set(e.Value)
		if !e.At.Before(p.From) {
			until, t.LastAt, t.LastKey = e.At, e.At, e.Key
		}
	}
	t.sum = billing.Area(p, until, sorted)
}

// touch has a total written. One that was invoiced is looked at again with the next invoice.
func (b *book) touch(t *total) {
	if t.Rounds > 0 && t.Late == 0 {
		t.Late = 1
	}
	b.touched[t.key()] = true
}

// write keeps the totals that changed.
func (b *book) write(ctx context.Context) error {
	type row struct {
		Sub      uuid.UUID  `json:"s"`
		Meter    uuid.UUID  `json:"m"`
		From     time.Time  `json:"f"`
		Events   int64      `json:"e"`
		Quantity string     `json:"q"`
		LastAt   *time.Time `json:"a"`
		LastKey  string     `json:"k"`
		Value    string     `json:"v"`
		Late     int64      `json:"l"`
	}
	var all []row
	for k := range b.touched {
		t := b.totals[k]
		r := row{t.SubscriptionID, t.MeterID, t.PeriodFrom, t.Events, decimal(t.sum), nil, t.LastKey, decimal(t.holds), t.Late}
		if !t.LastAt.IsZero() {
			r.LastAt = &t.LastAt
		}
		all = append(all, r)
	}
	text, err := rows(all)
	if err != nil {
		return err
	}
	_, err = b.tx.NewRaw(`UPDATE usage_totals t SET events = r.e, quantity = trim_scale(r.q), last_at = r.a, last_key = r.k, last_value = trim_scale(r.v), late = r.l
		FROM jsonb_to_recordset(?::jsonb) AS r(s uuid, m uuid, f timestamptz, e bigint, q numeric, a timestamptz, k text, v numeric, l bigint)
		WHERE t.subscription_id = r.s AND t.meter_id = r.m AND t.period_from = r.f`, text).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep %d totals of usage: %w", len(all), err)
	}
	return nil
}
