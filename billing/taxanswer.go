package billing

import (
	"errors"
	"slices"
	"strings"
	"time"
)

// TaxQuestion is what an outside tax service is asked: what is charged at a place on a class
// of products. Questions are compared with ==: what they do not tell apart has one answer.
type TaxQuestion struct {
	Country  string // ISO 3166
	Region   string // the second part of ISO 3166-2, where the country's tax differs by it
	Postcode string // of the United States, five digits: tax differs by it
	Class    string // of Classes
	Customer Customer
}

// TaxPart is one of the taxes of a place: GST of the country, PST of the province.
type TaxPart struct {
	Name  string `json:"name"`  // GST
	Place string `json:"place"` // whose it is: British Columbia
	Ppm   int64  `json:"ppm"`   // of the whole price
}

// TaxAnswer is what a service says of a question.
type TaxAnswer struct {
	Service   string    `json:"service"`   // Stripe Tax
	Reference string    `json:"reference"` // the service's own name for the answer
	Country   string    `json:"country"`   // whose tax it is; empty: the place's that was asked about
	Collects  bool      `json:"collects"`  // the shop collects tax there by what it told the service
	Parts     []TaxPart `json:"parts"`     // none: nothing is charged
	Why       string    `json:"why"`       // in the service's words, where it charges nothing
	At        time.Time `json:"at"`
}

// Question is what a service is asked about the sale; false: no answer would be used, or too
// little is known of the place. A sale without tax, a reverse charge and a business abroad
// that accounts for the tax itself are decided without one.
func (c TaxCase) Question() (TaxQuestion, bool) {
	q := TaxQuestion{Country: c.Country, Class: c.Class, Customer: c.who()}
	if q.Country == "" {
		q.Country = c.Seller.Country
	}
	if q.Class == "" {
		q.Class = Standard
	}
	seller := territory(c.Seller.Country, "")
	switch {
	case seller == "", q.Class == Zero, q.Class == Compensation, c.Seller.SmallBusiness, c.Exemption != "":
		return q, false
	case territory(q.Country, c.Postcode) != q.Country: // told by its neighbour's tax, or outside of its own
		return q, false
	case seller != q.Country && (InEU(seller) && InEU(q.Country) && c.business(q.Country) || c.accountsItself(q.Country)):
		return q, false
	}
	switch q.Country {
	case "US":
		q.Region, q.Postcode = c.regionOf(q.Country), zip(c.Postcode)
		return q, q.Region != "" && q.Postcode != ""
	case "CA", "IN":
		q.Region = c.regionOf(q.Country)
		return q, q.Region != ""
	}
	return q, true
}

// accountsItself reports whether a buyer abroad, a business with a number, owes the tax on
// what comes from another country itself. Switzerland's registered sellers charge them too,
// and states of the United States know no such number.
func (c TaxCase) accountsItself(country string) bool {
	return CleanTaxID(c.TaxID) != "" && !InEU(country) && country != "CH" && country != "US"
}

// zip is the first five digits of a postcode of the United States; empty: it has none.
func zip(s string) string {
	s = strings.TrimSpace(s)
	if len(s) < 5 || strings.Trim(s[:5], "0123456789") != "" || len(s) > 5 && s[5] != '-' && s[5] != ' ' {
		return ""
	}
	return s[:5]
}

// answered reports whether the service decides what is charged in the country, which is the
// buyer's. Where the shop told the service of no registration its own table decides.
func (c TaxCase) answered(country string) bool {
	q, asks := c.Question()
	return asks && c.Answer != nil && c.Answer.Collects && country == q.Country
}

// Whole is the rate of all parts together, all of the same net.
func (a TaxAnswer) Whole() (ppm int64) {
	for _, p := range a.Parts {
		ppm += p.Ppm
	}
	return ppm
}

// rule is how a line of the class is taxed by the answer. All parts are one rate, of which
// the note names each: so the tax of a line is rounded once, whatever it is made of.
func (a TaxAnswer) rule(country, region, class string) TaxRule {
	if a.Country != "" && a.Country != country { // taxed where the seller is
		country, region = a.Country, ""
	}
	r := TaxRule{Country: country, Region: region, Ppm: a.Whole(), Class: class, Category: "S", Source: a.Service + " " + a.Reference + ", " + a.At.UTC().Format(time.DateOnly)}
	var names, parts []string
	for _, p := range a.Parts {
		if p.Ppm == 0 {
			continue
		}
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
		parts = append(parts, strings.TrimSpace(p.Name+" "+p.Place)+" "+Percent(p.Ppm))
	}
	if r.Name = strings.Join(names, " + "); len(parts) > 1 {
		last := len(parts) - 1
		r.Note = strings.Join(parts[:last], ", ") + " and " + parts[last] + "."
	}
	if r.Ppm == 0 {
		r.Name, r.Category = "Tax", "Z"
	}
	return r
}

// TaxAsked says how the rate of one class on an invoice came about where a tax service is
// asked.
type TaxAsked struct {
	Class     string     `json:"class"`
	Used      bool       `json:"used"`              // the answer decided; otherwise the shop's own table did
	Why       string     `json:"why,omitempty"`     // it did not, or is an old one: see AnswerState
	Service   string     `json:"service,omitempty"` // whose answer there was
	Reference string     `json:"reference,omitempty"`
	At        *time.Time `json:"at,omitempty"`
	Parts     []TaxPart  `json:"parts,omitempty"`
}

// AnswerState is how an answer stands to the moment it is used.
type AnswerState string

// The states.
const (
	AnswerFresh   AnswerState = ""
	AnswerOld     AnswerState = "old"     // used all the same: the service did not answer since
	AnswerStale   AnswerState = "stale"   // too old to be used
	AnswerMissing AnswerState = "missing" // there is none
	AnswerNothing AnswerState = "not_registered"
)

// TaxAskedFor says it of a question's answer; nil: there is none.
func TaxAskedFor(q TaxQuestion, a *TaxAnswer, state AnswerState) TaxAsked {
	t := TaxAsked{Class: q.Class, Why: string(state)}
	if a == nil {
		return t
	}
	at := a.At.UTC()
	t.Service, t.Reference, t.At, t.Parts = a.Service, a.Reference, &at, a.Parts
	t.Used = a.Collects && (state == AnswerFresh || state == AnswerOld)
	if t.Used || state != AnswerFresh && state != AnswerOld {
		return t
	}
	t.Why = string(AnswerNothing)
	return t
}

// AnswerPolicy is how long a shop goes by an answer.
type AnswerPolicy struct {
	Days int  // an answer counts for so many days
	Last bool // after them the last one counts on, as long as there is no newer one and for at most AnswerMost
}

// AnswerMost is how old an answer may be at most.
const AnswerMost = 90 * 24 * time.Hour

// State says how an answer of a moment stands now.
func (p AnswerPolicy) State(answered, now time.Time) AnswerState {
	switch age := now.Sub(answered); {
	case answered.IsZero():
		return AnswerMissing
	case age < time.Duration(p.Days)*24*time.Hour:
		return AnswerFresh
	case p.Last && age < AnswerMost:
		return AnswerOld
	}
	return AnswerStale
}

// ErrTaxPlace is returned where a service cannot tell the tax of a place by what is known of it.
var ErrTaxPlace = errors.New("billing: the place is not told precisely enough for its tax")
