package payment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/queue"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// What happens at the gateway's own pages, and at banks.

var errRefundsUnderWay = errors.New("other refunds of the payment are under way")

// refundNews asks for one refund, or for all of a payment, and for the payment: it may
// not be known here yet that it came.
func (d *Desk) refundNews(ctx context.Context, gw gateway.Gateway, code string, e gateway.Stored) (keeping, error) {
	var all []gateway.Refunded
	overseer, ok := gw.(gateway.Overseer)
	switch {
	case e.Ref != "":
		gr, err := gw.Refunded(ctx, e.Ref)
		if err != nil {
			return nil, err
		}
		if gr.Payment == "" {
			gr.Payment = e.Payment
		}
		all = append(all, gr)
	case ok:
		var err error
		if all, err = overseer.RefundsOf(ctx, e.Payment); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return leave, nil
	}
	var gp gateway.Payment
	if ref := all[0].Payment; ref != "" {
		var err error
		if gp, err = gw.Payment(ctx, ref); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context, tx *tenancy.Tx) (outcome string, err error) {
		outcome = notOurs
		for _, gr := range all {
			said, err := d.keepRefund(ctx, tx, code, gr, gp)
			if err != nil {
				return "", err
			}
			if said != notOurs {
				outcome = said
			}
		}
		return outcome, nil
	}, nil
}

func leave(context.Context, *tenancy.Tx) (string, error) { return "left alone", nil }

// keepRefund keeps what a gateway says of a refund, ours or one that was made at its own
// pages.
func (d *Desk) keepRefund(ctx context.Context, tx *tenancy.Tx, code string, gr gateway.Refunded, gp gateway.Payment) (string, error) {
	known := func() (Refund, bool, error) {
		return oneRefund(ctx, tx, "p.gateway = ? AND (r.ref = ? OR 'refund/' || r.id::text = ?)", code, gr.Ref, gr.Key)
	}
	r, ok, err := known()
	if err == nil && !ok {
		var p Payment
		if p, ok, err = settled(ctx, tx, code, gp); err != nil || !ok {
			return notOurs, err
		}
		// Whoever comes at the same time waits for the payment, and finds it.
		if p, err = lockPayment(ctx, tx, p.ID); err != nil {
			return "", err
		}
		if r, ok, err = known(); err == nil && !ok {
			r, ok, err = d.foundRefund(ctx, tx, p, gr)
		}
	}
	if err != nil || !ok {
		return notOurs, err
	}
	return string(gr.State), settleRefund(ctx, tx, r.ID, gr)
}

// settled finds the payment a gateway speaks of and keeps how it stands.
func settled(ctx context.Context, tx *tenancy.Tx, code string, gp gateway.Payment) (Payment, bool, error) {
	if gp.Ref == "" {
		return Payment{}, false, nil
	}
	p, ok, err := find(ctx, tx, "p.gateway = ? AND (p.ref = ? OR p.key = ?)", code, gp.Ref, gp.Key)
	if err != nil || !ok {
		return p, false, err
	}
	p, err = Settle(ctx, tx, p.ID, gp)
	return p, err == nil && p.State == gateway.Succeeded, err
}

