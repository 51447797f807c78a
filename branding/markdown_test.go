package branding

import (
	"strings"
	"testing"
)

// A reseller's text becomes markup that can do nothing.
func TestMarkdownDoesNothing(t *testing.T) {
	for _, source := range []string{
		"<script>alert(1)</script>", "[x](javascript:alert(1))", "[x](JaVaScRiPt:alert(1))", "[x](java\tscript:alert(1))", "![x](javascript:alert(1))",
		"[x](data:text/html;base64,PHNjcmlwdD4=)", "[x](vbscript:x)", "<img src=x onerror=alert(1)>", "<a href='javascript:alert(1)'>x</a>",
		"<svg onload=alert(1)>", "<iframe src=//evil.test></iframe>", "<p style='position:fixed'>x</p>", "[x]: javascript:alert(1)\n\n[x]", "<javascript:alert(1)>",
	} {
		html, err := markdown(source)
		if err != nil {
			t.Fatalf("%q: %v", source, err)
		}
		for _, bad := range []string{"<script", "<iframe", "<svg", "style=", "href=\"java", "href=\"JaVa", "href=\"vb", "href=\"data:", "src=\"java", "<img src=x"} {
			if strings.Contains(string(html), bad) {
				t.Errorf("%q became %q", source, html)
			}
		}
	}
	html, err := markdown("# Terms\n\n[Help](https://example.com/help), [contact](/contact), **bold**\n\n| a | b |\n|---|---|\n| 1 | 2 |")
	for _, want := range []string{"<h1", `href="https://example.com/help"`, `href="/contact"`, "<strong>bold</strong>", "<table>"} {
		if err != nil || !strings.Contains(string(html), want) {
			t.Errorf("%s is missing in %q: %v", want, html, err)
		}
	}
}
