package invoicing

import (
	"context"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/ledger"
)

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
	return ledger.Post(ctx, tx, ledger.Event{Key: key, AccountID: inv.AccountID, SourceKind: sourceKind, SourceID: source, Moves: all})
}

// posted reports whether an event stands in the books.
func posted(ctx context.Context, tx *tenancy.Tx, key string) (bool, error) {
	return ledger.Posted(ctx, tx, key)
}
