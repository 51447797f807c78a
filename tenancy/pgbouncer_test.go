package tenancy_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// startPgBouncer puts PgBouncer in transaction mode before the test server, with one
// server connection a login, and answers with the DSN of database through it.
func startPgBouncer(t *testing.T, socket, database string) string {
	t.Helper()
	binary, err := exec.LookPath("pgbouncer")
	if err != nil {
		if _, err := os.Stat("/usr/sbin/pgbouncer"); err != nil {
			t.Fatal("PgBouncer is not installed, and tenant traffic must be seen to work behind it: apt-get install pgbouncer (Debian), brew install pgbouncer (macOS)")
		}
		binary = "/usr/sbin/pgbouncer"
	}
	dir, err := os.MkdirTemp("", "ezpgb") // short: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	users := []string{tenancy.CentralLogin, tenancy.RiverLogin}
	for i := range tenancytest.Lanes {
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
`, database, socket, dir)
	for name, text := range map[string]string{"ini": config, "users": `"` + strings.Join(users, "\" \"\"\n\"") + "\" \"\"\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil { //nolint:gosec // another user reads it
			t.Fatal(err)
		}
	}
	cmd := exec.Command(binary, filepath.Join(dir, "ini")) //nolint:gosec // ended below
	var log strings.Builder
	cmd.Stderr = &log
	if os.Geteuid() == 0 { // it refuses to be root, and the server's socket is for the server's user
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: serverUser(t, dir)}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	dsn := "postgres:///" + database + "?" + url.Values{"host": {dir}, "port": {"6432"}, "sslmode": {"disable"}}.Encode()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := pgx.Connect(context.Background(), dsn+"&user="+tenancy.LaneLogin(0))
		if err == nil {
			_ = c.Close(context.Background())
			return dsn
		}
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatalf("PgBouncer is not ready: %v\n%s", err, log.String())
		}
	}
}

// serverUser is whom the test server runs as when we are root; dir is given to him.
func serverUser(t *testing.T, dir string) *syscall.Credential {
	t.Helper()
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)} //nolint:gosec // ids of users
	}
	t.Fatal("there is neither a user postgres nor nobody")
	return nil
}
