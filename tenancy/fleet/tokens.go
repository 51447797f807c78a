package fleet

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// kind is what a token is.
type kind uint8

const (
	word    kind = iota // an identifier or keyword, in lower case
	quoted              // a "quoted identifier", with its quotes
	text                // a string of any form
	number              // also a parameter such as $1
	sign                // one character of punctuation
	comment             // to the line's end, or a block
)

// token is one token of SQL, with the line it begins on (from 1) and its place.
type token struct {
	kind       kind
	text       string // as PostgreSQL reads it: words in lower case
	line       int
	start, end int
}

// scanner cuts SQL into tokens the way PostgreSQL does: comments nest, strings come
// plain, with escapes and dollar quoted, and none of them hides what follows.
type scanner struct {
	sql  string
	pos  int
	line int
}

// scan returns the tokens of sql. What does not end (a string, a comment) or cannot
// stand in SQL is an error that names the line.
func scan(sql string) ([]token, error) {
	s := &scanner{sql: sql, line: 1}
	var tokens []token
	for {
		s.space()
		if s.pos >= len(s.sql) {
			return tokens, nil
		}
		t := token{line: s.line, start: s.pos}
		k, err := s.next()
		if err != nil {
			return tokens, fmt.Errorf("line %d: %w", t.line, err)
		}
		t.kind, t.end = k, s.pos
		t.text = sql[t.start:t.end]
		if k == word {
			t.text = strings.ToLower(t.text)
		}
		tokens = append(tokens, t)
	}
}

func (s *scanner) space() {
	for s.pos < len(s.sql) && strings.IndexByte(" \t\r\n\f\v", s.sql[s.pos]) >= 0 {
		s.advance(1)
	}
}

// advance moves n bytes on and counts lines.
func (s *scanner) advance(n int) {
	n = min(n, len(s.sql)-s.pos)
	s.line += strings.Count(s.sql[s.pos:s.pos+n], "\n")
	s.pos += n
}

func (s *scanner) rest() string { return s.sql[s.pos:] }

// next moves over one token.
func (s *scanner) next() (kind, error) {
	rest := s.rest()
	switch c := rest[0]; {
	case strings.HasPrefix(rest, "--"):
		n := strings.IndexAny(rest, "\r\n")
		if n < 0 {
			n = len(rest)
		}
		s.advance(n)
		return comment, nil
	case strings.HasPrefix(rest, "/*"):
		return comment, s.block()
	case c == '\'':
		return text, s.until('\'', false)
	case (c == 'e' || c == 'E') && len(rest) > 1 && rest[1] == '\'':
		s.advance(1)
		return text, s.until('\'', true)
	case (c == 'b' || c == 'B' || c == 'x' || c == 'X' || c == 'n' || c == 'N') && len(rest) > 1 && rest[1] == '\'':
		s.advance(1)
		return text, s.until('\'', false)
	case (c == 'u' || c == 'U') && len(rest) > 2 && rest[1] == '&' && rest[2] == '\'':
		s.advance(2)
		return text, s.until('\'', false)
	case (c == 'u' || c == 'U') && len(rest) > 2 && rest[1] == '&' && rest[2] == '"':
		s.advance(2)
		return quoted, s.until('"', false)
	case c == '"':
		return quoted, s.until('"', false)
	case c == '$':
		return s.dollar()
	case c >= '0' && c <= '9' || c == '.' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9':
		s.advance(span(rest, func(c byte) bool { return c >= '0' && c <= '9' || c == '.' || c == '_' }))
		return number, nil
	case wordBegins(c):
		s.advance(span(rest, func(c byte) bool { return wordBegins(c) || c >= '0' && c <= '9' || c == '$' }))
		return word, nil
	case c == 0:
		return sign, fmt.Errorf("a zero byte cannot stand in SQL")
	default:
		s.advance(1)
		return sign, nil
	}
}

// wordBegins: PostgreSQL takes every byte above ASCII for a letter.
func wordBegins(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= utf8.RuneSelf
}

func span(s string, ok func(byte) bool) int {
	n := 1
	for n < len(s) && ok(s[n]) {
		n++
	}
	return n
}

// until moves over a quoted text; a doubled quote stands for itself.
func (s *scanner) until(quote byte, escapes bool) error {
	rest := s.rest()
	for i := 1; i < len(rest); i++ {
		switch {
		case escapes && rest[i] == '\\':
			i++
		case rest[i] == quote && i+1 < len(rest) && rest[i+1] == quote:
			i++
		case rest[i] == quote:
			s.advance(i + 1)
			return nil
		}
	}
	return fmt.Errorf("what begins with %c does not end", quote)
}

// block moves over a block comment; they nest.
func (s *scanner) block() error {
	rest, depth := s.rest(), 0
	for i := 0; i+1 < len(rest); i++ {
		switch rest[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				s.advance(i + 1)
				return nil
			}
		}
	}
	return fmt.Errorf("a comment does not end")
}

// dollar moves over $tag$ … $tag$, or over a parameter, or over a lone dollar.
func (s *scanner) dollar() (kind, error) {
	rest := s.rest()
	end := 1
	for end < len(rest) && (wordBegins(rest[end]) || end > 1 && rest[end] >= '0' && rest[end] <= '9') {
		end++
	}
	if end >= len(rest) || rest[end] != '$' {
		if end == 1 { // $1, or nothing
			s.advance(span(rest, func(c byte) bool { return c >= '0' && c <= '9' }))
			return number, nil
		}
		s.advance(1)
		return sign, nil
	}
	tag := rest[:end+1]
	n := strings.Index(rest[len(tag):], tag)
	if n < 0 {
		return text, fmt.Errorf("what begins with %.20s does not end", tag)
	}
	s.advance(len(tag) + n + len(tag))
	return text, nil
}

// statement is what stands between semicolons: its tokens without comments, and the
// comments right before it.
type statement struct {
	tokens   []token
	comments []token
}

func (s statement) line() int { return s.tokens[0].line }

// split cuts tokens into statements at semicolons outside parentheses.
func split(tokens []token) []statement {
	var all []statement
	var now statement
	depth := 0
	for _, t := range tokens {
		switch {
		case t.kind == comment:
			if len(now.tokens) == 0 {
				now.comments = append(now.comments, t)
			}
			continue
		case t.kind == sign && t.text == "(":
			depth++
		case t.kind == sign && t.text == ")":
			depth--
		case t.kind == sign && t.text == ";" && depth <= 0:
			if len(now.tokens) > 0 {
				all = append(all, now)
			}
			now, depth = statement{}, 0
			continue
		}
		now.tokens = append(now.tokens, t)
	}
	if len(now.tokens) > 0 {
		all = append(all, now)
	}
	return all
}
