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
	accountName, number, locale, timeZone, reference string
	hasCredit                                        bool // that is spent on every invoice
	termDays                                         int
	zone                                             *time.Location
	taxed                                            func(time.Time) account.Taxed
}

// buyersOf reads the accounts of drafts, or answers with the fault account.not_found.
func buyersOf(ctx context.Context, tx *tenancy.Tx, drafts []Draft) (map[uuid.UUID]buyer, error) {
	ids := make([]uuid.UUID, len(drafts))
	for i, d := range drafts {
		ids[i] = d.AccountID
	}
	parties, err := account.ForInvoices(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	found := make(map[uuid.UUID]buyer, len(parties))
	for id, p := range parties {
		found[id] = buyer{taxed: p.Taxed, reference: p.Reference, hasCredit: p.HasCredit, termDays: p.TermDays, zone: p.Zone(), accountName: p.Account, locale: p.Locale, timeZone: p.TimeZone, number: CustomerNumber(p), Party: Buyer(p)}
	}
	return found, nil
}

// Buyer is a customer as documents name it.
func Buyer(p account.Party) document.Party {
	return document.Party{
		Name: p.Name, Company: p.Company, Line1: p.Line1, Line2: p.Line2, Postcode: p.Postcode, City: p.City, Region: p.Region,
		Country: p.Country, TaxID: p.TaxID, Email: p.Email, Phone: p.Phone,
	}
}

// CustomerNumber is how a customer's number is written; empty: there is none yet.
func CustomerNumber(p account.Party) string {
	if p.Number == 0 {
		return ""
	}
	return written(settings.DefaultBilling().Pattern(SeriesCustomer), p.Number, time.Time{})
}

// Seller is the shop as its documents name it.
func Seller(s settings.Billing) document.Party { return party(s) }

// party is the shop as its invoices name it.
func party(s settings.Billing) document.Party {
	return document.Party{
		Company: s.Company, Line1: s.Line1, Line2: s.Line2, Postcode: s.Postcode, City: s.City, Region: s.Region,
		Country: s.Country, TaxID: strings.TrimSpace(s.TaxID), Email: s.Email, Phone: s.Phone, TaxNumber: s.TaxNumber, Registration: s.Registration,
	}
}
