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
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// told is an event on its way into the books.
type told struct {
	Event
	place  int // in the batch
	sub    sub
	meter  catalog.Meter
	period billing.Period
	value  *big.Rat
	mark   string
	round  int
}

func (t told) total() totalKey { return keyOf(t.sub.ID, t.meter.ID, t.period) }

func (t told) name() string { return t.Source + "\x00" + t.ID }

// Record takes events, each once however often and in whatever order they are told, and
// answers for each what became of it. All that are taken are taken together, with the
// totals and what follows of limits. The fault is usage.batch_too_large.
func (d *Desk) Record(ctx context.Context, db *tenancy.DB, events []Event) (out []Outcome, err error) {
	if len(events) > MaxBatch {
		return nil, fault.New(fault.Invalid, "usage.batch_too_large", fmt.Sprintf("At most %d events at once.", MaxBatch))
	}
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		out, err = d.RecordIn(ctx, tx, events)
		return err
	})
	return out, err
}

// RecordIn is Record within a transaction.
func (d *Desk) RecordIn(ctx context.Context, tx *tenancy.Tx, events []Event) ([]Outcome, error) {
	out := make([]Outcome, len(events))
	news, all, err := sort(ctx, tx, events, out)
	if err != nil || len(news) == 0 {
		return out, err
	}
	b := &book{tx: tx, totals: map[totalKey]*total{}, touched: map[totalKey]bool{}}
	if err := b.lock(ctx, news); err != nil {
		return nil, err
	}
	if news, err = b.capped(ctx, news, out); err != nil {
		return nil, err
	}
	if news, err = b.keep(ctx, news, out); err != nil || len(news) == 0 {
		return out, err
	}
	if err := b.count(ctx, news); err != nil {
		return nil, err
	}
	if err := b.write(ctx); err != nil {
		return nil, err
	}
	if err := schedule(ctx, tx, news); err != nil {
		return nil, err
	}
	if err := d.warn(ctx, tx, b, news); err != nil {
		return nil, err
	}
	return out, d.watch(ctx, tx, limited(all, news))
}

