package referral

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/credit"
)

// Paid looks at the accounts of invoices that were paid (job invoice.paid): who was
// brought and had paid nothing that counts begins to wait. It may be repeated, and asks
// once where nobody of them was brought.
func Paid(ctx context.Context, db *tenancy.DB, invoices []uuid.UUID) error {
	var found []struct{ AccountID, InvoiceID uuid.UUID }
	err := db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw(`SELECT a.id AS account_id, i.id AS invoice_id FROM invoices i JOIN accounts a ON a.id = i.account_id
			WHERE i.id IN (?) AND i.kind = 'invoice' AND a.referral->>'state' = ? ORDER BY i.issued_at, i.id`, bun.List(invoices), billing.ReferralJoined).Scan(ctx, &found)
	})
	if err != nil {
		return fmt.Errorf("look for referrals of %d invoices: %w", len(invoices), err)
	}
	for _, f := range found {
		err := db.Update(ctx, func(tx *tenancy.Tx) error {
			k, by, err := lock(ctx, tx, f.AccountID)
			if err != nil || k.State != billing.ReferralJoined {
				return err
			}
			k.InvoiceID = f.InvoiceID
			return decide(ctx, tx, f.AccountID, k, by)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// dueBatch bounds what one run looks at.
const dueBatch = 500

// Due decides about those whose wait is over. It fits queue.Due.
func Due(ctx context.Context, db *tenancy.DB, _ time.Time) error {
	var waiting []uuid.UUID
	err := db.View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw("SELECT id FROM accounts WHERE referral->>'state' = ? AND (referral->>'due_at')::timestamptz <= ? ORDER BY referral->>'due_at', id LIMIT ?",
			billing.ReferralWaiting, tx.Now(), dueBatch).Scan(ctx, &waiting)
	})
	if err != nil {
		return fmt.Errorf("look for referrals that are due: %w", err)
	}
	var failed error
	for _, id := range waiting {
		err := db.Update(ctx, func(tx *tenancy.Tx) error {
			k, by, err := lock(ctx, tx, id)
			if err != nil || k.State != billing.ReferralWaiting {
				return err
			}
			return decide(ctx, tx, id, k, by)
		})
		failed = errors.Join(failed, err)
	}
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		if failed != nil { // what cannot be done now waits an hour
			return tx.SetAgenda(ctx, Agenda, tx.Now().Add(time.Hour))
		}
		// The first waits for others who set it; what they committed is seen by the second.
		return errors.Join(schedule(ctx, tx), schedule(ctx, tx))
	})
	return errors.Join(failed, err)
}

func schedule(ctx context.Context, tx *tenancy.Tx) error {
	err := tx.SetAgendaTo(ctx, Agenda, "SELECT min((referral->>'due_at')::timestamptz) FROM accounts WHERE referral->>'state' = ?", billing.ReferralWaiting)
	if err != nil {
		return fmt.Errorf("look for referrals that wait: %w", err)
	}
	return nil
}

// sides are the two accounts of a referral, as they are now.
type sides struct {
	Referrer, Newcomer             string // their currencies
	ReferrerClosed, NewcomerClosed bool
	Granted                        int // to the referrer within a year
}

var errNone = fault.New(fault.NotFound, "referral.not_found", "There is no such referral.")

// lock reads a referral and keeps both accounts from others, the older one first: whoever
// brought somebody was there before. The fault is referral.not_found.
func lock(ctx context.Context, tx *tenancy.Tx, newcomer uuid.UUID) (k kept, s sides, err error) {
	var by uuid.UUID
	err = tx.NewRaw("SELECT (referral->>'by')::uuid FROM accounts WHERE id = ? AND referral IS NOT NULL", newcomer).Scan(ctx, &by)
	if tenancy.IsNoRows(err) {
		return k, s, errNone
	}
	if err != nil {
		return k, s, fmt.Errorf("read a referral: %w", err)
	}
	var brought string
	err = tx.NewRaw("SELECT currency AS referrer, closed_at IS NOT NULL, coalesce(brought::text, '[]') FROM accounts WHERE id = ? FOR UPDATE", by).Scan(ctx, &s.Referrer, &s.ReferrerClosed, &brought)
	if err != nil {
		return k, s, fmt.Errorf("lock a referrer: %w", err)
	}
	var text string
	err = tx.NewRaw("SELECT currency, closed_at IS NOT NULL, referral::text FROM accounts WHERE id = ? FOR UPDATE", newcomer).Scan(ctx, &s.Newcomer, &s.NewcomerClosed, &text)
	if err != nil {
		return k, s, fmt.Errorf("lock a referral: %w", err)
	}
	if k, err = read(text); err != nil {
		return k, s, err
	}
	err = tx.NewRaw(`SELECT count(*) FROM jsonb_array_elements_text(?::jsonb) AS b(id) JOIN accounts a ON a.id = b.id::uuid
		WHERE a.referral->>'state' = ? AND a.referral->'to_referrer' IS NOT NULL AND (a.referral->>'decided_at')::timestamptz > ?`,
		brought, billing.ReferralGranted, tx.Now().AddDate(-1, 0, 0)).Scan(ctx, &s.Granted)
	if err != nil {
		return k, s, fmt.Errorf("count what a referrer had: %w", err)
	}
	return k, s, nil
}

