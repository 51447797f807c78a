package metering

import (
	"context"
	"fmt"
	"math/big"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// Report is what an audit of usage found.
type Report struct {
	Totals   int
	Events   int64
	Problems []string // at most maxProblems
}

// Holds reports whether everything is as the events say.
func (r Report) Holds() bool { return len(r.Problems) == 0 }

const maxProblems = 20

func (r *Report) problem(format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	}
}

// Audit works every total out again from the events that are kept and compares. Months
// whose events may have been forgotten are left out.
func Audit(ctx context.Context, tx *tenancy.Tx) (r Report, err error) {
	since := tx.Now().Add(-Kept)
	var odd []struct {
		SubscriptionID uuid.UUID
		PeriodFrom     time.Time
		Code           string
		Quantity, Want string
		Events, N      int64
	}
	// One pass over the events for all that is added up.
	err = tx.NewRaw(`WITH told AS (
			SELECT e.subscription_id, e.meter_id, e.period_from, count(*) AS n, sum(e.value) AS sum, max(e.value) AS max,
				(array_agg(e.value ORDER BY e.at DESC, e.source || '/' || e.id DESC) FILTER (WHERE m.aggregation = 'last'))[1] AS last,
				count(DISTINCT e.mark) FILTER (WHERE m.aggregation = 'unique') AS marks
			FROM usage_events e JOIN meters m ON m.id = e.meter_id WHERE e.period_from >= ? GROUP BY 1, 2, 3)
		SELECT coalesce(t.subscription_id, e.subscription_id) AS subscription_id, coalesce(t.period_from, e.period_from) AS period_from, m.code,
			coalesce(t.quantity, 0)::text AS quantity, w.want::text AS want, coalesce(t.events, -1) AS events, coalesce(e.n, 0) AS n
		FROM told e FULL JOIN (SELECT * FROM usage_totals WHERE period_from >= ?) t USING (subscription_id, meter_id, period_from)
		JOIN meters m ON m.id = coalesce(t.meter_id, e.meter_id),
		LATERAL (SELECT coalesce(CASE m.aggregation WHEN 'sum' THEN e.sum WHEN 'max' THEN e.max WHEN 'last' THEN e.last WHEN 'unique' THEN e.marks ELSE t.quantity END, 0) AS want) w
		WHERE coalesce(t.events, -1) <> coalesce(e.n, 0) OR coalesce(t.quantity, 0) <> w.want LIMIT ?`, since, since, maxProblems).Scan(ctx, &odd)
	if err != nil {
		return r, fmt.Errorf("audit usage: %w", err)
	}
	for _, x := range odd {
		r.problem("subscription %s, %s from %s: the total is %s of %d events, the events are %s of %d", x.SubscriptionID, x.Code, x.PeriodFrom.Format(time.DateOnly), x.Quantity, x.Events, x.Want, x.N)
	}
	if err := tx.NewRaw("SELECT count(*), coalesce(sum(events), 0)::bigint FROM usage_totals WHERE period_from >= ?", since).Scan(ctx, &r.Totals, &r.Events); err != nil {
		return r, fmt.Errorf("audit usage: %w", err)
	}
	return r, r.timed(ctx, tx, since)
}

// timed works out what depends on the order of events by the rule itself.
func (r *Report) timed(ctx context.Context, tx *tenancy.Tx, since time.Time) error {
	all, err := totals(ctx, tx, `usage_totals t JOIN meters m ON m.id = t.meter_id WHERE m.aggregation IN ('time_weighted', 'sessions') AND t.period_from >= ?
		ORDER BY t.subscription_id, t.meter_id, t.period_from`, since)
	if err != nil || len(all) == 0 {
		return err
	}
	var of pair
	var m catalog.Meter
	var events []billing.MeterEvent
	for _, t := range all {
		if k := (pair{t.SubscriptionID, t.MeterID}); k != of {
			of = k
			if m, err = catalog.MeterByID(ctx, tx, t.MeterID); err != nil {
				return err
			}
			if events, err = eventsOf(ctx, tx, k); err != nil {
				return err
			}
		}
		if want := t.again(m, events); want.Cmp(t.sum) != 0 {
			r.problem("subscription %s, %s from %s: the total is %s, the events are %s", t.SubscriptionID, m.Code, t.PeriodFrom.Format(time.DateOnly), decimal(t.sum), decimal(want))
		}
	}
	return nil
}

// again is a total of time as its events make it.
func (t *total) again(m catalog.Meter, events []billing.MeterEvent) *big.Rat {
	if m.Aggregation == billing.MeterWeighted {
		x := &total{PeriodFrom: t.PeriodFrom, PeriodTo: t.PeriodTo, holds: new(big.Rat)}
		x.weigh(events)
		return x.sum
	}
	var steps int64
	for _, s := range billing.SessionsOf(events) {
		if !s.Stop.IsZero() {
			steps += billing.Increments(s.Start, s.Stop, m.Step(), t.period())
		}
	}
	return new(big.Rat).SetInt64(steps)
}

func eventsOf(ctx context.Context, tx *tenancy.Tx, of pair) ([]billing.MeterEvent, error) {
	var found []struct {
		At                      time.Time
		Key, Value, Phase, Mark string
	}
	err := tx.NewRaw(`SELECT at, source || '/' || id AS key, value::text AS value, phase, mark FROM usage_events WHERE subscription_id = ? AND meter_id = ? ORDER BY at, source || '/' || id`, of.Sub, of.Meter).Scan(ctx, &found)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	all := make([]billing.MeterEvent, len(found))
	for i, f := range found {
		v, ok := new(big.Rat).SetString(f.Value)
		if !ok {
			return nil, fmt.Errorf("a value of subscription %s is no number", of.Sub)
		}
		all[i] = billing.MeterEvent{Key: f.Key, At: f.At, Value: v, Phase: f.Phase, Mark: f.Mark}
	}
	return all, nil
}

// Forget removes events of months that were invoiced and are older than Kept, so many at
// once, and says how many. What they came to stays, and so do sessions and values that
// hold: they may reach into the months of today.
func Forget(ctx context.Context, tx *tenancy.Tx, most int) (int64, error) {
	before := tx.Now().Add(-Kept - 31*24*time.Hour)
	if _, err := tx.NewRaw("DELETE FROM usage_marks WHERE period_from > '-infinity' AND period_from < ?", before.AddDate(0, -1, 0)).Exec(ctx); err != nil {
		return 0, fmt.Errorf("forget marks: %w", err)
	}
	res, err := tx.NewRaw(`DELETE FROM usage_events e USING (
			SELECT x.source, x.id FROM usage_totals t JOIN usage_events x ON x.subscription_id = t.subscription_id AND x.meter_id = t.meter_id AND x.period_from = t.period_from
			JOIN meters m ON m.id = t.meter_id AND m.aggregation IN ('sum', 'max', 'last', 'unique')
			JOIN subscriptions s ON s.id = t.subscription_id
			WHERE t.period_to < ? AND (t.rounds > 0 OR t.period_from < (s.trial->>'until')::timestamptz) LIMIT ?) old WHERE e.source = old.source AND e.id = old.id`, before, most).Exec(ctx)
	if err != nil {
		return 0, fmt.Errorf("forget events: %w", err)
	}
	return res.RowsAffected()
}
