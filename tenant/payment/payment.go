// Package payment owns how a shop takes money: its gateways with their sealed keys,
// customers' saved methods, payments, refunds and what gateways tell. What is owed and
// what came is invoicing's; a payment that succeeds is told there once. Gateways are
// called outside transactions, and every call can be made again.
package payment

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/gateway"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Gateways opens the drivers of gateways with a shop's own keys; cmd knows them.
type Gateways interface {
	// Open returns the driver of a code. gateway.ErrCredentials when the settings cannot
	// do, gateway.ErrUnsupported when the shop may not use it.
	Open(code string, settings Settings) (gateway.Gateway, error)
}

// Sealer opens and seals secrets; secrets.Keyring does.
type Sealer interface {
	Seal(purpose string, aad, plain []byte) ([]byte, error)
	Open(purpose string, aad, sealed []byte) ([]byte, error)
}

// Desk is where money is taken. It is safe for concurrent use.
type Desk struct {
	Gateways Gateways
	Keys     Sealer
	Connect  Connect // opens accounts of shops at the platform's gateway; nil: shops take money with keys of their own alone
	// Collector takes payments for shops that have no account of their own; nil: nobody does.
	Collector Collector
	Mail      *mail.Outbox // tells the reseller's team of refunds and disputes; nil: nobody is told
}

// Payment is one attempt to pay an invoice.
type Payment struct {
	ID          uuid.UUID
	Key         string
	InvoiceID   uuid.UUID
	Invoice     string // its number
	AccountID   uuid.UUID
	AccountName string
	TopUp       bool // it pays credit ahead, and no invoice
	Gateway     string
	MethodID    uuid.UUID // uuid.Nil: none of the saved ones
	Method      string    // Visa •••• 4242; empty: not known
	MethodKind  string    // of a saved one; see gateway.Method
	Amount      billing.Money
	Refunded    billing.Money // given back or being given back
	State       gateway.State
	Ref         string
	DeclineCode string
	DeclineText string
	OnSession   bool
	CreatedAt   time.Time
	SettledAt   time.Time // zero: not yet
	ChangedAt   time.Time
	Disputes    []gateway.Disputed // the oldest first
	TurnedOff   bool               // something it paid for is suspended for one of them
	Total       int                `json:"-"` // of the whole list
}

// Left is what may still be given back: neither what was, nor what the customer's bank took
// or holds because of a dispute.
func (p Payment) Left() billing.Money {
	left := p.unrefunded()
	left.Minor = max(0, left.Minor-p.Away().Minor)
	return left
}

// Away is what the customer's bank took or holds because of disputes.
func (p Payment) Away() billing.Money {
	away := billing.Money{Currency: p.Amount.Currency}
	for _, d := range p.Disputes {
		away.Minor += d.WithdrawnMinor
	}
	return away
}

func (p Payment) unrefunded() billing.Money {
	if p.State != gateway.Succeeded {
		return billing.Money{Currency: p.Amount.Currency}
	}
	return billing.Money{Minor: p.Amount.Minor - p.Refunded.Minor, Currency: p.Amount.Currency}
}

type paymentRow struct {
	ID, InvoiceID, AccountID, MethodID                                           uuid.UUID
	Key, Invoice, AccountName, Gateway, Method, MethodKind, Currency, State, Ref string
	DeclineCode, DeclineText                                                     string
	AmountMinor, RefundedMinor                                                   int64
	OnSession, TopUp                                                             bool
	CreatedAt, SettledAt, ChangedAt                                              time.Time
	Disputes                                                                     string
	TurnedOff                                                                    bool
	Total                                                                        int
}

const paymentColumns = `p.id, p.key, p.invoice_id, coalesce(i.number, '') AS invoice, i.kind = 'top_up' AS top_up, p.account_id, a.name AS account_name, p.gateway,
	coalesce(p.method_id, '00000000-0000-0000-0000-000000000000') AS method_id, coalesce(m.label, '') AS method, coalesce(m.kind, '') AS method_kind,
	p.currency, p.amount_minor, p.refunded_minor, p.state, coalesce(p.ref, '') AS ref, p.decline_code, p.decline_text,
	p.on_session, p.created_at, p.settled_at, p.changed_at, coalesce(p.disputes::text, '') AS disputes,
	CASE WHEN p.disputes IS NOT NULL THEN EXISTS (SELECT FROM invoice_lines l JOIN services v ON v.subscription_id = l.subscription_id WHERE l.invoice_id = p.invoice_id AND v.holds->>'dispute' IS NOT NULL) ELSE false END AS turned_off`

