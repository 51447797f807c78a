package checkout

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/identity/roster"
)

type orderRow struct {
	ID          uuid.UUID
	Number      int64
	QuoteID     uuid.UUID
	AccountID   uuid.UUID
	PersonID    uuid.UUID
	State       State
	InvoiceID   *uuid.UUID
	Currency    string
	TotalMinor  int64
	Coupon      string
	OffMinor    int64
	IP          string `bun:"ip"`
	PlacedAt    time.Time
	PaidAt      *time.Time
	ChangedAt   time.Time
	Body        []byte
	AccountName string
	PersonName  string
	Matches     int // of the whole list
	Remade      bool
}

// remade is whether an option was changed since the order was placed, or while it was: what
// is delivered goes by what it is made of then.
const remade = "EXISTS (SELECT FROM options x WHERE x.changed_at > o.placed_at - interval '1 minute') AS remade"

const orderColumns = `o.id, o.number, o.quote_id, o.account_id, o.person_id, o.state, o.invoice_id, o.currency, o.total_minor, coalesce(o.coupon, '') AS coupon, coalesce(o.off_minor, 0) AS off_minor, o.ip, o.placed_at, o.paid_at, o.changed_at,
	q.body, a.name AS account_name, p.name AS person_name`

const orderJoins = ` FROM orders o JOIN quotes q ON q.id = o.quote_id JOIN accounts a ON a.id = o.account_id JOIN people p ON p.id = o.person_id`

func (r orderRow) order() (Order, error) {
	o := Order{
		ID: r.ID, Number: r.Number, QuoteID: r.QuoteID, AccountID: r.AccountID, PersonID: r.PersonID, State: r.State, InvoiceID: r.InvoiceID,
		Currency: r.Currency, Total: billing.Money{Minor: r.TotalMinor, Currency: r.Currency}, Coupon: r.Coupon, Off: billing.Money{Minor: r.OffMinor, Currency: r.Currency}, IP: r.IP, PlacedAt: r.PlacedAt, ChangedAt: r.ChangedAt,
		AccountName: r.AccountName, PersonName: r.PersonName, remade: r.Remade,
	}
	if r.PaidAt != nil {
		o.PaidAt = *r.PaidAt
	}
	var b body
	if err := json.Unmarshal(r.Body, &b); err != nil {
		return o, fmt.Errorf("read order %s: %w", r.ID, err)
	}
	o.Items, o.Taxes = b.Items, b.Taxes
	return o, nil
}

// Get returns an order; of an account, unless the account is zero. The fault is order.not_found.
func (d *Desk) Get(ctx context.Context, db *tenancy.DB, id, account uuid.UUID) (o Order, err error) {
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		o, err = get(ctx, tx, id, account)
		return err
	})
	return o, err
}

// GetIn is Get within a transaction.
func GetIn(ctx context.Context, tx *tenancy.Tx, id, account uuid.UUID) (Order, error) {
	return get(ctx, tx, id, account)
}

func get(ctx context.Context, tx *tenancy.Tx, id, account uuid.UUID) (Order, error) {
	o, found, err := one(ctx, tx, "o.id = ?", "", id)
	if err == nil && (!found || account != uuid.Nil && o.AccountID != account) {
		err = fault.New(fault.NotFound, "order.not_found", "There is no such order.")
	}
	if err != nil {
		return Order{}, err
	}
	return o, nil
}

// byInvoice locks the order an invoice was issued for.
func byInvoice(ctx context.Context, tx *tenancy.Tx, invoiceID uuid.UUID) (Order, bool, error) {
	return one(ctx, tx, "o.id = (SELECT substr(i.key, 7)::uuid FROM invoices i WHERE i.id = ? AND i.key LIKE 'order/%' AND i.kind = 'invoice')", " FOR UPDATE OF o", invoiceID)
}

func one(ctx context.Context, tx *tenancy.Tx, where, lock string, args ...any) (Order, bool, error) {
	var r orderRow
	err := tx.NewRaw("SELECT "+orderColumns+", "+remade+orderJoins+" WHERE "+where+lock, args...).Scan(ctx, &r)
	if tenancy.IsNoRows(err) {
		return Order{}, false, nil
	}
	if err != nil {
		return Order{}, false, fmt.Errorf("read order: %w", err)
	}
	o, err := r.order()
	return o, err == nil, err
}

// MaxPage is the most orders List returns at once.
const MaxPage = 200

// Filter narrows and orders a list. Zero fields do not.
type Filter struct {
	AccountID uuid.UUID
	Text      string // a number, or part of the account's or person's name
	State     State
	Sort      string // number, account, total, placed; empty: placed, newest first
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
func (d *Desk) List(ctx context.Context, db *tenancy.DB, f Filter) (found []Order, total int, err error) {
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		found, total, err = ListIn(ctx, tx, f)
		return err
	})
	return found, total, err
}

// ListIn is List within a transaction.
func ListIn(ctx context.Context, tx *tenancy.Tx, f Filter) (found []Order, total int, err error) {
	if f.Limit <= 0 || f.Limit > MaxPage {
		f.Limit = MaxPage
	}
	order, ok := map[string]string{"number": "o.number", "account": "lower(a.name)", "total": "o.total_minor", "placed": "o.placed_at"}[f.Sort]
	if !ok {
		order, f.Desc = "o.placed_at", true
	}
	tie := ", o.id"
	if f.Desc {
		order, tie = order+" DESC", tie+" DESC"
	}
	where, args := f.where()
	count := "count(*) OVER ()"
	if f.Uncounted {
		count = "0"
	}
	var rows []orderRow
	err = tx.NewRaw("SELECT "+orderColumns+", "+count+" AS matches"+orderJoins+" WHERE "+where+" ORDER BY "+order+tie+" LIMIT ? OFFSET ?",
		append(args, f.Limit, max(f.Offset, 0))...).Scan(ctx, &rows)
	if err != nil {
		return nil, 0, fmt.Errorf("list orders: %w", err)
	}
	for _, r := range rows {
		o, err := r.order()
		if err != nil {
			return nil, 0, err
		}
		found, total = append(found, o), r.Matches
	}
	return found, total, nil
}

func (f Filter) where() (string, []any) {
	where, args := "true", []any{}
	if f.AccountID != uuid.Nil {
		where += " AND o.account_id = ?"
		args = append(args, f.AccountID)
	}
	if f.BeforeID != uuid.Nil {
		where += " AND (o.placed_at, o.id) < (?, ?)"
		args = append(args, f.BeforeAt, f.BeforeID)
	}
	switch f.State {
	case AwaitingPayment, PaidState, Fulfilled, Cancelled:
		where += " AND o.state = ?"
		args = append(args, f.State)
	}
	if t := strings.TrimSpace(f.Text); t != "" {
		if n, err := strconv.ParseInt(strings.TrimPrefix(t, "#"), 10, 64); err == nil {
			where += " AND o.number = ?"
			return where, append(args, n)
		}
		like := roster.Like(t)
		where += " AND (a.name ILIKE ? OR p.name ILIKE ? OR p.email ILIKE ?)"
		args = append(args, like, like, like)
	}
	return where, args
}
