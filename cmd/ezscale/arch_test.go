package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/ezscale/ezscale/"

// ban says what the packages at or below a place may not import, and why. Names
// without a dot are ours. Tests are held to it only where tests is set.
type ban struct {
	of, imports []string
	except      []string // of the banned, these may be imported after all
	why         string
	tests       bool
}

var bans = []ban{
	{of: []string{"tenant"}, imports: []string{"central", "cmd"}, tests: true, why: "the planes meet only in cmd and in the database"},
	{of: []string{"central"}, imports: []string{"tenant", "cmd"}, tests: true, why: "the planes meet only in cmd and in the database"},
	{
		of: []string{"tenant", "central"}, why: "slices use the handle they are given: a driver of their own would have no tenant",
		imports: []string{"github.com/jackc/pgx", "github.com/uptrace/bun/driver", "github.com/redis/go-redis", "github.com/riverqueue/river", "github.com/go-co-op/gocron"},
	},
	{
		of: []string{"tenant", "central", "tenancy", "branding/surface", "branding/signin"}, why: "vendors stand behind a package of their own",
		imports: []string{"github.com/stripe", "github.com/cloudflare", "github.com/vultr", "github.com/plutov", "github.com/minio", "github.com/wneessen"},
	},
	{of: []string{"tenancy"}, imports: []string{"central", "tenant", "branding", "billing", "themes", "cmd"}, tests: true, why: "the floor knows no plane, no looks and no money"},
	{of: []string{"tenancy", "billing", "migrations"}, imports: []string{"github.com/gofiber"}, why: "no HTTP below the surfaces"},
	{of: []string{"tenancy/fault"}, imports: []string{"tenancy", "central", "tenant", "branding", "billing"}, except: []string{"tenancy/fault"}, why: "everything imports fault"},
	{of: []string{"tenancy/secrets"}, imports: []string{"tenancy", "central", "tenant", "branding"}, except: []string{"tenancy/secrets"}, why: "sealing knows nothing of what it seals"},
	{of: []string{"billing"}, imports: []string{"context", "database/sql", "net/http", "tenancy", "central", "tenant", "branding"}, except: []string{"billing/gateway"}, why: "money and time are pure functions"},
	{of: []string{"billing/gateway"}, imports: []string{"database/sql", "tenancy", "central", "tenant", "branding", "provisioners"}, why: "taking money knows neither rows nor orders"},
	{of: []string{"provisioners"}, imports: []string{"database/sql", "tenancy", "central", "tenant", "branding", "billing"}, why: "delivering knows neither tenants nor money"},
	{of: []string{"migrations"}, imports: []string{"central", "tenant", "tenancy", "branding", "billing", "cmd"}, why: "SQL and nothing else"},
	{of: []string{"themes"}, imports: []string{"central", "tenant", "tenancy", "branding", "billing", "cmd"}, why: "templates and nothing else"},
	{of: []string{"branding"}, imports: []string{"central", "tenant", "cmd"}, why: "looks, domains and mail serve both planes and know neither"},
	{
		of: []string{"."}, imports: []string{"tenancy/tenancytest", "cmd/ezscale/programtest", "branding/surface/browser", "branding/surface/surfacetest", "tenant/web/brandtest", "provisioners/provisionertest", "billing/gateway/gatewaytest", "pgregory.net/rapid", "testing"},
		except: []string{"billing/gateway/gatewaytest", "provisioners/provisionertest", "tenancy/tenancytest", "cmd/ezscale/programtest", "branding/surface/browser", "branding/surface/surfacetest", "tenant/web/brandtest"}, why: "test helpers stay out of the program",
	},
	{
		of: []string{"."}, imports: []string{"branding/domain/acmelab", "branding/mail/mailtrap", "provisioners/virtfusion/lab", "billing/gateway/stripelab", "billing/gateway/paypallab", "billing/gateway/coinbaselab", "tenant/taxid/vieslab", "github.com/stripe/stripe-mock", "github.com/alicebob/miniredis", "github.com/letsencrypt/pebble"},
		except: []string{"billing/gateway/stripelab", "billing/gateway/paypallab", "billing/gateway/coinbaselab", "provisioners/virtfusion/lab", "branding/domain/acmelab", "branding/mail/mailtrap", "cmd/ezscale"}, why: "the laboratory is for the demo and the tests",
	},
	{of: []string{"cmd/ezscale/setting", "cmd/ezscale/health", "cmd/ezscale/metrics"}, imports: []string{"central", "tenant", "tenancy", "branding"}, why: "small tools of the program that know none of its parts"},
}

// goPackage is what go list tells.
type goPackage struct {
	ImportPath   string
	Doc          string
	Name         string
	GoFiles      []string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Name,GoFiles,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = "../.."
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, complaint.String())
	}
	var all []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// below reports whether the package name is place or lies below it.
func below(name, place string) bool {
	return place == "." || name == place || strings.HasPrefix(name, place+"/")
}

