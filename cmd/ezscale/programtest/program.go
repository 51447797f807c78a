// Package programtest builds the program once for tests that run it as a process of its
// own. It is for tests alone.
package programtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ezscale/ezscale/tenancy/pgembed"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// dir holds the program once it was asked for.
var dir string

var build = sync.OnceValues(func() (path string, err error) {
	if path = os.Getenv("EZSCALE_TEST_PROGRAM"); path != "" {
		_, err = os.Stat(path) // also tells go test that what it remembers depends on it
		return path, err
	}
	if dir, err = os.MkdirTemp("", "ezscale-program"); err != nil {
		return "", err
	}
	path = filepath.Join(dir, "ezscale")
	out, err := exec.Command("go", "build", "-o", path, "github.com/ezscale/ezscale/cmd/ezscale").CombinedOutput() //nolint:gosec // our own program
	if err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, out)
	}
	return path, nil
})

// Binary is the path of the program: the one EZSCALE_TEST_PROGRAM names, or one built at
// the first call.
func Binary() (string, error) { return build() }

// Environ is the environment the program is started with: none of the tests' own
// variables, which it would refuse, and where PostgreSQL is, which it would look for
// below the folder it runs in.
func Environ() ([]string, error) {
	bin, err := pgembed.FindBinDir(os.Getenv("EZSCALE_PG_BIN"), tenancytest.Root())
	if err != nil {
		return nil, err
	}
	kept := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "EZSCALE_") })
	return append(kept, "EZSCALE_PG_BIN="+bin), nil
}

// Main runs a package's tests and removes the program: func TestMain(m *testing.M) {
// os.Exit(programtest.Main(m)) }.
func Main(m *testing.M) int {
	code := m.Run()
	if dir != "" {
		_ = os.RemoveAll(dir)
	}
	return code
}
