package tenancy

import (
	"fmt"
	"strings"

	"github.com/ezscale/ezscale/migrations"
	"github.com/ezscale/ezscale/tenancy/sqltext"
)

// TenantScript is the whole of a tenant's schema as one text, made of the baseline and the
// migrations that are younger, and the version it leads to. It is sent as one message:
// statement by statement it would take twice as long.
func TenantScript() (text string, version int, err error) {
	s, err := tenantScript()
	return s.whole, s.version, err
}

// script is what makes a tenant's schema. Either whole is run, or halves, in any order or at
// the same time, and then rest.
type script struct {
	whole   string
	halves  [2]string // tables with their indexes, none of which knows of another
	rest    string    // what refers to other tables, rows, rights and younger migrations
	version int
}

func tenantScript() (s script, err error) {
	all, err := TenantMigrations()
	if err != nil {
		return s, err
	}
	baseline := migrations.TenantBaseline
	if _, err := fmt.Sscanf(baseline, "-- Version %d:", &s.version); err != nil {
		return s, fmt.Errorf("migrations: the baseline's version: %w", err)
	}
	if err := s.cut(baseline); err != nil {
		return s, fmt.Errorf("migrations: cut the baseline: %w", err)
	}
	var younger strings.Builder
	for _, m := range all {
		if m.Version > s.version {
			younger.WriteString(m.SQL + "\n;\n")
		}
	}
	s.whole = baseline + younger.String()
	s.rest += younger.String()
	s.version = max(s.version, all[len(all)-1].Version)
	return s, nil
}

// cut sorts the baseline's statements. It relies on how the baseline is written: a constraint
// has a line of its own, and what a table refers to is named as one.
func (s *script) cut(baseline string) error {
	tokens, err := sqltext.Scan(baseline)
	if err != nil {
		return err
	}
	half := map[string]int{} // by table
	for _, one := range sqltext.Split(tokens) {
		text := one.Cut(baseline)
		switch one.Tokens[1].Text {
		case "table":
			name := one.Tokens[2].Text
			half[name] = len(half) % len(s.halves)
			alone, references := withoutReferences(text)
			s.halves[half[name]] += alone + ";\n"
			if len(references) > 0 {
				s.rest += "ALTER TABLE " + name + " ADD " + strings.Join(references, ", ADD ") + ";\n"
			}
		case "index", "unique":
			s.halves[half[tableOf(one)]] += text + ";\n"
		default:
			s.rest += text + ";\n"
		}
	}
	return nil
}

// tableOf is the one an index is on.
func tableOf(index sqltext.Statement) string {
	for i, t := range index.Tokens {
		if t.Text == "on" && t.Kind == sqltext.Word {
			return index.Tokens[i+1].Text
		}
	}
	return ""
}

// withoutReferences takes the foreign keys out of a CREATE TABLE.
func withoutReferences(table string) (alone string, references []string) {
	lines := strings.Split(strings.TrimSuffix(table, "\n)"), ",\n  ")
	kept := lines[:0]
	for _, line := range lines {
		if strings.HasPrefix(line, "CONSTRAINT ") && strings.Contains(line, " FOREIGN KEY (") {
			references = append(references, line)
		} else {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, ",\n  ") + "\n)", references
}
