// Package datev writes movements of the books as a batch of postings in DATEV's CSV
// format (EXTF, category 21 "Buchungsstapel"), which tax advisers in Germany import. It
// owns the file's shape; which numbers accounts have is the caller's.
//
// The format is described at https://developer.datev.de/datev/platform/de/dtvf (header of
// version 700, 31 fields; Buchungsstapel of version 13, 125 fields): semicolons, CR LF,
// texts in quotation marks, decimal commas, days as TTMM, Windows-1252.
package datev

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/encoding/charmap"

	"github.com/ezscale/ezscale/billing"
)

// Batch is what the head of a file says.
type Batch struct {
	Created    time.Time
	Consultant int // Beraternummer, 1001 to 9999999
	Client     int // Mandantennummer, 1 to 99999
	YearBegins time.Time
	Digits     int       // of general ledger accounts, 4 to 8
	From, To   time.Time // first and last day
	Name       string    // at most 30 characters are written
	Currency   string
}

// Posting is one line: Account is debited and Against credited.
type Posting struct {
	Amount           billing.Money // more than nothing, of the batch's currency
	Account, Against string        // numbers
	Day              time.Time
	Document         string // the document's number
	Text             string // at most 60 characters are written
}

// MostPostings is how many a batch may hold.
const MostPostings = 99_999

var (
	// ErrBatch is returned for a head the format does not allow.
	ErrBatch = errors.New("datev: not a batch")
	// ErrPosting is returned for a posting the format does not allow.
	ErrPosting = errors.New("datev: not a posting")
)

// columns are the names of the 125 fields of a posting, in their order.
func columns() []string {
	all := []string{
		"Umsatz (ohne Soll/Haben-Kz)", "Soll/Haben-Kennzeichen", "WKZ Umsatz", "Kurs", "Basis-Umsatz", "WKZ Basis-Umsatz", "Konto", "Gegenkonto (ohne BU-Schlüssel)", "BU-Schlüssel",
		"Belegdatum", "Belegfeld 1", "Belegfeld 2", "Skonto", "Buchungstext", "Postensperre", "Diverse Adressnummer", "Geschäftspartnerbank", "Sachverhalt", "Zinssperre", "Beleglink",
	}
	numbered := func(n int, first, second string) {
		for i := 1; i <= n; i++ {
			all = append(all, first+strconv.Itoa(i), second+strconv.Itoa(i))
		}
	}
	numbered(8, "Beleginfo - Art ", "Beleginfo - Inhalt ")
	all = append(all, "KOST1 - Kostenstelle", "KOST2 - Kostenstelle", "Kost-Menge", "EU-Land u. UStID (Bestimmung)", "EU-Steuersatz (Bestimmung)", "Abw. Versteuerungsart",
		"Sachverhalt L+L", "Funktionsergänzung L+L", "BU 49 Hauptfunktionstyp", "BU 49 Hauptfunktionsnummer", "BU 49 Funktionsergänzung")
	numbered(20, "Zusatzinformation - Art ", "Zusatzinformation- Inhalt ")
	return append(all, "Stück", "Gewicht", "Zahlweise", "Forderungsart", "Veranlagungsjahr", "Zugeordnete Fälligkeit", "Skontotyp", "Auftragsnummer", "Buchungstyp",
		"USt-Schlüssel (Anzahlungen)", "EU-Land (Anzahlungen)", "Sachverhalt L+L (Anzahlungen)", "EU-Steuersatz (Anzahlungen)", "Erlöskonto (Anzahlungen)", "Herkunft-Kz", "Leerfeld",
		"KOST-Datum", "SEPA-Mandatsreferenz", "Skontosperre", "Gesellschaftername", "Beteiligtennummer", "Identifikationsnummer", "Zeichnernummer", "Postensperre bis",
		"Bezeichnung SoBil-Sachverhalt", "Kennzeichen SoBil-Buchung", "Festschreibung", "Leistungsdatum", "Datum Zuord. Steuerperiode", "Fälligkeit", "Generalumkehr (GU)", "Steuersatz", "Land",
		"Abrechnungsreferenz", "BVV-Position", "EU-Land u. UStID (Ursprung)", "EU-Steuersatz (Ursprung)", "Abw. Skontokonto")
}

