package branding

import (
	"fmt"
	"math"
	"strconv"
)

// Color is one opaque sRGB colour.
type Color struct{ R, G, B uint8 }

var (
	white = Color{255, 255, 255}
	black = Color{}
	ink   = Color{0x14, 0x18, 0x1f} // the dark text on light fills, while it suffices
)

// ParseColor reads "#rgb" or "#rrggbb", the forms a colour input and people write.
func ParseColor(s string) (Color, error) {
	if len(s) == 4 && s[0] == '#' {
		s = string([]byte{'#', s[1], s[1], s[2], s[2], s[3], s[3]})
	}
	if len(s) != 7 || s[0] != '#' {
		return Color{}, fmt.Errorf("%.20q is not a colour like #1a7f5a", s)
	}
	n, err := strconv.ParseUint(s[1:], 16, 32)
	if err != nil {
		return Color{}, fmt.Errorf("%.20q is not a colour like #1a7f5a", s)
	}
	return Color{uint8(n >> 16), uint8(n >> 8), uint8(n)}, nil //nolint:gosec // 24 bits
}

// String is "#rrggbb".
func (c Color) String() string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// luminance is WCAG's relative luminance, 0 to 1.
func (c Color) luminance() float64 {
	r, g, b := c.linear()
	return 0.2126*r + 0.7152*g + 0.0722*b
}

// Contrast is WCAG's contrast ratio of two colours, 1 to 21.
func Contrast(a, b Color) float64 {
	x, y := a.luminance(), b.luminance()
	if x < y {
		x, y = y, x
	}
	return (x + 0.05) / (y + 0.05)
}

func (c Color) linear() (r, g, b float64) { return expand(c.R), expand(c.G), expand(c.B) }

func expand(v uint8) float64 {
	x := float64(v) / 255
	if x <= 0.04045 {
		return x / 12.92
	}
	return math.Pow((x+0.055)/1.055, 2.4)
}

func compress(x float64) uint8 {
	if x <= 0.0031308 {
		x *= 12.92
	} else {
		x = 1.055*math.Pow(x, 1/2.4) - 0.055
	}
	return uint8(math.Round(min(max(x, 0), 1) * 255))
}

// oklch is a colour by perceived lightness (0 to 1), chroma and hue (radians):
// the space in which one can be changed without the others seeming to move.
type oklch struct{ l, c, h float64 }

func (c Color) oklch() oklch {
	r, g, b := c.linear()
	l := math.Cbrt(0.4122214708*r + 0.5363325363*g + 0.0514459929*b)
	m := math.Cbrt(0.2119034982*r + 0.6806995451*g + 0.1073969566*b)
	s := math.Cbrt(0.0883024619*r + 0.2817188376*g + 0.6299787005*b)
	x := 1.9779984951*l - 2.4285922050*m + 0.4505937099*s
	y := 0.0259040371*l + 0.7827717662*m - 0.8086757660*s
	return oklch{0.2104542553*l + 0.7936177850*m - 0.0040720468*s, math.Hypot(x, y), math.Atan2(y, x)}
}

// rgb is the linear value, which may lie outside of what sRGB can show.
func (o oklch) rgb() (r, g, b float64) {
	x, y := o.c*math.Cos(o.h), o.c*math.Sin(o.h)
	l := cube(o.l + 0.3963377774*x + 0.2158037573*y)
	m := cube(o.l - 0.1055613458*x - 0.0638541728*y)
	s := cube(o.l - 0.0894841775*x - 1.2914855480*y)
	return 4.0767416621*l - 3.3077115913*m + 0.2309699292*s,
		-1.2684380046*l + 2.6097574011*m - 0.3413193965*s,
		-0.0041960863*l - 0.7034186147*m + 1.7076147010*s
}

func cube(x float64) float64 { return x * x * x }

// color is the nearest colour sRGB can show with this lightness and hue: chroma
// gives way, for a shift of hue is what people notice.
func (o oklch) color() Color {
	if o.l <= 0 {
		return black
	}
	if o.l >= 1 {
		return white
	}
	low, high := 0.0, o.c
	if fits(o.rgb()) {
		low = high
	}
	for range 20 {
		if high-low < 1e-4 {
			break
		}
		mid := (low + high) / 2
		if fits(oklch{o.l, mid, o.h}.rgb()) {
			low = mid
		} else {
			high = mid
		}
	}
	r, g, b := oklch{o.l, low, o.h}.rgb()
	return Color{compress(r), compress(g), compress(b)}
}

func fits(r, g, b float64) bool {
	const slack = 1e-4
	return min(r, g, b) >= -slack && max(r, g, b) <= 1+slack
}

// mix is a with this part of b painted over it, as browsers blend.
func mix(a, b Color, part float64) Color {
	blend := func(x, y uint8) uint8 {
		return uint8(math.Round(float64(x) + (float64(y)-float64(x))*part))
	}
	return Color{blend(a.R, b.R), blend(a.G, b.G), blend(a.B, b.B)}
}
