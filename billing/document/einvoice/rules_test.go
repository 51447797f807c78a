package einvoice_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// node is an element, by its name without the prefix.
type node struct {
	name, text string
	attr       map[string]string
	in         []*node
}

// all finds the elements of a path from n.
func (n *node) all(path string) []*node {
	found := []*node{n}
	for _, step := range strings.Split(path, "/") {
		var next []*node
		for _, f := range found {
			for _, c := range f.in {
				if c.name == step {
					next = append(next, c)
				}
			}
		}
		found = next
	}
	return found
}

// empty names the elements without a text and without another element: UBL's schema wants
// something in each, and so does Peppol (PEPPOL-EN16931-R008). That nothing is said of the
// delivery has an element of its own in CII, which must be there.
func (n *node) empty() (names []string) {
	if len(n.in) == 0 && n.name != "ApplicableHeaderTradeDelivery" && strings.TrimSpace(n.text) == "" {
		return []string{n.name}
	}
	for _, c := range n.in {
		names = append(names, c.empty()...)
	}
	return names
}

func (n *node) text1(path string) string {
	if all := n.all(path); len(all) > 0 {
		return all[0].text
	}
	return ""
}

func parse(t testing.TB, file []byte) *node {
	t.Helper()
	d, root := xml.NewDecoder(bytes.NewReader(file)), &node{}
	stack := []*node{root}
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return root.in[0]
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, file)
		}
		top := stack[len(stack)-1]
		switch x := tok.(type) {
		case xml.StartElement:
			n := &node{name: x.Name.Local, attr: map[string]string{}}
			for _, a := range x.Attr {
				n.attr[a.Name.Local] = a.Value
			}
			top.in, stack = append(top.in, n), append(stack, n)
		case xml.CharData:
			top.text += string(x)
		case xml.EndElement:
			top.text = strings.TrimSpace(top.text)
			stack = stack[:len(stack)-1]
		}
	}
}

// facts are a file's business terms.
type facts struct {
	guideline, number, issued, typeCode, currency, buyerRef, due, terms, preceding, from, to string
	sellerName, sellerCountry, sellerID, sellerReg, sellerVAT, sellerTax                     string
	buyerName, buyerCountry, buyerReg, buyerVAT                                              string
	sellerAddress, buyerAddress                                                              bool
	means, iban                                                                              string
	taxCurrency, taxIn, taxInCurrency                                                        string // BT-6, BT-111
	lineSum, net, tax, gross, payable                                                        float64
	amounts, currencies                                                                      []string // every amount as it is written
	groups                                                                                   []groupFact
	lines                                                                                    []lineFact
}

type groupFact struct {
	category, percent, code, reason string
	net, tax                        float64
}

type lineFact struct {
	id, name, quantity, unit, net, price, category, percent, from, to string
}

func (f facts) summary() string {
	return fmt.Sprintf("%s %.2f %.2f %.2f seller %q %q buyer %q due %q iban %q preceding %q ref %q", f.typeCode, f.net, f.tax, f.gross, f.sellerVAT, f.sellerID, f.buyerVAT, f.due, f.iban, f.preceding, f.buyerRef)
}

