package billing_test

import (
	"testing"

	"github.com/ezscale/ezscale/billing"
)

// The first two are examples of the IBAN registry.
func TestIBAN(t *testing.T) {
	for s, want := range map[string]bool{
		"DE89 3704 0044 0532 0130 00": true, "GB29NWBK60161331926819": true, "de89370400440532013000": true,
		"DE88370400440532013000": false, "DE89": false, "": false, "DE8937040044053201300\u00e9": false, "DE89370400440532013000DE89370400440532013000": false,
	} {
		if billing.IsIBAN(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}
