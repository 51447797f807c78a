package metering

import (
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// What an hour of a subscription costs is kept with it: of its plan and of its options, from when
// on, and what is taken off a month of them. The meter counts the hours; its own tariff counts for
// those before the first of these spans.

// hoursKept is how long spans are kept after they are over: as long as what came late of their
// months may be priced anew.
const hoursKept = MaxAge + 62*24*time.Hour

// spans are what an hour costs, by time, the meter's own tariff first.
func (s sub) spans(m catalog.Meter) ([]billing.HourSpan, error) {
	var kept []billing.HourSpan
	if s.Hours != "" {
		if err := json.Unmarshal([]byte(s.Hours), &kept); err != nil {
			return nil, fmt.Errorf("read the hours of subscription %s: %w", s.ID, err)
		}
	}
	h, ok := m.Hours(s.Currency)
	if !ok {
		return kept, nil
	}
	first := billing.HourPart{Kind: "plan", Label: s.Label, Price: h}
	for _, x := range kept { // what stays the same has one most
		for _, p := range x.Parts {
			if p.Kind == "plan" && p.Price == h && p.PriceID == "" {
				first = p
			}
		}
	}
	return append([]billing.HourSpan{{Parts: []billing.HourPart{first}}}, kept...), nil
}

// PriceHours says what an hour of a subscription costs from next.From on, and from which hour on
// that counts (billing.AddHours). It may be repeated.
func PriceHours(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, next billing.HourSpan) (from time.Time, err error) {
	next.From = next.From.UTC().Truncate(time.Microsecond)
	var text string
	if err := tx.NewRaw("SELECT coalesce(hours::text, '') FROM subscriptions WHERE id = ?", id).Scan(ctx, &text); err != nil {
		return from, fmt.Errorf("read the hours of subscription %s: %w", id, err)
	}
	var spans []billing.HourSpan
	if text != "" {
		if err := json.Unmarshal([]byte(text), &spans); err != nil {
			return from, fmt.Errorf("read the hours of subscription %s: %w", id, err)
		}
	}
	running, err := hoursOf(ctx, tx, id)
	if err != nil {
		return from, err
	}
	var start time.Time
	for _, x := range running {
		start = later(start, x.Start)
	}
	spans, from = billing.AddHours(spans, next, start)
	for len(spans) > 1 && spans[1].From.Before(tx.Now().Add(-hoursKept)) {
		spans = spans[1:]
	}
	raw, err := rows(spans)
	if err != nil {
		return from, err
	}
	if _, err := tx.NewRaw("UPDATE subscriptions SET hours = ?::jsonb WHERE id = ?", raw, id).Exec(ctx); err != nil {
		return from, fmt.Errorf("keep the hours of subscription %s: %w", id, err)
	}
	return from, nil
}

// hoursOf are the hours of a subscription that run.
func hoursOf(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (all []billing.Session, err error) {
	run, err := runningOf(ctx, tx, []uuid.UUID{id})
	if err != nil || len(run) == 0 {
		return nil, err
	}
	ids := make([]uuid.UUID, 0, len(run))
	for k := range run {
		ids = append(ids, k.Meter)
	}
	meters, err := catalog.Meters(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	for _, m := range meters {
		if m.Feed == catalog.FeedHours {
			all = append(all, run[pair{id, m.ID}]...)
		}
	}
	return all, nil
}

// hourly is what prices the hours of months: the sessions behind totals, and what was taken off
// each month so far by codes that are amounts.
type hourly struct {
	sessions map[pair][]billing.Session
	taken    map[string]map[string]int64
}

// hourlyOf reads the sessions behind those totals whose meters count hours of what is paid so.
func hourlyOf(ctx context.Context, tx *tenancy.Tx, of map[pair]bool, from, to time.Time) (hourly, error) {
	h := hourly{sessions: map[pair][]billing.Session{}, taken: map[string]map[string]int64{}}
	if len(of) == 0 {
		return h, nil
	}
	pairs := make([]pair, 0, len(of))
	for k := range of {
		pairs = append(pairs, k)
	}
	found, err := sessionsIn(ctx, tx, pairs, from, to)
	for _, x := range found {
		k := pair{x.SubscriptionID, x.MeterID}
		h.sessions[k] = append(h.sessions[k], x.of())
	}
	return h, err
}

// price is what the hours of a total come to, part by part.
func (h hourly) price(s sub, m catalog.Meter, t *total, until time.Time) ([]billing.HourLine, error) {
	spans, err := s.spans(m)
	if err != nil {
		return nil, err
	}
	month := s.ID.String() + t.PeriodFrom.UTC().Format(time.RFC3339Nano)
	if h.taken[month] == nil {
		h.taken[month] = map[string]int64{}
	}
	if until.After(t.PeriodTo) {
		until = t.PeriodTo
	}
	return billing.Hours(spans, t.period(), h.sessions[pair{s.ID, m.ID}], until, h.taken[month])
}

// hourCharge is what lines come to, as a charge.
func hourCharge(c billing.Charge, lines []billing.HourLine) billing.Charge {
	c.Net.Minor, c.Most = 0, false
	for _, l := range lines {
		c.Net.Minor += l.Net.Minor
		c.Most = c.Most || l.Most
	}
	return c
}

// words say what a line of hours is for: "Cloud Desktop S: Hours, 65 hours".
func (s sub) hourWords(m catalog.Meter, l billing.HourLine) string {
	name := m.Name
	if l.Part.Kind != "plan" {
		name = l.Part.Label
	}
	text := strings.TrimSpace(s.Label+": "+name) + ", " + m.Amount(new(big.Rat).SetInt64(l.Hours))
	if l.Most {
		text += ", the most a month"
	}
	return text + l.Words
}
