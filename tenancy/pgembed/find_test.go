package pgembed_test

import (
	"errors"
	"os"
	"path/filepath"
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
