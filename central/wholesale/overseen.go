package wholesale

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/tenancy"
)

// What staff does at the gateway's own pages, and what resellers' banks do.

// refundNews asks for one refund, or for all of a payment, and for the payment.
func (d *Desk) refundNews(ctx context.Context, e gateway.Stored) (keeping, error) {
	var all []gateway.Refunded
	if e.Ref != "" {
		gr, err := d.Taker.Gateway.Refunded(ctx, e.Ref)
		if err != nil {
			return nil, err
		}
		if gr.Payment == "" {
			gr.Payment = e.Payment
		}
		all = append(all, gr)
	} else if overseer, ok := d.Taker.Gateway.(gateway.Overseer); ok {
		var err error
		if all, err = overseer.RefundsOf(ctx, e.Payment); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 || all[0].Payment == "" {
		return foreign, nil
	}
	gp, err := d.Taker.Gateway.Payment(ctx, all[0].Payment)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, tx *tenancy.CentralTx) (outcome string, err error) {
		a, ok, err := d.settled(ctx, tx, gp)
		if err != nil || !ok {
			return notOurs, err
		}
		for _, gr := range all {
			if outcome, err = d.keepRefund(ctx, tx, a, gr); err != nil {
				return "", err
			}
		}
		return outcome, nil
	}, nil
}

func foreign(context.Context, *tenancy.CentralTx) (string, error) { return notOurs, nil }

// settled finds the payment the gateway speaks of, keeps how it stands and locks it.
func (d *Desk) settled(ctx context.Context, tx *tenancy.CentralTx, gp gateway.Payment) (Attempt, bool, error) {
	a, ok, err := findAttempt(ctx, tx, "p.gateway = ? AND (p.ref = ? OR p.key = ?)", d.Taker.Code, gp.Ref, gp.Key)
	if err != nil || !ok {
		return a, false, err
	}
	a, err = d.settle(ctx, tx, a.ID, gp) // locks the invoice
	return a, err == nil && a.State == gateway.Succeeded, err
}

// keepRefund keeps what the gateway says of money that went back. The invoice is owed
// again, but nobody is charged for it or restricted: staff decides.
func (d *Desk) keepRefund(ctx context.Context, tx *tenancy.CentralTx, a Attempt, gr gateway.Refunded) (string, error) {
	state := gr.State
	switch state {
	case gateway.Cancelled:
		state = gateway.Failed
	case gateway.RequiresAction, gateway.Created:
		state = gateway.Processing
	}
	if err := nameBack(ctx, tx, a, gr); err != nil {
		return "", err
	}
	var was struct {
		ID    uuid.UUID
		State gateway.State
	}
	err := tx.NewRaw("SELECT id, state FROM wholesale_refunds WHERE gateway = ? AND ref = ?", a.Gateway, gr.Ref).Scan(ctx, &was)
	switch {
	case tenancy.IsNoRows(err):
		if gr.Amount.Currency != a.Currency || gr.Amount.Minor <= 0 {
			return notOurs, nil
		}
		if was.ID, err = uuid.NewV7(); err != nil {
			return "", err
		}
	case err != nil:
		return "", fmt.Errorf("look for refund %s: %w", gr.Ref, err)
	case was.State == state, was.State == gateway.Failed, was.State == gateway.Succeeded && state != gateway.Failed:
		return string(was.State), nil
	}
	_, err = tx.NewRaw(`INSERT INTO wholesale_refunds (gateway, ref, id, payment_id, amount_minor, state, problem, created_at, changed_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (gateway, ref) DO UPDATE SET state = excluded.state, problem = excluded.problem, changed_at = excluded.changed_at`,
		a.Gateway, gr.Ref, was.ID, a.ID, gr.Amount.Minor, string(state), gr.Text, tx.Now(), tx.Now()).Exec(ctx)
	if err != nil {
		return "", fmt.Errorf("keep refund %s: %w", gr.Ref, err)
	}
	switch {
	case a.TopUp():
		return string(state), d.moveBalanceBack(ctx, tx, a, was.ID, was.State, gateway.Refunded{State: state, Amount: gr.Amount, Text: gr.Text})
	case state == gateway.Succeeded:
		return string(state), d.moveBack(ctx, tx, a, was.ID, gr.Amount, false)
	case state == gateway.Failed && was.State == gateway.Succeeded:
		return string(state), d.moveBack(ctx, tx, a, was.ID, gr.Amount, true)
	}
	return string(state), nil
}