const paymentTables = ` FROM payments p JOIN invoices i ON i.id = p.invoice_id JOIN accounts a ON a.id = p.account_id
	LEFT JOIN payment_methods m ON m.id = p.method_id`

func (r paymentRow) payment() Payment {
	m := func(n int64) billing.Money { return billing.Money{Minor: n, Currency: r.Currency} }
	return Payment{
		ID: r.ID, Key: r.Key, InvoiceID: r.InvoiceID, Invoice: r.Invoice, TopUp: r.TopUp, AccountID: r.AccountID, AccountName: r.AccountName,
		Gateway: r.Gateway, MethodID: r.MethodID, Method: r.Method, MethodKind: r.MethodKind, Amount: m(r.AmountMinor), Refunded: m(r.RefundedMinor),
		State: gateway.State(r.State), Ref: r.Ref, DeclineCode: r.DeclineCode, DeclineText: r.DeclineText, OnSession: r.OnSession,
		CreatedAt: r.CreatedAt, SettledAt: r.SettledAt, ChangedAt: r.ChangedAt, Disputes: disputesOf(r.Disputes), TurnedOff: r.TurnedOff, Total: r.Total,
	}
}

var errNotFound = fault.New(fault.NotFound, "payment.not_found", "There is no such payment.")

// Get returns a payment, or the fault payment.not_found.
func Get(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (Payment, error) {
	p, ok, err := find(ctx, tx, "p.id = ?", id)
	if err == nil && !ok {
		err = errNotFound
	}
	return p, err
}

// Latest is the last attempt to pay each of some invoices, by the invoice; one that
// nobody tried to pay has none.
func Latest(ctx context.Context, tx *tenancy.Tx, invoices []uuid.UUID) (map[uuid.UUID]Payment, error) {
	if len(invoices) == 0 {
		return nil, nil
	}
	var rows []paymentRow
	err := tx.NewRaw("SELECT DISTINCT ON (p.invoice_id) "+paymentColumns+paymentTables+" WHERE p.invoice_id IN (?) ORDER BY p.invoice_id, p.created_at DESC, p.id DESC", bun.List(invoices)).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read the last payments: %w", err)
	}
	all := make(map[uuid.UUID]Payment, len(rows))
	for _, r := range rows {
		all[r.InvoiceID] = r.payment()
	}
	return all, nil
}

// find reads the one payment that answers a condition, if there is any.
func find(ctx context.Context, tx *tenancy.Tx, where string, args ...any) (Payment, bool, error) {
	var r paymentRow
	err := tx.NewRaw("SELECT "+paymentColumns+paymentTables+" WHERE "+where, args...).Scan(ctx, &r)
	if tenancy.IsNoRows(err) {
		return Payment{}, false, nil
	}
	if err != nil {
		return Payment{}, false, fmt.Errorf("read payment: %w", err)
	}
	return r.payment(), true, nil
}

// MaxPage is the most payments List returns at once.
const MaxPage = 200

// Filter narrows and orders a list. Zero fields do not.
type Filter struct {
	Text     string // part of an invoice's number, an account's name or a gateway's ref
	State    gateway.State
	Disputed bool // a customer's bank asks for evidence
	// RefundWaiting leaves those of which something is to be sent back by hand.
	RefundWaiting bool
	Gateway       string
	AccountID     uuid.UUID
	InvoiceID     uuid.UUID
	Sort          string // amount, account, created; empty: created, newest first
	Desc          bool
	Offset        int
	Limit         int
}

// List returns one page of payments in one statement; Total of each is of the whole list.
func List(ctx context.Context, tx *tenancy.Tx, f Filter) ([]Payment, error) {
	if f.Limit <= 0 || f.Limit > MaxPage {
		f.Limit = MaxPage
	}
	order, ok := map[string]string{"amount": "p.amount_minor", "account": "lower(a.name)", "created": "p.created_at"}[f.Sort]
	if !ok {
		order, f.Desc = "p.created_at", true
	}
	if f.Desc {
		order += " DESC"
	}
	where, args := f.where()
	var rows []paymentRow
	err := tx.NewRaw("SELECT "+paymentColumns+", count(*) OVER () AS total"+paymentTables+" WHERE "+where+
		" ORDER BY "+order+", p.id DESC LIMIT ? OFFSET ?", append(args, f.Limit, max(f.Offset, 0))...).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("list payments: %w", err)
	}
	found := make([]Payment, len(rows))
	for i, r := range rows {
		found[i] = r.payment()
	}
	return found, nil
}
