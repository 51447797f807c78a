package einvoice

import (
	"encoding/xml"
	"time"

	"github.com/ezscale/ezscale/billing/document"
)

// The elements of UBL 2.1 that an invoice or a credit note uses, in the order of its
// schema. Names carry their prefix: encoding/xml writes them as they are.
type (
	ublDocument struct {
		XMLName         xml.Name
		NS              string        `xml:"xmlns,attr"`
		CAC             string        `xml:"xmlns:cac,attr"`
		CBC             string        `xml:"xmlns:cbc,attr"`
		CustomizationID string        `xml:"cbc:CustomizationID"`
		ID              string        `xml:"cbc:ID"`
		IssueDate       string        `xml:"cbc:IssueDate"`
		DueDate         string        `xml:"cbc:DueDate,omitempty"` // of an invoice
		InvoiceType     string        `xml:"cbc:InvoiceTypeCode,omitempty"`
		CreditNoteType  string        `xml:"cbc:CreditNoteTypeCode,omitempty"`
		Notes           []string      `xml:"cbc:Note"`
		Currency        string        `xml:"cbc:DocumentCurrencyCode"`
		TaxCurrency     string        `xml:"cbc:TaxCurrencyCode,omitempty"`
		BuyerReference  string        `xml:"cbc:BuyerReference,omitempty"`
		Period          *ublPeriod    `xml:"cac:InvoicePeriod"`
		Billing         *ublBilling   `xml:"cac:BillingReference"`
		Supplier        ublPartyOf    `xml:"cac:AccountingSupplierParty"`
		Customer        ublPartyOf    `xml:"cac:AccountingCustomerParty"`
		PaymentMeans    *ublMeans     `xml:"cac:PaymentMeans"`
		Terms           *ublTerms     `xml:"cac:PaymentTerms"`
		TaxTotals       []ublTaxTotal `xml:"cac:TaxTotal"` // the second in the accounting currency
		Total           ublTotal      `xml:"cac:LegalMonetaryTotal"`
		InvoiceLines    []ublLine     `xml:"cac:InvoiceLine"`
		CreditNoteLines []ublLine     `xml:"cac:CreditNoteLine"`
	}
	ublPeriod struct {
		Start string `xml:"cbc:StartDate"`
		End   string `xml:"cbc:EndDate"`
	}
	ublBilling struct {
		ID   string `xml:"cac:InvoiceDocumentReference>cbc:ID"`
		Date string `xml:"cac:InvoiceDocumentReference>cbc:IssueDate"`
	}
	ublPartyOf struct {
		Party ublParty `xml:"cac:Party"`
	}
	ublParty struct {
		Endpoint *ublScheme     `xml:"cbc:EndpointID"`
		ID       *string        `xml:"cac:PartyIdentification>cbc:ID"`
		Address  ublAddress     `xml:"cac:PostalAddress"`
		Tax      []ublTaxScheme `xml:"cac:PartyTaxScheme"`
		Legal    ublLegal       `xml:"cac:PartyLegalEntity"`
		Contact  *ublContact    `xml:"cac:Contact"`
	}
	ublScheme struct {
		Scheme string `xml:"schemeID,attr"`
		Value  string `xml:",chardata"`
	}
	ublAddress struct {
		Street  string `xml:"cbc:StreetName,omitempty"`
		More    string `xml:"cbc:AdditionalStreetName,omitempty"`
		City    string `xml:"cbc:CityName,omitempty"`
		Code    string `xml:"cbc:PostalZone,omitempty"`
		Region  string `xml:"cbc:CountrySubentity,omitempty"`
		Country string `xml:"cac:Country>cbc:IdentificationCode"`
	}
	ublTaxScheme struct {
		ID     string `xml:"cbc:CompanyID"`
		Scheme string `xml:"cac:TaxScheme>cbc:ID"`
	}
	ublLegal struct {
		Name string `xml:"cbc:RegistrationName"`
		ID   string `xml:"cbc:CompanyID,omitempty"`
	}
	ublContact struct {
		Name  string `xml:"cbc:Name,omitempty"`
		Phone string `xml:"cbc:Telephone,omitempty"`
		Email string `xml:"cbc:ElectronicMail,omitempty"`
	}
	ublMeans struct {
		Code    string     `xml:"cbc:PaymentMeansCode"`
		Ref     string     `xml:"cbc:PaymentID,omitempty"`
		Account ublAccount `xml:"cac:PayeeFinancialAccount"`
	}
	ublAccount struct {
		ID     string  `xml:"cbc:ID"`
		Name   string  `xml:"cbc:Name,omitempty"`
		Branch *string `xml:"cac:FinancialInstitutionBranch>cbc:ID"`
	}
	ublTerms struct {
		Note string `xml:"cbc:Note"`
	}
	ublAmount struct {
		Currency string `xml:"currencyID,attr"`
		Value    string `xml:",chardata"`
	}
	ublTaxTotal struct {
		Tax    ublAmount  `xml:"cbc:TaxAmount"`
		Groups []ublGroup `xml:"cac:TaxSubtotal"`
	}
	ublGroup struct {
		Net      ublAmount   `xml:"cbc:TaxableAmount"`
		Tax      ublAmount   `xml:"cbc:TaxAmount"`
		Category ublCategory `xml:"cac:TaxCategory"`
	}
	ublCategory struct {
		ID      string `xml:"cbc:ID"`
		Percent string `xml:"cbc:Percent,omitempty"`
		Code    string `xml:"cbc:TaxExemptionReasonCode,omitempty"`
		Reason  string `xml:"cbc:TaxExemptionReason,omitempty"`
		Scheme  string `xml:"cac:TaxScheme>cbc:ID"`
	}
	ublTotal struct {
		Lines   ublAmount `xml:"cbc:LineExtensionAmount"`
		Net     ublAmount `xml:"cbc:TaxExclusiveAmount"`
		Gross   ublAmount `xml:"cbc:TaxInclusiveAmount"`
		Payable ublAmount `xml:"cbc:PayableAmount"`
	}
	ublQuantity struct {
		Unit  string `xml:"unitCode,attr"`
		Value string `xml:",chardata"`
	}
	ublLine struct {
		ID       string       `xml:"cbc:ID"`
		Note     string       `xml:"cbc:Note,omitempty"`
		Invoiced *ublQuantity `xml:"cbc:InvoicedQuantity"`
		Credited *ublQuantity `xml:"cbc:CreditedQuantity"`
		Net      ublAmount    `xml:"cbc:LineExtensionAmount"`
		Period   *ublPeriod   `xml:"cac:InvoicePeriod"`
		Item     ublItem      `xml:"cac:Item"`
		Price    ublAmount    `xml:"cac:Price>cbc:PriceAmount"`
	}
	ublItem struct {
		Name     string      `xml:"cbc:Name"`
		Category ublCategory `xml:"cac:ClassifiedTaxCategory"`
	}
)

