package renewal

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/payment"
)

// credited adds what a downgrade left over to the lines of the next period, as far as
// they reach, and says how much that is.
func (s Subscription) credited(next billing.Period) (lines []billing.Line, used int64, err error) {
	if lines, _, err = s.discounted(next); err != nil {
		return nil, 0, err
	}
	return s.lessCredit(lines)
}

// lessCredit is credited of lines that are known.
func (s Subscription) lessCredit(lines []billing.Line) (with []billing.Line, used int64, err error) {
	if s.Credit.IsZero() {
		return lines, 0, nil
	}
	if s.Credit.Minor < 0 { // see beginStub
		owed := creditLine(s, s.Credit.Minor)
		owed.Description = "Time before the first period that was not paid for yet"
		return append(lines, owed), s.Credit.Minor, nil
	}
	for _, l := range lines {
		if l.Net == (billing.Money{}) {
			if l, err = l.Priced(); err != nil {
				return nil, 0, err
			}
		}
		used += l.Net.Minor
	}
	if used = min(used, s.Credit.Minor); used > 0 {
		lines = append(lines, billing.Line{Kind: "credit", SubscriptionID: s.ID.String(), Description: "Credit of an earlier change", Quantity: 1, Unit: billing.Money{Minor: -used, Currency: s.Amount.Currency}})
	}
	return lines, used, nil
}

// returnCredit gives a subscription back what an invoice that was withdrawn had taken.
func returnCredit(ctx context.Context, tx *tenancy.Tx, id, invoice uuid.UUID) error {
	_, err := tx.NewRaw(`UPDATE subscriptions s SET credit_minor = coalesce(s.credit_minor, 0) - l.net_minor
		FROM (SELECT sum(net_minor)::bigint AS net_minor FROM invoice_lines WHERE invoice_id = ? AND subscription_id = ? AND kind = 'credit') l WHERE s.id = ? AND l.net_minor <> 0`,
		invoice, id, id).Exec(ctx)
	if err != nil {
		return fmt.Errorf("give credit back to subscription %s: %w", id, err)
	}
	return nil
}

// creditOf is what is left of the credit, as it is kept.
func creditOf(ctx context.Context, tx *tenancy.Tx, s Subscription) (billing.Money, error) {
	left := billing.Money{Currency: s.Amount.Currency}
	if err := tx.NewRaw("SELECT coalesce(credit_minor, 0) FROM subscriptions WHERE id = ?", s.ID).Scan(ctx, &left.Minor); err != nil {
		return left, fmt.Errorf("read the credit of subscription %s: %w", s.ID, err)
	}
	return left, nil
}

// abandon ends the change of a subscription that ends: what was paid for it and not made
// is given back.
func abandon(ctx context.Context, tx *tenancy.Tx, s *Subscription) error {
	c := s.Change
	if _, err := drop(ctx, tx, s); err != nil {
		return err
	}
	if s.Change != nil && c.State == ChangeApplying && c.InvoiceID != uuid.Nil {
		if err := s.giveBack(ctx, tx, c.QuoteID); err != nil {
			return err
		}
	}
	s.Change = nil
	return keepChange(ctx, tx, *s)
}

// changeTryFailed writes to a customer whose payment for a change failed.
func (d *Desk) changeTryFailed(ctx context.Context, tx *tenancy.Tx, f payment.FailedTry) error {
	bills, err := billsOf(ctx, tx, "i.id = ? AND i.state = 'open' AND i.key LIKE 'change/%'", f.InvoiceID)
	if err != nil || len(bills) != 1 || f.Code == payment.ByTransfer || f.Code == payment.NoMethod {
		return err
	}
	s, err := Get(ctx, tx, bills[0].SubscriptionID)
	if err != nil {
		return err
	}
	m, err := d.letterFailed(ctx, tx, Policy{}, s, bills[0], f, billing.Step{})
	if err != nil {
		return err
	}
	return d.letter(ctx, tx, s, m)
}
