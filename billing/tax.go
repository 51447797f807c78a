package billing

import (
	"strings"
	"time"
)

// TaxParty is what tax asks of the one who sells.
type TaxParty struct {
	Country       string // ISO 3166; empty: not said yet, and then nothing is taxed
	SmallBusiness bool   // exempt from charging VAT
}

// TaxCase is one sale of a service by electronic means.
type TaxCase struct {
	Seller  TaxParty
	Country string // of the buyer; empty: the seller's
	TaxID   string // the buyer's VAT number; empty: none
	Class   string // empty: standard
	At      time.Time
	Own     []TaxRate // the shop's own rates, which stand before the built-in ones
}

// The notes that stand on invoices.
const (
	NoteSmallBusiness = "No VAT is charged: small business exemption."
	NoteReverse       = "Reverse charge: the recipient is liable for the VAT (Article 196 of Directive 2006/112/EC)."
	NoteOutside       = "Outside the scope of the seller's VAT: supplied to another country."
)

// TaxFor is the rule for a sale: the rate of the country where a service counts as
// supplied. To consumers of the EU that is theirs; businesses of another member state
// account for it themselves when their number has the form of that state; what leaves
// the union, or a country outside it, is not taxed unless the shop has a rate of its
// own for the buyer's country.
func TaxFor(c TaxCase) TaxRule {
	class := c.Class
	if class == "" {
		class = Standard
	}
	buyer := c.Country
	if buyer == "" {
		buyer = c.Seller.Country
	}
	switch {
	case c.Seller.Country == "" || class == Zero:
		return TaxRule{Class: class}
	case c.Seller.SmallBusiness:
		return TaxRule{Country: c.Seller.Country, Name: "VAT", Class: class, Note: NoteSmallBusiness}
	case buyer == c.Seller.Country:
		return c.rated(buyer, class)
	case InEU(c.Seller.Country) && InEU(buyer) && TaxIDOf(c.TaxID, buyer):
		return TaxRule{Country: buyer, Name: "VAT", Class: class, Note: NoteReverse}
	case InEU(c.Seller.Country) && InEU(buyer):
		return c.rated(buyer, class)
	}
	if r, ok := RateAt(c.Own, buyer, class, c.At); ok {
		return r.rule()
	}
	return TaxRule{Country: c.Seller.Country, Name: "VAT", Class: class, Note: NoteOutside}
}

// rated is the rule by the shop's own rate or the built-in one. A class that has none
// is taxed as standard: too little tax is the seller's loss.
func (c TaxCase) rated(country, class string) TaxRule {
	for _, rates := range [][]TaxRate{c.Own, StandardRates()} {
		if r, ok := RateAt(rates, country, class, c.At); ok {
			return r.rule()
		}
	}
	if class != Standard {
		return c.rated(country, Standard)
	}
	return TaxRule{Class: class}
}

func (r TaxRate) rule() TaxRule {
	source := r.Source
	if source == "" {
		source = RatesSource
	}
	return TaxRule{Country: r.Country, Name: r.Name, Ppm: r.Ppm, Class: r.Class, Source: source + "; valid from " + r.From.Format(time.DateOnly)}
}

// TaxIDOf reports whether id has the form of a VAT number of an EU country: its prefix
// (EL for Greece) and two to twelve letters and digits. Whether it is registered, only
// the country's register knows.
func TaxIDOf(id, country string) bool {
	prefix := country
	if country == "GR" {
		prefix = "EL"
	}
	id = CleanTaxID(id)
	rest, ok := strings.CutPrefix(id, prefix)
	return ok && prefix != "" && len(rest) >= 2 && len(rest) <= 12 &&
		strings.ContainsAny(rest, "0123456789") && strings.Trim(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+*") == ""
}

// CleanTaxID is a number as registers write it: capitals, no spaces, points or dashes.
func CleanTaxID(id string) string {
	return strings.ToUpper(strings.NewReplacer(" ", "", ".", "", "-", "", "\u00a0", "").Replace(id))
}

// The codes of the list VATEX for why no VAT is charged.
const (
	ReasonReverse = "VATEX-EU-AE"
	ReasonOutside = "VATEX-EU-O"
)
