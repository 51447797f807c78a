package renewal

import (
	"context"
	"fmt"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/metering"
)

// settle ends a transaction that changed subscriptions: it says when the tenant is to be
// looked at next, and keeps the figures staff see.
func settle(ctx context.Context, tx *tenancy.Tx) error {
	if err := settleAgenda(ctx, tx); err != nil || tx.Twin() {
		return err
	}
	return setFigures(ctx, tx)
}

// setFigures tells the platform what runs, what it is worth a month, net, and what is
// overdue, in each currency the shop has ever sold in. What was never paid after its trial is
// worth nothing yet.
func setFigures(ctx context.Context, tx *tenancy.Tx) error {
	var rows []struct {
		Currency    string
		Cycle       billing.Cycle
		Runs        bool
		AmountMinor int64
		HoursMinor  int64
		N           int64
	}
	err := tx.NewRaw(`SELECT currency, cycle, state IN ('active', 'past_due', 'suspended') AND (trial IS NULL OR trial->>'paid_at' IS NOT NULL) AS runs, sum(amount_minor)::bigint AS amount_minor, sum(`+metering.LastHours+`)::bigint AS hours_minor, count(*) AS n
		FROM subscriptions s GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`, tx.Now().UTC()).Scan(ctx, &rows)
	if err != nil {
		return fmt.Errorf("read figures: %w", err)
	}
	worth, running := map[string]billing.Money{}, int64(0)
	var currencies []string
	for _, r := range rows {
		sum, known := worth[r.Currency]
		if !known {
			sum = billing.Money{Currency: r.Currency}
			currencies = append(currencies, r.Currency)
		}
		if r.Runs {
			running += r.N
			if months := r.Cycle.Months(); months > 0 {
				m, err := billing.Money{Minor: r.AmountMinor + r.HoursMinor*int64(months), Currency: r.Currency}.Ratio(1, int64(months))
				if err != nil {
					return err
				}
				if sum, err = sum.Add(m); err != nil {
					return err
				}
			}
		}
		worth[r.Currency] = sum
	}
	if len(currencies) == 0 {
		return nil
	}
	late, err := overdueSums(ctx, tx)
	if err != nil {
		return err
	}
	for _, c := range currencies {
		if err := tx.SetFigure(ctx, "mrr", c, worth[c].Minor); err != nil {
			return err
		}
		if err := tx.SetFigure(ctx, "overdue", c, late[c]); err != nil {
			return err
		}
	}
	return tx.SetFigure(ctx, "subscriptions", "", running)
}

func overdueSums(ctx context.Context, tx *tenancy.Tx) (map[string]int64, error) {
	var rows []struct {
		Currency string
		Minor    int64
	}
	err := tx.NewRaw(`SELECT currency, sum(total_minor - paid_minor - credited_minor)::bigint AS minor FROM invoices
		WHERE kind = 'invoice' AND state = 'open' AND due_at <= ? GROUP BY currency`, tx.Now()).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read what is overdue: %w", err)
	}
	sums := map[string]int64{}
	for _, r := range rows {
		sums[r.Currency] = r.Minor
	}
	return sums, nil
}
