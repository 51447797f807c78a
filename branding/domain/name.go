package domain

import (
	"net/netip"
	"net/url"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"

	"github.com/ezscale/ezscale/tenancy/fault"
)

// NamePolicy says which names may be added.
type NamePolicy struct {
	// PlatformZones are ours: neither they nor anything below them may be claimed.
	PlatformZones []string
	// AllowedTLDs are top-level names that do not exist publicly and are allowed all
	// the same, such as "test" in the demo.
	AllowedTLDs []string
}

// maxTyped bounds what is looked at; a name is at most 253 bytes, the rest may be a URL's path.
const maxTyped = 2048

var toASCII = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.StrictDomainName(true), idna.VerifyDNSLength(true))

// specialTLDs never lead anywhere public (RFC 6761, RFC 6762, RFC 7686, RFC 8375, RFC 9476).
var specialTLDs = []string{"local", "internal", "localhost", "test", "example", "invalid", "onion", "arpa", "alt", "lan", "home", "corp", "intranet", "private"}

// Normalize turns what a person types or pastes into a host name: ASCII, lower
// case, without scheme, path, port and trailing dot. Its errors are faults about
// the field "host", a code for each reason.
func (p NamePolicy) Normalize(typed string) (string, error) {
	bare, err := bareHost(typed)
	if err != nil {
		return "", err
	}
	if isAddress(bare) {
		return "", fault.Field("host", "domain.is_address", "That is an IP address. Enter a name such as shop.example.com.")
	}
	if strings.Contains(bare, "*") {
		return "", fault.Field("host", "domain.wildcard", "A name with * cannot be added. Add each name you want to use.")
	}
	host, err := toASCII.ToASCII(bare)
	if err != nil || !utf8.ValidString(bare) {
		return "", refuseSpelling(bare)
	}
	host = strings.ToLower(host)
	if again, err := toASCII.ToASCII(host); err != nil || again != host {
		return "", refuseSpelling(bare) // an A-label that nobody could look up
	}
	if isAddress(host) {
		return "", fault.Field("host", "domain.is_address", "That is an IP address. Enter a name such as shop.example.com.")
	}
	if err := p.allowed(host); err != nil {
		return "", err
	}
	return host, nil
}

// bareHost strips what surrounds the name.
func bareHost(typed string) (string, error) {
	s := strings.TrimSpace(typed)
	if s == "" {
		return "", fault.Field("host", "domain.empty", "Enter the name you want to use, such as shop.example.com.")
	}
	if len(s) > maxTyped {
		return "", fault.Field("host", "domain.too_long", "That is too long for a domain name: at most 253 characters, 63 between two dots.")
	}
	if i := strings.Index(s, "://"); i >= 0 {
		s = s[i+3:]
	}
	s = strings.TrimPrefix(s, "//")
	if i := strings.IndexAny(s, "/?#\\"); i >= 0 {
		s = s[:i]
	}
	if strings.Contains(s, "@") {
		return "", fault.Field("host", "domain.is_mail", "That looks like a mail address. Enter only the name behind the @.")
	}
	if strings.HasPrefix(s, "[") {
		return "", fault.Field("host", "domain.is_address", "That is an IP address. Enter a name such as shop.example.com.")
	}
	if i := strings.LastIndex(s, ":"); i >= 0 && strings.Count(s, ":") == 1 {
		if !digits(s[i+1:]) {
			return "", refuseSpelling(s)
		}
		s = s[:i]
	}
	if un, err := url.PathUnescape(s); err == nil {
		s = un // a name copied from a browser's bar may be percent-encoded
	}
	s = strings.TrimSpace(s)
	s = strings.TrimRight(s, ".\u3002\uff0e\uff61")
	if s == "" {
		return "", fault.Field("host", "domain.empty", "Enter the name you want to use, such as shop.example.com.")
	}
	return s, nil
}

func digits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// isAddress covers the forms of IPv4 that resolvers accept and people do not mean:
// a name whose last label is all digits or hexadecimal is never public.
func isAddress(s string) bool {
	if _, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return true
	}
	last := s[strings.LastIndex(s, ".")+1:]
	return last != "" && (digits(last) || strings.HasPrefix(strings.ToLower(last), "0x"))
}

func refuseSpelling(s string) error {
	if len(s) > 253 {
		return fault.Field("host", "domain.too_long", "That is too long for a domain name: at most 253 characters, 63 between two dots.")
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" {
			return fault.Field("host", "domain.empty_label", "There are two dots in a row, or one at the start.")
		}
		if len(label) > 63 {
			return fault.Field("host", "domain.too_long", "That is too long for a domain name: at most 253 characters, 63 between two dots.")
		}
	}
	return fault.Field("host", "domain.spelling", "A domain name has letters, digits and hyphens, with dots in between, such as shop.example.com.")
}

func (p NamePolicy) allowed(host string) error {
	for _, zone := range p.PlatformZones {
		if within(host, zone) {
			return fault.Field("host", "domain.ours", "That name belongs to this platform. Enter a name you own.")
		}
	}
	tld := host[strings.LastIndex(host, ".")+1:]
	if tld == host {
		return fault.Field("host", "domain.single_label", "That is only one word. Enter a whole name, such as shop.example.com.")
	}
	if contains(p.AllowedTLDs, tld) {
		return nil
	}
	if contains(specialTLDs, tld) {
		return fault.Field("host", "domain.not_public", "Names ending in ."+tld+" do not exist on the public internet, so no certificate can be issued for them.")
	}
	suffix, icann := publicsuffix.PublicSuffix(host)
	if !icann && !strings.Contains(suffix, ".") {
		return fault.Field("host", "domain.unknown_ending", "There is no public ending ."+tld+". Please check the spelling.")
	}
	if suffix == host {
		return fault.Field("host", "domain.public_suffix", host+" is an ending under which many people register names. Enter the name you registered below it.")
	}
	return nil
}

// within reports whether host is zone or below it.
func within(host, zone string) bool {
	zone = strings.ToLower(strings.Trim(zone, "."))
	return zone != "" && (host == zone || strings.HasSuffix(host, "."+zone))
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if strings.EqualFold(strings.Trim(l, "."), s) {
			return true
		}
	}
	return false
}

// registered is the name that was bought: the public suffix and one label more.
func registered(host string) string {
	r, err := publicsuffix.EffectiveTLDPlusOne(strings.TrimPrefix(host, "*."))
	if err != nil {
		return host
	}
	return r
}

// IsApex reports whether the host is itself a registered name, which cannot be a CNAME.
func IsApex(host string) bool { return registered(host) == host }

// Unicode is how the host is shown to people; it falls back to the ASCII form when
// the name could be taken for another.
func Unicode(host string) string {
	u, err := idna.Lookup.ToUnicode(host)
	if err != nil {
		return host
	}
	return u
}
