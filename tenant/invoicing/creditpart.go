package invoicing

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// CreditPart is Credit over all lines of one subscription, also those that take something
// off, of an invoice that it shares with others. What the account's credit had paid goes
// back as far as it is not needed for the rest, and where nothing is owed of the rest any
// more PaidJob follows. Lines that come to nothing are not credited.
func CreditPart(ctx context.Context, tx *tenancy.Tx, r CreditRequest, subscription uuid.UUID) error {
	var rows []struct {
		Position int
		NetMinor int64
	}
	err := tx.NewRaw("SELECT position, net_minor FROM invoice_lines WHERE invoice_id = ? AND subscription_id = ? ORDER BY position", r.InvoiceID, subscription).Scan(ctx, &rows)
	if err != nil {
		return fmt.Errorf("read the lines of a subscription: %w", err)
	}
	r.positions = make([]int, len(rows))
	net := int64(0)
	for i, row := range rows {
		r.positions[i] = row.Position
		net += row.NetMinor
	}
	if net <= 0 {
		return nil
	}
	_, err = Credit(ctx, tx, r)
	return err
}

// part credits whole lines, and of each tax the share that their net has of what is left
// of its net. Where less is left than they come to, that is credited.
func (r CreditRequest) part(original document.Document, left []billing.TaxSum) ([]billing.Line, []billing.TaxSum, error) {
	all, lines, net, missing := original.PricedLines(), []billing.Line(nil), map[billing.TaxRule]int64{}, false
	for _, p := range r.positions {
		lines = append(lines, all[p-1])
		net[all[p-1].Tax] += all[p-1].Net.Minor
	}
	var sums []billing.TaxSum
	for _, s := range left {
		n := net[s.Rule]
		if n > s.Net.Minor {
			n, missing = s.Net.Minor, true
		}
		if n <= 0 {
			missing = missing || n < 0
			continue
		}
		tax, err := s.Tax.Ratio(n, s.Net.Minor)
		if err != nil {
			return nil, nil, fmt.Errorf("divide the credit: %w", err)
		}
		sums = append(sums, billing.TaxSum{Rule: s.Rule, Net: billing.Money{Minor: n, Currency: original.Currency}, Tax: tax})
	}
	if missing {
		lines, sums = adjusted(original, sums)
	}
	if len(sums) == 0 {
		return nil, nil, fault.New(fault.Conflict, "invoice.credited_before", "Nothing of this invoice is left to credit.")
	}
	return lines, sums, nil
}
