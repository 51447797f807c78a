package invoicing

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
)

// classes are lines with the class of the product that each subscription is of, where a
// line does not say its own. Shops whose products are all standard ask nothing.
func (t terms) classes(ctx context.Context, tx *tenancy.Tx, invoices [][]billing.Line) ([][]billing.Line, error) {
	if !t.classed {
		return invoices, nil
	}
	var ids []uuid.UUID
	for _, lines := range invoices {
		for _, l := range lines {
			if id, err := uuid.Parse(l.SubscriptionID); err == nil && l.Tax.Class == "" {
				ids = append(ids, id)
			}
		}
	}
	if len(ids) == 0 {
		return invoices, nil
	}
	var rows []struct{ ID, TaxClass string }
	err := tx.NewRaw(`SELECT s.id::text AS id, p.tax_class FROM subscriptions s JOIN plans pl ON pl.id = s.plan_id JOIN products p ON p.id = pl.product_id
		WHERE s.id IN (?) AND p.tax_class IS NOT NULL`, bun.List(ids)).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read what subscriptions are taxed as: %w", err)
	}
	class := map[string]string{}
	for _, r := range rows {
		class[r.ID] = r.TaxClass
	}
	all := make([][]billing.Line, len(invoices))
	for i, lines := range invoices {
		all[i] = slices.Clone(lines)
		for j := range all[i] {
			if l := &all[i][j]; l.Tax.Class == "" {
				l.Tax.Class = class[l.SubscriptionID]
			}
		}
	}
	return all, nil
}
