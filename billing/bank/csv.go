package bank

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"github.com/ezscale/ezscale/billing"
)

// Columns says which column of a CSV file holds what, by the names in its head. Empty:
// the usual names are looked for.
type Columns struct {
	Date         string `json:"date"`
	Amount       string `json:"amount"`
	Currency     string `json:"currency"` // of every row, where no column says it: EUR
	Party        string `json:"party"`
	PartyAccount string `json:"party_account"`
	Text         string `json:"text"`
	Reference    string `json:"reference"`
	MonthFirst   bool   `json:"month_first"` // 11/30/2026
}

// ColumnsError says that a file does not have the columns that are needed.
type ColumnsError struct {
	Missing []string // of Columns: date, amount, currency
	Head    []string // what the file's columns are called
}

// Error names both.
func (e *ColumnsError) Error() string {
	return "bank: no column for " + strings.Join(e.Missing, ", ") + " among " + strings.Join(e.Head, ", ")
}

// usual are the names banks give to columns, in small letters.
var usual = map[string][]string{ //nolint:gochecknoglobals // a constant table
	"date":          {"buchungstag", "buchungsdatum", "booking date", "date", "datum", "completed date", "transaction date", "valutadatum", "wertstellung", "value date"},
	"amount":        {"betrag", "umsatz", "amount", "betrag (eur)", "umsatz in eur", "betrag in eur", "amount (eur)", "credit amount", "betrag (€)"},
	"currency":      {"währung", "waehrung", "currency", "whrg"},
	"party":         {"beguenstigter/zahlungspflichtiger", "begünstigter/zahlungspflichtiger", "auftraggeber / begünstigter", "auftraggeber/empfänger", "name zahlungsbeteiligter", "zahlungspflichtige*r", "zahlungspflichtiger", "name", "partner name", "payee", "counterparty", "description name", "auftraggeber"},
	"party_account": {"kontonummer/iban", "iban zahlungsbeteiligter", "iban", "partner iban", "account number", "counterparty account", "kontonummer"},
	"text":          {"verwendungszweck", "buchungstext verwendungszweck", "payment reference", "reference", "description", "details", "purpose", "memo", "text"},
	"reference":     {"kundenreferenz (end-to-end)", "kundenreferenz", "end-to-end-referenz", "end to end id", "end-to-end id"},
}

// windows decodes Windows-1252, which holds ISO-8859-1 but for control characters.
func windows(in io.Reader) io.Reader { return charmap.Windows1252.NewDecoder().Reader(in) }

// CSV reads a bank's list of bookings. The head may come after some lines about the
// account; fields are divided by semicolons, commas or tabs. ErrFormat, ErrTooLarge, and a
// *ColumnsError that asks for Columns.
func CSV(file []byte, c Columns) ([]Booking, error) {
	if len(file) > MaxFile {
		return nil, ErrTooLarge
	}
	ways, err := tables(file)
	if err != nil {
		return nil, err
	}
	rows := ways[0]
	head, at, err := c.find(rows)
	for _, other := range ways[1:] {
		if err == nil {
			break
		}
		if h, p, problem := c.find(other); problem == nil {
			rows, head, at, err = other, h, p, nil
		}
	}
	if err != nil {
		return nil, err
	}
	if len(rows) > MaxBookings+100 {
		return nil, ErrTooLarge
	}
	keys := keyed{}
	var all []Booking
	for i, row := range rows[head+1:] {
		b, ok, err := c.booking(row, at)
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrFormat, head+i+2, err)
		}
		if !ok {
			continue
		}
		b.Key = keys.name(b, "")
		if all = append(all, b); len(all) > MaxBookings {
			return nil, ErrTooLarge
		}
	}
	return all, nil
}

// tables splits a file into fields in every way there is, the one with most columns first.
func tables(file []byte) ([][][]string, error) {
	file = bytes.TrimPrefix(file, []byte("\xef\xbb\xbf"))
	if bytes.IndexByte(file, 0) >= 0 {
		return nil, fmt.Errorf("%w: it is no text", ErrFormat)
	}
	if !utf8.Valid(file) {
		decoded, err := charmap.Windows1252.NewDecoder().Bytes(file)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFormat, err)
		}
		file = decoded
	}
	var ways [][][]string
	for _, comma := range ";,\t" {
		r := csv.NewReader(bytes.NewReader(file))
		r.Comma, r.FieldsPerRecord, r.LazyQuotes, r.TrimLeadingSpace = comma, -1, true, true
		rows, err := r.ReadAll()
		if err != nil {
			continue
		}
		if widest(rows) >= 2 {
			ways = append(ways, rows)
		}
	}
	if len(ways) == 0 {
		return nil, fmt.Errorf("%w: it has no columns", ErrFormat)
	}
	slices.SortStableFunc(ways, func(a, b [][]string) int { return widest(b) - widest(a) })
	return ways, nil
}

func widest(rows [][]string) (n int) {
	for _, r := range rows[:min(len(rows), 50)] {
		n = max(n, len(r))
	}
	return n
}

