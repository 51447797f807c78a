package place_test

import (
	"testing"

	"github.com/ezscale/ezscale/tenancy/place"
)

func TestCountries(t *testing.T) {
	all := place.Countries()
	if n := len(all); n < 240 || n > 255 {
		t.Errorf("%d countries", n)
	}
	for code, want := range map[string]bool{"DE": true, "GR": true, "GB": true, "CH": true, "XK": true, "US": true, "UK": false, "EU": false, "XX": false, "de": false, "": false, "ZZ": false, "SU": false, "\x00A": false} {
		if got := place.IsCountry(code); got != want {
			t.Errorf("IsCountry(%q) = %v", code, got)
		}
	}
	if got := place.CountryName("DE"); got != "Germany" {
		t.Error(got)
	}
}