// moveBack books money that went back, or that the reseller's bank sent back to us.
func (d *Desk) moveBack(ctx context.Context, tx *tenancy.CentralTx, a Attempt, refund uuid.UUID, amount billing.Money, returned bool) error {
	moves, minor, key := billing.PostRefund(a.Gateway, amount), -amount.Minor, "wholesale_refund/"+refund.String()
	text := amount.Format("en") + " of " + a.Number + " were given back at the gateway's own pages. The amount is owed again; nobody is charged for it."
	if returned {
		moves, minor, key = billing.PostPayment(a.Gateway, amount), amount.Minor, key+"/came_back"
		text = "The bank sent back " + amount.Format("en") + " that had been given back of " + a.Number + "."
	}
	// paid_at stays: what was paid once is not collected by itself.
	_, err := tx.NewRaw(`UPDATE wholesale_invoices SET paid_minor = paid_minor + ?0, next_try_at = NULL, changed_at = ?1,
		state = CASE WHEN state = 'uncollectible' THEN state WHEN paid_minor + ?0 >= total_minor THEN 'paid' ELSE 'open' END WHERE id = ?2`, minor, tx.Now(), a.InvoiceID).Exec(ctx)
	if err != nil {
		return fmt.Errorf("book a refund: %w", err)
	}
	if err := post(ctx, tx, "wholesale_refund", rowsOf(key, a.TenantID.Number(), refund, moves)); err != nil {
		return err
	}
	_, err = alerts.Raise(ctx, tx, alerts.Alert{Key: key, Tenant: a.TenantID, Kind: "wholesale.refunded", Text: text, Detail: map[string]string{"invoice": a.Number, "amount": amount.Format("en")}})
	return err
}

// disputeNews asks for a dispute and its payment.
func (d *Desk) disputeNews(ctx context.Context, e gateway.Stored) (keeping, error) {
	overseer, ok := d.Taker.Gateway.(gateway.Overseer)
	if !ok {
		return foreign, nil
	}
	gd, err := overseer.Dispute(ctx, e.Ref)
	if err != nil {
		return nil, err
	}
	if gd.Payment == "" {
		gd.Payment = e.Payment
	}
	if gd.Payment == "" {
		return foreign, nil
	}
	gp, err := d.Taker.Gateway.Payment(ctx, gd.Payment)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, tx *tenancy.CentralTx) (string, error) {
		a, ok, err := d.settled(ctx, tx, gp)
		if err != nil || !ok {
			return notOurs, err
		}
		return string(gd.State), keepDispute(ctx, tx, a, gd)
	}, nil
}

// keepDispute keeps what the gateway says of a dispute, books what moved and tells staff.
func keepDispute(ctx context.Context, tx *tenancy.CentralTx, a Attempt, gd gateway.Dispute) error {
	if gd.Amount.Currency != a.Currency {
		return fmt.Errorf("dispute %s is about %s and payment %s about %s", gd.Ref, gd.Amount.Currency, a.ID, a.Currency)
	}
	var kept string
	if err := tx.NewRaw("SELECT coalesce(disputes::text, '[]') FROM wholesale_payments WHERE id = ? FOR UPDATE", a.ID).Scan(ctx, &kept); err != nil {
		return fmt.Errorf("read disputes: %w", err)
	}
	var known []gateway.Disputed
	if err := json.Unmarshal([]byte(kept), &known); err != nil {
		return fmt.Errorf("read disputes: %w", err)
	}
	all, news := gateway.Hear(known, gd, tx.Now())
	if !news.Changed {
		return nil
	}
	now, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if _, err := tx.NewRaw("UPDATE wholesale_payments SET disputes = ?::jsonb, changed_at = ? WHERE id = ?", string(now), tx.Now(), a.ID).Exec(ctx); err != nil {
		return fmt.Errorf("keep disputes: %w", err)
	}
	moves := billing.PostDispute(a.Gateway, billing.Money{Minor: news.Withdrawn, Currency: a.Currency}, billing.Money{Minor: news.Lost, Currency: a.Currency})
	key := fmt.Sprintf("wholesale_dispute/%s/%s/%d", a.ID, gd.Ref, news.Now.Booked)
	if err := post(ctx, tx, "wholesale_dispute", rowsOf(key, a.TenantID.Number(), a.ID, moves)); err != nil {
		return err
	}
	if !news.Fresh && news.Now.State == news.Was.State && news.Now.Inquiry == news.Was.Inquiry {
		return nil
	}
	key = "wholesale_dispute/" + gd.Ref + "/" + string(gd.State)
	if gd.Inquiry {
		key += "/inquiry"
	}
	return raiseDispute(ctx, tx, a, news.Now, key)
}

