package invoicing

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenant/activity"
	"github.com/ezscale/ezscale/tenant/webhook"
)

// lockMany reads invoices in the order of their ids and keeps them from others.
func lockMany(ctx context.Context, tx *tenancy.Tx, ids []uuid.UUID) (map[uuid.UUID]Invoice, error) {
	var rows []row
	err := tx.NewRaw("SELECT "+columns+" FROM invoices i JOIN accounts a ON a.id = i.account_id WHERE i.id IN (?) ORDER BY i.id FOR UPDATE OF i", bun.List(ids)).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("lock %d invoices: %w", len(ids), err)
	}
	all := make(map[uuid.UUID]Invoice, len(rows))
	for _, r := range rows {
		all[r.ID] = r.invoice()
	}
	return all, nil
}

// applied is one payment on its way into the books.
type applied struct {
	Application
	key     string
	inv     Invoice
	settled bool
}

// AppliedAll is Applied for many payments at once, each of another invoice, at the cost of
// few statements. One that is refused refuses all.
func AppliedAll(ctx context.Context, tx *tenancy.Tx, all []Application) error {
	if len(all) == 0 {
		return nil
	}
	todo, err := unbooked(ctx, tx, all)
	if err != nil || len(todo) == 0 {
		return err
	}
	if err := postMany(ctx, tx, todo); err != nil {
		return err
	}
	revenue := make([]tenancy.Revenue, len(todo))
	events := make([]activity.Event, len(todo))
	var jobs []tenancy.Queued
	for i := range todo {
		a := &todo[i]
		if a.inv.Paid, err = a.inv.Paid.Add(a.Amount); err != nil {
			return err
		}
		was := a.inv.State
		a.inv.settle(a.At)
		a.settled = a.inv.State == Paid && was != Paid
		revenue[i] = tenancy.Revenue{Key: a.key, Kind: "paid", Currency: a.inv.Currency, Minor: a.Amount.Minor, At: a.At}
		events[i] = a.event().told()
		if a.settled {
			jobs = append(jobs, tenancy.Queued{Job: PaidJob{InvoiceID: a.inv.ID}, Options: tenancy.JobOptions{Key: a.inv.ID.String() + "/" + a.PaymentID.String()}})
		}
		letter := LetterJob{Letter: mail.PaymentReceived, InvoiceID: a.inv.ID, AmountMinor: a.Amount.Minor, Key: a.key + "/received"}
		jobs = append(jobs, tenancy.Queued{Job: letter, Options: tenancy.JobOptions{Key: letter.Key}})
	}
	if err := tx.RecordRevenue(ctx, revenue...); err != nil {
		return err
	}
	if err := keepMany(ctx, tx, todo); err != nil {
		return err
	}
	if err := activity.Tell(ctx, tx, events...); err != nil {
		return err
	}
	return tx.EnqueueAll(ctx, jobs)
}

