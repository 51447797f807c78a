package einvoice

import (
	"encoding/xml"
	"time"

	"github.com/ezscale/ezscale/billing/document"
)

// The elements of UN/CEFACT's CrossIndustryInvoice (D16B) that are used, in the order of
// its schema.
type (
	ciiDocument struct {
		XMLName   xml.Name `xml:"rsm:CrossIndustryInvoice"`
		RSM       string   `xml:"xmlns:rsm,attr"`
		RAM       string   `xml:"xmlns:ram,attr"`
		UDT       string   `xml:"xmlns:udt,attr"`
		QDT       string   `xml:"xmlns:qdt,attr"`
		Guideline string   `xml:"rsm:ExchangedDocumentContext>ram:GuidelineSpecifiedDocumentContextParameter>ram:ID"`
		Head      ciiHead  `xml:"rsm:ExchangedDocument"`
		Trade     ciiTrade `xml:"rsm:SupplyChainTradeTransaction"`
	}
	ciiHead struct {
		ID    string    `xml:"ram:ID"`
		Type  string    `xml:"ram:TypeCode"`
		Date  ciiDate   `xml:"ram:IssueDateTime>udt:DateTimeString"`
		Notes []ciiNote `xml:"ram:IncludedNote"`
	}
	ciiDate struct {
		Format string `xml:"format,attr"`
		Value  string `xml:",chardata"`
	}
	ciiNote struct {
		Content string `xml:"ram:Content"`
	}
	ciiTrade struct {
		Lines      []ciiLine     `xml:"ram:IncludedSupplyChainTradeLineItem"`
		Agreement  ciiAgreement  `xml:"ram:ApplicableHeaderTradeAgreement"`
		Delivery   struct{}      `xml:"ram:ApplicableHeaderTradeDelivery"`
		Settlement ciiSettlement `xml:"ram:ApplicableHeaderTradeSettlement"`
	}
	ciiLine struct {
		Document   ciiLineDocument   `xml:"ram:AssociatedDocumentLineDocument"`
		Name       string            `xml:"ram:SpecifiedTradeProduct>ram:Name"`
		Price      string            `xml:"ram:SpecifiedLineTradeAgreement>ram:NetPriceProductTradePrice>ram:ChargeAmount"`
		Quantity   ublQuantity       `xml:"ram:SpecifiedLineTradeDelivery>ram:BilledQuantity"`
		Settlement ciiLineSettlement `xml:"ram:SpecifiedLineTradeSettlement"`
	}
	ciiLineDocument struct {
		ID   string   `xml:"ram:LineID"`
		Note *ciiNote `xml:"ram:IncludedNote"`
	}
	ciiLineSettlement struct {
		Tax    ciiTax     `xml:"ram:ApplicableTradeTax"`
		Period *ciiPeriod `xml:"ram:BillingSpecifiedPeriod"`
		Net    string     `xml:"ram:SpecifiedTradeSettlementLineMonetarySummation>ram:LineTotalAmount"`
	}
	ciiTax struct {
		Tax      string `xml:"ram:CalculatedAmount,omitempty"`
		Type     string `xml:"ram:TypeCode"`
		Reason   string `xml:"ram:ExemptionReason,omitempty"`
		Net      string `xml:"ram:BasisAmount,omitempty"`
		Category string `xml:"ram:CategoryCode"`
		Code     string `xml:"ram:ExemptionReasonCode,omitempty"`
		Percent  string `xml:"ram:RateApplicablePercent,omitempty"`
	}
	ciiPeriod struct {
		Start ciiDate `xml:"ram:StartDateTime>udt:DateTimeString"`
		End   ciiDate `xml:"ram:EndDateTime>udt:DateTimeString"`
	}
	ciiAgreement struct {
		BuyerReference string   `xml:"ram:BuyerReference,omitempty"`
		Seller         ciiParty `xml:"ram:SellerTradeParty"`
		Buyer          ciiParty `xml:"ram:BuyerTradeParty"`
	}
	ciiParty struct {
		ID       string      `xml:"ram:ID,omitempty"`
		Name     string      `xml:"ram:Name"`
		Legal    *string     `xml:"ram:SpecifiedLegalOrganization>ram:ID"`
		Contact  *ciiContact `xml:"ram:DefinedTradeContact"`
		Address  ciiAddress  `xml:"ram:PostalTradeAddress"`
		Endpoint *ciiURI     `xml:"ram:URIUniversalCommunication"`
		Tax      []ciiNumber `xml:"ram:SpecifiedTaxRegistration"`
	}
	ciiURI struct {
		ID ublScheme `xml:"ram:URIID"`
	}
	ciiContact struct {
		Name  string  `xml:"ram:PersonName,omitempty"`
		Phone *string `xml:"ram:TelephoneUniversalCommunication>ram:CompleteNumber"`
		Email *string `xml:"ram:EmailURIUniversalCommunication>ram:URIID"`
	}
	ciiAddress struct {
		Code    string `xml:"ram:PostcodeCode,omitempty"`
		Street  string `xml:"ram:LineOne,omitempty"`
		More    string `xml:"ram:LineTwo,omitempty"`
		City    string `xml:"ram:CityName,omitempty"`
		Country string `xml:"ram:CountryID"`
		Region  string `xml:"ram:CountrySubDivisionName,omitempty"`
	}
	ciiNumber struct {
		ID ublScheme `xml:"ram:ID"`
	}
	ciiSettlement struct {
		Reference string       `xml:"ram:PaymentReference,omitempty"`
		TaxIn     string       `xml:"ram:TaxCurrencyCode,omitempty"`
		Currency  string       `xml:"ram:InvoiceCurrencyCode"`
		Means     *ciiMeans    `xml:"ram:SpecifiedTradeSettlementPaymentMeans"`
		Taxes     []ciiTax     `xml:"ram:ApplicableTradeTax"`
		Period    *ciiPeriod   `xml:"ram:BillingSpecifiedPeriod"`
		Terms     *ciiTerms    `xml:"ram:SpecifiedTradePaymentTerms"`
		Sum       ciiSum       `xml:"ram:SpecifiedTradeSettlementHeaderMonetarySummation"`
		Preceding *ciiPrevious `xml:"ram:InvoiceReferencedDocument"`
	}
	ciiMeans struct {
		Code    string     `xml:"ram:TypeCode"`
		Account ciiAccount `xml:"ram:PayeePartyCreditorFinancialAccount"`
		BIC     *string    `xml:"ram:PayeeSpecifiedCreditorFinancialInstitution>ram:BICID"`
	}
	ciiAccount struct {
		IBAN string `xml:"ram:IBANID"`
		Name string `xml:"ram:AccountName,omitempty"`
	}
	ciiTerms struct {
		Description string   `xml:"ram:Description,omitempty"`
		Due         *ciiDate `xml:"ram:DueDateDateTime>udt:DateTimeString"`
	}
	ciiSum struct {
		Lines string      `xml:"ram:LineTotalAmount"`
		Net   string      `xml:"ram:TaxBasisTotalAmount"`
		Taxes []ublAmount `xml:"ram:TaxTotalAmount"` // the second in the accounting currency
		Gross string      `xml:"ram:GrandTotalAmount"`
		Due   string      `xml:"ram:DuePayableAmount"`
	}
	ciiPrevious struct {
		ID   string  `xml:"ram:IssuerAssignedID"`
		Date ciiDate `xml:"ram:FormattedIssueDateTime>qdt:DateTimeString"`
	}
)

