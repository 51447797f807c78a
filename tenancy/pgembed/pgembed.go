// Package pgembed starts a PostgreSQL server of our own from installed binaries:
// for the demo, the tests and the benchmarks. The server listens on a Unix socket
// in a private directory, runs as another user when we are root, and dies with us.
// It is no way to run production.
package pgembed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Options say where and how; the zero value is a throw-away server from the first
// binaries found.
type Options struct {
	BinDir string // holds initdb and postgres; empty: FindBinDir("")
	Dir    string // base directory, kept; empty: a temporary one, removed by Stop
	// Temporary lets Stop remove Dir even when it was named.
	Temporary bool
	Fast      bool              // gives up durability: tests and benchmarks
	InMemory  bool              // a temporary directory is in memory where there is room: tests
	Set       map[string]string // further settings of the server
	Log       io.Writer         // the server's log; nil: discarded
	Timeout   time.Duration     // until it is ready; 0: 30 s
}

// User is the superuser the server is made with.
const User = "ezscale"

// Server is a running PostgreSQL.
type Server struct {
	dir       string
	bin       string
	temporary bool
	cred      *syscall.Credential
	cmd       *exec.Cmd
	done      chan error
	opt       Options
}

// Start makes the cluster when Dir holds none, and starts the server. It returns
// when the server answers.
func Start(ctx context.Context, o Options) (*Server, error) {
	s := &Server{dir: o.Dir, opt: o, bin: o.BinDir, temporary: o.Temporary}
	if err := s.start(ctx); err != nil {
		_ = s.Stop()
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) (err error) {
	if s.opt.Log == nil {
		s.opt.Log = io.Discard
	}
	if s.opt.Timeout == 0 {
		s.opt.Timeout = 30 * time.Second
	}
	if s.bin == "" {
		if s.bin, err = FindBinDir(""); err != nil {
			return err
		}
	}
	if s.cred, err = serverCredential(); err != nil {
		return err
	}
	if err := s.makeDirs(); err != nil {
		return err
	}
	if err := s.takeBinaries(); err != nil {
		return err
	}
	if err := s.initCluster(ctx); err != nil {
		return err
	}
	if err := s.launch(); err != nil {
		return err
	}
	return s.awaitReady(ctx)
}

// serverCredential is nil unless we are root, whom PostgreSQL refuses. initdb looks
// its user up, so the uid must have an entry.
func serverCredential() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("running as root, and there is neither a user postgres nor nobody to run the server as")
}

// sweep removes what processes that were killed left in memory.
func sweep(base string) {
	if base == "" {
		return
	}
	left, err := filepath.Glob(filepath.Join(base, "ezpg-*-*"))
	if err != nil {
		return
	}
	for _, dir := range left {
		var pid int
		if _, err := fmt.Sscanf(filepath.Base(dir), "ezpg-%d-", &pid); err == nil && pid > 0 && errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir) // another's: it stays
		}
	}
}

func (s *Server) makeDirs() error {
	if s.dir == "" {
		// Short: the address of a Unix socket holds 107 bytes, 103 on macOS.
		base := ""
		if s.opt.InMemory {
			base = memoryDir()
			sweep(base)
		}
		dir, err := os.MkdirTemp(base, fmt.Sprintf("ezpg-%d-", os.Getpid()))
		if err != nil {
			return err
		}
		s.dir, s.temporary = dir, true
	}
	abs, err := filepath.Abs(s.dir)
	if err != nil {
		return err
	}
	s.dir = abs
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if len(s.socketDir()) > 80 {
		return fmt.Errorf("%s is too long for the path of a socket", s.socketDir())
	}
	if s.cred != nil && !enterable(filepath.Dir(s.dir)) {
		return fmt.Errorf("%s lies below a directory that uid %d may not enter; choose another, such as /var/lib/ezscale", s.dir, s.cred.Uid)
	}
	for _, d := range []string{s.dir, s.dataDir(), s.socketDir()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
		if s.cred == nil {
			continue
		}
		if err := os.Chown(d, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			return err
		}
	}
	return nil
}

// dataName is the directory of the cluster below the base directory.
const dataName = "data"

func (s *Server) dataDir() string   { return filepath.Join(s.dir, dataName) }
func (s *Server) socketDir() string { return filepath.Join(s.dir, "s") }

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