// place is where a row has what is needed; -1: nowhere.
type place struct{ date, amount, currency, party, account, text, reference int }

// find looks for the head among the first lines.
func (c Columns) find(rows [][]string) (head int, at place, err error) {
	wanted := &ColumnsError{}
	for i, row := range rows[:min(len(rows), 40)] {
		names := make([]string, len(row))
		for j, cell := range row {
			names[j] = strings.ToLower(clean(cell, 100))
		}
		where := func(field, chosen string) int {
			if chosen = strings.ToLower(clean(chosen, 100)); chosen != "" {
				return slices.Index(names, chosen)
			}
			for _, name := range usual[field] {
				if j := slices.Index(names, name); j >= 0 {
					return j
				}
			}
			return -1
		}
		p := place{
			where("date", c.Date), where("amount", c.Amount), where("currency", ""), where("party", c.Party),
			where("party_account", c.PartyAccount), where("text", c.Text), where("reference", c.Reference),
		}
		var missing []string
		for field, j := range map[string]int{"date": p.date, "amount": p.amount} {
			if j < 0 {
				missing = append(missing, field)
			}
		}
		if p.currency < 0 && c.Currency == "" {
			missing = append(missing, "currency")
		}
		slices.Sort(missing)
		if len(missing) == 0 {
			return i, p, nil
		}
		// What looks most like a head is shown to whoever must say more.
		if wanted.Missing == nil || len(missing) < len(wanted.Missing) || len(missing) == len(wanted.Missing) && len(row) > len(wanted.Head) {
			wanted.Missing, wanted.Head = missing, nil
			for _, cell := range row[:min(len(row), 60)] {
				wanted.Head = append(wanted.Head, clean(cell, 60))
			}
		}
	}
	if wanted.Missing == nil {
		return 0, at, fmt.Errorf("%w: it is empty", ErrFormat)
	}
	return 0, at, wanted
}

func cellOf(row []string, i int) string {
	if i < 0 || i >= len(row) {
		return ""
	}
	return strings.TrimSpace(row[i])
}

// booking reads a row. It reports false for one that is none: empty, a balance, nothing
// moved.
func (c Columns) booking(row []string, at place) (b Booking, ok bool, err error) {
	date, amount := cellOf(row, at.date), cellOf(row, at.amount)
	if date == "" || amount == "" {
		return b, false, nil
	}
	if b.On, err = c.day(date); err != nil {
		return b, false, err
	}
	currency := strings.ToUpper(cellOf(row, at.currency))
	if currency == "" || currency == "€" {
		currency = strings.ToUpper(strings.TrimSpace(c.Currency))
	}
	if currency == "" {
		currency = "EUR" // the sign alone
	}
	if b.Amount, err = number(amount, currency); err != nil || b.Amount.Minor == 0 {
		return b, false, err
	}
	b.Party, b.PartyAccount = clean(cellOf(row, at.party), maxParty), accountOf(cellOf(row, at.account))
	b.Text, b.Reference = clean(cellOf(row, at.text), maxText), clean(cellOf(row, at.reference), maxParty)
	return b, true, nil
}

var errDay = errors.New("that is no day")

func (c Columns) day(s string) (time.Time, error) {
	layouts := []string{time.DateOnly, "2.1.2006", "2.1.06", "2/1/2006", "2-1-2006", "20060102"}
	if c.MonthFirst {
		layouts = []string{time.DateOnly, "1/2/2006", "1/2/06", "1-2-2006", "1.2.2006"}
	}
	day, _, _ := strings.Cut(strings.ReplaceAll(s, "T", " "), " ")
	for _, l := range layouts {
		if t, err := time.Parse(l, day); err == nil && t.Year() >= 1990 && t.Year() < 2200 {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: %.30q", errDay, s)
}

// number reads an amount with a point or a comma: what comes last divides the decimals,
// unless there are three of them and the currency does not have so many.
func number(s, currency string) (billing.Money, error) {
	digits, err := billing.Digits(currency)
	if err != nil {
		return billing.Money{}, err
	}
	s = strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\u00a0', '\u202f', '\'', '’', '€', '$', '£', '+':
			return -1
		case '−':
			return '-'
		}
		return r
	}, s)
	if strings.HasSuffix(s, "-") {
		s = "-" + strings.TrimSuffix(s, "-")
	}
	if i := strings.LastIndexAny(s, ".,"); i >= 0 {
		whole, parts := s[:i], s[i+1:]
		if len(parts) == 3 && digits != 3 {
			whole, parts = whole+parts, ""
		}
		s = strings.NewReplacer(".", "", ",", "").Replace(whole)
		if len(parts) > digits { // 12.5000
			parts = parts[:digits] + strings.TrimRight(parts[digits:], "0")
		}
		if parts != "" {
			s += "." + parts
		}
	}
	return billing.Parse(strings.TrimSuffix(s, currency), currency)
}
