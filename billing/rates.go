package billing

import (
	"strings"
	"time"
)

// Standard is the class of what no rule says otherwise of; Zero that of what is not taxed;
// Compensation that of what is owed for paying late, which is no price of a supply (Court
// of Justice, case 222/81, BAZ Bausystem).
const (
	Standard     = "standard"
	Zero         = "zero"
	Compensation = "compensation"
)

// RatesSource is where the built-in rates were taken from.
const RatesSource = "built-in table of standard rates, November 2026"

// TaxRate is a percentage with the days it holds.
type TaxRate struct {
	Country string // ISO 3166
	Region  string // of it, the second part of ISO 3166-2: CA of US-CA; empty: the whole country
	Name    string
	Class   string
	Ppm     int64
	For     Customer
	Adds    bool      // of a region: comes on top of the country's rate, as a province's tax does
	From    time.Time // the first day, UTC
	To      time.Time // the first day it no longer holds; zero: until the next one of its country and class
	Source  string
}

// Customer is the kind of buyer a rate is for.
type Customer string

// The kinds. A rate for one goes before a rate for all.
const (
	Anybody    Customer = ""
	Businesses Customer = "business"
	Consumers  Customer = "consumer"
)

// Classes are the classes of products that a shop may tax at rates of their own.
func Classes() []string { return []string{Standard, "reduced", Zero, "software", "service"} }

// euCountries are the members of the union's common system of VAT.
const euCountries = " AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE "

// InEU reports whether the country belongs to the common system of VAT.
func InEU(country string) bool {
	return len(country) == 2 && strings.Contains(euCountries, " "+country+" ")
}

// EU lists the members of the common system of VAT.
func EU() []string { return strings.Fields(euCountries) }

// StandardRates are the standard rates of the EU, the United Kingdom, Switzerland and
// Norway. Whoever sells is answerable for the rates; a shop may enter its own.
func StandardRates() []TaxRate {
	day0 := func(s string) time.Time {
		t, err := time.Parse(time.DateOnly, s)
		if err != nil {
			panic(err) // a typing mistake below, which the tests see
		}
		return t
	}
	rates := []TaxRate{
		{Country: "AT", Name: "VAT", Class: Standard, Ppm: 200_000, From: day0("1984-01-01")},
		{Country: "BE", Name: "VAT", Class: Standard, Ppm: 210_000, From: day0("1996-01-01")},
		{Country: "BG", Name: "VAT", Class: Standard, Ppm: 200_000, From: day0("1999-01-01")},
		{Country: "HR", Name: "VAT", Class: Standard, Ppm: 250_000, From: day0("2012-03-01")},
		{Country: "CY", Name: "VAT", Class: Standard, Ppm: 190_000, From: day0("2014-01-13")},
		{Country: "CZ", Name: "VAT", Class: Standard, Ppm: 210_000, From: day0("2013-01-01")},
		{Country: "DK", Name: "VAT", Class: Standard, Ppm: 250_000, From: day0("1992-01-01")},
		{Country: "EE", Name: "VAT", Class: Standard, Ppm: 220_000, From: day0("2024-01-01")},
		{Country: "EE", Name: "VAT", Class: Standard, Ppm: 240_000, From: day0("2025-07-01")},
		{Country: "FI", Name: "VAT", Class: Standard, Ppm: 240_000, From: day0("2013-01-01")},
		{Country: "FI", Name: "VAT", Class: Standard, Ppm: 255_000, From: day0("2024-09-01")},
		{Country: "FR", Name: "VAT", Class: Standard, Ppm: 200_000, From: day0("2014-01-01")},
		{Country: "DE", Name: "VAT", Class: Standard, Ppm: 190_000, From: day0("2007-01-01")},
		{Country: "GR", Name: "VAT", Class: Standard, Ppm: 240_000, From: day0("2016-06-01")},
		{Country: "HU", Name: "VAT", Class: Standard, Ppm: 270_000, From: day0("2012-01-01")},
		{Country: "IE", Name: "VAT", Class: Standard, Ppm: 230_000, From: day0("2012-01-01")},
		{Country: "IT", Name: "VAT", Class: Standard, Ppm: 220_000, From: day0("2013-10-01")},
		{Country: "LV", Name: "VAT", Class: Standard, Ppm: 210_000, From: day0("2012-07-01")},
		{Country: "LT", Name: "VAT", Class: Standard, Ppm: 210_000, From: day0("2009-09-01")},
		{Country: "LU", Name: "VAT", Class: Standard, Ppm: 170_000, From: day0("2015-01-01")},
		{Country: "LU", Name: "VAT", Class: Standard, Ppm: 160_000, From: day0("2023-01-01")},
		{Country: "LU", Name: "VAT", Class: Standard, Ppm: 170_000, From: day0("2024-01-01")},
		{Country: "MT", Name: "VAT", Class: Standard, Ppm: 180_000, From: day0("2004-01-01")},
		{Country: "NL", Name: "VAT", Class: Standard, Ppm: 210_000, From: day0("2012-10-01")},
		{Country: "PL", Name: "VAT", Class: Standard, Ppm: 230_000, From: day0("2011-01-01")},
		{Country: "PT", Name: "VAT", Class: Standard, Ppm: 230_000, From: day0("2011-01-01")},
		{Country: "RO", Name: "VAT", Class: Standard, Ppm: 190_000, From: day0("2017-01-01")},
		{Country: "RO", Name: "VAT", Class: Standard, Ppm: 210_000, From: day0("2025-08-01")},
		{Country: "SK", Name: "VAT", Class: Standard, Ppm: 200_000, From: day0("2011-01-01")},
		{Country: "SK", Name: "VAT", Class: Standard, Ppm: 230_000, From: day0("2025-01-01")},
		{Country: "SI", Name: "VAT", Class: Standard, Ppm: 220_000, From: day0("2013-07-01")},
		{Country: "ES", Name: "VAT", Class: Standard, Ppm: 210_000, From: day0("2012-09-01")},
		{Country: "SE", Name: "VAT", Class: Standard, Ppm: 250_000, From: day0("1990-07-01")},
		{Country: "GB", Name: "VAT", Class: Standard, Ppm: 200_000, From: day0("2011-01-04")},
		{Country: "CH", Name: "VAT", Class: Standard, Ppm: 81_000, From: day0("2024-01-01")},
		{Country: "NO", Name: "VAT", Class: Standard, Ppm: 250_000, From: day0("2005-01-01")},
	}
	for i, r := range rates {
		rates[i].Source = rateLaws[r.Country] + "; " + RatesSource
	}
	return rates
}

// RateAt is the rate of a country and class for everybody on a day.
func RateAt(rates []TaxRate, country, class string, at time.Time) (TaxRate, bool) {
	return rateAt(rates, country, "", class, Anybody, at)
}

// rateAt is a rate on a day: one for the kind of customer before one for all, and of those
// the latest that began and has not ended.
func rateAt(rates []TaxRate, country, region, class string, who Customer, at time.Time) (found TaxRate, known bool) {
	for _, r := range rates {
		if r.Country != country || r.Region != region || r.Class != class || r.For != Anybody && r.For != who || r.From.After(at) || !r.To.IsZero() && !at.Before(r.To) {
			continue
		}
		if mine, theirs := r.For != Anybody, found.For != Anybody; !known || mine && !theirs || mine == theirs && r.From.After(found.From) {
			found, known = r, true
		}
	}
	return found, known
}
