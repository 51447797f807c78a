// Package invoicing owns invoices and credit notes, their numbers, and the books of a
// shop: what was invoiced, paid, credited and given back. It asks nobody for money:
// tenant/payment does, and tells here what came. Parts take a bound transaction and are
// idempotent by their keys.
package invoicing

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// State is where an invoice stands.
type State string

// The states. A credit note is paid when it is issued: nothing is awaited for it.
const (
	drafted       State = "draft" // kept, not issued: nobody is shown it
	Open          State = "open"
	Paid          State = "paid"
	Void          State = "void"          // credited in full before anything was paid
	Uncollectible State = "uncollectible" // given up
)

// Invoice is an invoice or a credit note.
type Invoice struct {
	ID          uuid.UUID
	Key         string
	Kind        string // document.Invoice or document.CreditNote
	CorrectsID  uuid.UUID
	AccountID   uuid.UUID
	AccountName string
	State       State
	Number      string
	Currency    string
	Net         billing.Money
	Tax         billing.Money
	Total       billing.Money
	Paid        billing.Money // received and not given back, or paid by credit
	ByCredit    billing.Money // of what was paid, what credit paid
	Credited    billing.Money
	IssuedAt    time.Time
	DueAt       time.Time // zero: a credit note
	PaidAt      time.Time // zero: not paid
	Tries       int       // failed attempts to collect it
	NextTryAt   time.Time // zero: nobody tries
}

// Due is what is still owed; less than nothing when too much was paid.
func (i Invoice) Due() billing.Money {
	return billing.Money{Minor: i.Total.Minor - i.Paid.Minor - i.Credited.Minor, Currency: i.Currency}
}

// Owed is what is to be paid now: nothing but of an open invoice.
func (i Invoice) Owed() billing.Money {
	if i.Kind != document.Invoice || i.State != Open {
		return billing.Money{Currency: i.Currency}
	}
	return i.Due()
}

// Received is what came as money and was not given back.
func (i Invoice) Received() billing.Money {
	return billing.Money{Minor: i.Paid.Minor - i.ByCredit.Minor, Currency: i.Currency}
}

// Overdue reports whether it should have been paid by at.
func (i Invoice) Overdue(at time.Time) bool {
	return i.State == Open && !i.DueAt.IsZero() && i.DueAt.Before(at)
}

// row is an invoice as it is kept.
type row struct {
	ID, CorrectsID, AccountID                                               uuid.UUID
	Key, Kind, State, Number, Currency, AccountName                         string
	NetMinor, TaxMinor, TotalMinor, PaidMinor, CreditedMinor, ByCreditMinor int64
	IssuedAt, DueAt, PaidAt, NextTryAt                                      time.Time
	Tries                                                                   int
	Matches                                                                 int // of the whole list
}

const columns = `i.id, coalesce(i.corrects_id, '00000000-0000-0000-0000-000000000000') AS corrects_id, i.account_id, a.name AS account_name,
	i.key, i.kind, i.state, coalesce(i.number, '') AS number, i.currency, i.net_minor, i.tax_minor, i.total_minor, i.paid_minor, i.credited_minor, coalesce(i.credit_minor, 0) AS by_credit_minor,
	i.issued_at, i.due_at, i.paid_at, i.tries, i.next_try_at`

func (r row) invoice() Invoice {
	m := func(n int64) billing.Money { return billing.Money{Minor: n, Currency: r.Currency} }
	return Invoice{
		ID: r.ID, Key: r.Key, Kind: r.Kind, CorrectsID: r.CorrectsID, AccountID: r.AccountID, AccountName: r.AccountName,
		State: State(r.State), Number: r.Number, Currency: r.Currency,
		Net: m(r.NetMinor), Tax: m(r.TaxMinor), Total: m(r.TotalMinor), Paid: m(r.PaidMinor), ByCredit: m(r.ByCreditMinor), Credited: m(r.CreditedMinor),
		IssuedAt: r.IssuedAt, DueAt: r.DueAt, PaidAt: r.PaidAt, Tries: r.Tries, NextTryAt: r.NextTryAt,
	}
}

// Get returns an invoice or credit note, or the fault invoice.not_found.
func Get(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (Invoice, error) {
	return one(ctx, tx, "i.id = ?", id)
}

// ByKey returns the invoice of a natural key, or the fault invoice.not_found.
func ByKey(ctx context.Context, tx *tenancy.Tx, key string) (Invoice, error) {
	return one(ctx, tx, "i.key = ?", key)
}

func one(ctx context.Context, tx *tenancy.Tx, where string, args ...any) (Invoice, error) {
	var r row
	err := tx.NewRaw("SELECT "+columns+" FROM invoices i JOIN accounts a ON a.id = i.account_id WHERE "+where, args...).Scan(ctx, &r)
	if tenancy.IsNoRows(err) {
		return Invoice{}, fault.New(fault.NotFound, "invoice.not_found", "There is no such invoice.")
	}
	if err != nil {
		return Invoice{}, fmt.Errorf("read invoice: %w", err)
	}
	return r.invoice(), nil
}

// lock reads an invoice and keeps it from others until the transaction ends.
func lock(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (Invoice, error) {
	return one(ctx, tx, "i.id = ? FOR UPDATE OF i", id)
}

// Stored is the document of an invoice as it was issued, or the fault invoice.not_found.
func Stored(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (document.Document, error) {
	d, _, err := StoredWithEvidence(ctx, tx, id)
	return d, err
}

// StoredWithEvidence is Stored, with the evidence of where the buyer was; nil: it was
// issued before any was kept.
func StoredWithEvidence(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (d document.Document, e *Evidence, err error) {
	var r struct{ Document, Evidence string }
	err = tx.NewRaw("SELECT document::text AS document, coalesce(evidence::text, '') AS evidence FROM invoices WHERE id = ? AND document IS NOT NULL", id).Scan(ctx, &r)
	if tenancy.IsNoRows(err) {
		return d, nil, fault.New(fault.NotFound, "invoice.not_found", "There is no such invoice.")
	}
	if err != nil {
		return d, nil, fmt.Errorf("read document: %w", err)
	}
	if err := json.Unmarshal([]byte(r.Document), &d); err != nil {
		return d, nil, fmt.Errorf("read document: %w", err)
	}
	if r.Evidence != "" {
		e = &Evidence{}
		if err := json.Unmarshal([]byte(r.Evidence), e); err != nil {
			return d, nil, fmt.Errorf("read the evidence of invoice %s: %w", id, err)
		}
	}
	return d, e, nil
}
