package domain

import (
	"strings"
	"testing"

	"github.com/ezscale/ezscale/tenancy/fault"
)

var testPolicy = NamePolicy{PlatformZones: []string{"ezscale.com", "localhost", "edge.ezscale.net."}, AllowedTLDs: []string{"test"}}

func TestNormalizeAcceptsWhatPeoplePaste(t *testing.T) {
	long := strings.Repeat("a", 63)
	for typed, want := range map[string]string{
		"shop.example.com":                        "shop.example.com",
		"  Shop.Example.COM.  ":                   "shop.example.com",
		"https://shop.example.com/a/b?c=d#e":      "shop.example.com",
		"http://shop.example.com:8080":            "shop.example.com",
		"//shop.example.com/":                     "shop.example.com",
		"shop.example.com:443":                    "shop.example.com",
		"bücher.example.de":                       "xn--bcher-kva.example.de",
		"BÜCHER.de":                               "xn--bcher-kva.de",
		"xn--bcher-kva.de":                        "xn--bcher-kva.de",
		"https://b%C3%BCcher.de/":                 "xn--bcher-kva.de",
		"例え。jp":                                   "xn--r8jz45g.jp",
		"shop.nimbus.test":                        "shop.nimbus.test",
		"a.co.uk":                                 "a.co.uk",
		long + "." + long + "." + long + ".com":   long + "." + long + "." + long + ".com",
		"notezscale.com":                          "notezscale.com",
		"shop.example.com\n":                      "shop.example.com",
		"me.github.io":                            "me.github.io",
		"https://SHOP.example.com.:443/checkout/": "shop.example.com",
	} {
		got, err := testPolicy.Normalize(typed)
		if err != nil || got != want {
			t.Errorf("Normalize(%q) = %q, %v; want %q", typed, got, err, want)
		}
	}
}

func TestNormalizeNamesTheReason(t *testing.T) {
	for typed, code := range map[string]string{
		"":                                       "domain.empty",
		"  . ":                                   "domain.empty",
		"https:///path":                          "domain.empty",
		"192.0.2.7":                              "domain.is_address",
		"http://192.0.2.7:80/":                   "domain.is_address",
		"[2001:db8::1]:443":                      "domain.is_address",
		"2001:db8::1":                            "domain.is_address",
		"127.1":                                  "domain.is_address",
		"0x7f.0x1":                               "domain.is_address",
		"１９２.０.２.７":                              "domain.is_address",
		"me@example.com":                         "domain.is_mail",
		"*.example.com":                          "domain.wildcard",
		"co.uk":                                  "domain.public_suffix",
		"github.io":                              "domain.public_suffix",
		"com":                                    "domain.single_label",
		"shop":                                   "domain.single_label",
		"ezscale.com":                            "domain.ours",
		"nimbus.ezscale.com":                     "domain.ours",
		"x.edge.ezscale.net":                     "domain.ours",
		"nimbus.localhost":                       "domain.ours",
		"printer.local":                          "domain.not_public",
		"db.internal":                            "domain.not_public",
		"x.invalid":                              "domain.not_public",
		"shop.example.nosuchending":              "domain.unknown_ending",
		"shop..example.com":                      "domain.empty_label",
		".example.com":                           "domain.empty_label",
		"sh op.example.com":                      "domain.spelling",
		"shop_1.example.com":                     "domain.spelling",
		"-shop.example.com":                      "domain.spelling",
		"shop.example.com:http":                  "domain.spelling",
		"sh<b>op.example.com":                    "domain.spelling",
		strings.Repeat("a", 64) + ".example.com": "domain.too_long",
		strings.Repeat("a.", 127) + "example.com": "domain.too_long",
		strings.Repeat("x", 5000):                 "domain.too_long",
	} {
		got, err := testPolicy.Normalize(typed)
		if !fault.Is(err, code) {
			t.Errorf("Normalize(%.60q) = %q, %v; want %s", typed, got, err, code)
		}
		if err != nil && fault.From(err).Fields["host"] == "" {
			t.Errorf("Normalize(%.60q): the error is not about the field", typed)
		}
	}
}

func FuzzNormalize(f *testing.F) {
	for _, s := range []string{"shop.example.com", "https://bücher.de:8/ä", "xn--a", "[::1]", "%zz.com", "a\u200d.de", "..", "1.2.3.4", "ß.de"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		host, err := testPolicy.Normalize(typed)
		if err != nil {
			if fault.From(err).Kind != fault.Invalid {
				t.Fatalf("%q: %v is no fault of the input", typed, err)
			}
			return
		}
		if len(host) > 253 || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-.") != "" || !strings.Contains(host, ".") {
			t.Fatalf("%q became %q", typed, host)
		}
		if again, err := testPolicy.Normalize(host); err != nil || again != host {
			t.Fatalf("%q became %q, and that %q, %v", typed, host, again, err)
		}
		for _, zone := range testPolicy.PlatformZones {
			if within(host, zone) {
				t.Fatalf("%q became %q, which is ours", typed, host)
			}
		}
	})
}

func TestEveryStateCanBeReachedAndLeft(t *testing.T) {
	reached := map[State]bool{Pending: true}
	for range States() {
		for from := range reached {
			for _, to := range moves[from] {
				reached[to] = true
			}
		}
	}
	for _, s := range States() {
		if !reached[s] {
			t.Errorf("no way leads to %s", s)
		}
		if s != Removed && !s.May(Removed) {
			t.Errorf("%s cannot be removed", s)
		}
		if Removed.May(s) && s != Removed {
			t.Errorf("removed comes back as %s", s)
		}
		if sentence(Domain{State: s, Host: "shop.example.com"}) == "" {
			t.Errorf("%s says nothing", s)
		}
	}
	if Pending.May(Active) || Pending.May(Issuing) || Conflict.May(Issuing) || Removed.May(Pending) {
		t.Error("a name could be served without proof")
	}
}
