package einvoice_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/billing/document/einvoice"
)

var update = flag.Bool("update", false, "write testdata anew")

var keep = flag.String("keep", "", "folder to write the random invoices to, to be put to the official Schematron")

func eur(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }

var (
	german  = billing.TaxRule{Country: "DE", Name: "VAT", Ppm: 190_000, Class: billing.Standard, Category: "S", Source: "§ 12 Abs. 1 UStG"}
	reduced = billing.TaxRule{Country: "DE", Name: "VAT", Ppm: 70_000, Class: "reduced", Category: "S"}
	swiss   = billing.TaxRule{Country: "CH", Name: "VAT", Ppm: 81_000, Class: billing.Standard, Category: "S"}
	zero    = billing.TaxRule{Country: "GB", Name: "VAT", Class: billing.Zero, Category: "Z"}
	exempt  = billing.TaxRule{Country: "DE", Name: "VAT", Note: billing.NoteSmallBusiness, Category: "E"}
	reverse = billing.TaxRule{Country: "FR", Name: "VAT", Note: billing.NoteReverse, Category: "AE", Reason: billing.ReasonReverse}
	outside = billing.TaxRule{Country: "DE", Name: "VAT", Note: billing.NoteOutside, Category: "O", Reason: billing.ReasonOutside}
)

// sample is an invoice of a month of servers, a discount and an hour, taxed by rules.
func sample(t testing.TB, rules ...billing.TaxRule) document.Document {
	t.Helper()
	from := time.Date(2026, 10, 31, 23, 0, 0, 0, time.UTC)
	month := billing.Cycle("monthly").Period(from, 0, time.UTC)
	lines := []billing.Line{
		{Kind: "plan", Description: "Cloud VPS Drift", Period: month, Quantity: 2, Unit: eur(1190), Net: eur(2380), Tax: rules[0]},
		{Kind: "option", Description: "Backup & <snapshots>", Period: month, Quantity: 1, Unit: eur(300), Net: eur(145), Tax: rules[len(rules)-1]},
		{Kind: "adjustment", Description: "Loyalty, 5 %", Quantity: 1, Unit: eur(-119), Net: eur(-119), Tax: rules[0]},
		{Kind: "usage", Description: "Desktop, 65 minutes", Period: billing.Period{From: from, To: from.Add(65 * time.Minute)}, Quantity: 5, UnitCode: "MIN", Unit: eur(5), Net: eur(25), Tax: rules[0]},
	}
	net, tax, total, sums, err := billing.Totals(lines)
	if err != nil {
		t.Fatal(err)
	}
	d := document.Document{
		Version: document.Version, Kind: document.Invoice, Number: "INV-2026-00007", IssuedAt: time.Date(2026, 11, 21, 23, 30, 0, 0, time.UTC),
		DueAt: time.Date(2026, 11, 28, 23, 30, 0, 0, time.UTC), Locale: "de", TimeZone: "Europe/Berlin", Currency: "EUR", CustomerNo: "C01001", BuyerRef: "PO 4711 / Straße",
		Seller:   document.Party{Company: "Nimbus Hosting GmbH", Line1: "Hauptstraße 1", Postcode: "10115", City: "Berlin", Country: "DE", TaxID: "DE123456789", TaxNumber: "30/123/45678", Registration: "HRB 12345 B", Email: "billing@nimbus.example", Phone: "+49 30 1234567"},
		Buyer:    document.Party{Company: "Exemple SARL", Name: "Zoé Martin", Line1: "1 rue de l'Essai", Line2: "Bâtiment B", Postcode: "75001", City: "Paris", Country: "FR", TaxID: "FR 12 345678901", Email: "achats@exemple.example"}, //nolint:misspell // French
		Account:  &document.Account{Holder: "Nimbus Hosting GmbH", IBAN: "DE02120300000000202051", BIC: "BYLADEM1001"},
		NetMinor: net.Minor, TaxMinor: tax.Minor, TotalMinor: total.Minor, Footer: "Register court Charlottenburg.\nDirectors: A. Nimbus",
	}
	d.Put(lines, sums)
	return d
}

