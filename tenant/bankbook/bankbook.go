// Package bankbook owns what stands on the statements of a shop's bank account: each
// booking once, which invoices it seems to pay, and what became of it. The money itself is
// booked by payment. How statements are read and what fits is billing/bank's.
package bankbook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/bank"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/settings"
)

// State is what became of a booking.
type State string

// The states.
const (
	Open    State = "open"    // it is to be looked at
	Applied State = "applied" // it has paid invoices
	Aside   State = "aside"   // it is no customer's payment
)

// Line is a booking as it is kept.
type Line struct {
	ID           uuid.UUID
	Source       string
	On           time.Time
	Amount       billing.Money
	Party        string
	PartyAccount string
	Text         string
	Reference    string
	State        State
	Payments     []uuid.UUID
	Total        int // of the whole list
}

// settingName is the shop setting that holds the columns of the bank's CSV files.
const settingName = "bank_columns"

// ColumnsOf is which columns the shop's bank gives its CSV files.
func ColumnsOf(ctx context.Context, tx *tenancy.Tx) (c bank.Columns, err error) {
	_, err = settings.Named(ctx, tx, settingName, &c)
	return c, err
}

// Upload is a statement that somebody hands in.
type Upload struct {
	Name    string // of the file
	File    []byte
	Columns bank.Columns // of a CSV file
}

// Imported is what came of one.
type Imported struct {
	Found, Fresh int // bookings in it, and those that were not known
	Incoming     int // of the fresh ones, money that came
}

// Import keeps the bookings of a statement, each once however often it is handed in, and
// the columns of a CSV file for the next time. Money that left the account is kept and
// set aside. Faults: bank.unreadable, bank.too_large, bank.columns.
func Import(ctx context.Context, db *tenancy.DB, u Upload, by audit.Origin) (out Imported, err error) {
	all, isCSV, err := read(u)
	if err != nil {
		return out, err
	}
	out.Found = len(all)
	rows := make([]row, len(all))
	for i, b := range all {
		if rows[i], err = rowOf(u.Name, b); err != nil {
			return out, err
		}
	}
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if isCSV {
			if err := settings.Put(ctx, tx, settingName, u.Columns); err != nil {
				return err
			}
		}
		out.Fresh, out.Incoming = 0, 0
		for len(rows) > 0 {
			n := min(len(rows), atOnce)
			fresh, incoming, err := insert(ctx, tx, rows[:n])
			if err != nil {
				return err
			}
			out.Fresh, out.Incoming, rows = out.Fresh+fresh, out.Incoming+incoming, rows[n:]
		}
		return by.Record(ctx, tx, "bank.imported", audit.Target{Kind: "bank_statement", ID: fileName(u.Name)}, map[string]any{"found": out.Found, "new": out.Fresh})
	})
	return out, err
}

// atOnce is how many rows one statement inserts.
const atOnce = 1000

// row is a booking as the database reads it.
type row struct {
	ID           uuid.UUID `json:"id"`
	Key          string    `json:"key"`
	Source       string    `json:"source"`
	On           string    `json:"booked_on"`
	Currency     string    `json:"currency"`
	Minor        int64     `json:"amount_minor"`
	Party        string    `json:"party"`
	PartyAccount string    `json:"party_account"`
	Text         string    `json:"text"`
	Reference    string    `json:"reference"`
}

func rowOf(name string, b bank.Booking) (row, error) {
	id, err := uuid.NewV7()
	return row{id, b.Key, fileName(name), b.On.Format(time.DateOnly), b.Amount.Currency, b.Amount.Minor, b.Party, b.PartyAccount, b.Text, b.Reference}, err
}

func fileName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if runes := []rune(s); len(runes) > 120 {
		s = string(runes[:120])
	}
	if s == "" {
		return "statement"
	}
	return s
}

