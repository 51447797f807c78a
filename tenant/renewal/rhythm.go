package renewal

import (
	"context"
	"fmt"
	"strconv"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Rhythm is what an account says of when it is invoiced.
type Rhythm struct {
	Together     *bool // its renewals of a day make one invoice; nil: as the shop says
	BillDay      int   // of the month, on which what it has renews; 0: each on its own
	TermDays     int   // it has to pay what it is invoiced, see SetTerms; 0: none of its own
	ShopTogether bool  // what the shop says; only read
}

// Joins reports whether the account's renewals of a day make one invoice.
func (r Rhythm) Joins() bool {
	if r.Together != nil {
		return *r.Together
	}
	return r.ShopTogether
}

// RhythmOf reads what an account says, or answers with the fault account.not_found.
func RhythmOf(ctx context.Context, tx *tenancy.Tx, account uuid.UUID) (r Rhythm, err error) {
	p, err := PolicyOf(ctx, tx)
	if err != nil {
		return r, err
	}
	err = tx.NewRaw("SELECT one_invoice, coalesce(bill_day, 0), coalesce(term_days, 0) FROM accounts WHERE id = ?", account).Scan(ctx, &r.Together, &r.BillDay, &r.TermDays)
	if tenancy.IsNoRows(err) {
		return r, fault.New(fault.NotFound, "account.not_found", "There is no such account.")
	}
	if err != nil {
		return r, fmt.Errorf("read how account %s is invoiced: %w", account, err)
	}
	r.ShopTogether = p.Together
	return r, nil
}

// SetRhythm keeps how an account is invoiced, but for its days to pay. It counts for invoices that are not made yet;
// what runs keeps its day until it is moved (QuoteChange). Faults: account.not_found,
// bill_day.invalid.
func SetRhythm(ctx context.Context, db *tenancy.DB, account uuid.UUID, is Rhythm, by audit.Origin) error {
	if is.BillDay < 0 || is.BillDay > billing.LastBillDay {
		return fault.Field("bill_day", "bill_day.invalid", "Choose a day from 1 to "+strconv.Itoa(billing.LastBillDay)+", which every month has.")
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		was, err := RhythmOf(ctx, tx, account)
		if err != nil {
			return err
		}
		is.ShopTogether = was.ShopTogether
		res, err := tx.NewRaw("UPDATE accounts SET one_invoice = ?0, bill_day = nullif(?1, 0), changed_at = ?2 WHERE id = ?3 AND (one_invoice IS DISTINCT FROM ?0 OR coalesce(bill_day, 0) <> ?1)", is.Together, is.BillDay, tx.Now(), account).Exec(ctx)
		if err != nil {
			return fmt.Errorf("keep how account %s is invoiced: %w", account, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		if is.Joins() && !was.Joins() {
			if err := wakeToJoin(ctx, tx, account); err != nil {
				return err
			}
		}
		return by.Record(ctx, tx, "account.invoicing_changed", audit.Target{Kind: "account", ID: account.String()}, map[string]any{"one_invoice": is.Together, "bill_day": is.BillDay})
	})
}
