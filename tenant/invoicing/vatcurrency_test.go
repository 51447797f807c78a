package invoicing_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/exchange"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/settings"
)

// bank answers with rates, or with nothing.
type bank struct {
	rates []billing.ExchangeRate
	err   error
	asked int
}

func (b *bank) Latest(context.Context) ([]billing.ExchangeRate, error) {
	b.asked++
	return b.rates, b.err
}

// TestTaxInTheCurrencyOfTheCountry: an invoice in euros of a Swedish shop states its tax in kronor
// by the last rate that is known; without one it is issued all the same and its timeline warns. A
// credit note goes by the invoice's rate.
func TestTaxInTheCurrencyOfTheCountry(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	by := audit.Origin{Actor: audit.System("test")}
	s.update(func(tx *tenancy.Tx) error {
		b, err := settings.BillingOf(t.Context(), tx)
		b.Country = "SE"
		if err != nil {
			return err
		}
		return settings.Put(t.Context(), tx, settings.BillingName, b)
	})
	se := uuid.New()
	s.customer(se, "Bo", "SE", "")
	draft := func(key string) invoicing.Draft {
		d := s.draft(key, 1000)
		d.AccountID = se
		return d
	}
	doc := func(inv invoicing.Invoice) (d document.Document) {
		t.Helper()
		s.update(func(tx *tenancy.Tx) (err error) {
			d, err = invoicing.Stored(t.Context(), tx, inv.ID)
			return err
		})
		return d
	}
	warned := func() (n int) {
		t.Helper()
		s.update(func(tx *tenancy.Tx) error {
			return tx.NewRaw("SELECT count(*) FROM timeline WHERE kind = 'invoice.no_rate'").Scan(t.Context(), &n)
		})
		return n
	}
	if d := doc(s.issue(draft("1"))); d.TaxIn != nil || d.TaxMinor != 250 || warned() != 1 {
		t.Errorf("without a rate: %+v, %d warnings", d.TaxIn, warned())
	}
	day := w.Clock.Now().UTC().Truncate(24 * time.Hour)
	ecb := &bank{rates: []billing.ExchangeRate{{From: "EUR", Into: "SEK", Value: "11.2345", Day: day, Source: billing.ECB}}}
	desk := &exchange.Desk{Daily: &exchange.Shared{Source: ecb, Clock: w.Clock.Now}}
	if err := desk.Tick(t.Context(), s.db, day); err != nil || ecb.asked != 0 {
		t.Errorf("nobody wants the daily rates: asked %d times, %v", ecb.asked, err)
	}
	if err := exchange.SetDaily(t.Context(), s.db, true, by); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := desk.Tick(t.Context(), s.db, day); err != nil {
			t.Fatal(err)
		}
	}
	if ecb.asked != 1 {
		t.Errorf("asked %d times for shops that ask at once", ecb.asked)
	}
	inv := s.issue(draft("2"))
	d := doc(inv)
	if d.TaxIn == nil || d.TaxIn.TaxMinor != 2809 || d.TaxIn.Currency != "SEK" || !strings.Contains(strings.Join(d.Notes(), " "), "1 EUR = 11.2345 SEK of "+day.Format("2 January 2006")) {
		t.Errorf("by the bank's rate: %+v %q", d.TaxIn, d.Notes())
	}
	// The bank does not answer for days: the last rate is used while it is a week old at most.
	ecb.err = errors.New("down")
	w.Clock.Advance(5 * 24 * time.Hour)
	if err := desk.Tick(t.Context(), s.db, day); err != nil {
		t.Fatal(err)
	}
	if d := doc(s.issue(draft("3"))); d.TaxIn == nil {
		t.Error("a rate of five days ago is not used")
	}
	w.Clock.Advance(4 * 24 * time.Hour)
	if d := doc(s.issue(draft("4"))); d.TaxIn != nil || warned() != 2 {
		t.Errorf("by a rate of nine days ago: %+v, %d warnings", d.TaxIn, warned())
	}
	// The shop's own goes before the bank's.
	if err := exchange.Enter(t.Context(), s.db, billing.ExchangeRate{From: "EUR", Into: "SEK", Value: "12", Day: day}, by); err != nil {
		t.Fatal(err)
	}
	if d := doc(s.issue(draft("5"))); d.TaxIn == nil || d.TaxIn.TaxMinor != 3000 {
		t.Errorf("by the shop's own rate: %+v", d.TaxIn)
	}
	var note invoicing.Invoice
	s.update(func(tx *tenancy.Tx) (err error) {
		note, err = invoicing.Credit(t.Context(), tx, invoicing.CreditRequest{Key: "c", InvoiceID: inv.ID, Reason: "Outage"})
		return err
	})
	if d := doc(note); d.TaxIn == nil || d.TaxIn.TaxMinor != 2809 || d.TaxIn.Rate != "11.234500" {
		t.Errorf("the credit note: %+v", d.TaxIn)
	}
	other := open(t, w, w.B)
	other.issue(other.draft("1", 1000))
	var rates exchange.Kept
	if err := other.db.View(t.Context(), func(tx *tenancy.Tx) (err error) {
		rates, err = exchange.Of(t.Context(), tx)
		return err
	}); err != nil || len(rates.All()) != 0 {
		t.Errorf("another shop's rates: %+v, %v", rates, err)
	}
}
