package branding

import (
	"fmt"
	"math"
)

// What WCAG 2.2 AA asks: of text, and of the parts of the interface one must see.
const (
	textContrast = 4.5
	uiContrast   = 3.0
)

// Scheme is one of the two appearances a brand has.
type Scheme string

// The schemes.
const (
	Light Scheme = "light"
	Dark  Scheme = "dark"
)

// Repair says how a chosen colour was changed so that everybody can read the page.
type Repair struct {
	Scheme  Scheme
	Token   string // brand, accent, text, surface
	Against string // what it stands on, in words
	From    Color
	To      Color
	Ratio   float64 // what the chosen colour had
	Needed  float64
}

// Message is the repair in words a person uses.
func (r Repair) Message() string {
	return fmt.Sprintf("In %s mode your %s %s has a contrast of %.1f:1 against %s; %.1f:1 is needed, so pages use %s.",
		r.Scheme, r.Token, r.From, math.Floor(r.Ratio*10)/10, r.Against, r.Needed, r.To)
}

// Legible moves c in lightness, no further than needed and with its hue kept, until
// its contrast with every colour in against is at least ratio. It returns c itself
// when c is already fine, and false when no lightness will do.
func Legible(c Color, ratio float64, against ...Color) (Color, bool) {
	if lowest(c, against) >= ratio {
		return c, true
	}
	const steps = 400
	o := c.oklch()
	for n := 1; n <= steps; n++ {
		d := float64(n) / steps
		var found []Color
		for _, l := range []float64{o.l - d, o.l + d} {
			if l < -1.0/steps || l > 1+1.0/steps {
				continue
			}
			if x := (oklch{l, o.c, o.h}).color(); lowest(x, against) >= ratio {
				found = append(found, x)
			}
		}
		if len(found) == 2 && lowest(found[1], against) > lowest(found[0], against) {
			return found[1], true
		}
		if len(found) > 0 {
			return found[0], true
		}
	}
	return c, false
}

func lowest(c Color, against []Color) float64 {
	least := 21.0
	for _, a := range against {
		least = min(least, Contrast(c, a))
	}
	return least
}

// Palette is every colour of one scheme. The pairs its fields' comments name hold
// for any tokens: 4.5:1 for text, 3:1 for the rest.
type Palette struct {
	Background, Surface   Color
	Text, Muted           Color // text on background, surface and brand-soft
	Border                Color // decoration: no contrast promised
	BorderStrong          Color // edges of fields: 3:1 on background and surface
	Brand                 Color // fills: 3:1 on background and surface
	BrandFG               Color // text on brand
	BrandText             Color // brand as text, links, focus: on background, surface, brand-soft
	BrandSoft             Color
	Accent, AccentFG      Color // as brand
	Good, Warn, Bad, Info Color // text on background, surface and their own soft
	GoodSoft, WarnSoft    Color
	BadSoft, InfoSoft     Color
}

// ground is what a theme looks like before a reseller chooses anything.
type ground struct{ background, surface, text, good, warn, bad, info Color }

// shade is a colour of ours.
func shade(s string) Color {
	c, err := ParseColor(s)
	if err != nil {
		return black
	}
	return c
}

// groundOf is the neutral ground of a scheme, the same as in themes/assets/css/tokens.css; a chosen light background tints the dark one.
func groundOf(t Tokens, s Scheme) ground {
	if s == Dark {
		g := ground{shade("#0e1013"), shade("#15181c"), shade("#e9ebee"), shade("#4cc38a"), shade("#e8a93e"), shade("#ff8581"), shade("#74adff")}
		if bg, err := ParseColor(t.Background); err == nil {
			o := bg.oklch()
			g.background = oklch{0.19, min(o.c, 0.035), o.h}.color()
			g.surface = oklch{0.235, min(o.c, 0.035), o.h}.color()
		}
		return g
	}
	g := ground{white, white, shade("#16181d"), shade("#0b7a46"), shade("#8f5700"), shade("#c0262c"), shade("#1d5dbd")}
	set := func(to *Color, from string) {
		if c, err := ParseColor(from); err == nil {
			*to = c
		}
	}
	set(&g.background, t.Background)
	if o := g.background.oklch(); o.l < 0.65 { // a dark page has cards of its own kind, not white ones
		g.surface = oklch{o.l + 0.05, o.c, o.h}.color()
	}
	set(&g.surface, t.Surface)
	set(&g.text, t.Text)
	return g
}

