package bookkeeping_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/bookkeeping"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/settings"
)

// Directive 2006/112/EC art. 59c: sales to consumers of other member states count, without
// VAT, whether at the seller's rate or, in the one-stop shop (art. 369a ff.), at theirs; to
// businesses and to those outside of the union they do not.
func TestTaxByCountryAndTheThreshold(t *testing.T) {
	w := tenancytest.New(t)
	w.Clock.Set(october().From)
	db, ctx := w.DB(w.A), t.Context()
	n := 0
	sell := func(country, taxID string, minor int64) (inv invoicing.Invoice) {
		t.Helper()
		n++
		account := uuid.New()
		err := db.Update(ctx, func(tx *tenancy.Tx) (err error) {
			if _, err := tx.NewRaw(`INSERT INTO accounts (id, name, currency, created_at, changed_at, country, tax_id, billing) VALUES (?, 'Zoé', 'EUR', now(), now(), ?, ?, '{}')`, account, country, taxID).Exec(ctx); err != nil {
				return err
			}
			inv, err = invoicing.Issue(ctx, tx, invoicing.Draft{Key: fmt.Sprint(n), AccountID: account, Currency: "EUR", Lines: []billing.Line{{Kind: "plan", Description: "VPS", Quantity: 1, Unit: eur(minor)}}})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return inv
	}
	be := func(oss bool) {
		t.Helper()
		b := settings.DefaultBilling()
		b.Company, b.Country, b.OSS = "Alpha GmbH", "DE", oss
		if err := settings.SaveBilling(ctx, db, b, olga); err != nil {
			t.Fatal(err)
		}
	}
	be(false)
	sell("DE", "", 50_000)
	french := sell("FR", "", 10_000) // at 19 %, Germany's
	be(true)
	sell("FR", "", 20_000) // at 20 %, France's
	sell("HU", "", 1_000)
	sell("AT", "ATU12345678", 70_000)
	sell("CH", "", 80_000)
	if err := db.Update(ctx, func(tx *tenancy.Tx) error {
		_, err := invoicing.Credit(ctx, tx, invoicing.CreditRequest{Key: "c", InvoiceID: french.ID, Amount: eur(1_190)})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	err := db.View(ctx, func(tx *tenancy.Tx) error {
		all, err := bookkeeping.TaxReport(ctx, tx, october())
		if err != nil {
			return err
		}
		got := ""
		for _, r := range all {
			got += fmt.Sprintf("%s %s %s %s|", r.Country, billing.Percent(r.Ppm), r.Net.Decimal(), r.Tax.Decimal())
		}
		if want := "DE 19 % 590.00 112.10|FR 20 % 200.00 40.00|HU 27 % 10.00 2.70|"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		sum, others, err := bookkeeping.CrossBorder(ctx, tx, "DE", october())
		if sum != eur(30_000) || len(others) != 0 {
			t.Errorf("%s and %v were sold across borders", sum, others)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	err = w.DB(w.B).View(ctx, func(tx *tenancy.Tx) error {
		all, err := bookkeeping.TaxReport(ctx, tx, bookkeeping.Period{To: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)})
		if len(all) != 0 {
			t.Errorf("the neighbour: %+v", all)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
