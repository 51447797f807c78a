package document

import (
	_ "image/jpeg" // logos
	"strings"
	"unicode"

	_ "golang.org/x/image/webp" // logos
)

func (p *printer) paragraphs(all []string) {
	for _, s := range all {
		p.font("", 9)
		for _, piece := range p.broken(s, right-left) {
			p.room(lineH)
			p.font("", 9)
			p.ink()
			p.at(left, p.GetY(), right-left, "L", piece)
			p.SetY(p.GetY() + lineH)
		}
	}
	p.SetY(p.GetY() + 3)
}

// fit cuts text that is wider than w.
func (p *printer) fit(s string, w float64) string {
	r := []rune(plain(s))
	if n := p.fitting(r, w-2); n < len(r) {
		return string(r[:max(p.fitting(r, w-6), 1)]) + "…"
	}
	return string(r)
}

// fitting is how many runes fit into w.
func (p *printer) fitting(r []rune, w float64) int {
	sum := 0.0
	for i, c := range r {
		if sum += p.GetStringWidth(string(c)); sum > w {
			return i
		}
	}
	return len(r)
}

// broken breaks text at spaces, and words that are too long anywhere.
func (p *printer) broken(s string, w float64) []string {
	var lines []string
	line, used, space := "", 0.0, p.GetStringWidth(" ")
	flush := func() {
		if line != "" {
			lines, line, used = append(lines, line), "", 0
		}
	}
	for _, word := range strings.Fields(plain(s)) {
		r := []rune(word)
		for n := p.fitting(r, w-2); n < len(r); n = p.fitting(r, w-2) {
			flush()
			lines, r = append(lines, string(r[:max(n, 1)])), r[max(n, 1):]
		}
		width := p.GetStringWidth(string(r))
		if used+space+width > w-2 {
			flush()
		}
		if line != "" {
			line, used = line+" ", used+space
		}
		line, used = line+string(r), used+width
	}
	flush()
	if len(lines) == 0 {
		return []string{""}
	}
	return lines
}

// maxText is the most runes of one text that are printed.
const maxText = 2000

// plain is text that the fonts can write: what lies outside of the first plane or
// changes the direction of writing becomes a question mark or nothing.
func plain(s string) string {
	if r := []rune(s); len(r) > maxText {
		s = string(r[:maxText])
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == 0x202f || r == 0xa0 || r == '\t':
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r):
			return -1
		case r > 0xffff:
			return '?'
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
