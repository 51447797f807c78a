package branding

import (
	"strings"
	"testing"
)

func TestStylesheetSaysOnlyWhatWasChosen(t *testing.T) {
	if css, _ := Stylesheet(Brand{}); len(css) != 0 {
		t.Errorf("nothing chosen gives %s", css)
	}
	css, hash := Stylesheet(Brand{Tokens: Tokens{Brand: "#336699", Font: "serif", Radius: "none"}, CustomCSS: "h1{color:red}"})
	for _, want := range []string{"--ez-brand:#336699;", "--ez-font:Charter", "--ez-radius:0", ":root[data-theme=dark]{--ez-bg:", "prefers-color-scheme:dark", ".ez-shop h1{color:red;}"} {
		if !strings.Contains(string(css), want) {
			t.Errorf("there is no %q in %s", want, css)
		}
	}
	again, same := Stylesheet(Brand{Tokens: Tokens{Brand: "#336699", Font: "serif", Radius: "none"}, CustomCSS: "h1{color:red}"})
	if hash != same || string(css) != string(again) || len(hash) != 32 {
		t.Errorf("hashes %s and %s", hash, same)
	}
	if css, _ := Stylesheet(Brand{Tokens: Tokens{Brand: "#336699", Scheme: "dark"}}); strings.Contains(string(css), "@media") || !strings.Contains(string(css), "color-scheme:dark") {
		t.Errorf("always dark gives %s", css)
	}
	for scheme, want := range map[string]string{
		"dark": ".theme-toggle,.logo-light{display:none}\n.has-dark .logo-dark{display:block}", "light": ".theme-toggle,.logo-dark{display:none}\n.has-dark .logo-light{display:block}",
	} {
		css, _ := Stylesheet(Brand{Tokens: Tokens{Brand: "#336699", Scheme: scheme}, LogoURL: "/a", LogoDarkURL: "/b"})
		if strings.Contains(string(css), "@media") || !strings.Contains(string(css), want) {
			t.Errorf("always %s gives %s", scheme, css)
		}
	}
	if css, _ := Stylesheet(Brand{Tokens: Tokens{Scheme: "auto"}, LogoURL: "/a", LogoDarkURL: "/b"}); len(css) != 0 {
		t.Errorf("both schemes give %s", css)
	}
	if css, _ := Stylesheet(Brand{CustomCSS: "@import 'x'"}); len(css) != 0 {
		t.Errorf("CSS that would be refused today is served: %s", css)
	}
}