// foundRefund makes a row of a refund that nobody asked for here, and tells the
// reseller's team. No credit note is issued: only a person knows whether it is one.
func (d *Desk) foundRefund(ctx context.Context, tx *tenancy.Tx, p Payment, gr gateway.Refunded) (Refund, bool, error) {
	if gr.State == gateway.Failed || gr.State == gateway.Cancelled || gr.Amount.Currency != p.Amount.Currency || gr.Amount.Minor <= 0 {
		return Refund{}, false, nil // nothing moved
	}
	if gr.Amount.Minor > p.unrefunded().Minor {
		// What was asked for here and is not sent yet will be refused: then there is room.
		return Refund{}, false, queue.Retry(time.Minute, errRefundsUnderWay)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Refund{}, false, err
	}
	r := Refund{
		ID: id, Key: p.Gateway + "/" + gr.Ref, PaymentID: p.ID, Amount: gr.Amount, State: gateway.Created, Ref: gr.Ref,
		Reason: "Given back at the payment service's own pages", CreatedBy: "Payment service", CreatedAt: tx.Now(), ChangedAt: tx.Now(),
	}
	_, err = tx.NewRaw(`INSERT INTO refunds (id, key, payment_id, amount_minor, state, ref, reason, problem, created_by, created_at, changed_at)
		VALUES (?, ?, ?, ?, 'created', ?, ?, '', ?, ?, ?)`, r.ID, r.Key, r.PaymentID, r.Amount.Minor, r.Ref, r.Reason, r.CreatedBy, r.CreatedAt, r.ChangedAt).Exec(ctx)
	if err != nil {
		return r, false, fmt.Errorf("keep refund %s: %w", gr.Ref, err)
	}
	if err := reserve(ctx, tx, p.ID, r.Amount.Minor); err != nil {
		return r, false, err
	}
	if p.TopUp {
		if err := invoicing.WithdrawTopUp(ctx, tx, p.ID, r.ID, r.Amount, true, r.CreatedBy); err != nil {
			return r, false, err
		}
	}
	// Until this is kept, news of the same refund find none here and are left alone, so what is
	// kept may be older than they: it is asked for once more, when they would find it.
	if _, err := tx.Enqueue(ctx, RefundJob{RefundID: id, Found: true}, tenancy.JobOptions{Key: id.String() + "/found"}); err != nil {
		return r, false, err
	}
	key, amount := "refund/"+id.String()+"/found", r.Amount.Format("en")
	err = activity.Tell(ctx, tx, activity.Event{
		Key: key, AccountID: p.AccountID, SubjectKind: activity.Invoice, SubjectID: p.InvoiceID, Kind: "refund.found",
		Text: amount + " of invoice " + p.Invoice + " were given back at the payment service's own pages. There is no credit note for it.",
	})
	if err != nil {
		return r, false, err
	}
	_, err = tx.RaiseAlert(ctx, tenancy.Alert{Key: key, Kind: "payment.refunded_there", Text: amount + " of invoice " + p.Invoice + " were given back at the payment service's own pages.",
		Detail: map[string]any{"invoice": p.Invoice, "gateway": p.Gateway, "refund": gr.Ref}})
	if err != nil {
		return r, false, err
	}
	return r, true, d.writeToTeam(ctx, tx, p, mail.RefundFound, key, map[string]string{"amount": amount})
}

// disputeNews asks for a dispute and its payment.
func (d *Desk) disputeNews(ctx context.Context, gw gateway.Gateway, code string, e gateway.Stored) (keeping, error) {
	overseer, ok := gw.(gateway.Overseer)
	if !ok {
		return leave, nil
	}
	gd, err := overseer.Dispute(ctx, e.Ref)
	if err != nil {
		return nil, err
	}
	if gd.Payment == "" {
		gd.Payment = e.Payment
	}
	if gd.Payment == "" {
		return func(context.Context, *tenancy.Tx) (string, error) { return notOurs, nil }, nil
	}
	gp, err := gw.Payment(ctx, gd.Payment)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, tx *tenancy.Tx) (string, error) {
		p, ok, err := settled(ctx, tx, code, gp)
		if err != nil || !ok {
			return notOurs, err
		}
		return string(gd.State), d.keepDispute(ctx, tx, p.ID, gd)
	}, nil
}

// remindBefore is how long before evidence is due the team is written to again.
const remindBefore = 72 * time.Hour

