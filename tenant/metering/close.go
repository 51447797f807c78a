package metering

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// LineKind is the kind of invoice lines about usage.
const LineKind = "usage"

// Bill is what of a subscription's usage is to be invoiced now. Lines may be none.
type Bill struct {
	SubscriptionID uuid.UUID
	Lines          []billing.Line
	Until          time.Time // end of the month that is invoiced
	Service        uuid.UUID // that may have been turned off for a limit; uuid.Nil: none
	Next           time.Time // end of the month after it; zero: none follows
	done           []settled
}

type settled struct {
	Sub    uuid.UUID `json:"s"`
	Meter  uuid.UUID `json:"m"`
	From   time.Time `json:"f"`
	Billed int64     `json:"b"`
	Late   int64     `json:"l"`
}

// Net is what the lines come to.
func (b Bill) Net() (minor int64) {
	for _, l := range b.Lines {
		minor += l.Net.Minor
	}
	return minor
}

// Close works out what of usage is invoiced of subscriptions that the caller has locked
// for update: the month that ended, and what came late of months before. Others is, by
// subscription, what the invoice comes to besides: what came too much is taken off no
// further than to nothing, and the rest of it next time. The final bill of a subscription
// that ends takes in all there is. Nothing is settled before Settle.
func Close(ctx context.Context, tx *tenancy.Tx, ids []uuid.UUID, others map[uuid.UUID]int64, final bool) ([]Bill, error) {
	all, err := subsOf(ctx, tx, ids)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	meters, err := metersFor(ctx, tx, all)
	if err != nil {
		return nil, err
	}
	b := &book{tx: tx, totals: map[totalKey]*total{}, touched: map[totalKey]bool{}}
	if err := b.standing(ctx, all, meters); err != nil {
		return nil, err
	}
	due, err := totals(ctx, tx, `usage_totals t JOIN subscriptions s ON s.id = t.subscription_id
		WHERE t.subscription_id IN (?) AND (t.rounds = 0 OR t.late > 0) AND (? OR t.period_to <= s.metered_to)
			AND (s.trial IS NULL OR t.period_from >= (s.trial->>'until')::timestamptz) -- a trial's quotas are nothing to invoice
		ORDER BY t.subscription_id, t.period_from, t.meter_id FOR UPDATE OF t`, bun.List(ids), final)
	if err != nil {
		return nil, err
	}
	goes, err := goesOn(ctx, tx, all, meters)
	if err != nil {
		return nil, err
	}
	bills := map[uuid.UUID]*Bill{}
	for id, s := range all {
		bills[id] = newBill(s, goes[id], tx.Now(), final)
	}
	if len(due) > 0 {
		if err := fill(ctx, tx, all, due, bills, others); err != nil {
			return nil, err
		}
	}
	out := make([]Bill, 0, len(ids))
	for _, id := range ids {
		if bill := bills[id]; bill != nil {
			if !final && bill.Next.IsZero() && !bill.Until.IsZero() && slices.ContainsFunc(bill.done, func(x settled) bool { return x.Late > 0 }) {
				bill.Next = all[id].period(bill.Until).To // what is left to be given back is taken off the next one
			}
			out = append(out, *bill)
		}
	}
	return out, nil
}

// goesOn says of which subscriptions there is another month of usage to come: of what is billed by
// use, and of what was until something of it is invoiced.
func goesOn(ctx context.Context, tx *tenancy.Tx, all map[uuid.UUID]sub, meters []catalog.Meter) (map[uuid.UUID]bool, error) {
	goes := map[uuid.UUID]bool{}
	var others []uuid.UUID
	for id, s := range all {
		if goes[id] = len(s.sold(meters)) > 0; !goes[id] {
			others = append(others, id)
		}
	}
	if len(others) == 0 {
		return goes, nil
	}
	var left []uuid.UUID
	err := tx.NewRaw(`SELECT DISTINCT s.id FROM subscriptions s JOIN usage_totals t ON t.subscription_id = s.id
		WHERE s.id IN (?) AND t.rounds = 0 AND t.period_to > s.metered_to`, bun.List(others)).Scan(ctx, &left)
	if err != nil {
		return nil, fmt.Errorf("look for usage of plans that were had: %w", err)
	}
	run, err := runningOf(ctx, tx, others)
	if err != nil {
		return nil, err
	}
	for _, id := range left {
		goes[id] = true
	}
	for p := range run {
		goes[p.Sub] = true
	}
	return goes, nil
}

