package fleet

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/sqltext"
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
	tokens, err := sqltext.Scan(sql)
	if err != nil {
		line := 1
		_, _ = fmt.Sscanf(err.Error(), "line %d", &line)
		l.report(line, "syntax", err.Error())
		return l.found
	}
	for _, s := range sqltext.Split(tokens) {
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

func (l *linter) statement(s sqltext.Statement) {
	words := head(s)
	for _, r := range refusals {
		if len(words) >= len(r.begins) && slices.Equal(words[:len(r.begins)], r.begins) {
			l.report(s.Line(), r.rule, r.reason)
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
		l.contract(s, s.Line(), "it takes away what the program before it still uses")
	case len(words) > 0 && words[0] == "revoke":
		// A role may bind its own hands: what its program never does, it then cannot do by mistake.
		if n := len(s.Tokens); n < 3 || s.Tokens[n-2].Text != "from" || s.Tokens[n-1].Text != "current_user" {
			l.report(s.Line(), "rights", "the tenant's role owns its schema and nobody else sees it; only REVOKE … FROM CURRENT_USER makes sense")
		}
		l.names(s)
	case two == "comment on":
		l.report(s.Line(), "catalog", "comments are catalog in every schema; write them into the file")
	case len(words) > 0 && slices.Contains(aboutRows, words[0]):
		l.names(s)
	default:
		first := s.Tokens[0].Text
		if two != "" {
			first = two
		}
		l.report(s.Line(), "unknown", fmt.Sprintf("%.40q is not among the statements known to be safe over a fleet", first))
	}
	l.everywhere(s)
}

// touchesRows reports whether any statement changes rows, or cannot be read.
func touchesRows(sql string) bool {
	tokens, err := sqltext.Scan(sql)
	return err != nil || slices.ContainsFunc(sqltext.Split(tokens), func(s sqltext.Statement) bool { return slices.Contains(aboutRows, s.Tokens[0].Text) })
}

// aboutRows are the first words of the statements about rows.
var aboutRows = []string{"insert", "update", "delete", "with"}

// head is the first words of a statement without noise.
func head(s sqltext.Statement) []string {
	var words []string
	for _, t := range s.Tokens {
		if t.Kind != sqltext.Word || len(words) == 4 {
			break
		}
		if len(words) > 0 && slices.Contains(noise, t.Text) {
			continue
		}
		words = append(words, t.Text)
	}
	return words
}

var serials = []string{"serial", "bigserial", "smallserial", "serial2", "serial4", "serial8"}

// everywhere looks for what no statement may have.
func (l *linter) everywhere(s sqltext.Statement) {
	for i, t := range s.Tokens {
		if t.Kind != sqltext.Word {
			continue
		}
		call := i+1 < len(s.Tokens) && s.Tokens[i+1].Text == "("
		switch {
		case slices.Contains([]string{"nextval", "setval", "currval"}, t.Text) && call:
			l.report(t.Line, "sequence", "there are no sequences in a tenant's schema")
		case (t.Text == "set_config" || strings.HasPrefix(t.Text, "pg_advisory") || t.Text == "pg_notify" || t.Text == "query_to_xml" || t.Text == "dblink") && call:
			l.report(t.Line, "session", t.Text+" reaches beyond the tenant")
		case t.Text == "concurrently" && i >= 5:
			l.report(t.Line, "not transactional", "CONCURRENTLY cannot run within the tenant's transaction")
		}
	}
}

func (l *linter) concurrently(s sqltext.Statement) {
	for _, t := range s.Tokens[:min(5, len(s.Tokens))] {
		if t.Kind == sqltext.Word && t.Text == "concurrently" {
			l.report(t.Line, "not transactional", "CONCURRENTLY cannot run within the tenant's transaction; a tenant's tables are small enough to build an index in it")
		}
	}
}

// contract asks for the comment that says that nobody uses it any more.
func (l *linter) contract(s sqltext.Statement, line int, what string) {
	for _, c := range s.Comments {
		if contractMark.MatchString(c.Text) {
			return
		}
	}
	l.report(line, "drop", what+`; drop it one release after nothing uses it, behind a comment "-- contract: <since when nothing uses it>"`)
}

var contractMark = regexp.MustCompile(`(?i)^(--|/\*)\s*contract:\s*\S`)

// schemas are names that stand for one whatever comes behind them.
var schemas = regexp.MustCompile(`^(central|river|door|tpl|public|information_schema|pg_[a-z_]+|t_[0-9]+)$`)

// relationFollows are the words after which a table's name stands.
var relationFollows = []string{"from", "join", "into", "update", "references", "table", "only", "exists", "using", "on", "index"}

// names refuses names with a schema in front. In statements that define something
// every dotted name is one; in statements about rows a dot may stand between an
// alias and a column.
func (l *linter) names(s sqltext.Statement) {
	first := s.Tokens[0].Text
	defines := first == "create" || first == "alter" || first == "drop" || first == "revoke"
	for i := 1; i+1 < len(s.Tokens); i++ {
		t := s.Tokens[i]
		if t.Kind != sqltext.Sign || t.Text != "." {
			continue
		}
		left, right := s.Tokens[i-1], s.Tokens[i+1]
		if left.Kind != sqltext.Word && left.Kind != sqltext.Quoted || right.Kind != sqltext.Word && right.Kind != sqltext.Quoted && right.Text != "*" {
			continue
		}
		name := strings.Trim(left.Text, `"`)
		after := sqltext.Token{}
		if i >= 2 {
			after = s.Tokens[i-2]
		}
		call := i+2 < len(s.Tokens) && s.Tokens[i+2].Text == "("
		deep := i+2 < len(s.Tokens) && s.Tokens[i+2].Text == "."
		distinct := i >= 3 && s.Tokens[i-3].Text == "distinct" // IS DISTINCT FROM a.b
		relation := after.Kind == sqltext.Word && slices.Contains(relationFollows, after.Text) && after.Text != "on" && !distinct
		if defines || schemas.MatchString(name) || relation || call || deep {
			l.report(left.Line, "cross-schema", fmt.Sprintf("%s.%s names a schema; the binding does that, and nothing of a tenant leads out of its own", left.Text, right.Text))
		}
	}
}
