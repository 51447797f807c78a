package wholesale

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/central/alerts"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Question is what a reseller asks about a line.
type Question struct {
	Invoice  uuid.UUID
	Position int
	Text     string
}

// The states of what a reseller questions.
const (
	QuestionOpen     = "open"
	QuestionAccepted = "accepted" // with a credit note
	QuestionDeclined = "declined"
)

// Asked is a line that was questioned, with what was said of it.
type Asked struct {
	ID          uuid.UUID
	InvoiceID   uuid.UUID
	Position    int
	TenantID    tenancy.ID
	Name        string // of the reseller
	Number      string // of the invoice
	Description string // of the line
	Currency    string
	NetMinor    int64 // of the line
	State       string
	AskedAt     time.Time
	DecidedBy   string
	DecidedAt   time.Time
	ChangedAt   time.Time
	CreditID    uuid.UUID // Nil: none
	Credit      string    // its number
	CreditMinor int64     // its total
	Last        string    // the newest note
	ByStaff     bool      // it is ours: the reseller is to answer
	Notes       []Note    `bun:"-"` // the oldest first; not in lists
	Count       int       `json:"-"`
}

// Net is the line's amount, and Credited what its credit note comes to.
func (a Asked) Net() billing.Money { return billing.Money{Minor: a.NetMinor, Currency: a.Currency} }

// Credited is what the credit note comes to, tax included.
func (a Asked) Credited() billing.Money {
	return billing.Money{Minor: a.CreditMinor, Currency: a.Currency}
}

// Note is one thing said.
type Note struct {
	ByStaff bool
	Author  string
	Text    string
	At      time.Time
}

const askedColumns = `SELECT q.id, q.invoice_id, q.position, q.tenant_id, t.name, i.number, l.description, i.currency, l.net_minor, q.state, q.asked_at,
		coalesce(q.decided_by, '') AS decided_by, q.decided_at, q.changed_at, coalesce(c.id, '00000000-0000-0000-0000-000000000000') AS credit_id,
		coalesce(c.number, '') AS credit, coalesce(c.total_minor, 0) AS credit_minor, n.text AS last, n.by_staff, count(*) OVER () AS count`

const askedTables = ` FROM wholesale_questions q JOIN wholesale_invoices i ON i.id = q.invoice_id JOIN tenants t ON t.id = q.tenant_id
	JOIN wholesale_lines l ON l.invoice_id = q.invoice_id AND l.position = q.position
	LEFT JOIN wholesale_credits c ON c.question_id = q.id
	CROSS JOIN LATERAL (SELECT x.text, x.by_staff FROM wholesale_question_notes x WHERE x.question_id = q.id ORDER BY x.nth DESC LIMIT 1) n `

// QuestionFilter narrows a list of questions. Zero fields do not.
type QuestionFilter struct {
	Tenant        tenancy.ID
	State         string
	Offset, Limit int
}

// Questions are one page of what was questioned, the open ones first and the oldest of
// them at the top, and how many there are in all.
func (d *Desk) Questions(ctx context.Context, f QuestionFilter) (rows []Asked, total int, err error) {
	if f.Limit <= 0 || f.Limit > 200 {
		f.Limit = 200
	}
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw(askedColumns+askedTables+`WHERE (?0::bigint = 0 OR q.tenant_id = ?0) AND ?1 IN ('', q.state)
			ORDER BY q.state <> 'open', CASE q.state WHEN 'open' THEN q.changed_at END, q.changed_at DESC, q.id DESC LIMIT ?2 OFFSET ?3`,
			f.Tenant.Number(), plain(f.State), f.Limit, max(f.Offset, 0)).Scan(ctx, &rows)
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list questions: %w", err)
	}
	if len(rows) > 0 {
		total = rows[0].Count
	}
	return rows, total, nil
}

// askedOf is everything asked about a line, the newest first, with what was said.
func askedOf(ctx context.Context, tx *tenancy.CentralTx, invoice uuid.UUID, position int) (all []Asked, err error) {
	var rows []struct {
		Asked
		Said string
	}
	err = tx.NewRaw(askedColumns+`, (SELECT json_agg(json_build_object('ByStaff', x.by_staff, 'Author', x.author, 'Text', x.text, 'At', x.at) ORDER BY x.nth)::text
			FROM wholesale_question_notes x WHERE x.question_id = q.id) AS said`+askedTables+`WHERE q.invoice_id = ? AND q.position = ? ORDER BY q.asked_at DESC, q.id DESC`, invoice, position).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("what was asked: %w", err)
	}
	for _, r := range rows {
		if err := json.Unmarshal([]byte(r.Said), &r.Notes); err != nil {
			return nil, fmt.Errorf("what was said: %w", err)
		}
		all = append(all, r.Asked)
	}
	return all, nil
}