func insert(ctx context.Context, tx *tenancy.Tx, rows []row) (fresh, incoming int, err error) {
	text, err := json.Marshal(rows)
	if err != nil {
		return 0, 0, err
	}
	var made struct{ Fresh, Incoming int }
	err = tx.NewRaw(`WITH made AS (INSERT INTO bank_bookings (id, key, source, booked_on, currency, amount_minor, party, party_account, text, reference, state, applied_minor, payments, created_at, changed_at)
			SELECT x.id, x.key, x.source, x.booked_on, x.currency, x.amount_minor, x.party, x.party_account, x.text, x.reference, CASE WHEN x.amount_minor > 0 THEN 'open' ELSE 'aside' END, 0, '[]'::jsonb, ?, ?
			FROM jsonb_to_recordset(?::jsonb) AS x(id uuid, key text, source text, booked_on date, currency text, amount_minor bigint, party text, party_account text, text text, reference text)
			ON CONFLICT (key) DO NOTHING RETURNING amount_minor)
		SELECT count(*) AS fresh, count(*) FILTER (WHERE amount_minor > 0) AS incoming FROM made`, tx.Now(), tx.Now(), string(text)).Scan(ctx, &made)
	if err != nil {
		return 0, 0, fmt.Errorf("keep bookings: %w", err)
	}
	return made.Fresh, made.Incoming, nil
}

// read reads a statement of either kind.
func read(u Upload) (all []bank.Booking, isCSV bool, err error) {
	head := strings.TrimSpace(strings.TrimPrefix(string(u.File[:min(len(u.File), 200)]), "\ufeff"))
	if isCSV = !strings.HasPrefix(head, "<"); isCSV {
		all, err = bank.CSV(u.File, u.Columns)
	} else {
		all, err = bank.CAMT(u.File)
	}
	var columns *bank.ColumnsError
	switch {
	case errors.As(err, &columns):
		names := map[string]string{}
		for _, m := range columns.Missing {
			if m == "amount" {
				m = "amount_column" // amount is what other forms call money
			}
			names[m] = "Say it here. The file's columns are: " + strings.Join(columns.Head, " · ") + "."
		}
		return nil, isCSV, fault.Fields("bank.columns", names)
	case errors.Is(err, bank.ErrTooLarge):
		return nil, isCSV, fault.Field("file", "bank.too_large", "That is more than can be read at once. Hand in a shorter time.")
	case err != nil:
		why := strings.TrimPrefix(err.Error(), bank.ErrFormat.Error()+": ")
		if runes := []rune(why); len(runes) > 200 {
			why = string(runes[:200])
		}
		return nil, isCSV, fault.Wrap(err, fault.Invalid, "bank.unreadable", "This file cannot be read: "+strings.TrimPrefix(why, "billing: ")+".")
	case len(all) == 0:
		return nil, isCSV, fault.Field("file", "bank.unreadable", "There are no bookings in this file.")
	}
	return all, isCSV, nil
}

// MaxPage is the most lines List returns at once.
const MaxPage = 200

// List returns the bookings in a state, the newest first.
func List(ctx context.Context, tx *tenancy.Tx, state State, offset, limit int) ([]Line, error) {
	if limit <= 0 || limit > MaxPage {
		limit = MaxPage
	}
	var rows []struct {
		ID                                                                      uuid.UUID
		Source, Currency, Party, PartyAccount, Text, Reference, State, Payments string
		BookedOn                                                                time.Time
		AmountMinor                                                             int64
		Total                                                                   int
	}
	err := tx.NewRaw(`SELECT id, source, booked_on, currency, amount_minor, party, party_account, text, reference, state, payments::text AS payments, count(*) OVER () AS total
		FROM bank_bookings WHERE state = ? ORDER BY booked_on DESC, id DESC LIMIT ? OFFSET ?`, string(state), limit, max(offset, 0)).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("list bookings: %w", err)
	}
	all := make([]Line, len(rows))
	for i, r := range rows {
		all[i] = Line{
			ID: r.ID, Source: r.Source, On: r.BookedOn, Amount: billing.Money{Minor: r.AmountMinor, Currency: r.Currency}, Party: r.Party, PartyAccount: r.PartyAccount,
			Text: r.Text, Reference: r.Reference, State: State(r.State), Total: r.Total,
		}
		if err := json.Unmarshal([]byte(r.Payments), &all[i].Payments); err != nil {
			return nil, fmt.Errorf("read booking %s: %w", r.ID, err)
		}
	}
	return all, nil
}