// sort finds the subscription, the meter and the month of each event. What is refused
// stands in out; the others are returned in the order in which events are locked.
func sort(ctx context.Context, tx *tenancy.Tx, events []Event, out []Outcome) ([]told, map[uuid.UUID]sub, error) {
	var news []told
	var ids, services []uuid.UUID
	for i, e := range events {
		value, wrong := e.check()
		if wrong != "" {
			out[i] = refused(BadEvent, wrong)
			continue
		}
		e.At = e.At.UTC().Truncate(time.Microsecond)
		news = append(news, told{Event: e, place: i, value: value})
		if e.ServiceID != uuid.Nil {
			services = append(services, e.ServiceID)
		} else {
			ids = append(ids, e.SubscriptionID)
		}
	}
	of, err := subscriptionsOf(ctx, tx, services)
	if err != nil {
		return nil, nil, err
	}
	for _, id := range of {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		ids = []uuid.UUID{uuid.Nil}
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	// What is invoiced is locked for update: from here to the commit it is not.
	all, err := subs(ctx, tx, "s.id IN (?)", " FOR KEY SHARE OF s", bun.List(slices.Compact(ids)))
	if err != nil {
		return nil, nil, err
	}
	meters, err := metersFor(ctx, tx, all)
	if err != nil {
		return nil, nil, err
	}
	kept, seen := news[:0], map[string]bool{}
	for _, t := range news {
		if t.ServiceID != uuid.Nil {
			t.SubscriptionID = of[t.ServiceID]
		}
		if t.settle(all, meters, tx.Now(), &out[t.place]); out[t.place].Status != "" {
			continue
		}
		if seen[t.name()] {
			out[t.place] = Outcome{Status: Duplicate}
			continue
		}
		seen[t.name()] = true
		kept = append(kept, t)
	}
	slices.SortFunc(kept, func(x, y told) int { return cmp.Or(strings.Compare(x.Source, y.Source), strings.Compare(x.ID, y.ID)) })
	return kept, all, nil
}

func (t *told) settle(all map[uuid.UUID]sub, meters []catalog.Meter, now time.Time, out *Outcome) {
	s, known := all[t.SubscriptionID]
	if !known {
		*out = refused(UnknownSubscription, "There is no such subscription.")
		return
	}
	m, no := place(t.Event, s, meters, now)
	if no.Status != "" {
		*out = no
		return
	}
	mark, wrong := t.suits(m)
	if wrong != "" {
		*out = refused(BadEvent, wrong)
		return
	}
	t.sub, t.meter, t.mark, t.period = s, m, mark, s.period(t.At)
	if m.Aggregation == billing.MeterSessions || m.Aggregation == billing.MeterUnique {
		t.value = new(big.Rat)
	}
}

func subscriptionsOf(ctx context.Context, tx *tenancy.Tx, services []uuid.UUID) (map[uuid.UUID]uuid.UUID, error) {
	if len(services) == 0 {
		return nil, nil
	}
	var found []struct{ ID, SubscriptionID uuid.UUID }
	if err := tx.NewRaw("SELECT id, subscription_id FROM services WHERE id IN (?)", bun.List(services)).Scan(ctx, &found); err != nil {
		return nil, fmt.Errorf("find services: %w", err)
	}
	of := map[uuid.UUID]uuid.UUID{}
	for _, r := range found {
		of[r.ID] = r.SubscriptionID
	}
	return of, nil
}

// keep adds events and returns those that are new.
func (b *book) keep(ctx context.Context, news []told, out []Outcome) ([]told, error) {
	if len(news) == 0 {
		return nil, nil
	}
	type row struct {
		Source     string            `json:"a"`
		ID         string            `json:"b"`
		Sub        uuid.UUID         `json:"c"`
		Meter      uuid.UUID         `json:"d"`
		At         time.Time         `json:"e"`
		From       time.Time         `json:"k"`
		Value      string            `json:"f"`
		Phase      string            `json:"g"`
		Mark       string            `json:"h"`
		Attributes map[string]string `json:"i,omitempty"`
		Round      int               `json:"j"`
	}
	all := make([]row, len(news))
	for i, t := range news {
		news[i].round = b.totals[t.total()].Rounds
		all[i] = row{t.Source, t.ID, t.sub.ID, t.meter.ID, t.At, t.period.From, decimal(t.value), t.Phase, t.mark, t.Attributes, news[i].round}
	}
	text, err := rows(all)
	if err != nil {
		return nil, err
	}
	var added []struct{ Source, ID string }
	err = b.tx.NewRaw(`INSERT INTO usage_events (source, id, subscription_id, meter_id, at, period_from, value, phase, mark, attributes, round, recorded_at)
		SELECT r.a, r.b, r.c, r.d, r.e, r.k, trim_scale(r.f), r.g, r.h, r.i, r.j, ?
		FROM jsonb_to_recordset(?::jsonb) AS r(a text, b text, c uuid, d uuid, e timestamptz, k timestamptz, f numeric, g text, h text, i jsonb, j int)
		ON CONFLICT DO NOTHING RETURNING source, id`, b.tx.Now(), text).Scan(ctx, &added)
	if err != nil {
		return nil, fmt.Errorf("keep %d events: %w", len(news), err)
	}
	is := make(map[string]bool, len(added))
	for _, r := range added {
		is[r.Source+"\x00"+r.ID] = true
	}
	fresh := news[:0]
	for _, t := range news {
		switch {
		case !is[t.name()]:
			out[t.place] = Outcome{Status: Duplicate}
			continue
		case t.round > 0:
			out[t.place] = Outcome{Status: Late}
		default:
			out[t.place] = Outcome{Status: Accepted}
		}
		fresh = append(fresh, t)
	}
	return fresh, nil
}

// capped refuses what a plan grants no more of. What was told before is no news, and a value
// that was counted before takes nothing.
func (b *book) capped(ctx context.Context, news []told, out []Outcome) ([]told, error) {
	left := map[totalKey]*big.Rat{}
	b.was = map[totalKey]*big.Rat{}
	marked, err := b.marked(ctx, news)
	if err != nil {
		return nil, err
	}
	var over []told
	for _, t := range news {
		if !t.meter.Capped {
			continue
		}
		k, takes := t.total(), t.value
		if t.meter.Aggregation == billing.MeterUnique {
			if takes = new(big.Rat); !marked[t.counted()] {
				takes.SetInt64(1)
			}
		}
		if left[k] == nil {
			included, err := billing.ParseQuantity(t.meter.Included)
			if err != nil {
				return nil, err
			}
			b.was[k] = new(big.Rat).Set(b.totals[k].sum)
			left[k] = included.Sub(included, b.totals[k].sum)
		}
		if left[k].Cmp(takes) < 0 {
			over = append(over, t)
			continue
		}
		left[k].Sub(left[k], takes)
		marked[t.counted()] = true
	}
	if len(over) == 0 {
		return news, nil
	}
	known, err := knownEvents(ctx, b.tx, over)
	if err != nil {
		return nil, err
	}
	drop := map[int]bool{}
	for _, t := range over {
		if !known[t.name()] {
			drop[t.place] = true
			out[t.place] = refused(QuotaUsedUp, "The plan includes "+t.meter.Words(t.sub.Currency, "en")+". "+t.sub.forMore())
			out[t.place].More = t.sub.morePath()
		}
	}
	return slices.DeleteFunc(news, func(t told) bool { return drop[t.place] }), nil
}

// counted names a value that is counted once a month.
func (t told) counted() string {
	return t.sub.ID.String() + t.meter.ID.String() + t.period.From.UTC().Format(time.RFC3339Nano) + t.mark
}

// marked are those values of capped meters that were counted before. Their totals are locked.
func (b *book) marked(ctx context.Context, news []told) (map[string]bool, error) {
	type row struct {
		Sub   uuid.UUID `json:"s"`
		Meter uuid.UUID `json:"m"`
		From  time.Time `json:"f"`
		Mark  string    `json:"k"`
	}
	known := map[string]bool{}
	var asked []row
	for _, t := range news {
		if t.meter.Capped && t.meter.Aggregation == billing.MeterUnique {
			asked = append(asked, row{t.sub.ID, t.meter.ID, t.period.From, t.mark})
		}
	}
	if len(asked) == 0 {
		return known, nil
	}
	text, err := rows(asked)
	if err != nil {
		return nil, err
	}
	var found []struct {
		Sub, Meter uuid.UUID
		At         time.Time
		Mark       string
	}
	err = b.tx.NewRaw(`SELECT r.s AS sub, r.m AS meter, r.f AS at, r.k AS mark FROM jsonb_to_recordset(?::jsonb) AS r(s uuid, m uuid, f timestamptz, k text)
		JOIN usage_marks x ON x.subscription_id = r.s AND x.meter_id = r.m AND x.period_from = r.f AND x.mark = r.k`, text).Scan(ctx, &found)
	if err != nil {
		return nil, fmt.Errorf("look for values that were counted: %w", err)
	}
	for _, r := range found {
		known[r.Sub.String()+r.Meter.String()+r.At.UTC().Format(time.RFC3339Nano)+r.Mark] = true
	}
	return known, nil
}

func knownEvents(ctx context.Context, tx *tenancy.Tx, all []told) (map[string]bool, error) {
	type name struct {
		Source string `json:"source"`
		ID     string `json:"id"`
	}
	asked := make([]name, len(all))
	for i, t := range all {
		asked[i] = name{t.Source, t.ID}
	}
	text, err := rows(asked)
	if err != nil {
		return nil, err
	}
	var found []struct{ Source, ID string }
	err = tx.NewRaw(`SELECT e.source, e.id FROM jsonb_to_recordset(?::jsonb) AS r(source text, id text) JOIN usage_events e ON e.source = r.source AND e.id = r.id`, text).Scan(ctx, &found)
	if err != nil {
		return nil, fmt.Errorf("look for events: %w", err)
	}
	known := map[string]bool{}
	for _, r := range found {
		known[r.Source+"\x00"+r.ID] = true
	}
	return known, nil
}

// schedule makes sure that what was used is invoiced when its month ends, also where the
// plan got its meters after it was sold.
func schedule(ctx context.Context, tx *tenancy.Tx, news []told) error {
	type row struct {
		ID uuid.UUID `json:"id"`
		To time.Time `json:"to"`
	}
	done := map[uuid.UUID]bool{}
	var late []row
	for _, t := range news {
		s := t.sub
		if done[s.ID] || s.State == "paused" || s.State == "trial" || !s.MeteredTo.IsZero() && !s.RenewsAt.IsZero() && !s.RenewsAt.After(s.MeteredTo) {
			continue
		}
		done[s.ID] = true
		to := s.MeteredTo
		if to.IsZero() {
			to = s.period(tx.Now()).To
		}
		late = append(late, row{s.ID, to})
	}
	if len(late) == 0 {
		return nil
	}
	text, err := rows(late)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`UPDATE subscriptions s SET metered_to = r.to, renews_at = least(s.renews_at, r.to)
		FROM jsonb_to_recordset(?::jsonb) AS r(id uuid, "to" timestamptz) WHERE s.id = r.id`, text).Exec(ctx)
	if err != nil {
		return fmt.Errorf("schedule what was used: %w", err)
	}
	for _, r := range late {
		if err := tx.AdvanceAgenda(ctx, renewalAgenda, r.To); err != nil {
			return err
		}
	}
	return nil
}

// renewalAgenda is the kind of due work in which usage is invoiced.
const renewalAgenda = "renewal"
