package billing

import (
	"slices"
	"strings"
	"time"
)

// TaxParty is what tax asks of the one who sells.
type TaxParty struct {
	Country       string // ISO 3166; empty: not said yet, and then nothing is taxed
	SmallBusiness bool   // exempt from charging VAT
	OSS           bool   // registered for the EU's one-stop shop: consumers pay their own country's rate
	Registered    string // other countries whose tax is charged to consumers there: "GB CH NO"
}

// NumberState is what is known of a VAT number.
type NumberState string

// The states. Only what nobody asks a register about is judged by its form.
const (
	NumberByForm    NumberState = ""
	NumberPending   NumberState = "pending"   // asked about; no answer yet
	NumberConfirmed NumberState = "confirmed" // the register knows it
	NumberRefused   NumberState = "refused"   // the register does not know it
)

// TaxCase is one sale of a service by electronic means.
type TaxCase struct {
	Seller    TaxParty
	Country   string      // of the buyer; empty: the seller's
	Region    string      // of the buyer, the second part of ISO 3166-2; empty: not known, or it decides nothing
	Business  bool        // the buyer is one, whether it has a number or not
	Postcode  string      // of the buyer: parts of some countries are outside of their VAT
	TaxID     string      // the buyer's VAT number; empty: none
	Number    NumberState // what a register says of it
	Exemption string      // number of the buyer's certificate of exemption; empty: none
	Class     string      // empty: standard
	At        time.Time
	Own       []TaxRate  // the shop's own rates, which stand before the built-in ones
	Answer    *TaxAnswer // of an outside service about the Question, which stands before both; nil: none
}

// The notes that stand on invoices; jurisdictions add their own words before them.
const (
	NoteSmallBusiness = "No VAT is charged: small business exemption."
	NoteReverse       = "Reverse charge: the recipient is liable for the VAT (Article 196 of Directive 2006/112/EC)."
	NoteOutside       = "Outside the scope of the seller's VAT: supplied to another country."
	NoteExempt        = "No tax is charged: exempt by certificate "
	NoteCompensation  = "Compensation for late payment: outside the scope of VAT."
)

// CrossBorderLimit is how much a seller of one member state may sell a year to consumers of
// the others, without VAT, before their countries' VAT is owed (Article 59c of Directive
// 2006/112/EC): in this year and the one before.
func CrossBorderLimit() Money { return Money{Minor: 10_000_00, Currency: "EUR"} }

// TaxFor is the rule for a sale: the rate of the country where a service counts as
// supplied (Articles 44, 45 and 58 of Directive 2006/112/EC and what corresponds to
// them elsewhere). Within the EU a business of another member state whose number stands
// accounts for the tax itself; a consumer pays their own country's rate when the seller
// is in the one-stop shop or registered there, and the seller's otherwise. What leaves is not taxed
// unless the seller is registered in the buyer's country or has a rate of its own for it.
func TaxFor(c TaxCase) TaxRule {
	class := c.Class
	if class == "" {
		class = Standard
	}
	buyer := territory(c.Country, c.Postcode)
	if c.Country == "" {
		buyer = c.Seller.Country
	}
	seller := territory(c.Seller.Country, "")
	switch {
	case seller == "":
		return TaxRule{Class: class}
	case class == Compensation:
		return TaxRule{Country: seller, Name: "VAT", Class: class, Note: NoteCompensation, Category: "O", Reason: ReasonOutside}
	case c.Seller.SmallBusiness:
		return TaxRule{Country: seller, Name: "VAT", Class: class, Note: smallBusiness(seller), Category: "E"}
	case c.Exemption != "":
		return TaxRule{Country: buyer, Name: "VAT", Class: class, Note: NoteExempt + c.Exemption + ".", Category: "E"}
	case buyer == seller:
		return c.rated(buyer, class)
	case InEU(seller) && InEU(buyer) && c.business(buyer):
		return TaxRule{Country: buyer, Name: "VAT", Class: class, Note: reverseCharge(seller), Category: "AE", Reason: ReasonReverse}
	case c.taxedAt(seller, buyer):
		return c.rated(buyer, class)
	case InEU(seller) && InEU(buyer):
		return c.rated(seller, class)
	}
	return TaxRule{Country: seller, Name: "VAT", Class: class, Note: NoteOutside, Category: "O", Reason: ReasonOutside}
}

// business reports whether the buyer counts as a business of the country. A number that
// is still asked about does not count: who charges no tax must have had it confirmed
// (Article 18 of Regulation 282/2011).
func (c TaxCase) business(country string) bool {
	return TaxIDOf(c.TaxID, country) && (c.Number == NumberByForm || c.Number == NumberConfirmed)
}

