package document_test

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
)

// TestPDFLooksAsItDid compares pages, painted by poppler, with pictures that somebody
// looked at. Versions of poppler smooth letters differently, so that squares of eight
// points are compared and not points: whatever moves, vanishes or overlaps is seen.
// With -update the pictures are made anew: look at them.
func TestPDFLooksAsItDid(t *testing.T) {
	credit := sample(t, 2)
	credit.Kind, credit.Number, credit.Reason = document.CreditNote, "CN-2026-00001", "Outage of two days"
	credit.Corrects = &document.Reference{Number: "INV-2026-00042", IssuedAt: credit.IssuedAt}
	reverse := sample(t, 1)
	reverse.Locale, reverse.Taxes[0].Ppm, reverse.Taxes[0].TaxMinor, reverse.TaxMinor, reverse.TotalMinor = "en", 0, 0, 0, reverse.NetMinor
	reverse.Taxes[0].Note = billing.NoteReverse
	for _, c := range []struct {
		name string
		d    document.Document
		page int
	}{{"invoice", sample(t, 3), 1}, {"long", sample(t, 70), 2}, {"credit_note", credit, 1}, {"reverse_charge", reverse, 1}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			pdf, err := document.PDF(c.d, document.Look{Color: "#0f766e", Logo: logo(t)})
			if err != nil {
				t.Fatal(err)
			}
			got, path := painted(t, pdf, c.page), filepath.Join("testdata", c.name+".png")
			if *update {
				keep(t, path, got)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			want, err := png.Decode(bytes.NewReader(b))
			if err != nil {
				t.Fatal(err)
			}
			if n := differing(got, want.(*image.Gray)); n > 0 {
				seen := filepath.Join(t.TempDir(), c.name+".png")
				if dir := os.Getenv("EZSCALE_TEST_OUT"); dir != "" {
					seen = filepath.Join(dir, c.name+".png")
				}
				keep(t, seen, got)
				t.Errorf("page %d of %s differs from %s in %d squares; with EZSCALE_TEST_OUT it is kept", c.page, c.name, path, n)
			}
		})
	}
}

// TestPicturesTellWhatMoves makes sure that the comparison bites: a line that is gone,
// and a page that slid by half a line, are seen.
func TestPicturesTellWhatMoves(t *testing.T) {
	d := sample(t, 3)
	paint := func(d document.Document) *image.Gray {
		pdf, err := document.PDF(d, document.Look{Color: "#0f766e", Logo: logo(t)})
		if err != nil {
			t.Fatal(err)
		}
		return painted(t, pdf, 1)
	}
	whole := paint(d)
	if n := differing(whole, paint(d)); n != 0 {
		t.Errorf("a page differs from itself in %d squares", n)
	}
	less := d
	less.Footer = ""
	if differing(whole, paint(less)) == 0 {
		t.Error("nobody sees that the footer is gone")
	}
	slid := image.NewGray(whole.Rect)
	copy(slid.Pix[6*slid.Stride:], whole.Pix)
	if differing(whole, slid) == 0 {
		t.Error("nobody sees that all slid down")
	}
}

// painted is a page in shades of grey, 72 points to the inch.
func painted(t *testing.T, pdf []byte, page int) *image.Gray {
	t.Helper()
	n := fmt.Sprint(page)
	cmd := exec.CommandContext(t.Context(), "pdftoppm", "-f", n, "-l", n, "-r", "72", "-gray", "-png", "-")
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(pdf), &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("pdftoppm, which make setup brings: %v %s", err, said.String())
	}
	m, err := png.Decode(&out)
	if err != nil {
		t.Fatal(err)
	}
	g := image.NewGray(m.Bounds())
	draw.Draw(g, g.Rect, m, g.Rect.Min, draw.Src)
	return g
}

func keep(t *testing.T, path string, m image.Image) {
	t.Helper()
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil { //nolint:gosec // a golden file
		t.Fatal(err)
	}
}

// differing counts the squares whose mean shade differs by more than smoothing explains.
func differing(a, b *image.Gray) (n int) {
	const side, most = 8, 14
	if a.Rect != b.Rect {
		return a.Rect.Dx() * a.Rect.Dy()
	}
	mean := func(m *image.Gray, x0, y0 int) int {
		sum, points := 0, 0
		for y := y0; y < min(y0+side, m.Rect.Max.Y); y++ {
			for x := x0; x < min(x0+side, m.Rect.Max.X); x++ {
				sum += int(m.GrayAt(x, y).Y)
				points++
			}
		}
		return sum / points
	}
	for y := a.Rect.Min.Y; y < a.Rect.Max.Y; y += side {
		for x := a.Rect.Min.X; x < a.Rect.Max.X; x += side {
			if d := mean(a, x, y) - mean(b, x, y); d > most || d < -most {
				n++
			}
		}
	}
	return n
}
