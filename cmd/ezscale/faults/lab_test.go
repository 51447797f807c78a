// Package faults runs the real program, as child processes, and takes from under it
// what it stands on: PostgreSQL, Redis, the mail server, the certificate authority,
// the name server, and its own life. It has only tests, and owns the machinery they
// share. What a single part does in such a case is tested beside the part.
package faults

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
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

	"github.com/alicebob/miniredis/v2"
	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/branding/domain/acmelab"
	"github.com/ezscale/ezscale/branding/mail"
	"github.com/ezscale/ezscale/branding/mail/mailtrap"
	"github.com/ezscale/ezscale/cmd/ezscale/programtest"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/pgembed"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// patience bounds every wait: a limit for what never comes, no measure of speed.
const patience = 90 * time.Second

const lanes = 4

func TestMain(m *testing.M) { os.Exit(programtest.Main(m)) }

// house is everything around the program, with two tenants, alpha and beta.
type house struct {
	t       *testing.T
	pg      *pgembed.Server
	redis   *miniredis.Miniredis
	acme    *acmelab.Lab
	trap    *mailtrap.Trap
	ring    *secrets.Keyring
	environ []string
	first   ports // of the first node, which the authority and self tests reach
}

type ports struct{ http, https, metrics int }

func newHouse(t *testing.T, settings ...string) *house {
	t.Helper()
	h := &house{t: t, pg: tenancytest.StartServer(t, map[string]string{"max_connections": "200"}), redis: miniredis.NewMiniRedis(), first: freePorts(t)}
	tenancytest.CreateDatabase(t, h.pg, "ezscale")
	must(t, h.redis.StartAddr("127.0.0.1:0"))
	t.Cleanup(h.redis.Close)
	var err error
	h.trap, err = mailtrap.Listen("127.0.0.1:0", mailtrap.Options{Keep: 10_000})
	must(t, err)
	t.Cleanup(func() { _ = h.trap.Close() })
	h.acme, err = acmelab.Start(acmelab.Options{HTTPPort: h.first.http, TLSPort: h.first.https})
	must(t, err)
	t.Cleanup(func() { _ = h.acme.Close() })
	h.configure(settings)
	h.run("migrate", "--quiet")
	for _, name := range []string{"Alpha", "Beta"} {
		h.run("tenant", "create", name, "--owner-email", "owner@"+strings.ToLower(name)+".test")
	}
	return h
}

// configure is what an operator would put into the environment.
func (h *house) configure(settings []string) {
	h.t.Helper()
	dir := h.t.TempDir()
	roots := filepath.Join(dir, "authority.pem")
	must(h.t, os.WriteFile(roots, h.acme.DirectoryPEM(), 0o600))
	key, err := secrets.NewKey("k1")
	must(h.t, err)
	h.ring, err = secrets.Parse(key)
	must(h.t, err)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "EZSCALE_") {
			h.environ = append(h.environ, e)
		}
	}
	h.environ = append(h.environ,
		"EZSCALE_DATABASE_URL="+h.pg.DSN("ezscale"), fmt.Sprintf("EZSCALE_LANES=%d", lanes), "EZSCALE_REDIS_URL=redis://"+h.redis.Addr(), "EZSCALE_MASTER_KEYS="+key,
		"EZSCALE_PLATFORM_DOMAIN=localhost", "EZSCALE_PLAIN_HTTP=true",
		"EZSCALE_ACME_DIRECTORY="+h.acme.Directory(), "EZSCALE_ACME_CAA="+acmelab.Identity, "EZSCALE_ACME_EMAIL=ops@ezscale.test", "EZSCALE_ACME_PROFILE="+acmelab.Profile, "EZSCALE_ACME_ROOTS="+roots,
		"EZSCALE_DNS_RESOLVERS="+h.acme.DNS(), "EZSCALE_EDGE_IPV4=127.0.0.1", "EZSCALE_EDGE_DOMAIN=edge.ezscale.test", "EZSCALE_EDGE_TLDS=test",
		"EZSCALE_SMTP_URL=smtp+plain://"+h.trap.Addr(), "EZSCALE_STORAGE_URL=file://"+filepath.Join(dir, "uploads"), "EZSCALE_EXPORT_DIR="+filepath.Join(dir, "exports"),
		"EZSCALE_DRAIN=0s", "EZSCALE_GRACE=20s", "EZSCALE_SPARES=1")
	h.environ = append(h.environ, settings...)
}

