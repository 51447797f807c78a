package wholesale_test

import (
	"strings"
	"testing"

	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/central/wholesale"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// A platform in Poland that bills in euros states its tax in złoty too, by the last rate it
// entered; what is credited of it by the invoice's own rate, so that both come to nothing.
// Without a rate the invoice goes out all the same, and staff are told once.
func TestTaxIsStatedInTheCountrysCurrency(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	d := book(t, w)
	d.Mail, d.PartnerURL = outbox(t), "https://partners.test"
	rates, wrong := wholesale.ReadRates("2026-10-20 EUR PLN 4.25\n\n 2026-10-28 eur pln 4.2731 \n2026-11-20 EUR PLN 9\n2026-10-30 USD PLN 3.6")
	seller := wholesale.Seller{Party: sellerIn("PL"), DueDays: 14, Rates: rates}
	must(t, d.SetSeller(ctx, seller, anna))
	kept, err := d.Seller(ctx)
	if err != nil || wrong != "" || kept.RatesText() != "2026-11-20 EUR PLN 9\n2026-10-30 USD PLN 3.6\n2026-10-28 EUR PLN 4.2731\n2026-10-20 EUR PLN 4.25\n" {
		t.Fatalf("%q %v %q", wrong, err, kept.RatesText())
	}
	for _, typed := range []string{"EUR PLN 4", "2026-10-28 EUR PLN 0", "2026-10-28 EUR PLN -4", "2026-10-28 EUR EUR 1", "2026-13-28 EUR PLN 4", "2026-10-28 EU PLN 4", "2026-10-28 EUR PLN 4\n2026-10-28 EUR PLN 5", strings.Repeat("x", 200)} {
		if _, wrong := wholesale.ReadRates(typed); wrong == "" {
			t.Errorf("%q is read", typed)
		}
	}
	must(t, d.SetTerms(ctx, w.A.ID, wholesale.NewTerms{Tier: "pro", Currency: "EUR", From: on(t, "2026-10-01")}, anna))
	use(t, w, w.A, "start", "service/1", "vps-m", 10, "2026-10-01 00:00")
	must(t, d.SetProfile(ctx, w.A.ID, document.Party{Company: "A", Line1: "1", City: "B", Country: "PL", Email: "a@b.test"}, anna)) // 23 % VAT
	w.Clock.Set(on(t, "2026-11-02"))
	mustRun(t, d, "2026-10")
	rows, _, err := d.Invoices(ctx, wholesale.InvoiceFilter{Tenant: w.A.ID})
	must(t, err)
	inv, err := d.Invoice(ctx, rows[0].ID, w.A.ID)
	must(t, err)
	if in := inv.Document.TaxIn; inv.TaxMinor != 2818 || in == nil || in.Currency != "PLN" || in.TaxMinor != 12042 || in.Rate != "4.273100" { // 28.18 × 4.2731 = 120.4160
		t.Fatalf("%d: %+v", inv.TaxMinor, in)
	}
	must(t, d.Ask(ctx, w.A.ID, wholesale.Question{Invoice: inv.ID, Position: 2, Text: "We had five."}, anna))
	_, l, _, err := d.Line(ctx, inv.ID, 2, w.A.ID, 0, 10)
	must(t, err)
	note, err := d.Accept(ctx, wholesale.Acceptance{Question: l.Open().ID, Amount: "10", Text: "Right."}, anna)
	must(t, err)
	if in := note.Document.TaxIn; in == nil || in.Rate != "4.273100" || in.TaxMinor != 983 || in.Currency != "PLN" { // 2.30 × 4.2731
		t.Errorf("the credit note: %d %+v", note.TaxMinor, in)
	}
	if n := count(t, w, "SELECT count(*) FROM central.alerts WHERE kind = 'wholesale.no_rate'"); n != 0 {
		t.Errorf("%d alerts with a rate", n)
	}
	seller.Rates = rates[2:] // of October alone
	must(t, d.SetSeller(ctx, seller, anna))
	w.Clock.Set(on(t, "2026-12-02"))
	mustRun(t, d, "2026-11")
	rows, _, err = d.Invoices(ctx, wholesale.InvoiceFilter{Tenant: w.A.ID})
	must(t, err)
	if inv, err = d.Invoice(ctx, rows[0].ID, w.A.ID); err != nil || inv.Document.TaxIn != nil || inv.TaxMinor == 0 {
		t.Errorf("without a rate: %+v %v", inv.Document.TaxIn, err)
	}
	if n := count(t, w, "SELECT count(*) FROM central.alerts WHERE kind = 'wholesale.no_rate' AND text LIKE '%EUR%PLN%'"); n != 1 {
		t.Errorf("%d alerts without one", n)
	}
	booksBalance(t, w)
}
