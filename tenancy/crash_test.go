package tenancy_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
)

// beVictim builds, claims and drops for ever, until it is killed. It runs in a process
// of its own: this test binary, told so by the environment.
func beVictim(dsn string) {
	ctx := context.Background()
	fail := func(err error) {
		if err != nil {
			fmt.Println("victim:", err)
			os.Exit(1)
		}
	}
	b, err := tenancy.NewBuilder(dsn)
	fail(err)
	pool, err := tenancy.Open(ctx, tenancy.Config{DSN: dsn, Lanes: 4, ConnsPerLane: 2, Cold: b})
	fail(err)
	owner, err := pgx.Connect(ctx, dsn)
	fail(err)
	fmt.Println("ready")
	for i := 0; ; i++ {
		switch i % 4 {
		case 0:
			_, err := (tenancy.Stock{Builder: b}).Fill(ctx, 2)
			fail(err)
		case 1, 2: // from stock and cold
			slug := fmt.Sprintf("v%d-%d", os.Getpid(), i)
			_, err := pool.Claim(ctx, claimOf(slug), func(t tenancy.Tenant, tx *tenancy.Tx) error {
				for range 3 {
					if err := sign(ctx, tx, t.Slug); err != nil {
						return err
					}
				}
				return nil
			})
			fail(err)
		case 3:
			var id tenancy.ID
			fail(owner.QueryRow(ctx, "SELECT max(id) FROM central.tenants WHERE status = 'active'").Scan(&id))
			fail(tenancy.Drop(ctx, owner, id, tenancy.DropOptions{Now: time.Now(), Force: true}))
		}
	}
}

// TestKilledAtRandomMoments kills the process that makes tenants, over and over. After
// each: a spare is complete, a tenant is usable with all or nothing of its seed, and
// whatever is neither is finished by Heal.
func TestKilledAtRandomMoments(t *testing.T) {
	const kills = 40
	p := startPlatform(t, "", 4)
	pool := p.open(t, 4, nil)
	b := newBuilder(t, p.dsn)
	tables := 0
	healed := 0
	for n := range kills {
		killVictim(t, p.dsn)
		settle(t, p.super)
		if n == 0 {
			if _, err := b.Build(t.Context()); err != nil { // one that nobody killed
				t.Fatal(err)
			}
			tables = scalar[int](t, p.super, "SELECT count(*) FROM pg_tables WHERE schemaname = 't_' || (SELECT max(id) FROM central.spares)")
		}
		wholeOrNothing(t, p, pool, tables)
		h, err := b.Heal(t.Context())
		if err != nil {
			t.Fatalf("kill %d: %v", n, err)
		}
		healed += len(h.Finished) + len(h.Dropped)
		wholeOrNothing(t, p, pool, tables)
		half := scalar[int](t, p.super, `SELECT count(*) FROM (
			SELECT nspname FROM pg_namespace WHERE nspname ~ '^t_[0-9]+$' UNION SELECT rolname FROM pg_roles WHERE rolname ~ '^t_[0-9]+$') x
			WHERE NOT EXISTS (SELECT FROM central.spares s WHERE 't_' || s.id = x.nspname)
			AND NOT EXISTS (SELECT FROM central.tenants c WHERE 't_' || c.id = x.nspname AND c.status <> 'dropped')`)
		if half != 0 {
			t.Fatalf("kill %d: %d schemas or roles are neither spare nor tenant after Heal", n, half)
		}
	}
	count := func(sql string) int { return scalar[int](t, p.super, sql) }
	t.Logf("%d kills: %d spares, %d tenants, %d dropped, %d halves mended", kills, count("SELECT count(*) FROM central.spares"),
		count("SELECT count(*) FROM central.tenants WHERE status = 'active'"), count("SELECT count(*) FROM central.tenants WHERE status = 'dropped'"), healed)
	if count("SELECT count(*) FROM central.tenants") == 0 {
		t.Error("no victim lived long enough to do anything")
	}
	if gaps := walls(t, p.super); gaps["memberships"].State == tenancy.WallOpen || gaps["tenant_schemas"].State == tenancy.WallOpen {
		t.Errorf("walls after %d kills: %+v", kills, gaps)
	}
}

// killVictim lets a process work for a random while and kills it. A victim that fails
// by itself fails the test: what its predecessor left must not disturb it.
func killVictim(t *testing.T, dsn string) {
	t.Helper()
	cmd := exec.Command(os.Args[0]) //nolint:gosec // this binary; killed below
	cmd.Env = append(os.Environ(), "TENANCY_TEST_VICTIM="+dsn)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		t.Errorf("the victim did not begin: %s", lines.Text())
	}
	time.Sleep(rand.N(300 * time.Millisecond))
	_ = cmd.Process.Kill()
	for lines.Scan() {
		t.Error(lines.Text())
	}
	_ = cmd.Wait()
}

// settle waits until Postgres has noticed that the victim is gone: what it had sent may
// still be running.
func settle(t *testing.T, c *pgx.Conn) {
	t.Helper()
	for scalar[int](t, c, `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid() AND backend_type = 'client backend'`) > 0 {
		time.Sleep(5 * time.Millisecond)
	}
}

// wholeOrNothing looks at every spare and every tenant.
func wholeOrNothing(t *testing.T, p *platform, pool *tenancy.Pool, tables int) {
	t.Helper()
	incomplete := scalar[int](t, p.super, `SELECT count(*) FROM (SELECT id FROM central.spares UNION ALL SELECT id FROM central.tenants WHERE status = 'active') x
		WHERE (SELECT count(*) FROM pg_tables WHERE schemaname = 't_' || x.id AND tableowner = schemaname) <> $1`, tables)
	if incomplete != 0 {
		t.Fatalf("%d spares or tenants without all of their tables", incomplete)
	}
	rows, err := p.super.Query(t.Context(), "SELECT id, slug FROM central.tenants WHERE status = 'active' ORDER BY id DESC LIMIT 5")
	if err != nil {
		t.Fatal(err)
	}
	latest, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c tenancy.Tenant, err error) { return c, row.Scan(&c.ID, &c.Slug) })
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range latest {
		names := signatures(t, pool.Bind(c))
		if len(names) != 3 || names[0] != c.Slug || names[2] != c.Slug {
			t.Fatalf("%s was seeded with %q", c.Slug, names)
		}
	}
}