// run runs a command of the program to its end.
func (h *house) run(args ...string) string {
	h.t.Helper()
	out, err := h.tried(args...)
	if err != nil {
		h.t.Fatalf("ezscale %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// tried is run for a command that may be refused.
func (h *house) tried(args ...string) (string, error) {
	h.t.Helper()
	path, err := programtest.Binary()
	must(h.t, err)
	cmd := exec.CommandContext(h.t.Context(), path, args...)
	cmd.Env = h.environ
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// node is one running process of the program.
type node struct {
	house *house
	ports ports
	cmd   *exec.Cmd
	log   *output
	ended chan struct{}
	err   error // of Wait, after ended
}

// output collects what a process prints.
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

// complaints are the lines of a log that are not about a request that went well.
func (o *output) complaints() string {
	var all []string
	for line := range strings.Lines(o.String()) {
		if !strings.Contains(line, `"level":"INFO"`) {
			all = append(all, line)
		}
	}
	return strings.Join(all[max(0, len(all)-20):], "")
}

// start starts serve or work and does not wait for it.
func (h *house) start(command string, at ports, settings ...string) *node {
	h.t.Helper()
	path, err := programtest.Binary()
	must(h.t, err)
	n := &node{house: h, ports: at, cmd: exec.Command(path, command), log: &output{}, ended: make(chan struct{})}
	n.cmd.Env = append(append(append([]string(nil), h.environ...),
		fmt.Sprintf("EZSCALE_HTTP_ADDR=127.0.0.1:%d", at.http), fmt.Sprintf("EZSCALE_HTTPS_ADDR=127.0.0.1:%d", at.https),
		fmt.Sprintf("EZSCALE_PUBLIC_HTTPS_PORT=%d", h.first.https), fmt.Sprintf("EZSCALE_METRICS_ADDR=127.0.0.1:%d", at.metrics)), settings...)
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	must(h.t, n.cmd.Start())
	go func() { n.err = n.cmd.Wait(); close(n.ended) }()
	h.t.Cleanup(func() { _ = n.cmd.Process.Kill(); <-n.ended })
	return n
}

// serve starts a node that serves and waits until it is ready.
func (h *house) serve(at ports, settings ...string) *node {
	h.t.Helper()
	n := h.start("serve", at, settings...)
	n.awaitReady()
	return n
}

// work starts a node that works and waits until it is ready. It needs no ports for
// visitors, but self tests and the authority go where the first node listens.
func (h *house) work(settings ...string) *node {
	h.t.Helper()
	at := freePorts(h.t)
	at.http, at.https = h.first.http, h.first.https
	n := h.start("work", at, settings...)
	n.awaitReady()
	return n
}

func (n *node) awaitReady() {
	n.house.t.Helper()
	n.house.until("the node is ready", func() error {
		select {
		case <-n.ended:
			n.house.t.Fatalf("the node ended: %v\n%s", n.err, n.log)
		default:
		}
		if code, said := n.readiness(); code != http.StatusOK {
			return fmt.Errorf("%d %v\n%s", code, said, n.log.complaints())
		}
		return nil
	})
}

// readiness is what the operator is told: status and parts.
func (n *node) readiness() (int, map[string]string) {
	res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", n.ports.metrics))
	if err != nil {
		return 0, map[string]string{"error": err.Error()}
	}
	defer res.Body.Close()
	var a struct{ Parts map[string]string }
	_ = json.NewDecoder(res.Body).Decode(&a)
	return res.StatusCode, a.Parts
}

// alive fails the test when the process has ended.
func (n *node) alive() {
	n.house.t.Helper()
	select {
	case <-n.ended:
		n.house.t.Fatalf("the process ended: %v\n%s", n.err, n.log.complaints())
	default:
	}
}

func (n *node) kill() {
	_ = n.cmd.Process.Kill()
	<-n.ended
}

// stop is SIGTERM; the process must end well.
func (n *node) stop() {
	n.house.t.Helper()
	must(n.house.t, n.cmd.Process.Signal(syscall.SIGTERM))
	n.mustEndWell()
}

func (n *node) mustEndWell() {
	n.house.t.Helper()
	select {
	case <-n.ended:
		if n.err != nil {
			n.house.t.Errorf("the process ended with %v\n%s", n.err, n.log.complaints())
		}
	case <-time.After(patience):
		n.house.t.Fatalf("the process does not stop\n%s", n.log.complaints())
	}
}

// client reaches every name at this node and follows nothing. Each call has its own
// connections.
func (n *node) client() *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(n.house.acme.RootPEM())
	return &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 32,
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				port := n.ports.http
				if strings.HasSuffix(address, ":443") {
					port = n.ports.https
				}
				return new(net.Dialer).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", port))
			},
		}}
}

// answer is what a request got.
type answer struct {
	status int
	body   string
	header http.Header
}

func ask(c *http.Client, method, url, form string) (answer, error) {
	req, err := http.NewRequest(method, url, strings.NewReader(form))
	if err != nil {
		return answer{}, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, string(b), res.Header}, err
}

