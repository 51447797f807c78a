package branding

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tdewolff/parse/v2"
	"github.com/tdewolff/parse/v2/css"

	"github.com/ezscale/ezscale/tenancy/fault"
)

// ScopeClass is the class of the body of every page a reseller may style. The
// reseller's console and the platform's pages never carry it.
const ScopeClass = "ez-shop"

// maxCSS bounds custom CSS, in bytes.
const maxCSS = 32 << 10

// ScopeCSS reads a reseller's CSS and writes it anew: only what the lists in
// cssallow.go name, and every rule inside of the shop's own root. It refuses the
// rest with the line and the reason; it repairs nothing, so that what is served is
// what was written. The fault's code is brand.css_refused.
func ScopeCSS(source string) (string, error) {
	if len(source) > maxCSS {
		return "", refuseCSS(1, "this is %d KB of CSS; %d KB fit", len(source)>>10, maxCSS>>10)
	}
	tokens, err := lexCSS(source)
	if err != nil {
		return "", err
	}
	p := &cssReader{tokens: tokens}
	if err := p.rules(0); err != nil {
		return "", err
	}
	return p.out.String(), nil
}

func refuseCSS(line int, format string, args ...any) error {
	return fault.Field("custom_css", "brand.css_refused", "Line "+strconv.Itoa(line)+": "+fmt.Sprintf(format, args...)+".")
}

type cssToken struct {
	kind css.TokenType
	text string
	line int
}

// lexCSS cuts the source into tokens. Comments become spaces, for two words with a
// comment between them must not grow together.
func lexCSS(source string) ([]cssToken, error) {
	var all []cssToken
	lexer := css.NewLexer(parse.NewInputString(source))
	line, read := 1, 0
	for {
		kind, data := lexer.Next()
		if kind == css.ErrorToken {
			if read != len(source) {
				return nil, refuseCSS(line, "there is a character here that no CSS may have")
			}
			return all, nil
		}
		t := cssToken{kind, string(data), line}
		line += strings.Count(t.text, "\n")
		read += len(data)
		if err := refusedToken(t); err != nil {
			return nil, err
		}
		if kind == css.CommentToken {
			t = cssToken{css.WhitespaceToken, " ", t.line}
		}
		all = append(all, t)
	}
}

// refusedToken refuses what has no place anywhere in custom CSS.
func refusedToken(t cssToken) error {
	switch t.kind {
	case css.URLToken, css.BadURLToken:
		return refuseCSS(t.line, "url() is not allowed: upload pictures under Logo")
	case css.BadStringToken:
		return refuseCSS(t.line, "the quotes are not closed")
	case css.CDOToken, css.CDCToken, css.UnicodeRangeToken, css.ColumnToken:
		return refuseCSS(t.line, "%q is not allowed", t.text)
	case css.CommentToken:
		if !strings.HasSuffix(t.text, "*/") || len(t.text) < 4 {
			return refuseCSS(t.line, "the comment is not closed")
		}
		return nil
	case css.StringToken:
		if len(t.text) < 2 || t.text[len(t.text)-1] != t.text[0] {
			return refuseCSS(t.line, "the quotes are not closed")
		}
	}
	if strings.ContainsAny(t.text, "\\\x00") {
		return refuseCSS(t.line, "a backslash is not allowed: write the character itself")
	}
	if strings.ContainsAny(t.text, "<") && t.kind != css.DelimToken {
		return refuseCSS(t.line, "%q is not allowed", "<")
	}
	return nil
}

// cssReader writes the rules it reads. at is the next token.
type cssReader struct {
	tokens []cssToken
	at     int
	out    strings.Builder
}

func (p *cssReader) peek() (cssToken, bool) {
	if p.at < len(p.tokens) {
		return p.tokens[p.at], true
	}
	last := 1
	if n := len(p.tokens); n > 0 {
		last = p.tokens[n-1].line
	}
	return cssToken{line: last}, false
}

func (p *cssReader) space() {
	for p.at < len(p.tokens) && p.tokens[p.at].kind == css.WhitespaceToken {
		p.at++
	}
}

// until takes the tokens before the next one of a kind, at no depth of brackets,
// and leaves that one. It trims white space.
func (p *cssReader) until(what string, ends ...css.TokenType) ([]cssToken, error) {
	first, _ := p.peek()
	from, depth := p.at, 0
	for ; p.at < len(p.tokens); p.at++ {
		t := p.tokens[p.at]
		if depth == 0 {
			for _, end := range ends {
				if t.kind == end {
					return trimSpace(p.tokens[from:p.at]), nil
				}
			}
		}
		switch t.kind {
		case css.LeftParenthesisToken, css.FunctionToken, css.LeftBracketToken:
			depth++
		case css.RightParenthesisToken, css.RightBracketToken:
			depth--
		case css.LeftBraceToken, css.RightBraceToken, css.SemicolonToken:
			return nil, refuseCSS(t.line, "%q is not expected in %s", t.text, what)
		}
		if depth < 0 || depth > 8 {
			return nil, refuseCSS(t.line, "the brackets do not match")
		}
	}
	return nil, refuseCSS(first.line, "%s is not finished", what)
}

func trimSpace(ts []cssToken) []cssToken {
	for len(ts) > 0 && ts[0].kind == css.WhitespaceToken {
		ts = ts[1:]
	}
	for len(ts) > 0 && ts[len(ts)-1].kind == css.WhitespaceToken {
		ts = ts[:len(ts)-1]
	}
	return ts
}

