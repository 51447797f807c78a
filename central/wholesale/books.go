package wholesale

import (
	"context"
	"fmt"

	"github.com/ezscale/ezscale/tenancy"
)

// VerifyChain reads all wholesale invoices in order and says where the first gap in the
// numbers or the first document that is not the one that was issued stands; empty: none.
func (d *Desk) VerifyChain(ctx context.Context) (broken string, err error) {
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		err := tx.NewRaw(`SELECT coalesce(min(number || ' ' || wrong) FILTER (WHERE place = 1), '') FROM (
			SELECT number, wrong, row_number() OVER (ORDER BY sequence) AS place FROM (
				SELECT number, sequence, CASE
					WHEN sequence <> coalesce(lag(sequence) OVER w, 0) + 1 THEN 'does not follow the number before it'
					WHEN prev_hash <> coalesce(lag(hash) OVER w, '') THEN 'is not chained to the one before it'
					WHEN hash <> sha256('ezscale wholesale 1'::bytea || prev_hash || convert_to(number || ' ' || document::text, 'UTF8')) THEN 'is not as it was issued'
				END AS wrong FROM wholesale_invoices WINDOW w AS (ORDER BY sequence)) x
			WHERE wrong IS NOT NULL) y`).Scan(ctx, &broken)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("verify the chain of wholesale invoices: %w", err)
	}
	return broken, nil
}

// Books compares the platform's books with its wholesale invoices and says what does not
// agree; none: all does.
func (d *Desk) Books(ctx context.Context) (wrong []string, err error) {
	broken, err := d.VerifyChain(ctx)
	if err != nil {
		return nil, err
	}
	if broken != "" {
		wrong = append(wrong, "invoice "+broken)
	}
	var rows []struct {
		Currency   string
		Open, Owed int64
	}
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		notes, err := creditsWrong(ctx, tx)
		if err != nil {
			return err
		}
		wrong = append(wrong, notes...)
		held, err := balancesWrong(ctx, tx)
		if err != nil {
			return err
		}
		wrong = append(wrong, held...)
		taken, err := collectedWrong(ctx, tx)
		if err != nil {
			return err
		}
		wrong = append(wrong, taken...)
		return tx.NewRaw(`SELECT currency, coalesce(o.open, 0) AS open, coalesce(l.owed, 0) AS owed FROM
			(SELECT currency, sum(total_minor - paid_minor)::bigint AS open FROM wholesale_invoices WHERE state <> 'uncollectible' GROUP BY currency) o
			FULL JOIN (SELECT currency, sum(CASE 'receivable' WHEN debit THEN amount_minor WHEN credit THEN -amount_minor ELSE 0 END)::bigint AS owed
				FROM ledger_postings GROUP BY currency) l USING (currency)
			WHERE coalesce(o.open, 0) <> coalesce(l.owed, 0) ORDER BY currency`).Scan(ctx, &rows)
	})
	if err != nil {
		return nil, fmt.Errorf("compare the books: %w", err)
	}
	for _, r := range rows {
		wrong = append(wrong, fmt.Sprintf("the books say %d %s (minor units) is receivable, the open invoices %d", r.Owed, r.Currency, r.Open))
	}
	return wrong, nil
}
