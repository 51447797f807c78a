// Package e2e runs the built program as a newcomer does: it starts the demo, signs
// in as its people and looks at every page they can reach.
package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var (
	screenshots = flag.String("screenshots", "", "folder to write pictures of every page to")
	running     = flag.String("demo", "", "folder of a demo that runs already, such as .demo; empty: one is started")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *screenshots != "" {
		if err := os.Setenv("EZSCALE_SCREENSHOTS", *screenshots); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}

// guide is what the demo writes to logins.json.
type guide struct {
	Sites []struct {
		Name, Slug, HTTP, About string
	} `json:"sites"`
	Logins []login `json:"logins"`
	Index  string  `json:"index"`
	DNS    string  `json:"dns"`
	Mail   string  `json:"mail"`
}

type login struct {
	Who      string `json:"who"`
	World    string `json:"world"`
	Tenant   string `json:"tenant"`
	URL      string `json:"url"`
	Email    string `json:"email"`
	Password string `json:"password"`
	Secret   string `json:"totp_secret"`
}

// patience is how long a demo may take to come up on a busy machine.
const patience = 90 * time.Second

// demo is a running demo: its own, ended with the test, or the one -demo names.
func demo(t *testing.T) guide {
	t.Helper()
	if *running != "" {
		return mustGuide(t, filepath.Join(*running, "logins.json"))
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "ezscale")
	_, here, _, _ := runtime.Caller(0)
	build := exec.Command("go", "build", "-o", bin, "..")
	build.Dir = filepath.Dir(here)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	// Root's Postgres runs as another user, who must be able to reach its data.
	data, err := os.MkdirTemp("", "ezdemo")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(data) })
	run := exec.Command(bin, "demo")
	run.Dir = dir
	// The tests' own variables are none of the program's, which refuses what it does not know.
	run.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "EZSCALE_SCREENSHOTS=") })
	run.Env = append(run.Env, "EZSCALE_DEMO_DIR="+filepath.Join(dir, "demo"), "EZSCALE_DEMO_DATA="+filepath.Join(data, "pg"))
	for _, name := range []string{"HTTP", "HTTPS", "DNS", "ACME", "SMTP", "METRICS"} {
		run.Env = append(run.Env, "EZSCALE_DEMO_"+name+"="+strconv.Itoa(freePort(t)))
	}
	must(t, os.Chmod(data, 0o755)) //nolint:gosec // see above
	var said lockedBuffer
	run.Stdout, run.Stderr = &said, &said
	must(t, run.Start())
	ended := make(chan error, 1)
	go func() { ended <- run.Wait() }()
	t.Cleanup(func() {
		_ = run.Process.Signal(syscall.SIGINT)
		select {
		case <-ended:
		case <-time.After(patience):
			_ = run.Process.Kill()
			t.Error("the demo did not end at Ctrl-C")
		}
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the demo ended: %v\n%s", err, said.String())
		default:
		}
		if bytes.Contains([]byte(said.String()), []byte("ready in")) {
			return mustGuide(t, filepath.Join(dir, "demo", "logins.json"))
		}
		if time.Now().After(deadline) {
			t.Fatalf("the demo did not come up:\n%s", said.String())
		}
	}
}

func mustGuide(t *testing.T, file string) guide {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	var g guide
	must(t, json.Unmarshal(b, &g))
	if len(g.Sites) == 0 || len(g.Logins) == 0 {
		t.Fatal(errors.New("the demo has no sites or nobody to sign in as"))
	}
	return g
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// lockedBuffer is a buffer that a process writes while the test reads.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