// CII writes the document as a CrossIndustryInvoice, the file that Factur-X carries. The
// same document gives the same bytes. The error is *Incomplete for a document that says
// too little.
func CII(d document.Document) ([]byte, error) {
	m, err := modelOf(d)
	if err != nil {
		return nil, err
	}
	c := ciiDocument{
		RSM:       "urn:un:unece:uncefact:data:standard:CrossIndustryInvoice:100",
		RAM:       "urn:un:unece:uncefact:data:standard:ReusableAggregateBusinessInformationEntity:100",
		UDT:       "urn:un:unece:uncefact:data:standard:UnqualifiedDataType:100",
		QDT:       "urn:un:unece:uncefact:data:standard:QualifiedDataType:100",
		Guideline: Guideline,
		Head:      ciiHead{ID: m.number, Type: m.typeCode, Date: ciiDay(m.issued)},
	}
	for _, n := range m.notes {
		c.Head.Notes = append(c.Head.Notes, ciiNote{n})
	}
	for _, l := range m.lines {
		c.Trade.Lines = append(c.Trade.Lines, l.cii())
	}
	c.Trade.Agreement = ciiAgreement{m.buyerRef, m.seller.cii(), m.buyer.cii()}
	c.Trade.Settlement = m.ciiSettlement()
	return written(c)
}

