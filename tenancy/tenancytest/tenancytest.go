// Package tenancytest gives a test its own database on a real PostgreSQL, with the
// platform installed and two tenants in it: code that is only ever tried with one
// tenant is not tested. It is for tests alone.
package tenancytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/pgembed"
)

// Lanes is how many lanes a test database has: few, so that tenants share them.
const Lanes = 4

// The server of this test process, and the database the others are copies of.
var (
	start    sync.Once
	servers  *cluster
	startErr error
	running  atomic.Bool
	count    atomic.Int64
)

const template = "world"

// Main runs the tests of a package that uses databases and stops the server after
// them: func TestMain(m *testing.M) { tenancytest.Main(m) }.
func Main(m *testing.M) {
	// The themes' templates are a large heap for what a test makes beside it: collecting
	// it as often as in a server took half the time of some tests.
	debug.SetGCPercent(400)
	running.Store(true)
	code := m.Run()
	if servers != nil {
		servers.stop()
	}
	os.Exit(code)
}

// Clock is a clock that tests turn. It is safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance turns the clock forward.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Set puts the clock to t.
func (c *Clock) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// Start is where every test's clock begins.
var Start = time.Date(2026, 10, 15, 9, 30, 0, 0, time.UTC)

// World is one test's platform.
type World struct {
	DSN     string        // of the test's database, as its owner (a superuser)
	Owner   *pgx.Conn     // on that database
	Pool    *tenancy.Pool // two connections a lane
	Central *tenancy.Central
	Clock   *Clock
	A, B    tenancy.Tenant // of one lane: the hardest case
	C       tenancy.Tenant // of another lane
}

// New makes a world: a copy of the installed template, removed when the test ends.
func New(t testing.TB) *World {
	t.Helper()
	dsn := NewDatabase(t)
	return worldOver(t, dsn, dsn)
}

// worldOver opens the planes at dsn; the owner comes in at its own.
func worldOver(t testing.TB, ownerDSN, dsn string) *World {
	t.Helper()
	w := &World{DSN: dsn, Clock: &Clock{now: Start}}
	ctx := context.Background()
	owner, err := pgx.Connect(ctx, ownerDSN)
	must(t, err)
	w.Owner = owner
	t.Cleanup(func() { _ = owner.Close(ctx) })
	cfg := tenancy.Config{DSN: w.DSN, Lanes: Lanes, ConnsPerLane: 2, Clock: w.Clock.Now}
	w.Pool, err = tenancy.Open(ctx, cfg)
	must(t, err)
	t.Cleanup(w.Pool.Close)
	w.Central, err = tenancy.OpenCentral(ctx, cfg, 4)
	must(t, err)
	t.Cleanup(w.Central.Close)
	a, b, c := cast()
	w.A, w.B, w.C = tenantNamed(a, "alpha"), tenantNamed(b, "beta"), tenantNamed(c, "gamma")
	return w
}

// DB is the handle on t.
func (w *World) DB(t tenancy.Tenant) *tenancy.DB { return w.Pool.Bind(t) }

// NewDatabase makes a copy of the installed template (with the tenants of World)
// and returns its owner's DSN.
func NewDatabase(t testing.TB) string {
	t.Helper()
	if !running.Load() {
		t.Fatal("tenancytest: give the package a TestMain that calls tenancytest.Main")
	}
	start.Do(func() { startErr = startServer() })
	must(t, startErr)
	ctx := context.Background()
	name := fmt.Sprintf("w%d", count.Add(1))
	must(t, servers.clone(ctx, template, name))
	t.Cleanup(func() { servers.drop(ctx, name) })
	owner, err := pgx.Connect(ctx, servers.server.DSN(name))
	must(t, err)
	defer owner.Close(ctx) //nolint:errcheck // nothing to do about it
	must(t, tenancy.SettleDatabase(ctx, owner))
	return servers.server.DSN(name)
}

// Server is the PostgreSQL of this test process, for tests that stop or restart one:
// they make their own with StartServer instead.
func Server(t testing.TB) *pgembed.Server {
	t.Helper()
	start.Do(func() { startErr = startServer() })
	must(t, startErr)
	return servers.server
}

// StartServer starts a PostgreSQL of the test's own, which it may kill and restart.
func StartServer(t testing.TB, set map[string]string) *pgembed.Server {
	t.Helper()
	bin, err := pgembed.FindBinDir(os.Getenv("EZSCALE_PG_BIN"), Root())
	must(t, err)
	c, err := startCluster(context.Background(), pgembed.Options{BinDir: bin, Fast: true, InMemory: true, Set: set, Log: serverLog()})
	must(t, err)
	t.Cleanup(c.stop)
	own.Store(c.server, c)
	return c.server
}