// Writer writes one batch.
type Writer struct {
	out   *bufio.Writer
	batch Batch
	width int
	n     int
}

// NewWriter writes the head of a batch. Nothing but Close makes the file whole.
func NewWriter(w io.Writer, b Batch) (*Writer, error) {
	switch {
	case b.Consultant < 1001 || b.Consultant > 9_999_999, b.Client < 1 || b.Client > 99_999, b.Digits < 4 || b.Digits > 8, b.To.Before(b.From), b.From.Before(b.YearBegins),
		!b.To.Before(b.YearBegins.AddDate(1, 0, 0)), len(b.Currency) != 3:
		return nil, fmt.Errorf("%w: %+v", ErrBatch, b)
	}
	names := columns()
	x := &Writer{out: bufio.NewWriter(charmap.Windows1252.NewEncoder().Writer(w)), batch: b, width: len(names)}
	day := func(t time.Time) string { return t.Format("20060102") }
	head := []string{
		text("EXTF", 4), "700", "21", text("Buchungsstapel", 30), "13", b.Created.UTC().Format("20060102150405") + fmt.Sprintf("%03d", b.Created.Nanosecond()/1e6), "", text("RE", 2), `""`, `""`,
		strconv.Itoa(b.Consultant), strconv.Itoa(b.Client), day(b.YearBegins), strconv.Itoa(b.Digits), day(b.From), day(b.To), text(b.Name, 30), `""`, "1", "0", "0", text(b.Currency, 3),
		"", `""`, "", "", `""`, "", "", `""`, `""`,
	}
	x.line(head)
	x.line(names)
	return x, nil
}

func (x *Writer) line(fields []string) {
	_, _ = x.out.WriteString(strings.Join(fields, ";") + "\r\n") // kept by the writer until Flush
}

// Write adds a posting.
func (x *Writer) Write(p Posting) error {
	if x.n++; x.n > MostPostings {
		return fmt.Errorf("%w: more than %d", ErrPosting, MostPostings)
	}
	digits, err := billing.Digits(p.Amount.Currency)
	if err != nil || digits != 2 || p.Amount.Currency != x.batch.Currency || p.Amount.Minor <= 0 || p.Amount.Minor > 999_999_999_999 {
		return fmt.Errorf("%w: %s", ErrPosting, p.Amount)
	}
	if !isNumber(p.Account) || !isNumber(p.Against) || p.Day.Before(x.batch.From) || !p.Day.Before(x.batch.To.AddDate(0, 0, 1)) {
		return fmt.Errorf("%w: %+v", ErrPosting, p)
	}
	f := make([]string, x.width)
	f[0], f[1], f[2] = strings.Replace(p.Amount.Decimal(), ".", ",", 1), text("S", 1), text(p.Amount.Currency, 3)
	f[6], f[7], f[9] = p.Account, p.Against, p.Day.Format("0201")
	f[10], f[13] = text(document(p.Document), 36), text(p.Text, 60)
	f[113] = "0" // not locked: the adviser does that
	x.line(f)
	return nil
}

// Close writes what is left.
func (x *Writer) Close() error { return x.out.Flush() }

func isNumber(s string) bool {
	return len(s) >= 1 && len(s) <= 9 && strings.Trim(s, "0123456789") == ""
}

// text is a quoted field of at most so many characters, on one line.
func text(s string, most int) string {
	clean := []rune(strings.Join(strings.Fields(strings.ToValidUTF8(s, "")), " "))
	kept := clean[:0]
	for _, r := range clean {
		if _, has := charmap.Windows1252.EncodeRune(r); !has {
			r = '?'
		}
		if r >= ' ' && r != 0x7f && len(kept) < most {
			kept = append(kept, r)
		}
	}
	return `"` + strings.ReplaceAll(string(kept), `"`, `""`) + `"`
}

// document is a number with the signs a field for it may have.
func document(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("$&%*+-/", r) {
			return r
		}
		return -1
	}, s)
}
