package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/billing/document/einvoice"
	"github.com/ezscale/ezscale/billing/document/facturx"
)

const (
	documentLines  = 12
	documentRounds = 200
)

// documents prints one invoice of a dozen lines over and over: as a PDF with its CII
// inside, as UBL and as CII.
func (r *run) documents(ctx context.Context) error {
	d, err := benchInvoice()
	if err != nil {
		return err
	}
	for _, x := range []struct {
		name  string
		limit float64
		write func() ([]byte, error)
	}{
		{"an invoice as PDF with its CII inside, median", 30, func() ([]byte, error) {
			pdf, hybrid, err := facturx.PDF(d, document.Look{})
			if err == nil && !hybrid {
				err = errors.New("the PDF has no file inside")
			}
			return pdf, err
		}},
		{"an invoice as UBL, median", 2, func() ([]byte, error) { return einvoice.UBL(d) }},
		{"an invoice as CII, median", 2, func() ([]byte, error) { return einvoice.CII(d) }},
	} {
		took := make([]time.Duration, documentRounds)
		for i := range took {
			if err := ctx.Err(); err != nil {
				return err
			}
			began := time.Now()
			file, err := x.write()
			if err != nil || len(file) == 0 {
				return fmt.Errorf("write a document: %w", err)
			}
			took[i] = time.Since(began)
		}
		slices.Sort(took)
		r.promise("documents", x.name, took[documentRounds/2].Seconds()*1000, "ms", atMost, x.limit)
	}
	return nil
}

func benchInvoice() (document.Document, error) {
	rule := billing.TaxRule{Country: "DE", Name: "VAT", Ppm: 190_000, Class: billing.Standard, Category: "S"}
	at := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	var lines []billing.Line
	for i := range documentLines {
		l, err := billing.Line{Kind: "plan", Description: fmt.Sprintf("Cloud VPS Drift %d, 4 cores, 8 GB", i+1), Quantity: int64(1 + i%3), Unit: billing.Money{Minor: 1190, Currency: "EUR"},
			Period: billing.Cycle("monthly").Period(at, 0, time.UTC), Tax: rule}.Priced()
		if err != nil {
			return document.Document{}, err
		}
		lines = append(lines, l)
	}
	net, tax, total, sums, err := billing.Totals(lines)
	if err != nil {
		return document.Document{}, err
	}
	d := document.Document{
		Version: document.Version, Kind: document.Invoice, Number: "INV-2026-00007", IssuedAt: at, DueAt: at.AddDate(0, 0, 7), Locale: "de", TimeZone: "Europe/Berlin", Currency: "EUR",
		Seller:   document.Party{Company: "Nimbus Hosting GmbH", Line1: "Hauptstraße 1", Postcode: "10115", City: "Berlin", Country: "DE", TaxID: "DE123456789"},
		Buyer:    document.Party{Company: "Ida Berg AG", Name: "Ida Berg", Line1: "Way 1", Postcode: "20095", City: "Hamburg", Country: "DE"},
		NetMinor: net.Minor, TaxMinor: tax.Minor, TotalMinor: total.Minor, Footer: "Register court Charlottenburg, HRB 12345 B",
	}
	d.Put(lines, sums)
	return d, nil
}