// serverLog is where servers write, when somebody wants to read it.
func serverLog() io.Writer {
	if os.Getenv("EZSCALE_TEST_PG_LOG") != "" {
		return os.Stderr
	}
	return nil
}

// own are the clusters of the servers that tests started for themselves.
var own sync.Map

// CreateDatabase makes an empty database on a server that StartServer started.
func CreateDatabase(t testing.TB, s *pgembed.Server, name string) {
	t.Helper()
	c, ok := own.Load(s)
	if !ok {
		t.Fatal("tenancytest: this server is none of StartServer's")
	}
	must(t, c.(*cluster).create(context.Background(), name))
}

// Root is the directory of the checkout: the one of go.mod, above the package under test.
// A program built with -trimpath does not know where its source was.
func Root() string {
	dir, err := os.Getwd()
	for ; err == nil && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, missing := os.Stat(filepath.Join(dir, "go.mod")); missing == nil {
			return dir
		}
	}
	return "."
}

func startServer() error {
	ctx := context.Background()
	bin, err := pgembed.FindBinDir(os.Getenv("EZSCALE_PG_BIN"), Root())
	if err != nil {
		return err
	}
	servers, err = startCluster(ctx, pgembed.Options{BinDir: bin, Fast: true, InMemory: true, Log: serverLog()})
	if err != nil {
		return err
	}
	if err := servers.create(ctx, template); err != nil {
		return err
	}
	owner, err := pgx.Connect(ctx, servers.server.DSN(template))
	if err != nil {
		return err
	}
	_, err = tenancy.Install(ctx, owner, tenancy.InstallOptions{Lanes: Lanes})
	if err == nil {
		err = populate(ctx, owner)
	}
	if err == nil && os.Getenv(StatementsDir) != "" && !OnCitus() {
		_, err = owner.PgConn().Exec(ctx, likeACluster).ReadAll()
	}
	if err := errors.Join(err, owner.Close(ctx)); err != nil { // a template must have no sessions
		return err
	}
	return servers.shut(ctx, template)
}

// cast chooses the numbers of the tenants: two of one lane, one of another.
func cast() (a, b, c tenancy.ID) {
	a = numbered(1)
	for n := int64(2); b.IsZero() || c.IsZero(); n++ {
		switch id := numbered(n); {
		case id.Lane(Lanes) == a.Lane(Lanes) && b.IsZero():
			b = id
		case id.Lane(Lanes) != a.Lane(Lanes) && c.IsZero():
			c = id
		}
	}
	return a, b, c
}

func numbered(n int64) tenancy.ID {
	id, err := tenancy.NumberedID(n)
	if err != nil {
		panic(err)
	}
	return id
}

func tenantNamed(id tenancy.ID, slug string) tenancy.Tenant {
	return tenancy.Tenant{
		ID: id, Slug: slug, Name: slug, Status: tenancy.Active, PrimaryHost: slug + ".localhost", Theme: "base",
		ContentVersion: 1, Locale: "en", Currency: "EUR", TimeZone: "UTC",
	}
}

// populate makes the tenants of every world in the template.
func populate(ctx context.Context, owner *pgx.Conn) error {
	script, version, err := tenancy.TenantScript()
	if err != nil {
		return err
	}
	a, b, c := cast()
	for id, slug := range map[tenancy.ID]string{a: "alpha", b: "beta", c: "gamma"} {
		n := id.Schema()
		// A transaction for each step, as in the builder: a cluster wants it.
		for _, step := range []string{
			fmt.Sprintf("CREATE ROLE %[1]s LOGIN NOINHERIT; GRANT %[1]s TO %[2]s", n, tenancy.LaneLogin(id.Lane(Lanes))),
			fmt.Sprintf("CREATE SCHEMA %[1]s AUTHORIZATION %[1]s", n),
			fmt.Sprintf("BEGIN; SET LOCAL ROLE %[1]s; SET LOCAL search_path TO %[1]s, pg_temp; %[2]s; COMMIT", n, script),
			fmt.Sprintf(`INSERT INTO central.tenants (id, key, slug, name, status, owner_email, schema_version, content_version, created_at, changed_at)
				VALUES (%[1]s, '%[2]s', '%[2]s', '%[2]s', 'active', 'owner@%[2]s.test', %[3]d, 1, now(), now());
				SELECT setval('central.tenant_numbers', greatest(%[1]s, (SELECT last_value FROM central.tenant_numbers)))`, id, slug, version),
		} {
			if _, err := tenancy.SendScript(ctx, owner, step, OnCitus()); err != nil {
				return fmt.Errorf("make tenant %s: %w", slug, err)
			}
		}
	}
	return nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
