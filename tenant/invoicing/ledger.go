package invoicing

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// postStatement writes the postings of one transaction. Its arguments: key, at,
// account, currency, source kind, source, the postings as JSON.
const postStatement = `INSERT INTO ledger_postings (key, position, at, debit, credit, account_id, amount_minor, currency, source_kind, source_id, note)
	SELECT ?, r.position, ?, r.debit, r.credit, ?, r.amount, ?, ?, ?, r.note
	FROM jsonb_to_recordset(?::jsonb) AS r(position int, debit text, credit text, amount bigint, note text)`

type postingRow struct {
	Position int    `json:"position"`
	Debit    string `json:"debit"`
	Credit   string `json:"credit"`
	Amount   int64  `json:"amount"`
	Note     string `json:"note"`
}

func postingRows(all []billing.Posting) []postingRow {
	rows := make([]postingRow, len(all))
	for i, p := range all {
		rows[i] = postingRow{Position: i + 1, Debit: p.Debit, Credit: p.Credit, Amount: p.Amount.Minor, Note: p.Note}
	}
	return rows
}

// post writes the movements of one event, whose key is used once.
func post(ctx context.Context, tx *tenancy.Tx, key, sourceKind string, source uuid.UUID, inv Invoice, all []billing.Posting) error {
	rows, err := json.Marshal(postingRows(all))
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(postStatement, key, tx.Now(), inv.AccountID, inv.Currency, sourceKind, source, string(rows)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("post %s: %w", key, err)
	}
	return nil
}

// posted reports whether an event stands in the books.
func posted(ctx context.Context, tx *tenancy.Tx, key string) (bool, error) {
	var is bool
	if err := tx.NewRaw("SELECT EXISTS (SELECT FROM ledger_postings WHERE key = ?)", key).Scan(ctx, &is); err != nil {
		return false, fmt.Errorf("look for %s in the books: %w", key, err)
	}
	return is, nil
}