// takeBinaries copies the binaries when the server's user may not reach them.
func (s *Server) takeBinaries() error {
	pkg := filepath.Dir(filepath.Dir(s.bin)) // of npm's native/bin
	if err := restoreSymlinks(pkg); err != nil {
		return fmt.Errorf("restore the package's links: %w", err)
	}
	if s.cred == nil || enterable(s.bin) {
		return nil
	}
	copied := filepath.Join(s.dir, "pgsql")
	if !exists(filepath.Join(copied, "bin/postgres")) {
		if err := os.CopyFS(copied, os.DirFS(filepath.Dir(s.bin))); err != nil {
			return fmt.Errorf("copy the binaries: %w", err)
		}
	}
	s.bin = filepath.Join(copied, "bin")
	return nil
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), args...) //nolint:gosec,noctx // our own binaries; ended by Stop
	c.Dir = s.dataDir()                                    // the server's user must be able to read it
	c.Env = append(cleanEnv(), "LC_ALL=C", "TZ=UTC", "HOME="+s.dataDir())
	c.SysProcAttr = sysProcAttr(s.cred)
	return c
}

// cleanEnv drops what would leak into the server.
func cleanEnv() []string {
	var kept []string
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, "PG") || strings.HasPrefix(name, "LC_") || strings.HasPrefix(name, "LANG") || name == "HOME" || name == "TZ" {
			continue
		}
		kept = append(kept, e)
	}
	return kept
}

func (s *Server) initCluster(ctx context.Context) error {
	if exists(filepath.Join(s.dataDir(), "PG_VERSION")) {
		return nil
	}
	// Trust is safe only because the socket lies in a directory of mode 0700 and no port is open.
	c := s.command("initdb", "-D", s.dataDir(), "-U", User, "-E", "UTF8", "--locale=C",
		"--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync")
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return ctx.Err()
}

func (s *Server) settings() []string {
	set := map[string]string{
		"unix_socket_permissions": "0700", "listen_addresses": "", "max_connections": "200",
		"shared_buffers": "64MB", "timezone": "UTC", "log_timezone": "UTC", "jit": "off", "logging_collector": "off",
	}
	if s.opt.Fast {
		for k, v := range map[string]string{
			"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "wal_level": "minimal",
			"max_wal_senders": "0", "autovacuum": "off", "checkpoint_timeout": "1h", "max_wal_size": "2GB",
			"bgwriter_lru_maxpages": "0",
		} {
			set[k] = v
		}
	}
	for k, v := range s.opt.Set {
		set[k] = v
	}
	names := make([]string, 0, len(set))
	for k := range set {
		names = append(names, k)
	}
	sort.Strings(names)
	args := []string{"-D", s.dataDir(), "-k", s.socketDir()}
	for _, k := range names {
		args = append(args, "-c", k+"="+set[k])
	}
	return args
}

func (s *Server) launch() error {
	s.cmd = s.command("postgres", s.settings()...)
	s.cmd.Stdout, s.cmd.Stderr = s.opt.Log, s.opt.Log
	s.done = make(chan error, 1)
	started := make(chan error, 1)
	go func() {
		// The signal at our death follows the thread that made the child: keep it.
		runtime.LockOSThread()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			s.done <- s.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		s.cmd = nil
		return err
	}
	return nil
}

func (s *Server) awaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.opt.Timeout)
	defer cancel()
	for {
		c, err := pgx.Connect(ctx, s.DSN("postgres"))
		if err == nil {
			return c.Close(ctx)
		}
		select {
		case ended := <-s.done:
			s.cmd = nil
			return fmt.Errorf("the server ended early: %w", errors.Join(ended, err))
		case <-ctx.Done():
			return fmt.Errorf("not ready in time: %w", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// DSN is the URL of a database on the server, as its superuser.
func (s *Server) DSN(database string) string {
	q := url.Values{"host": {s.socketDir()}, "user": {User}, "sslmode": {"disable"}}
	return "postgres:///" + database + "?" + q.Encode()
}

// Dir is the base directory.
func (s *Server) Dir() string { return s.dir }

// Socket is the directory of the Unix socket.
func (s *Server) Socket() string { return s.socketDir() }

// PID is the server's process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Stop ends the server (sessions are cut, nothing is lost) and removes a temporary
// directory. It may be called more than once.
func (s *Server) Stop() error {
	var err error
	if s.cmd != nil {
		_ = s.cmd.Process.Signal(syscall.SIGINT) // PostgreSQL's fast shutdown
		select {
		case err = <-s.done:
		case <-time.After(15 * time.Second):
			_ = s.cmd.Process.Signal(syscall.SIGQUIT)
			err = <-s.done
		}
		s.cmd = nil
	}
	if s.temporary {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// StopAndKeep stops the server and keeps its directory, whatever was asked at the start.
func (s *Server) StopAndKeep() error {
	s.temporary = false
	return s.Stop()
}

// Restart stops the server and starts it again on the same data.
func (s *Server) Restart(ctx context.Context) error {
	temporary := s.temporary
	defer func() { s.temporary = temporary }()
	if err := s.StopAndKeep(); err != nil {
		return err
	}
	if err := s.launch(); err != nil {
		return err
	}
	return s.awaitReady(ctx)
}
