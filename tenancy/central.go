package tenancy

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// CentralLogin is the role the central plane logs in as. It owns nothing and may
// read and write the schema central; it is a member of no tenant.
const CentralLogin = "ez_central"

// Central is the handle on the platform's own schema.
type Central struct {
	pool  *pgxpool.Pool
	db    *sql.DB
	clock Clock
}

// OpenCentral makes the central plane's pool. It connects to nothing.
func OpenCentral(ctx context.Context, cfg Config, conns int32) (*Central, error) {
	if cfg.Clock == nil {
		cfg.Clock = wallClock
	}
	pool, err := openLogin(ctx, cfg, CentralLogin, conns, nil)
	if err != nil {
		return nil, fmt.Errorf("open central: %w", err)
	}
	return &Central{pool: pool, db: stdlib.OpenDBFromPool(pool), clock: cfg.Clock}, nil
}

// Close closes the pool.
func (c *Central) Close() {
	_ = c.db.Close()
	c.pool.Close()
}

// Now is the central plane's clock.
func (c *Central) Now() time.Time { return c.clock() }

// View runs fn in a read-only transaction.
func (c *Central) View(ctx context.Context, fn func(*CentralTx) error) error {
	return c.run(ctx, "BEGIN READ ONLY", fn)
}

// Update runs fn in a transaction and commits it when fn returns nil; fn is run
// again on a serialization failure or a deadlock.
func (c *Central) Update(ctx context.Context, fn func(*CentralTx) error) error {
	return c.run(ctx, "BEGIN", fn)
}

func (c *Central) run(ctx context.Context, begin string, fn func(*CentralTx) error) error {
	return retry(ctx, func() error {
		return once(ctx, c.db, begin+"; SET LOCAL search_path TO central, pg_temp", func(w *wire) error {
			return fn(&CentralTx{statements{wire: w, now: c.clock()}})
		})
	})
}

// CentralTx is one transaction of the central plane.
type CentralTx struct{ statements }

// Enqueue adds a job of the platform's own with the transaction. It reports false
// when one with the same key exists.
func (tx *CentralTx) Enqueue(ctx context.Context, job Job, o JobOptions) (bool, error) {
	return enqueue(ctx, &tx.statements, "door.enqueue_central", job, o)
}

// NotifyDirectory tells every node, once the transaction commits, that what the
// directory knows about the tenant has changed.
func (tx *CentralTx) NotifyDirectory(ctx context.Context, id ID) error {
	_, err := tx.NewRaw("SELECT pg_notify('ezscale_directory', ?)", "tenant "+id.String()).Exec(ctx)
	return err
}
