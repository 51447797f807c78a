// Package einvoice writes a stored document as an electronic invoice of the European
// standard EN 16931, in both its syntaxes: UBL 2.1 and CII. It owns how the document's
// facts become the standard's terms (named BT and BG beside the fields) and what of
// them is missing; it adds nothing that the document does not say.
package einvoice

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/language"

	"github.com/ezscale/ezscale/billing"
	"github.com/ezscale/ezscale/billing/document"
)

// Guideline is the specification that the files name (BT-24).
const Guideline = "urn:cen.eu:en16931:2017"

// The codes of UNTDID 1001 (BT-3), 4461 (BT-81) and of Recommendation 20 (BT-130).
const (
	typeInvoice    = "380"
	typeCreditNote = "381"
	bySEPA         = "58"
	byTransfer     = "30"
	pieces         = "C62"
)

// The categories of VAT that documents of a seller of services know (UNTDID 5305).
const (
	standard = "S"
	zero     = "Z"
	exempt   = "E"
	reverse  = "AE"
	outside  = "O"
)

// Incomplete is returned for a document that says too little for an electronic invoice.
type Incomplete struct{ Missing []string }

func (e *Incomplete) Error() string {
	return "einvoice: the document lacks " + strings.Join(e.Missing, ", ")
}

// invoice is a document in the standard's terms. Amounts are decimals.
type invoice struct {
	credit        bool
	typeCode      string // BT-3
	number        string // BT-1
	issued        time.Time
	due           time.Time // BT-9; zero: none
	currency      string    // BT-5
	notes         []string  // BT-22
	buyerRef      string    // BT-10
	from, to      time.Time // BG-14; zero: none
	preceding     string    // BT-25
	precedingDay  time.Time // BT-26
	seller, buyer party
	account       *document.Account // BG-17
	terms         string            // BT-20
	groups        []group           // BG-23
	lines         []line            // BG-25

	net, tax, total string // BT-109, BT-110, BT-112

	taxCurrency, taxIn string // BT-6, BT-111; empty: the invoice's own
}

// party is BG-4 or BG-7.
type party struct {
	id           string // BT-29: names the seller where no number below may
	name         string // BT-27, BT-44
	registration string // BT-30, BT-47
	vat          string // BT-31, BT-48
	taxNumber    string // BT-32
	contact      string // BT-41, BT-56
	phone, email string // BT-42, BT-43
	street, more string // BT-35, BT-36
	city, code   string // BT-37, BT-38
	region       string // BT-39
	country      string // BT-40
}

// group is what one category and rate come to.
type group struct {
	category       string // BT-118
	percent        string // BT-119; empty: outside of the tax
	code, reason   string // BT-121, BT-120
	net, tax       string // BT-116, BT-117
	netSum, taxSum int64
	ppm            int64
	reasons        []string
}

// line is BG-25.
type line struct {
	id, name, note string
	quantity, unit string // BT-129, BT-130
	price, net     string // BT-146, BT-131
	from, to       time.Time
	category, rate string // BT-151, BT-152; rate empty: outside
}

// modelOf reads a document, or answers with *Incomplete.
func modelOf(d document.Document) (invoice, error) {
	if d.Kind != document.Invoice && d.Kind != document.CreditNote {
		return invoice{}, &Incomplete{Missing: []string{"a sale"}}
	}
	m := invoice{
		credit: d.Kind == document.CreditNote, typeCode: typeInvoice, number: d.Number, issued: d.DayIn(d.IssuedAt), currency: d.Currency,
		buyerRef: d.BuyerRef, account: d.Account, net: d.Net().Decimal(), tax: d.TaxTotal().Decimal(), total: d.Total().Decimal(),
		seller: partyOf(d.Seller), buyer: partyOf(d.Buyer),
	}
	if m.buyerRef == "" {
		m.buyerRef = d.CustomerNo
	}
	m.notes = append(m.notes, d.Notes()...)
	if d.Footer != "" {
		m.notes = append(m.notes, d.Footer)
	}
	if m.credit {
		m.typeCode, m.account = typeCreditNote, nil
		m.terms = "Nothing is to be paid: this is credited."
		if d.Reason != "" {
			m.notes = append([]string{d.Reason}, m.notes...)
		}
		if c := d.Corrects; c != nil {
			m.preceding, m.precedingDay = c.Number, d.DayIn(c.IssuedAt)
			m.terms = "Nothing is to be paid: this is credited against invoice " + c.Number + "."
		}
	} else {
		m.due = d.DayIn(d.DueAt)
		if d.TermDays > 0 {
			m.terms = d.Terms()
		}
	}
	if t := d.TaxIn; t != nil {
		m.taxCurrency, m.taxIn = t.Currency, t.Money().Decimal()
	}
	for i, l := range d.Lines {
		m.lines = append(m.lines, lineOf(d, i, l))
	}
	m.span()
	m.group(d)
	m.identify()
	if missing := m.missing(d); len(missing) > 0 {
		return m, &Incomplete{Missing: missing}
	}
	return m, nil
}

