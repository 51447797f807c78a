// Package setting reads the environment into typed structs. It names the variable
// in every complaint, refuses variables nobody knows, prints values without their
// secrets, and writes the table of the manual from the same structs. It does not
// know what any variable means.
//
// A struct's fields carry the tags
//
//	env:"HTTP_ADDR"        the name without the common prefix
//	envDefault:":8080"     what holds when the variable is missing
//	about:"…"              one sentence for the manual
//	secret:"true"          never printed; NAME_FILE may name a file that holds it
//	need:"true"            must be set
//
// and structs in structs are groups; group:"…" titles them in the manual.
package setting

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/caarlos0/env/v11"
)

// Prefix begins the name of every variable of the program.
const Prefix = "EZSCALE_"

// Var is one variable as the manual describes it.
type Var struct {
	Name    string
	Default string
	About   string
	Group   string
	Secret  bool
	Needed  bool
	Type    string
	path    []int
}

// Problem is what is wrong with one variable.
type Problem struct {
	Name string
	Text string
}

func (p Problem) Error() string { return p.Name + " " + p.Text }

// Validator is implemented by groups and commands whose fields depend on each other.
// Its error must name the variable.
type Validator interface{ Validate() error }

// Vars lists the variables of a struct or a pointer to one, in the order of its fields.
func Vars(of any) []Var {
	t := reflect.TypeOf(of)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return vars(t, "", nil)
}

func vars(t reflect.Type, group string, path []int) []Var {
	var all []Var
	for i := range t.NumField() {
		f := t.Field(i)
		at := append(slices.Clone(path), i)
		if title, ok := f.Tag.Lookup("group"); ok {
			all = append(all, vars(f.Type, title, at)...)
			continue
		}
		name, ok := f.Tag.Lookup("env")
		if !ok {
			continue
		}
		all = append(all, Var{
			Name: Prefix + name, Default: f.Tag.Get("envDefault"), About: f.Tag.Get("about"), Group: group,
			Secret: f.Tag.Get("secret") == "true", Needed: f.Tag.Get("need") == "true", Type: kindOf(f.Type), path: at,
		})
	}
	return all
}

// Load fills into (a pointer to a struct) from environ, in which known are all
// variables any part of the program reads. All problems are reported together.
func Load(into any, environ []string, known []Var) error {
	own := Vars(into)
	values, problems := gather(environ, append(slices.Clone(own), known...))
	problems = append(problems, malformed(into, own, values)...)
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	if err := env.ParseWithOptions(into, env.Options{Environment: values, Prefix: Prefix}); err != nil {
		return err
	}
	return validate(reflect.ValueOf(into))
}

// gather takes the program's variables out of environ and reads the files that
// NAME_FILE variables name.
func gather(environ []string, known []Var) (map[string]string, []error) {
	values := map[string]string{}
	var problems []error
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, Prefix) {
			continue
		}
		if has(known, name) {
			if value != "" { // set to nothing is not set
				values[name] = value
			}
			continue
		}
		base, isFile := strings.CutSuffix(name, "_FILE")
		if isFile && isSecret(known, base) {
			b, err := os.ReadFile(value) //nolint:gosec // the operator names the file
			if err != nil {
				problems = append(problems, Problem{name, "cannot be read: " + err.Error()})
				continue
			}
			values[base] = strings.TrimSpace(string(b))
			continue
		}
		text := "is not a variable of this program"
		if near := nearest(name, known); near != "" {
			text += "; did you mean " + near + "?"
		}
		problems = append(problems, Problem{name, text})
	}
	sort.Slice(problems, func(i, j int) bool { return problems[i].Error() < problems[j].Error() })
	return values, problems
}

func has(known []Var, name string) bool {
	return slices.ContainsFunc(known, func(v Var) bool { return v.Name == name })
}

func isSecret(known []Var, name string) bool {
	return slices.ContainsFunc(known, func(v Var) bool { return v.Name == name && v.Secret })
}

// malformed tries each variable alone: the library's own errors name fields.
func malformed(into any, own []Var, values map[string]string) []error {
	var problems []error
	for _, v := range own {
		value, set := values[v.Name]
		if !set {
			if v.Needed {
				problems = append(problems, Problem{v.Name, "must be set: " + lowerFirst(v.About)})
			}
			continue
		}
		trial := reflect.New(reflect.TypeOf(into).Elem()).Interface()
		err := env.ParseWithOptions(trial, env.Options{Environment: map[string]string{v.Name: value}, Prefix: Prefix})
		if err == nil {
			continue
		}
		cause := err
		var parse env.ParseError
		if errors.As(err, &parse) {
			cause = parse.Err
		}
		shown := fmt.Sprintf("%q", value)
		if v.Secret {
			problems = append(problems, Problem{v.Name, "cannot be read as " + v.Type})
			continue
		}
		problems = append(problems, Problem{v.Name, fmt.Sprintf("is %s, which is no %s: %v", shown, v.Type, cause)})
	}
	return problems
}

// validate asks every group and then the whole.
func validate(v reflect.Value) error {
	v = reflect.Indirect(v)
	var problems []error
	for i := range v.NumField() {
		if _, ok := v.Type().Field(i).Tag.Lookup("group"); ok {
			problems = append(problems, validate(v.Field(i).Addr()))
		}
	}
	if val, ok := v.Addr().Interface().(Validator); ok {
		problems = append(problems, val.Validate())
	}
	return errors.Join(problems...)
}

// nearest is the known name that fewest edits lead to, if few enough.
func nearest(name string, known []Var) string {
	best, least := "", len(name)/4+1
	for _, v := range known {
		if d := distance(strings.TrimPrefix(name, Prefix), strings.TrimPrefix(v.Name, Prefix)); d < least {
			best, least = v.Name, d
		}
	}
	return best
}

// distance is how many letters must be inserted, removed or replaced.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := diagonal
			if a[i-1] != b[j-1] {
				change++
			}
			diagonal = row[j]
			row[j] = min(change, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
