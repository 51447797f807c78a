package account

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Address is where an account's invoices go, as accounts.billing keeps it. Empty
// fields were not given.
type Address struct {
	Name     string `json:"name,omitempty"`
	Company  string `json:"company,omitempty"`
	Line1    string `json:"line1,omitempty"`
	Line2    string `json:"line2,omitempty"`
	Postcode string `json:"postcode,omitempty"`
	City     string `json:"city,omitempty"`
	Region   string `json:"region,omitempty"`
	Country  string `json:"country,omitempty"` // ISO 3166, two letters
	Email    string `json:"email,omitempty"`
	Phone    string `json:"phone,omitempty"`
	// Reference stands on every invoice: an order, a cost centre, a route such as the Leitweg-ID.
	Reference string `json:"reference,omitempty"`
}

// Party is an account as invoices and quotes address it. Name and Email are the
// owner's where the address has none.
type Party struct {
	AccountID uuid.UUID
	Account   string // how the account is called
	Number    int64  // customer number; 0: none yet
	Kind      string // person or business; empty: not said
	Address
	TaxID       string
	NumberCheck NumberCheck // of the register of VAT numbers; it may be of a number the account had before
	Exemption   Exemption   // zero: none
	Currency    string
	TimeZone    string
	Locale      string // of the oldest owner
	OwnerID     uuid.UUID
	HasCredit   bool // something of it may count, and is spent on every invoice
	TermDays    int  // it has to pay what it is invoiced; 0: none of its own
	// BillingEmail is the address given for invoices; empty: none was, and Email is the owner's.
	BillingEmail string
}

// Complete reports whether an invoice can be addressed: a name, a street, a place and
// a country.
func (p Party) Complete() bool {
	return (p.Name != "" || p.Company != "") && p.Line1 != "" && p.City != "" && p.Country != ""
}

// Zone is the account's time zone.
func (p Party) Zone() *time.Location {
	zone, err := time.LoadLocation(p.TimeZone)
	if err != nil {
		return time.UTC
	}
	return zone
}

// ForInvoice reads whom an account's invoices go to, or answers with the fault
// account.not_found.
func ForInvoice(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (Party, error) {
	found, err := ForInvoices(ctx, tx, []uuid.UUID{id})
	return found[id], err
}

// ForInvoices is ForInvoice for many accounts at once. One that is missing is the fault
// account.not_found.
func ForInvoices(ctx context.Context, tx *tenancy.Tx, ids []uuid.UUID) (map[uuid.UUID]Party, error) {
	var rows []partyRow
	err := tx.NewRaw(`SELECT a.id, a.name, coalesce(a.kind, '') AS kind, coalesce(a.billing::text, '{}') AS billing, coalesce(a.country, '') AS country,
		coalesce(a.tax_id, '') AS tax_id, coalesce(a.tax_check::text, '') AS tax_check, coalesce(a.tax_exemption::text, '') AS tax_exemption, a.currency, a.time_zone, coalesce(a.number, 0) AS number, coalesce(o.name, '') AS person,
		coalesce(o.email, '') AS email, coalesce(o.locale, 'en') AS locale,
		a.closed_at IS NULL AND a.credit_by_hand IS NOT TRUE AND EXISTS (SELECT FROM credit_grants g WHERE g.account_id = a.id AND g.left_minor > 0) AS has_credit, coalesce(a.term_days, 0) AS term_days, coalesce(o.id, '00000000-0000-0000-0000-000000000000') AS owner_id
		FROM accounts a LEFT JOIN LATERAL (SELECT p.id, p.name, p.email, p.locale FROM memberships m JOIN people p ON p.id = m.person_id
			WHERE m.account_id = a.id ORDER BY m.role <> 'owner', m.created_at, p.id LIMIT 1) o ON true
		WHERE a.id IN (?)`, bun.List(ids)).Scan(ctx, &rows)
	if err != nil {
		return nil, fmt.Errorf("read the parties of %d accounts: %w", len(ids), err)
	}
	found := make(map[uuid.UUID]Party, len(rows))
	for _, r := range rows {
		if found[r.ID], err = r.party(); err != nil {
			return nil, err
		}
	}
	for _, id := range ids {
		if _, ok := found[id]; !ok {
			return nil, errNoAccount
		}
	}
	return found, nil
}

type partyRow struct {
	ID, OwnerID                                                                                            uuid.UUID
	Name, Kind, Billing, Country, TaxID, Currency, TimeZone, Person, Email, Locale, TaxCheck, TaxExemption string
	Number                                                                                                 int64
	TermDays                                                                                               int
	HasCredit                                                                                              bool
}

func (r partyRow) party() (Party, error) {
	p := Party{AccountID: r.ID, Account: r.Name, Number: r.Number, Kind: r.Kind, TaxID: r.TaxID, Currency: r.Currency, TimeZone: r.TimeZone, Locale: r.Locale, OwnerID: r.OwnerID, HasCredit: r.HasCredit, TermDays: r.TermDays}
	if err := json.Unmarshal([]byte(r.Billing), &p.Address); err != nil {
		return Party{}, fmt.Errorf("read the party of account %s: %w", r.ID, err)
	}
	var err error
	if p.NumberCheck, p.Exemption, err = readTax(r.TaxCheck, r.TaxExemption); err != nil {
		return Party{}, fmt.Errorf("read the party of account %s: %w", r.ID, err)
	}
	p.Country = r.Country
	if p.Name == "" && p.Company == "" {
		p.Name = r.Person
		if r.Name != r.Person {
			p.Company = r.Name
		}
	}
	if p.BillingEmail = p.Email; p.Email == "" {
		p.Email = r.Email
	}
	return p, nil
}

var errNoAccount = fault.New(fault.NotFound, "account.not_found", "There is no such account.")