func partyOf(p document.Party) party {
	out := party{
		name: p.Company, registration: p.Registration, taxNumber: p.TaxNumber, phone: p.Phone, email: p.Email,
		street: p.Line1, more: p.Line2, city: p.City, code: p.Postcode, region: p.Region, country: p.Country,
	}
	if out.name == "" {
		out.name = p.Name
	} else {
		out.contact = p.Name
	}
	// BR-CO-09: a VAT number begins with its country. What does not is the tax office's.
	if id := billing.CleanTaxID(p.TaxID); prefixed(id) {
		out.vat = id
	} else if out.taxNumber == "" {
		out.taxNumber = id
	}
	return out
}

// prefixed reports whether an identifier begins with a country, EL for Greece.
func prefixed(id string) bool {
	if len(id) < 4 {
		return false
	}
	if id[:2] == "EL" {
		return true
	}
	r, err := language.ParseRegion(id[:2])
	return err == nil && r.IsCountry() && r.String() == id[:2]
}

// lineOf is a position. The standard knows no negative price (BR-27): what is taken off
// is a negative quantity. Where net is not price times quantity, as with a part of a
// month, it is one piece at the net, and the line says what it was made of.
func lineOf(d document.Document, i int, l document.Line) line {
	t := d.Taxes[l.Tax]
	category, _, _ := CategoryOf(t)
	out := line{id: strconv.Itoa(i + 1), name: l.Description, net: d.Money(l.NetMinor).Decimal(), unit: l.UnitCode, category: category}
	if out.unit == "" {
		out.unit = pieces
	}
	if category != outside {
		out.rate = percent(t.Ppm)
	}
	quantity, price := l.Quantity, l.UnitMinor
	if made, err := d.Money(price).Times(quantity); err != nil || made.Minor != l.NetMinor {
		out.note = strconv.FormatInt(quantity, 10) + " at " + d.Money(price).Decimal() + " " + d.Currency + ", for a part of the time or by a discount"
		quantity, price, out.unit = 1, l.NetMinor, pieces
	}
	if price < 0 {
		quantity, price = -quantity, -price
	}
	out.quantity, out.price = strconv.FormatInt(quantity, 10), d.Money(price).Decimal()
	if l.From != nil && l.To != nil {
		out.from, out.to = d.DayIn(*l.From), lastDay(d, *l.From, *l.To)
	}
	return out
}

// lastDay is the last day of the half-open time from..to: never one before from.
func lastDay(d document.Document, from, to time.Time) time.Time {
	last := d.DayIn(to.Add(-time.Nanosecond))
	if to.Sub(from) >= 48*time.Hour {
		last = d.DayIn(to).AddDate(0, 0, -1)
	}
	if last.Before(from) {
		return d.DayIn(from)
	}
	return last
}

// span is the time that all lines are for.
func (m *invoice) span() {
	for _, l := range m.lines {
		if l.from.IsZero() {
			continue
		}
		if m.from.IsZero() || l.from.Before(m.from) {
			m.from = l.from
		}
		if l.to.After(m.to) {
			m.to = l.to
		}
	}
}

// CategoryOf is the standard's category of a tax, with the code and the words for why
// nothing is charged. Documents of the first version name none: there the note tells.
func CategoryOf(t document.Tax) (category, code, reason string) {
	switch {
	case t.Category != "":
		return t.Category, t.Reason, t.Note
	case t.Ppm > 0:
		return standard, "", ""
	case t.Note == billing.NoteReverse:
		return reverse, billing.ReasonReverse, t.Note
	case t.Note == billing.NoteOutside:
		return outside, billing.ReasonOutside, t.Note
	case t.Note != "":
		return exempt, "", t.Note
	}
	return zero, "", ""
}