// rules reads rules until the end, or until the brace that closes the block they are in.
func (p *cssReader) rules(depth int) error {
	for {
		p.space()
		t, ok := p.peek()
		switch {
		case !ok && depth == 0:
			return nil
		case !ok:
			return refuseCSS(t.line, "a closing brace is missing")
		case t.kind == css.RightBraceToken && depth > 0:
			return nil
		case t.kind == css.AtKeywordToken:
			if err := p.atRule(t, depth); err != nil {
				return err
			}
		default:
			if err := p.rule(t); err != nil {
				return err
			}
		}
	}
}

func (p *cssReader) atRule(t cssToken, depth int) error {
	p.at++
	name := strings.ToLower(t.text)
	if name != "@media" && name != "@keyframes" {
		return refuseCSS(t.line, "%.40s is not allowed; @media and @keyframes are", t.text)
	}
	if depth > 0 {
		return refuseCSS(t.line, "%.40s cannot stand inside of another block", t.text)
	}
	head, err := p.until("the head of "+name, css.LeftBraceToken)
	if err != nil {
		return err
	}
	p.at++ // the brace
	if name == "@media" {
		if err := checkMedia(head, t.line); err != nil {
			return err
		}
		p.out.WriteString("@media " + join(head) + "{")
		err = p.rules(depth + 1)
	} else {
		if len(head) != 1 || head[0].kind != css.IdentToken || strings.HasPrefix(strings.ToLower(head[0].text), "ez-") {
			return refuseCSS(t.line, "@keyframes needs one plain name that does not begin with ez-")
		}
		p.out.WriteString("@keyframes " + head[0].text + "{")
		err = p.frames()
	}
	if err != nil {
		return err
	}
	return p.close()
}

func (p *cssReader) close() error {
	t, ok := p.peek()
	if !ok || t.kind != css.RightBraceToken {
		return refuseCSS(t.line, "a closing brace is missing")
	}
	p.at++
	p.out.WriteString("}\n")
	return nil
}

func checkMedia(head []cssToken, line int) error {
	if len(head) == 0 {
		return refuseCSS(line, "@media needs a condition")
	}
	for _, t := range head {
		switch t.kind {
		case css.IdentToken, css.NumberToken, css.DimensionToken, css.ColonToken, css.CommaToken, css.WhitespaceToken,
			css.LeftParenthesisToken, css.RightParenthesisToken:
		case css.DelimToken:
			if !strings.Contains("<>=/", t.text) {
				return refuseCSS(t.line, "%q is not expected in @media", t.text)
			}
		default:
			return refuseCSS(t.line, "%.40q is not expected in @media", t.text)
		}
	}
	return nil
}

// frames reads the steps of @keyframes.
func (p *cssReader) frames() error {
	for {
		p.space()
		t, ok := p.peek()
		if !ok || t.kind == css.RightBraceToken {
			return nil
		}
		head, err := p.until("a step of @keyframes", css.LeftBraceToken)
		if err != nil {
			return err
		}
		for _, h := range head {
			word := strings.ToLower(h.text)
			ok := h.kind == css.PercentageToken || h.kind == css.CommaToken || h.kind == css.WhitespaceToken ||
				h.kind == css.IdentToken && (word == "from" || word == "to")
			if !ok {
				return refuseCSS(h.line, "a step is from, to or a percentage, not %.40q", h.text)
			}
		}
		if len(head) == 0 {
			return refuseCSS(t.line, "a step of @keyframes has no name")
		}
		p.out.WriteString(join(head))
		if err := p.block(); err != nil {
			return err
		}
	}
}

// rule reads selectors and the block that belongs to them.
func (p *cssReader) rule(t cssToken) error {
	head, err := p.until("a selector", css.LeftBraceToken)
	if err != nil {
		return err
	}
	if len(head) == 0 {
		return refuseCSS(t.line, "there is a block without a selector")
	}
	scoped, err := scope(head)
	if err != nil {
		return err
	}
	p.out.WriteString(scoped)
	return p.block()
}

// block reads declarations between braces.
func (p *cssReader) block() error {
	p.at++ // the opening brace
	p.out.WriteString("{")
	for {
		p.space()
		t, ok := p.peek()
		switch {
		case !ok:
			return refuseCSS(t.line, "a closing brace is missing")
		case t.kind == css.RightBraceToken:
			return p.close()
		case t.kind == css.SemicolonToken:
			p.at++
		default:
			if err := p.declaration(t); err != nil {
				return err
			}
		}
	}
}

func (p *cssReader) declaration(name cssToken) error {
	if name.kind != css.IdentToken && name.kind != css.CustomPropertyNameToken {
		return refuseCSS(name.line, "a property is expected, not %.40q", name.text)
	}
	p.at++
	p.space()
	if t, ok := p.peek(); !ok || t.kind != css.ColonToken {
		return refuseCSS(t.line, "a colon is missing after %.40q", name.text)
	}
	p.at++
	value, err := p.until("the value of "+name.text, css.SemicolonToken, css.RightBraceToken)
	if err != nil {
		return err
	}
	if err := checkDeclaration(name, value); err != nil {
		return err
	}
	p.out.WriteString(strings.ToLower(name.text) + ":" + join(value) + ";")
	return nil
}

// join writes tokens with single spaces where there was any space.
func join(ts []cssToken) string {
	var b strings.Builder
	for i, t := range ts {
		if t.kind == css.WhitespaceToken {
			if i > 0 && ts[i-1].kind != css.WhitespaceToken {
				b.WriteByte(' ')
			}
			continue
		}
		b.WriteString(t.text)
	}
	return b.String()
}
