package wholesale

import (
	"context"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// BalanceStatement is what moved a balance in a calendar month, UTC: the opening and all that
// moved it come to the closing.
type BalanceStatement struct {
	Month            string // 2026-10
	From, To         time.Time
	Opening, Closing billing.Money
	Sums             []BalanceSum // by kind, in the order of balanceKinds
	Rows             []Movement   // the oldest first
	Months           []string     // in which anything moved the balance, the newest first
}

// BalanceSum is what one kind of movement came to.
type BalanceSum struct {
	Kind   string
	Count  int
	Amount billing.Money
}

// balanceKinds are the kinds of movements in the order a statement has them.
var balanceKinds = []string{"collected", "fee", "customer_refund", "dispute", "topup", "invoice", "refund", "returned", "payout"} //nolint:gochecknoglobals // a constant list

const monthLayout = "2006-01"

// BalanceStatement is one month's; empty: of the newest in which anything moved, or the one
// under way. The fault is balance.no_month.
func (d *Desk) BalanceStatement(ctx context.Context, of tenancy.ID, month string) (s BalanceStatement, err error) {
	if month != "" {
		if err := s.of(month); err != nil {
			return s, err
		}
	}
	var opening struct {
		Minor    int64
		Currency string
	}
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		err := tx.NewRaw("SELECT DISTINCT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM') AS month FROM balance_movements WHERE tenant_id = ? ORDER BY month DESC LIMIT 240", of).Scan(ctx, &s.Months)
		if err != nil {
			return err
		}
		if month == "" {
			month = tx.Now().UTC().Format(monthLayout)
			if len(s.Months) > 0 {
				month = s.Months[0]
			}
			if err := s.of(month); err != nil {
				return err
			}
		}
		err = tx.NewRaw(`SELECT coalesce((SELECT sum(amount_minor) FROM balance_movements WHERE tenant_id = ?0 AND at < ?1), 0)::bigint AS minor,
			coalesce((SELECT t.currency FROM tenant_terms t WHERE t.tenant_id = ?0 ORDER BY t.valid_from DESC LIMIT 1), '') AS currency`, of, s.From).Scan(ctx, &opening)
		if err != nil {
			return err
		}
		return tx.NewRaw(`SELECT id, kind, currency, amount_minor, left_minor, invoice_id, note, made_by, at FROM balance_movements
			WHERE tenant_id = ? AND at >= ? AND at < ? ORDER BY at, id`, of, s.From, s.To).Scan(ctx, &s.Rows)
	})
	if err != nil {
		return s, fmt.Errorf("statement of the balance of %s: %w", of, err)
	}
	s.Opening = billing.Money{Minor: opening.Minor, Currency: opening.Currency}
	s.add()
	return s, nil
}

// of makes it a month's.
func (s *BalanceStatement) of(month string) error {
	from, err := time.Parse(monthLayout, month)
	if err != nil || from.Year() < 2000 || from.Year() > 2200 {
		return fault.New(fault.NotFound, "balance.no_month", "There is no statement of that month.")
	}
	s.Month, s.From, s.To = month, from, from.AddDate(0, 1, 0)
	return nil
}

// add works out the sums and what the month ends with.
func (s *BalanceStatement) add() {
	sums := map[string]BalanceSum{}
	s.Closing = s.Opening
	for _, m := range s.Rows {
		sum := sums[m.Kind]
		sum.Kind, sum.Count, sum.Amount = m.Kind, sum.Count+1, billing.Money{Minor: sum.Amount.Minor + m.AmountMinor, Currency: m.Currency}
		sums[m.Kind] = sum
		s.Closing.Minor += m.AmountMinor
	}
	for _, k := range balanceKinds {
		if sum, ok := sums[k]; ok {
			s.Sums = append(s.Sums, sum)
		}
	}
}
