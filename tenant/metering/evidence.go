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
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/catalog"
)

// Line is a line of an invoice about usage.
type Line struct {
	InvoiceID      uuid.UUID
	Position       int
	SubscriptionID uuid.UUID
	Description    string
	Meter          catalog.Meter
	Period         billing.Period
	Round          int // which of the month's invoices it is on, from 0
	Net            billing.Money
}

// Seen is an event behind a line.
type Seen struct {
	Source, ID   string
	At           time.Time
	Value        string
	Phase, Mark  string
	Attributes   map[string]string
	RecordedAt   time.Time
	RawAttribute string `bun:"attributes"`
	Matches      int    `bun:"matches"` // of the whole list
}

// Ran is a session behind a line, with the hours of it that count in the line's month.
type Ran struct {
	Mark        string
	Start, Stop time.Time // Stop zero: it runs on
	Hours       *big.Rat
}

// MaxEvents is the most events Behind returns at once.
const MaxEvents = 200

// LineOf is a line of an invoice. Fault: invoice.line_not_found, of lines that are about
// something else too.
func LineOf(ctx context.Context, tx *tenancy.Tx, invoice uuid.UUID, position int) (Line, error) {
	var r struct {
		SubscriptionID        uuid.UUID
		Description, Currency string
		Meter                 string
		PeriodFrom, PeriodTo  time.Time
		UsageRound            int
		NetMinor              int64
	}
	err := tx.NewRaw(`SELECT l.subscription_id, l.description, i.currency, l.period_from, l.period_to, l.usage_round, l.net_minor, `+catalog.MeterJSON+`::text AS meter
		FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id JOIN meters m ON m.id = l.meter_id WHERE l.invoice_id = ? AND l.position = ?`, invoice, position).Scan(ctx, &r)
	if tenancy.IsNoRows(err) {
		return Line{}, fault.New(fault.NotFound, "invoice.line_not_found", "There is no usage behind this line.")
	}
	if err != nil {
		return Line{}, fmt.Errorf("read the line: %w", err)
	}
	var m catalog.Meter
	if err := json.Unmarshal([]byte(r.Meter), &m); err != nil {
		return Line{}, fmt.Errorf("read the meter: %w", err)
	}
	return Line{
		InvoiceID: invoice, Position: position, SubscriptionID: r.SubscriptionID, Description: r.Description, Meter: m, Period: billing.Period{From: r.PeriodFrom, To: r.PeriodTo},
		Round: r.UsageRound, Net: billing.Money{Minor: r.NetMinor, Currency: r.Currency},
	}, nil
}

// Behind are the events behind a line, the oldest first, and how many there are in all: of
// the month's first invoice those that were told before it, of a later one those that came
// since the one before.
func (l Line) Behind(ctx context.Context, tx *tenancy.Tx, offset, limit int) (found []Seen, total int, err error) {
	if limit <= 0 || limit > MaxEvents {
		limit = MaxEvents
	}
	const where = " FROM usage_events WHERE subscription_id = ? AND meter_id = ? AND period_from = ? AND round = ?"
	args := []any{l.SubscriptionID, l.Meter.ID, l.Period.From, l.Round}
	err = tx.NewRaw(`SELECT source, id, at, value::text AS value, phase, mark, coalesce(attributes::text, '') AS attributes, recorded_at, count(*) OVER () AS matches`+where+
		" ORDER BY at, source, id LIMIT ? OFFSET ?", append(args, limit, max(offset, 0))...).Scan(ctx, &found)
	if err != nil {
		return nil, 0, fmt.Errorf("read events: %w", err)
	}
	for i, e := range found {
		total = e.Matches
		if e.RawAttribute == "" {
			continue
		}
		if err := json.Unmarshal([]byte(e.RawAttribute), &found[i].Attributes); err != nil {
			return nil, 0, fmt.Errorf("read events: %w", err)
		}
	}
	return found, total, nil
}

// Sessions are the sessions of a line's month, where its meter counts time.
func (l Line) Sessions(ctx context.Context, tx *tenancy.Tx) (all []Ran, err error) {
	if l.Meter.Aggregation != billing.MeterSessions {
		return nil, nil
	}
	found, err := sessionsIn(ctx, tx, []pair{{l.SubscriptionID, l.Meter.ID}}, l.Period.From, l.Period.To)
	if err != nil {
		return nil, err
	}
	for _, x := range found {
		stop := x.StoppedAt
		if stop.IsZero() {
			stop = l.Period.To
		}
		all = append(all, Ran{Mark: x.Mark, Start: x.StartedAt, Stop: x.StoppedAt, Hours: billing.StepHours(billing.Increments(x.StartedAt, stop, l.Meter.Step(), l.Period), l.Meter.Step())})
	}
	return all, nil
}
