package bankbook

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/bank"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/payment"
)

// Fit is what a booking seems to pay.
type Fit struct {
	Numbers []string // of invoices
	Sure    bool
	Why     string
}

// mostOpen bounds the open invoices that are looked at, the oldest first; for so many days
// money is expected that comes too late.
const (
	mostOpen = 10_000
	lateDays = 90
)

// Suggest says of some bookings what they seem to pay, in their order, in one statement.
func Suggest(ctx context.Context, tx *tenancy.Tx, lines []Line) ([]Fit, error) {
	fits := make([]Fit, len(lines))
	if len(lines) == 0 {
		return fits, nil
	}
	var rows []struct {
		Number, Name, Currency string
		Minor                  int64
		Over                   bool
	}
	err := tx.NewRaw(`SELECT i.number, a.name, i.currency, i.state = 'void' AS over, CASE WHEN i.state = 'void' THEN i.total_minor ELSE i.total_minor - i.paid_minor - i.credited_minor END AS minor
		FROM invoices i JOIN accounts a ON a.id = i.account_id
		WHERE i.kind IN ('invoice', 'top_up') AND (i.state = 'open' AND i.total_minor > i.paid_minor + i.credited_minor OR i.state = 'void' AND i.changed_at > ?)
		ORDER BY i.state, i.issued_at, i.id LIMIT ?`, tx.Now().AddDate(0, 0, -lateDays), mostOpen).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("look for open invoices: %w", err)
	}
	due := make([]bank.Due, len(rows))
	for i, r := range rows {
		due[i] = bank.Due{Number: r.Number, Name: r.Name, Amount: billing.Money{Minor: r.Minor, Currency: r.Currency}, Over: r.Over}
	}
	m, taken := bank.NewMatcher(due), map[int]bool{}
	for i, l := range lines {
		s := m.Suggest(bank.Booking{Amount: l.Amount, Party: l.Party, Text: l.Text, Reference: l.Reference})
		if s.Sure == bank.Nothing {
			continue
		}
		fits[i] = Fit{Sure: s.Sure == bank.Certain, Why: s.Why}
		for _, d := range s.Due {
			if taken[d] && fits[i].Sure { // another line pays it already
				fits[i].Sure, fits[i].Why = false, "Another booking here names the same invoice."
			}
			taken[d] = true
			fits[i].Numbers = append(fits[i].Numbers, due[d].Number)
		}
	}
	return fits, nil
}

// Choice is a booking and the invoices it pays, as somebody decided.
type Choice struct {
	ID      uuid.UUID
	Numbers string // as typed: with commas or spaces
}

// Outcome is what came of applying some.
type Outcome struct {
	Applied int
	Refused map[uuid.UUID]string // why, by the booking
}

// Apply books what was chosen, each booking for itself and once, however often it is asked
// for. What cannot be booked is said and stops nothing else.
func Apply(ctx context.Context, db *tenancy.DB, chosen []Choice, by audit.Origin) (Outcome, error) {
	out := Outcome{Refused: map[uuid.UUID]string{}}
	for _, c := range chosen {
		var did bool
		err := db.Update(ctx, func(tx *tenancy.Tx) (err error) {
			did, err = applyOne(ctx, tx, c, by)
			return err
		})
		switch {
		case err != nil && fault.From(err).Kind == fault.Internal:
			return out, err
		case err != nil:
			out.Refused[c.ID] = fault.From(err).Message
		case did:
			out.Applied++
		}
	}
	return out, nil
}

// mostInvoices is how many one booking may pay.
const mostInvoices = 50