const (
	ublInvoice    = "urn:oasis:names:specification:ubl:schema:xsd:Invoice-2"
	ublCreditNote = "urn:oasis:names:specification:ubl:schema:xsd:CreditNote-2"
	ublAggregates = "urn:oasis:names:specification:ubl:schema:xsd:CommonAggregateComponents-2"
	ublBasics     = "urn:oasis:names:specification:ubl:schema:xsd:CommonBasicComponents-2"
	vatScheme     = "VAT"
	otherScheme   = "TAX" // of a number that is the tax office's and not one of VAT
)

// UBL writes the document as an Invoice or a CreditNote of UBL 2.1. The same document
// gives the same bytes. The error is *Incomplete for a document that says too little.
func UBL(d document.Document) ([]byte, error) {
	m, err := modelOf(d)
	if err != nil {
		return nil, err
	}
	amount := func(v string) ublAmount { return ublAmount{m.currency, v} }
	u := ublDocument{
		CAC: ublAggregates, CBC: ublBasics, CustomizationID: Guideline, ID: m.number, IssueDate: isoDay(m.issued), DueDate: isoDay(m.due),
		Notes: m.notes, Currency: m.currency, BuyerReference: m.buyerRef, Period: ublPeriodOf(m.from, m.to),
		Supplier: ublPartyOf{m.seller.ubl()}, Customer: ublPartyOf{m.buyer.ubl()},
		TaxCurrency: m.taxCurrency, TaxTotals: []ublTaxTotal{{Tax: amount(m.tax)}},
		Total: ublTotal{amount(m.net), amount(m.net), amount(m.total), amount(m.total)},
	}
	u.XMLName.Local, u.NS, u.InvoiceType = "Invoice", ublInvoice, m.typeCode
	if m.credit {
		u.XMLName.Local, u.NS, u.InvoiceType, u.CreditNoteType = "CreditNote", ublCreditNote, "", m.typeCode
	}
	if m.preceding != "" {
		u.Billing = &ublBilling{m.preceding, isoDay(m.precedingDay)}
	}
	if m.terms != "" {
		u.Terms = &ublTerms{m.terms}
	}
	if a := m.account; a != nil {
		u.PaymentMeans = &ublMeans{Code: meansCode(m.currency), Ref: m.number, Account: ublAccount{a.IBAN, a.Holder, orNone(a.BIC)}}
	}
	for _, g := range m.groups {
		u.TaxTotals[0].Groups = append(u.TaxTotals[0].Groups, ublGroup{amount(g.net), amount(g.tax), ublCategory{g.category, g.percent, g.code, g.reason, vatScheme}})
	}
	if m.taxCurrency != "" {
		u.TaxTotals = append(u.TaxTotals, ublTaxTotal{Tax: ublAmount{m.taxCurrency, m.taxIn}})
	}
	for _, l := range m.lines {
		out := ublLine{
			ID: l.id, Note: l.note, Net: amount(l.net), Period: ublPeriodOf(l.from, l.to), Price: amount(l.price),
			Item: ublItem{l.name, ublCategory{ID: l.category, Percent: l.rate, Scheme: vatScheme}},
		}
		quantity := &ublQuantity{l.unit, l.quantity}
		if m.credit {
			out.Credited = quantity
			u.CreditNoteLines = append(u.CreditNoteLines, out)
			continue
		}
		out.Invoiced = quantity
		u.InvoiceLines = append(u.InvoiceLines, out)
	}
	return written(u)
}

