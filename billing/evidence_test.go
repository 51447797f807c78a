package billing_test

import (
	"testing"

	"github.com/ezscale/ezscale/billing"
)

// Article 24b (d) and 24f of Regulation 282/2011: two items that do not contradict each other.
func TestEvidenceOfWhereABuyerIs(t *testing.T) {
	for _, x := range []struct {
		e        billing.Evidence
		country  string
		agree    int
		conflict bool
	}{
		{billing.Evidence{Billing: "DE", Card: "DE"}, "DE", 2, false},
		{billing.Evidence{Billing: "DE", Card: "FR"}, "DE", 1, true},
		{billing.Evidence{Billing: "DE", Card: "FR", Number: "FR"}, "FR", 2, true},
		{billing.Evidence{Billing: "MC", Card: "FR"}, "FR", 2, false}, // Article 7 of the Directive
		{billing.Evidence{Billing: "DE", Network: "DE"}, "DE", 2, false},
		{billing.Evidence{Billing: "DE", Card: "DE", Network: "FR"}, "DE", 2, true},
		{billing.Evidence{Billing: "US"}, "US", 1, false},
		{billing.Evidence{}, "", 0, false},
	} {
		if country, agree, conflict := x.e.Judge(); country != x.country || agree != x.agree || conflict != x.conflict {
			t.Errorf("%+v: %q by %d, %v", x.e, country, agree, conflict)
		}
	}
	if billing.NumberCountry("EL123456789") != "GR" || billing.NumberCountry("123") != "" {
		t.Error("the country of a number")
	}
}
