package tenancy

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/ezscale/ezscale/tenancy/fault"
)

// maxHost is the length of the longest name DNS can carry.
const maxHost = 253

var errHost = fault.New(fault.Malformed, "host.malformed", "That is not the name of a site.")

// NormalizeHost turns what a Host header, an SNI or a form says into the form the
// directory knows: ASCII, lower case, without port and trailing dot. It refuses
// with the fault host.malformed what can be no site's name: IP literals (also in
// the forms browsers understand), ports that are none, names that are too long or
// no domain names. A name that is in that form already is returned as it is,
// without an allocation.
func NormalizeHost(raw string) (string, error) {
	host, ok := stripPort(raw)
	if !ok || len(host) > 4*maxHost { // an IDN may shrink; garbage must not cost
		return "", errHost
	}
	host = strings.TrimSuffix(host, ".")
	if !plainHost(host) {
		ascii, err := idna.Lookup.ToASCII(host)
		if err != nil || !utf8.ValidString(host) {
			return "", errHost
		}
		// The profile maps other full stops to ".", so that a name may only now end in one.
		if host = strings.TrimSuffix(ascii, "."); !plainHost(host) && !strings.Contains(host, "xn--") {
			return "", errHost
		}
	}
	if len(host) > maxHost || !labelled(host) || endsInNumber(host) {
		return "", errHost
	}
	return host, nil
}

// stripPort cuts ":443" off. What holds another colon is an IPv6 literal or garbage.
func stripPort(raw string) (string, bool) {
	host, port, found := strings.Cut(raw, ":")
	if !found {
		return host, true
	}
	if len(port) > 5 {
		return "", false
	}
	for _, c := range []byte(port) {
		if c < '0' || c > '9' {
			return "", false
		}
	}
	return host, true
}

// plainHost reports whether the name needs no mapping.
func plainHost(host string) bool {
	for i := range len(host) {
		c := host[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return false
		}
	}
	// A label with hyphens in the third and fourth place is an encoded one and must be checked.
	return !strings.Contains(host, "--")
}

// labelled reports whether every label is 1 to 63 long and neither begins nor ends with a hyphen.
func labelled(host string) bool {
	start := 0
	for i := 0; i <= len(host); i++ {
		if i < len(host) && host[i] != '.' {
			continue
		}
		if n := i - start; n < 1 || n > 63 || host[start] == '-' || host[i-1] == '-' {
			return false
		}
		start = i + 1
	}
	return true
}

// endsInNumber reports whether browsers would read the name as an IPv4 address:
// 127.0.0.1, 127.1, 2130706433, 0x7f.1.
func endsInNumber(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	digits := strings.TrimPrefix(last, "0x")
	hex := len(digits) < len(last)
	for _, c := range []byte(digits) {
		if (c < '0' || c > '9') && (!hex || c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
