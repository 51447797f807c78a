package invoicing

import "github.com/ezscale/ezscale/billing"

// Evidence is where the buyer of an invoice was by all that spoke for it when it was
// issued.
type Evidence struct {
	Country     string              `json:"billing_country"`
	Region      string              `json:"billing_region"`
	TaxID       string              `json:"tax_id"`
	NumberState billing.NumberState `json:"number_state"`
	Card        string              `json:"card_country"` // of the usual method of payment
	IP          string              `json:"ip"`           // of the last order
	Network     string              `json:"ip_country"`   // of that address, as a trusted proxy said it
	Tax         []billing.TaxAsked  `json:"tax"`          // how the rates came about, where a tax service is asked
}

// Judge is billing's word on it.
func (e Evidence) Judge() (country string, agree int, conflict bool) {
	of := billing.Evidence{Billing: e.Country, Card: e.Card, Network: e.Network}
	if e.NumberState == billing.NumberConfirmed {
		of.Number = billing.NumberCountry(e.TaxID)
	}
	return of.Judge()
}
