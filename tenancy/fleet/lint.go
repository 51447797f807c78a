package fleet

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ezscale/ezscale/tenancy"
)

// Finding is one thing in a migration that the fleet does not bear.
type Finding struct {
	File   string
	Line   int
	Rule   string // a short name
	Reason string // what would happen, and what to write instead
}

func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s", f.File, f.Line, f.Rule, f.Reason)
}

// LintAll is Lint for every migration.
func LintAll(all []tenancy.Migration) []Finding {
	var found []Finding
	for _, m := range all {
		found = append(found, Lint(m.Name+".sql", m.SQL)...)
	}
	return found
}

// Lint returns what makes a migration unsafe or slow over ten thousand schemas. It
// knows few statements and refuses all others: a migration runs as each tenant's
// role, in one transaction, while the program before it still runs.
func Lint(file, sql string) []Finding {
	l := &linter{file: file}
	tokens, err := scan(sql)
	if err != nil {
		line := 1
		_, _ = fmt.Sscanf(err.Error(), "line %d", &line)
		l.report(line, "syntax", err.Error())
		return l.found
	}
	for _, s := range split(tokens) {
		l.statement(s)
	}
	return l.found
}

type linter struct {
	file  string
	found []Finding
}

func (l *linter) report(line int, rule, reason string) {
	l.found = append(l.found, Finding{File: l.file, Line: line, Rule: rule, Reason: reason})
}

// refusals are first words, or first words without what may stand between them, that
// are refused with a reason of their own.
var refusals = []struct {
	begins []string
	rule   string
	reason string
}{
	{[]string{"create", "sequence"}, "sequence", "a sequence is catalog in every schema; make UUIDv7 keys in Go, or a row for a series of numbers"},
	{[]string{"create", "type"}, "type", "an enum cannot change within a transaction and is catalog in every schema; use text with a CHECK"},
	{[]string{"create", "domain"}, "type", "a domain is checked by a scan of every table that uses it; use a CHECK"},
	{[]string{"alter", "type"}, "alter type", "PostgreSQL 15 reads all of pg_index for it in every schema: the fleet takes quadratic time; use text with a CHECK"},
	{[]string{"alter", "domain"}, "type", "a domain is checked by a scan of every table that uses it; use a CHECK"},
	{[]string{"create", "view"}, "view", "a view depends on its tables' shape and blocks their change; query from Go"},
	{[]string{"create", "recursive", "view"}, "view", "a view depends on its tables' shape and blocks their change; query from Go"},
	{[]string{"create", "materialized", "view"}, "view", "a view depends on its tables' shape and blocks their change; query from Go"},
	{[]string{"create", "function"}, "function", "logic lives in Go; a function is catalog in every schema"},
	{[]string{"create", "procedure"}, "function", "logic lives in Go; a function is catalog in every schema"},
	{[]string{"create", "aggregate"}, "function", "logic lives in Go; a function is catalog in every schema"},
	{[]string{"create", "trigger"}, "function", "logic lives in Go; a trigger hides it"},
	{[]string{"create", "constraint", "trigger"}, "function", "logic lives in Go; a trigger hides it"},
	{[]string{"create", "rule"}, "function", "logic lives in Go; a rule hides it"},
	{[]string{"create", "schema"}, "cross-schema", "the tenant's schema is the only one a migration may know"},
	{[]string{"create", "extension"}, "cross-schema", "an extension belongs to the database, not to a tenant"},
	{[]string{"begin"}, "transaction", "each tenant is one transaction, which the migrator begins and ends"},
	{[]string{"start"}, "transaction", "each tenant is one transaction, which the migrator begins and ends"},
	{[]string{"commit"}, "transaction", "each tenant is one transaction, which the migrator begins and ends"},
	{[]string{"end"}, "transaction", "each tenant is one transaction, which the migrator begins and ends"},
	{[]string{"rollback"}, "transaction", "each tenant is one transaction, which the migrator begins and ends"},
	{[]string{"abort"}, "transaction", "each tenant is one transaction, which the migrator begins and ends"},
	{[]string{"savepoint"}, "transaction", "each tenant is one transaction, which the migrator begins and ends"},
	{[]string{"prepare"}, "transaction", "each tenant is one transaction, which the migrator begins and ends"},
	{[]string{"vacuum"}, "not transactional", "it cannot run within the tenant's transaction"},
	{[]string{"reindex"}, "not transactional", "it locks the table for as long as it takes; build a new index and drop the old one"},
	{[]string{"cluster"}, "rewrite", "it rewrites the table under a lock"},
	{[]string{"truncate"}, "drop", "it throws data away under the strongest lock; delete rows in a job"},
	{[]string{"set"}, "session", "role, path and settings are the migrator's"},
	{[]string{"reset"}, "session", "role, path and settings are the migrator's"},
	{[]string{"do"}, "function", "a block of code hides its statements from this check; write them out"},
	{[]string{"call"}, "function", "a call hides its statements from this check; write them out"},
	{[]string{"grant"}, "rights", "the tenant's role owns its schema and nobody else sees it"},
}