// group sums the taxes by what the standard tells apart: the rate of what is taxed, and
// one group for each other category.
func (m *invoice) group(d document.Document) {
	for _, t := range d.Taxes {
		category, code, reason := CategoryOf(t)
		i := slices.IndexFunc(m.groups, func(g group) bool { return g.category == category && (category != standard || g.ppm == t.Ppm) })
		if i < 0 {
			i = len(m.groups)
			m.groups = append(m.groups, group{category: category, ppm: t.Ppm})
		}
		g := &m.groups[i]
		g.netSum, g.taxSum = g.netSum+t.NetMinor, g.taxSum+t.TaxMinor
		if category == standard || category == zero {
			continue // BR-S-10, BR-Z-10: no reason is given
		}
		if reason != "" && !slices.Contains(g.reasons, reason) {
			g.reasons = append(g.reasons, reason)
		}
		if g.code == "" {
			g.code = code
		}
	}
	for i := range m.groups {
		g := &m.groups[i]
		g.net, g.tax, g.reason = d.Money(g.netSum).Decimal(), d.Money(g.taxSum).Decimal(), strings.Join(g.reasons, " ")
		if g.category != outside {
			g.percent = percent(g.ppm)
		}
	}
}

// identify leaves out the VAT numbers where nothing on the invoice is a matter of VAT
// (BR-O-02); then another identifier must name the seller (BR-CO-26).
func (m *invoice) identify() {
	named := m.seller.vat
	if len(m.groups) > 0 && m.groups[0].category == outside {
		m.seller.vat, m.buyer.vat = "", ""
	}
	if m.seller.vat != "" || m.seller.registration != "" {
		return
	}
	if m.seller.id = named; named == "" {
		m.seller.id = m.seller.taxNumber
	}
}

// missing names what the standard asks for and the document does not say.
func (m *invoice) missing(d document.Document) []string {
	var all []string
	need := func(there bool, what string) {
		if !there {
			all = append(all, what)
		}
	}
	need(m.number != "", "a number")                                                                  // BR-02
	need(m.seller.name != "", "the seller's name")                                                    // BR-06
	need(m.seller.country != "", "the seller's country")                                              // BR-09
	need(m.seller.id+m.seller.registration+m.seller.vat != "", "the seller's tax or register number") // BR-CO-26
	need(m.buyer.name != "", "the buyer's name")                                                      // BR-07
	need(m.buyer.country != "", "the buyer's country")                                                // BR-11
	need(len(m.lines) > 0, "lines")                                                                   // BR-16
	need(fine(d.Currency), "a currency of at most two decimals")                                      // BR-DEC-*
	categories := map[string]bool{}
	for _, g := range m.groups {
		categories[g.category] = true
		if g.category == exempt || g.category == reverse || g.category == outside {
			need(g.code != "" || g.reason != "", "why no tax is charged") // BR-E-10, BR-AE-10, BR-O-10
		}
	}
	taxed := categories[standard] || categories[zero] || categories[exempt] || categories[reverse]
	need(!taxed || m.seller.vat != "" || m.seller.taxNumber != "", "the seller's VAT or tax number")        // BR-S-02 and the like
	need(!categories[reverse] || m.buyer.vat != "" || m.buyer.registration != "", "the buyer's VAT number") // BR-AE-02
	need(!categories[outside] || len(categories) == 1, "one treatment of tax: parts are outside of VAT")    // BR-O-11
	for _, l := range m.lines {
		need(strings.TrimSpace(l.name) != "", "a description of each line") // BR-25
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// fine reports whether the currency's amounts have at most the two decimals that the
// standard allows.
func fine(currency string) bool {
	digits, err := billing.Digits(currency)
	return err == nil && digits <= 2
}

// percent is a rate as a decimal: 19, 8.1.
func percent(ppm int64) string {
	s := strconv.FormatInt(ppm/10_000, 10)
	rest := ppm % 10_000
	if rest == 0 {
		return s
	}
	digits := strconv.FormatInt(10_000+rest, 10)[1:]
	return s + "." + strings.TrimRight(digits, "0")
}
