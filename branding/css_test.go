package branding

import (
	"strings"
	"testing"

	"github.com/ezscale/ezscale/tenancy/fault"
)

func TestScopeCSSKeepsRulesInsideTheShop(t *testing.T) {
	for name, x := range map[string]struct{ source, want string }{
		"plain":          {"h1 { color: red }", ".ez-shop h1{color:red;}\n"},
		"list":           {"h1, .card > a:hover{color:#FFF!important;}", ".ez-shop h1,.ez-shop .card > a:hover{color:#FFF!important;}\n"},
		"comma in is":    {":is(h1, h2) em{margin:0 auto}", ".ez-shop :is(h1, h2) em{margin:0 auto;}\n"},
		"whole page":     {"body{margin:0} :root p{margin:0} html.dark h1{margin:0}", ".ez-shop{margin:0;}\n.ez-shop p{margin:0;}\n.ez-shop.dark h1{margin:0;}\n"},
		"comment splits": {"h1/* x */em{margin:0}", ".ez-shop h1 em{margin:0;}\n"},
		"media":          {"@media (min-width: 40em) { p { width: calc(100% - 2px) } }", "@media (min-width: 40em){.ez-shop p{width:calc(100% - 2px);}\n}\n"},
		"keyframes":      {"@keyframes in { from {opacity:0} 100% {opacity:1} }", "@keyframes in{from{opacity:0;}\n100%{opacity:1;}\n}\n"},
		"variable":       {"p { --gap: 4px; padding: var(--gap) }", ".ez-shop p{--gap:4px;padding:var(--gap);}\n"},
		"empty":          {"", ""},
		"strings":        {`p::before { content: "»" }`, ".ez-shop p::before{content:\"»\";}\n"},
		"areas":          {`main { grid-template-areas: "a b"; grid-template-columns: [x] 1fr 2fr }`, ".ez-shop main{grid-template-areas:\"a b\";grid-template-columns:[x] 1fr 2fr;}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ScopeCSS(x.source)
			if err != nil || got != x.want {
				t.Errorf("got %q, %v; want %q", got, err, x.want)
			}
		})
	}
}

func TestScopeCSSRefusesWithLineAndReason(t *testing.T) {
	for name, x := range map[string]struct{ source, line, reason string }{
		"url":                  {"p{\nbackground:url(http://x)}", "Line 2", "url()"},
		"quoted url":           {`p{background:url("//x")}`, "Line 1", "url("},
		"image-set":            {`p{background:image-set("x" 1x)}`, "Line 1", "image-set()"},
		"import":               {"\n\n@import 'x.css';", "Line 3", "@import"},
		"font face":            {"@font-face{font-family:x}", "Line 1", "@font-face"},
		"charset":              {`@charset "utf-8";`, "Line 1", "@charset"},
		"expression":           {"p{width:expression(alert(1))}", "Line 1", "expression()"},
		"behavior":             {"p{behavior:x}", "Line 1", "behavior"},
		"escaped url":          {`p{background:u\72l(x)}`, "Line 1", "backslash"},
		"escaped string":       {`p{content:"\"}`, "Line 1", "quotes"},
		"fixed":                {"a{}\np{position:fixed}", "Line 2", "position"},
		"fixed by variable":    {"p{--p:fixed;position:var(--p)}", "Line 1", "position"},
		"far above":            {"p{z-index:99999}", "Line 1", "z-index"},
		"above by variable":    {"p{z-index:calc(9*9)}", "Line 1", "z-index"},
		"brand token":          {"p{--ez-brand:#fff}", "Line 1", "set by the brand"},
		"sibling of the root":  {"body ~ div{margin:0}", "Line 1", "nothing beside"},
		"leading combinator":   {"+ div{margin:0}", "Line 1", "begin"},
		"nesting":              {"p{ a{margin:0} }", "Line 1", ""},
		"nested selector":      {"p{ &:hover{margin:0} }", "Line 1", ""},
		"has":                  {"p:has(a){margin:0}", "Line 1", "has("},
		"missing brace":        {"p{margin:0", "Line 1", "not finished"},
		"missing outer brace":  {"@media print{p{margin:0}", "Line 1", "brace"},
		"stray brace":          {"p{margin:0}}", "Line 1", ""},
		"block without name":   {"{margin:0}", "Line 1", "without a selector"},
		"end of style":         {"</style><script>", "Line 1", ""},
		"html comment":         {"<!-- p{margin:0} -->", "Line 1", ""},
		"open comment":         {"p{margin:0} /* x", "Line 1", "comment"},
		"open quotes":          {"p{content:\"x}", "Line 1", ""},
		"attribute by content": {"p::after{content:attr(value)}", "Line 1", "attr()"},
		"page":                 {"@page{margin:0}", "Line 1", "@page"},
		"nested media":         {"@media print{@media screen{p{margin:0}}}", "Line 1", "inside"},
		"our keyframes":        {"@keyframes ez-in{from{opacity:0}}", "Line 1", "ez-"},
		"too long":             {strings.Repeat("p{margin:0}", 4000), "Line 1", "32 KB"},
		"NUL":                  {"p{margin:0\x00}", "Line 1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ScopeCSS(x.source)
			if !fault.Is(err, "brand.css_refused") {
				t.Fatalf("taken as %q, error %v", got, err)
			}
			m := fault.From(err).Message
			if !strings.HasPrefix(m, x.line+":") || !strings.Contains(m, x.reason) {
				t.Errorf("says %q; want %q and %q", m, x.line, x.reason)
			}
		})
	}
}

func FuzzScopeCSS(f *testing.F) {
	for _, s := range []string{"h1{color:red}", "@media (min-width:1px){a,b{margin:0}}", "p{background:u\\72l(x)}", "a:is(b,c)>d{content:\"x\"}", "@keyframes x{from{opacity:0}}", "a[b='c']{--x:[y]}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out, err := ScopeCSS(s)
		if err != nil {
			if !fault.Is(err, "brand.css_refused") {
				t.Fatalf("an error that is no fault: %v", err)
			}
			return
		}
		again, err := ScopeCSS(out)
		if err != nil && len(out) <= maxCSS {
			t.Fatalf("%q became %q, which is refused: %v", s, out, err)
		}
		for _, bad := range []string{"url(", "\\", "@import", "expression(", "</"} {
			if strings.Contains(strings.ToLower(stripStrings(out)), bad) {
				t.Fatalf("%q became %q, which has %q (again %q)", s, out, bad, again)
			}
		}
	})
}

// stripStrings takes quoted text away: there, any word is harmless.
func stripStrings(s string) string {
	var b strings.Builder
	var open rune
	for _, r := range s {
		switch {
		case open == 0 && (r == '"' || r == '\''):
			open = r
		case open == r:
			open = 0
		case open == 0:
			b.WriteRune(r)
		}
	}
	return b.String()
}