func raiseDispute(ctx context.Context, tx *tenancy.CentralTx, a Attempt, k gateway.Disputed, key string) error {
	_, err := alerts.Raise(ctx, tx, alerts.Alert{Key: key, Tenant: a.TenantID, Kind: "wholesale.disputed", Text: disputeText(a.Number, a.Currency, k),
		Detail: map[string]string{"invoice": a.Number, "dispute": k.Ref, "reason": k.Reason, "state": string(k.State)}})
	return err
}

// disputeText says in a sentence where a dispute stands.
func disputeText(invoice, currency string, k gateway.Disputed) string {
	of := billing.Money{Minor: k.AmountMinor, Currency: currency}.Format("en") + " of " + invoice
	switch {
	case k.Inquiry && k.State == gateway.Won:
		return "The bank's question about " + of + " is closed; no money moved."
	case k.State == gateway.Won:
		return "The dispute about " + of + " was won."
	case k.State == gateway.Lost:
		return "The dispute about " + of + " was lost: the bank gave the money back to the reseller."
	case k.State == gateway.UnderReview:
		return "The bank decides about the dispute of " + of + "."
	}
	text := "The reseller disputes " + of + " at their bank: " + gateway.Why(k.Reason) + "."
	if k.Inquiry {
		text = "The reseller's bank asks about " + of + ": " + gateway.Why(k.Reason) + "."
	}
	if !k.EvidenceBy.IsZero() {
		text += " Evidence is due by " + k.EvidenceBy.UTC().Format("2 January 2006, 15:04 UTC") + "."
	}
	return text
}

// remindBefore is how long before evidence is due staff is told again.
const remindBefore = 72 * time.Hour

// remindOfEvidence tells staff, once a dispute, that evidence will soon be too late.
func remindOfEvidence(ctx context.Context, tx *tenancy.CentralTx) error {
	var rows []struct {
		Attempt
		Disputes string
	}
	err := tx.NewRaw(`SELECT p.id, p.tenant_id, coalesce(i.number, 'a balance top-up') AS number, p.currency, p.disputes::text AS disputes FROM wholesale_payments p LEFT JOIN wholesale_invoices i ON i.id = p.invoice_id
		WHERE p.disputes IS NOT NULL AND p.disputes @> '[{"state": "needs_response"}]' ORDER BY p.id LIMIT 200`).Scan(ctx, &rows)
	if err != nil {
		return fmt.Errorf("look for evidence that is due: %w", err)
	}
	for _, r := range rows {
		var all []gateway.Disputed
		if err := json.Unmarshal([]byte(r.Disputes), &all); err != nil {
			return fmt.Errorf("read disputes: %w", err)
		}
		for _, k := range all {
			left := k.EvidenceBy.Sub(tx.Now())
			if k.State != gateway.NeedsResponse || k.EvidenceBy.IsZero() || left > remindBefore || left < 0 || k.EvidenceBy.Sub(k.OpenedAt) <= remindBefore {
				continue
			}
			if err := raiseDispute(ctx, tx, r.Attempt, k, "wholesale_dispute/"+k.Ref+"/reminder"); err != nil {
				return err
			}
		}
	}
	return nil
}
