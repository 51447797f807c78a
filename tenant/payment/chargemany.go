package payment

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/billing/gateway/sandbox"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// ChargeMany is Charge for many invoices of a sandbox. What a gateway that asks nobody says
// yes or no to is kept together; anything that is not as simple is charged one by one.
func (d *Desk) ChargeMany(ctx context.Context, db *tenancy.DB, jobs []ChargeJob) error {
	gw, _, err := d.Open(ctx, db, sandbox.Code)
	if err != nil {
		return err
	}
	if _, instant := gw.(gateway.Instant); !instant || !db.Tenant().Sandbox {
		return fmt.Errorf("charge %d invoices at once: %w", len(jobs), gateway.ErrUnsupported)
	}
	var others []ChargeJob
	err = db.Update(ctx, func(tx *tenancy.Tx) error {
		others = nil
		plain, rest, err := chargeable(ctx, tx, jobs)
		if err != nil {
			return err
		}
		others = rest
		paid, refused := make([]charged, 0, len(plain)), []charged{}
		for _, c := range plain {
			// Within the transaction, because nothing outside of it is asked.
			c.answer, err = gw.Charge(ctx, gateway.Charge{
				Key: c.job.key(), Amount: billing.Money{Minor: c.DueMinor, Currency: c.Currency}, Method: c.Ref,
				Customer: gateway.Customer{Key: c.AccountID.String(), Ref: c.CustomerRef}, Description: "Invoice " + c.Number, Reference: c.Number,
			})
			if err != nil {
				return fmt.Errorf("charge %s: %w", c.job.key(), err)
			}
			switch c.answer.State {
			case gateway.Succeeded:
				paid = append(paid, c)
			case gateway.Failed:
				refused = append(refused, c)
			default:
				others = append(others, c.job)
			}
		}
		if err := bookCharges(ctx, tx, paid); err != nil {
			return err
		}
		return keepRefusals(ctx, tx, refused)
	})
	if err != nil {
		return err
	}
	for _, j := range others {
		if err := d.Charge(ctx, db, j); err != nil {
			return err
		}
	}
	return nil
}

// charged is an invoice with the method it is charged to, and what came of it.
type charged struct {
	ID, AccountID, MethodID            uuid.UUID
	Number, Currency, Ref, CustomerRef string
	DueMinor                           int64
	job                                ChargeJob
	answer                             gateway.Payment
}

// chargeable locks the open invoices nobody has tried to pay in this way, of accounts whose
// default method is the sandbox's and who have no credit to spend. The others are for Charge.
func chargeable(ctx context.Context, tx *tenancy.Tx, jobs []ChargeJob) (plain []charged, others []ChargeJob, err error) {
	ids, keys := make([]uuid.UUID, 0, len(jobs)), make([]string, 0, len(jobs))
	byInvoice := map[uuid.UUID]ChargeJob{}
	for _, j := range jobs {
		if _, twice := byInvoice[j.InvoiceID]; twice || j.MethodID != uuid.Nil {
			others = append(others, j)
			continue
		}
		byInvoice[j.InvoiceID] = j
		ids, keys = append(ids, j.InvoiceID), append(keys, j.key())
	}
	if len(ids) == 0 {
		return nil, others, nil
	}
	var found []charged
	// From the invoices on, each by its own: however the tables have grown since anybody
	// counted their rows, none is read whole.
	err = tx.NewRaw(`WITH i AS MATERIALIZED (SELECT id, account_id, number, currency, total_minor - paid_minor - credited_minor AS due_minor FROM invoices
			WHERE id IN (?0) AND kind = 'invoice' AND state = 'open' AND total_minor > paid_minor + credited_minor ORDER BY id FOR UPDATE)
		SELECT i.id, i.account_id, coalesce(i.number, '') AS number, i.currency, i.due_minor, m.id AS method_id, m.ref, m.customer_ref
		FROM i, LATERAL (SELECT m.* FROM accounts a JOIN payment_methods m ON m.id = a.default_method_id AND m.account_id = a.id WHERE a.id = i.account_id OFFSET 0) m
		WHERE m.state = 'active' AND m.gateway = ?2
		AND NOT EXISTS (SELECT FROM (SELECT key, state FROM payments WHERE invoice_id = i.id OFFSET 0) p WHERE p.key IN (?1) OR `+underWay+`)
		AND NOT EXISTS (SELECT FROM credit_grants g WHERE g.account_id = i.account_id AND g.left_minor > 0 AND g.currency = i.currency)
		AND NOT EXISTS (SELECT FROM invoice_lines l JOIN subscriptions s ON s.id = l.subscription_id WHERE l.invoice_id = i.id AND s.method_id <> m.id) ORDER BY i.id`, bun.List(ids), bun.List(keys), sandbox.Code).Scan(ctx, &found)
	if err != nil {
		return nil, nil, fmt.Errorf("look for what can be charged: %w", err)
	}
	for i := range found {
		found[i].job = byInvoice[found[i].ID]
	}
	for _, id := range ids {
		if !slices.ContainsFunc(found, func(c charged) bool { return c.ID == id }) {
			others = append(others, byInvoice[id])
		}
	}
	return found, others, nil
}

