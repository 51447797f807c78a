package invoicing_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
)

// Currencies without a hundredth and with a thousandth go through an invoice, its tax, its
// payment and its credit notes to the last unit, and the books hold. An electronic invoice has
// two decimals at most (EN 16931, BR-DEC), so there is none of a thousandth.
func TestCurrenciesOfOtherDigits(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	for _, x := range []struct {
		currency        string
		net, tax, piece int64
		shown           string
		electronic      bool
	}{{"JPY", 1999, 380, 1001, "¥2,379", true}, {"KWD", 12_345, 2_346, 7_001, "KWD\u00a014.691", false}} { // 19 % are 379.81 and 2,345.55
		money := func(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: x.currency} }
		d := s.draft("order/" + x.currency)
		d.Currency, d.Lines = x.currency, []billing.Line{{Kind: "plan", Description: "VPS", Quantity: 1, Unit: money(x.net)}}
		inv := s.issue(d)
		if inv.Net != money(x.net) || inv.Tax != money(x.tax) || inv.Total != money(x.net+x.tax) || inv.Total.Format("en") != x.shown {
			t.Errorf("%s: %+v, shown %s", x.currency, inv, inv.Total.Format("en"))
		}
		s.update(func(tx *tenancy.Tx) error {
			return invoicing.Applied(t.Context(), tx, invoicing.Application{InvoiceID: inv.ID, PaymentID: uuid.New(), Gateway: "stripe", Amount: inv.Total})
		})
		if got := s.get(inv.ID); got.State != invoicing.Paid {
			t.Errorf("%s: %s after it was paid", x.currency, got.State)
		}
		for i, minor := range []int64{x.piece, x.net + x.tax - x.piece} {
			note, err := s.credit(invoicing.CreditRequest{Key: "credit/" + x.currency + string(rune('a'+i)), InvoiceID: inv.ID, Amount: money(minor), Reason: "Outage"})
			if err != nil || note.Total != money(minor) {
				t.Errorf("%s: credit %d: %+v %v", x.currency, minor, note, err)
			}
		}
		if _, err := s.credit(invoicing.CreditRequest{Key: "credit/more/" + x.currency, InvoiceID: inv.ID, Amount: money(1), Reason: "More"}); err == nil {
			t.Errorf("%s: more was credited than there was", x.currency)
		}
		_, _, err := invoicing.Electronic(s.document(inv.ID), "ubl")
		if x.electronic != (err == nil) || !x.electronic && !fault.Is(err, "invoice.not_electronic") {
			t.Errorf("%s as an electronic invoice: %v", x.currency, err)
		}
		if pdf, err := document.PDF(s.document(inv.ID), document.Look{}); err != nil || len(pdf) == 0 {
			t.Errorf("%s as a PDF: %v", x.currency, err)
		}
	}
	s.hold(6)
}
