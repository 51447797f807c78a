package invoicing_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/account"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/settings"
)

// A number that nobody answered about is charged tax; a confirmed one is not, unless it
// is another number by now; a certificate counts while it holds.
func TestWhatIsKnownOfACustomerDecidesTheTax(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	b := settings.DefaultBilling()
	b.Company, b.Country, b.TaxID, b.OSS, b.TrustNumbers = "Alpha GmbH", "DE", "DE123456789", true, false
	if err := settings.SaveBilling(t.Context(), s.db, b, olga); err != nil {
		t.Fatal(err)
	}
	const number = "FR12345678901"
	check := func(of string, state billing.NumberState) string {
		b, _ := json.Marshal(account.NumberCheck{Number: of, State: state, AskedAt: time.Now()})
		return string(b)
	}
	for i, x := range []struct {
		what, check, exemption string
		tax                    int64
		category               string
	}{
		{"nobody was asked", "", "", 200, "S"},
		{"no answer yet", check(number, billing.NumberPending), "", 200, "S"},
		{"refused", check(number, billing.NumberRefused), "", 200, "S"},
		{"confirmed", check(number, billing.NumberConfirmed), "", 0, "AE"},
		{"another number was confirmed", check("FR99999999999", billing.NumberConfirmed), "", 200, "S"},
		{"exempt", "", `{"number": "15.10/7"}`, 0, "E"},
		{"exempt no longer", "", `{"number": "15.10/7", "to": "2026-01-01"}`, 200, "S"},
		{"exempt later", "", `{"number": "15.10/7", "from": "2029-01-01"}`, 200, "S"},
	} {
		buyer := uuid.New()
		s.customer(buyer, "Zoé", "FR", number)
		s.update(func(tx *tenancy.Tx) error {
			_, err := tx.NewRaw("UPDATE accounts SET tax_check = nullif(?, '')::jsonb, tax_exemption = nullif(?, '')::jsonb WHERE id = ?", x.check, x.exemption, buyer).Exec(t.Context())
			return err
		})
		d := s.draft("tax/"+x.what, 1000)
		d.AccountID = buyer
		inv := s.issue(d)
		doc := s.document(inv.ID)
		if inv.Tax != eur(x.tax) || doc.Taxes[0].Category != x.category {
			t.Errorf("%d, %s: tax %v as %+v", i, x.what, inv.Tax, doc.Taxes[0])
		}
		if _, _, err := invoicing.Electronic(doc, invoicing.UBL); err != nil {
			t.Errorf("%s: %v", x.what, err)
		}
	}
}

// Prices with tax: the customer pays what stands at the shelf, to the cent, whatever the
// rate; and the books hold with it.
func TestPricesWithTax(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	b := settings.DefaultBilling()
	b.Company, b.Country, b.TaxID, b.OSS, b.PricesInclude = "Alpha GmbH", "DE", "DE123456789", true, true
	if err := settings.SaveBilling(t.Context(), s.db, b, olga); err != nil {
		t.Fatal(err)
	}
	french, outside := uuid.New(), uuid.New()
	s.customer(french, "Zoé", "FR", "")
	s.customer(outside, "Joe", "US", "")
	for who, want := range map[uuid.UUID][3]int64{s.account: {3361, 638, 3999}, french: {3332, 667, 3999}, outside: {3361, 0, 3361}} {
		d := s.draft("gross/"+who.String(), 1999, 1000, 1000)
		d.AccountID = who
		inv := s.issue(d)
		if inv.Net.Minor != want[0] || inv.Tax.Minor != want[1] || inv.Total.Minor != want[2] {
			t.Errorf("%v: %v and %v are %v, want %v", who, inv.Net, inv.Tax, inv.Total, want)
		}
		doc := s.document(inv.ID)
		if file, _, err := invoicing.Electronic(doc, invoicing.UBL); err != nil || !strings.Contains(string(file), inv.Total.Decimal()) {
			t.Errorf("%v: %v", who, err)
		}
		if _, err := s.credit(invoicing.CreditRequest{Key: "c/" + who.String(), InvoiceID: inv.ID, Amount: eur(1111)}); err != nil {
			t.Error(err)
		}
	}
	s.update(func(tx *tenancy.Tx) error {
		r, err := invoicing.Books(t.Context(), tx)
		if err != nil || len(r.Problems) > 0 {
			t.Errorf("%+v %v", r, err)
		}
		return nil
	})
}
