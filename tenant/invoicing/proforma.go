package invoicing

import (
	"context"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
)

// ProForma is what an invoice of a draft would say if it were issued now: a document
// without a number, of which nothing is kept or posted. Faults: those of Issue.
func ProForma(ctx context.Context, tx *tenancy.Tx, d Draft) (document.Document, error) {
	shop, err := termsOf(ctx, tx, tx.Now(), nil)
	if err != nil {
		return document.Document{}, err
	}
	buyers, err := buyersOf(ctx, tx, []Draft{d})
	if err != nil {
		return document.Document{}, err
	}
	lines, err := shop.classes(ctx, tx, [][]billing.Line{d.Lines})
	if err != nil {
		return document.Document{}, err
	}
	d.Lines = lines[0]
	if err := shop.consult(ctx, tx, sale{buyers[d.AccountID].taxed(tx.Now()), d.Lines}); err != nil {
		return document.Document{}, err
	}
	n, err := d.issued(shop, buyers[d.AccountID], seriesRow{}, 1, tx.Now())
	if err != nil {
		return document.Document{}, err
	}
	doc := n.doc
	doc.Kind, doc.Number, doc.Account = document.ProForma, "", nil
	return doc, nil
}

// proForma is the pro-forma invoice of a sheet.
func (s Sheet) proForma(ctx context.Context, tx *tenancy.Tx, zone *time.Location) (document.Document, error) {
	d, err := s.draft(tx.Now(), zone)
	if err != nil {
		return document.Document{}, err
	}
	return ProForma(ctx, tx, d)
}

// SheetProForma is the pro-forma invoice of a draft of the team's.
func SheetProForma(ctx context.Context, tx *tenancy.Tx, db *tenancy.DB, s Sheet) (document.Document, error) {
	return s.proForma(ctx, tx, zoneIn(db))
}
