package invoicing

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// lateKey begins the keys of top-ups that money became which came for a cancelled invoice:
// its id follows, and the key of the payment.
const lateKey = "late/"

// Late makes the top-up under which money is kept that came for an invoice when that was
// cancelled already: nothing is owed on it, and what came is the account's credit. The
// payment with the key is then the top-up's; asking again with it gets the same one. It is
// told on the timeline of the invoice. Faults: invoice.not_found, invoice.bad_amount.
func Late(ctx context.Context, tx *tenancy.Tx, id uuid.UUID, key string, amount billing.Money) (Invoice, error) {
	inv, err := lock(ctx, tx, id)
	if err != nil {
		return inv, err
	}
	if amount.Minor <= 0 || amount.Minor > billing.MaxMinor || amount.Currency != inv.Currency {
		return inv, fault.New(fault.Invalid, "invoice.bad_amount", "An amount is more than nothing and of the invoice's currency.")
	}
	series, err := lockSeries(ctx, tx, SeriesTopUp)
	if err != nil {
		return inv, err
	}
	t := TopUp{AccountID: inv.AccountID, Amount: amount, late: lateKey + id.String() + "/" + key}
	if known, err := ByKey(ctx, tx, t.late); err == nil || !fault.Is(err, "invoice.not_found") {
		return known, err
	}
	made, err := t.issue(ctx, tx, series)
	if err != nil {
		return made, err
	}
	text := amount.Format("en") + " came for invoice " + inv.Number + " after it was cancelled, and are credit now (" + made.Number + ")."
	return made, tell(ctx, tx, event{t.late, inv, "invoice.late_money", text, nil})
}

// lateNote says, to who reads the credit, what a late top-up was sent for; empty: it is none.
func lateNote(ctx context.Context, tx *tenancy.Tx, key string) (string, error) {
	rest, late := strings.CutPrefix(key, lateKey)
	if !late {
		return "", nil
	}
	id, _, _ := strings.Cut(rest, "/")
	var number string
	if err := tx.NewRaw("SELECT number FROM invoices WHERE id = ?", id).Scan(ctx, &number); err != nil {
		return "", fmt.Errorf("read what late money was sent for: %w", err)
	}
	return "You sent it for " + number + ", which was cancelled before it came.", nil
}
