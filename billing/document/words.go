package document

import (
	"strings"
	"time"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"

	"github.com/ezscale/ezscale/billing"
)

// Title is what the document is called: Invoice, Credit note or Top-up.
func (d Document) Title() string {
	if d.Kind == CreditNote {
		return "Credit note"
	}
	if d.Kind == ProForma {
		return "Pro-forma invoice"
	}
	if d.Kind == TopUp {
		return "Top-up"
	}
	if d.Kind == "statement" {
		return "Statement of account"
	}
	return "Invoice"
}

// FileName is the number as a file may be called, without an ending.
func (d Document) FileName() string {
	if d.Kind == ProForma {
		return "pro-forma"
	}
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, d.Number)
}

// Address is a party as it stands on a letter, line by line.
func (p Party) Address() []string {
	var lines []string
	add := func(parts ...string) {
		if s := strings.TrimSpace(strings.Join(parts, " ")); s != "" {
			lines = append(lines, s)
		}
	}
	add(p.Company)
	add(p.Name)
	add(p.Line1)
	add(p.Line2)
	add(p.Postcode, p.City)
	add(p.Region)
	add(CountryName(p.Country))
	return lines
}

// CountryName is a country in English; a code that is none stays as it is.
func CountryName(code string) string {
	r, err := language.ParseRegion(code)
	if err != nil || len(code) != 2 {
		return code
	}
	return display.English.Regions().Name(r)
}

// Span is the time a line is for, in words; empty: none. The last day is included: a
// month from the 15th ends on the 14th, at whatever time of the day it began.
func (d Document) Span(l Line) string {
	if l.From == nil {
		return ""
	}
	if l.To == nil {
		return "from " + d.Day(*l.From)
	}
	last := l.To.Add(-time.Nanosecond)
	if l.To.Sub(*l.From) >= 2*24*time.Hour {
		last = l.To.In(d.zone()).AddDate(0, 0, -1)
	}
	return d.Day(*l.From) + " to " + d.Day(last)
}

// Rate is a percentage as people write it: "19 %", "8.1 %".
func Rate(ppm int64) string {
	s := billing.Money{Minor: ppm / 100, Currency: "EUR"}.Decimal() // hundredths of a per cent
	return strings.TrimRight(strings.TrimRight(s, "0"), ".") + " %"
}

// Label names the tax for the totals: "VAT 19 %".
func (t Tax) Label() string {
	name := t.Name
	if name == "" {
		name = "Tax"
	}
	return name + " " + Rate(t.Ppm)
}

// Money is an amount of the document in its currency.
func (d Document) Money(minor int64) billing.Money { return d.money(minor) }

// Notes are the sentences that the law wants below the totals, each once.
func (d Document) Notes() []string {
	var notes []string
	seen := map[string]bool{"": true}
	for _, t := range d.Taxes {
		if !seen[t.Note] {
			seen[t.Note] = true
			notes = append(notes, t.Note)
		}
	}
	if t := d.TaxIn; t != nil {
		notes = append(notes, "Tax in "+t.Currency+" at 1 "+d.Currency+" = "+t.PlainRate()+" "+t.Currency+" of "+t.RateDay.UTC().Format("2 January 2006")+" ("+t.Source+").")
	}
	return notes
}
