package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/cmd/ezscale/setting"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/secrets"
)

func (a *app) openSecrets(context.Context) error {
	ring, err := parseKeys(a.cfg.Keys)
	a.ring = ring
	return err
}

func parseKeys(c keysConfig) (*secrets.Keyring, error) {
	ring, err := secrets.Parse(c.Master)
	if err != nil {
		return nil, &usageError{setting.Problem{Name: "EZSCALE_MASTER_KEYS", Text: "cannot be used: " + err.Error()}}
	}
	return ring, nil
}

// tenancyConfig is how the planes connect.
func tenancyConfig(c databaseConfig, ring *secrets.Keyring, clock tenancy.Clock) tenancy.Config {
	return tenancy.Config{
		DSN: c.URL, Password: ring.DerivePassword, ConnsPerLane: c.ConnsPerLane, InFlight: c.InFlight,
		MaxLifetime: c.ConnLifetime, Clock: clock,
	}
}

// openDatabase opens both planes. It asks the database how many lanes it has, so a
// process that is started before PostgreSQL waits for it here.
func (a *app) openDatabase(ctx context.Context) error {
	cfg := tenancyConfig(a.cfg.Database, a.ring, a.clock)
	lanes, err := awaitInstalled(ctx, a.cfg.Database.URL, func(err error) {
		a.log.Warn("the database does not answer yet", "error", err)
	})
	if err != nil {
		return err
	}
	if a.builder, err = tenancy.NewBuilder(cfg.DSN); err != nil {
		return err
	}
	a.onClose("builder", func(context.Context) error { a.builder.Close(); return nil })
	if a.central, err = tenancy.OpenCentral(a.loopCtx, cfg, a.cfg.Database.CentralConns); err != nil {
		return err
	}
	a.onClose("central", func(context.Context) error { a.central.Close(); return nil })
	bound := cfg
	bound.DSN, bound.Lanes, bound.Cold, bound.Claims = a.cfg.Database.LaneURL(), lanes, a.builder, true
	if a.pool, err = tenancy.Open(a.loopCtx, bound); err != nil {
		return err
	}
	a.countLanes()
	a.onClose("lanes", func(context.Context) error { a.pool.Close(); return nil })
	a.health.Shared("database", func(ctx context.Context) error {
		return a.central.View(ctx, func(tx *tenancy.CentralTx) error {
			var one int
			return tx.NewRaw("SELECT 1").Scan(ctx, &one)
		})
	})
	a.health.Part("migrations", func(ctx context.Context) error {
		err := a.central.View(ctx, func(tx *tenancy.CentralTx) error { return centralBehind(ctx, tx) })
		if errors.Is(err, errBehind) {
			return err
		}
		return nil // what cannot be asked is the part database's to tell
	})
	return nil
}

// errNotInstalled says that the database lacks the platform.
var errNotInstalled = errors.New("the platform is not installed in this database: run ezscale migrate")

// awaitInstalled returns the number of lanes, waiting for PostgreSQL to answer.
func awaitInstalled(ctx context.Context, dsn string, say func(error)) (lanes int, err error) {
	for {
		lanes, err = lanesOf(ctx, dsn)
		if err == nil || errors.Is(err, errNotInstalled) {
			return lanes, err
		}
		say(err)
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func lanesOf(ctx context.Context, dsn string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	owner, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return 0, err
	}
	defer owner.Close(ctx) //nolint:errcheck // read only
	var installed bool
	if err := owner.QueryRow(ctx, "SELECT to_regclass('central.settings') IS NOT NULL").Scan(&installed); err != nil {
		return 0, err
	}
	if !installed {
		return 0, errNotInstalled
	}
	return tenancy.LanesOf(ctx, owner)
}

// errBehind says that the program is newer than its database.
var errBehind = errors.New("run ezscale migrate")

// centralBehind is nil when every central migration this program knows is applied.
func centralBehind(ctx context.Context, tx *tenancy.CentralTx) error {
	known, err := tenancy.CentralMigrations()
	if err != nil {
		return err
	}
	var applied []int
	if err := tx.NewRaw("SELECT version FROM schema_versions").Scan(ctx, &applied); err != nil {
		return err
	}
	done := map[int]bool{}
	for _, v := range applied {
		done[v] = true
	}
	for _, m := range known {
		if !done[m.Version] {
			return fmt.Errorf("central migration %s is missing: %w", m.Name, errBehind)
		}
	}
	return nil
}

func (a *app) openRedis(context.Context) error {
	o, err := redis.ParseURL(a.cfg.Redis.URL)
	if err != nil {
		return &usageError{setting.Problem{Name: "EZSCALE_REDIS_URL", Text: "cannot be read"}}
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = 2*time.Second, time.Second, time.Second
	o.MaxRetries = 1
	quietRedis(a.log)
	a.redis = redis.NewClient(o)
	a.onClose("redis", func(context.Context) error { return a.redis.Close() })
	a.health.Shared("redis", func(ctx context.Context) error { return a.redis.Ping(ctx).Err() })
	return nil
}

// openDirectory makes the resolver and fills it once.
func (a *app) openDirectory(ctx context.Context) error {
	cfg := tenancyConfig(a.cfg.Database, a.ring, a.clock)
	a.resolver = tenancy.NewResolver(tenancy.ResolverConfig{
		Directory: reseller.NewDirectory(a.central, a.cfg.Hosts.Platform),
		Listen: func(ctx context.Context) (*pgx.Conn, error) {
			return tenancy.OpenSession(ctx, cfg, tenancy.CentralLogin)
		},
		PlatformHosts: []string{a.cfg.Hosts.Console, a.cfg.Hosts.Partner},
		Log:           a.log,
	})
	if err := a.resolver.Refresh(ctx); err != nil {
		return err
	}
	a.keep("directory", a.resolver.Run)
	a.keep("lanes", a.followLanes)
	a.health.Shared("directory", func(context.Context) error {
		switch at := a.resolver.Loaded(); {
		case at.IsZero():
			return errors.New("not loaded yet")
		case time.Since(at) > 5*time.Minute:
			return fmt.Errorf("last loaded at %s", at.UTC().Format(time.RFC3339))
		}
		return nil
	})
	return nil
}

// followLanes takes over a changed number of lanes.
func (a *app) followLanes(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		var n int
		err := a.central.View(ctx, func(tx *tenancy.CentralTx) (err error) { n, err = tx.Lanes(ctx); return err })
		if err == nil {
			err = a.pool.Resize(ctx, n)
		}
		if err != nil && ctx.Err() == nil {
			a.log.Warn("could not ask for the number of lanes", "error", err)
		}
	}
}
