package renewal

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Rhythm is what an account says of when it is invoiced.
type Rhythm struct {
	Together     *bool // its renewals of a day make one invoice; nil: as the shop says
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
	err = tx.NewRaw("SELECT one_invoice FROM accounts WHERE id = ?", account).Scan(ctx, &r.Together)
	if tenancy.IsNoRows(err) {
		return r, fault.New(fault.NotFound, "account.not_found", "There is no such account.")
	}
	if err != nil {
		return r, fmt.Errorf("read how account %s is invoiced: %w", account, err)
	}
	r.ShopTogether = p.Together
	return r, nil
}

// SetTogether says whether the renewals of a day of an account make one invoice; nil: as
// the shop says. It counts for invoices that are not made yet. Fault: account.not_found.
func SetTogether(ctx context.Context, db *tenancy.DB, account uuid.UUID, together *bool, by audit.Origin) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		was, err := RhythmOf(ctx, tx, account)
		if err != nil {
			return err
		}
		res, err := tx.NewRaw("UPDATE accounts SET one_invoice = ?, changed_at = ? WHERE id = ? AND one_invoice IS DISTINCT FROM ?", together, tx.Now(), account, together).Exec(ctx)
		if err != nil {
			return fmt.Errorf("keep how account %s is invoiced: %w", account, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		is := was
		is.Together = together
		if is.Joins() && !was.Joins() {
			if err := wakeToJoin(ctx, tx, account); err != nil {
				return err
			}
		}
		return by.Record(ctx, tx, "account.invoicing_changed", audit.Target{Kind: "account", ID: account.String()}, map[string]any{"one_invoice": together})
	})
}
