package recognition

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/ledger"
)

// Begin says that the time begins for which a subscription's order was invoiced.
func Begin(ctx context.Context, tx *tenancy.Tx, subscription uuid.UUID, p billing.Period) error {
	if p.To.IsZero() {
		return Finish(ctx, tx, subscription)
	}
	_, err := tx.NewRaw(`UPDATE recognitions SET period_from = ?, period_to = ?, done_to = ? WHERE subscription_id = ? AND done_minor <> net_minor AND period_from IS NULL`,
		p.From, p.To, p.From, subscription).Exec(ctx)
	if err != nil {
		return fmt.Errorf("begin to earn: %w", err)
	}
	return tx.AdvanceAgenda(ctx, Agenda, soonest(tx.Now()))
}

// Hold stops a subscription's time now: nothing is earned while it is paused.
func Hold(ctx context.Context, tx *tenancy.Tx, subscription uuid.UUID, now time.Time) error {
	rows, err := locked(ctx, tx, "subscription_id = ? AND NOT held AND period_from IS NOT NULL", subscription)
	if err != nil {
		return err
	}
	var events []ledger.Event
	for i := range rows {
		more, err := rows[i].fromNow(instant(now), now)
		if err != nil {
			return err
		}
		events = append(events, more...)
		rows[i].Held = true
	}
	return keep(ctx, tx, rows, events)
}

// Continue lets a subscription's time go on that stood still for so long: what is left is
// earned later by as much.
func Continue(ctx context.Context, tx *tenancy.Tx, subscription uuid.UUID, by time.Duration) error {
	rows, err := locked(ctx, tx, "subscription_id = ? AND held", subscription)
	if err != nil || len(rows) == 0 {
		return err
	}
	for i := range rows {
		r := &rows[i]
		r.PeriodFrom, r.PeriodTo, r.Held = r.PeriodFrom.Add(by), r.PeriodTo.Add(by), false
		r.DoneTo = r.PeriodFrom
	}
	if err := keep(ctx, tx, rows, nil); err != nil {
		return err
	}
	return tx.AdvanceAgenda(ctx, Agenda, soonest(tx.Now()))
}

// Finish recognises all that is left of a subscription that ends: nothing is owed to its
// customer for it any more. What is given back is credited before, or by a credit note
// that takes revenue back.
func Finish(ctx context.Context, tx *tenancy.Tx, subscription uuid.UUID) error {
	rows, err := locked(ctx, tx, "subscription_id = ?", subscription)
	if err != nil {
		return err
	}
	now := tx.Now()
	var events []ledger.Event
	for i := range rows {
		r := &rows[i]
		events = append(events, r.event("end", now, billing.PostEarned(r.left())))
		r.DoneMinor, r.DoneTo, r.Held = r.NetMinor, now, false
	}
	return keep(ctx, tx, rows, events)
}

// Credited is a credit note for an invoice, or a part of it.
type Credited struct {
	InvoiceID, NoteID uuid.UUID
	Net               billing.Money
	Lines             map[int]int64 // net by position, from 1; nil: of the whole invoice
	Whole             bool          // nothing of the invoice is left afterwards
}

// Credit takes what a credit note gives back out of what is not earned yet, and says how
// much that was; the rest of its net takes revenue back. What is earned by now is
// recognised before: it stays earned.
func Credit(ctx context.Context, tx *tenancy.Tx, c Credited) (ahead billing.Money, err error) {
	ahead.Currency = c.Net.Currency
	rows, err := locked(ctx, tx, "invoice_id = ?", c.InvoiceID)
	if err != nil || len(rows) == 0 {
		return ahead, err
	}
	var events []ledger.Event
	left := make([]billing.Money, len(rows))
	for i := range rows {
		r := &rows[i]
		if !c.Whole {
			more, err := r.fromNow(c.NoteID.String(), tx.Now())
			if err != nil {
				return ahead, err
			}
			events = append(events, more...)
		}
		left[i] = r.left()
		ahead.Minor += left[i].Minor
	}
	taken := left
	switch {
	case c.Whole:
	case c.Lines != nil:
		ahead.Minor, taken = 0, make([]billing.Money, len(rows))
		for i, r := range rows {
			// Of a line that takes something off, what it has not taken yet.
			taken[i] = r.money(max(min(c.Lines[r.Position], max(left[i].Minor, 0)), min(left[i].Minor, 0)))
			ahead.Minor += taken[i].Minor
		}
	default:
		ahead.Minor = max(0, min(ahead.Minor, c.Net.Minor))
		if taken, err = billing.Take(left, ahead); err != nil {
			return ahead, fmt.Errorf("credit deferred revenue of invoice %s: %w", c.InvoiceID, err)
		}
	}
	for i := range rows {
		rows[i].NetMinor -= taken[i].Minor
	}
	return ahead, keep(ctx, tx, rows, events)
}

// instant names a movement that happened at a time, once a line.
func instant(t time.Time) string { return strconv.FormatInt(t.UnixMicro(), 10) }
