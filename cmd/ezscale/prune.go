package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenant/metering"
)

// loginsKept is how long attempts to sign in are remembered.
const loginsKept = 90 * 24 * time.Hour

// pruneJob forgets old attempts to sign in, everywhere.
type pruneJob struct{}

// Kind names the job.
func (pruneJob) Kind() string { return "platform.prune_logins" }

// pruneLogins forgets what is older than loginsKept: of the platform's own people,
// then of every tenant's that has people. A tenant that fails stops no other.
func pruneLogins(ctx context.Context, central *tenancy.Central, pool *tenancy.Pool) (forgotten int64, err error) {
	prune := func(tx tenancy.Statements) error {
		n, err := identity.PruneLogins(ctx, tx, tx.Now().Add(-loginsKept))
		forgotten += n
		return err
	}
	if err := central.Update(ctx, func(tx *tenancy.CentralTx) error { return prune(tx) }); err != nil {
		return forgotten, err
	}
	ids, err := tenantIDs(ctx, central)
	if err != nil {
		return forgotten, err
	}
	var failed error
	for _, id := range ids {
		db := pool.Bind(tenancy.Tenant{ID: id})
		var people bool
		err := db.View(ctx, func(tx *tenancy.Tx) error {
			return tx.NewRaw("SELECT EXISTS (SELECT FROM people)").Scan(ctx, &people)
		})
		if err == nil && people {
			err = db.Update(ctx, func(tx *tenancy.Tx) error { return prune(tx) })
		}
		if err == nil {
			err = forgetUsage(ctx, db)
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("tenant %s: %w", id, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	return forgotten, failed
}

// forgottenAtOnce bounds one transaction.
const forgottenAtOnce = 10_000

// forgetUsage removes a tenant's events of usage that nobody can ask for any more.
func forgetUsage(ctx context.Context, db *tenancy.DB) error {
	for {
		var n int64
		err := db.Update(ctx, func(tx *tenancy.Tx) (err error) {
			n, err = metering.Forget(ctx, tx, forgottenAtOnce)
			return err
		})
		if err != nil || n < forgottenAtOnce {
			return err
		}
	}
}

// redisLog is where go-redis writes what it cannot return: its own retries and
// reconnections. Whoever asked gets the error, so this is for those who look closely.
type redisLog struct{ log *slog.Logger }

// Printf writes a line at debug.
func (l redisLog) Printf(ctx context.Context, format string, v ...any) {
	if l.log.Enabled(ctx, slog.LevelDebug) {
		l.log.DebugContext(ctx, "redis: "+fmt.Sprintf(format, v...))
	}
}

// quietRedis sends the lines of go-redis, which has one logger for the process, to log.
func quietRedis(log *slog.Logger) { redis.SetLogger(redisLog{log}) }