// decide asks the rule about a locked referral and does what follows.
func decide(ctx context.Context, tx *tenancy.Tx, newcomer uuid.UUID, k kept, s sides) error {
	p, err := Of(ctx, tx)
	if err != nil {
		return err
	}
	f, err := factsOf(ctx, tx, newcomer, k, s, p)
	if err != nil {
		return err
	}
	v := f.Decide(tx.Now())
	k.PaidAt = f.PaidAt.UTC()
	switch v.State {
	case billing.ReferralJoined:
		return nil
	case billing.ReferralWaiting:
		k.State, k.DueAt = v.State, v.LookAt.UTC()
		if err := k.save(ctx, tx, newcomer); err != nil {
			return err
		}
		return tx.AdvanceAgenda(ctx, Agenda, k.DueAt)
	case billing.ReferralRefused:
		return refuse(ctx, tx, newcomer, k, v.Reason, "")
	}
	return grant(ctx, tx, newcomer, k, s, p, v, "")
}

// factsOf reads what the rule wants to know.
func factsOf(ctx context.Context, tx *tenancy.Tx, newcomer uuid.UUID, k kept, s sides, p Program) (f billing.ReferralFacts, err error) {
	terms, given := p.For(s.Newcomer)
	own, back := p.For(s.Referrer)
	f = billing.ReferralFacts{Least: terms.Least, Wait: time.Duration(p.WaitDays) * 24 * time.Hour, Closed: s.ReferrerClosed || s.NewcomerClosed,
		NoTerms: !given && !back || terms.Newcomer == 0 && own.Referrer == 0, Granted: s.Granted, MostAYear: p.PerYear}
	var inv struct {
		Paid     int64
		PaidAt   *time.Time
		Returned bool
	}
	err = tx.NewRaw(`SELECT i.paid_minor - coalesce(i.credit_minor, 0) AS paid, i.paid_at, i.credited_minor > 0 OR EXISTS (SELECT FROM payments p WHERE p.invoice_id = i.id
			AND (p.refunded_minor > 0 OR EXISTS (SELECT FROM jsonb_array_elements(p.disputes) AS d WHERE d->>'state' <> 'won'))) AS returned
		FROM invoices i WHERE i.id = ? AND i.account_id = ?`, k.InvoiceID, newcomer).Scan(ctx, &inv)
	if err != nil {
		return f, fmt.Errorf("read the invoice of a referral: %w", err)
	}
	f.Paid, f.PaidAt, f.Returned = inv.Paid, k.PaidAt, inv.Returned
	if f.PaidAt.IsZero() {
		if f.PaidAt = tx.Now(); inv.PaidAt != nil {
			f.PaidAt = *inv.PaidAt
		}
	}
	if f.Paid > 0 && f.Paid >= f.Least {
		f.Alike, err = alike(ctx, tx, k, newcomer)
	}
	return f, err
}

// refuse keeps why nobody gets anything.
func refuse(ctx context.Context, tx *tenancy.Tx, newcomer uuid.UUID, k kept, why, by string) error {
	k.State, k.Reason, k.DueAt, k.DecidedAt, k.DecidedBy = billing.ReferralRefused, why, time.Time{}, tx.Now().UTC(), by
	if err := k.save(ctx, tx, newcomer); err != nil {
		return err
	}
	return activity.Tell(ctx, tx, activity.Event{Key: "referral/" + newcomer.String() + "/refused/" + k.DecidedAt.Format(time.RFC3339Nano), AccountID: k.By, SubjectKind: activity.Account, SubjectID: k.By,
		Kind: "referral.refused", Text: "No credit for a customer you brought. " + Says(why), Actor: by, CustomerSees: true})
}

// grant gives both sides what the programme gives them in their currencies. Each piece of
// credit has a key of its own, so that it is given once whatever is decided later.
func grant(ctx context.Context, tx *tenancy.Tx, newcomer uuid.UUID, k kept, s sides, p Program, v billing.ReferralVerdict, by string) error {
	k.State, k.Reason, k.DueAt, k.DecidedAt, k.DecidedBy = billing.ReferralGranted, v.Reason, time.Time{}, tx.Now().UTC(), by
	give := func(side, note, currency string, to, source uuid.UUID, minor int64) (billing.Money, error) {
		if minor == 0 {
			return billing.Money{}, nil
		}
		g, err := credit.Give(ctx, tx, credit.New{Key: "referral/" + newcomer.String() + "/" + side, AccountID: to, Kind: credit.Referral, From: billing.Promotions,
			Amount: billing.Money{Minor: minor, Currency: currency}, SourceID: source, Note: note, By: by})
		return g.Amount, err
	}
	var err error
	if v.Referrer {
		k.ToReferrer, err = give("referrer", "Thank you for bringing a customer.", s.Referrer, k.By, newcomer, p.Terms[s.Referrer].Referrer)
		if err != nil {
			return err
		}
	}
	if v.Newcomer {
		k.ToNewcomer, err = give("newcomer", "Welcome: you came by the link of a customer.", s.Newcomer, newcomer, k.By, p.Terms[s.Newcomer].Newcomer)
		if err != nil {
			return err
		}
	}
	if !v.Referrer { // who gets something hears of it with the credit
		err = activity.Tell(ctx, tx, activity.Event{Key: "referral/" + newcomer.String() + "/limit", AccountID: k.By, SubjectKind: activity.Account, SubjectID: k.By,
			Kind: "referral.refused", Text: "No credit for a customer you brought. " + Says(v.Reason), CustomerSees: true})
		if err != nil {
			return err
		}
	}
	return k.save(ctx, tx, newcomer)
}
