package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/ezscale/ezscale/tenancy/secrets"
)

// lock keeps a second demo out of the directory; it goes with the process.
func lock(path string) (unlock func() error, err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the demo's own directory
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("a demo is running already in %s; stop it, or choose another directory with EZSCALE_DEMO_DIR", filepath.Dir(path))
		}
		return nil, err
	}
	return f.Close, nil
}

// MasterKey is the demo's own key, made at the first start.
func MasterKey(dir string) (string, error) {
	path := filepath.Join(dir, "master.key")
	b, err := os.ReadFile(path) //nolint:gosec // the demo's own directory
	if err == nil {
		return string(b), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	key, err := secrets.NewKey("demo")
	if err != nil {
		return "", err
	}
	return key, os.WriteFile(path, []byte(key), 0o600)
}

// SaveEnv writes the variables of a running demo to dir/env, for a shell to read: the
// other commands then work on the demo.
func SaveEnv(dir string, environ []string) error {
	var b strings.Builder
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		b.WriteString(name + "='" + strings.ReplaceAll(value, "'", `'\''`) + "'\n")
	}
	return os.WriteFile(filepath.Join(dir, "env"), []byte(b.String()), 0o600)
}

// Reset removes everything a demo in dir stored. A running demo is refused.
func Reset(dir, data string) error {
	if data == "" {
		var err error
		if data, err = DataDir(dir); err != nil {
			return err
		}
	}
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return os.RemoveAll(data)
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	defer unlock() //nolint:errcheck // the file is gone with the directory
	if err := os.RemoveAll(data); err != nil {
		return err
	}
	for _, name := range []string{"pg", "uploads", "zone.json", "root.pem", "authority.pem", "master.key", "logins.json", "log.json", "env", "exports", "lock"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// npmRoots are where node_modules may lie: here, and beside the program.
func npmRoots() []string {
	roots := []string{"."}
	if self, err := os.Executable(); err == nil {
		roots = append(roots, filepath.Dir(filepath.Dir(self)))
	}
	return roots
}

// enterable says whether everyone may walk to path.
func enterable(path string) bool {
	for d := path; ; d = filepath.Dir(d) {
		st, err := os.Stat(d)
		if err != nil || st.Mode().Perm()&0o001 == 0 {
			return false
		}
		if d == filepath.Dir(d) {
			return true
		}
	}
}

func shortHash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:4])
}