func (p party) ubl() ublParty {
	out := ublParty{
		ID: orNone(p.id), Address: ublAddress{p.street, p.more, p.city, p.code, p.region, p.country},
		Legal: ublLegal{p.name, p.registration},
	}
	if p.email != "" {
		out.Endpoint = &ublScheme{"EM", p.email}
	}
	if p.vat != "" {
		out.Tax = append(out.Tax, ublTaxScheme{p.vat, vatScheme})
	}
	if p.taxNumber != "" {
		out.Tax = append(out.Tax, ublTaxScheme{p.taxNumber, otherScheme})
	}
	if p.contact+p.phone+p.email != "" {
		out.Contact = &ublContact{p.contact, p.phone, p.email}
	}
	return out
}

// orNone is what an element within others is made of: of an empty text encoding/xml would
// leave those others, with nothing in them.
func orNone(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func ublPeriodOf(from, to time.Time) *ublPeriod {
	if from.IsZero() {
		return nil
	}
	return &ublPeriod{isoDay(from), isoDay(to)}
}

func isoDay(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.DateOnly)
}

// meansCode is how money comes by bank: in euros within SEPA, or as a transfer.
func meansCode(currency string) string {
	if currency == "EUR" {
		return bySEPA
	}
	return byTransfer
}

// written is a file as it is sent.
func written(v any) ([]byte, error) {
	b, err := xml.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(append([]byte(xml.Header), b...), '\n'), nil
}