// keepDispute keeps what a gateway says of a dispute, books what moved, and tells the
// reseller's team. What becomes of what was paid for is another's to do (DisputedJob).
func (d *Desk) keepDispute(ctx context.Context, tx *tenancy.Tx, payment uuid.UUID, gd gateway.Dispute) error {
	p, err := lockPayment(ctx, tx, payment)
	if err != nil {
		return err
	}
	all, news := gateway.Hear(p.Disputes, gd, tx.Now())
	if !news.Changed {
		return nil
	}
	if gd.Amount.Currency != p.Amount.Currency {
		return fmt.Errorf("dispute %s is about %s and payment %s about %s", gd.Ref, gd.Amount.Currency, p.ID, p.Amount.Currency)
	}
	if news.Fresh && gd.State == gateway.NeedsResponse && gd.EvidenceBy.Sub(tx.Now()) <= remindBefore {
		all[len(all)-1].Reminded = true // the first letter is the reminder
	}
	if err := saveDisputes(ctx, tx, p.ID, all); err != nil {
		return err
	}
	if err := tellPlatform(ctx, tx, p); err != nil {
		return err
	}
	err = invoicing.Contested(ctx, tx, invoicing.ContestedMoney{
		Key: fmt.Sprintf("dispute/%s/%s/%d", p.ID, gd.Ref, news.Now.Booked), InvoiceID: p.InvoiceID, PaymentID: p.ID, Gateway: p.Gateway,
		Withdrawn: billing.Money{Minor: news.Withdrawn, Currency: p.Amount.Currency}, Lost: billing.Money{Minor: news.Lost, Currency: p.Amount.Currency},
	})
	if err != nil {
		return err
	}
	var away, gone int64
	for _, k := range all {
		away, gone = away+k.WithdrawnMinor, gone+k.LostMinor
	}
	if err := invoicing.ContestCredit(ctx, tx, p.InvoiceID, p.ID, away, gone); err != nil {
		return err
	}
	if err := watchEvidence(ctx, tx); err != nil {
		return err
	}
	if news.Fresh || news.Now.State != news.Was.State || news.Now.Inquiry != news.Was.Inquiry {
		job := DisputedJob{PaymentID: p.ID, Ref: gd.Ref}
		key := fmt.Sprintf("%s/%s/%s/%t/%d", p.ID, gd.Ref, news.Now.State, news.Now.Inquiry, news.Now.Moves)
		if _, err := tx.Enqueue(ctx, job, tenancy.JobOptions{Key: key}); err != nil {
			return err
		}
	}
	return d.tellOfDispute(ctx, tx, p, news)
}

func saveDisputes(ctx context.Context, tx *tenancy.Tx, payment uuid.UUID, all []gateway.Disputed) error {
	kept, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if _, err := tx.NewRaw("UPDATE payments SET disputes = ?::jsonb, changed_at = ? WHERE id = ?", string(kept), tx.Now(), payment).Exec(ctx); err != nil {
		return fmt.Errorf("keep disputes: %w", err)
	}
	return nil
}

func disputesOf(kept string) []gateway.Disputed {
	var all []gateway.Disputed
	if kept == "" || json.Unmarshal([]byte(kept), &all) != nil {
		return nil
	}
	return all
}

// tellOfDispute tells of what is new to people: that there is one, what the bank decided,
// and that money moved.
func (d *Desk) tellOfDispute(ctx context.Context, tx *tenancy.Tx, p Payment, n gateway.DisputeNews) error {
	text := DisputeText(p, n.Now)
	if !n.Fresh && n.Now.State == n.Was.State && n.Now.Inquiry == n.Was.Inquiry && n.Withdrawn == 0 {
		return nil
	}
	key := "dispute/" + n.Now.Ref + "/" + string(n.Now.State)
	if n.Now.Inquiry {
		key += "/inquiry"
	}
	err := activity.Tell(ctx, tx, activity.Event{
		Key: key + fmt.Sprintf("/%d", n.Now.WithdrawnMinor), AccountID: p.AccountID, SubjectKind: activity.Invoice, SubjectID: p.InvoiceID, Kind: "payment.disputed", Text: text,
	})
	if err != nil {
		return err
	}
	_, err = tx.RaiseAlert(ctx, tenancy.Alert{Key: key, Kind: "payment.disputed", Text: text,
		Detail: map[string]any{"invoice": p.Invoice, "gateway": p.Gateway, "dispute": n.Now.Ref, "reason": n.Now.Reason, "state": string(n.Now.State)}})
	if err != nil {
		return err
	}
	return d.writeOfDispute(ctx, tx, p, n.Now, key)
}

func (d *Desk) writeOfDispute(ctx context.Context, tx *tenancy.Tx, p Payment, k gateway.Disputed, key string) error {
	until := ""
	if !k.EvidenceBy.IsZero() {
		until = k.EvidenceBy.UTC().Format("2 January 2006, 15:04 UTC")
	}
	by := ""
	if p.Gateway == Platform {
		by = Platform // whose pages the team does not see
	}
	return d.writeToTeam(ctx, tx, p, mail.PaymentDisputed, key, map[string]string{
		"by": by, "amount": billing.Money{Minor: k.AmountMinor, Currency: p.Amount.Currency}.Format("en"), "state": DisputeText(p, k), "until": until,
	})
}