func ours(importPath string) string { return strings.TrimPrefix(importPath, module) }

// broken lists the imports of p that b bans.
func (b ban) broken(p goPackage) []string {
	name := ours(p.ImportPath)
	under := func(name string) func(string) bool { return func(place string) bool { return below(name, place) } }
	if !slices.ContainsFunc(b.of, under(name)) || slices.ContainsFunc(b.except, under(name)) {
		return nil
	}
	imports := slices.Clone(p.Imports)
	if b.tests {
		imports = slices.Concat(imports, p.TestImports, p.XTestImports)
	}
	var found []string
	for _, i := range imports {
		i = ours(i)
		// fault and secrets are packages of their own floor: banned with all of it.
		if slices.ContainsFunc(b.imports, func(banned string) bool { return below(i, banned) || strings.HasPrefix(i, banned+"/") }) && !slices.ContainsFunc(b.except, under(i)) {
			found = append(found, i)
		}
	}
	return found
}

func TestArchitecture(t *testing.T) {
	all := packages(t)
	exists := func(place string) bool {
		return place == "." || slices.ContainsFunc(all, func(p goPackage) bool { return below(ours(p.ImportPath), place) })
	}
	top := map[string]bool{}
	for _, p := range all {
		top[strings.Split(ours(p.ImportPath), "/")[0]] = true
	}
	for _, b := range bans {
		for _, place := range slices.Concat(b.of, b.except, b.imports) {
			first := strings.Split(place, "/")[0]
			if isOurs := place != "." && !strings.Contains(first, ".") && (top[first] || slices.Contains(b.of, place)); isOurs && !exists(place) {
				t.Errorf("a rule names %s, which does not exist (%s)", place, b.why)
			}
		}
		for _, p := range all {
			for _, i := range b.broken(p) {
				t.Errorf("%s imports %s: %s", ours(p.ImportPath), i, b.why)
			}
		}
	}
}

// TestTheRulesBite plants an import that each rule must find.
func TestTheRulesBite(t *testing.T) {
	for _, b := range bans {
		of, banned := b.of[0], b.imports[0]
		if of == "." {
			of = "billing"
		}
		planted := goPackage{ImportPath: module + of + "/planted", Imports: []string{banned + "/planted"}}
		if slices.ContainsFunc(b.except, func(e string) bool { return below(of+"/planted", e) }) {
			continue // the rule is about everything but its own place
		}
		if strings.Contains(strings.Split(banned, "/")[0], ".") || banned == "context" || banned == "testing" {
			planted.Imports = []string{banned}
		} else {
			planted.Imports = []string{module + banned}
		}
		if excepted := slices.ContainsFunc(b.except, func(e string) bool { return below(banned, e) }); !excepted && len(b.broken(planted)) != 1 {
			t.Errorf("the rule about %v does not find %s", b.of, planted.Imports[0])
		}
	}
}

func TestEveryPackageSaysWhatItOwns(t *testing.T) {
	for _, p := range packages(t) {
		if len(p.GoFiles) == 0 {
			continue // tests alone
		}
		name := ours(p.ImportPath)
		want := "Package " + p.Name + " "
		if p.Name == "main" {
			want = "Command " + path.Base(name) + " "
		}
		if !strings.HasPrefix(p.Doc, want) {
			t.Errorf("%s: the doc comment must begin with %q; it is %q", name, want, p.Doc)
		}
	}
}

func TestNoFolderForEverything(t *testing.T) {
	for _, p := range packages(t) {
		for _, part := range strings.Split(ours(p.ImportPath), "/") {
			if slices.Contains([]string{"util", "utils", "common", "helpers", "models", "types", "services", "internal", "pkg", "manager"}, part) {
				t.Errorf("%s: a folder's name is a noun of the business; everything fits into %q", ours(p.ImportPath), part)
			}
		}
	}
}

// askedHost is a call of Fiber's, by the name a request has in every handler.
var askedHost = regexp.MustCompile(`\bc\.(Hostname|BaseURL|Protocol)\(\)`)

// Fiber believes X-Forwarded-Host from anyone; surface.Host is the one that was checked.
func TestNobodyAsksFiberForTheHost(t *testing.T) {
	if !askedHost.MatchString("label := c.Hostname()") {
		t.Fatal("the pattern finds nothing")
	}
	files := 0
	for _, p := range packages(t) {
		name := ours(p.ImportPath)
		if name == "cmd/ezscale/bench" {
			continue // its floor is a bare handler
		}
		for _, f := range p.GoFiles {
			files++
			b, err := os.ReadFile(filepath.Join("..", "..", name, f))
			if err != nil {
				t.Fatal(err)
			}
			if found := askedHost.Find(b); found != nil {
				t.Errorf("%s/%s: %s", name, f, found)
			}
		}
	}
	if files < 100 {
		t.Errorf("only %d files were read", files)
	}
}
