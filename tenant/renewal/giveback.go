package renewal

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenant/payment"
)

// GiveBackJob gives back what a change left over: of one that was refused, what was paid
// for it; of a downgrade, the rest of what was paid before.
type GiveBackJob struct {
	QuoteID uuid.UUID `json:"quote_id"`
}

// Kind names the job.
func (GiveBackJob) Kind() string { return "subscription.give_back" }

func (s Subscription) giveBack(ctx context.Context, tx *tenancy.Tx, quote uuid.UUID) error {
	_, err := tx.Enqueue(ctx, GiveBackJob{QuoteID: quote}, tenancy.JobOptions{Key: quote.String()})
	return err
}

// Refunds gives money back; *payment.Desk does.
type Refunds interface {
	GiveBack(ctx context.Context, db *tenancy.DB, r payment.RefundRequest, by audit.Origin) (payment.Refund, error)
}

// source is a payment that money can go back to.
type source struct {
	ID                     uuid.UUID
	LeftMinor, UncredMinor int64
}

// GiveBack works on a GiveBackJob. It may be repeated: what was given back before counts.
func (d *Desk) GiveBack(ctx context.Context, db *tenancy.DB, job GiveBackJob) error {
	var q ChangeQuote
	var from []source
	var left int64
	err := db.View(ctx, func(tx *tenancy.Tx) (err error) {
		if q, err = GetChange(ctx, tx, job.QuoteID, uuid.Nil); err != nil {
			return err
		}
		if left, err = q.toGive(ctx, tx); err != nil || left <= 0 {
			return err
		}
		from, err = q.sources(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	for _, p := range from {
		amount := min(left, p.LeftMinor, p.UncredMinor)
		if amount <= 0 {
			continue
		}
		_, err := d.Refunds.GiveBack(ctx, db, payment.RefundRequest{
			Key: "change/" + q.ID.String() + "/" + p.ID.String(), PaymentID: p.ID, Amount: billing.Money{Minor: amount, Currency: q.Total.Currency},
			Reason: "Change of " + q.Was, CreditNote: true,
		}, audit.Origin{Actor: audit.System("renewal")})
		if err != nil {
			return err
		}
		left -= amount
	}
	if left <= 0 {
		return nil
	}
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		s, err := Get(ctx, tx, q.SubscriptionID)
		if err != nil {
			return err
		}
		rest := billing.Money{Minor: left, Currency: q.Total.Currency}
		text := rest.Format("en") + " of the change of " + q.Was + " could not be given back by itself: no payment is left that it came from. Please give it back by hand."
		if err := tell(ctx, tx, s, "give_back/"+q.ID.String(), text, false); err != nil {
			return err
		}
		return alert(ctx, tx, "change.not_given_back", "subscription/"+s.ID.String(), text, nil)
	})
}

// toGive is how much is still to be given back, with tax: of a change's own invoice what was
// not forgiven.
func (q ChangeQuote) toGive(ctx context.Context, tx *tenancy.Tx) (left int64, err error) {
	whole := q.Back.Minor
	if q.InvoiceID != uuid.Nil {
		err := tx.NewRaw(`SELECT ?::bigint - coalesce(sum(n.total_minor), 0)::bigint FROM invoices n
			WHERE n.account_id = ? AND n.corrects_id = ? AND NOT EXISTS (SELECT FROM refunds r WHERE r.credit_note_id = n.id)`, q.Total.Minor, q.AccountID, q.InvoiceID).Scan(ctx, &whole)
		if err != nil {
			return 0, fmt.Errorf("read what was forgiven: %w", err)
		}
	}
	err = tx.NewRaw("SELECT ?::bigint - coalesce(sum(amount_minor), 0)::bigint FROM refunds WHERE key LIKE ? AND state <> 'failed'", whole, "change/"+q.ID.String()+"/%").Scan(ctx, &left)
	if err != nil {
		return 0, fmt.Errorf("read what was given back: %w", err)
	}
	return left, nil
}

// sources are the payments it can go back to: of the change's own invoice, or of the
// subscription's, the newest first.
func (q ChangeQuote) sources(ctx context.Context, tx *tenancy.Tx) (all []source, err error) {
	err = tx.NewRaw(`SELECT p.id, p.amount_minor - p.refunded_minor - coalesce((SELECT sum((d->>'withdrawn_minor')::bigint) FROM jsonb_array_elements(p.disputes) d), 0)::bigint AS left_minor, i.total_minor - i.credited_minor AS uncred_minor
		FROM payments p JOIN invoices i ON i.id = p.invoice_id WHERE p.state = 'succeeded' AND i.kind = 'invoice'
			AND CASE WHEN ?0 = '00000000-0000-0000-0000-000000000000' THEN EXISTS (SELECT FROM invoice_lines l WHERE l.invoice_id = i.id AND l.subscription_id = ?1) ELSE i.id = ?0 END
		ORDER BY i.issued_at DESC, p.settled_at DESC, p.id`, q.InvoiceID, q.SubscriptionID).Scan(ctx, &all)
	if err != nil {
		return nil, fmt.Errorf("read what was paid: %w", err)
	}
	return slices.Clip(all), nil
}
