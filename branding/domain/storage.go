package domain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ezscale/ezscale/tenancy"
)

// Sealer seals private keys. A sealed value opens only for the same purpose and aad.
type Sealer interface {
	Seal(purpose string, aad, plain []byte) ([]byte, error)
	Open(purpose string, aad, sealed []byte) ([]byte, error)
}

// storagePurpose binds sealed values to this table.
const storagePurpose = "tls_assets"

// StorageConfig opens a Storage.
type StorageConfig struct {
	DSN      string                   // its user and password are replaced by the central plane's
	Password func(role string) string // nil: no passwords
	// LockDSN leads to Postgres itself when DSN leads to a pooler; empty: the same.
	LockDSN string
	Sealer  Sealer
	// Leases takes locks as rows with an end, for a pooler of transactions in between.
	// Else they are advisory locks of sessions, which end with their holder.
	Leases  bool
	Conns   int32         // 0: 4
	Locks   int32         // locks held at once; 0: 18
	Timeout time.Duration // of every operation; 0: 1 s
}

// Storage is certmagic's storage on Postgres. Values whose key ends in ".key" are
// sealed and bound to their key. Every operation has a time limit, so that a
// database that hangs does not hang handshakes.
type Storage struct {
	pool    *pgxpool.Pool
	locks   locker
	sealer  Sealer
	timeout time.Duration
}

// locker excludes others from a name, on every node.
type locker interface {
	lock(ctx context.Context, name string) error
	tryLock(ctx context.Context, name string) (bool, error)
	unlock(ctx context.Context, name string) error
	close()
}

var (
	_ certmagic.Storage   = (*Storage)(nil)
	_ certmagic.TryLocker = (*Storage)(nil)
)

// OpenStorage makes the pools. It connects to nothing.
func OpenStorage(ctx context.Context, cfg StorageConfig) (*Storage, error) {
	if cfg.Sealer == nil {
		return nil, errors.New("domain: storage without a sealer")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Second
	}
	pool, err := cfg.pool(ctx, cfg.DSN, orInt(cfg.Conns, 4))
	if err != nil {
		return nil, fmt.Errorf("open certificate storage: %w", err)
	}
	s := &Storage{pool: pool, sealer: cfg.Sealer, timeout: cfg.Timeout}
	if cfg.Leases {
		s.locks = newLeases(pool, cfg.Timeout)
		return s, nil
	}
	lockPool, err := cfg.pool(ctx, or(cfg.LockDSN, cfg.DSN), orInt(cfg.Locks, 18))
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("open certificate locks: %w", err)
	}
	s.locks = &advisory{pool: lockPool, timeout: cfg.Timeout, held: map[string]*pgxpool.Conn{}}
	return s, nil
}

func (cfg StorageConfig) pool(ctx context.Context, dsn string, conns int32) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	c.ConnConfig.User, c.ConnConfig.Password = tenancy.CentralLogin, ""
	if cfg.Password != nil {
		c.ConnConfig.Password = cfg.Password(tenancy.CentralLogin)
	}
	c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	c.MaxConns, c.MinConns = conns, 0
	c.MaxConnIdleTime = time.Minute
	return pgxpool.NewWithConfig(ctx, c)
}

func orInt(n, otherwise int32) int32 {
	if n == 0 {
		return otherwise
	}
	return n
}

// Close gives up every lock and connection.
func (s *Storage) Close() {
	s.locks.close()
	s.pool.Close()
}

func sealedKey(key string) bool { return strings.HasSuffix(key, ".key") }

// Store keeps value under key, replacing what was there.
func (s *Storage) Store(ctx context.Context, key string, value []byte) error {
	return s.StoreAll(ctx, []Asset{{key, value}})
}

// Asset is a value with its key.
type Asset struct {
	Key   string
	Value []byte
}

