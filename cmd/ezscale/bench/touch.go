package bench

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"

	"github.com/gofiber/fiber/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ezscale/ezscale/tenancy"
)

// biggestBackend lets a child meet every tenant on every connection and measures
// the database's processes while their connections are open.
func (r *run) biggestBackend(ctx context.Context, spec childSpec) (int64, error) {
	before, err := childrenOf(r.fleet.pg.PID())
	if err != nil {
		return 0, err
	}
	old := map[int]bool{}
	for _, p := range before {
		old[p] = true
	}
	c, err := r.startChild(ctx, spec) // it listens when all were met
	if err != nil {
		return 0, err
	}
	defer c.stop()
	after, err := childrenOf(r.fleet.pg.PID())
	if err != nil {
		return 0, err
	}
	var biggest int64
	for _, p := range after {
		if old[p] {
			continue
		}
		if size, err := memoryOf(p, "RssAnon"); err == nil {
			biggest = max(biggest, size)
		}
	}
	return biggest, nil
}

// touch meets every tenant with as many workers as there are shared connections,
// each in an order of its own.
func touch(tenants int, meet func(tenancy.ID) error) error {
	var wg sync.WaitGroup
	errs := make(chan error, sharedConns)
	for range sharedConns {
		wg.Go(func() {
			for _, n := range rand.Perm(tenants) { //nolint:gosec // load
				id, err := tenancy.NumberedID(int64(n + 1))
				if err == nil {
					err = meet(id)
				}
				if err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(errs)
	var all error
	for err := range errs {
		all = errors.Join(all, err)
	}
	return all
}

func serveTouchBound(ctx context.Context, spec childSpec) (string, func(), error) {
	pool, err := tenancy.Open(ctx, tenancy.Config{DSN: spec.DSN, Lanes: spec.Lanes, ConnsPerLane: spec.Conns})
	if err != nil {
		return "", nil, err
	}
	err = touch(spec.Tenants, func(id tenancy.ID) error {
		return pool.Bind(tenancy.Tenant{ID: id}).View(ctx, func(tx *tenancy.Tx) error {
			_, err := list(ctx, tx.NewSelect())
			return err
		})
	})
	if err != nil {
		return "", nil, err
	}
	return listen(ctx, func(*fiber.App) {}, pool.Close)
}

// serveTouchShared does the same over one pool whose login may become every tenant.
func serveTouchShared(ctx context.Context, spec childSpec) (string, func(), error) {
	cfg, err := pgxpool.ParseConfig(spec.DSN)
	if err != nil {
		return "", nil, err
	}
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	cfg.MaxConns = spec.Conns
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return "", nil, err
	}
	err = touch(spec.Tenants, func(id tenancy.ID) error {
		n := id.Schema()
		return pool.AcquireFunc(ctx, func(c *pgxpool.Conn) error {
			pc := c.Conn().PgConn()
			if _, err := pc.Exec(ctx, "BEGIN READ ONLY; SET LOCAL ROLE "+n+"; SET LOCAL search_path TO "+n+", pg_temp").ReadAll(); err != nil {
				return err
			}
			const q = `SELECT id, slug, name, summary, facts, recommended, position, visibility FROM plans WHERE (visibility = 'public') ORDER BY position LIMIT 12`
			if _, err := pc.ExecParams(ctx, q, nil, nil, nil, nil).Close(); err != nil {
				return err
			}
			_, err := pc.Exec(ctx, "COMMIT").ReadAll()
			return err
		})
	})
	if err != nil {
		return "", nil, err
	}
	return listen(ctx, func(*fiber.App) {}, pool.Close)
}
