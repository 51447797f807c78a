package branding

import (
	"strconv"
	"strings"

	"github.com/tdewolff/parse/v2/css"
)

// set reads a list of words into a set.
func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// The words custom CSS may use. What is not here can be added after asking two
// things: can it load something, and can it cover what is not the shop's?
var (
	cssProperties = set(`
		accent-color align-content align-items align-self animation animation-delay animation-direction
		animation-duration animation-fill-mode animation-iteration-count animation-name animation-play-state
		animation-timing-function aspect-ratio backdrop-filter background background-attachment background-blend-mode
		background-clip background-color background-image background-origin background-position background-repeat
		background-size border border-block border-block-end border-block-start border-bottom border-bottom-color
		border-bottom-left-radius border-bottom-right-radius border-bottom-style border-bottom-width border-collapse
		border-color border-inline border-inline-end border-inline-start border-left border-left-color
		border-left-style border-left-width border-radius border-right border-right-color border-right-style
		border-right-width border-spacing border-style border-top border-top-color border-top-left-radius
		border-top-right-radius border-top-style border-top-width border-width bottom box-shadow box-sizing caption-side
		caret-color clear color column-count column-gap column-rule column-width columns content cursor display
		filter flex flex-basis flex-direction flex-flow flex-grow flex-shrink flex-wrap float font font-family
		font-feature-settings font-size font-stretch font-style font-variant font-variant-caps font-variant-numeric
		font-weight gap grid grid-area grid-auto-columns grid-auto-flow grid-auto-rows grid-column grid-column-end
		grid-column-start grid-row grid-row-end grid-row-start grid-template grid-template-areas
		grid-template-columns grid-template-rows height hyphens inline-size inset isolation justify-content
		justify-items justify-self left letter-spacing line-height list-style list-style-position list-style-type
		margin margin-block margin-block-end margin-block-start margin-bottom margin-inline margin-inline-end
		margin-inline-start margin-left margin-right margin-top max-height max-width min-height min-width
		mix-blend-mode object-fit object-position opacity order outline outline-color outline-offset outline-style
		outline-width overflow overflow-wrap overflow-x overflow-y padding padding-block padding-block-end
		padding-block-start padding-bottom padding-inline padding-inline-end padding-inline-start padding-left
		padding-right padding-top place-content place-items place-self position right rotate row-gap scale
		scroll-behavior scroll-margin-top tab-size table-layout text-align text-decoration text-decoration-color
		text-decoration-line text-decoration-style text-decoration-thickness text-indent text-overflow text-shadow
		text-transform text-underline-offset text-wrap top transform transform-origin transition transition-delay
		transition-duration transition-property transition-timing-function translate vertical-align visibility
		white-space width word-break word-spacing z-index`)

	cssFunctions = set(`
		rgb( rgba( hsl( hsla( hwb( lab( lch( oklab( oklch( color-mix( light-dark( calc( min( max( clamp( var(
		linear-gradient( radial-gradient( conic-gradient( repeating-linear-gradient( repeating-radial-gradient(
		translate( translatex( translatey( scale( scalex( scaley( rotate( skew( skewx( skewy( matrix(
		cubic-bezier( steps( blur( brightness( contrast( drop-shadow( grayscale( hue-rotate( invert( opacity(
		saturate( sepia( repeat( minmax( fit-content(`)

	cssPseudos = set(`
		hover focus focus-visible focus-within active visited link any-link disabled enabled checked required
		optional invalid valid placeholder-shown first-child last-child only-child first-of-type last-of-type
		only-of-type empty target open before after first-line first-letter placeholder marker selection`)

	cssPseudoFunctions = set(`not( is( where( nth-child( nth-last-child( nth-of-type( nth-last-of-type(`)

	// Where a value that comes from a variable could undo what we refuse, only these words.
	cssPositions = set(`static relative absolute sticky`)
)

const maxLayer = 10 // of z-index: the shop's own menus and dialogs stand above

// checkDeclaration refuses what the lists do not name.
func checkDeclaration(name cssToken, value []cssToken) error {
	property := strings.ToLower(name.text)
	switch {
	case strings.HasPrefix(property, "--ez-") || strings.HasPrefix(property, "--tblr-"):
		return refuseCSS(name.line, "%.40s is set by the brand: change it under Colours", name.text)
	case !strings.HasPrefix(property, "--") && !cssProperties[property]:
		return refuseCSS(name.line, "the property %.40q is not allowed", name.text)
	case len(value) == 0:
		return refuseCSS(name.line, "%s has no value", name.text)
	}
	for i, t := range value {
		if err := checkValue(t); err != nil {
			return err
		}
		if t.kind == css.DelimToken && t.text == "!" {
			rest := trimSpace(value[i+1:])
			if len(rest) != 1 || !strings.EqualFold(rest[0].text, "important") {
				return refuseCSS(t.line, "only !important may stand at the end of a value")
			}
			value = trimSpace(value[:i])
			break
		}
	}
	return checkPlacement(property, name.line, value)
}

func checkValue(t cssToken) error {
	switch t.kind {
	case css.IdentToken, css.HashToken, css.StringToken, css.NumberToken, css.PercentageToken, css.DimensionToken,
		css.WhitespaceToken, css.CommaToken, css.LeftParenthesisToken, css.RightParenthesisToken, css.CustomPropertyNameToken,
		css.LeftBracketToken, css.RightBracketToken:
		return nil
	case css.FunctionToken:
		if !cssFunctions[strings.ToLower(t.text)] {
			return refuseCSS(t.line, "%.40s) is not allowed", t.text)
		}
		return nil
	case css.DelimToken:
		if strings.Contains("+-*/!", t.text) {
			return nil
		}
	}
	return refuseCSS(t.line, "%.40q is not expected in a value", t.text)
}

