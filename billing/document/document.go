// Package document is the invoice and the credit note as they were issued: one stored
// document with both parties, the lines and the tax as they stood that day, and what is
// made of it. It owns the document's shape and its pages; it knows no rows and no
// clock, so that the same document gives the same bytes today and in ten years.
package document

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ezscale/ezscale/billing"
)

// Version is the shape of documents made now. Those of version 1 name no category of
// tax, no unit, no way of paying and no reference of the buyer.
const Version = 2

// Document is what was issued, word for word. It is kept as JSON and never changes.
type Document struct {
	Version    int        `json:"version"`
	Kind       string     `json:"kind"` // invoice, credit_note or top_up
	Number     string     `json:"number"`
	Corrects   *Reference `json:"corrects,omitempty"` // of a credit note
	Reason     string     `json:"reason,omitempty"`   // of a credit note
	IssuedAt   time.Time  `json:"issued_at"`
	DueAt      time.Time  `json:"due_at"`
	TermDays   int        `json:"term_days,omitempty"` // the days to pay that were agreed on; 0: the day says it
	Locale     string     `json:"locale"`
	TimeZone   string     `json:"time_zone"`
	Currency   string     `json:"currency"`
	Seller     Party      `json:"seller"`
	Buyer      Party      `json:"buyer"`
	CustomerNo string     `json:"customer_number,omitempty"`
	Lines      []Line     `json:"lines"`
	Taxes      []Tax      `json:"taxes"`
	NetMinor   int64      `json:"net_minor"`
	TaxMinor   int64      `json:"tax_minor"`
	TotalMinor int64      `json:"total_minor"`
	Footer     string     `json:"footer,omitempty"`          // the seller's own words: register, bank
	BuyerRef   string     `json:"buyer_reference,omitempty"` // what the buyer wants to read: an order, a route
	Account    *Account   `json:"account,omitempty"`         // where to pay to by bank transfer
	TaxIn      *TaxIn     `json:"tax_in,omitempty"`          // the tax in the seller's country's currency, where that is another
}

// TaxIn is the tax in all in another currency (EN 16931 BT-6, BT-111), with the rate it was
// worked out by.
type TaxIn struct {
	Currency string    `json:"currency"`
	TaxMinor int64     `json:"tax_minor"`
	Rate     string    `json:"rate"` // what one unit of the document's currency is worth
	RateDay  time.Time `json:"rate_day"`
	Source   string    `json:"source"`
}

// Money is the amount.
func (t TaxIn) Money() billing.Money { return billing.Money{Minor: t.TaxMinor, Currency: t.Currency} }

// PlainRate is the rate without the zeros it ends with.
func (t TaxIn) PlainRate() string { return strings.TrimRight(strings.TrimRight(t.Rate, "0"), ".") }

// StateTaxIn states the document's tax in another currency by a rate.
func (d *Document) StateTaxIn(r billing.ExchangeRate) error {
	tax, err := billing.Exchange(d.TaxTotal(), r)
	if err != nil {
		return err
	}
	d.TaxIn = &TaxIn{Currency: r.Into, TaxMinor: tax.Minor, Rate: r.Value, RateDay: r.Day, Source: r.Source}
	return nil
}

// Account is a bank account.
type Account struct {
	Holder string `json:"holder,omitempty"`
	IBAN   string `json:"iban"`
	BIC    string `json:"bic,omitempty"`
}

// Reference names another document.
type Reference struct {
	Number   string    `json:"number"`
	IssuedAt time.Time `json:"issued_at"`
}

// Party is one side of the document.
type Party struct {
	Name     string `json:"name"` // of a person, or who it is for the attention of
	Company  string `json:"company,omitempty"`
	Line1    string `json:"line1,omitempty"`
	Line2    string `json:"line2,omitempty"`
	Postcode string `json:"postcode,omitempty"`
	City     string `json:"city,omitempty"`
	Region   string `json:"region,omitempty"`
	Country  string `json:"country,omitempty"`
	TaxID    string `json:"tax_id,omitempty"`
	Email    string `json:"email,omitempty"`
	Phone    string `json:"phone,omitempty"`
	Website  string `json:"website,omitempty"`

	TaxNumber    string `json:"tax_number,omitempty"`   // the tax office's, where it is not the VAT number
	Registration string `json:"registration,omitempty"` // in the register of companies
}

// Line is a position as it was printed.
type Line struct {
	Kind           string     `json:"kind"`
	SubscriptionID string     `json:"subscription_id,omitempty"`
	Description    string     `json:"description"`
	From           *time.Time `json:"from,omitempty"`
	To             *time.Time `json:"to,omitempty"`
	Quantity       int64      `json:"quantity"`
	UnitCode       string     `json:"unit_code,omitempty"`
	UnitMinor      int64      `json:"unit_minor"`
	NetMinor       int64      `json:"net_minor"`
	Tax            int        `json:"tax"`                // position in Taxes
	MeterID        string     `json:"meter_id,omitempty"` // whose usage it is
	Round          int        `json:"round,omitempty"`    // which of its month's invoices this is, from 0
	PriceID        string     `json:"price_id,omitempty"` // of what set its price after it was sold
}

