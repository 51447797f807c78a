package document_test

import (
	"bytes"
	"compress/zlib"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
)

var update = flag.Bool("update", false, "write testdata anew")

func eur(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }

// sample is an invoice with so many lines of two taxes.
func sample(t *testing.T, n int) document.Document {
	t.Helper()
	from := time.Date(2026, 10, 31, 23, 0, 0, 0, time.UTC)
	vat := billing.TaxRule{Country: "DE", Name: "VAT", Ppm: 190_000, Class: billing.Standard, Source: "law"}
	reduced := billing.TaxRule{Country: "DE", Name: "VAT", Ppm: 70_000, Class: "reduced"}
	var lines []billing.Line
	for i := range n {
		l := billing.Line{Kind: "plan", Description: fmt.Sprintf("Cloud VPS Drift %d", i+1), Period: billing.Cycle("monthly").Period(from, 0, time.UTC), Quantity: 1, Unit: eur(123_456 + int64(i)), Tax: vat}
		if i%3 == 2 {
			l = billing.Line{Kind: "option", Description: "Additional IPv4 address for the server named in the line above, with reverse DNS and a description that needs more than one line", Quantity: 3, Unit: eur(250), Tax: reduced}
		}
		l, err := l.Priced()
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
	net, tax, total, sums, err := billing.Totals(lines)
	if err != nil {
		t.Fatal(err)
	}
	d := document.Document{
		Version: 1, Kind: document.Invoice, Number: "INV-2026-00042", IssuedAt: from, DueAt: from.AddDate(0, 0, 7),
		Locale: "de", TimeZone: "Europe/Berlin", Currency: "EUR", CustomerNo: "C01007",
		Seller:   document.Party{Company: "Nimbus Hosting GmbH", Line1: "Hauptstraße 1", Postcode: "10115", City: "Berlin", Country: "DE", TaxID: "DE123456789", Email: "billing@nimbus.example", Phone: "+49 30 1234567"},
		Buyer:    document.Party{Company: "ΑΘΗΝΑ Φιλοξενία ΑΕ", Name: "Константин Щербаков", Line1: "Οδός Ερμού 12", Postcode: "105 63", City: "Αθήνα", Country: "GR", TaxID: "EL123456789"},
		NetMinor: net.Minor, TaxMinor: tax.Minor, TotalMinor: total.Minor,
		Footer: "Amtsgericht Charlottenburg HRB 12345 · Managing director: Zoë Müller\nIBAN DE02 1203 0000 0000 2020 51 · BIC BYLADEM1001",
	}
	d.Put(lines, sums)
	return d
}

func logo(t *testing.T) []byte {
	t.Helper()
	m := image.NewNRGBA64(image.Rect(0, 0, 240, 60))
	for x := range 240 {
		for y := range 60 {
			m.Set(x, y, color.NRGBA64{R: uint16(x * 270), G: 0x4000, B: 0xc000, A: uint16(y * 1000)})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPDFSaysWhatTheDocumentSays(t *testing.T) {
	credit := sample(t, 2)
	credit.Kind, credit.Number, credit.Reason = document.CreditNote, "CN-2026-00001", "Outage of two days"
	credit.Corrects = &document.Reference{Number: "INV-2026-00042", IssuedAt: credit.IssuedAt}
	reverse := sample(t, 1)
	reverse.Locale, reverse.Taxes[0].Ppm, reverse.Taxes[0].TaxMinor, reverse.TaxMinor, reverse.TotalMinor = "en", 0, 0, 0, reverse.NetMinor
	reverse.Taxes[0].Note = billing.NoteReverse
	for name, d := range map[string]document.Document{"invoice": sample(t, 3), "long": sample(t, 70), "credit_note": credit, "reverse_charge": reverse} {
		t.Run(name, func(t *testing.T) {
			look := document.Look{Color: "#0f766e", Logo: logo(t)}
			got, err := document.PDF(d, look)
			if err != nil {
				t.Fatal(err)
			}
			again, err := document.PDF(d, look)
			if err != nil || !bytes.Equal(got, again) {
				t.Errorf("the same document gives other bytes the second time: %v", err)
			}
			if dir := os.Getenv("EZSCALE_TEST_OUT"); dir != "" {
				if err := os.WriteFile(filepath.Join(dir, name+".pdf"), got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			golden(t, name+".txt", text(t, got))
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s:\n%s", name, got)
	}
}

// text is what a PDF of this package says, one string a line.
func text(t *testing.T, pdf []byte) string {
	t.Helper()
	var said strings.Builder
	for _, part := range bytes.Split(pdf, []byte("stream\n"))[1:] {
		z, err := zlib.NewReader(bytes.NewReader(part))
		if err != nil {
			continue
		}
		page, err := io.ReadAll(z)
		if err != nil || !bytes.Contains(page, []byte(")Tj")) {
			continue
		}
		said.WriteString("---\n")
		for {
			i := bytes.Index(page, []byte(")Tj"))
			if i < 0 {
				break
			}
			from := bytes.LastIndex(page[:i], []byte(" Td ("))
			said.WriteString(utf16be(page[from+5:i]) + "\n")
			page = page[i+4:]
		}
	}
	return said.String()
}

func utf16be(b []byte) string {
	var raw []byte
	for i := 0; i < len(b); i++ {
		if b[i] == '\\' && i+1 < len(b) {
			i++
			if b[i] == 'r' {
				raw = append(raw, '\r')
				continue
			}
		}
		raw = append(raw, b[i])
	}
	var units []uint16
	for i := 0; i+1 < len(raw); i += 2 {
		units = append(units, uint16(raw[i])<<8|uint16(raw[i+1]))
	}
	return string(utf16.Decode(units))
}

// Whatever people typed, there is a PDF.
func TestPDFOfHostileText(t *testing.T) {
	for _, s := range []string{strings.Repeat("W", 5000), strings.Repeat("word ", 2000), "\xff\xfe", "😀 emoji", "עברית العربية 中文", "\u202eevil", "{pages}", "(\\) Tj ET", "%PDF", "\x00\r\n"} {
		d := sample(t, 2)
		d.Number, d.Seller.Company, d.Seller.Email, d.Buyer.Name, d.Buyer.Line1, d.Buyer.TaxID, d.Footer, d.Reason, d.Lines[0].Description = s, s, s, s, s, s, s, s, s
		for _, look := range []document.Look{{}, {Color: s, Logo: []byte(s), Name: s}, {Color: "#zzzzzz", Logo: logo(t)[:60]}} {
			if got, err := document.PDF(d, look); err != nil || !bytes.HasPrefix(got, []byte("%PDF-")) {
				t.Errorf("%.20q: %v", s, err)
			}
		}
	}
}