// checkPlacement keeps the shop's own chrome in reach: nothing is glued to the
// window, and nothing floats above its menus.
func checkPlacement(property string, line int, value []cssToken) error {
	switch property {
	case "position":
		if len(value) != 1 || !cssPositions[strings.ToLower(value[0].text)] {
			return refuseCSS(line, "position may be static, relative, absolute or sticky")
		}
	case "z-index":
		if len(value) == 1 && strings.EqualFold(value[0].text, "auto") {
			return nil
		}
		n := maxLayer + 1
		if len(value) == 1 && value[0].kind == css.NumberToken {
			if v, err := strconv.Atoi(value[0].text); err == nil {
				n = v
			}
		}
		if n < -maxLayer || n > maxLayer {
			return refuseCSS(line, "z-index may be a whole number from -%d to %d", maxLayer, maxLayer)
		}
	case "content":
		for _, t := range value {
			if t.kind == css.FunctionToken {
				return refuseCSS(line, "content may only be text in quotes")
			}
		}
	}
	return nil
}

// scope checks a list of selectors and puts each below the shop's root. A selector
// of the whole page (html, body, :root) becomes the root itself.
func scope(head []cssToken) (string, error) {
	var scoped []string
	for _, one := range splitCommas(head) {
		one = trimSpace(one)
		if len(one) == 0 {
			return "", refuseCSS(head[0].line, "a selector is missing beside the comma")
		}
		if err := checkSelector(one); err != nil {
			return "", err
		}
		rest, whole := wholePage(one)
		if !whole {
			scoped = append(scoped, "."+ScopeClass+" "+join(one))
			continue
		}
		if next := trimSpace(rest); len(next) > 0 && next[0].kind == css.DelimToken && (next[0].text == "+" || next[0].text == "~") {
			return "", refuseCSS(one[0].line, "there is nothing beside the page to select")
		}
		below := join(rest)
		if len(rest) > 0 && rest[0].kind == css.WhitespaceToken {
			below = " " + below
		}
		scoped = append(scoped, "."+ScopeClass+below)
	}
	return strings.Join(scoped, ","), nil
}

// splitCommas splits at the commas outside of brackets.
func splitCommas(ts []cssToken) [][]cssToken {
	var parts [][]cssToken
	depth, from := 0, 0
	for i, t := range ts {
		switch t.kind {
		case css.FunctionToken, css.LeftParenthesisToken, css.LeftBracketToken:
			depth++
		case css.RightParenthesisToken, css.RightBracketToken:
			depth--
		case css.CommaToken:
			if depth == 0 {
				parts = append(parts, ts[from:i])
				from = i + 1
			}
		}
	}
	return append(parts, ts[from:])
}

// wholePage reports whether a selector begins with the page's root, and what follows it.
func wholePage(one []cssToken) (rest []cssToken, whole bool) {
	if one[0].kind == css.IdentToken && (strings.EqualFold(one[0].text, "html") || strings.EqualFold(one[0].text, "body")) {
		return one[1:], true
	}
	if len(one) > 1 && one[0].kind == css.ColonToken && strings.EqualFold(one[1].text, "root") {
		return one[2:], true
	}
	return one, false
}

func checkSelector(one []cssToken) error {
	if t := one[0]; t.kind == css.DelimToken && strings.Contains(">+~", t.text) {
		return refuseCSS(t.line, "a selector cannot begin with %q", t.text)
	}
	for i, t := range one {
		switch t.kind {
		case css.IdentToken, css.HashToken, css.WhitespaceToken, css.CommaToken, css.RightParenthesisToken,
			css.LeftBracketToken, css.RightBracketToken, css.StringToken, css.IncludeMatchToken, css.DashMatchToken,
			css.PrefixMatchToken, css.SuffixMatchToken, css.SubstringMatchToken, css.NumberToken, css.DimensionToken,
			css.PercentageToken:
		case css.DelimToken:
			if !strings.Contains(".*>+~=-", t.text) {
				return refuseCSS(t.line, "%q is not expected in a selector", t.text)
			}
		case css.ColonToken:
			if err := checkPseudo(one, i); err != nil {
				return err
			}
		case css.FunctionToken:
			if !cssPseudoFunctions[strings.ToLower(t.text)] || i == 0 || one[i-1].kind != css.ColonToken {
				return refuseCSS(t.line, "%.40s) is not allowed in a selector", t.text)
			}
		default:
			return refuseCSS(t.line, "%.40q is not expected in a selector", t.text)
		}
	}
	return nil
}

// checkPseudo checks the word after a colon.
func checkPseudo(one []cssToken, i int) error {
	if i+1 == len(one) {
		return refuseCSS(one[i].line, "a word is missing after the colon")
	}
	next := one[i+1]
	switch {
	case next.kind == css.ColonToken && (i == 0 || one[i-1].kind != css.ColonToken):
		return nil // of a pseudo-element
	case next.kind == css.FunctionToken:
		return nil // checked in its turn
	case next.kind == css.IdentToken && (cssPseudos[strings.ToLower(next.text)] || i == 0 && strings.EqualFold(next.text, "root")):
		return nil
	}
	return refuseCSS(next.line, ":%.40s is not allowed", next.text)
}
