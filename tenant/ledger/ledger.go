// Package ledger owns the rows of a shop's books: movements between two accounts that
// are written once and never changed. Which movements an event makes are rules of
// billing; whose event it is stands in the row.
package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// Event is what moved something in the books. Its key is used once.
type Event struct {
	Key        string
	At         time.Time // zero: now
	AccountID  uuid.UUID // the customer's; zero: nobody's
	SourceKind string    // invoice, payment, refund, credit
	SourceID   uuid.UUID
	Moves      []billing.Posting // of one currency
}

type row struct {
	Key        string     `json:"key"`
	Position   int        `json:"position"`
	At         time.Time  `json:"at"`
	Debit      string     `json:"debit"`
	Credit     string     `json:"credit"`
	AccountID  *uuid.UUID `json:"account_id"`
	Amount     int64      `json:"amount"`
	Currency   string     `json:"currency"`
	SourceKind string     `json:"source_kind"`
	SourceID   uuid.UUID  `json:"source_id"`
	Note       string     `json:"note"`
}

// Post writes the movements of events in one statement. An event whose key stands in the
// books already is an error of the database: callers look before (Posted), behind a lock.
func Post(ctx context.Context, tx *tenancy.Tx, events ...Event) error {
	var rows []row
	for _, e := range events {
		if e.At.IsZero() {
			e.At = tx.Now()
		}
		for i, m := range e.Moves {
			r := row{Key: e.Key, Position: i + 1, At: e.At.UTC(), Debit: m.Debit, Credit: m.Credit, Amount: m.Amount.Minor, Currency: m.Amount.Currency, SourceKind: e.SourceKind, SourceID: e.SourceID, Note: m.Note}
			if e.AccountID != uuid.Nil {
				r.AccountID = &e.AccountID
			}
			rows = append(rows, r)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`INSERT INTO ledger_postings (key, position, at, debit, credit, account_id, amount_minor, currency, source_kind, source_id, note)
		SELECT r.key, r.position, r.at, r.debit, r.credit, r.account_id, r.amount, r.currency, r.source_kind, r.source_id, r.note
		FROM jsonb_to_recordset(?::jsonb) AS r(key text, position int, at timestamptz, debit text, credit text, account_id uuid, amount bigint, currency text,
			source_kind text, source_id uuid, note text)`, string(text)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("post %s: %w", events[0].Key, err)
	}
	return nil
}

// Posted reports whether an event stands in the books.
func Posted(ctx context.Context, tx *tenancy.Tx, key string) (bool, error) {
	var is bool
	if err := tx.NewRaw("SELECT EXISTS (SELECT FROM ledger_postings WHERE key = ?)", key).Scan(ctx, &is); err != nil {
		return false, fmt.Errorf("look for %s in the books: %w", key, err)
	}
	return is, nil
}
