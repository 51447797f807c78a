package bench

import (
	"context"
	"fmt"
	"os/exec"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/pgembed"
	"github.com/ezscale/ezscale/tenancy/secrets"
)

// floorSchema is a schema outside any tenancy with the tenants' tables: the floor.
const floorSchema = "bench_floor"

const database = "bench"

// fleetServer is a PostgreSQL with a fleet of tenants that only grows.
type fleetServer struct {
	pg    *pgembed.Server
	dsn   string
	lanes int
	key   string // master key of all that serve it: the next opens what one before it sealed
	ids   []tenancy.ID
}

func (f *fleetServer) ring() (*secrets.Keyring, error) { return secrets.Parse(f.key) }

// grow gives a fleet of at least n tenants. The server is stopped and started again:
// it builds without durability and is measured with it.
func (r *run) grow(ctx context.Context, n int) (*fleetServer, error) {
	if r.fleet != nil && len(r.fleet.ids) >= n {
		return r.fleet, nil
	}
	if r.fleet == nil {
		f, err := newFleet()
		if err != nil {
			return nil, err
		}
		r.fleet = f
	}
	return r.fleet, r.fleet.growTo(ctx, r, n)
}

// newFleet is a fleet of nobody, its server not yet started.
func newFleet() (*fleetServer, error) {
	key, err := secrets.NewKey("bench")
	if err != nil {
		return nil, err
	}
	return &fleetServer{lanes: tenancy.DefaultLanes, key: key}, nil
}

func (f *fleetServer) growTo(ctx context.Context, r *run, n int) error {
	r.say("  building a fleet of %d tenants", n)
	if err := f.start(ctx, r, true); err != nil {
		return err
	}
	if err := f.build(ctx, n); err != nil {
		return err
	}
	if err := f.start(ctx, r, false); err != nil {
		return err
	}
	// Of a server that gave up durability gigabytes may still be in the machine's memory. Its
	// disk should not be busy with them while something is measured.
	if err := exec.CommandContext(ctx, "sync").Run(); err != nil {
		r.say("  what was built may not be on the disk yet: %v", err)
	}
	return nil
}

// start (re)starts the server; building gives up durability.
func (f *fleetServer) start(ctx context.Context, r *run, building bool) error {
	var dir string
	fresh := f.pg == nil
	if !fresh {
		dir = f.pg.Dir()
		if err := f.pg.StopAndKeep(); err != nil {
			return err
		}
	}
	bin, err := pgembed.FindBinDir(r.BinDir, r.NPMRoot)
	if err != nil {
		return err
	}
	pg, err := pgembed.Start(ctx, pgembed.Options{BinDir: bin, Dir: dir, Fast: building, Temporary: true, Set: map[string]string{
		"shared_buffers": "1GB", "max_connections": "300", "max_locks_per_transaction": "256", "autovacuum": "off",
	}})
	if err != nil {
		return err
	}
	f.pg, f.dsn = pg, pg.DSN(database)
	if !fresh {
		return nil
	}
	return f.install(ctx)
}

func (f *fleetServer) install(ctx context.Context) error {
	admin, err := pgx.Connect(ctx, f.pg.DSN("postgres"))
	if err != nil {
		return err
	}
	defer admin.Close(ctx) //nolint:errcheck // read only from here
	if _, err := admin.Exec(ctx, "CREATE DATABASE "+database); err != nil {
		return err
	}
	owner, err := f.owner(ctx)
	if err != nil {
		return err
	}
	defer owner.Close(ctx) //nolint:errcheck // read only from here
	if _, err := tenancy.Install(ctx, owner, tenancy.InstallOptions{Lanes: f.lanes}); err != nil {
		return err
	}
	script, _, err := tenancy.TenantScript()
	if err != nil {
		return err
	}
	_, err = owner.PgConn().Exec(ctx, "CREATE SCHEMA "+floorSchema+"; SET search_path TO "+floorSchema+"; "+script+twelvePlans+"; RESET search_path").ReadAll()
	return err
}

func (f *fleetServer) owner(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, f.dsn) }

// twelvePlans is what each tenant sells.
const twelvePlans = `
INSERT INTO products (id, slug, type, name, summary, position, visibility, created_at, changed_at)
  VALUES (gen_random_uuid(), 'vps', 'vps', 'Cloud servers', 'Virtual servers in minutes.', 1, 'public', now(), now());
INSERT INTO plans (id, product_id, slug, name, summary, facts, recommended, position, visibility, created_at, changed_at)
  SELECT gen_random_uuid(), p.id, 'plan-' || n, 'Plan ' || n, n || ' vCPU for work that grows.',
    '[{"label":"vCPU","value":"4"},{"label":"Memory","value":"8 GB"}]', n = 2, n, 'public', now(), now()
  FROM products p, generate_series(1, 12) n;
INSERT INTO prices (plan_id, currency, cycle, amount_minor) SELECT id, 'EUR', 'monthly', 499 * position FROM plans`