// numbers are the invoices' numbers somebody typed.
func (c Choice) numbers() (all []string) {
	for _, n := range strings.FieldsFunc(c.Numbers, func(r rune) bool { return r == ',' || r == ';' || r == ' ' || r == '\t' || r == '\n' || r == '\r' }) {
		if !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	return all
}

// owed is an invoice, or credit to be paid ahead, that is to be paid; of one that was
// cancelled, what it asked for: so much of what comes becomes credit.
type owed struct {
	ID               uuid.UUID
	Number, Currency string
	Minor            int64
}

// applyOne books one booking. It reports false for one that is not open any more.
func applyOne(ctx context.Context, tx *tenancy.Tx, c Choice, by audit.Origin) (bool, error) {
	l, err := lock(ctx, tx, c.ID)
	if err != nil || l.State != Open || l.Amount.Minor <= 0 {
		return false, err
	}
	all, err := invoices(ctx, tx, c.numbers())
	if err != nil {
		return false, err
	}
	due := make([]billing.Money, len(all))
	for i, o := range all {
		due[i] = billing.Money{Minor: o.Minor, Currency: o.Currency}
	}
	ids, booked := []uuid.UUID{}, map[string]string{}
	for i, share := range bank.Share(l.Amount, due) {
		if share.Minor <= 0 {
			continue
		}
		p, err := payment.ReceiveTransfer(ctx, tx, all[i].ID, "bank/"+l.ID.String()+"/"+all[i].ID.String(), share)
		if err != nil {
			return false, err
		}
		ids, booked[all[i].Number] = append(ids, p.ID), share.String()
	}
	kept, err := json.Marshal(ids)
	if err != nil {
		return false, err
	}
	_, err = tx.NewRaw("UPDATE bank_bookings SET state = 'applied', applied_minor = amount_minor, payments = ?::jsonb, changed_at = ? WHERE id = ?", string(kept), tx.Now(), l.ID).Exec(ctx)
	if err != nil {
		return false, fmt.Errorf("note an applied booking: %w", err)
	}
	return true, by.Record(ctx, tx, "bank.applied", audit.Target{Kind: "bank_booking", ID: l.ID.String()}, map[string]any{"amount": l.Amount.String(), "invoices": booked})
}

// lock keeps a booking from others. The fault is bank.not_found.
func lock(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (Line, error) {
	var r struct {
		State, Currency string
		AmountMinor     int64
	}
	err := tx.NewRaw("SELECT state, currency, amount_minor FROM bank_bookings WHERE id = ? FOR UPDATE", id).Scan(ctx, &r)
	if tenancy.IsNoRows(err) {
		return Line{}, fault.New(fault.NotFound, "bank.not_found", "There is no such booking.")
	}
	if err != nil {
		return Line{}, fmt.Errorf("lock booking: %w", err)
	}
	return Line{ID: id, State: State(r.State), Amount: billing.Money{Minor: r.AmountMinor, Currency: r.Currency}}, nil
}

// invoices are those with some numbers, in their order, and kept from others. Faults:
// bank.no_number, bank.no_invoice.
func invoices(ctx context.Context, tx *tenancy.Tx, numbers []string) ([]owed, error) {
	switch {
	case len(numbers) == 0:
		return nil, fault.New(fault.Conflict, "bank.no_number", "Write the number of the invoice it pays.")
	case len(numbers) > mostInvoices:
		return nil, fault.New(fault.Conflict, "bank.no_invoice", fmt.Sprintf("One booking can pay at most %d invoices.", mostInvoices))
	}
	var rows []owed
	err := tx.NewRaw(`SELECT id, number, currency, CASE WHEN state = 'void' THEN total_minor ELSE total_minor - paid_minor - credited_minor END AS minor FROM invoices
		WHERE number IN (?) AND kind IN ('invoice', 'top_up') AND state <> 'draft' ORDER BY id FOR UPDATE`, bun.List(numbers)).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("look for invoices: %w", err)
	}
	all := make([]owed, len(numbers))
	for i, n := range numbers {
		j := slices.IndexFunc(rows, func(o owed) bool { return o.Number == n })
		if j < 0 {
			return nil, fault.New(fault.Conflict, "bank.no_invoice", "There is no invoice "+short(n)+".")
		}
		all[i] = rows[j]
	}
	return all, nil
}

func short(s string) string {
	if runes := []rune(s); len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return s
}

// PutAside says of bookings that they are no customers' payments, or that they are to be
// looked at after all. Those that were applied stay so.
func PutAside(ctx context.Context, db *tenancy.DB, ids []uuid.UUID, aside bool, by audit.Origin) (n int, err error) {
	if len(ids) == 0 {
		return 0, nil
	}
	was, is := Open, Aside
	if !aside {
		was, is = Aside, Open
	}
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		res, err := tx.NewRaw("UPDATE bank_bookings SET state = ?, changed_at = ? WHERE id IN (?) AND state = ? AND amount_minor > 0", string(is), tx.Now(), bun.List(ids), string(was)).Exec(ctx)
		if err != nil {
			return fmt.Errorf("set bookings aside: %w", err)
		}
		changed, err := res.RowsAffected()
		if n = int(changed); err != nil || n == 0 {
			return err
		}
		return by.Record(ctx, tx, "bank.set_aside", audit.Target{Kind: "bank_booking", ID: ids[0].String()}, map[string]any{"bookings": n, "aside": aside})
	})
	return n, err
}
