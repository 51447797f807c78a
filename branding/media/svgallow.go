package media

import (
	"strings"

	"github.com/tdewolff/parse/v2"
	"github.com/tdewolff/parse/v2/css"
)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

var (
	// What draws. Everything else is left out, or refused when it stands in svgActive.
	svgElements = set(`svg g defs symbol use path rect circle ellipse line polyline polygon text tspan title desc style
		linearGradient radialGradient stop clipPath mask pattern marker filter feBlend feColorMatrix feComponentTransfer
		feComposite feDropShadow feFlood feFuncA feFuncB feFuncG feFuncR feGaussianBlur feMerge feMergeNode feMorphology
		feOffset`)

	// What acts or loads, lower case.
	svgActive = set(`script foreignobject iframe object embed image feimage audio video canvas a animate animatemotion
		animatetransform animatecolor set discard mpath handler listener link meta base html body form input`)

	// Elements whose text is kept.
	svgTexts = set(`text tspan title desc`)

	svgAttributes = set(`id class style d x y x1 x2 y1 y2 cx cy r rx ry fx fy fr dx dy width height viewBox
		preserveAspectRatio points transform transform-origin fill fill-opacity fill-rule stroke stroke-width
		stroke-opacity stroke-linecap stroke-linejoin stroke-miterlimit stroke-dasharray stroke-dashoffset opacity
		clip-path clip-rule clipPathUnits mask maskUnits maskContentUnits mask-type gradientUnits gradientTransform
		spreadMethod offset stop-color stop-opacity pattern patternUnits patternContentUnits patternTransform
		marker-start marker-mid marker-end markerWidth markerHeight markerUnits refX refY orient font-family font-size
		font-weight font-style font-variant text-anchor text-decoration letter-spacing word-spacing
		dominant-baseline alignment-baseline baseline-shift textLength lengthAdjust rotate role aria-label aria-hidden
		aria-labelledby version overflow display visibility color vector-effect paint-order shape-rendering
		text-rendering color-interpolation color-interpolation-filters mix-blend-mode isolation filter filterUnits
		primitiveUnits in in2 result stdDeviation values type mode operator radius k1 k2 k3 k4 tableValues slope
		intercept amplitude exponent flood-color flood-opacity pathLength`)

	styleFunctions = set(`rgb( rgba( hsl( hsla( translate( translatex( translatey( scale( rotate( skewx( skewy( matrix( url(`)
)

// badStyle is what a style must not have, in words; empty: it is fine. Rules may
// stand in a style element and not in an attribute.
func badStyle(s string, rules bool) string {
	lexer := css.NewLexer(parse.NewInputString(s))
	read := 0
	var before css.TokenType
	var beforeText string
	for {
		kind, data := lexer.Next()
		text := string(data)
		read += len(data)
		switch {
		case kind == css.ErrorToken && read != len(s):
			return "a character that no style may have"
		case kind == css.ErrorToken:
			return ""
		case strings.Contains(text, `\`):
			return "a backslash"
		case kind == css.AtKeywordToken:
			return text
		case kind == css.URLToken && !isFragment(strings.TrimSuffix(text[len("url("):], ")")):
			return text
		case kind == css.BadURLToken || kind == css.BadStringToken || kind == css.CDOToken || kind == css.CDCToken:
			return text
		case kind == css.FunctionToken && !styleFunctions[strings.ToLower(text)]:
			return text + ")"
		case before == css.FunctionToken && strings.EqualFold(beforeText, "url(") && (kind != css.StringToken || !isFragment(text)):
			return "url(" + text
		case !rules && (kind == css.LeftBraceToken || kind == css.RightBraceToken):
			return "a rule"
		}
		if kind != css.WhitespaceToken && kind != css.CommentToken {
			before, beforeText = kind, text
		}
	}
}

// isFragment reports whether a url points into the picture itself.
func isFragment(s string) bool {
	return strings.HasPrefix(strings.Trim(strings.TrimSpace(s), `"'`), "#")
}