// get asks the node over new connections; that there is no answer is a failure.
func (n *node) get(url string) answer {
	n.house.t.Helper()
	a, err := n.try(url)
	if err != nil {
		n.house.t.Fatalf("GET %s: %v\n%s", url, err, n.log.complaints())
	}
	return a
}

func (n *node) try(url string) (answer, error) {
	c := n.client()
	defer c.CloseIdleConnections()
	return ask(c, http.MethodGet, url, "")
}

// want checks a page.
func (n *node) want(what, url string, status int, says string) {
	n.house.t.Helper()
	if a := n.get(url); a.status != status || !strings.Contains(a.body, says) {
		n.house.t.Errorf("%s: GET %s: %d, want %d with %q\n%s\n%s", what, url, a.status, status, says, short(a.body), n.log.complaints())
	}
}

// eventually is want with patience.
func (n *node) eventually(what, url string, status int, says string) {
	n.house.t.Helper()
	n.house.until(what, func() error {
		n.alive()
		// Without a certificate yet there is no connection.
		if a, err := n.try(url); err != nil || a.status != status || !strings.Contains(a.body, says) {
			return fmt.Errorf("GET %s: %d %w, want %d with %q\n%s\n%s", url, a.status, err, status, says, short(a.body), n.log.complaints())
		}
		return nil
	})
}

func short(s string) string { return s[:min(len(s), 600)] }

// until tries until it works.
func (h *house) until(what string, try func() error) {
	h.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("%s: never: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// planes opens the planes as the program's logins do.
func (h *house) planes() (*tenancy.Pool, *tenancy.Central) {
	h.t.Helper()
	cfg := tenancy.Config{DSN: h.pg.DSN("ezscale"), Password: h.ring.DerivePassword, Lanes: lanes, ConnsPerLane: 2}
	pool, err := tenancy.Open(context.Background(), cfg)
	must(h.t, err)
	h.t.Cleanup(pool.Close)
	central, err := tenancy.OpenCentral(context.Background(), cfg, 2)
	must(h.t, err)
	h.t.Cleanup(central.Close)
	return pool, central
}

// tenants are alpha and beta.
func (h *house) tenants(c *tenancy.Central) (all []tenancy.Tenant) {
	h.t.Helper()
	var rows []struct {
		ID   tenancy.ID
		Slug string
	}
	must(h.t, c.View(context.Background(), func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT id, slug FROM tenants WHERE slug IN ('alpha', 'beta') ORDER BY slug").Scan(context.Background(), &rows)
	}))
	if len(rows) != 2 {
		h.t.Fatalf("the tenants are %v", rows)
	}
	for _, r := range rows {
		all = append(all, tenancy.Tenant{ID: r.ID, Slug: r.Slug, Name: r.Slug, Status: tenancy.Active})
	}
	return all
}

// letter puts a mail into a tenant's outbox.
func (h *house) letter(db *tenancy.DB, key, to string) error {
	return db.Update(context.Background(), func(tx *tenancy.Tx) error {
		return mail.NewOutbox(h.ring).Enqueue(context.Background(), tx, mail.Message{Key: key, Template: mail.AddressKnown, To: to,
			Data: map[string]string{"name": "Ada", "link": "/sign-in"}})
	})
}

// query reads one value as the owner of the database.
func query[T any](h *house, sql string) (v T) {
	h.t.Helper()
	c, err := pgx.Connect(context.Background(), h.pg.DSN("ezscale"))
	must(h.t, err)
	defer c.Close(context.Background())
	must(h.t, c.QueryRow(context.Background(), sql).Scan(&v))
	return v
}

// stopPostgres stops the server and returns what starts it again, at the same place.
func (h *house) stopPostgres() (again func()) {
	h.t.Helper()
	dir, bin := h.pg.Dir(), os.Getenv("EZSCALE_PG_BIN")
	must(h.t, ignoreExit(h.pg.StopAndKeep()))
	return func() {
		h.t.Helper()
		bin, err := pgembed.FindBinDir(bin, tenancytest.Root())
		must(h.t, err)
		h.pg, err = pgembed.Start(context.Background(), pgembed.Options{BinDir: bin, Dir: dir, Temporary: true, Fast: true, Set: tenancytest.ServerSettings(map[string]string{"max_connections": "200"})})
		must(h.t, err)
		h.t.Cleanup(func() { _ = h.pg.Stop() })
	}
}

func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

// taken are the ports tests of this package chose already.
var taken sync.Map

func freePorts(t *testing.T) ports {
	t.Helper()
	next := func() int {
		for {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			port := ln.Addr().(*net.TCPAddr).Port
			must(t, ln.Close())
			if _, again := taken.LoadOrStore(port, true); !again {
				return port
			}
		}
	}
	return ports{next(), next(), next()}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
