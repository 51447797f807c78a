package setting

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"time"
)

// Value is one variable and what it holds, fit to be shown.
type Value struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Redacted lists what a loaded struct holds. Secrets are only said to be set, and
// addresses lose their passwords.
func Redacted(of any) []Value {
	v := reflect.Indirect(reflect.ValueOf(of))
	var all []Value
	for _, x := range Vars(of) {
		shown := show(v.FieldByIndex(x.path))
		if x.Secret && shown != "" {
			shown = redact(shown)
		}
		all = append(all, Value{Name: x.Name, Value: shown})
	}
	return all
}

// redact keeps the part of an address that helps to find a mistake.
func redact(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || (u.Host == "" && u.RawQuery == "") {
		return "(set)"
	}
	q := u.Query()
	for k := range q {
		if strings.Contains(k, "pass") || strings.Contains(k, "secret") || strings.Contains(k, "key") {
			q.Set(k, "xxxxx")
		}
	}
	u.RawQuery = q.Encode()
	return u.Redacted()
}

func show(v reflect.Value) string {
	if v.Kind() == reflect.Slice {
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = show(v.Index(i))
		}
		return strings.Join(parts, ",")
	}
	return fmt.Sprint(v.Interface())
}

// kindOf is a type in the words of the manual.
func kindOf(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "duration"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint16, reflect.Uint32:
		return "number"
	case reflect.Float64:
		return "fraction"
	case reflect.Slice:
		return "list of " + kindOf(t.Elem())
	}
	if n, ok := reflect.Zero(t).Interface().(interface{ Kind() string }); ok {
		return n.Kind()
	}
	switch t.Name() {
	case "Prefix":
		return "network"
	case "string":
		return "text"
	default:
		return strings.ToLower(t.Name())
	}
}

// Table writes the variables as Markdown, one table a group, each variable once.
func Table(all []Var) string {
	var b strings.Builder
	var groups []string
	byGroup := map[string][]Var{}
	seen := map[string]bool{}
	for _, v := range all {
		if seen[v.Name] {
			continue
		}
		seen[v.Name] = true
		if _, ok := byGroup[v.Group]; !ok {
			groups = append(groups, v.Group)
		}
		byGroup[v.Group] = append(byGroup[v.Group], v)
	}
	for i, g := range groups {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "### %s\n\n| variable | is a | otherwise | says |\n|---|---|---|---|\n", g)
		for _, v := range byGroup[g] {
			otherwise := "–"
			if v.Default != "" {
				otherwise = "`" + v.Default + "`"
			}
			if v.Needed {
				otherwise = "**needed**"
			}
			kind := v.Type
			if v.Secret {
				kind += ", secret"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", v.Name, kind, otherwise, v.About)
		}
	}
	return b.String()
}