func newBill(s sub, goes bool, now time.Time, final bool) *Bill {
	b := &Bill{SubscriptionID: s.ID, Until: s.MeteredTo}
	if s.Spend != "" {
		b.Service = s.ServiceID
	}
	switch {
	case final:
		b.Until = now
	case goes && !s.MeteredTo.IsZero():
		b.Next = s.period(s.MeteredTo).To
	}
	return b
}

// fill makes the lines of all bills.
func fill(ctx context.Context, tx *tenancy.Tx, all map[uuid.UUID]sub, due []*total, bills map[uuid.UUID]*Bill, others map[uuid.UUID]int64) error {
	ids, subIDs := map[uuid.UUID]bool{}, make([]uuid.UUID, 0, len(all))
	var meterIDs []uuid.UUID
	for _, t := range due {
		if !ids[t.MeterID] {
			ids[t.MeterID], meterIDs = true, append(meterIDs, t.MeterID)
		}
	}
	for id := range all {
		subIDs = append(subIDs, id)
	}
	known, err := catalog.Meters(ctx, tx, meterIDs)
	if err != nil {
		return err
	}
	by, timed := map[uuid.UUID]catalog.Meter{}, false
	for _, m := range known {
		by[m.ID] = m
		timed = timed || m.Aggregation == billing.MeterSessions
	}
	var running map[pair][]billing.Session
	hours, err := hoursDue(ctx, tx, by, due)
	if err != nil {
		return err
	}
	if timed {
		if running, err = runningOf(ctx, tx, subIDs); err != nil {
			return err
		}
	}
	slices.SortStableFunc(due, func(x, y *total) int {
		return cmp.Or(slices.Compare(x.SubscriptionID[:], y.SubscriptionID[:]), x.PeriodFrom.Compare(y.PeriodFrom),
			cmp.Compare(by[x.MeterID].Position, by[y.MeterID].Position), strings.Compare(by[x.MeterID].Code, by[y.MeterID].Code))
	})
	for _, t := range due {
		bill := bills[t.SubscriptionID]
		if err := bill.add(all[t.SubscriptionID], by[t.MeterID], t, running[pair{t.SubscriptionID, t.MeterID}], hours, others[t.SubscriptionID]); err != nil {
			return err
		}
	}
	return nil
}

// add puts a total on the bill: the first time with all it costs, afterwards with what it
// costs more or less than was invoiced of it.
func (b *Bill) add(s sub, m catalog.Meter, t *total, running []billing.Session, hours hourly, other int64) error {
	used := t.used(m, running, b.Until)
	c, err := priced(m, used, s.Currency)
	if err != nil {
		return err
	}
	var parts []billing.HourLine
	if m.Feed == catalog.FeedHours {
		if parts, err = hours.price(s, m, t, b.Until); err != nil {
			return err
		}
		c = hourCharge(c, parts)
	}
	diff, late := c.Net.Minor-t.BilledMinor, int64(0)
	if least := -(other + b.Net()); diff < 0 && diff < least {
		diff, late = min(0, least), 1
	}
	b.done = append(b.done, settled{t.SubscriptionID, t.MeterID, t.PeriodFrom, t.BilledMinor + diff, late})
	if t.Rounds == 0 && used.Sign() == 0 || t.Rounds > 0 && diff == 0 {
		return nil
	}
	line := func(text string, net billing.Money, priceID string) {
		b.Lines = append(b.Lines, billing.Line{
			Kind: LineKind, SubscriptionID: s.ID.String(), Description: text, Period: t.period(), Quantity: 1, Unit: net, Net: net, MeterID: m.ID.String(), Round: t.Rounds, PriceID: priceID,
		})
	}
	if t.Rounds == 0 && len(parts) > 0 {
		for _, x := range parts {
			line(s.hourWords(m, x), x.Net, x.Part.PriceID)
		}
		return nil
	}
	text := s.Label + ": " + m.Name + ", " + m.Amount(used)
	switch {
	case t.Rounds > 0:
		text += ", of which some was told after the invoice of its month"
	case c.Included.Sign() > 0:
		text += ", " + m.Amount(c.Included) + " included"
	case c.Most:
		text += ", the most a month"
	}
	line(text, billing.Money{Minor: diff, Currency: s.Currency}, "")
	return nil
}

