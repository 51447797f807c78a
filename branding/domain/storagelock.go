package domain

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

var errNotHeld = errors.New("domain: the lock is not held here")

// advisory holds each lock as an advisory lock of a session of its own: when the
// process dies, Postgres gives the lock back at once.
type advisory struct {
	pool    *pgxpool.Pool
	timeout time.Duration
	mu      sync.Mutex
	held    map[string]*pgxpool.Conn
}

// lockKey keeps our names apart from other users of advisory locks.
const lockKey = "hashtextextended('ezscale tls ' || $1, 0)"

func (a *advisory) lock(ctx context.Context, name string) error {
	return a.take(ctx, name, "SELECT true FROM (SELECT pg_advisory_lock("+lockKey+")) l", func(bool) error { return nil })
}

func (a *advisory) tryLock(ctx context.Context, name string) (got bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	err = a.take(ctx, name, "SELECT pg_try_advisory_lock("+lockKey+")", func(ok bool) error {
		got = ok
		if !ok {
			return errNotHeld
		}
		return nil
	})
	if errors.Is(err, errNotHeld) {
		return false, nil
	}
	return got, err
}

func (a *advisory) take(ctx context.Context, name, sql string, check func(bool) error) error {
	conn, err := a.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("lock %s: %w", name, err)
	}
	var ok bool
	if err := conn.QueryRow(ctx, sql, name).Scan(&ok); err != nil {
		drop(conn)
		return fmt.Errorf("lock %s: %w", name, err)
	}
	if err := check(ok); err != nil {
		conn.Release()
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.held[name] = conn
	return nil
}

// drop closes a session whose locks we cannot be sure of.
func drop(conn *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) //nolint:forbidigo // it is closed whatever its user still waits for
	defer cancel()
	_ = conn.Hijack().Close(ctx)
}

func (a *advisory) unlock(ctx context.Context, name string) error {
	a.mu.Lock()
	conn := a.held[name]
	delete(a.held, name)
	a.mu.Unlock()
	if conn == nil {
		return fmt.Errorf("unlock %s: %w", name, errNotHeld)
	}
	var ok bool
	err := conn.QueryRow(ctx, "SELECT pg_advisory_unlock("+lockKey+")", name).Scan(&ok)
	if err != nil || !ok {
		drop(conn) // the session ends and its locks with it
		return nil
	}
	conn.Release()
	return nil
}

func (a *advisory) close() {
	a.mu.Lock()
	for name, conn := range a.held {
		drop(conn)
		delete(a.held, name)
	}
	a.mu.Unlock()
	a.pool.Close()
}

// leases holds each lock as a row with an end that is put off while the holder
// lives; a dead holder's lock is free after leaseFor.
type leases struct {
	pool    *pgxpool.Pool
	timeout time.Duration
	mu      sync.Mutex
	held    map[string]lease
}

type lease struct {
	token string
	stop  context.CancelFunc
}

const (
	leaseFor  = 10 * time.Second
	leasePoll = 200 * time.Millisecond
)

func newLeases(pool *pgxpool.Pool, timeout time.Duration) *leases {
	return &leases{pool: pool, timeout: timeout, held: map[string]lease{}}
}

func (l *leases) lock(ctx context.Context, name string) error {
	for {
		ok, err := l.tryLock(ctx, name)
		if ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("lock %s: %w", name, ctx.Err())
		case <-time.After(leasePoll):
		}
	}
}

func (l *leases) tryLock(ctx context.Context, name string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	token := rand.Text()
	tag, err := l.pool.Exec(ctx, `INSERT INTO central.tls_locks AS l (name, token, expires_at)
		VALUES ($1, $2, clock_timestamp() + $3::interval)
		ON CONFLICT (name) DO UPDATE SET token = excluded.token, expires_at = excluded.expires_at
		WHERE l.expires_at < clock_timestamp()`, name, token, leaseFor.String())
	if err != nil {
		return false, fmt.Errorf("lock %s: %w", name, err)
	}
	if tag.RowsAffected() == 0 {
		return false, nil
	}
	keep, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.mu.Lock()
	l.held[name] = lease{token: token, stop: stop}
	l.mu.Unlock()
	go l.keep(keep, name, token)
	return true, nil
}

func (l *leases) keep(ctx context.Context, name, token string) {
	tick := time.NewTicker(leaseFor / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			qctx, cancel := context.WithTimeout(ctx, l.timeout)
			_, _ = l.pool.Exec(qctx, "UPDATE central.tls_locks SET expires_at = clock_timestamp() + $3::interval WHERE name = $1 AND token = $2", name, token, leaseFor.String())
			cancel()
		}
	}
}

func (l *leases) unlock(ctx context.Context, name string) error {
	l.mu.Lock()
	held, ok := l.held[name]
	delete(l.held, name)
	l.mu.Unlock()
	if !ok {
		return fmt.Errorf("unlock %s: %w", name, errNotHeld)
	}
	held.stop()
	_, err := l.pool.Exec(ctx, "DELETE FROM central.tls_locks WHERE name = $1 AND token = $2", name, held.token)
	return err
}

func (l *leases) close() {
	l.mu.Lock()
	names := make([]string, 0, len(l.held))
	for n := range l.held {
		names = append(names, n)
	}
	l.mu.Unlock()
	for _, n := range names {
		ctx, cancel := context.WithTimeout(context.Background(), l.timeout) //nolint:forbidigo // at the end of the process nobody has a context left
		_ = l.unlock(ctx, n)
		cancel()
	}
}
