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
	"github.com/ezscale/ezscale/tenant/settings"
)

// buyer is the customer as an invoice addresses it.
type buyer struct {
	document.Party
	accountName, number, locale, timeZone string
}

// buyerOf reads an account, or answers with the fault invoice.no_customer. What the
// account did not give is taken from its oldest owner.
func buyerOf(ctx context.Context, tx *tenancy.Tx, account uuid.UUID) (buyer, error) {
	var r struct {
		Name, Billing, Country, TaxID, TimeZone, Person, Email, Locale string
		Number                                                         int64
	}
	err := tx.NewRaw(`SELECT a.name, coalesce(a.billing::text, '{}') AS billing, coalesce(a.country, '') AS country, coalesce(a.tax_id, '') AS tax_id,
		a.time_zone, coalesce(a.number, 0) AS number, coalesce(o.name, '') AS person, coalesce(o.email, '') AS email, coalesce(o.locale, 'en') AS locale
		FROM accounts a LEFT JOIN LATERAL (SELECT p.name, p.email, p.locale FROM memberships m JOIN people p ON p.id = m.person_id
			WHERE m.account_id = a.id ORDER BY m.role <> 'owner', m.created_at, p.id LIMIT 1) o ON true
		WHERE a.id = ?`, account).Scan(ctx, &r)
	if tenancy.IsNoRows(err) {
		return buyer{}, fault.New(fault.NotFound, "invoice.no_customer", "There is no such customer.")
	}
	if err != nil {
		return buyer{}, fmt.Errorf("read the customer of an invoice: %w", err)
	}
	b := buyer{accountName: r.Name, locale: r.Locale, timeZone: r.TimeZone}
	if err := json.Unmarshal([]byte(r.Billing), &b.Party); err != nil {
		return buyer{}, fmt.Errorf("read the customer of an invoice: %w", err)
	}
	if b.Name == "" && b.Company == "" {
		b.Company, b.Name = r.Name, r.Person
		if b.Company == b.Name {
			b.Company = ""
		}
	}
	if b.Email == "" {
		b.Email = r.Email
	}
	b.Country, b.TaxID = r.Country, r.TaxID
	if r.Number > 0 {
		b.number = written(settings.DefaultBilling().Pattern(SeriesCustomer), r.Number, time.Time{})
	}
	return b, nil
}

// party is the shop as its invoices name it.
func party(s settings.Billing) document.Party {
	return document.Party{
		Company: s.Company, Line1: s.Line1, Line2: s.Line2, Postcode: s.Postcode, City: s.City, Region: s.Region,
		Country: s.Country, TaxID: strings.TrimSpace(s.TaxID), Email: s.Email, Phone: s.Phone,
	}
}
