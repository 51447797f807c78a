package renewal

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity/roster"
)

// MaxPage is the most subscriptions List returns at once.
const MaxPage = 200

// Filter narrows and orders a list. Zero fields do not.
type Filter struct {
	AccountID uuid.UUID
	State     State
	Cancelled bool   // only those that are cancelled and still run
	Text      string // part of the label, the service's name or the customer's
	Sort      string // label, customer, amount, renews, created; empty: created, newest first
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

// List returns one page in one statement; Total of each is of the whole list.
func List(ctx context.Context, tx *tenancy.Tx, f Filter) ([]Subscription, error) {
	if f.Limit <= 0 || f.Limit > MaxPage {
		f.Limit = MaxPage
	}
	order, ok := map[string]string{"label": "lower(s.label)", "customer": "lower(a.name)", "amount": "s.amount_minor", "renews": "s.period_to", "created": "s.created_at"}[f.Sort]
	if !ok {
		order, f.Desc = "s.created_at", true
	}
	tie := ", s.id"
	if f.Desc {
		order, tie = order+" DESC NULLS LAST", tie+" DESC"
	}
	where, args := "true", []any{}
	add := func(cond string, values ...any) { where, args = where+" AND "+cond, append(args, values...) }
	if f.AccountID != uuid.Nil {
		add("s.account_id = ?", f.AccountID)
	}
	if f.BeforeID != uuid.Nil {
		add("(s.created_at, s.id) < (?, ?)", f.BeforeAt, f.BeforeID)
	}
	if f.State != "" {
		add("s.state = ?", string(f.State))
	}
	if f.Cancelled {
		add("s.cancel_at IS NOT NULL AND s.state <> 'ended'")
	}
	if text := strings.TrimSpace(f.Text); text != "" {
		like := roster.Like(text)
		add("(s.label ILIKE ? OR a.name ILIKE ? OR v.name ILIKE ?)", like, like, like)
	}
	count := "count(*) OVER ()"
	if f.Uncounted {
		count = "0"
	}
	return read(ctx, tx, "SELECT "+columns+ahead+", "+count+" AS total"+tables+" WHERE "+where+" ORDER BY "+order+tie+" LIMIT ? OFFSET ?",
		append(args, f.Limit, max(f.Offset, 0))...)
}

// Billed is an invoice as one subscription's page shows it.
type Billed struct {
	ID       uuid.UUID
	Number   string
	State    string
	Total    billing.Money
	Open     billing.Money
	IssuedAt time.Time
	DueAt    time.Time
	Period   billing.Period // zero: the first invoice, before it began
}

// Invoices are the latest invoices of a subscription, the newest first.
func Invoices(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) ([]Billed, error) {
	var rows []struct {
		ID                                    uuid.UUID
		Number, State, Currency               string
		TotalMinor, OpenMinor                 int64
		IssuedAt, DueAt, PeriodFrom, PeriodTo time.Time
	}
	err := tx.NewRaw(`SELECT i.id, i.number, i.state, i.currency, i.total_minor, i.total_minor - i.paid_minor - i.credited_minor AS open_minor, i.issued_at, i.due_at,
		min(l.period_from) AS period_from, max(l.period_to) AS period_to
		FROM invoice_lines l JOIN invoices i ON i.id = l.invoice_id WHERE l.subscription_id = ? AND i.kind = 'invoice' AND i.state <> 'draft'
		GROUP BY i.id ORDER BY i.issued_at DESC, i.id DESC LIMIT 24`, id).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read the invoices of subscription %s: %w", id, err)
	}
	found := make([]Billed, len(rows))
	for i, r := range rows {
		m := func(n int64) billing.Money { return billing.Money{Minor: n, Currency: r.Currency} }
		found[i] = Billed{ID: r.ID, Number: r.Number, State: r.State, Total: m(r.TotalMinor), Open: m(r.OpenMinor), IssuedAt: r.IssuedAt, DueAt: r.DueAt,
			Period: billing.Period{From: r.PeriodFrom, To: r.PeriodTo}}
	}
	return found, nil
}

// Method is what the next invoice is collected from, in words; empty: nothing is saved.
func Method(ctx context.Context, tx *tenancy.Tx, account uuid.UUID) (label string, err error) {
	err = tx.NewRaw(`SELECT m.label FROM accounts a JOIN payment_methods m ON m.id = a.default_method_id AND m.account_id = a.id
		WHERE a.id = ? AND m.state <> 'removed'`, account).Scan(ctx, &label)
	if err != nil && !tenancy.IsNoRows(err) {
		return "", fmt.Errorf("read the method of account %s: %w", account, err)
	}
	return label, nil
}