// noise is what may stand between the words that name a statement.
var noise = []string{"or", "replace", "temp", "temporary", "unlogged", "unique", "global", "local"}

func (l *linter) statement(s statement) {
	words := head(s)
	for _, r := range refusals {
		if len(words) >= len(r.begins) && slices.Equal(words[:len(r.begins)], r.begins) {
			l.report(s.line(), r.rule, r.reason)
			return
		}
	}
	two := strings.Join(words[:min(2, len(words))], " ")
	switch {
	case two == "create table":
		l.createTable(s)
	case two == "create index":
		l.concurrently(s)
		l.names(s)
	case two == "alter table":
		l.alterTable(s)
	case two == "drop table" || two == "drop index":
		l.concurrently(s)
		l.names(s)
		l.contract(s, s.line(), "it takes away what the program before it still uses")
	case len(words) > 0 && words[0] == "revoke":
		// A role may bind its own hands: what its program never does, it then cannot do by mistake.
		if n := len(s.tokens); n < 3 || s.tokens[n-2].text != "from" || s.tokens[n-1].text != "current_user" {
			l.report(s.line(), "rights", "the tenant's role owns its schema and nobody else sees it; only REVOKE … FROM CURRENT_USER makes sense")
		}
		l.names(s)
	case two == "comment on":
		l.report(s.line(), "catalog", "comments are catalog in every schema; write them into the file")
	case len(words) > 0 && slices.Contains(aboutRows, words[0]):
		l.names(s)
	default:
		first := s.tokens[0].text
		if two != "" {
			first = two
		}
		l.report(s.line(), "unknown", fmt.Sprintf("%.40q is not among the statements known to be safe over a fleet", first))
	}
	l.everywhere(s)
}

// touchesRows reports whether any statement changes rows, or cannot be read.
func touchesRows(sql string) bool {
	tokens, err := scan(sql)
	return err != nil || slices.ContainsFunc(split(tokens), func(s statement) bool { return slices.Contains(aboutRows, s.tokens[0].text) })
}

// aboutRows are the first words of the statements about rows.
var aboutRows = []string{"insert", "update", "delete", "with"}

// head is the first words of a statement without noise.
func head(s statement) []string {
	var words []string
	for _, t := range s.tokens {
		if t.kind != word || len(words) == 4 {
			break
		}
		if len(words) > 0 && slices.Contains(noise, t.text) {
			continue
		}
		words = append(words, t.text)
	}
	return words
}

var serials = []string{"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"}

// everywhere looks for what no statement may have.
func (l *linter) everywhere(s statement) {
	for i, t := range s.tokens {
		if t.kind != word {
			continue
		}
		call := i+1 < len(s.tokens) && s.tokens[i+1].text == "("
		switch {
		case slices.Contains([]string{"nextval", "setval", "currval"}, t.text) && call:
			l.report(t.line, "sequence", "there are no sequences in a tenant's schema")
		case (t.text == "set_config" || strings.HasPrefix(t.text, "pg_advisory") || t.text == "pg_notify" || t.text == "query_to_xml" || t.text == "dblink") && call:
			l.report(t.line, "session", t.text+" reaches beyond the tenant")
		case t.text == "concurrently" && i >= 5:
			l.report(t.line, "not transactional", "CONCURRENTLY cannot run within the tenant's transaction")
		}
	}
}

func (l *linter) concurrently(s statement) {
	for _, t := range s.tokens[:min(5, len(s.tokens))] {
		if t.kind == word && t.text == "concurrently" {
			l.report(t.line, "not transactional", "CONCURRENTLY cannot run within the tenant's transaction; a tenant's tables are small enough to build an index in it")
		}
	}
}

