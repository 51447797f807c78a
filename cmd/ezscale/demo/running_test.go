package demo_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ezscale/ezscale/cmd/ezscale/programtest"
)

func TestMain(m *testing.M) { os.Exit(programtest.Main(m)) }

// lock out other tests' choice of the same free ports.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		ports = append(ports, ln.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// place is where a test's demo lives; it can be started more than once.
type place struct {
	dir     string
	environ []string
	http    int
	https   int
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir, err := os.MkdirTemp("", "ezd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // PostgreSQL's user walks through when we are root
		t.Fatal(err)
	}
	p := &place{dir: dir}
	names := []string{"HTTP", "HTTPS", "DNS", "ACME", "SMTP", "METRICS", "VIRTFUSION", "STRIPE", "PAYPAL", "COINBASE", "VIES"}
	ports := freePorts(t, len(names))
	p.http, p.https = ports[0], ports[1]
	if p.environ, err = programtest.Environ(); err != nil {
		t.Fatal(err)
	}
	p.environ = append(p.environ, "EZSCALE_DEMO_MONTHS=0", "EZSCALE_DEMO_DIR="+filepath.Join(dir, "demo"))
	for i, name := range names {
		p.environ = append(p.environ, fmt.Sprintf("EZSCALE_DEMO_%s=%d", name, ports[i]))
	}
	return p
}

// demo is a running demo.
type running struct {
	place *place
	cmd   *exec.Cmd
	out   *output
	ended chan error
}

// output collects what the process prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start runs the demo and waits until it says that it is ready.
func (p *place) start(t *testing.T) *running {
	t.Helper()
	path, err := programtest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	d := &running{place: p, cmd: exec.Command(path, "demo"), out: &output{}, ended: make(chan error, 1)}
	d.cmd.Env, d.cmd.Stdout, d.cmd.Stderr = p.environ, d.out, d.out
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	d.cmd.Dir = root
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { d.ended <- d.cmd.Wait() }()
	t.Cleanup(func() { _ = d.cmd.Process.Kill() })
	for deadline := time.Now().Add(2 * time.Minute); !strings.Contains(d.out.String(), "ready in"); {
		select {
		case err := <-d.ended:
			t.Fatalf("the demo ended early: %v\n%s", err, d.out)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("the demo is not ready\n%s", d.out)
		}
	}
	return d
}

// interrupt is Ctrl-C.
func (d *running) interrupt(t *testing.T) {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-d.ended:
		if err != nil {
			t.Fatalf("the demo ended with %v\n%s", err, d.out)
		}
	case <-time.After(time.Minute):
		t.Fatalf("the demo does not stop\n%s", d.out)
	}
}

// client reaches every host at this machine and trusts the demo's authority.
func (d *running) client(t *testing.T) *http.Client {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(d.place.dir, "demo", "root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true,
		// Not every resolver knows what lies below localhost.
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		},
	}}
}

func (d *running) get(t *testing.T, url string) (int, string) {
	t.Helper()
	res, err := d.client(t).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func (d *running) plain(host string) string {
	return fmt.Sprintf("http://%s.localhost:%d/", host, d.place.http)
}

func (d *running) secure(host string) string {
	return fmt.Sprintf("https://%s.localhost:%d/", host, d.place.https)
}

func TestDemo(t *testing.T) {
	p := newPlace(t)
	d := p.start(t)
	for host, says := range map[string]string{"nimbus": "A calm place for your servers", "pixelforge": "Your world, always on", "ezscale": "Servers without the small print"} {
		for _, url := range []string{d.plain(host), d.secure(host)} {
			if code, body := d.get(t, url); code != http.StatusOK || !strings.Contains(body, says) {
				t.Errorf("%s: %d without %q", url, code, says)
			}
		}
	}
	if code, body := d.get(t, d.plain("nobody")); code != http.StatusNotFound || strings.Contains(body, "EZSCALE") {
		t.Errorf("an unknown host is answered with %d and names somebody", code)
	}
	checkLogins(t, p)
	postmaster := filepath.Join(p.dir, "demo", "pg", "data", "postmaster.pid")
	if _, err := os.Stat(postmaster); err != nil {
		t.Errorf("PostgreSQL does not run where it should: %v", err)
	}
	d.interrupt(t)
	if _, err := os.Stat(postmaster); !os.IsNotExist(err) {
		t.Errorf("PostgreSQL was left behind (%v)", err)
	}
	if c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", p.http), time.Second); err == nil {
		_ = c.Close()
		t.Error("something still listens after Ctrl-C")
	}

	again := p.start(t)
	if code, body := again.get(t, again.plain("nimbus")); code != http.StatusOK || !strings.Contains(body, "A calm place for your servers") {
		t.Errorf("after a restart nimbus answers %d", code)
	}
	again.interrupt(t)
}

func checkLogins(t *testing.T, p *place) {
	t.Helper()
	path := filepath.Join(p.dir, "demo", "logins.json")
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != 0o600 {
		t.Errorf("logins.json has mode %o", st.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var guide struct {
		Logins []struct{ World, Email, Password string }
	}
	if err := json.Unmarshal(b, &guide); err != nil {
		t.Fatal(err)
	}
	worlds := map[string]int{}
	for _, l := range guide.Logins {
		worlds[l.World]++
	}
	if worlds["staff"] != 1 || worlds["reseller"] != 3 || worlds["customer"] < 3 {
		t.Errorf("the logins are %v", worlds)
	}
}

func TestTakenPortIsNamed(t *testing.T) {
	p := newPlace(t)
	ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p.http))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	path, err := programtest.Binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "demo")
	cmd.Env = p.environ
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), fmt.Sprintf("port %d is taken", p.http)) || !strings.Contains(string(out), "EZSCALE_DEMO_HTTP") {
		t.Errorf("got %v\n%s", err, out)
	}
}