// bookCharges keeps payments that came, as they stand in the end, and books them.
func bookCharges(ctx context.Context, tx *tenancy.Tx, all []charged) error {
	if len(all) == 0 {
		return nil
	}
	payments, err := keepAnswers(ctx, tx, all)
	if err != nil {
		return err
	}
	books := make([]invoicing.Application, len(all))
	for i, p := range payments {
		books[i] = invoicing.Application{InvoiceID: p.InvoiceID, PaymentID: p.ID, Gateway: p.Gateway, Amount: p.Amount, At: tx.Now()}
	}
	return invoicing.AppliedAll(ctx, tx, books)
}

// keepRefusals keeps payments that were refused, and what follows of each.
func keepRefusals(ctx context.Context, tx *tenancy.Tx, all []charged) error {
	if len(all) == 0 {
		return nil
	}
	payments, err := keepAnswers(ctx, tx, all)
	if err != nil {
		return err
	}
	for i, p := range payments {
		if err := follow(ctx, tx, p, all[i].answer); err != nil {
			return err
		}
	}
	return nil
}

// keepAnswers writes payments as they stand in the end.
func keepAnswers(ctx context.Context, tx *tenancy.Tx, all []charged) ([]Payment, error) {
	type row struct {
		ID        uuid.UUID     `json:"id"`
		Key       string        `json:"key"`
		InvoiceID uuid.UUID     `json:"invoice_id"`
		AccountID uuid.UUID     `json:"account_id"`
		MethodID  uuid.UUID     `json:"method_id"`
		Currency  string        `json:"currency"`
		Amount    int64         `json:"amount"`
		State     gateway.State `json:"state"`
		Ref       string        `json:"ref"`
		Code      string        `json:"code"`
		Text      string        `json:"text"`
	}
	rows, payments := make([]row, len(all)), make([]Payment, len(all))
	for i, c := range all {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, err
		}
		p := Payment{
			ID: id, Key: c.job.key(), InvoiceID: c.ID, Invoice: c.Number, AccountID: c.AccountID, Gateway: sandbox.Code, MethodID: c.MethodID, State: c.answer.State, Ref: c.answer.Ref,
			Amount: billing.Money{Minor: c.DueMinor, Currency: c.Currency}, CreatedAt: tx.Now(), SettledAt: tx.Now(), ChangedAt: tx.Now(),
		}
		if c.answer.Received.Minor > 0 {
			p.Amount = c.answer.Received
		}
		if c.answer.Decline != nil {
			p.DeclineCode, p.DeclineText = c.answer.Decline.Code, c.answer.Decline.Text
		}
		payments[i] = p
		rows[i] = row{p.ID, p.Key, p.InvoiceID, p.AccountID, p.MethodID, p.Amount.Currency, p.Amount.Minor, p.State, p.Ref, p.DeclineCode, p.DeclineText}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return nil, err
	}
	_, err = tx.NewRaw(`INSERT INTO payments (id, key, invoice_id, account_id, gateway, method_id, currency, amount_minor, refunded_minor, state, ref, decline_code, decline_text, on_session, created_at, settled_at, changed_at)
		SELECT r.id, r.key, r.invoice_id, r.account_id, ?0, r.method_id, r.currency, r.amount, 0, r.state, r.ref, r.code, r.text, false, ?1, ?1, ?1
		FROM jsonb_to_recordset(?2::jsonb) AS r(id uuid, key text, invoice_id uuid, account_id uuid, method_id uuid, currency text, amount bigint, state text, ref text, code text, text text)`, sandbox.Code, tx.Now(), string(text)).Exec(ctx)
	if err != nil {
		return nil, fmt.Errorf("keep %d payments: %w", len(all), err)
	}
	return payments, nil
}
