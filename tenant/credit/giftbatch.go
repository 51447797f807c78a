package credit

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/ledger"
)

// Made is a batch of gift codes with what became of them.
type Made struct {
	ID        uuid.UUID
	Name      string // empty: they were bought
	Codes     int
	Redeemed  int
	Withdrawn int
	Amount    billing.Money // of each
	ExpiresAt time.Time     // zero: never
	CreatedBy string
	CreatedAt time.Time
}

// Open is how many may still be redeemed.
func (m Made) Open() int { return m.Codes - m.Redeemed - m.Withdrawn }

// Batches lists the batches of codes the team made, the newest first, and what customers
// bought in one line a currency.
func Batches(ctx context.Context, tx *tenancy.Tx) ([]Made, error) {
	var rows []struct {
		ID                         uuid.UUID
		Name, Currency, CreatedBy  string
		Codes, Redeemed, Withdrawn int
		AmountMinor                int64
		ExpiresAt, CreatedAt       time.Time
	}
	err := tx.NewRaw(`SELECT CASE WHEN bought_by IS NULL THEN batch_id ELSE '00000000-0000-0000-0000-000000000000' END AS id, batch AS name, currency, CASE WHEN bought_by IS NULL THEN amount_minor ELSE 0 END AS amount_minor,
			count(*) AS codes, count(redeemed_at) AS redeemed, count(withdrawn_at) AS withdrawn, max(expires_at) AS expires_at, min(created_by) AS created_by, max(created_at) AS created_at
		FROM gift_codes GROUP BY 1, 2, 3, 4 ORDER BY 10 DESC, 1 LIMIT 200`).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("list gift codes: %w", err)
	}
	all := make([]Made, len(rows))
	for i, r := range rows {
		all[i] = Made{ID: r.ID, Name: r.Name, Codes: r.Codes, Redeemed: r.Redeemed, Withdrawn: r.Withdrawn, Amount: billing.Money{Minor: r.AmountMinor, Currency: r.Currency}, ExpiresAt: r.ExpiresAt, CreatedBy: r.CreatedBy, CreatedAt: r.CreatedAt}
	}
	return all, nil
}

// WithdrawCodes takes the codes of a batch that nobody has redeemed out of use, and says
// how many. The fault is gift.not_found.
func WithdrawCodes(ctx context.Context, db *tenancy.DB, batch uuid.UUID, by audit.Origin) (n int64, err error) {
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		r, err := tx.NewRaw("UPDATE gift_codes SET withdrawn_at = ? WHERE batch_id = ? AND bought_by IS NULL AND redeemed_at IS NULL AND withdrawn_at IS NULL", tx.Now(), batch).Exec(ctx)
		if err != nil {
			return fmt.Errorf("withdraw gift codes: %w", err)
		}
		if n, err = r.RowsAffected(); err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.NotFound, "gift.not_found", "None of these codes can be redeemed any more.")
		}
		return by.Record(ctx, tx, "gift_codes.withdrawn", audit.Target{Kind: "gift_codes", ID: batch.String()}, map[string]any{"codes": n})
	})
	return n, err
}

// WithdrawGift takes the gift code of a payment out of use because its money goes back:
// once a refund. It reports false when the payment bought none. All of it goes back or
// nothing; where the money has gone already (gone), a part of it or one that was redeemed
// is the shop's loss. Faults: gift.redeemed, gift.whole.
func WithdrawGift(ctx context.Context, tx *tenancy.Tx, payment, refund uuid.UUID, amount billing.Money, gone bool) (bool, error) {
	key := "gift/withdrawn/" + refund.String()
	var r struct {
		BoughtBy    uuid.UUID
		AmountMinor int64
		Counts      bool
	}
	err := tx.NewRaw("SELECT bought_by, amount_minor, redeemed_at IS NULL AND withdrawn_at IS NULL AND disputed_at IS NULL AS counts FROM gift_codes WHERE batch_id = ? AND bought_by IS NOT NULL FOR UPDATE", payment).Scan(ctx, &r)
	if tenancy.IsNoRows(err) {
		return false, nil
	}
	if err != nil {
		return true, fmt.Errorf("read a gift code: %w", err)
	}
	if known, err := ledger.Posted(ctx, tx, key); err != nil || known {
		return true, err
	}
	moves := billing.PostGiftWithdrawn(amount)
	switch whole := amount.Minor == r.AmountMinor; {
	case r.Counts && whole:
		if _, err := tx.NewRaw("UPDATE gift_codes SET withdrawn_at = ? WHERE batch_id = ? AND bought_by IS NOT NULL", tx.Now(), payment).Exec(ctx); err != nil {
			return true, fmt.Errorf("withdraw a gift code: %w", err)
		}
	case gone:
		moves = billing.PostCreditLost(amount)
	case !r.Counts:
		return true, fault.Field("amount", "gift.redeemed", "The gift code was redeemed, given back before, or is held because its payment is disputed.")
	default:
		return true, fault.Field("amount", "gift.whole", "Of a gift code all goes back or nothing.")
	}
	return true, ledger.Post(ctx, tx, ledger.Event{Key: key, AccountID: r.BoughtBy, SourceKind: "payment", SourceID: payment, Moves: moves})
}

// RestoreGift makes the gift code of a payment count again because the refund it was
// withdrawn for failed, once; while its payment is disputed it is held. It reports false when the
// payment bought none.
func RestoreGift(ctx context.Context, tx *tenancy.Tx, payment, refund uuid.UUID, amount billing.Money) (bool, error) {
	key, back := "gift/withdrawn/"+refund.String(), "gift/restored/"+refund.String()
	var r struct {
		BoughtBy   uuid.UUID
		Lost, Done bool
	}
	err := tx.NewRaw(`SELECT bought_by, EXISTS (SELECT FROM ledger_postings WHERE key = ? AND debit = ?) AS lost, EXISTS (SELECT FROM ledger_postings WHERE key = ?) AS done
		FROM gift_codes WHERE batch_id = ? AND bought_by IS NOT NULL FOR UPDATE`, key, billing.CreditLosses, back, payment).Scan(ctx, &r)
	if tenancy.IsNoRows(err) {
		return false, nil
	}
	if err != nil || r.Done {
		return true, err
	}
	less := billing.Money{Minor: -amount.Minor, Currency: amount.Currency}
	moves := billing.PostGiftWithdrawn(less)
	if r.Lost {
		moves = billing.PostCreditLost(less)
	} else if _, err := tx.NewRaw("UPDATE gift_codes SET withdrawn_at = NULL WHERE batch_id = ? AND bought_by IS NOT NULL", payment).Exec(ctx); err != nil {
		return true, fmt.Errorf("restore a gift code: %w", err)
	}
	if err := ledger.Post(ctx, tx, ledger.Event{Key: back, AccountID: r.BoughtBy, SourceKind: "payment", SourceID: payment, Moves: moves}); err != nil {
		return true, err
	}
	away, gone, err := contested(ctx, tx, payment)
	if err != nil {
		return true, err
	}
	return true, Contest(ctx, tx, payment, uuid.Nil, away, gone)
}
