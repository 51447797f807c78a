// Package sqltext cuts texts of SQL into tokens and statements as PostgreSQL reads them.
// It knows no statement's meaning.
package sqltext

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Kind is what a token is.
type Kind uint8

// The kinds of tokens.
const (
	Word    Kind = iota // an identifier or keyword, in lower case
	Quoted              // a "quoted identifier", with its quotes
	Text                // a string of any form
	Number              // also a parameter such as $1
	Sign                // one character of punctuation
	Comment             // to the line's end, or a block
)

// Token is one token of SQL, with the line it begins on (from 1) and its place.
type Token struct {
	Kind       Kind
	Text       string // as PostgreSQL reads it: words in lower case
	Line       int
	Start, End int // in the text
}

// scanner cuts SQL into tokens the way PostgreSQL does: comments nest, strings come
// plain, with escapes and dollar quoted, and none of them hides what follows.
type scanner struct {
	sql  string
	pos  int
	line int
}

// Scan returns the tokens of sql. What does not end (a string, a comment) or cannot
// stand in SQL is an error that names the line.
func Scan(sql string) ([]Token, error) {
	s := &scanner{sql: sql, line: 1}
	var tokens []Token
	for {
		s.space()
		if s.pos >= len(s.sql) {
			return tokens, nil
		}
		t := Token{Line: s.line, Start: s.pos}
		k, err := s.next()
		if err != nil {
			return tokens, fmt.Errorf("line %d: %w", t.Line, err)
		}
		t.Kind, t.End = k, s.pos
		t.Text = sql[t.Start:t.End]
		if k == Word {
			t.Text = strings.ToLower(t.Text)
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
func (s *scanner) next() (Kind, error) {
	rest := s.rest()
	switch c := rest[0]; {
	case strings.HasPrefix(rest, "--"):
		n := strings.IndexAny(rest, "\r\n")
		if n < 0 {
			n = len(rest)
		}
		s.advance(n)
		return Comment, nil
	case strings.HasPrefix(rest, "/*"):
		return Comment, s.block()
	case c == '\'':
		return Text, s.until('\'', false)
	case (c == 'e' || c == 'E') && len(rest) > 1 && rest[1] == '\'':
		s.advance(1)
		return Text, s.until('\'', true)
	case (c == 'b' || c == 'B' || c == 'x' || c == 'X' || c == 'n' || c == 'N') && len(rest) > 1 && rest[1] == '\'':
		s.advance(1)
		return Text, s.until('\'', false)
	case (c == 'u' || c == 'U') && len(rest) > 2 && rest[1] == '&' && rest[2] == '\'':
		s.advance(2)
		return Text, s.until('\'', false)
	case (c == 'u' || c == 'U') && len(rest) > 2 && rest[1] == '&' && rest[2] == '"':
		s.advance(2)
		return Quoted, s.until('"', false)
	case c == '"':
		return Quoted, s.until('"', false)
	case c == '$':
		return s.dollar()
	case c >= '0' && c <= '9' || c == '.' && len(rest) > 1 && rest[1] >= '0' && rest[1] <= '9':
		s.advance(span(rest, func(c byte) bool { return c >= '0' && c <= '9' || c == '.' || c == '_' }))
		return Number, nil
	case wordBegins(c):
		s.advance(span(rest, func(c byte) bool { return wordBegins(c) || c >= '0' && c <= '9' || c == '$' }))
		return Word, nil
	case c == 0:
		return Sign, fmt.Errorf("a zero byte cannot stand in SQL")
	default:
		s.advance(1)
		return Sign, nil
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
func (s *scanner) dollar() (Kind, error) {
	rest := s.rest()
	end := 1
	for end < len(rest) && (wordBegins(rest[end]) || end > 1 && rest[end] >= '0' && rest[end] <= '9') {
		end++
	}
	if end >= len(rest) || rest[end] != '$' {
		if end == 1 { // $1, or nothing
			s.advance(span(rest, func(c byte) bool { return c >= '0' && c <= '9' }))
			return Number, nil
		}
		s.advance(1)
		return Sign, nil
	}
	tag := rest[:end+1]
	n := strings.Index(rest[len(tag):], tag)
	if n < 0 {
		return Text, fmt.Errorf("what begins with %.20s does not end", tag)
	}
	s.advance(len(tag) + n + len(tag))
	return Text, nil
}

// Statement is what stands between semicolons: its tokens without comments, and the
// comments right before it.
type Statement struct {
	Tokens   []Token
	Comments []Token
}

// Line is the one the statement begins on.
func (s Statement) Line() int { return s.Tokens[0].Line }

// Split cuts tokens into statements at semicolons outside parentheses.
func Split(tokens []Token) []Statement {
	var all []Statement
	var now Statement
	depth := 0
	for _, t := range tokens {
		switch {
		case t.Kind == Comment:
			if len(now.Tokens) == 0 {
				now.Comments = append(now.Comments, t)
			}
			continue
		case t.Kind == Sign && t.Text == "(":
			depth++
		case t.Kind == Sign && t.Text == ")":
			depth--
		case t.Kind == Sign && t.Text == ";" && depth <= 0:
			if len(now.Tokens) > 0 {
				all = append(all, now)
			}
			now, depth = Statement{}, 0
			continue
		}
		now.Tokens = append(now.Tokens, t)
	}
	if len(now.Tokens) > 0 {
		all = append(all, now)
	}
	return all
}

// Cut is the statement's own part of the text it was cut from.
func (s Statement) Cut(sql string) string {
	return sql[s.Tokens[0].Start:s.Tokens[len(s.Tokens)-1].End]
}
