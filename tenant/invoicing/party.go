package invoicing

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/settings"
)

// buyer is the customer as an invoice addresses it.
type buyer struct {
	document.Party
	accountName, number, locale, timeZone string
}

// buyerOf reads an account, or answers with the fault account.not_found.
func buyerOf(ctx context.Context, tx *tenancy.Tx, id uuid.UUID) (buyer, error) {
	p, err := account.ForInvoice(ctx, tx, id)
	if err != nil {
		return buyer{}, err
	}
	b := buyer{accountName: p.Account, locale: p.Locale, timeZone: p.TimeZone, Party: document.Party{
		Name: p.Name, Company: p.Company, Line1: p.Line1, Line2: p.Line2, Postcode: p.Postcode, City: p.City, Region: p.Region,
		Country: p.Country, TaxID: p.TaxID, Email: p.Email, Phone: p.Phone,
	}}
	if p.Number > 0 {
		b.number = written(settings.DefaultBilling().Pattern(SeriesCustomer), p.Number, time.Time{})
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
