package main

import (
	"context"
	"os/user"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/secrets"
)

// toolConfig is what commands read that change the platform.
type toolConfig struct {
	Database databaseConfig `group:"Database"`
	Keys     keysConfig     `group:"Secrets"`
	Hosts    hostsConfig    `group:"Names"`
}

// tools is what commands work with: the planes and the desks, without Redis and
// without anything that serves.
type tools struct {
	cfg     *toolConfig
	ring    *secrets.Keyring
	central *tenancy.Central
	pool    *tenancy.Pool
	builder *tenancy.Builder
	desk    *reseller.Desk
	letters outboxes
}

// openTools connects as the platform's logins. The caller closes.
func openTools(ctx context.Context) (*tools, error) {
	cfg, err := configure[toolConfig]()
	if err != nil {
		return nil, err
	}
	return newTools(ctx, cfg)
}

func newTools(ctx context.Context, cfg *toolConfig) (_ *tools, err error) {
	x := &tools{cfg: cfg}
	if x.ring, err = parseKeys(cfg.Keys); err != nil {
		return nil, err
	}
	lanes, err := lanesOf(ctx, cfg.Database.URL)
	if err != nil {
		return nil, err
	}
	db := tenancyConfig(cfg.Database, x.ring, time.Now)
	if x.builder, err = tenancy.NewBuilder(db.DSN); err != nil {
		return nil, err
	}
	if x.central, err = tenancy.OpenCentral(ctx, db, 2); err != nil {
		return nil, err
	}
	db.DSN, db.Lanes, db.Cold, db.ConnsPerLane = cfg.Database.LaneURL(), lanes, x.builder, 1
	if x.pool, err = tenancy.Open(ctx, db); err != nil {
		x.central.Close()
		return nil, err
	}
	x.letters = newOutboxes(x.ring)
	x.desk = newResellerDesk(x.central, x.pool, cfg.Hosts.Platform, x.letters)
	return x, nil
}

func (x *tools) close() {
	x.pool.Close()
	x.central.Close()
	x.builder.Close()
}

// owner is a connection as the owner of the database.
func (x *tools) owner(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, x.cfg.Database.URL)
}

// operator is who the trail names for what is done on the command line.
func operator() audit.Origin {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return audit.Origin{Actor: audit.Actor{Kind: "system", ID: "command line", Name: name + " (command line)"}}
}