// maxNotes bounds how much is said of one question.
const maxNotes = 100

// Ask questions a line of a reseller's invoice: the first time it opens a question, after
// that it adds to the one that is open. Staff are told. The same words as the last time
// change nothing. The fault question.invalid is about fields; others are
// wholesale_invoice.unknown and question.full.
func (d *Desk) Ask(ctx context.Context, of tenancy.ID, q Question, by audit.Origin) error {
	wrong := map[string]string{}
	q.Text = line("text", q.Text, 400, wrong)
	if err := fault.Fields("question.invalid", wrong); err != nil {
		return err
	}
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error { return q.ask(ctx, tx, of, by) })
	if err != nil {
		return fmt.Errorf("question a line of %s: %w", q.Invoice, err)
	}
	return nil
}

func (q Question) ask(ctx context.Context, tx *tenancy.CentralTx, of tenancy.ID, by audit.Origin) error {
	row, _, err := invoiceIn(ctx, tx, q.Invoice, of)
	if err != nil {
		return err
	}
	var about string
	err = tx.NewRaw("SELECT description FROM wholesale_lines WHERE invoice_id = ? AND position = ?", q.Invoice, q.Position).Scan(ctx, &about)
	if tenancy.IsNoRows(err) {
		return errUnknownInvoice
	}
	if err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	_, err = tx.NewRaw(`INSERT INTO wholesale_questions (id, invoice_id, position, tenant_id, state, asked_at, changed_at) VALUES (?0, ?1, ?2, ?3, 'open', ?4, ?4)
		ON CONFLICT (invoice_id, position) WHERE state = 'open' DO NOTHING`, id, q.Invoice, q.Position, of, tx.Now()).Exec(ctx)
	if err != nil {
		return err
	}
	if err := tx.NewRaw("SELECT id FROM wholesale_questions WHERE invoice_id = ? AND position = ? AND state = 'open' FOR UPDATE", q.Invoice, q.Position).Scan(ctx, &id); err != nil {
		return err
	}
	nth, err := say(ctx, tx, id, false, q.Text, by)
	if err != nil || nth == 0 {
		return err
	}
	_, err = alerts.Raise(ctx, tx, alerts.Alert{Key: fmt.Sprintf("question %s %d", id, nth), Tenant: of, Kind: "invoice.question",
		Text:   shorten(fmt.Sprintf("%s questions a line of %s: %s", row.Name, row.Number, q.Text), 500),
		Detail: map[string]string{"invoice": row.Number, "line": shorten(about, 200), "asked by": by.Actor.Name}})
	if err != nil {
		return err
	}
	return by.Record(ctx, tx, "wholesale.line_questioned", audit.Target{Kind: "wholesale_invoice", ID: q.Invoice.String()}, map[string]any{"number": row.Number, "position": q.Position, "text": q.Text})
}

