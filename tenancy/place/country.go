package place

import (
	"sort"
	"strings"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
)

// notStates are codes that ISO 3166 reserves or took back, and CLDR still knows.
const notStates = " AC AN CP CQ CS DG EA EZ FQ IC NT PC SU TA UN YU "

// IsCountry reports whether code is a country's, in two capitals by ISO 3166.
func IsCountry(code string) bool {
	if len(code) != 2 || strings.ToUpper(code) != code || strings.Contains(notStates, " "+code+" ") {
		return false
	}
	r, err := language.ParseRegion(code)
	return err == nil && r.IsCountry() && r.Canonicalize() == r && r.String() == code
}

// CountryName is a country in English; a code that is none stays as it is.
func CountryName(code string) string {
	if !IsCountry(code) {
		return code
	}
	r, err := language.ParseRegion(code)
	if err != nil {
		return code
	}
	return display.English.Regions().Name(r)
}

// Countries are all countries by name.
func Countries() []Choice {
	var all []Choice
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			if code := string([]rune{a, b}); IsCountry(code) {
				all = append(all, Choice{code, CountryName(code)})
			}
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Label < all[j].Label })
	return all
}
