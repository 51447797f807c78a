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
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ezscale/ezscale/cmd/ezscale/programtest"
)

var (
	screenshots = flag.String("screenshots", "", "folder to write pictures of every page to")
	attached    = flag.String("demo", "", "folder of a demo that runs already, such as .demo; empty: one is started")
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *screenshots != "" {
		if err := os.Setenv("EZSCALE_SCREENSHOTS", *screenshots); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	code := programtest.Main(m)
	if err := theDemo.stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// guide is what the demo writes to logins.json.
type guide struct {
	Sites []struct {
		Name, Slug, HTTP, HTTPS, About string
	} `json:"sites"`
	Logins  []login `json:"logins"`
	Index   string  `json:"index"`
	DNS     string  `json:"dns"`
	Mail    string  `json:"mail"`
	Root    string  `json:"root_certificate"`
	TLSPort int     `json:"https_port"`
}

// login is who signs in to a world; of a tenant's, the first one.
func (g guide) login(t *testing.T, world, tenant string) login {
	t.Helper()
	for _, l := range g.Logins {
		if l.World == world && l.Tenant == tenant {
			return l
		}
	}
	t.Fatalf("nobody signs in to %s %s", world, tenant)
	return login{}
}

// site is where a shop answers, without a slash at the end.
func (g guide) site(slug string) string {
	for _, s := range g.Sites {
		if s.Slug == slug {
			return strings.TrimSuffix(s.HTTP, "/")
		}
	}
	return ""
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

// theDemo is the one demo that all tests look at.
var theDemo running

// running is a demo in a process of its own.
type running struct {
	once  sync.Once
	dir   string // of the program and the demo's files
	data  string
	cmd   *exec.Cmd
	said  lockedBuffer
	ended chan error
	guide guide
	err   error
}

// demo is the running demo: the one -demo names, or one started by the first test that
// asks and stopped after the last.
func demo(t *testing.T) guide {
	t.Helper()
	theDemo.once.Do(func() {
		if *attached != "" {
			theDemo.guide, theDemo.err = readGuide(filepath.Join(*attached, "logins.json"))
			return
		}
		theDemo.err = theDemo.start()
	})
	must(t, theDemo.err)
	return theDemo.guide
}

func (d *running) start() (err error) {
	if d.dir, err = os.MkdirTemp("", "ezwalk"); err != nil {
		return err
	}
	bin, err := programtest.Binary()
	if err != nil {
		return err
	}
	// Root's Postgres runs as another user, who must be able to reach its data.
	if d.data, err = os.MkdirTemp("", "ezdemo"); err != nil {
		return err
	}
	if err := os.Chmod(d.data, 0o755); err != nil { //nolint:gosec // see above
		return err
	}
	cmd := exec.Command(bin, "demo")
	cmd.Dir = d.dir
	if cmd.Env, err = programtest.Environ(); err != nil {
		return err
	}
	cmd.Env = append(cmd.Env, "EZSCALE_DEMO_MONTHS=1", "EZSCALE_DEMO_DIR="+filepath.Join(d.dir, "demo"), "EZSCALE_DEMO_DATA="+filepath.Join(d.data, "pg"))
	listeners := []string{"HTTP", "HTTPS", "DNS", "ACME", "SMTP", "METRICS", "VIRTFUSION", "STRIPE", "PAYPAL", "COINBASE", "VIES"}
	ports, err := freePorts(len(listeners))
	if err != nil {
		return err
	}
	for i, name := range listeners {
		cmd.Env = append(cmd.Env, "EZSCALE_DEMO_"+name+"="+strconv.Itoa(ports[i]))
	}
	cmd.Stdout, cmd.Stderr = &d.said, &d.said
	if err := cmd.Start(); err != nil {
		return err
	}
	d.cmd, d.ended = cmd, make(chan error, 1)
	go func() { d.ended <- cmd.Wait() }()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		select {
		case err := <-d.ended:
			d.ended <- err
			return fmt.Errorf("the demo ended: %w\n%s", err, d.said.String())
		default:
		}
		if strings.Contains(d.said.String(), "ready in") {
			d.guide, err = readGuide(filepath.Join(d.dir, "demo", "logins.json"))
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the demo did not come up:\n%s", d.said.String())
		}
	}
}

// stop is Ctrl-C, and forgets what the demo stored.
func (d *running) stop() (err error) {
	if d.cmd != nil {
		_ = d.cmd.Process.Signal(syscall.SIGINT)
		select {
		case err = <-d.ended:
		case <-time.After(patience):
			_ = d.cmd.Process.Kill()
			err = errors.New("the demo did not end at Ctrl-C")
		}
	}
	for _, dir := range []string{d.dir, d.data} {
		if dir != "" {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}
	return err
}

func readGuide(file string) (guide, error) {
	var g guide
	b, err := os.ReadFile(file)
	if err != nil {
		return g, err
	}
	if err := json.Unmarshal(b, &g); err != nil {
		return g, err
	}
	if len(g.Sites) == 0 || len(g.Logins) == 0 {
		return g, errors.New("the demo has no sites or nobody to sign in as")
	}
	return g, nil
}

// freePorts are n ports nobody listens at.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // kept until all are chosen
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
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
