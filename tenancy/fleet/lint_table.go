package fleet

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ezscale/ezscale/tenancy/sqltext"
)

func (l *linter) createTable(s sqltext.Statement) {
	for _, t := range s.Tokens[:min(4, len(s.Tokens))] {
		switch t.Text {
		case "temp", "temporary":
			l.report(t.Line, "session", "a temporary table does not outlive the migration")
		case "unlogged":
			l.report(t.Line, "unsafe", "an unlogged table is empty after a crash")
		}
	}
	for i, t := range s.Tokens {
		if t.Kind != sqltext.Word {
			continue
		}
		switch {
		case slices.Contains(serials, t.Text):
			l.report(t.Line, "sequence", t.Text+" makes a sequence; make UUIDv7 keys in Go")
		case t.Text == "identity":
			l.report(t.Line, "sequence", "an identity column makes a sequence; make UUIDv7 keys in Go")
		case t.Text == "inherits" && i+1 < len(s.Tokens) && s.Tokens[i+1].Text == "(":
			l.report(t.Line, "catalog", "inheritance ties the shapes of two tables together")
		}
	}
	l.names(s)
}

func (l *linter) alterTable(s sqltext.Statement) {
	l.names(s)
	for _, a := range actions(s) {
		l.action(s, a)
	}
}

// actions are the comma-separated parts of an ALTER TABLE after the table's name.
func actions(s sqltext.Statement) [][]sqltext.Token {
	rest := s.Tokens[2:]
	for len(rest) > 0 && rest[0].Kind == sqltext.Word && slices.Contains([]string{"if", "exists", "only"}, rest[0].Text) {
		rest = rest[1:]
	}
	if len(rest) > 0 {
		rest = rest[1:] // the name
	}
	for len(rest) > 1 && (rest[0].Text == "." || rest[0].Text == "*") {
		rest = rest[min(2, len(rest)):]
	}
	return commas(rest)
}

// commas cuts tokens at commas outside parentheses.
func commas(tokens []sqltext.Token) [][]sqltext.Token {
	var parts [][]sqltext.Token
	var part []sqltext.Token
	depth := 0
	for _, t := range tokens {
		if t.Kind == sqltext.Sign {
			switch t.Text {
			case "(", "[":
				depth++
			case ")", "]":
				depth--
			case ",":
				if depth == 0 {
					parts, part = append(parts, part), nil
					continue
				}
			}
		}
		part = append(part, t)
	}
	return append(parts, part)
}

// spelled is the words of an action outside parentheses; what is no word is "·".
func spelled(a []sqltext.Token) []string {
	var words []string
	depth := 0
	for _, t := range a {
		switch {
		case t.Text == "(" && t.Kind == sqltext.Sign:
			depth++
		case t.Text == ")" && t.Kind == sqltext.Sign:
			depth--
		case depth == 0 && t.Kind == sqltext.Word:
			words = append(words, t.Text)
		case depth == 0:
			words = append(words, "·")
		}
	}
	return words
}

func (l *linter) action(s sqltext.Statement, a []sqltext.Token) {
	if len(a) == 0 {
		return
	}
	w, line := spelled(a), a[0].Line
	has := func(words ...string) bool {
		for i := range w {
			if i+len(words) <= len(w) && slices.Equal(w[i:i+len(words)], words) {
				return true
			}
		}
		return false
	}
	second := ""
	if len(w) > 1 {
		second = w[1]
	}
	switch {
	case len(w) == 0:
		l.report(line, "unknown", "this is no change of a table")
	case w[0] == "add" && slices.Contains([]string{"constraint", "check", "unique", "primary", "foreign"}, second):
	case w[0] == "add" && second == "exclude":
		l.report(line, "unknown", "an exclusion constraint needs an extension and a slow build")
	case w[0] == "add":
		l.addColumn(line, w, has)
	case w[0] == "alter" && second == "constraint":
	case w[0] == "alter":
		l.alterColumn(line, has)
	case w[0] == "validate":
	case w[0] == "drop":
		l.contract(s, line, "it takes away what the program before it still uses")
	case w[0] == "rename":
		l.contract(s, line, "the program before it still uses the old name: add the new one, fill it, drop the old one later")
	case w[0] == "set" && second == "schema":
		l.report(line, "cross-schema", "the tenant's schema is the only one a migration may know")
	case w[0] == "set" && slices.Contains([]string{"logged", "unlogged", "tablespace", "access", "with", "without"}, second):
		l.report(line, "rewrite", "it rewrites the table under a lock")
	default:
		l.report(line, "unknown", fmt.Sprintf("%.40q is not among the changes known to be safe over a fleet", strings.Join(w, " ")))
	}
}

func (l *linter) addColumn(line int, w []string, has func(...string) bool) {
	switch {
	case has("default"):
		l.report(line, "add column default", "PostgreSQL 15 reads all of pg_index for it in every schema: the fleet takes quadratic time; ADD COLUMN, then ALTER COLUMN … SET DEFAULT, UPDATE, SET NOT NULL")
	case has("identity") || slices.ContainsFunc(w, func(s string) bool { return slices.Contains(serials, s) }):
		l.report(line, "sequence", "it makes a sequence; make UUIDv7 keys in Go")
	case has("generated"):
		l.report(line, "rewrite", "a generated column rewrites the table under a lock")
	case has("not", "null") || has("primary", "key"):
		l.report(line, "not null", "rows that are there have no value: ADD COLUMN, then ALTER COLUMN … SET DEFAULT, UPDATE, SET NOT NULL")
	}
}

func (l *linter) alterColumn(line int, has func(...string) bool) {
	switch {
	case has("type"):
		l.report(line, "column type", "it rewrites the table, or reads all of pg_index to find that it need not; add a new column, fill it, drop the old one later")
	case has("set", "default"), has("drop", "default"), has("set", "not", "null"), has("drop", "not", "null"), has("set", "statistics"):
	case has("generated") || has("identity"):
		l.report(line, "sequence", "an identity column makes a sequence; make UUIDv7 keys in Go")
	default:
		l.report(line, "unknown", "this change of a column is not among those known to be safe over a fleet")
	}
}