// Tax is what lines of one rule come to, with what it rests on.
type Tax struct {
	Country  string `json:"country,omitempty"`
	Region   string `json:"region,omitempty"`
	Name     string `json:"name,omitempty"`
	Class    string `json:"class,omitempty"`
	Ppm      int64  `json:"ppm"`
	Note     string `json:"note,omitempty"`
	Source   string `json:"source,omitempty"`
	Category string `json:"category,omitempty"` // of EN 16931
	Reason   string `json:"reason,omitempty"`   // of the list VATEX
	NetMinor int64  `json:"net_minor"`
	TaxMinor int64  `json:"tax_minor"`
}

// The kinds of document.
const (
	Invoice    = "invoice"
	CreditNote = "credit_note"
	ProForma   = "pro_forma" // what an invoice would say: no invoice, without a number
	TopUp      = "top_up"    // credit that is paid ahead: no invoice, for nothing was sold
)

// Put writes priced lines and their sums into the document.
func (d *Document) Put(lines []billing.Line, sums []billing.TaxSum) {
	d.Lines, d.Taxes = make([]Line, len(lines)), make([]Tax, len(sums))
	for i, s := range sums {
		d.Taxes[i] = Tax{
			Country: s.Rule.Country, Region: s.Rule.Region, Name: s.Rule.Name, Class: s.Rule.Class, Ppm: s.Rule.Ppm, Note: s.Rule.Note,
			Source: s.Rule.Source, Category: s.Rule.Category, Reason: s.Rule.Reason, NetMinor: s.Net.Minor, TaxMinor: s.Tax.Minor,
		}
	}
	for i, l := range lines {
		d.Lines[i] = Line{
			Kind: l.Kind, SubscriptionID: l.SubscriptionID, Description: l.Description, Quantity: l.Quantity,
			UnitCode: l.UnitCode, UnitMinor: l.Unit.Minor, NetMinor: l.Net.Minor, MeterID: l.MeterID, Round: l.Round, PriceID: l.PriceID,
			Tax: slices.IndexFunc(sums, func(s billing.TaxSum) bool { return s.Rule == l.Tax }),
		}
		if !l.Period.From.IsZero() {
			d.Lines[i].From = &l.Period.From
		}
		if !l.Period.To.IsZero() {
			d.Lines[i].To = &l.Period.To
		}
	}
}

// Sums are the document's taxes as values to calculate with.
func (d Document) Sums() []billing.TaxSum {
	sums := make([]billing.TaxSum, len(d.Taxes))
	for i, t := range d.Taxes {
		sums[i] = billing.TaxSum{Rule: t.rule(), Net: d.money(t.NetMinor), Tax: d.money(t.TaxMinor)}
	}
	return sums
}

func (t Tax) rule() billing.TaxRule {
	return billing.TaxRule{Country: t.Country, Region: t.Region, Name: t.Name, Ppm: t.Ppm, Class: t.Class, Note: t.Note, Source: t.Source, Category: t.Category, Reason: t.Reason}
}

func (d Document) money(minor int64) billing.Money {
	return billing.Money{Minor: minor, Currency: d.Currency}
}

// Net, TaxTotal and Total are the document's amounts.
func (d Document) Net() billing.Money      { return d.money(d.NetMinor) }
func (d Document) TaxTotal() billing.Money { return d.money(d.TaxMinor) }
func (d Document) Total() billing.Money    { return d.money(d.TotalMinor) }

// PricedLines are the document's lines as values to calculate with.
func (d Document) PricedLines() []billing.Line {
	lines := make([]billing.Line, len(d.Lines))
	for i, l := range d.Lines {
		lines[i] = billing.Line{
			Kind: l.Kind, SubscriptionID: l.SubscriptionID, Description: l.Description, Quantity: l.Quantity,
			UnitCode: l.UnitCode, Unit: d.money(l.UnitMinor), Net: d.money(l.NetMinor), Tax: d.Taxes[l.Tax].rule(),
		}
		if l.From != nil {
			lines[i].Period.From = *l.From
		}
		if l.To != nil {
			lines[i].Period.To = *l.To
		}
	}
	return lines
}

// Day is a date as the document writes it, in the customer's time zone.
func (d Document) Day(t time.Time) string {
	return t.In(d.zone()).Format("2 January 2006")
}

// Terms says until when an invoice is to be paid (EN 16931 BT-20), with the days that were
// agreed on.
func (d Document) Terms() string {
	if d.TermDays == 0 {
		return "Due on " + d.Day(d.DueAt) + "."
	}
	return "Payable within " + d.TermWords() + ", by " + d.Day(d.DueAt) + "."
}

// TermWords are the days to pay that were agreed on, "30 days".
func (d Document) TermWords() string {
	if d.TermDays == 1 {
		return "1 day"
	}
	return strconv.Itoa(d.TermDays) + " days"
}

// DayIn is a moment's day in the customer's time zone.
func (d Document) DayIn(t time.Time) time.Time { return t.In(d.zone()) }

func (d Document) zone() *time.Location {
	zone, err := time.LoadLocation(d.TimeZone)
	if err != nil {
		return time.UTC
	}
	return zone
}
