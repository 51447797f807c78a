package branding

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func anyColor(t *rapid.T, name string) Color {
	return Color{rapid.Uint8().Draw(t, name+" red"), rapid.Uint8().Draw(t, name+" green"), rapid.Uint8().Draw(t, name+" blue")}
}

func maybeColor(t *rapid.T, name string) string {
	if rapid.Bool().Draw(t, "choose "+name) {
		return ""
	}
	return anyColor(t, name).String()
}

func TestColorSurvivesOKLCH(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyColor(t, "colour")
		if got := c.oklch().color(); got != c {
			t.Fatalf("%s came back as %s", c, got)
		}
	})
}

func TestContrastOfKnownPairs(t *testing.T) {
	for _, x := range []struct {
		a, b string
		want float64
	}{{"#000000", "#ffffff", 21}, {"#767676", "#ffffff", 4.54}, {"#777777", "#ffffff", 4.48}, {"#ff0000", "#ffffff", 4.0}, {"#123456", "#123456", 1}} {
		got := Contrast(shade(x.a), shade(x.b))
		if got < x.want-0.01 || got > x.want+0.01 {
			t.Errorf("contrast of %s and %s is %.3f, want %.2f", x.a, x.b, got, x.want)
		}
	}
}

func TestLegibleAlwaysFindsOneAgainstOneGround(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, on := anyColor(t, "colour"), anyColor(t, "ground")
		got, ok := Legible(c, textContrast, on)
		if !ok || Contrast(got, on) < textContrast {
			t.Fatalf("%s on %s became %s with %.2f", c, on, got, Contrast(got, on))
		}
		if Contrast(c, on) >= textContrast && got != c {
			t.Fatalf("%s on %s was fine and became %s", c, on, got)
		}
	})
}

// The promise of Palette: every pair it names can be read, whatever was chosen.
func TestEveryPairOfAPaletteIsReadable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tokens := Tokens{
			Brand: maybeColor(t, "brand"), Accent: maybeColor(t, "accent"), Background: maybeColor(t, "background"),
			Surface: maybeColor(t, "surface"), Text: maybeColor(t, "text"),
		}
		for _, scheme := range []Scheme{Light, Dark} {
			p, repairs := PaletteFor(tokens, scheme)
			grounds := map[string]Color{"background": p.Background, "surface": p.Surface, "brand-soft": p.BrandSoft}
			for on, g := range grounds {
				readable(t, scheme, "text on "+on, p.Text, g, textContrast)
				readable(t, scheme, "muted on "+on, p.Muted, g, textContrast)
				readable(t, scheme, "brand text on "+on, p.BrandText, g, textContrast)
			}
			for _, g := range []Color{p.Background, p.Surface} {
				readable(t, scheme, "brand", p.Brand, g, uiContrast)
				readable(t, scheme, "accent", p.Accent, g, uiContrast)
				readable(t, scheme, "border-strong", p.BorderStrong, g, uiContrast)
				for name, c := range map[string]Color{"good": p.Good, "warn": p.Warn, "bad": p.Bad, "info": p.Info} {
					readable(t, scheme, name, c, g, textContrast)
				}
			}
			readable(t, scheme, "text on brand", p.BrandFG, p.Brand, textContrast)
			readable(t, scheme, "text on accent", p.AccentFG, p.Accent, textContrast)
			for name, pair := range map[string][2]Color{"good": {p.Good, p.GoodSoft}, "warn": {p.Warn, p.WarnSoft}, "bad": {p.Bad, p.BadSoft}, "info": {p.Info, p.InfoSoft}} {
				readable(t, scheme, name+" on its soft", pair[0], pair[1], textContrast)
				readable(t, scheme, "text on "+name+"-soft", p.Text, pair[1], textContrast)
			}
			for _, r := range repairs {
				if r.Ratio >= r.Needed {
					t.Fatalf("repaired what was fine: %s", r.Message())
				}
			}
		}
	})
}

func readable(t *rapid.T, s Scheme, what string, a, b Color, want float64) {
	if got := Contrast(a, b); got < want {
		t.Fatalf("%s, %s: %s against %s has %.2f:1, needs %.1f:1", s, what, a, b, got, want)
	}
}

func TestFineColorsStayAndPaleOnesAreReported(t *testing.T) {
	p, repairs := PaletteFor(Tokens{Brand: "#1f5fbf"}, Light)
	if p.Brand.String() != "#1f5fbf" || len(repairs) != 0 {
		t.Errorf("brand %s, repairs %v", p.Brand, repairs)
	}
	p, repairs = PaletteFor(Tokens{Brand: "#ffe14d", Accent: "#1f5fbf"}, Light)
	if len(repairs) != 1 || repairs[0].Token != "brand colour" || repairs[0].To != p.Brand {
		t.Fatalf("repairs %v", repairs)
	}
	for _, want := range []string{"light", "#ffe14d", "3.0:1", p.Brand.String()} {
		if !strings.Contains(repairs[0].Message(), want) {
			t.Errorf("%q does not say %q", repairs[0].Message(), want)
		}
	}
}

func FuzzParseColor(f *testing.F) {
	f.Add("#fff")
	f.Add("#12aB9f")
	f.Add("red")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseColor(s)
		if err != nil {
			return
		}
		if again, err := ParseColor(c.String()); err != nil || again != c {
			t.Errorf("%q became %s and then %s (%v)", s, c, again, err)
		}
	})
}