func shorten(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// say adds a note to a question that is locked, and answers its place; 0: the last one says
// the same.
func say(ctx context.Context, tx *tenancy.CentralTx, question uuid.UUID, staff bool, text string, by audit.Origin) (nth int, err error) {
	var last []struct {
		Nth     int
		ByStaff bool
		Text    string
	}
	if err := tx.NewRaw("SELECT nth, by_staff, text FROM wholesale_question_notes WHERE question_id = ? ORDER BY nth DESC LIMIT 1", question).Scan(ctx, &last); err != nil {
		return 0, err
	}
	nth = 1
	if len(last) == 1 {
		if last[0].ByStaff == staff && last[0].Text == text {
			return 0, nil
		}
		nth = last[0].Nth + 1
	}
	if nth > maxNotes {
		return 0, fault.New(fault.Conflict, "question.full", "There is too much here already. Please write to us by mail.")
	}
	_, err = tx.NewRaw("INSERT INTO wholesale_question_notes (question_id, nth, by_staff, author, text, at) VALUES (?, ?, ?, ?, ?, ?)", question, nth, staff, by.Actor.Name, text, tx.Now()).Exec(ctx)
	if err != nil {
		return 0, err
	}
	_, err = tx.NewRaw("UPDATE wholesale_questions SET changed_at = ? WHERE id = ?", tx.Now(), question).Exec(ctx)
	return nth, err
}

var (
	errNoQuestion = fault.New(fault.NotFound, "question.unknown", "There is no such question.")
	errDecided    = fault.New(fault.Conflict, "question.decided", "This question was decided already.")
)

// lockQuestion keeps a question from others, after its invoice: whoever locks both does so
// in this order.
func lockQuestion(ctx context.Context, tx *tenancy.CentralTx, id uuid.UUID) (a Asked, inv InvoiceRow, err error) {
	var invoice uuid.UUID
	err = tx.NewRaw("SELECT invoice_id FROM wholesale_questions WHERE id = ?", id).Scan(ctx, &invoice)
	if tenancy.IsNoRows(err) {
		return a, inv, errNoQuestion
	}
	if err != nil {
		return a, inv, err
	}
	if inv, _, err = lockOpen(ctx, tx, invoice); err != nil {
		return a, inv, err
	}
	err = tx.NewRaw(`SELECT q.id, q.invoice_id, q.position, q.tenant_id, q.state, l.description, l.net_minor, i.number, i.currency FROM wholesale_questions q
		JOIN wholesale_lines l ON l.invoice_id = q.invoice_id AND l.position = q.position JOIN wholesale_invoices i ON i.id = q.invoice_id
		WHERE q.id = ? FOR UPDATE OF q`, id).Scan(ctx, &a)
	return a, inv, err
}

// Answer says something to a reseller's question, which stays open; the reseller gets a
// letter. Faults: question.invalid about fields, question.unknown, question.decided,
// question.full.
func (d *Desk) Answer(ctx context.Context, id uuid.UUID, text string, by audit.Origin) error {
	return d.decide(ctx, id, "", text, by)
}

// Decline ends a question without a credit; the reseller gets the reason. It may ask again.
// Faults are Answer's.
func (d *Desk) Decline(ctx context.Context, id uuid.UUID, text string, by audit.Origin) error {
	return d.decide(ctx, id, QuestionDeclined, text, by)
}

func (d *Desk) decide(ctx context.Context, id uuid.UUID, state, text string, by audit.Origin) error {
	wrong := map[string]string{}
	text = line("text", text, 400, wrong)
	if err := fault.Fields("question.invalid", wrong); err != nil {
		return err
	}
	err := d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		a, _, err := lockQuestion(ctx, tx, id)
		if err != nil {
			return err
		}
		if a.State != QuestionOpen {
			return errDecided
		}
		nth, err := say(ctx, tx, id, true, text, by)
		if err != nil {
			return err
		}
		if state == "" && nth == 0 {
			return nil
		}
		action := "wholesale.question_answered"
		if state != "" {
			action = "wholesale.question_declined"
			if err := a.end(ctx, tx, state, by); err != nil {
				return err
			}
		}
		if err := d.writeAnswer(ctx, tx, a, fmt.Sprintf("%s/%d/%s", id, nth, state), state, text, ""); err != nil {
			return err
		}
		return by.Record(ctx, tx, action, audit.Target{Kind: "wholesale_invoice", ID: a.InvoiceID.String()}, map[string]any{"number": a.Number, "position": a.Position, "text": text})
	})
	if err != nil {
		return fmt.Errorf("answer question %s: %w", id, err)
	}
	return nil
}

func (a Asked) end(ctx context.Context, tx *tenancy.CentralTx, state string, by audit.Origin) error {
	_, err := tx.NewRaw("UPDATE wholesale_questions SET state = ?0, decided_by = ?1, decided_at = ?2, changed_at = ?2 WHERE id = ?3", state, by.Actor.Name, tx.Now(), a.ID).Exec(ctx)
	return err
}

// writeAnswer sends the reseller a letter about its question; credit is what a credit note
// comes to.
func (d *Desk) writeAnswer(ctx context.Context, tx *tenancy.CentralTx, a Asked, key, state, text, credit string) error {
	return d.writeTo(ctx, tx, a.InvoiceID, mail.WholesaleAnswer, "wholesale_question/"+key, fmt.Sprintf("/lines/%d", a.Position),
		map[string]string{"line": a.Description, "state": state, "text": text, "credit": credit})
}
