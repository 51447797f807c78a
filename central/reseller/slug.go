package reseller

import (
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/ezscale/ezscale/tenancy/fault"
)

const (
	minSlug = 2
	maxSlug = 40
)

var slugShape = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// reservedSlugs are hosts of the platform's own, names people expect those under,
// and names that mail and certificates give a meaning.
func reservedSlugs() []string {
	return strings.Fields(`
		www console partners partner manage admin administrator root api app apps auth login signin signup sso account accounts
		mail smtp imap pop pop3 mx webmail postmaster hostmaster webmaster abuse security noc noreply
		autoconfig autodiscover wpad isatap localhost localdomain broadcasthost
		ns ns1 ns2 ns3 ns4 dns edge proxy cdn static assets media files download downloads
		status health healthz readyz metrics docs doc help support billing pay payments invoice invoices
		dev test testing stage staging demo preview internal system platform staff team official`)
}

// staffHosts must not be imitated: who reads in a hurry would sign in there.
func staffHosts() []string {
	return []string{"console", "partners", "admin", "login", "manage", "billing", "support", "security", "ezscale"}
}

// SuggestSlug makes a slug of a name: "Müller & Söhne Hosting" becomes
// "mueller-soehne-hosting". It may be empty, taken or reserved.
func SuggestSlug(name string) string {
	var b strings.Builder
	germanic := strings.NewReplacer("ä", "ae", "ö", "oe", "ü", "ue", "ß", "ss", "æ", "ae", "ø", "oe", "å", "aa", "œ", "oe", "ł", "l", "đ", "d", "'", "", "’", "")
	for _, r := range norm.NFKD.String(germanic.Replace(norm.NFC.String(strings.ToLower(strings.ToValidUTF8(name, ""))))) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case unicode.Is(unicode.Mn, r): // an accent, split from its letter
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= maxSlug {
			break
		}
	}
	return strings.Trim(b.String(), "-")
}

// CheckSlug says whether a slug may be given to a reseller, whoever has it now. The
// faults are about the field slug: slug.short, slug.long, slug.malformed,
// slug.punycode, slug.numeric, slug.reserved, slug.lookalike.
func CheckSlug(slug string) error {
	switch {
	case len(slug) < minSlug:
		return fault.Field("slug", "slug.short", "Use at least 2 letters or digits.")
	case len(slug) > maxSlug:
		return fault.Field("slug", "slug.long", "Use at most 40 letters and digits.")
	case !slugShape.MatchString(slug):
		return fault.Field("slug", "slug.malformed", "Use small letters a to z, digits and single hyphens; begin and end with a letter or digit.")
	case len(slug) >= 4 && slug[2:4] == "--", strings.Contains(slug, "xn--"):
		return fault.Field("slug", "slug.punycode", "Encoded international names are not taken here. The reseller can bring such a domain later.")
	case strings.Contains(slug, "--"):
		return fault.Field("slug", "slug.malformed", "Use small letters a to z, digits and single hyphens; begin and end with a letter or digit.")
	case strings.Trim(slug, "0123456789-") == "":
		return fault.Field("slug", "slug.numeric", "Use at least one letter.")
	}
	for _, r := range reservedSlugs() {
		if slug == r {
			return fault.Field("slug", "slug.reserved", "This name is kept for the platform. Choose another.")
		}
	}
	for _, host := range staffHosts() {
		if looksLike(slug, host) {
			return fault.Field("slug", "slug.lookalike", "This name looks too much like one of the platform's own. Choose another.")
		}
	}
	return nil
}

// looksLike compares as a hurried reader does: digits for the letters they imitate,
// pairs that run together, no hyphens. A host itself is let through; reservedSlugs
// decides about those.
func looksLike(slug, host string) bool {
	return slug != host && skeleton(slug) == skeleton(host)
}

func skeleton(s string) string {
	return strings.NewReplacer("-", "", "0", "o", "1", "l", "i", "l", "3", "e", "4", "a", "5", "s", "7", "t", "8", "b", "9", "g",
		"rn", "m", "vv", "w", "cl", "d").Replace(s)
}