// contract asks for the comment that says that nobody uses it any more.
func (l *linter) contract(s statement, line int, what string) {
	for _, c := range s.comments {
		if contractMark.MatchString(c.text) {
			return
		}
	}
	l.report(line, "drop", what+`; drop it one release after nothing uses it, behind a comment "-- contract: <since when nothing uses it>"`)
}

var contractMark = regexp.MustCompile(`(?i)^(--|/\*)\s*contract:\s*\S`)

func (l *linter) createTable(s statement) {
	for _, t := range s.tokens[:min(4, len(s.tokens))] {
		switch t.text {
		case "temp", "temporary":
			l.report(t.line, "session", "a temporary table does not outlive the migration")
		case "unlogged":
			l.report(t.line, "unsafe", "an unlogged table is empty after a crash")
		}
	}
	for i, t := range s.tokens {
		if t.kind != word {
			continue
		}
		switch {
		case slices.Contains(serials, t.text):
			l.report(t.line, "sequence", t.text+" makes a sequence; make UUIDv7 keys in Go")
		case t.text == "identity":
			l.report(t.line, "sequence", "an identity column makes a sequence; make UUIDv7 keys in Go")
		case t.text == "inherits" && i+1 < len(s.tokens) && s.tokens[i+1].text == "(":
			l.report(t.line, "catalog", "inheritance ties the shapes of two tables together")
		}
	}
	l.names(s)
}

func (l *linter) alterTable(s statement) {
	l.names(s)
	for _, a := range actions(s) {
		l.action(s, a)
	}
}

// actions are the comma-separated parts of an ALTER TABLE after the table's name.
func actions(s statement) [][]token {
	rest := s.tokens[2:]
	for len(rest) > 0 && rest[0].kind == word && slices.Contains([]string{"if", "exists", "only"}, rest[0].text) {
		rest = rest[1:]
	}
	if len(rest) > 0 {
		rest = rest[1:] // the name
	}
	for len(rest) > 1 && (rest[0].text == "." || rest[0].text == "*") {
		rest = rest[min(2, len(rest)):]
	}
	return commas(rest)
}

// commas cuts tokens at commas outside parentheses.
func commas(tokens []token) [][]token {
	var parts [][]token
	var part []token
	depth := 0
	for _, t := range tokens {
		if t.kind == sign {
			switch t.text {
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
func spelled(a []token) []string {
	var words []string
	depth := 0
	for _, t := range a {
		switch {
		case t.text == "(" && t.kind == sign:
			depth++
		case t.text == ")" && t.kind == sign:
			depth--
		case depth == 0 && t.kind == word:
			words = append(words, t.text)
		case depth == 0:
			words = append(words, "·")
		}
	}
	return words
}

func (l *linter) action(s statement, a []token) {
	if len(a) == 0 {
		return
	}
	w, line := spelled(a), a[0].line
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

// schemas are names that stand for one whatever comes behind them.
var schemas = regexp.MustCompile(`^(central|river|door|tpl|public|information_schema|pg_[a-z_]+|t_[0-9]+)$`)

// relationFollows are the words after which a table's name stands.
var relationFollows = []string{"from", "join", "into", "update", "references", "table", "only", "exists", "using", "on", "index"}

// names refuses names with a schema in front. In statements that define something
// every dotted name is one; in statements about rows a dot may stand between an
// alias and a column.
func (l *linter) names(s statement) {
	first := s.tokens[0].text
	defines := first == "create" || first == "alter" || first == "drop" || first == "revoke"
	for i := 1; i+1 < len(s.tokens); i++ {
		t := s.tokens[i]
		if t.kind != sign || t.text != "." {
			continue
		}
		left, right := s.tokens[i-1], s.tokens[i+1]
		if left.kind != word && left.kind != quoted || right.kind != word && right.kind != quoted && right.text != "*" {
			continue
		}
		name := strings.Trim(left.text, `"`)
		after := token{}
		if i >= 2 {
			after = s.tokens[i-2]
		}
		call := i+2 < len(s.tokens) && s.tokens[i+2].text == "("
		deep := i+2 < len(s.tokens) && s.tokens[i+2].text == "."
		distinct := i >= 3 && s.tokens[i-3].text == "distinct" // IS DISTINCT FROM a.b
		relation := after.kind == word && slices.Contains(relationFollows, after.text) && after.text != "on" && !distinct
		if defines || schemas.MatchString(name) || relation || call || deep {
			l.report(left.line, "cross-schema", fmt.Sprintf("%s.%s names a schema; the binding does that, and nothing of a tenant leads out of its own", left.text, right.text))
		}
	}
}
