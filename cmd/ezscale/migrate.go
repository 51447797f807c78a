package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
)

type migrateCmd struct{ output }

// installed is what migrate tells of the platform's part.
type installed struct {
	Lanes    int      `json:"lanes"`
	Refusals []string `json:"refusals"` // statements only a superuser may run; doctor tells what follows
}

// Run installs or updates the platform.
func (c *migrateCmd) Run(ctx context.Context, t *terminal) error {
	cfg, err := configure[adminConfig]()
	if err != nil {
		return err
	}
	done, err := install(ctx, cfg.Database, cfg.Keys)
	if err != nil {
		return err
	}
	return c.print(t, done, func() {
		t.say("The platform is installed, with %d lanes.", done.Lanes)
		if len(done.Refusals) > 0 {
			t.say("%d statements need a superuser and were left out; ezscale doctor tells what follows.", len(done.Refusals))
		}
	})
}

// install lays the platform into the database, or brings it up to date.
func install(ctx context.Context, db databaseConfig, keys keysConfig) (installed, error) {
	ring, err := parseKeys(keys)
	if err != nil {
		return installed{}, err
	}
	owner, err := pgx.Connect(ctx, db.URL)
	if err != nil {
		return installed{}, fmt.Errorf("database: %w", err)
	}
	defer owner.Close(ctx) //nolint:errcheck // nothing is lost
	refused, err := tenancy.Install(ctx, owner, tenancy.InstallOptions{Lanes: db.Lanes, Password: ring.DerivePassword})
	if err != nil {
		return installed{}, err
	}
	done := installed{Refusals: []string{}}
	for _, r := range refused {
		done.Refusals = append(done.Refusals, r.Statement)
	}
	done.Lanes, err = tenancy.LanesOf(ctx, owner)
	return done, err
}
