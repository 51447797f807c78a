package tenancytest

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
)

// PgBouncer is a pooler in transaction mode with one server connection a login:
// whatever one transaction leaves behind, the next meets.
type PgBouncer struct {
	// DSN is the database through it, without a user.
	DSN string

	binary, dir string
	cmd         *exec.Cmd
	log         lockedBuffer
}

// StartPgBouncer puts one before the server that listens in the directory socket, for
// the platform's logins and so many lanes of database. It ends with the test.
func StartPgBouncer(t testing.TB, socket, database string, lanes int) *PgBouncer {
	t.Helper()
	b := &PgBouncer{binary: pgBouncerBinary(t)}
	var err error
	b.dir, err = os.MkdirTemp("", "ezpgb") // short: it holds a socket
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(b.dir) })
	users := []string{tenancy.CentralLogin, tenancy.RiverLogin, "observer"}
	for i := range lanes {
		users = append(users, tenancy.LaneLogin(i))
	}
	config := fmt.Sprintf(`[databases]
%[1]s = host=%[2]s port=5432 dbname=%[1]s
[pgbouncer]
listen_port = 6432
unix_socket_dir = %[3]s
auth_type = trust
auth_file = %[3]s/users
pool_mode = transaction
default_pool_size = 1
max_client_conn = 300
stats_users = observer
`, database, socket, b.dir)
	for name, text := range map[string]string{"ini": config, "users": `"` + strings.Join(users, "\" \"\"\n\"") + "\" \"\"\n"} {
		must(t, os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o644)) //nolint:gosec // another user reads it
	}
	b.DSN = b.dsn(database)
	t.Cleanup(func() {
		b.Stop()
		if t.Failed() {
			t.Log(b.log.String())
		}
	})
	b.Start(t)
	return b
}

func (b *PgBouncer) dsn(database string) string {
	return "postgres:///" + database + "?" + url.Values{"host": {b.dir}, "port": {"6432"}, "sslmode": {"disable"}}.Encode()
}

// Start starts it, also after Stop, and waits until it answers.
func (b *PgBouncer) Start(t testing.TB) {
	t.Helper()
	b.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), b.binary, filepath.Join(b.dir, "ini")) //nolint:gosec // ended by Stop
	b.cmd.Stderr = &b.log
	if os.Geteuid() == 0 { // it refuses to be root, and the server's socket is for the server's user
		b.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: serverUser(t, b.dir)}
	}
	must(t, b.cmd.Start())
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := pgx.Connect(t.Context(), b.DSN+"&user="+tenancy.LaneLogin(0))
		if err == nil {
			_ = c.Close(t.Context())
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("PgBouncer is not ready: %v\n%s", err, b.log.String())
		}
	}
}

// Stop kills it: every connection through it is cut.
func (b *PgBouncer) Stop() {
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
	_ = os.Remove(filepath.Join(b.dir, ".s.PGSQL.6432"))
}

// Transactions is how many were carried since it started, and for how many logins it has
// a connection to the server.
func (b *PgBouncer) Transactions(t testing.TB, database string) (carried int64, logins int) {
	t.Helper()
	cfg, err := pgx.ParseConfig(b.dsn("pgbouncer") + "&user=observer")
	must(t, err)
	c, err := pgx.ConnectConfig(t.Context(), cfg)
	must(t, err)
	defer c.Close(context.WithoutCancel(t.Context())) //nolint:errcheck // read only
	for _, r := range b.show(t, c, "SHOW STATS_TOTALS") {
		if r["database"] == database {
			carried, err = strconv.ParseInt(r["xact_count"], 10, 64)
			must(t, err)
		}
	}
	for _, r := range b.show(t, c, "SHOW SERVERS") {
		if r["database"] == database {
			logins++
		}
	}
	return carried, logins
}

// show asks the pooler itself, which knows only plain queries.
func (b *PgBouncer) show(t testing.TB, c *pgx.Conn, what string) (rows []map[string]string) {
	t.Helper()
	results, err := c.PgConn().Exec(t.Context(), what).ReadAll()
	must(t, err)
	for _, r := range results {
		for _, values := range r.Rows {
			row := map[string]string{}
			for i, v := range values {
				row[r.FieldDescriptions[i].Name] = string(v)
			}
			rows = append(rows, row)
		}
	}
	return rows
}

func pgBouncerBinary(t testing.TB) string {
	t.Helper()
	binary, err := exec.LookPath("pgbouncer")
	if err != nil {
		binary = "/usr/sbin/pgbouncer" // Debian's; not in everybody's path
		if _, err := os.Stat(binary); err != nil {
			t.Fatal("PgBouncer is not installed, and tenant traffic must be seen to work behind it: apt-get install pgbouncer (Debian), brew install pgbouncer (macOS)")
		}
	}
	return binary
}

// serverUser is whom the test server runs as when we are root; dir is given to him.
func serverUser(t testing.TB, dir string) *syscall.Credential {
	t.Helper()
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		must(t, os.Chown(dir, uid, gid))
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)} //nolint:gosec // ids of users
	}
	t.Fatal("there is neither a user postgres nor nobody")
	return nil
}

// lockedBuffer is written by a process and read by the test.
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
