package fault_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/fault_codes.golden anew")

// codeForm is what a code looks like: noun.problem.
var codeForm = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$`)

// makers says at which argument each constructor takes the code, and the kind (-1: Invalid).
var makers = map[string]struct{ code, kind int }{
	"New": {1, 0}, "Wrap": {2, 1}, "Field": {1, -1}, "Fields": {0, -1},
}

// Every code that leaves the program stands in the golden file: programs of others
// rely on them, so one that disappears or changes its kind is seen in review.
func TestCatalogue(t *testing.T) {
	found := map[string]bool{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && (strings.HasPrefix(name, ".") && name != ".." || name == "node_modules" || name == "testdata" || name == "dist") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		return collect(t, p, found)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 20 {
		t.Fatalf("only %d codes were found: the search is broken", len(found))
	}
	lines := make([]string, 0, len(found))
	for l := range found {
		lines = append(lines, l)
	}
	sort.Strings(lines)
	got := strings.Join(lines, "\n") + "\n"
	const golden = "testdata/fault_codes.golden"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, golden, string(want), got)
}

func compare(t *testing.T, golden, want, got string) {
	t.Helper()
	old, fresh := lineSet(want), lineSet(got)
	for l := range fresh {
		if !old[l] {
			t.Errorf("new, and not in %s: %s", golden, l)
		}
	}
	for l := range old {
		if !fresh[l] {
			t.Errorf("in %s, and made nowhere: %s", golden, l)
		}
	}
}

func lineSet(s string) map[string]bool {
	set := map[string]bool{}
	for _, l := range strings.Split(strings.TrimSpace(s), "\n") {
		set[l] = true
	}
	return set
}

// collect adds the codes of one file.
func collect(t *testing.T, p string, found map[string]bool) error {
	t.Helper()
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, p, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	if f.Name.Name == "fault" {
		return nil
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if lit, ok := n.(*ast.CompositeLit); ok && isFault(lit.Type, "Fault") {
			note(t, files, lit.Pos(), keyed(lit, "Code"), keyed(lit, "Kind"), found)
		}
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		sel, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !isFault(call.Fun, sel.Sel.Name) {
			return true
		}
		m, ok := makers[sel.Sel.Name]
		if !ok || len(call.Args) <= m.code {
			return true
		}
		var kind ast.Expr
		if m.kind >= 0 {
			kind = call.Args[m.kind]
		}
		note(t, files, call.Pos(), call.Args[m.code], kind, found)
		return true
	})
	return nil
}

// note adds a code; without a kind it is Invalid.
func note(t *testing.T, files *token.FileSet, at token.Pos, codeExpr, kindExpr ast.Expr, found map[string]bool) {
	t.Helper()
	code, kind := literal(codeExpr), "Invalid"
	if kindExpr != nil {
		kind = kindName(kindExpr)
	}
	if !codeForm.MatchString(code) || kind == "" {
		t.Errorf("%s: the code and kind of a fault are written out, noun.problem: got %q %q", files.Position(at), code, kind)
		return
	}
	found[fmt.Sprintf("%-40s %s", code, kind)] = true
}

// keyed is the value of a field of a composite literal; nil when it is not given.
func keyed(lit *ast.CompositeLit, name string) ast.Expr {
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok {
			if k, ok := kv.Key.(*ast.Ident); ok && k.Name == name {
				return kv.Value
			}
		}
	}
	return nil
}

func isFault(e ast.Expr, name string) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != name {
		return false
	}
	pkg, ok := sel.X.(*ast.Ident)
	return ok && pkg.Name == "fault"
}

func literal(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return s
}

func kindName(e ast.Expr) string {
	if sel, ok := e.(*ast.SelectorExpr); ok && isFault(e, sel.Sel.Name) {
		return sel.Sel.Name
	}
	return ""
}