func credited(d document.Document) document.Document {
	d.Kind, d.Corrects, d.Reason = document.CreditNote, &document.Reference{Number: d.Number, IssuedAt: d.IssuedAt}, "Outage on 3 November"
	d.Number = "CN-2026-00003"
	return d
}

// samples are the documents of the golden files, one a treatment of tax.
func samples(t testing.TB) map[string]document.Document {
	small := sample(t, exempt)
	small.Seller.TaxID, small.Seller.Registration, small.Account = "", "", nil
	plain := sample(t, outside)
	plain.Buyer.Country, plain.Buyer.TaxID, plain.Seller.Registration, plain.BuyerRef = "US", "", "", ""
	old := sample(t, reverse)
	old.Version, old.Taxes[0].Category, old.Taxes[0].Reason, old.Account, old.BuyerRef, old.CustomerNo = 1, "", "", nil, "", ""
	francs := sample(t, swiss)
	francs.Currency, francs.Seller.Country, francs.Seller.TaxID = "CHF", "CH", "CHE-123.456.788 MWST"
	kronor := sample(t, billing.TaxRule{Country: "SE", Name: "VAT", Ppm: 250_000, Class: billing.Standard, Category: "S"})
	kronor.Seller.Country, kronor.Seller.TaxID, kronor.Seller.TaxNumber = "SE", "SE556677889901", ""
	if err := kronor.StateTaxIn(billing.ExchangeRate{From: "EUR", Into: "SEK", Value: "11.234500", Day: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC), Source: billing.ECB}); err != nil {
		t.Fatal(err)
	}
	agreed := sample(t, german)
	agreed.TermDays = 7
	return map[string]document.Document{
		"days_to_pay": agreed, "accounting_currency": kronor,
		"standard": sample(t, german, reduced), "reverse_charge": sample(t, reverse), "small_business": small, "outside": plain, "zero": sample(t, zero),
		"swiss": francs, "first_version": old, "credit_note": credited(sample(t, german, reduced)), "credit_reverse": credited(sample(t, reverse)),
	}
}

var syntaxes = map[string]func(document.Document) ([]byte, error){"ubl": einvoice.UBL, "cii": einvoice.CII}

func TestGoldenFiles(t *testing.T) {
	for name, d := range samples(t) {
		for syntax, write := range syntaxes {
			got, err := write(d)
			if err != nil {
				t.Fatalf("%s %s: %v", name, syntax, err)
			}
			again, err := write(d)
			if err != nil || !bytes.Equal(got, again) {
				t.Errorf("%s %s: the same document gave other bytes (%v)", name, syntax, err)
			}
			path := filepath.Join("testdata", name+"."+syntax+".xml")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s:\n%s", path, got)
			}
		}
	}
}

// What each treatment of tax must say, read from the files and not from the writer.
func TestWhatTheFilesSay(t *testing.T) {
	for name, want := range map[string]facts{
		"standard":       {typeCode: "380", net: 24.31, tax: 4.44, gross: 28.75, sellerVAT: "DE123456789", buyerVAT: "FR12345678901", due: "2026-11-29", iban: "DE02120300000000202051", buyerRef: "PO 4711 / Straße"},
		"credit_note":    {typeCode: "381", net: 24.31, tax: 4.44, gross: 28.75, sellerVAT: "DE123456789", buyerVAT: "FR12345678901", preceding: "INV-2026-00007", buyerRef: "PO 4711 / Straße"},
		"reverse_charge": {typeCode: "380", net: 24.31, gross: 24.31, sellerVAT: "DE123456789", buyerVAT: "FR12345678901", due: "2026-11-29", iban: "DE02120300000000202051", buyerRef: "PO 4711 / Straße"},
		"outside":        {typeCode: "380", net: 24.31, gross: 24.31, sellerID: "DE123456789", due: "2026-11-29", iban: "DE02120300000000202051", buyerRef: "C01001"},
		"small_business": {typeCode: "380", net: 24.31, gross: 24.31, buyerVAT: "FR12345678901", sellerID: "30/123/45678", due: "2026-11-29", buyerRef: "PO 4711 / Straße"},
		"swiss":          {typeCode: "380", net: 24.31, tax: 1.97, gross: 26.28, sellerVAT: "CHE123456788MWST", buyerVAT: "FR12345678901", due: "2026-11-29", iban: "DE02120300000000202051", buyerRef: "PO 4711 / Straße"},
		"first_version":  {typeCode: "380", net: 24.31, gross: 24.31, sellerVAT: "DE123456789", buyerVAT: "FR12345678901", due: "2026-11-29"},
	} {
		d := samples(t)[name]
		for syntax, write := range syntaxes {
			file, err := write(d)
			if err != nil {
				t.Fatal(err)
			}
			got := read(t, syntax, file)
			got = facts{typeCode: got.typeCode, net: got.net, tax: got.tax, gross: got.gross, sellerVAT: got.sellerVAT, buyerVAT: got.buyerVAT, sellerID: got.sellerID,
				due: got.due, iban: got.iban, preceding: got.preceding, buyerRef: got.buyerRef}
			if got.summary() != want.summary() {
				t.Errorf("%s %s:\n got %s\nwant %s", name, syntax, got.summary(), want.summary())
			}
		}
	}
}

