package invoicing_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
	"github.com/ezscale/ezscale/tenant/invoicing"
	"github.com/ezscale/ezscale/tenant/settings"
)

func (s *shop) document(id uuid.UUID) (d document.Document) {
	s.t.Helper()
	s.update(func(tx *tenancy.Tx) (err error) {
		d, err = invoicing.Stored(s.t.Context(), tx, id)
		return err
	})
	return d
}

func TestCreditsInPiecesComeToTheInvoice(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	d := s.draft("order/1", 1000, 333)
	d.Lines[1].Tax.Class = billing.Zero
	inv := s.issue(d) // 13.33 net, 1.90 tax
	s.pay(inv, uuid.New(), inv.Total.Minor)
	r := invoicing.CreditRequest{Key: "credit/1", InvoiceID: inv.ID, Amount: eur(500), Reason: "Two days of  outage\x00"}
	note, err := s.credit(r)
	if err != nil || note.Number != "CN-2026-00001" || note.Total != eur(500) {
		t.Fatalf("%+v %v", note, err)
	}
	if again, err := s.credit(r); err != nil || again.ID != note.ID {
		t.Errorf("the second request of one key: %+v %v", again, err)
	}
	doc := s.document(note.ID)
	if doc.Corrects == nil || doc.Corrects.Number != inv.Number || doc.Reason != "Two days of outage" || len(doc.Taxes) != 2 || doc.Buyer.Name != "Ida Berg" {
		t.Errorf("%+v", doc)
	}
	rest, err := s.credit(invoicing.CreditRequest{Key: "credit/2", InvoiceID: inv.ID})
	if err != nil || rest.Total.Minor != inv.Total.Minor-500 || rest.Net.Minor+note.Net.Minor != inv.Net.Minor || rest.Tax.Minor+note.Tax.Minor != inv.Tax.Minor {
		t.Errorf("the rest: %+v %v", rest, err)
	}
	if got := s.get(inv.ID); got.State != invoicing.Paid || got.Credited != inv.Total || got.Due().Minor != -inv.Total.Minor {
		t.Errorf("%+v", got)
	}
	if _, err := s.credit(invoicing.CreditRequest{Key: "credit/3", InvoiceID: inv.ID}); !fault.Is(err, "invoice.credited_before") {
		t.Error(err)
	}
	s.update(func(tx *tenancy.Tx) error {
		return invoicing.GivenBack(t.Context(), tx, invoicing.GivenBackMoney{InvoiceID: inv.ID, RefundID: uuid.New(), Gateway: "stripe", Amount: inv.Total})
	})
	if got := s.get(inv.ID); got.State != invoicing.Paid || !got.Due().IsZero() {
		t.Errorf("credited and given back: %+v", got)
	}
	s.hold(3)
}

