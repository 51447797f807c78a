package reseller

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/ezscale/ezscale/tenancy/fault"
)

func TestSuggestSlug(t *testing.T) {
	for name, want := range map[string]string{
		"Nimbus Cloud":                "nimbus-cloud",
		"Müller & Söhne Hosting GmbH": "mueller-soehne-hosting-gmbh",
		"  --Crème brûlée--  ":        "creme-brulee",
		"Bob's Servers":               "bobs-servers",
		"東京":                          "",
		"\xff\x00":                    "",
		"a very long name of a business that never ends": "a-very-long-name-of-a-business-that-neve",
	} {
		if got := SuggestSlug(name); got != want {
			t.Errorf("%q becomes %q, want %q", name, got, want)
		}
	}
}

func TestCheckSlug(t *testing.T) {
	for slug, code := range map[string]string{
		"nimbus":       "",
		"a1":           "",
		"my-admin-box": "",
		"ezscale":      "", // the platform's own shop is a tenant like any other
		"a":            "slug.short",
		"":             "slug.short",
		"x1234567890123456789012345678901234567890": "slug.long",
		"Nimbus":     "slug.malformed",
		"nim.bus":    "slug.malformed",
		"nim_bus":    "slug.malformed",
		"nimbus-":    "slug.malformed",
		"nim--bus":   "slug.malformed",
		"ñimbus":     "slug.malformed",
		"xn--nmbus":  "slug.punycode",
		"ab--cd":     "slug.punycode",
		"12-34":      "slug.numeric",
		"www":        "slug.reserved",
		"console":    "slug.reserved",
		"autoconfig": "slug.reserved",
		"c0nsole":    "slug.lookalike",
		"con-sole":   "slug.lookalike",
		"adrnin":     "slug.lookalike",
		"1ogin":      "slug.lookalike",
		"ezsca1e":    "slug.lookalike",
		"partner5":   "slug.lookalike",
	} {
		err := CheckSlug(slug)
		if code == "" && err != nil || code != "" && (!fault.Is(err, code) || fault.From(err).Fields["slug"] == "") {
			t.Errorf("%q: %v, want %q", slug, err, code)
		}
	}
}

// Whatever is suggested has a slug's shape or is empty.
func TestSuggestionsAreWellFormed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.String().Draw(t, "name")
		slug := SuggestSlug(name)
		if slug == "" {
			return
		}
		if err := CheckSlug(slug); err != nil && (fault.Is(err, "slug.malformed") || fault.Is(err, "slug.long") || fault.Is(err, "slug.punycode")) {
			t.Errorf("%q suggests %q: %v", name, slug, err)
		}
	})
}
