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

func TestRegions(t *testing.T) {
	for country, n := range map[string]int{"US": 56, "CA": 13, "IN": 36, "DE": 0} {
		if all := place.Regions(country); len(all) != n || place.NeedsRegion(country) != (n > 0) {
			t.Errorf("%s: %d regions", country, len(all))
		}
	}
	for typed, want := range map[string]string{"ca": "CA", "US-CA": "CA", " california ": "CA", "District of Columbia": "DC", "Bavaria": "", "": "", "CA\x00": ""} {
		if got, ok := place.RegionCode("US", typed); got != want || ok != (want != "") {
			t.Errorf("%q is %q", typed, got)
		}
	}
	if _, ok := place.RegionCode("DE", "BY"); ok || place.RegionName("CA", "QC") != "Quebec" {
		t.Error("regions of other countries")
	}
}
