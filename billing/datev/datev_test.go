package datev_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/encoding/charmap"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/datev"
)

var update = flag.Bool("update", false, "write the golden files anew")

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

func batch() datev.Batch {
	return datev.Batch{Created: time.Date(2026, 11, 21, 22, 5, 7, 439e6, time.UTC), Consultant: 29098, Client: 55003, YearBegins: day(2026, 1, 1), Digits: 4,
		From: day(2026, 11, 1), To: day(2026, 11, 30), Name: "Alpha GmbH", Currency: "EUR"}
}

func eur(minor int64) billing.Money { return billing.Money{Minor: minor, Currency: "EUR"} }

func posting() datev.Posting {
	return datev.Posting{Amount: eur(119000), Account: "1410", Against: "8200", Day: day(2026, 11, 5), Document: "INV-2026-00042", Text: `Größe "XL" für Zoë & Søn, 5 €`}
}

// The file is the one of the public description, field for field and byte for byte.
func TestBatchMatchesItsGoldenFile(t *testing.T) {
	var out bytes.Buffer
	w, err := datev.NewWriter(&out, batch())
	if err != nil {
		t.Fatal(err)
	}
	second := posting()
	second.Amount, second.Account, second.Against, second.Day, second.Text = eur(1), "1360", "1410", day(2026, 11, 30), strings.Repeat("ä", 99)+"\r\nŁódź"
	third := posting()
	third.Text, third.Document = "Łódź\x00", "RE 2026;7"
	for _, p := range []datev.Posting{posting(), second, third} {
		if err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/EXTF_Buchungsstapel.csv"
	if *update {
		if err := os.WriteFile(golden, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, out.Bytes()) {
		t.Errorf("the file is not the golden one:\n%s", out.Bytes())
	}
	plain, err := charmap.Windows1252.NewDecoder().Bytes(out.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(plain), "\r\n"), "\r\n")
	if len(lines) != 5 || strings.Count(strings.ReplaceAll(string(plain), "\r\n", ""), "\n") != 0 {
		t.Fatalf("%d lines", len(lines))
	}
	// 31 fields of the head, 125 of the names and of each posting.
	for i, want := range []int{31, 125, 125, 125, 125} {
		if n := strings.Count(lines[i], ";") + 1; n != want {
			t.Errorf("line %d has %d fields, want %d", i+1, n, want)
		}
	}
	if !strings.HasPrefix(lines[0], `"EXTF";700;21;"Buchungsstapel";13;20261121220507439;;"RE";"";"";29098;55003;20260101;4;20261101;20261130;"Alpha GmbH";"";1;0;0;"EUR";`) {
		t.Errorf("the head: %s", lines[0])
	}
	if !strings.HasPrefix(lines[2], `1190,00;"S";"EUR";;;;1410;8200;;0511;"INV-2026-00042";;;"Größe ""XL"" für Zoë & Søn, 5 €";`) {
		t.Errorf("a posting: %s", lines[2])
	}
	if !strings.Contains(lines[1], "Festschreibung") || strings.Split(lines[1], ";")[113] != "Festschreibung" {
		t.Errorf("field 114 is %s", strings.Split(lines[1], ";")[113])
	}
}

func TestWhatTheFormatDoesNotAllow(t *testing.T) {
	for name, spoil := range map[string]func(*datev.Batch){
		"consultant": func(b *datev.Batch) { b.Consultant = 1000 }, "client": func(b *datev.Batch) { b.Client = 0 }, "digits": func(b *datev.Batch) { b.Digits = 3 },
		"before the year": func(b *datev.Batch) { b.From = day(2025, 12, 31) }, "two years": func(b *datev.Batch) { b.To = day(2027, 1, 1) }, "backwards": func(b *datev.Batch) { b.To = day(2026, 10, 1) },
	} {
		b := batch()
		spoil(&b)
		if _, err := datev.NewWriter(&bytes.Buffer{}, b); !errors.Is(err, datev.ErrBatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, spoil := range map[string]func(*datev.Posting){
		"nothing": func(p *datev.Posting) { p.Amount.Minor = 0 }, "less": func(p *datev.Posting) { p.Amount.Minor = -1 }, "dollars": func(p *datev.Posting) { p.Amount.Currency = "USD" },
		"too much": func(p *datev.Posting) { p.Amount.Minor = 1_000_000_000_000 }, "no account": func(p *datev.Posting) { p.Account = "" }, "words": func(p *datev.Posting) { p.Against = "Erlöse" },
		"another month": func(p *datev.Posting) { p.Day = day(2026, 12, 1) },
	} {
		w, err := datev.NewWriter(&bytes.Buffer{}, batch())
		if err != nil {
			t.Fatal(err)
		}
		p := posting()
		spoil(&p)
		if err := w.Write(p); !errors.Is(err, datev.ErrPosting) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
