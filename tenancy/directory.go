package tenancy

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// HostKind says how a host came to a tenant.
type HostKind uint8

// The kinds of hosts.
const (
	OwnHost    HostKind = iota + 1 // <slug>.<platform>, the tenant's as long as it exists
	DomainHost                     // a domain the reseller brought
)

// Entry is one host and whom it serves. Host is in NormalizeHost's form.
type Entry struct {
	Host   string
	Tenant Tenant
	Kind   HostKind
}

// Snapshot is everything a directory knows at one moment. Mark is where a later
// call of Changes goes on from.
type Snapshot struct {
	Entries []Entry
	Mark    string
}

// Directory answers whose host this is. The resolver asks it and keeps the answers
// in memory; no request does.
type Directory interface {
	// Load returns everything.
	Load(ctx context.Context) (Snapshot, error)
	// Tenant returns the hosts of one tenant; none when it is gone.
	Tenant(ctx context.Context, id ID) ([]Entry, error)
	// Changes returns the tenants that changed since mark, and the mark to go on
	// from. It may name a tenant more than once and misses none, in whatever order
	// the changes were committed.
	Changes(ctx context.Context, mark string) (ids []ID, next string, err error)
}

// OpenSession opens one connection for what needs a session of its own: LISTEN, or
// an advisory lock. cfg.DSN must lead to Postgres itself, not to a transaction
// pooler. The caller closes it.
func OpenSession(ctx context.Context, cfg Config, role string) (*pgx.Conn, error) {
	c, err := pgx.ParseConfig(cfg.DSN)
	if err != nil {
		return nil, fmt.Errorf("open session of %s: %w", role, err)
	}
	c.User, c.Password = role, ""
	if cfg.Password != nil {
		c.Password = cfg.Password(role)
	}
	conn, err := pgx.ConnectConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open session of %s: %w", role, err)
	}
	return conn, nil
}

// OpenQueue opens the pool of the queue's own login, which is a member of no tenant
// and may touch nothing but the queue's tables. It connects to nothing.
func OpenQueue(ctx context.Context, cfg Config, conns int32) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig(cfg.DSN)
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	c.ConnConfig.User, c.ConnConfig.Password = RiverLogin, ""
	if cfg.Password != nil {
		c.ConnConfig.Password = cfg.Password(RiverLogin)
	}
	// pgx's own way to cancel, not ours for the lanes: River interrupts a waiting
	// connection to LISTEN on it, and asking Postgres to cancel would take seconds.
	c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec // nothing that a pooler would mind
	c.MaxConns = max(conns, 2)
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	return pool, nil
}