// hoursDue reads what is behind those totals that are hours.
func hoursDue(ctx context.Context, tx *tenancy.Tx, by map[uuid.UUID]catalog.Meter, due []*total) (hourly, error) {
	of := map[pair]bool{}
	var from, to time.Time
	for _, t := range due {
		if by[t.MeterID].Feed != catalog.FeedHours {
			continue
		}
		of[pair{t.SubscriptionID, t.MeterID}] = true
		if from.IsZero() || t.PeriodFrom.Before(from) {
			from = t.PeriodFrom
		}
		to = later(to, t.PeriodTo)
	}
	return hourlyOf(ctx, tx, of, from, to)
}

// standing makes the totals of the month for what is used without being told anew: a value
// that holds since before, a session that has run all of it.
func (b *book) standing(ctx context.Context, all map[uuid.UUID]sub, meters []catalog.Meter) error {
	var wantedAll []wanted
	var weighed []reweigh
	for _, s := range all {
		p := s.open(b.tx.Now())
		for _, m := range s.sold(meters) {
			if m.Aggregation != billing.MeterWeighted && m.Aggregation != billing.MeterSessions {
				continue
			}
			wantedAll = append(wantedAll, want(s, m.ID, p, b.tx.Now()))
			if m.Aggregation == billing.MeterWeighted {
				weighed = append(weighed, reweigh{s, m, p.From})
			}
		}
	}
	if err := b.ensure(ctx, wantedAll); err != nil || len(weighed) == 0 {
		return err
	}
	for _, w := range weighed {
		t := b.totals[keyOf(w.sub.ID, w.meter.ID, w.sub.open(b.tx.Now()))]
		if t.Events > 0 || !t.LastAt.IsZero() {
			continue // it was weighed with its events
		}
		if err := b.weigh(ctx, w); err != nil {
			return err
		}
	}
	if len(b.touched) == 0 {
		return nil
	}
	return b.write(ctx)
}

// Settle notes that bills stand on invoices, which are made in the same transaction, and
// moves their subscriptions on to the next month.
func Settle(ctx context.Context, tx *tenancy.Tx, bills []Bill) error {
	type moved struct {
		ID uuid.UUID  `json:"id"`
		To *time.Time `json:"to"`
	}
	var all []settled
	var on []moved
	for _, b := range bills {
		all = append(all, b.done...)
		m := moved{ID: b.SubscriptionID}
		if !b.Next.IsZero() {
			m.To = &b.Next
		}
		on = append(on, m)
	}
	if len(all) > 0 {
		text, err := rows(all)
		if err != nil {
			return err
		}
		_, err = tx.NewRaw(`UPDATE usage_totals t SET rounds = t.rounds + 1, billed_minor = r.b, late = r.l
			FROM jsonb_to_recordset(?::jsonb) AS r(s uuid, m uuid, f timestamptz, b bigint, l bigint)
			WHERE t.subscription_id = r.s AND t.meter_id = r.m AND t.period_from = r.f`, text).Exec(ctx)
		if err != nil {
			return fmt.Errorf("settle %d totals of usage: %w", len(all), err)
		}
	}
	if len(on) == 0 {
		return nil
	}
	text, err := rows(on)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`UPDATE subscriptions s SET metered_to = r.to FROM jsonb_to_recordset(?::jsonb) AS r(id uuid, "to" timestamptz) WHERE s.id = r.id`, text).Exec(ctx)
	if err != nil {
		return fmt.Errorf("move on %d months of usage: %w", len(on), err)
	}
	return nil
}

// Begin says when the usage of a subscription that begins is invoiced first, and returns
// it; zero: its plan has no meters.
func Begin(ctx context.Context, tx *tenancy.Tx, id, plan uuid.UUID, anchor time.Time, zone *time.Location) (time.Time, error) {
	to := billing.UsagePeriod(anchor, tx.Now(), zone).To
	res, err := tx.NewRaw(`UPDATE subscriptions SET metered_to = ? WHERE id = ? AND EXISTS (SELECT FROM meters m WHERE m.plan_id = ? AND m.retired_at IS NULL AND (m.feed <> 'hours' OR subscriptions.cycle = 'hourly'))`, to, id, plan).Exec(ctx)
	if err != nil {
		return time.Time{}, fmt.Errorf("begin to meter subscription %s: %w", id, err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return time.Time{}, err
	}
	return to, nil
}
