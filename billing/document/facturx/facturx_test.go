package facturx_test

import (
	"bytes"
	"compress/zlib"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
	"github.com/ezscale/ezscale/billing/document/einvoice"
	"github.com/ezscale/ezscale/billing/document/facturx"
)

func sample(t testing.TB) document.Document {
	t.Helper()
	rule := billing.TaxRule{Country: "DE", Name: "VAT", Ppm: 190_000, Class: billing.Standard, Category: "S"}
	lines := []billing.Line{{Kind: "plan", Description: "Cloud VPS Drift", Quantity: 2, Unit: billing.Money{Minor: 1190, Currency: "EUR"}, Net: billing.Money{Minor: 2380, Currency: "EUR"}, Tax: rule}}
	net, tax, total, sums, err := billing.Totals(lines)
	if err != nil {
		t.Fatal(err)
	}
	d := document.Document{
		Version: document.Version, Kind: document.Invoice, Number: "INV-2026-00007", IssuedAt: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), DueAt: time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC),
		Locale: "de", TimeZone: "Europe/Berlin", Currency: "EUR", NetMinor: net.Minor, TaxMinor: tax.Minor, TotalMinor: total.Minor,
		Seller: document.Party{Company: "Νίμπους <Hosting> & Söhne", Line1: "Hauptstraße 1", Postcode: "10115", City: "Berlin", Country: "DE", TaxID: "DE123456789"},
		Buyer:  document.Party{Name: "Zoé Martin", Line1: "1 rue de l'Essai", City: "Paris", Country: "FR"},
	}
	d.Put(lines, sums)
	return d
}

// objects are the places of a PDF's objects by its tables, the newest first, and each
// must stand where its table says.
func objects(t *testing.T, pdf []byte) map[int][]byte {
	t.Helper()
	found, at := map[int][]byte{}, -1
	if m := regexp.MustCompile(`startxref\n(\d+)\n%%EOF\n$`).FindSubmatch(pdf); m != nil {
		at, _ = strconv.Atoi(string(m[1]))
	}
	for tables := 0; at >= 0; tables++ {
		rest, ok := bytes.CutPrefix(pdf[at:], []byte("xref\n"))
		if !ok || tables > 3 {
			t.Fatalf("there is no table at %d", at)
		}
		table, trailer, _ := strings.Cut(string(rest), "trailer")
		lines := strings.Split(strings.TrimRight(table, "\n"), "\n")
		for i := 0; i < len(lines); {
			var first, n int
			if _, err := fmt.Sscanf(lines[i], "%d %d", &first, &n); err != nil {
				t.Fatalf("%q: %v", lines[i], err)
			}
			for j := range n {
				row := lines[i+1+j]
				place, _ := strconv.Atoi(row[:10])
				if _, newer := found[first+j]; newer || row[17] == 'f' {
					continue
				}
				head := fmt.Appendf(nil, "%d 0 obj\n", first+j)
				if !bytes.HasPrefix(pdf[place:], head) {
					t.Fatalf("object %d is not at %d but %.20q", first+j, place, pdf[place:])
				}
				body, _, _ := bytes.Cut(pdf[place:], []byte("\nendobj"))
				found[first+j] = body
			}
			i += 1 + n
		}
		at = -1
		if m := regexp.MustCompile(`^\s*<<[^>]*/Prev (\d+)`).FindStringSubmatch(trailer); m != nil {
			at, _ = strconv.Atoi(m[1])
		}
	}
	return found
}

func TestTheInvoiceIsInside(t *testing.T) {
	d := sample(t)
	pdf, hybrid, err := facturx.PDF(d, document.Look{})
	if err != nil || !hybrid {
		t.Fatal(hybrid, err)
	}
	if again, _, _ := facturx.PDF(d, document.Look{}); !bytes.Equal(pdf, again) {
		t.Error("the same document gave other bytes")
	}
	if dir := os.Getenv("EZSCALE_TEST_PDF_DIR"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "facturx.pdf"), pdf, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	pages, err := document.PDF(d, document.Look{})
	if err != nil || !bytes.HasPrefix(pdf, pages) {
		t.Errorf("the pages are others than those of the plain PDF (%v)", err)
	}
	file, err := einvoice.CII(d)
	if err != nil {
		t.Fatal(err)
	}
	var catalog, spec, inside, about, profile bool
	for _, body := range objects(t, pdf) {
		dict, stream, _ := strings.Cut(string(body), "stream\n")
		stream = strings.TrimSuffix(stream, "\nendstream")
		switch {
		case strings.Contains(dict, "/Type /Catalog"):
			catalog = strings.Contains(dict, "/AF [") && strings.Contains(dict, "/OutputIntents [") && strings.Contains(dict, "/Metadata ") && strings.Contains(dict, "/EmbeddedFiles")
		case strings.Contains(dict, "/Type /Filespec"):
			spec = strings.Contains(dict, "/AFRelationship /Alternative") && strings.Contains(dict, "/UF (factur-x.xml)")
		case strings.Contains(dict, "/Type /EmbeddedFile"):
			inside = inflated(t, stream) == string(file)
		case strings.Contains(dict, "/Alternate /DeviceRGB") && strings.Contains(dict, "/N 3"):
			profile = strings.Contains(inflated(t, stream), "acsp")
		case strings.Contains(dict, "/Type /Metadata"):
			about = true
			for _, want := range []string{"<pdfaid:part>3<", "<fx:ConformanceLevel>EN 16931<", "<fx:DocumentFileName>factur-x.xml<", "Νίμπους &lt;Hosting&gt; &amp; Söhne"} {
				if !strings.Contains(stream, want) {
					t.Errorf("the metadata lacks %s", want)
				}
			}
			if err := wellFormed(stream); err != nil {
				t.Errorf("the metadata: %v", err)
			}
		}
	}
	if !catalog || !spec || !inside || !about || !profile {
		t.Errorf("catalog %v, specification %v, file %v, metadata %v, profile %v", catalog, spec, inside, about, profile)
	}
}

func wellFormed(s string) error {
	for d := xml.NewDecoder(strings.NewReader(s)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func inflated(t *testing.T, s string) string {
	t.Helper()
	z, err := zlib.NewReader(strings.NewReader(s))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What says too little for an electronic invoice is printed as before, and hostile text
// breaks nothing.
func TestPlainAndHostile(t *testing.T) {
	d := sample(t)
	d.Buyer.Country = ""
	pdf, hybrid, err := facturx.PDF(d, document.Look{})
	if plain, _ := document.PDF(d, document.Look{}); err != nil || hybrid || !bytes.Equal(pdf, plain) {
		t.Errorf("incomplete: hybrid %v, %v", hybrid, err)
	}
	for _, s := range []string{"\x00\xff", ")>> endobj", "trailer << /Size 1 /Root 1 0 R /Info 1 0 R >> startxref 0 %%EOF", "]]>", "😀"} {
		d := sample(t)
		d.Number, d.Seller.Company, d.Footer = s, s, s
		pdf, hybrid, err := facturx.PDF(d, document.Look{Name: s})
		if err != nil || !hybrid {
			t.Fatalf("%q: %v %v", s, hybrid, err)
		}
		objects(t, pdf)
	}
}
