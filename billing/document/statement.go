package document

import (
	"bytes"
	"fmt"
	"time"

	"codeberg.org/go-pdf/fpdf"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
)

// Statement is what moved between a seller and a customer in a time. It is drawn up when
// somebody asks and is no document that was issued: it has no number and is not kept.
type Statement struct {
	Seller, Buyer    Party
	CustomerNo       string
	Locale, TimeZone string
	Currency         string
	From, To         time.Time // [From, To)
	DrawnAt          time.Time
	OpeningMinor     int64 // owed before; less than nothing: paid ahead of what was owed
	Rows             []StatementRow
	ClosingMinor     int64
	Footer           string
}

// StatementRow is one movement: a charge is more than nothing, a payment less.
type StatementRow struct {
	At           time.Time
	Text         string // Invoice, Payment
	Number       string // of the document; empty: none
	Minor        int64
	BalanceMinor int64 // owed after it
}

// StatementPDF prints a statement on A4, as PDF does a document.
func StatementPDF(s Statement, look Look) ([]byte, error) {
	// To the printer it is a document without lines, tax and total.
	d := Document{Kind: "statement", Seller: s.Seller, Buyer: s.Buyer, Currency: s.Currency, Locale: s.Locale, TimeZone: s.TimeZone, IssuedAt: s.DrawnAt, CustomerNo: s.CustomerNo, Footer: s.Footer}
	d.Number = d.Day(s.From) + " to " + d.Day(s.To.Add(-time.Nanosecond))
	p := &printer{Fpdf: fpdf.New("P", "mm", "A4", ""), d: d, look: look}
	p.SetCatalogSort(true)
	p.SetCreationDate(s.DrawnAt.UTC())
	p.SetModificationDate(s.DrawnAt.UTC())
	p.SetTitle(plain(d.Title()+" "+d.Number), true)
	p.SetAuthor(plain(s.Seller.Company), true)
	p.SetLang("en")
	p.AddUTF8FontFromBytes("go", "", goregular.TTF)
	p.AddUTF8FontFromBytes("go", "B", gobold.TTF)
	p.SetMargins(left, 20, pageW-right)
	p.SetAutoPageBreak(false, 0)
	p.SetCellMargin(0)
	p.AliasNbPages("{pages}")
	p.SetFooterFunc(p.footer)
	p.AddPage()
	p.head()
	p.parties()
	p.SetY(bodyY)
	p.statement(s)
	var out bytes.Buffer
	if err := p.Output(&out); err != nil {
		return nil, fmt.Errorf("print a statement: %w", err)
	}
	return out.Bytes(), nil
}

// Columns of a statement.
const stCharge, stPaid, stBalance = 118.0, 143.0, 167.0

func (p *printer) statementHead() {
	y := p.GetY()
	p.font("B", 8.5)
	p.ink()
	p.at(left, y, 24, "L", "Day")
	p.at(left+26, y, 70, "L", "What")
	p.at(stCharge-4, y, 24, "R", "Charged")
	p.at(stPaid-2, y, 23, "R", "Paid")
	p.at(stBalance-2, y, right-stBalance+2, "R", "Owed "+p.d.Currency)
	p.rule(y+lineH+1, 0.5)
	p.SetY(y + lineH + 2.5)
}

func (p *printer) statement(s Statement) {
	p.statementHead()
	line := func(style, day, text, charge, paid, balance string) {
		if p.room(lineH + 2) {
			p.statementHead()
		}
		y := p.GetY()
		p.font(style, 9.5)
		p.ink()
		p.at(left, y, 24, "L", day)
		p.at(left+26, y, 70, "L", p.fit(text, 70))
		p.at(stCharge-4, y, 24, "R", charge)
		p.at(stPaid-2, y, 23, "R", paid)
		p.at(stBalance-2, y, right-stBalance+2, "R", balance)
		p.SetY(y + lineH + 1.2)
	}
	short := func(t time.Time) string { return t.In(p.d.zone()).Format("2 Jan 2006") }
	line("B", short(s.From), "Owed before", "", "", p.number(s.OpeningMinor))
	for _, r := range s.Rows {
		charge, paid := p.number(r.Minor), ""
		if r.Minor < 0 {
			charge, paid = "", p.number(-r.Minor)
		}
		text := r.Text
		if r.Number != "" {
			text += " " + r.Number
		}
		line("", short(r.At), text, charge, paid, p.number(r.BalanceMinor))
	}
	p.rule(p.GetY(), 0.3)
	p.SetY(p.GetY() + 1.5)
	line("B", short(s.To.Add(-time.Nanosecond)), "Owed at the end", "", "", p.number(s.ClosingMinor))
	p.SetY(p.GetY() + 4)
	if s.ClosingMinor < 0 {
		p.paragraphs([]string{"Less than nothing: more was paid than was owed."})
	}
}