func (l line) cii() ciiLine {
	out := ciiLine{
		Document: ciiLineDocument{ID: l.id}, Name: l.name, Price: l.price, Quantity: ublQuantity{l.unit, l.quantity},
		Settlement: ciiLineSettlement{Tax: ciiTax{Type: vatScheme, Category: l.category, Percent: l.rate}, Period: ciiPeriodOf(l.from, l.to), Net: l.net},
	}
	if l.note != "" {
		out.Document.Note = &ciiNote{l.note}
	}
	return out
}

func (m invoice) ciiSettlement() ciiSettlement {
	s := ciiSettlement{
		Currency: m.currency, Period: ciiPeriodOf(m.from, m.to),
		TaxIn: m.taxCurrency, Sum: ciiSum{m.net, m.net, []ublAmount{{m.currency, m.tax}}, m.total, m.total},
	}
	if m.taxCurrency != "" {
		s.Sum.Taxes = append(s.Sum.Taxes, ublAmount{m.taxCurrency, m.taxIn})
	}
	if a := m.account; a != nil {
		s.Reference = m.number
		s.Means = &ciiMeans{meansCode(m.currency), ciiAccount{a.IBAN, a.Holder}, orNone(a.BIC)}
	}
	for _, g := range m.groups {
		s.Taxes = append(s.Taxes, ciiTax{g.tax, vatScheme, g.reason, g.net, g.category, g.code, g.percent})
	}
	if m.terms != "" || !m.due.IsZero() {
		s.Terms = &ciiTerms{Description: m.terms}
		if !m.due.IsZero() {
			due := ciiDay(m.due)
			s.Terms.Due = &due
		}
	}
	if m.preceding != "" {
		s.Preceding = &ciiPrevious{m.preceding, ciiDay(m.precedingDay)}
	}
	return s
}

func (p party) cii() ciiParty {
	out := ciiParty{ID: p.id, Name: p.name, Legal: orNone(p.registration), Address: ciiAddress{p.code, p.street, p.more, p.city, p.country, p.region}}
	if p.contact+p.phone+p.email != "" {
		out.Contact = &ciiContact{p.contact, orNone(p.phone), orNone(p.email)}
	}
	if p.email != "" {
		out.Endpoint = &ciiURI{ublScheme{"EM", p.email}}
	}
	if p.vat != "" {
		out.Tax = append(out.Tax, ciiNumber{ublScheme{"VA", p.vat}})
	}
	if p.taxNumber != "" {
		out.Tax = append(out.Tax, ciiNumber{ublScheme{"FC", p.taxNumber}})
	}
	return out
}

func ciiPeriodOf(from, to time.Time) *ciiPeriod {
	if from.IsZero() {
		return nil
	}
	return &ciiPeriod{ciiDay(from), ciiDay(to)}
}

// ciiDay is a day in the format 102.
func ciiDay(t time.Time) ciiDate { return ciiDate{"102", t.Format("20060102")} }
