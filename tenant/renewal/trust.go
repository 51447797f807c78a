package renewal

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// isOrder reports whether a bill is of an order.
func isOrder(b bill) bool { return strings.HasPrefix(b.Key, "order/") }

// Trust begins the subscriptions of an order whose debit is under way, before it came:
// the shop decided so. Its invoice is collected from now on as those of renewals are, so
// that a debit that fails has the same consequences. It may be called again.
func (d *Desk) Trust(ctx context.Context, db *tenancy.DB, invoice uuid.UUID) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		bills, err := billsOf(ctx, tx, "i.id = ?", invoice)
		if err != nil || len(bills) == 0 || bills[0].State != "open" || !isOrder(bills[0]) {
			return err
		}
		p, err := PolicyOf(ctx, tx)
		if err != nil {
			return err
		}
		began := false
		for _, b := range bills {
			s, err := lock(ctx, tx, b.SubscriptionID)
			if err != nil {
				return err
			}
			if s.State != Pending {
				continue
			}
			if err := begin(ctx, tx, p, s); err != nil {
				return err
			}
			began = true
		}
		if began {
			if err := invoicing.ScheduleTries(ctx, tx, map[uuid.UUID]time.Time{invoice: tx.Now().Add(day)}); err != nil {
				return err
			}
		}
		return settle(ctx, tx)
	})
}
