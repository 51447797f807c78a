package invoicing

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity/roster"
)

// MaxPage is the most invoices List returns at once.
const MaxPage = 200

// Filter narrows and orders a list. Zero fields do not.
type Filter struct {
	AccountID uuid.UUID
	Accounts  []uuid.UUID // of any of these; nil: of all
	Text      string      // part of a number or of the customer's name
	Kind      string      // document.Invoice or document.CreditNote
	State     State
	Overdue   bool
	From, To  time.Time // issued in [From, To)
	Sort      string    // number, customer, total, due, issued; empty: issued, newest first
	Desc      bool
	Offset    int
	Limit     int
	// BeforeID and BeforeAt leave out the rows up to this one, in the usual order: the
	// last row of the page before.
	BeforeID uuid.UUID
	BeforeAt time.Time
	// Uncounted leaves out how many there are in all: for that every row is read.
	Uncounted bool
}

// List returns one page in one statement, and how many there are in all.
func List(ctx context.Context, db *tenancy.DB, f Filter) (found []Invoice, total int, err error) {
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		found, total, err = Listed(ctx, tx, f)
		return err
	})
	return found, total, err
}

// Listed is List within a transaction.
func Listed(ctx context.Context, tx *tenancy.Tx, f Filter) ([]Invoice, int, error) {
	if f.Limit <= 0 || f.Limit > MaxPage {
		f.Limit = MaxPage
	}
	order, ok := map[string]string{"number": "i.number", "customer": "lower(a.name)", "total": "i.total_minor", "due": "i.due_at", "issued": "i.issued_at"}[f.Sort]
	if !ok {
		order, f.Desc = "i.issued_at", true
	}
	if f.Desc {
		order += " DESC NULLS LAST, i.id DESC"
	} else {
		order += ", i.id"
	}
	where, args := f.where(tx.Now())
	var rows []row
	count := "count(*) OVER ()"
	if f.Uncounted {
		count = "0"
	}
	err := tx.NewRaw("SELECT "+columns+", "+count+" AS matches FROM invoices i JOIN accounts a ON a.id = i.account_id WHERE "+where+
		" ORDER BY "+order+" LIMIT ? OFFSET ?", append(args, f.Limit, max(f.Offset, 0))...).Scan(ctx, &rows)
	if err != nil {
		return nil, 0, fmt.Errorf("list invoices: %w", err)
	}
	found, total := make([]Invoice, len(rows)), 0
	for i, r := range rows {
		found[i], total = r.invoice(), r.Matches
	}
	return found, total, nil
}

func (f Filter) where(now time.Time) (string, []any) {
	where, args := "i.state <> 'draft'", []any{}
	add := func(cond string, values ...any) {
		where += " AND " + cond
		args = append(args, values...)
	}
	if f.AccountID != uuid.Nil {
		add("i.account_id = ?", f.AccountID)
	}
	if f.Accounts != nil {
		ids := make([]string, len(f.Accounts))
		for i, id := range f.Accounts {
			ids[i] = id.String()
		}
		add("i.account_id = ANY (string_to_array(?, ' ')::uuid[])", strings.Join(ids, " "))
	}
	if f.Kind != "" {
		add("i.kind = ?", f.Kind)
	} else {
		add("i.kind <> 'top_up'")
	}
	if f.State != "" {
		add("i.state = ? AND i.kind = 'invoice'", string(f.State))
	}
	if f.Overdue {
		add("i.kind = 'invoice' AND i.state = 'open' AND i.due_at < ?", now)
	}
	if !f.From.IsZero() {
		add("i.issued_at >= ?", f.From)
	}
	if !f.To.IsZero() {
		add("i.issued_at < ?", f.To)
	}
	if f.BeforeID != uuid.Nil {
		add("(i.issued_at, i.id) < (?, ?)", f.BeforeAt, f.BeforeID)
	}
	if text := strings.TrimSpace(f.Text); text != "" {
		like := roster.Like(text)
		add("(i.number ILIKE ? OR a.name ILIKE ?)", like, like)
	}
	return where, args
}

// StoredAll reads the documents of a list as they were issued, the oldest first. More than
// most are the fault invoice.too_many.
func StoredAll(ctx context.Context, tx *tenancy.Tx, f Filter, most int) ([]document.Document, error) {
	where, args := f.where(tx.Now())
	var texts []string
	err := tx.NewRaw("SELECT i.document::text FROM invoices i JOIN accounts a ON a.id = i.account_id WHERE "+where+" ORDER BY i.issued_at, i.id LIMIT ?", append(args, most+1)...).Scan(ctx, &texts)
	if err != nil {
		return nil, fmt.Errorf("read documents: %w", err)
	}
	if len(texts) > most {
		return nil, fault.New(fault.Conflict, "invoice.too_many", "These are more documents than one archive holds. Choose fewer days.")
	}
	all := make([]document.Document, len(texts))
	for i, text := range texts {
		if err := json.Unmarshal([]byte(text), &all[i]); err != nil {
			return nil, fmt.Errorf("read documents: %w", err)
		}
	}
	return all, nil
}

// Overdue are open invoices that should have been paid by now, the oldest first, at
// most MaxPage.
func Overdue(ctx context.Context, tx *tenancy.Tx) ([]Invoice, error) {
	found, _, err := Listed(ctx, tx, Filter{Overdue: true, Sort: "due"})
	return found, err
}

// Notes are the credit notes of an invoice, the oldest first.
func Notes(ctx context.Context, tx *tenancy.Tx, inv Invoice) ([]Invoice, error) {
	var rows []row
	err := tx.NewRaw("SELECT "+columns+" FROM invoices i JOIN accounts a ON a.id = i.account_id WHERE i.account_id = ? AND i.corrects_id = ? ORDER BY i.sequence",
		inv.AccountID, inv.ID).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("list credit notes: %w", err)
	}
	found := make([]Invoice, len(rows))
	for i, r := range rows {
		found[i] = r.invoice()
	}
	return found, nil
}
