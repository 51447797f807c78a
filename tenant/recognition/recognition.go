// Package recognition owns what is invoiced for a time ahead and not earned yet: a row for
// each such line of an invoice, and the movements of the books from deferred revenue to
// revenue as the time passes. Which lines are earned over a time, and how much by when,
// are rules of billing; invoices write the rows when they are issued, subscriptions say
// when a time begins, stands still, goes on and ends. It changes no document.
package recognition

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/ledger"
)

// Row is a line as it is kept when its invoice is issued.
type Row struct {
	Position       int        `json:"position"` // from 1
	SubscriptionID *string    `json:"subscription_id"`
	Net            int64      `json:"net"`
	DoneTo         time.Time  `json:"done_to"`
	From           *time.Time `json:"period_from"`
	To             *time.Time `json:"period_to"`
}

// Begun reports whether the line's time is known. Of what awaits its payment Begin says it.
func (r Row) Begun() bool { return r.To != nil }

// Rows are the lines of an invoice issued at a time that are earned later, and what they
// come to.
func Rows(lines []billing.Line, at time.Time) (rows []Row, ahead billing.Money) {
	ahead.Currency = lines[0].Net.Currency
	for _, d := range billing.Deferrals(lines, at) {
		r := Row{Position: d.Line + 1, Net: d.Net.Minor, DoneTo: at}
		if sub := lines[d.Line].SubscriptionID; sub != "" {
			r.SubscriptionID = &sub
		}
		if !d.Period.To.IsZero() {
			r.From, r.To = &d.Period.From, &d.Period.To
			if d.Period.From.After(at) {
				r.DoneTo = d.Period.From
			}
		}
		ahead.Minor += d.Net.Minor
		rows = append(rows, r)
	}
	return rows, ahead
}

// open is a row of which something is left.
type open struct {
	InvoiceID            uuid.UUID `json:"invoice_id"`
	Position             int       `json:"position"`
	AccountID            uuid.UUID `json:"-"`
	Currency             string    `json:"-"`
	NetMinor             int64     `json:"net_minor"`
	DoneMinor            int64     `json:"done_minor"`
	DoneTo               time.Time `json:"done_to"`
	PeriodFrom, PeriodTo time.Time `json:"-"`
	Held                 bool      `json:"held"`

	From *time.Time `json:"period_from"`
	To   *time.Time `json:"period_to"`
}

const openColumns = `invoice_id, position, account_id, currency, net_minor, done_minor, done_to, period_from, period_to, held`

// locked are the open rows of some, in the order in which everybody locks them.
func locked(ctx context.Context, tx *tenancy.Tx, where string, args ...any) (rows []open, err error) {
	err = tx.NewRaw("SELECT "+openColumns+" FROM recognitions WHERE done_minor <> net_minor AND "+where+" ORDER BY invoice_id, position FOR UPDATE", args...).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read deferred revenue: %w", err)
	}
	return rows, nil
}

func (r open) money(minor int64) billing.Money {
	return billing.Money{Minor: minor, Currency: r.Currency}
}

func (r open) left() billing.Money { return r.money(r.NetMinor - r.DoneMinor) }

func (r open) begun() bool { return !r.PeriodTo.IsZero() }

// earn recognises what is earned by a time, and says what that moves. What comes at a time
// before something else was moved is nothing.
func (r *open) earn(at time.Time) (billing.Money, error) {
	if !r.begun() || r.Held || at.Before(r.PeriodFrom) {
		return r.money(0), nil
	}
	earned, err := billing.Earned(r.money(r.NetMinor), billing.Period{From: r.PeriodFrom, To: r.PeriodTo}, at)
	if err != nil {
		return earned, fmt.Errorf("recognise line %d of invoice %s: %w", r.Position, r.InvoiceID, err)
	}
	part := r.money(earned.Minor - r.DoneMinor)
	r.DoneMinor, r.DoneTo = earned.Minor, at
	return part, nil
}

// event is one movement of a line; what names it is a time or what caused it, once a line.
func (r open) event(what string, at time.Time, moves []billing.Posting) ledger.Event {
	return ledger.Event{
		Key: "recognised/" + r.InvoiceID.String() + "/" + strconv.Itoa(r.Position) + "/" + what, At: at,
		AccountID: r.AccountID, SourceKind: "invoice", SourceID: r.InvoiceID, Moves: moves,
	}
}

// fromNow makes the rest of a row one that begins now: what is earned stays earned, however
// the rest changes.
func (r *open) fromNow(what string, now time.Time) ([]ledger.Event, error) {
	part, err := r.earn(now)
	if err != nil {
		return nil, err
	}
	if r.begun() && !r.Held && now.After(r.PeriodFrom) {
		r.NetMinor, r.DoneMinor, r.PeriodFrom, r.DoneTo = r.NetMinor-r.DoneMinor, 0, now, now
		if !r.PeriodTo.After(now) {
			r.PeriodTo = now.Add(time.Microsecond) // over: nothing is left
		}
	}
	if part.IsZero() {
		return nil, nil
	}
	return []ledger.Event{r.event(what, now, billing.PostEarned(part))}, nil
}

// keep writes rows, and their events into the books.
func keep(ctx context.Context, tx *tenancy.Tx, rows []open, events []ledger.Event) error {
	if len(rows) == 0 {
		return nil
	}
	for i := range rows {
		if r := &rows[i]; r.begun() {
			r.From, r.To = &r.PeriodFrom, &r.PeriodTo
		}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`UPDATE recognitions x SET net_minor = r.net_minor, done_minor = r.done_minor, done_to = r.done_to, period_from = r.period_from, period_to = r.period_to, held = r.held
		FROM jsonb_to_recordset(?::jsonb) AS r(invoice_id uuid, position int, net_minor bigint, done_minor bigint, done_to timestamptz, period_from timestamptz, period_to timestamptz, held boolean)
		WHERE x.invoice_id = r.invoice_id AND x.position = r.position`, string(text)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("keep deferred revenue: %w", err)
	}
	return ledger.Post(ctx, tx, events...)
}
