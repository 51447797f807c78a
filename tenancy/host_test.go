package tenancy_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

func TestNormalizeHost(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, test := range []struct{ name, raw, want string }{
		{"as it should be", "shop.nimbus.test", "shop.nimbus.test"},
		{"one label", "localhost", "localhost"},
		{"upper case", "Shop.NIMBUS.Test", "shop.nimbus.test"},
		{"with a port", "nimbus.localhost:8080", "nimbus.localhost"},
		{"with an empty port, as RFC 3986 allows", "nimbus.localhost:", "nimbus.localhost"},
		{"trailing dot", "nimbus.test.", "nimbus.test"},
		{"trailing dot and port", "nimbus.test.:443", "nimbus.test"},
		{"umlaut", "Bücher.example", "xn--bcher-kva.example"},
		{"ideographic full stops", "例え。テスト。", "xn--r8jz45g.xn--zckzah"},
		{"encoded already", "XN--bcher-kva.example", "xn--bcher-kva.example"},
		{"full width letters", "ｎｉｍｂｕｓ.test", "nimbus.test"},
		{"digits in a label", "1und1.example", "1und1.example"},
		{"longest label", long + ".test", long + ".test"},

		{"empty", "", ""},
		{"only a port", ":80", ""},
		{"only a dot", ".", ""},
		{"two trailing dots", "nimbus.test..", ""},
		{"leading dot", ".nimbus.test", ""},
		{"empty label", "nimbus..test", ""},
		{"label too long", long + "a.test", ""},
		{"name too long", strings.Repeat("abcdefg.", 32) + "test", ""},
		{"4 kB", strings.Repeat("x", 4096), ""},
		{"4 kB of full stops", strings.Repeat(".", 4096), ""},
		{"IPv4", "127.0.0.1", ""},
		{"IPv4 with a port", "127.0.0.1:80", ""},
		{"short IPv4", "127.1", ""},
		{"decimal IPv4", "2130706433", ""},
		{"hexadecimal IPv4", "0x7f.1", ""},
		{"hexadecimal IPv4 at the end", "127.0x1", ""},
		{"IPv4 in full width digits", "１２７.０.０.１", ""},
		{"IPv6", "[::1]", ""},
		{"IPv6 with a port", "[2001:db8::1]:443", ""},
		{"bare IPv6", "::1", ""},
		{"port that is none", "nimbus.test:http", ""},
		{"port too long", "nimbus.test:123456", ""},
		{"two ports", "nimbus.test:80:80", ""},
		{"underscore", "_acme.nimbus.test", ""},
		{"space", "nimbus .test", ""},
		{"user", "me@nimbus.test", ""},
		{"path", "nimbus.test/x", ""},
		{"zero byte", "nimbus\x00.test", ""},
		{"line feed", "nimbus.test\n", ""},
		{"not UTF-8", "nimbus\xff.test", ""},
		{"broken encoding", "xn--\xff.test", ""},
		{"encoded but not what it says", "xn--a.test", ""},
		{"leading hyphen", "-nimbus.test", ""},
		{"trailing hyphen", "nimbus-.test", ""},
		{"a star", "*.nimbus.test", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := tenancy.NormalizeHost(test.raw)
			if got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("NormalizeHost(%.60q) = %q, %v; want %q", test.raw, got, err, test.want)
			}
			if err != nil && !fault.Is(err, "host.malformed") {
				t.Errorf("the error is not for people: %v", err)
			}
		})
	}
}

func TestNormalizeHostOfAPlainNameAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { _, _ = tenancy.NormalizeHost("shop.nimbus.test:8443") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzNormalizeHost holds that whatever is accepted is a name DNS could carry, no
// address, and its own normal form.
func FuzzNormalizeHost(f *testing.F) {
	for _, s := range []string{"shop.nimbus.test:8080", "Bücher.example.", "127.0.0.1", "[::1]:80", "0x7f.1", "xn--bcher-kva.example", "。", "a..b", "ß.test"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		host, err := tenancy.NormalizeHost(raw)
		if err != nil {
			if host != "" {
				t.Fatalf("refused %q and returned %q", raw, host)
			}
			return
		}
		if again, err := tenancy.NormalizeHost(host); err != nil || again != host {
			t.Fatalf("%q became %q, which became %q, %v", raw, host, again, err)
		}
		if len(host) == 0 || len(host) > 253 || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" {
			t.Fatalf("%q became %q", raw, host)
		}
		if _, err := netip.ParseAddr(host); err == nil {
			t.Fatalf("%q became the address %q", raw, host)
		}
		for label := range strings.SplitSeq(host, ".") {
			if len(label) == 0 || len(label) > 63 {
				t.Fatalf("%q became %q", raw, host)
			}
		}
	})
}
