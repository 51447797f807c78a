package branding

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Brand is what a tenant's pages show of it: a version's content with everything
// looked up. It is immutable; a change is a new one.
type Brand struct {
	Name           string // of the business, from the directory
	Number         int    // of the version; 0: none was published yet
	Theme          string
	Tokens         Tokens
	Texts          Texts
	CustomCSS      string
	LogoURL        string // path on the tenant's host; empty: show the name
	LogoDarkURL    string
	FaviconURL     string
	StylesheetURL  string
	Repairs        []Repair
	stylesheet     []byte
	stylesheetHash string
}

// Stylesheet is the brand as CSS: custom properties for light and dark, then the
// reseller's own CSS below the shop's root. The hash names it: other bytes, other name.
func Stylesheet(b Brand) (css []byte, hash string) {
	var s strings.Builder
	for _, p := range shape(b.Tokens) {
		fmt.Fprintf(&s, ":root{%s:%s}\n", p[0], p[1])
	}
	s.WriteString(schemes(b.Tokens))
	s.WriteString(only(Scheme(b.Tokens.Scheme), b.LogoDarkURL != ""))
	// What is stored passed ScopeCSS when it was saved. If the lists have grown
	// stricter since, the page goes without it rather than with it.
	if scoped, err := ScopeCSS(b.CustomCSS); err == nil {
		s.WriteString(scoped)
	}
	css = []byte(s.String())
	sum := sha256.Sum256(css)
	return css, hex.EncodeToString(sum[:16])
}

// schemes is the brand's colours. Where nothing was chosen the theme's own stay.
func schemes(t Tokens) string {
	var light, dark string
	if t.Brand != "" || t.Accent != "" || t.Background != "" || t.Surface != "" || t.Text != "" {
		l, _ := PaletteFor(t, Light)
		d, _ := PaletteFor(t, Dark)
		light, dark = colors(l), colors(d)
	}
	switch {
	case t.Scheme == string(Light):
		return ":root{color-scheme:light;" + light + "}\n"
	case t.Scheme == string(Dark):
		return ":root{color-scheme:dark;" + dark + "}\n"
	case light == "":
		return ""
	}
	return ":root{" + light + "}\n" +
		"@media (prefers-color-scheme:dark){:root:not([data-theme=light]){" + dark + "}}\n" +
		":root[data-theme=dark]{" + dark + "}\n"
}

// only is what a brand of one scheme needs besides its colours: the logo of that scheme,
// whatever the visitor's system prefers, and no switch that would change nothing.
func only(s Scheme, darkLogo bool) string {
	show, hide := ".logo-dark", ".logo-light"
	switch {
	case s != Light && s != Dark:
		return ""
	case !darkLogo:
		return ".theme-toggle{display:none}\n"
	case s == Light:
		show, hide = hide, show
	}
	return ".theme-toggle," + hide + "{display:none}\n.has-dark " + show + "{display:block}\n"
}

// shape is what was chosen about the brand that no scheme changes.
func shape(t Tokens) [][2]string {
	var all [][2]string
	put := func(name, key string, choices []Choice) {
		if v := pick(choices, key, ""); key != "" && v != "" {
			all = append(all, [2]string{name, v})
		}
	}
	put("--ez-font", t.Font, Fonts)
	put("--ez-radius", t.Radius, Radii)
	put("--ez-density", t.Density, Densities)
	return all
}

// Shape is the font stack and the radius the tokens choose, as CSS values of ours.
func Shape(t Tokens) (font, radius string) {
	return pick(Fonts, t.Font, "system"), pick(Radii, t.Radius, "medium")
}

func colors(p Palette) string {
	var s strings.Builder
	put := func(name string, c Color) { fmt.Fprintf(&s, "--ez-%s:%s;", name, c) }
	put("bg", p.Background)
	put("surface", p.Surface)
	put("text", p.Text)
	put("muted", p.Muted)
	put("border", p.Border)
	put("border-strong", p.BorderStrong)
	put("brand", p.Brand)
	put("brand-fg", p.BrandFG)
	put("brand-text", p.BrandText)
	put("brand-soft", p.BrandSoft)
	put("accent", p.Accent)
	put("accent-fg", p.AccentFG)
	put("good", p.Good)
	put("good-soft", p.GoodSoft)
	put("warn", p.Warn)
	put("warn-soft", p.WarnSoft)
	put("bad", p.Bad)
	put("bad-soft", p.BadSoft)
	put("info", p.Info)
	put("info-soft", p.InfoSoft)
	fmt.Fprintf(&s, "--ez-brand-rgb:%d,%d,%d;", p.Brand.R, p.Brand.G, p.Brand.B)
	return s.String()
}