// build makes tenants up to n, two at a time. A backend that makes many schemas
// grows: connections are changed every two hundred.
func (f *fleetServer) build(ctx context.Context, n int) error {
	script, version, err := tenancy.TenantScript()
	if err != nil {
		return err
	}
	numbers := make(chan int64)
	errs := make(chan error, 2)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	for range cap(errs) {
		wg.Go(func() {
			if err := f.buildSome(ctx, numbers, script, version); err != nil {
				errs <- err
				cancel()
			}
		})
	}
feed:
	for i := len(f.ids) + 1; i <= n; i++ {
		select {
		case numbers <- int64(i):
		case <-ctx.Done():
			break feed
		}
	}
	close(numbers)
	wg.Wait()
	select {
	case err := <-errs:
		return err
	default:
	}
	for i := len(f.ids) + 1; i <= n; i++ {
		id, err := tenancy.NumberedID(int64(i))
		if err != nil {
			return err
		}
		f.ids = append(f.ids, id)
	}
	return f.analyze(ctx, n)
}

func (f *fleetServer) buildSome(ctx context.Context, numbers <-chan int64, script string, version int) error {
	var c *pgx.Conn
	defer func() {
		if c != nil {
			_ = c.Close(context.WithoutCancel(ctx))
		}
	}()
	made := 0
	for n := range numbers {
		if c == nil || made%200 == 0 {
			if c != nil {
				_ = c.Close(ctx)
			}
			var err error
			if c, err = f.owner(ctx); err != nil {
				return err
			}
		}
		made++
		id, err := tenancy.NumberedID(n)
		if err != nil {
			return err
		}
		name := id.Schema()
		_, err = c.PgConn().Exec(ctx, fmt.Sprintf(`BEGIN; CREATE ROLE %[1]s LOGIN NOINHERIT; GRANT %[1]s TO %[2]s; CREATE SCHEMA %[1]s AUTHORIZATION %[1]s;
			SET LOCAL ROLE %[1]s; SET LOCAL search_path TO %[1]s, pg_temp; %[3]s %[4]s; RESET ROLE;
			INSERT INTO central.tenants (id, key, slug, name, status, owner_email, schema_version, content_version, created_at, changed_at)
			VALUES (%[5]d, 'bench-%[5]d', 's%[5]d', 'Shop %[5]d', 'active', 'owner@s%[5]d.test', %[6]d, 1, now(), now()); COMMIT`,
			name, tenancy.LaneLogin(id.Lane(f.lanes)), script, twelvePlans, n, version)).ReadAll()
		if err != nil {
			return fmt.Errorf("build %s: %w", name, err)
		}
	}
	return nil
}

// analyze lets the planner know the catalogs, which autovacuum would do in time.
func (f *fleetServer) analyze(ctx context.Context, n int) error {
	c, err := f.owner(ctx)
	if err != nil {
		return err
	}
	defer c.Close(ctx) //nolint:errcheck // read only from here
	_, err = c.PgConn().Exec(ctx, "SELECT setval('central.tenant_numbers', "+fmt.Sprint(n)+"); RESET ROLE; ANALYZE pg_catalog.pg_class, pg_catalog.pg_attribute, pg_catalog.pg_index, pg_catalog.pg_namespace, pg_catalog.pg_authid, pg_catalog.pg_auth_members, central.tenants").ReadAll()
	return err
}

func (f *fleetServer) version(ctx context.Context) string {
	c, err := f.owner(ctx)
	if err != nil {
		return "unknown"
	}
	defer c.Close(ctx) //nolint:errcheck // read only
	return c.PgConn().ParameterStatus("server_version")
}

func (f *fleetServer) stop() {
	if f.pg != nil {
		_ = f.pg.Stop()
	}
}

// list brings the directory to so many tenants, those beyond the fleet without schemas:
// the program reads none before somebody asks for it. giveUp takes them out again.
func (r *run) list(ctx context.Context, f *fleetServer, want int) (listed int, giveUp func(), err error) {
	more := max(0, want-len(f.ids))
	owner, err := f.owner(ctx)
	if err != nil {
		return 0, nil, err
	}
	remove := func(ctx context.Context) error {
		_, err := owner.Exec(ctx, "DELETE FROM central.tenants WHERE id >= $1", firstBilled)
		return err
	}
	giveUp = func() {
		if err := remove(context.WithoutCancel(ctx)); err != nil {
			r.say("  tenants without schemas stay: %v", err)
		}
		_ = owner.Close(context.WithoutCancel(ctx)) // nothing is lost
	}
	if err := remove(ctx); err != nil {
		return 0, nil, err
	}
	_, err = owner.Exec(ctx, `INSERT INTO central.tenants (id, key, slug, name, status, owner_email, schema_version, content_version, created_at, changed_at)
		SELECT $1 + n, 'listed ' || n, 'listed-' || n, 'Shop ' || n, 'active', 'owner@listed.test', (SELECT max(schema_version) FROM central.tenants), 1, now(), now()
		FROM generate_series(1, $2::int) n`, firstBilled, more)
	return len(f.ids) + more, giveUp, err
}