// PaletteFor makes the scheme's colours from the tokens, and tells what had to be
// changed for the sake of contrast. Tokens that are not colours count as not chosen.
func PaletteFor(t Tokens, s Scheme) (Palette, []Repair) {
	m := mender{scheme: s}
	g := groundOf(t, s)
	p := Palette{Background: g.background, Surface: g.surface}
	// Some text must be readable on both grounds, or nothing below can be mended.
	if lowest(black, []Color{p.Background, p.Surface}) < textContrast && lowest(white, []Color{p.Background, p.Surface}) < textContrast {
		m.note("surface colour", "any text that can be read on the background", p.Surface, p.Background,
			max(lowest(black, []Color{p.Background, p.Surface}), lowest(white, []Color{p.Background, p.Surface})), textContrast)
		p.Surface = p.Background
	}
	brand := choose(t.Brand, defaultBrand)
	p.Text = m.mend("text colour", s == Light && t.Text != "", g.text, textContrast, p.Background, p.Surface)
	p.Brand = m.mend("brand colour", t.Brand != "", brand, uiContrast, p.Background, p.Surface)
	p.Accent = m.mend("accent colour", t.Accent != "", choose(t.Accent, brand.String()), uiContrast, p.Background, p.Surface)
	p.BrandFG, p.AccentFG = textOn(p.Brand), textOn(p.Accent)
	p.BrandSoft = soft(p.Surface, p.Brand, p.Text)
	grounds := []Color{p.Background, p.Surface, p.BrandSoft}
	p.BrandText, _ = Legible(p.Brand, textContrast, grounds...)
	p.Muted, _ = Legible(mix(p.Text, p.Background, 0.38), textContrast, grounds...)
	p.Border = mix(p.Surface, p.Text, 0.13)
	p.BorderStrong, _ = Legible(mix(p.Surface, p.Text, 0.42), uiContrast, p.Background, p.Surface)
	p.Good, p.GoodSoft = meaning(g.good, p)
	p.Warn, p.WarnSoft = meaning(g.warn, p)
	p.Bad, p.BadSoft = meaning(g.bad, p)
	p.Info, p.InfoSoft = meaning(g.info, p)
	return p, m.repairs
}

func choose(s, otherwise string) Color {
	if c, err := ParseColor(s); err == nil {
		return c
	}
	return shade(otherwise)
}

// textOn is white, ink or black: the first that can be read on the fill. One of
// black and white always has 4.58:1.
func textOn(fill Color) Color {
	for _, c := range []Color{white, ink} {
		if Contrast(c, fill) >= textContrast {
			return c
		}
	}
	return black
}

// soft is a tint of the surface on which the text can still be read.
func soft(surface, tint, text Color) Color {
	c, ok := Legible(mix(surface, tint, 0.11), textContrast, text)
	if !ok {
		return surface
	}
	return c
}

func meaning(c Color, p Palette) (text, tint Color) {
	tint = soft(p.Surface, c, p.Text)
	text, _ = Legible(c, textContrast, p.Background, p.Surface, tint)
	return text, tint
}

// mender repairs chosen colours and remembers what it did.
type mender struct {
	scheme  Scheme
	repairs []Repair
}

// mend notes a repair only of what somebody chose: our own colours adapt silently.
func (m *mender) mend(token string, chosen bool, c Color, ratio float64, grounds ...Color) Color {
	to, _ := Legible(c, ratio, grounds...)
	if chosen && to != c {
		m.note(token, "the background", c, to, lowest(c, grounds), ratio)
	}
	return to
}

func (m *mender) note(token, against string, from, to Color, had, needed float64) {
	m.repairs = append(m.repairs, Repair{Scheme: m.scheme, Token: token, Against: against, From: from, To: to, Ratio: had, Needed: needed})
}