func TestCreditRefusesHostileMoney(t *testing.T) {
	w := tenancytest.New(t)
	s, other := open(t, w, w.A), open(t, w, w.B)
	inv := s.issue(s.draft("order/1", 1000))
	line := func(position int, minor int64) []invoicing.CreditLine {
		return []invoicing.CreditLine{{Position: position, Net: eur(minor)}}
	}
	for name, r := range map[string]invoicing.CreditRequest{
		"invoice.bad_credit amount":      {Amount: eur(-1)},
		"invoice.bad_credit currency":    {Amount: billing.Money{Minor: 1, Currency: "USD"}},
		"invoice.bad_credit no currency": {Amount: billing.Money{Minor: 1}},
		"invoice.credit_too_much":        {Amount: eur(1191)},
		"invoice.credit_too_much huge":   {Amount: eur(1 << 62)},
		"invoice.bad_credit line 0":      {Lines: line(0, 1)},
		"invoice.bad_credit line 2":      {Lines: line(2, 1)},
		"invoice.bad_credit negative":    {Lines: line(1, -1)},
		"invoice.bad_credit more":        {Lines: line(1, 1001)},
		"invoice.credit_too_much twice":  {Lines: append(line(1, 600), line(1, 600)...)},
		"invoice.not_found":              {InvoiceID: uuid.New()},
	} {
		if r.InvoiceID == uuid.Nil {
			r.InvoiceID = inv.ID
		}
		r.Key = "credit/" + name
		_, err := s.credit(r)
		if code := fault.From(err).Code; len(name) < len(code) || name[:len(code)] != code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := other.credit(invoicing.CreditRequest{Key: "credit/theirs", InvoiceID: inv.ID}); !fault.Is(err, "invoice.not_found") {
		t.Errorf("another shop's invoice: %v", err)
	}
	for _, amount := range []billing.Money{eur(0), eur(-5), {Minor: 100, Currency: "USD"}, {Minor: 100}, eur(1 << 62)} {
		err := s.db.Update(t.Context(), func(tx *tenancy.Tx) error {
			return invoicing.Applied(t.Context(), tx, invoicing.Application{InvoiceID: inv.ID, PaymentID: uuid.New(), Gateway: "stripe", Amount: amount})
		})
		if !fault.Is(err, "invoice.bad_amount") {
			t.Errorf("%v: %v", amount, err)
		}
	}
	s.hold(1)
	other.hold(0)
}

func TestIssueRefusesHostileMoney(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	for name, spoil := range map[string]func(*invoicing.Draft){
		"invoice.no_lines":             func(d *invoicing.Draft) { d.Lines = nil },
		"invoice.no_lines many":        func(d *invoicing.Draft) { d.Lines = make([]billing.Line, 501) },
		"invoice.bad_line quantity":    func(d *invoicing.Draft) { d.Lines[0].Quantity = 0 },
		"invoice.bad_line currency":    func(d *invoicing.Draft) { d.Lines[0].Unit.Currency = "XXL" },
		"invoice.bad_line no currency": func(d *invoicing.Draft) { d.Lines[0].Unit.Currency = "" },
		"invoice.bad_line overflow":    func(d *invoicing.Draft) { d.Lines[0].Unit.Minor, d.Lines[0].Quantity = 1<<62, 4 },
		"invoice.bad_line net":         func(d *invoicing.Draft) { d.Lines[0].Net = billing.Money{Minor: 1, Currency: "USD"} },
		"invoice.bad_sum huge":         func(d *invoicing.Draft) { d.Lines[0].Unit.Minor = 1 << 60 },
		"invoice.bad_sum negative":     func(d *invoicing.Draft) { d.Lines[0].Unit.Minor = -1 },
		"invoice.bad_sum mixed": func(d *invoicing.Draft) {
			d.Lines = append(d.Lines, billing.Line{Quantity: 1, Unit: billing.Money{Minor: 1, Currency: "USD"}})
		},
		"invoice.bad_sum currency": func(d *invoicing.Draft) { d.Currency = "USD" },
		"invoice.bad_due":          func(d *invoicing.Draft) { d.DueAt = tenancytest.Start.AddDate(0, 0, -1) },
		"account.not_found":        func(d *invoicing.Draft) { d.AccountID = uuid.New() },
	} {
		d := s.draft("order/"+name, 100)
		spoil(&d)
		err := s.db.Update(t.Context(), func(tx *tenancy.Tx) error {
			_, err := invoicing.Issue(t.Context(), tx, d)
			return err
		})
		if code := fault.From(err).Code; len(name) < len(code) || name[:len(code)] != code {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.hold(0)
}

func TestTaxFollowsTheTwoCountries(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	b := settings.DefaultBilling()
	b.Company, b.Country, b.TrustNumbers, b.OSS = "Alpha GmbH", "DE", true, true
	if err := settings.SaveBilling(t.Context(), s.db, b, olga); err != nil {
		t.Fatal(err)
	}
	price := func(country, taxID string) (p invoicing.Priced) {
		s.update(func(tx *tenancy.Tx) (err error) {
			p, err = invoicing.Price(t.Context(), tx, country, taxID, s.draft("", 1000).Lines)
			return err
		})
		return p
	}
	for _, test := range []struct {
		country, taxID string
		tax            int64
		note           string
	}{
		{"DE", "", 190, ""},
		{"", "", 190, ""},
		{"DE", "DE123456789", 190, ""},
		{"FR", "", 200, ""},
		{"FI", "", 255, ""},
		{"FR", "FR 12 345678901", 0, billing.NoteReverse},
		{"GR", "el-123456789", 0, billing.NoteReverse},
		{"FR", "DE123456789", 200, ""},
		{"FR", "FR", 200, ""},
		{"FR", "FR'; DROP", 200, ""},
		{"US", "", 0, billing.NoteOutside},
		{"CH", "CHE123", 0, billing.NoteOutside},
		{"??", "", 0, billing.NoteOutside},
	} {
		p := price(test.country, test.taxID)
		if p.Tax != eur(test.tax) || !strings.HasSuffix(p.Taxes[0].Rule.Note, test.note) || (test.tax > 0) != (p.Taxes[0].Rule.Source != "") {
			t.Errorf("%s %q: %v %+v", test.country, test.taxID, p.Tax, p.Taxes)
		}
	}
	// The shop's own rates stand first, while they hold.
	s.update(func(tx *tenancy.Tx) error {
		_, err := tx.NewRaw(`INSERT INTO tax_rates (country, region, class, name, percent, valid_from, valid_to, source)
			VALUES ('DE', '', 'standard', 'MwSt', 16, '2026-01-01', '2026-12-31', 'law')`).Exec(t.Context())
		return err
	})
	if p := price("DE", ""); p.Tax != eur(160) || p.Taxes[0].Rule.Name != "MwSt" || p.Taxes[0].Rule.Source != "law; valid from 2026-01-01" {
		t.Errorf("own rate: %+v", p.Taxes)
	}
	b.SmallBusiness = true
	if err := settings.SaveBilling(t.Context(), s.db, b, olga); err != nil {
		t.Fatal(err)
	}
	if p := price("DE", ""); !p.Tax.IsZero() || !strings.Contains(p.Taxes[0].Rule.Note, "§ 19 UStG") {
		t.Errorf("small business: %+v", p.Taxes)
	}
}

// Patterns may change; two documents never get one number.
func TestNumbersOfTwoSeriesNeverMeet(t *testing.T) {
	w := tenancytest.New(t)
	s := open(t, w, w.A)
	inv := s.issue(s.draft("order/1", 1000))
	if _, err := s.credit(invoicing.CreditRequest{Key: "credit/1", InvoiceID: inv.ID}); err != nil {
		t.Fatal(err)
	}
	b := settings.DefaultBilling()
	b.InvoiceNumber, b.CreditNumber = b.CreditNumber, b.InvoiceNumber
	err := settings.SaveBilling(t.Context(), s.db, b, olga)
	if f := fault.From(err); f.Code != "billing_settings.numbers_used" || f.Fields["invoice_number"] == "" || f.Fields["credit_number"] == "" {
		t.Errorf("%v", err)
	}
	b.InvoiceNumber, b.CreditNumber = "R-{number}", "G-{year}-{number}"
	if err := settings.SaveBilling(t.Context(), s.db, b, olga); err != nil {
		t.Fatal(err)
	}
	if next := s.issue(s.draft("order/2", 1000)); next.Number != "R-2" {
		t.Errorf("%s", next.Number)
	}
	s.hold(3)
}
