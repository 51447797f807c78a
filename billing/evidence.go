package billing

// Evidence is what speaks for where a buyer is (Article 24f of Regulation 282/2011): two
// pieces that agree are enough for a service by electronic means (Article 24b (d)).
type Evidence struct {
	Billing string // country of the address, ISO 3166; empty: none
	Card    string // in which the method of payment was issued; empty: not known
	Network string // of the network address, as somebody who is trusted said it; empty: not known
	Number  string // of the VAT number, if a register confirmed it; empty: none
}

// Judge says in which country most of the evidence puts the buyer, how many pieces agree on
// it, and whether any speaks for another.
func (e Evidence) Judge() (country string, agree int, conflict bool) {
	votes := map[string]int{}
	for _, c := range []string{e.Billing, e.Card, e.Number, e.Network} {
		if c != "" {
			votes[territory(c, "")]++
		}
	}
	for _, c := range []string{e.Billing, e.Card, e.Number, e.Network} { // the address first, where two speak for two
		if at := territory(c, ""); c != "" && votes[at] > agree {
			country, agree = at, votes[at]
		}
	}
	return country, agree, len(votes) > 1
}

// NumberCountry is the country of a VAT number of the EU; empty: it is none.
func NumberCountry(id string) string {
	for _, c := range EU() {
		if TaxIDOf(id, c) {
			return c
		}
	}
	return ""
}
