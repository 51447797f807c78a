package wholesale

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
)

// Credit is the gateway of money that was owed to the reseller: an invoice that came to
// less than nothing, or one that was paid twice.
const Credit = "credit"

// holding is an invoice and what is owed on it; less than nothing is owed to the reseller.
type holding struct {
	ID       uuid.UUID
	TenantID tenancy.ID
	Currency string
	Number   string
	Owed     int64
}

// carryCredits sets what is owed to resellers against what they owe, the oldest of both
// first. What is left stays for the next invoice; it is never paid out by itself. Nothing
// moves in the books: both sides are receivable. An invoice of which a payment is under
// way is left alone, or it would be paid twice. Doing it again changes nothing.
func carryCredits(ctx context.Context, tx *tenancy.CentralTx) error {
	var all []holding
	err := tx.NewRaw(`SELECT i.id, i.tenant_id, i.currency, i.number, i.total_minor - i.paid_minor AS owed FROM wholesale_invoices i
		WHERE i.tenant_id IN (SELECT c.tenant_id FROM wholesale_invoices c WHERE c.total_minor < c.paid_minor AND c.state <> 'uncollectible')
			AND i.state <> 'uncollectible' AND i.total_minor <> i.paid_minor
			AND (i.total_minor < i.paid_minor OR NOT EXISTS (SELECT FROM wholesale_payments p WHERE p.invoice_id = i.id AND `+underWay+`))
		ORDER BY i.tenant_id, i.currency, i.sequence FOR UPDATE OF i`).Scan(ctx, &all)
	if err != nil {
		return fmt.Errorf("look for credits: %w", err)
	}
	for i := range all {
		credit := &all[i]
		for k := range all {
			owes := &all[k]
			if credit.Owed < 0 && owes.Owed > 0 && owes.TenantID == credit.TenantID && owes.Currency == credit.Currency {
				if err := carry(ctx, tx, credit, owes); err != nil {
					return fmt.Errorf("set %s against %s: %w", credit.Number, owes.Number, err)
				}
			}
		}
	}
	return nil
}

// carry sets as much as there is of a credit against an invoice.
func carry(ctx context.Context, tx *tenancy.CentralTx, credit, owes *holding) error {
	minor := min(-credit.Owed, owes.Owed)
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`INSERT INTO wholesale_payments (id, key, invoice_id, tenant_id, gateway, currency, amount_minor, state, ref, decline_code, decline_text, created_at, settled_at, changed_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, 'succeeded', ?, '', '', ?, ?, ?)`,
		id, "credit/"+id.String(), owes.ID, owes.TenantID, Credit, owes.Currency, minor, credit.Number+" #"+id.String()[24:], tx.Now(), tx.Now(), tx.Now()).Exec(ctx)
	if err != nil {
		return err
	}
	for _, side := range []struct {
		of    *holding
		minor int64
	}{{owes, minor}, {credit, -minor}} {
		side.of.Owed -= side.minor
		_, err := tx.NewRaw(`UPDATE wholesale_invoices SET paid_minor = paid_minor + ?0, state = CASE WHEN paid_minor + ?0 = total_minor THEN 'paid' ELSE state END,
			paid_at = CASE WHEN paid_minor + ?0 = total_minor THEN coalesce(paid_at, ?1::timestamptz) ELSE paid_at END,
			next_try_at = CASE WHEN paid_minor + ?0 = total_minor THEN NULL ELSE next_try_at END, changed_at = ?1 WHERE id = ?2`, side.minor, tx.Now(), side.of.ID).Exec(ctx)
		if err != nil {
			return err
		}
	}
	return nil
}