func TestEveryRuleHolds(t *testing.T) {
	for name, d := range samples(t) {
		for syntax, write := range syntaxes {
			file, err := write(d)
			if err != nil {
				t.Fatal(err)
			}
			for _, empty := range parse(t, file).empty() {
				t.Errorf("%s, %s: there is nothing in %s", name, syntax, empty)
			}
			f := read(t, syntax, file)
			for _, r := range rules {
				if !r.holds(f) {
					t.Errorf("%s, %s: %s: %s", name, syntax, r.name, r.says)
				}
			}
		}
	}
}

// A rule that nothing can break proves nothing: each is broken by some file.
func TestEveryRuleCanBreak(t *testing.T) {
	for _, r := range rules {
		f := read(t, "ubl", must(t, einvoice.UBL, sample(t, german, reduced)))
		if r.breaks == nil {
			t.Errorf("%s: nothing breaks it", r.name)
			continue
		}
		r.breaks(&f)
		if r.holds(f) {
			t.Errorf("%s holds for what should break it", r.name)
		}
	}
}

func must(t testing.TB, write func(document.Document) ([]byte, error), d document.Document) []byte {
	t.Helper()
	b, err := write(d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Whatever is sold, discounted, divided and credited: the rules hold.
func TestRulesOverRandomInvoices(t *testing.T) {
	kept := 0
	rapid.Check(t, func(r *rapid.T) {
		one := rapid.SampledFrom([][]billing.TaxRule{{german}, {german, reduced}, {german, zero}, {reverse}, {exempt}, {outside}, {zero}, {exempt, german}, {reverse, german}}).Draw(r, "rules")
		var lines []billing.Line
		for i := range rapid.IntRange(1, 12).Draw(r, "lines") {
			l := billing.Line{Kind: "plan", Description: rapid.StringMatching(`[^\s].{0,40}`).Draw(r, "what"), Quantity: rapid.Int64Range(1, 400).Draw(r, "quantity"),
				Unit: eur(rapid.Int64Range(0, 99_999).Draw(r, "unit")), Tax: one[i%len(one)]}
			if strings.TrimSpace(l.Description) == "" {
				l.Description = "x"
			}
			l.Net = eur(l.Quantity * l.Unit.Minor)
			if rapid.Bool().Draw(r, "part") {
				l.Net = eur(rapid.Int64Range(0, l.Net.Minor).Draw(r, "net"))
			}
			if rapid.Bool().Draw(r, "for a time") {
				l.Period.From = time.Unix(rapid.Int64Range(1.6e9, 1.9e9).Draw(r, "from"), 0)
				l.Period.To = l.Period.From.Add(time.Duration(rapid.Int64Range(1, 4e6).Draw(r, "seconds")) * time.Second)
			}
			lines = append(lines, l)
		}
		if lines[0].Net.Minor > 1 {
			off := eur(-rapid.Int64Range(1, lines[0].Net.Minor).Draw(r, "off"))
			lines = append(lines, billing.Line{Kind: "adjustment", Description: "Discount", Quantity: 1, Unit: off, Net: off, Tax: lines[0].Tax})
		}
		net, tax, total, sums, err := billing.Totals(lines)
		if err != nil {
			r.Fatal(err)
		}
		d := sample(t, german)
		d.Put(lines, sums)
		d.NetMinor, d.TaxMinor, d.TotalMinor = net.Minor, tax.Minor, total.Minor
		if rapid.Bool().Draw(r, "another currency of accounting") {
			if err := d.StateTaxIn(billing.ExchangeRate{From: "EUR", Into: "JPY", Value: rapid.StringMatching(`[1-9][0-9]{0,4}\.[0-9]{6}`).Draw(r, "rate"), Day: d.IssuedAt, Source: "own"}); err != nil {
				r.Fatal(err)
			}
		}
		if rapid.Bool().Draw(r, "credit") {
			d = credited(d)
		}
		for syntax, write := range syntaxes {
			file, err := write(d)
			if err != nil {
				r.Fatal(err)
			}
			if *keep != "" {
				kept++
				if err := os.WriteFile(filepath.Join(*keep, fmt.Sprintf("%04d.%s.xml", kept, syntax)), file, 0o600); err != nil {
					r.Fatal(err)
				}
			}
			f := read(t, syntax, file)
			for _, rule := range rules {
				if !rule.holds(f) {
					r.Fatalf("%s: %s: %s\n%s", syntax, rule.name, rule.says, file)
				}
			}
		}
	})
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	for want, break_ := range map[string]func(*document.Document){
		"the seller's country":               func(d *document.Document) { d.Seller.Country = "" },
		"the seller's name":                  func(d *document.Document) { d.Seller.Company = "" },
		"the buyer's name":                   func(d *document.Document) { d.Buyer.Company, d.Buyer.Name = "", "" },
		"the buyer's country":                func(d *document.Document) { d.Buyer.Country = "" },
		"the seller's VAT or tax number":     func(d *document.Document) { d.Seller.TaxID, d.Seller.TaxNumber = "", "" },
		"a description of each line":         func(d *document.Document) { d.Lines[0].Description = " " },
		"a currency of at most two decimals": func(d *document.Document) { d.Currency = "KWD" },
		"the buyer's VAT number": func(d *document.Document) {
			d.Taxes[0].Category, d.Taxes[0].Reason, d.Buyer.TaxID = "AE", "VATEX-EU-AE", ""
		},
		"why no tax is charged":                          func(d *document.Document) { d.Taxes[0].Category = "E" },
		"one treatment of tax: parts are outside of VAT": func(d *document.Document) { d.Taxes[1].Category, d.Taxes[1].Reason = "O", "VATEX-EU-O" },
	} {
		d := sample(t, german, reduced)
		break_(&d)
		for syntax, write := range syntaxes {
			_, err := write(d)
			var missing *einvoice.Incomplete
			if !errors.As(err, &missing) || !strings.Contains(strings.Join(missing.Missing, "|"), want) {
				t.Errorf("%s, %s: %v", syntax, want, err)
			}
		}
	}
}

// Whatever people typed, the file is XML that says it, without what XML cannot.
func TestHostileText(t *testing.T) {
	for _, s := range []string{"\x00\x01\x1b", "]]>", "<!DOCTYPE x>", "&amp;\"'", "\xff\xfe", "😀", "\u202e", strings.Repeat("W", 9000)} {
		d := sample(t, german, reduced)
		d.Number, d.Seller.Company, d.Buyer.Line1, d.BuyerRef, d.Footer, d.Lines[0].Description = "1"+s, "c"+s, s, s, s, "d"+s
		for syntax, write := range syntaxes {
			f := read(t, syntax, must(t, write, d))
			if !strings.HasPrefix(f.sellerName, "c") {
				t.Errorf("%s %.20q: %q", syntax, s, f.sellerName)
			}
		}
	}
}

func BenchmarkUBL(b *testing.B) {
	d := sample(b, german, reduced)
	for range b.N {
		if _, err := einvoice.UBL(d); err != nil {
			b.Fatal(err)
		}
	}
}