// taxedAt reports whether the seller charges the tax of the buyer's country: by a rate
// it entered or a tax service knows, by the one-stop shop, or because it is registered there. Where it is,
// businesses of the United Kingdom and Norway account for it themselves; in Switzerland
// a registered seller charges them too (Article 45 MWSTG).
func (c TaxCase) taxedAt(seller, buyer string) bool {
	if c.ownRate(buyer) || c.answered(buyer) && c.Answer.Whole() > 0 {
		return true
	}
	if InEU(buyer) && c.Seller.OSS {
		return InEU(seller) || !c.business(buyer)
	}
	if !slices.Contains(strings.Fields(c.Seller.Registered), buyer) {
		return false
	}
	return buyer == "CH" || CleanTaxID(c.TaxID) == ""
}

// Untaxed reports whether the rule leaves out a tax that a price with tax holds: then
// the price is taken down to what it is without the seller's own.
func (r TaxRule) Untaxed() bool {
	return r.Category == "AE" || r.Category == "O" || strings.HasPrefix(r.Note, NoteExempt)
}

// HomeRate is the rate that prices with tax hold: the seller's own of the class.
func (c TaxCase) HomeRate() int64 {
	seller := territory(c.Seller.Country, "")
	if seller == "" || c.Seller.SmallBusiness || c.Class == Compensation {
		return 0
	}
	class := c.Class
	if class == "" {
		class = Standard
	}
	c.Answer = nil // it is about the buyer, and what prices hold is the same for all
	return c.rated(seller, class).Ppm
}

// who is the kind of customer the buyer is to rates.
func (c TaxCase) who() Customer {
	if c.Business || CleanTaxID(c.TaxID) != "" {
		return Businesses
	}
	return Consumers
}

// regionOf is the buyer's region where the country is the buyer's.
func (c TaxCase) regionOf(country string) string {
	if country != c.Country && c.Country != "" {
		return ""
	}
	return c.Region
}

// ownRate reports whether the shop entered a rate for the buyer's place.
func (c TaxCase) ownRate(country string) bool {
	for _, region := range []string{"", c.regionOf(country)} {
		for _, class := range []string{Standard, c.Class} {
			if _, own := rateAt(c.Own, country, region, class, c.who(), c.At); own {
				return true
			}
		}
	}
	return false
}

// rated is the rule by the shop's own rate or the built-in one, of the country and the
// buyer's region. A class that has none is taxed as standard: too little tax is the
// seller's loss.
func (c TaxCase) rated(country, class string) TaxRule {
	if c.answered(country) {
		return c.Answer.rule(country, c.regionOf(country), class)
	}
	whole, known := c.level(country, "", class)
	if region := c.regionOf(country); region != "" {
		switch r, has := c.level(country, region, class); {
		case has && r.Adds && known:
			return whole.with(r)
		case has:
			return r.rule()
		}
	}
	switch {
	case known:
		return whole.rule()
	case class == Zero:
		return TaxRule{Country: country, Class: class, Category: "Z"}
	}
	return TaxRule{Class: class, Category: "Z"}
}

// level is the rate of a country or of one of its regions: of the class, or else the
// standard one, which what is not taxed has not.
func (c TaxCase) level(country, region, class string) (TaxRate, bool) {
	for _, of := range []string{class, Standard} {
		for _, rates := range [][]TaxRate{c.Own, StandardRates()} {
			if r, ok := rateAt(rates, country, region, of, c.who(), c.At); ok {
				return r, true
			}
		}
		if class == Zero {
			break
		}
	}
	return TaxRate{}, false
}

// with is the rule of a country's rate and a region's on top of it. Both are of the same
// net: neither is taken of the other. The note names the parts, for each goes to a state
// of its own.
func (r TaxRate) with(region TaxRate) TaxRule {
	one, two := r.rule(), region.rule()
	both := one
	both.Region, both.Ppm = region.Region, one.Ppm+two.Ppm
	if one.Ppm > 0 && two.Ppm > 0 {
		both.Name = one.Name + " + " + two.Name
		both.Note = one.Name + " " + Percent(one.Ppm) + " and " + two.Name + " " + Percent(two.Ppm) + "."
	} else if one.Ppm == 0 {
		both.Name = two.Name
	}
	if both.Source = one.Source + "; " + two.Source; both.Ppm > 0 {
		both.Category = "S"
	}
	return both
}

func (r TaxRate) rule() TaxRule {
	source := r.Source
	if source == "" {
		source = RatesSource
	}
	rule := TaxRule{Country: r.Country, Region: r.Region, Name: r.Name, Ppm: r.Ppm, Class: r.Class, Source: source + "; valid from " + r.From.Format(time.DateOnly), Category: "S"}
	if r.Ppm == 0 {
		rule.Category = "Z"
	}
	return rule
}

// territory is the country whose VAT holds at a place: Monaco is treated as France and
// the Isle of Man as the United Kingdom (Article 7 of Directive 2006/112/EC), and parts
// of the territory of some states are outside of their VAT (Article 6).
func territory(country, postcode string) string {
	switch country {
	case "MC":
		return "FR"
	case "IM":
		return "GB"
	}
	code := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, postcode)
	for _, x := range outsideVAT[country] {
		if strings.HasPrefix(code, x) {
			return country + "-" + x
		}
	}
	return country
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