// DisputeText says in a sentence where a dispute of a payment stands.
func DisputeText(p Payment, k gateway.Disputed) string {
	amount := billing.Money{Minor: k.AmountMinor, Currency: p.Amount.Currency}.Format("en")
	of := amount + " of invoice " + p.Invoice
	switch {
	case k.Inquiry && k.State == gateway.Won:
		return "The bank's question about " + of + " is closed; no money moved."
	case k.State == gateway.Won:
		return "The dispute about " + of + " was won."
	case k.State == gateway.Lost:
		return "The dispute about " + of + " was lost: the bank gave the money back to the customer."
	case k.Inquiry:
		return "The customer's bank asks about " + of + ": " + gateway.Why(k.Reason) + "."
	case k.State == gateway.UnderReview:
		return "The bank decides about the dispute of " + of + "."
	}
	return "The customer disputes " + of + " at their bank: " + gateway.Why(k.Reason) + "."
}

// EvidenceAgenda is the kind under which a shop says when somebody is to be reminded that
// evidence is due.
const EvidenceAgenda = "disputes"

const openDisputes = ` FROM payments p CROSS JOIN LATERAL jsonb_to_recordset(p.disputes) AS d(ref text, state text, evidence_by timestamptz, reminded boolean)
	WHERE p.disputes IS NOT NULL AND d.state = 'needs_response' AND d.evidence_by IS NOT NULL AND NOT coalesce(d.reminded, false)`

func watchEvidence(ctx context.Context, tx *tenancy.Tx) error {
	var row struct{ First time.Time }
	if err := tx.NewRaw("SELECT min(d.evidence_by) AS first"+openDisputes).Scan(ctx, &row); err != nil {
		return fmt.Errorf("look for evidence that is due: %w", err)
	}
	if row.First.IsZero() {
		return tx.SetAgenda(ctx, EvidenceAgenda, time.Time{})
	}
	return tx.SetAgenda(ctx, EvidenceAgenda, row.First.Add(-remindBefore))
}

// RemindOfEvidence writes to the reseller's team, once a dispute, that evidence will soon
// be too late, and sets the agenda anew.
func (d *Desk) RemindOfEvidence(ctx context.Context, db *tenancy.DB, _ time.Time) error {
	return db.Update(ctx, func(tx *tenancy.Tx) error {
		var due []uuid.UUID
		if err := tx.NewRaw("SELECT DISTINCT p.id"+openDisputes+" AND d.evidence_by <= ? LIMIT 100", tx.Now().Add(remindBefore)).Scan(ctx, &due); err != nil {
			return fmt.Errorf("look for evidence that is due: %w", err)
		}
		for _, id := range due {
			if err := d.remindOf(ctx, tx, id); err != nil {
				return err
			}
		}
		return watchEvidence(ctx, tx)
	})
}

func (d *Desk) remindOf(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) error {
	p, err := lockPayment(ctx, tx, id)
	if err != nil {
		return err
	}
	for i, k := range p.Disputes {
		if k.State != gateway.NeedsResponse || k.Reminded || k.EvidenceBy.IsZero() || k.EvidenceBy.Sub(tx.Now()) > remindBefore {
			continue
		}
		p.Disputes[i].Reminded = true
		if k.EvidenceBy.Before(tx.Now()) {
			continue // too late
		}
		if err := d.writeOfDispute(ctx, tx, p, k, "dispute/"+k.Ref+"/reminder"); err != nil {
			return err
		}
	}
	return saveDisputes(ctx, tx, p.ID, p.Disputes)
}

// writeToTeam writes to those of the reseller's team who look after money.
func (d *Desk) writeToTeam(ctx context.Context, tx *tenancy.Tx, p Payment, template, key string, data map[string]string) error {
	if d.Mail == nil {
		return nil
	}
	var team []struct {
		ID          uuid.UUID
		Name, Email string
	}
	err := tx.NewRaw(`SELECT id, name, email FROM people WHERE world = 'reseller' AND role IN ('owner', 'admin') AND disabled_at IS NULL ORDER BY id LIMIT 20`).Scan(ctx, &team)
	if err != nil {
		return fmt.Errorf("find the team: %w", err)
	}
	data["number"], data["customer"], data["link"] = p.Invoice, p.AccountName, "/manage/invoices/"+p.InvoiceID.String()
	for _, r := range team {
		data["name"] = r.Name
		err := d.Mail.Enqueue(ctx, tx, mail.Message{Key: key + "/" + r.ID.String(), Template: template, To: r.Email, Data: data})
		if err != nil && !fault.Is(err, "mail.bad_address") {
			return fmt.Errorf("write %s: %w", template, err)
		}
	}
	return nil
}
