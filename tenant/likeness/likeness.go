// Package likeness says when two mailboxes, postal addresses or networks are the same for
// whoever wants to give something to each person once. It owns nothing and reads nothing:
// who compares what, and what follows, is decided elsewhere.
package likeness

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strings"
	"unicode"
)

// Mailbox is the canonical form of an e-mail address: in lower case, without what many
// providers let people add behind a plus sign, and at Gmail without points and under one
// name. Empty: it is no address.
func Mailbox(address string) string {
	local, domain, ok := strings.Cut(strings.ToLower(strings.TrimSpace(address)), "@")
	if !ok || local == "" || domain == "" || strings.Contains(domain, "@") {
		return ""
	}
	domain = strings.TrimSuffix(domain, ".")
	if base, _, _ := strings.Cut(local, "+"); base != "" {
		local = base
	}
	if domain == "googlemail.com" {
		domain = "gmail.com"
	}
	if domain == "gmail.com" {
		if plain := strings.ReplaceAll(local, ".", ""); plain != "" {
			local = plain
		}
	}
	return local + "@" + domain
}

// Network is what customers behind one connection share: of IPv4 the address, of IPv6 its
// first 64 bits. Empty: it is no address.
func Network(ip string) string {
	addr, err := netip.ParseAddr(strings.TrimSpace(ip))
	if err != nil {
		return ""
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return ""
	}
	return prefix.String()
}

// Household is the canonical form of a name at a postal address: letters and digits only,
// in lower case. Empty when one of them says nothing.
func Household(name, line1, postcode, country string) string {
	parts := []string{plain(name), plain(line1), plain(postcode), plain(country)}
	for _, p := range parts[:2] {
		if p == "" {
			return ""
		}
	}
	return strings.Join(parts, "/")
}

func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}

// Hash is a canonical form as it is kept: it can be compared, and not read.
func Hash(canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	return hex.EncodeToString(sum[:16])
}