// unbooked locks the invoices of payments and leaves out what was booked before.
func unbooked(ctx context.Context, tx *tenancy.Tx, all []Application) ([]applied, error) {
	ids, keys := make([]uuid.UUID, len(all)), make([]string, len(all))
	for i, a := range all {
		if slices.Contains(ids[:i], a.InvoiceID) {
			return nil, fmt.Errorf("two payments of invoice %s at once", a.InvoiceID)
		}
		ids[i], keys[i] = a.InvoiceID, "payment/"+a.PaymentID.String()
	}
	locked, err := lockMany(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	var known []string
	// Each key by itself: all postings of the shop would be read for a list of them.
	if err := tx.NewRaw("SELECT k.key FROM unnest(ARRAY[?]) k(key), LATERAL (SELECT FROM ledger_postings p WHERE p.key = k.key LIMIT 1) p", bun.List(keys)).Scan(ctx, &known); err != nil {
		return nil, fmt.Errorf("look for %d payments in the books: %w", len(keys), err)
	}
	todo := make([]applied, 0, len(all))
	for i, a := range all {
		inv, there := locked[a.InvoiceID]
		switch {
		case !there:
			return nil, fault.New(fault.NotFound, "invoice.not_found", "There is no such invoice.")
		case slices.Contains(known, keys[i]):
			continue
		case inv.Kind != document.Invoice || inv.State == drafted || a.Amount.Minor <= 0 || a.Amount.Minor > billing.MaxMinor || a.Amount.Currency != inv.Currency:
			return nil, fault.New(fault.Invalid, "invoice.bad_amount", "An amount is more than nothing and of the invoice's currency.")
		}
		if a.At.IsZero() {
			a.At = tx.Now()
		}
		todo = append(todo, applied{Application: a, key: keys[i], inv: inv})
	}
	return todo, nil
}

func (a applied) event() event {
	news := []webhook.News{{Type: webhook.PaymentSucceeded, Data: webhook.PaymentData{
		ID: a.PaymentID, AccountID: a.inv.AccountID, InvoiceID: a.inv.ID, InvoiceNumber: a.inv.Number, Amount: webhook.AmountOf(a.Amount),
	}}}
	if a.settled {
		news = append(news, webhook.News{Type: webhook.InvoicePaid, Data: data(a.inv)})
	}
	return event{a.key, a.inv, "invoice.payment", a.Amount.Format("en") + " were received for invoice " + a.inv.Number + ".", news}
}

func postMany(ctx context.Context, tx *tenancy.Tx, all []applied) error {
	type posting struct {
		postingRow
		Key       string    `json:"key"`
		AccountID uuid.UUID `json:"account_id"`
		Currency  string    `json:"currency"`
		Source    uuid.UUID `json:"source"`
	}
	var rows []posting
	for _, a := range all {
		for _, p := range postingRows(billing.PostPayment(a.Gateway, a.Amount)) {
			rows = append(rows, posting{p, a.key, a.inv.AccountID, a.inv.Currency, a.PaymentID})
		}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`INSERT INTO ledger_postings (key, position, at, debit, credit, account_id, amount_minor, currency, source_kind, source_id, note)
		SELECT r.key, r.position, ?, r.debit, r.credit, r.account_id, r.amount, r.currency, 'payment', r.source, r.note
		FROM jsonb_to_recordset(?::jsonb) AS r(key text, position int, debit text, credit text, amount bigint, note text, account_id uuid, currency text, source uuid)`, tx.Now(), string(text)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("post %d payments: %w", len(all), err)
	}
	return nil
}

func keepMany(ctx context.Context, tx *tenancy.Tx, all []applied) error {
	type kept struct {
		ID     uuid.UUID `json:"id"`
		Paid   int64     `json:"paid"`
		State  State     `json:"state"`
		PaidAt any       `json:"paid_at"`
	}
	rows := make([]kept, len(all))
	for i, a := range all {
		rows[i] = kept{a.inv.ID, a.inv.Paid.Minor, a.inv.State, whenSet(a.inv.PaidAt)}
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`UPDATE invoices i SET paid_minor = r.paid, state = r.state, paid_at = r.paid_at, changed_at = ?, next_try_at = CASE WHEN r.state = 'open' THEN i.next_try_at END
		FROM jsonb_to_recordset(?::jsonb) AS r(id uuid, paid bigint, state text, paid_at timestamptz) WHERE i.id = r.id`, tx.Now(), string(text)).Exec(ctx)
	if err != nil {
		return fmt.Errorf("settle %d invoices: %w", len(all), err)
	}
	return nil
}

// WriteMany is Write for many jobs: the letters about invoices of accounts with one reader
// are written together, any others one by one.
func (l Letters) WriteMany(ctx context.Context, db *tenancy.DB, jobs []LetterJob) error {
	var others []LetterJob
	err := db.Update(ctx, func(tx *tenancy.Tx) error {
		others = nil
		ids := make([]uuid.UUID, len(jobs))
		for i, j := range jobs {
			ids[i] = j.InvoiceID
		}
		found, err := lettered(ctx, tx, ids)
		if err != nil {
			return err
		}
		var all []mail.Message
		for _, j := range jobs {
			x, ok := found[j.InvoiceID]
			if !ok || x.Readers > 1 || x.Reader != x.doc.Buyer.Email {
				others = append(others, j)
				continue
			}
			m, err := j.message(x.inv, x.doc)
			if err != nil {
				return err
			}
			if m.To != "" {
				all = append(all, m)
			}
		}
		return l.Mail.EnqueueAll(ctx, tx, all)
	})
	if err != nil {
		return err
	}
	for _, j := range others {
		if err := l.Write(ctx, db, j); err != nil {
			return err
		}
	}
	return nil
}

// about is an invoice with its document and who of the account might read of it.
type about struct {
	row
	Document string
	Readers  int
	Reader   string
	inv      Invoice
	doc      document.Document
}

func lettered(ctx context.Context, tx *tenancy.Tx, ids []uuid.UUID) (map[uuid.UUID]about, error) {
	var rows []about
	err := tx.NewRaw("SELECT "+columns+`, i.document::text AS document, coalesce(r.n, 0) AS readers, coalesce(r.email, '') AS reader
		FROM invoices i JOIN accounts a ON a.id = i.account_id
		LEFT JOIN LATERAL (SELECT count(*) AS n, min(p.email) AS email FROM memberships m JOIN people p ON p.id = m.person_id WHERE m.account_id = i.account_id) r ON true
		WHERE i.id IN (?) AND i.document IS NOT NULL`, bun.List(ids)).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read %d invoices to write about: %w", len(ids), err)
	}
	all := make(map[uuid.UUID]about, len(rows))
	for _, x := range rows {
		x.inv = x.invoice()
		if err := json.Unmarshal([]byte(x.Document), &x.doc); err != nil {
			return nil, fmt.Errorf("read document: %w", err)
		}
		all[x.inv.ID] = x
	}
	return all, nil
}