// StoreAll keeps all values or none.
func (s *Storage) StoreAll(ctx context.Context, assets []Asset) error {
	keys, values := make([]string, len(assets)), make([][]byte, len(assets))
	for i, a := range assets {
		keys[i], values[i] = a.Key, a.Value
		if sealedKey(a.Key) {
			sealed, err := s.sealer.Seal(storagePurpose, []byte(a.Key), a.Value)
			if err != nil {
				return fmt.Errorf("store %s: %w", a.Key, err)
			}
			values[i] = sealed
		}
		if values[i] == nil {
			values[i] = []byte{}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err := s.pool.Exec(ctx, `INSERT INTO central.tls_assets (key, value, modified_at)
		SELECT k, v, clock_timestamp() FROM unnest($1::text[], $2::bytea[]) AS a (k, v)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value, modified_at = excluded.modified_at`, keys, values)
	if err != nil {
		return fmt.Errorf("store %s: %w", keys[0], err)
	}
	return nil
}

// Load returns fs.ErrNotExist for a key that is not there.
func (s *Storage) Load(ctx context.Context, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var value []byte
	err := s.pool.QueryRow(ctx, "SELECT value FROM central.tls_assets WHERE key = $1", key).Scan(&value)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("load %s: %w", key, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", key, err)
	}
	if !sealedKey(key) {
		return value, nil
	}
	plain, err := s.sealer.Open(storagePurpose, []byte(key), value)
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", key, err)
	}
	return plain, nil
}

var likeEscape = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// below is the LIKE pattern of everything under a directory.
func below(dir string) string {
	dir = strings.Trim(dir, "/")
	if dir == "" {
		return "%"
	}
	return likeEscape.Replace(dir) + "/%"
}

// Delete removes a key, or a directory with all below it.
func (s *Storage) Delete(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	tag, err := s.pool.Exec(ctx, "DELETE FROM central.tls_assets WHERE key = $1 OR key LIKE $2", key, below(key))
	if err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("delete %s: %w", key, fs.ErrNotExist)
	}
	return nil
}

// Exists reports whether there is such a key or directory; false when nobody can tell.
func (s *Storage) Exists(ctx context.Context, key string) bool {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var there bool
	err := s.pool.QueryRow(ctx, "SELECT EXISTS (SELECT FROM central.tls_assets WHERE key = $1 OR key LIKE $2)", key, below(key)).Scan(&there)
	return err == nil && there
}

// List returns the keys below a directory; without recursive, only the first step of each.
func (s *Storage) List(ctx context.Context, dir string, recursive bool) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	rows, err := s.pool.Query(ctx, "SELECT key FROM central.tls_assets WHERE key LIKE $1 ORDER BY key", below(dir))
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("list %s: %w", dir, fs.ErrNotExist)
	}
	if recursive {
		return all, nil
	}
	return firstSteps(all, strings.Trim(dir, "/")), nil
}

func firstSteps(keys []string, dir string) []string {
	if dir != "" {
		dir += "/"
	}
	var steps []string
	seen := map[string]bool{}
	for _, k := range keys {
		step, _, _ := strings.Cut(strings.TrimPrefix(k, dir), "/")
		if !seen[step] {
			seen[step] = true
			steps = append(steps, dir+step)
		}
	}
	return steps
}

// Stat says when a key was stored and how large it is. A directory is not terminal.
func (s *Storage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	info := certmagic.KeyInfo{Key: key, IsTerminal: true}
	qctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := s.pool.QueryRow(qctx, "SELECT modified_at, length(value) FROM central.tls_assets WHERE key = $1", key).Scan(&info.Modified, &info.Size)
	switch {
	case err == nil:
		return info, nil
	case !errors.Is(err, pgx.ErrNoRows):
		return info, fmt.Errorf("stat %s: %w", key, err)
	case s.Exists(ctx, key):
		return certmagic.KeyInfo{Key: key}, nil
	}
	return info, fmt.Errorf("stat %s: %w", key, fs.ErrNotExist)
}

// Lock waits until nobody else holds name, on any node, or ctx ends.
func (s *Storage) Lock(ctx context.Context, name string) error { return s.locks.lock(ctx, name) }

// TryLock reports whether it got the lock at once.
func (s *Storage) TryLock(ctx context.Context, name string) (bool, error) {
	return s.locks.tryLock(ctx, name)
}

// Unlock gives the lock back; it works even when ctx has ended.
func (s *Storage) Unlock(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	return s.locks.unlock(ctx, name)
}

// Ping reports whether the storage answers.
func (s *Storage) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	_, err := s.pool.Exec(ctx, "SELECT")
	return err
}