func number(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

func read(t testing.TB, syntax string, file []byte) facts {
	t.Helper()
	n := parse(t, file)
	if syntax == "cii" {
		return readCII(n)
	}
	return readUBL(n)
}

func readUBL(n *node) facts {
	s, b, sum := "AccountingSupplierParty/Party/", "AccountingCustomerParty/Party/", "LegalMonetaryTotal/"
	f := facts{
		guideline: n.text1("CustomizationID"), number: n.text1("ID"), issued: n.text1("IssueDate"), typeCode: n.text1("InvoiceTypeCode") + n.text1("CreditNoteTypeCode"),
		currency: n.text1("DocumentCurrencyCode"), buyerRef: n.text1("BuyerReference"), due: n.text1("DueDate"), terms: n.text1("PaymentTerms/Note"),
		preceding: n.text1("BillingReference/InvoiceDocumentReference/ID"), from: n.text1("InvoicePeriod/StartDate"), to: n.text1("InvoicePeriod/EndDate"),
		sellerName: n.text1(s + "PartyLegalEntity/RegistrationName"), sellerCountry: n.text1(s + "PostalAddress/Country/IdentificationCode"),
		sellerID: n.text1(s + "PartyIdentification/ID"), sellerReg: n.text1(s + "PartyLegalEntity/CompanyID"),
		buyerName: n.text1(b + "PartyLegalEntity/RegistrationName"), buyerCountry: n.text1(b + "PostalAddress/Country/IdentificationCode"), buyerReg: n.text1(b + "PartyLegalEntity/CompanyID"),
		sellerAddress: len(n.all(s+"PostalAddress")) == 1, buyerAddress: len(n.all(b+"PostalAddress")) == 1,
		means: n.text1("PaymentMeans/PaymentMeansCode"), iban: n.text1("PaymentMeans/PayeeFinancialAccount/ID"),
		lineSum: number(n.text1(sum + "LineExtensionAmount")), net: number(n.text1(sum + "TaxExclusiveAmount")), gross: number(n.text1(sum + "TaxInclusiveAmount")),
		payable: number(n.text1(sum + "PayableAmount")), tax: number(n.text1("TaxTotal/TaxAmount")),
	}
	f.taxCurrency = n.text1("TaxCurrencyCode")
	if all := n.all("TaxTotal/TaxAmount"); len(all) > 1 {
		f.taxIn, f.taxInCurrency = all[1].text, all[1].attr["currencyID"]
	}
	id := func(at, scheme string) string {
		for _, x := range n.all(at + "PartyTaxScheme") {
			if (x.text1("TaxScheme/ID") == "VAT") == (scheme == "VAT") {
				return x.text1("CompanyID")
			}
		}
		return ""
	}
	f.sellerVAT, f.sellerTax, f.buyerVAT = id(s, "VAT"), id(s, "other"), id(b, "VAT")
	for _, g := range n.all("TaxTotal/TaxSubtotal") {
		f.groups = append(f.groups, groupFact{g.text1("TaxCategory/ID"), g.text1("TaxCategory/Percent"), g.text1("TaxCategory/TaxExemptionReasonCode"),
			g.text1("TaxCategory/TaxExemptionReason"), number(g.text1("TaxableAmount")), number(g.text1("TaxAmount"))})
	}
	for _, kind := range [][2]string{{"InvoiceLine", "InvoicedQuantity"}, {"CreditNoteLine", "CreditedQuantity"}} {
		for _, l := range n.all(kind[0]) {
			f.lines = append(f.lines, lineFact{l.text1("ID"), l.text1("Item/Name"), l.text1(kind[1]), l.all(kind[1])[0].attr["unitCode"], l.text1("LineExtensionAmount"), l.text1("Price/PriceAmount"),
				l.text1("Item/ClassifiedTaxCategory/ID"), l.text1("Item/ClassifiedTaxCategory/Percent"), l.text1("InvoicePeriod/StartDate"), l.text1("InvoicePeriod/EndDate")})
		}
	}
	f.collect(n, func(x *node) bool {
		c := x.attr["currencyID"]
		if x.name != "TaxAmount" || c == "" || c != f.taxCurrency {
			f.currencies = append(f.currencies, c)
		}
		return c != "" && x.name != "PriceAmount"
	})
	f.currencies = slices.DeleteFunc(f.currencies, func(c string) bool { return c == "" })
	return f
}

func readCII(n *node) facts {
	h, a, st := "ExchangedDocument/", "SupplyChainTradeTransaction/ApplicableHeaderTradeAgreement/", "SupplyChainTradeTransaction/ApplicableHeaderTradeSettlement/"
	s, b, sum := a+"SellerTradeParty/", a+"BuyerTradeParty/", st+"SpecifiedTradeSettlementHeaderMonetarySummation/"
	day := func(s string) string {
		if len(s) != 8 {
			return s
		}
		return s[:4] + "-" + s[4:6] + "-" + s[6:]
	}
	period := func(n *node, at string) (string, string) {
		return day(n.text1(at + "BillingSpecifiedPeriod/StartDateTime/DateTimeString")), day(n.text1(at + "BillingSpecifiedPeriod/EndDateTime/DateTimeString"))
	}
	f := facts{
		guideline: n.text1("ExchangedDocumentContext/GuidelineSpecifiedDocumentContextParameter/ID"), number: n.text1(h + "ID"), issued: day(n.text1(h + "IssueDateTime/DateTimeString")),
		typeCode: n.text1(h + "TypeCode"), currency: n.text1(st + "InvoiceCurrencyCode"), buyerRef: n.text1(a + "BuyerReference"),
		due: day(n.text1(st + "SpecifiedTradePaymentTerms/DueDateDateTime/DateTimeString")), terms: n.text1(st + "SpecifiedTradePaymentTerms/Description"),
		preceding: n.text1(st + "InvoiceReferencedDocument/IssuerAssignedID"), sellerName: n.text1(s + "Name"), sellerCountry: n.text1(s + "PostalTradeAddress/CountryID"),
		sellerID: n.text1(s + "ID"), sellerReg: n.text1(s + "SpecifiedLegalOrganization/ID"), buyerName: n.text1(b + "Name"), buyerCountry: n.text1(b + "PostalTradeAddress/CountryID"),
		buyerReg: n.text1(b + "SpecifiedLegalOrganization/ID"), sellerAddress: len(n.all(s+"PostalTradeAddress")) == 1, buyerAddress: len(n.all(b+"PostalTradeAddress")) == 1,
		means: n.text1(st + "SpecifiedTradeSettlementPaymentMeans/TypeCode"), iban: n.text1(st + "SpecifiedTradeSettlementPaymentMeans/PayeePartyCreditorFinancialAccount/IBANID"),
		lineSum: number(n.text1(sum + "LineTotalAmount")), net: number(n.text1(sum + "TaxBasisTotalAmount")), tax: number(n.text1(sum + "TaxTotalAmount")),
		gross: number(n.text1(sum + "GrandTotalAmount")), payable: number(n.text1(sum + "DuePayableAmount")),
	}
	f.taxCurrency = n.text1(st + "TaxCurrencyCode")
	if all := n.all(sum + "TaxTotalAmount"); len(all) > 1 {
		f.taxIn, f.taxInCurrency = all[1].text, all[1].attr["currencyID"]
	}
	f.from, f.to = period(n, st)
	id := func(at, scheme string) string {
		for _, x := range n.all(at + "SpecifiedTaxRegistration/ID") {
			if x.attr["schemeID"] == scheme {
				return x.text
			}
		}
		return ""
	}
	f.sellerVAT, f.sellerTax, f.buyerVAT = id(s, "VA"), id(s, "FC"), id(b, "VA")
	for _, g := range n.all(st + "ApplicableTradeTax") {
		f.groups = append(f.groups, groupFact{g.text1("CategoryCode"), g.text1("RateApplicablePercent"), g.text1("ExemptionReasonCode"), g.text1("ExemptionReason"), number(g.text1("BasisAmount")), number(g.text1("CalculatedAmount"))})
	}
	for _, l := range n.all("SupplyChainTradeTransaction/IncludedSupplyChainTradeLineItem") {
		ls, q := "SpecifiedLineTradeSettlement/", "SpecifiedLineTradeDelivery/BilledQuantity"
		from, to := period(l, ls)
		f.lines = append(f.lines, lineFact{l.text1("AssociatedDocumentLineDocument/LineID"), l.text1("SpecifiedTradeProduct/Name"), l.text1(q), l.all(q)[0].attr["unitCode"],
			l.text1(ls + "SpecifiedTradeSettlementLineMonetarySummation/LineTotalAmount"), l.text1("SpecifiedLineTradeAgreement/NetPriceProductTradePrice/ChargeAmount"),
			l.text1(ls + "ApplicableTradeTax/CategoryCode"), l.text1(ls + "ApplicableTradeTax/RateApplicablePercent"), from, to})
	}
	f.collect(n, func(x *node) bool { return strings.HasSuffix(x.name, "Amount") && x.name != "ChargeAmount" })
	f.currencies = []string{n.all(sum + "TaxTotalAmount")[0].attr["currencyID"]}
	return f
}

func (f *facts) collect(n *node, is func(*node) bool) {
	if is(n) {
		f.amounts = append(f.amounts, n.text)
	}
	for _, c := range n.in {
		f.collect(c, is)
	}
}

// rule is one business rule of EN 16931-1.
type rule struct {
	name, says string
	holds      func(facts) bool
	breaks     func(*facts)
}

func same(a, b float64) bool { return math.Abs(a-b) < 0.0001 }

func (f facts) has(category string) bool {
	return slices.ContainsFunc(f.groups, func(g groupFact) bool { return g.category == category }) ||
		slices.ContainsFunc(f.lines, func(l lineFact) bool { return l.category == category })
}

func (f facts) groupsOf(category string) (all []groupFact) {
	for _, g := range f.groups {
		if g.category == category {
			all = append(all, g)
		}
	}
	return all
}

// sumOf is what the lines of a category, and of a rate unless it is empty, come to.
func (f facts) sumOf(category, percent string) (sum float64) {
	for _, l := range f.lines {
		if l.category == category && (percent == "" || l.percent == percent) {
			sum += number(l.net)
		}
	}
	return sum
}

func filled(what, bt string, get func(*facts) *string) rule {
	return rule{bt, "an invoice shall have " + what, func(f facts) bool { return *get(&f) != "" }, func(f *facts) { *get(f) = "" }}
}

func eachLine(name, says string, ok func(lineFact) bool, spoil func(*lineFact)) rule {
	return rule{name, says, func(f facts) bool { return !slices.ContainsFunc(f.lines, func(l lineFact) bool { return !ok(l) }) }, func(f *facts) { spoil(&f.lines[0]) }}
}

func eachGroup(name, says string, ok func(groupFact) bool, spoil func(*groupFact)) rule {
	return rule{name, says, func(f facts) bool { return !slices.ContainsFunc(f.groups, func(g groupFact) bool { return !ok(g) }) }, func(f *facts) { spoil(&f.groups[0]) }}
}

// rules are those of EN 16931-1 that speak of what these documents hold; allowances and
// charges of the document, payees and representatives do not occur in them.
var rules = append(append([]rule{
	filled("a specification identifier (BT-24)", "BR-01", func(f *facts) *string { return &f.guideline }),
	filled("a number (BT-1)", "BR-02", func(f *facts) *string { return &f.number }),
	filled("an issue date (BT-2)", "BR-03", func(f *facts) *string { return &f.issued }),
	filled("a type code (BT-3)", "BR-04", func(f *facts) *string { return &f.typeCode }),
	filled("a currency (BT-5)", "BR-05", func(f *facts) *string { return &f.currency }),
	filled("the seller's name (BT-27)", "BR-06", func(f *facts) *string { return &f.sellerName }),
	filled("the buyer's name (BT-44)", "BR-07", func(f *facts) *string { return &f.buyerName }),
	{"BR-08", "an invoice shall have the seller's address (BG-5)", func(f facts) bool { return f.sellerAddress }, func(f *facts) { f.sellerAddress = false }},
	filled("the seller's country (BT-40)", "BR-09", func(f *facts) *string { return &f.sellerCountry }),
	{"BR-10", "an invoice shall have the buyer's address (BG-8)", func(f facts) bool { return f.buyerAddress }, func(f *facts) { f.buyerAddress = false }},
	filled("the buyer's country (BT-55)", "BR-11", func(f *facts) *string { return &f.buyerCountry }),
	{"BR-12", "the sum of lines (BT-106) is given", func(f facts) bool { return !math.IsNaN(f.lineSum) }, func(f *facts) { f.lineSum = math.NaN() }},
	{"BR-13", "the total without VAT (BT-109) is given", func(f facts) bool { return !math.IsNaN(f.net) }, func(f *facts) { f.net = math.NaN() }},
	{"BR-14", "the total with VAT (BT-112) is given", func(f facts) bool { return !math.IsNaN(f.gross) }, func(f *facts) { f.gross = math.NaN() }},
	{"BR-15", "the amount due (BT-115) is given", func(f facts) bool { return !math.IsNaN(f.payable) }, func(f *facts) { f.payable = math.NaN() }},
	{"BR-16", "there is a line (BG-25)", func(f facts) bool { return len(f.lines) > 0 }, func(f *facts) { f.lines = nil }},
	eachLine("BR-21", "a line has an identifier (BT-126)", func(l lineFact) bool { return l.id != "" }, func(l *lineFact) { l.id = "" }),
	eachLine("BR-22", "a line has a quantity (BT-129)", func(l lineFact) bool { return l.quantity != "" }, func(l *lineFact) { l.quantity = "" }),
	eachLine("BR-23", "a line has a unit (BT-130)", func(l lineFact) bool { return l.unit != "" }, func(l *lineFact) { l.unit = "" }),
	eachLine("BR-24", "a line has a net amount (BT-131)", func(l lineFact) bool { return l.net != "" }, func(l *lineFact) { l.net = "" }),
	eachLine("BR-25", "a line has the item's name (BT-153)", func(l lineFact) bool { return l.name != "" }, func(l *lineFact) { l.name = "" }),
	eachLine("BR-26", "a line has the item's price (BT-146)", func(l lineFact) bool { return l.price != "" }, func(l *lineFact) { l.price = "" }),
	eachLine("BR-27", "the price (BT-146) is not negative", func(l lineFact) bool { return number(l.price) >= 0 }, func(l *lineFact) { l.price = "-1" }),
	{"BR-29", "the period's end (BT-74) is not before its start (BT-73)", func(f facts) bool { return f.from == "" || f.to >= f.from }, func(f *facts) { f.from, f.to = "2026-02-01", "2026-01-01" }},
	eachLine("BR-30", "the end of a line's period (BT-135) is not before its start (BT-134)", func(l lineFact) bool { return l.from == "" || l.to >= l.from }, func(l *lineFact) { l.from, l.to = "2026-02-01", "2026-01-01" }),
	eachGroup("BR-45", "a breakdown has its taxable amount (BT-116)", func(g groupFact) bool { return !math.IsNaN(g.net) }, func(g *groupFact) { g.net = math.NaN() }),
	eachGroup("BR-46", "a breakdown has its tax (BT-117)", func(g groupFact) bool { return !math.IsNaN(g.tax) }, func(g *groupFact) { g.tax = math.NaN() }),
	eachGroup("BR-47", "a breakdown has its category (BT-118)", func(g groupFact) bool { return g.category != "" }, func(g *groupFact) { g.category = "" }),
	eachGroup("BR-48", "a breakdown has its rate (BT-119) unless it is outside of VAT", func(g groupFact) bool { return g.percent != "" || g.category == "O" }, func(g *groupFact) { g.percent = "" }),
	{"BR-49", "a payment instruction says how (BT-81)", func(f facts) bool { return f.iban == "" || f.means != "" }, func(f *facts) { f.means = "" }},
	{"BR-50", "a transfer names the account (BT-84)", func(f facts) bool { return f.means == "" || f.iban != "" }, func(f *facts) { f.iban = "" }},
	{"BR-55", "a correction names the invoice (BT-25)", func(f facts) bool { return f.typeCode != "381" || f.preceding != "" }, func(f *facts) { f.typeCode = "381" }},
	{"BR-61", "means 30 and 58 have an account (BT-84)", func(f facts) bool { return f.means != "30" && f.means != "58" || f.iban != "" }, func(f *facts) { f.iban = "" }},
	{"BR-CL-01", "the type (BT-3) is an invoice or a credit note", func(f facts) bool { return f.typeCode == "380" || f.typeCode == "381" }, func(f *facts) { f.typeCode = "999" }},
	{"BR-53", "with an accounting currency (BT-6) the tax in all stands in it too (BT-111), and without one nowhere", func(f facts) bool {
		return (f.taxCurrency != "") == (f.taxIn != "") && f.taxCurrency == f.taxInCurrency && (f.taxCurrency == "" || f.taxCurrency != f.currency)
	}, func(f *facts) { f.taxCurrency, f.taxIn = "SEK", "" }},
	{"BR-CL-03", "every amount is of the invoice's currency", func(f facts) bool {
		return !slices.ContainsFunc(f.currencies, func(c string) bool { return c != f.currency })
	}, func(f *facts) { f.currencies = []string{"XXX"} }},
	eachLine("BR-CO-04", "a line has a category of VAT (BT-151)", func(l lineFact) bool { return l.category != "" }, func(l *lineFact) { l.category = "" }),
	{"BR-CO-09", "a VAT number begins with a country, EL for Greece", func(f facts) bool { return countryFirst(f.sellerVAT) && countryFirst(f.buyerVAT) }, func(f *facts) { f.sellerVAT = "123456789" }},
	{"BR-CO-10", "the sum of lines (BT-106) is what the lines (BT-131) come to", func(f facts) bool {
		sum := 0.0
		for _, l := range f.lines {
			sum += number(l.net)
		}
		return same(sum, f.lineSum)
	}, func(f *facts) { f.lineSum++ }},
	{"BR-CO-13", "without VAT (BT-109) is the sum of lines (BT-106)", func(f facts) bool { return same(f.net, f.lineSum) }, func(f *facts) { f.net++ }},
	{"BR-CO-14", "the total of VAT (BT-110) is the sum of the breakdown (BT-117)", func(f facts) bool {
		sum := 0.0
		for _, g := range f.groups {
			sum += g.tax
		}
		return same(sum, f.tax)
	}, func(f *facts) { f.tax++ }},
	{"BR-CO-15", "with VAT (BT-112) is without (BT-109) and the VAT (BT-110)", func(f facts) bool { return same(f.gross, f.net+f.tax) }, func(f *facts) { f.gross++ }},
	{"BR-CO-16", "due (BT-115) is with VAT (BT-112) less what was paid", func(f facts) bool { return same(f.payable, f.gross) }, func(f *facts) { f.payable++ }},
	eachGroup("BR-CO-17", "the tax (BT-117) is the amount (BT-116) by the rate (BT-119), within the rounding that the standard's own tests allow", func(g groupFact) bool {
		return g.percent == "" && g.tax == 0 || math.Abs(g.tax-g.net*number(g.percent)/100) < 1
	}, func(g *groupFact) { g.tax += 2 }),
	{"BR-CO-18", "there is a breakdown of VAT (BG-23)", func(f facts) bool { return len(f.groups) > 0 }, func(f *facts) { f.groups = nil }},
	{"BR-CO-19", "a period (BG-14) has a start or an end", func(f facts) bool { return (f.from == "") == (f.to == "") }, func(f *facts) { f.from, f.to = "2026-01-01", "" }},
	{"BR-CO-25", "what is to be paid has a due date (BT-9) or terms (BT-20)", func(f facts) bool { return f.payable <= 0 || f.due != "" || f.terms != "" }, func(f *facts) { f.due, f.terms = "", "" }},
	{"BR-CO-26", "the seller is named by BT-29, BT-30 or BT-31", func(f facts) bool { return f.sellerID+f.sellerReg+f.sellerVAT != "" }, func(f *facts) { f.sellerID, f.sellerReg, f.sellerVAT = "", "", "" }},
	{"BR-DEC", "no amount has more than two decimals (BR-DEC-09 to BR-DEC-23)", func(f facts) bool {
		return len(f.amounts) > 5 && !slices.ContainsFunc(f.amounts, func(a string) bool { _, d, _ := strings.Cut(a, "."); return len(d) > 2 })
	}, func(f *facts) { f.amounts[0] = "1.234" }},
}, categoryRules()...), outsideRules...)

func countryFirst(id string) bool {
	return id == "" || len(id) > 2 && strings.Trim(id[:2], "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// categoryRules are BR-S-*, BR-Z-*, BR-E-* and BR-AE-*.
func categoryRules() (all []rule) {
	for _, c := range []struct {
		name     string
		taxed    bool
		reason   bool
		bothName bool // the buyer is named too
	}{{"S", true, false, false}, {"Z", false, false, false}, {"E", false, true, false}, {"AE", false, true, true}} {
		use := func(f *facts) { // makes everything of the category, and right
			for i := range f.lines {
				f.lines[i].category = c.name
				if !c.taxed {
					f.lines[i].percent = "0"
				}
			}
			if c.taxed {
				return
			}
			f.groups = []groupFact{{category: c.name, percent: "0", net: f.lineSum}}
			if c.reason {
				f.groups[0].reason = "why"
			}
		}
		add := func(n, says string, holds func(facts) bool, spoil func(*facts)) {
			all = append(all, rule{"BR-" + c.name + "-" + n, says, holds, func(f *facts) { use(f); spoil(f) }})
		}
		add("01", "lines of the category have a breakdown of it, and only one unless rates differ", func(f facts) bool {
			if !f.has(c.name) {
				return true
			}
			n := len(f.groupsOf(c.name))
			return n == 1 || c.taxed && n > 1
		}, func(f *facts) { f.groups = nil })
		add("02", "the seller's VAT (BT-31) or tax number (BT-32), and of AE the buyer's (BT-48 or BT-47)", func(f facts) bool {
			return !f.has(c.name) || f.sellerVAT+f.sellerTax != "" && (!c.bothName || f.buyerVAT+f.buyerReg != "")
		}, func(f *facts) { f.sellerVAT, f.sellerTax = "", "" })
		add("05", "the rate of a line (BT-152) is more than nothing for S and nothing otherwise", func(f facts) bool {
			return !slices.ContainsFunc(f.lines, func(l lineFact) bool { return l.category == c.name && (number(l.percent) > 0) != c.taxed })
		}, func(f *facts) { f.lines[0].percent = map[bool]string{true: "0", false: "5"}[c.taxed] })
		add("08", "the amount of the breakdown (BT-116) is what its lines come to", func(f facts) bool {
			for _, g := range f.groupsOf(c.name) {
				rate := ""
				if c.taxed {
					rate = g.percent
				}
				if !same(g.net, f.sumOf(c.name, rate)) {
					return false
				}
			}
			return true
		}, func(f *facts) { f.groups[0].net++ })
		add("09", "the tax of the breakdown (BT-117) is by its rate, or nothing", func(f facts) bool {
			return !slices.ContainsFunc(f.groupsOf(c.name), func(g groupFact) bool {
				if c.taxed {
					return math.Abs(g.tax-g.net*number(g.percent)/100) >= 1
				}
				return g.tax != 0
			})
		}, func(f *facts) { f.groups[0].tax += 2 })
		add("10", "a reason (BT-120, BT-121) is given for E and AE, and not for S and Z", func(f facts) bool {
			return !slices.ContainsFunc(f.groupsOf(c.name), func(g groupFact) bool { return (g.code+g.reason != "") != c.reason })
		}, func(f *facts) {
			f.groups[0].reason = map[bool]string{true: "", false: "why"}[c.reason]
			f.groups[0].code = ""
		})
	}
	return all
}

func (f *facts) outside() {
	for i := range f.lines {
		f.lines[i].category, f.lines[i].percent = "O", ""
	}
	f.groups = []groupFact{{category: "O", reason: "why", net: f.lineSum}}
	f.sellerVAT, f.buyerVAT = "", ""
}

func ofOutside(name, says string, holds func(facts) bool, spoil func(*facts)) rule {
	return rule{name, says, func(f facts) bool { return !f.has("O") || holds(f) }, func(f *facts) { f.outside(); spoil(f) }}
}

// outsideRules are BR-O-*.
var outsideRules = []rule{
	ofOutside("BR-O-01", "lines outside of VAT have one breakdown of it", func(f facts) bool { return len(f.groupsOf("O")) == 1 }, func(f *facts) { f.groups = nil }),
	ofOutside("BR-O-02", "no VAT number of seller (BT-31) or buyer (BT-48) is given", func(f facts) bool { return f.sellerVAT+f.buyerVAT == "" }, func(f *facts) { f.sellerVAT = "DE1" }),
	ofOutside("BR-O-05", "lines have no rate (BT-152)", func(f facts) bool {
		return !slices.ContainsFunc(f.lines, func(l lineFact) bool { return l.category == "O" && l.percent != "" })
	}, func(f *facts) { f.lines[0].percent = "0" }),
	ofOutside("BR-O-08", "the breakdown (BT-116) is what its lines come to", func(f facts) bool { return same(f.groupsOf("O")[0].net, f.sumOf("O", "")) }, func(f *facts) { f.groups[0].net++ }),
	ofOutside("BR-O-09", "its tax (BT-117) is nothing", func(f facts) bool { return f.groupsOf("O")[0].tax == 0 }, func(f *facts) { f.groups[0].tax = 1 }),
	ofOutside("BR-O-10", "it has a reason (BT-120 or BT-121)", func(f facts) bool { g := f.groupsOf("O")[0]; return g.code+g.reason != "" }, func(f *facts) { f.groups[0].reason = "" }),
	ofOutside("BR-O-11", "there is no other breakdown", func(f facts) bool { return len(f.groups) == 1 }, func(f *facts) { f.groups = append(f.groups, groupFact{category: "S"}) }),
	ofOutside("BR-O-12", "no line is of another category", func(f facts) bool {
		return !slices.ContainsFunc(f.lines, func(l lineFact) bool { return l.category != "O" })
	}, func(f *facts) { f.lines[0].category = "S" }),
}
