package tenancy_test

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/pgembed"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// as is dsn with another user.
func as(t testing.TB, dsn, user string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("user", user)
	u.RawQuery = q.Encode()
	return u.String()
}

// shards are what really holds rows on a node, which Citus hides from listings.
const shardsSQL = `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') ORDER BY 1`

// A node holds tenants' rows, and whoever reaches it as one of them has its own alone:
// nobody there may become two.
func TestNodesRefuse(t *testing.T) {
	tenancytest.NeedsCitus(t)
	w := tenancytest.New(t)
	ctx := t.Context()
	for _, who := range []tenancy.Tenant{w.A, w.B, w.C} {
		if err := w.DB(who).Update(ctx, func(tx *tenancy.Tx) error { return sign(ctx, tx, who.Slug) }); err != nil {
			t.Fatal(err)
		}
	}
	attempts := 0
	for _, dsn := range w.Workers() {
		super, a := dial(t, dsn), dial(t, as(t, dsn, w.A.ID.Schema()))
		for _, c := range []*pgx.Conn{super, a} {
			if err := send(c, "SET citus.override_table_visibility = off"); err != nil {
				t.Fatal(err)
			}
		}
		if err := send(a, "SET search_path TO "+w.A.ID.Schema()+"; TABLE accounts"); err != nil {
			t.Errorf("a tenant's own table: %v", err)
		}
		for _, victim := range []tenancy.Tenant{w.B, w.C} {
			rows, err := super.Query(ctx, shardsSQL, victim.ID.Schema())
			if err != nil {
				t.Fatal(err)
			}
			tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil || len(tables) == 0 {
				t.Fatalf("nothing to attack: %v", err)
			}
			for _, table := range tables {
				for _, sql := range append(thefts(table), "TABLE "+table, "COPY "+table+" TO STDOUT", "TRUNCATE "+table, "DROP TABLE "+table) {
					denied(t, "on a node: "+sql, send(a, sql))
					attempts++
				}
			}
			for _, sql := range []string{"SET ROLE " + victim.ID.Schema(), "SET SESSION AUTHORIZATION " + victim.ID.Schema(), "SET ROLE " + pgembed.User,
				"CREATE TABLE " + victim.ID.Schema() + ".x (i int)"} {
				denied(t, "on a node: "+sql, send(a, sql))
			}
		}
		lanes := scalar[int](t, super, "SELECT count(*) FROM pg_roles WHERE rolname ~ '^lane_' OR rolname IN ('ez_central', 'river')")
		members := scalar[int](t, super, "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid WHERE r.rolname ~ '^t_[0-9]+$'")
		schemas := scalar[int](t, super, "SELECT count(*) FROM pg_namespace WHERE nspname IN ('central', 'river', 'door', 'tpl')")
		if lanes != 0 || members != 0 || schemas != 0 {
			t.Errorf("on a node are %d logins of the platform, %d memberships of tenants and %d schemas of the platform", lanes, members, schemas)
		}
	}
	t.Logf("%d attempts on two nodes, each refused by Postgres", attempts)
	for name, f := range walls(t, w.Owner) {
		if f.State != tenancy.WallHolds {
			t.Errorf("%s: %+v", name, f)
		}
	}
	node := dial(t, w.Workers()[0])
	gap := func(inherit string) {
		t.Helper()
		if err := send(node, "SET citus.enable_alter_role_propagation = off; ALTER ROLE "+w.A.ID.Schema()+inherit); err != nil {
			t.Fatal(err)
		}
	}
	gap(" INHERIT")
	if f := walls(t, w.Owner)["roles"]; f.State != tenancy.WallOpen || len(f.Where) != 1 || !strings.HasPrefix(f.Where[0], "node ") {
		t.Errorf("a gap on a node is not seen: %+v", f)
	}
	gap(" NOINHERIT") // roles belong to all tests
}

// Citus has functions that run a text they are given: a SELECT could become anybody of
// its lane by them.
func TestCitusRunsNoCommands(t *testing.T) {
	tenancytest.NeedsCitus(t)
	w := tenancytest.New(t)
	ctx := t.Context()
	b := w.B.ID.Schema()
	for _, sql := range []string{
		"SELECT citus_run_local_command('SET ROLE " + b + "')",
		"SELECT worker_apply_shard_ddl_command(0, 'SET ROLE " + b + "')",
		"SELECT worker_apply_shard_ddl_command(0, '', 'SET ROLE " + b + "')",
		"SELECT worker_apply_inter_shard_ddl_command(0, '', 0, '', 'SET ROLE " + b + "')",
		"SELECT alter_role_if_exists('" + b + "', 'SET ROLE " + b + "')",
		"SELECT worker_create_or_replace_object('SET ROLE " + b + "')",
		"SELECT * FROM run_command_on_workers('DROP TABLE accounts')",
		"SELECT * FROM run_command_on_coordinator('DROP TABLE accounts')",
		"SELECT * FROM run_command_on_all_nodes('DROP TABLE accounts')",
		"SELECT * FROM run_command_on_placements('accounts', 'DROP TABLE %s')",
		"SELECT citus_schema_move('" + w.A.ID.Schema() + "', 1)",
		"SELECT citus_schema_undistribute('" + w.A.ID.Schema() + "')",
		"SELECT create_intermediate_result('x', 'SELECT 1')",
	} {
		denied(t, sql, w.DB(w.A).Update(ctx, func(tx *tenancy.Tx) error { _, err := tx.NewRaw(sql).Exec(ctx); return err }))
	}
	kept := scalar[[]string](t, w.Owner, `SELECT array_agg(DISTINCT p.proname::text ORDER BY p.proname::text) FROM pg_proc p
		JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e' JOIN pg_extension e ON e.oid = d.refobjid
		WHERE e.extname LIKE 'citus%' AND p.prokind IN ('f', 'p') AND has_function_privilege($1, p.oid, 'EXECUTE')
		AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype) AND p.proname !~ '^cluster_clock_'`, w.A.ID.Schema())
	if len(kept) > 24 || slices.Contains(kept, "citus_run_local_command") {
		t.Errorf("a tenant may call %d functions of Citus: %q", len(kept), kept)
	}
}

// whereabouts is the node on which the tenant's rows are.
func whereabouts(t testing.TB, c *pgx.Conn, id tenancy.ID) string {
	t.Helper()
	return scalar[string](t, c, `SELECT min(nodename) FROM citus_shards WHERE table_name::text LIKE $1 || '.%'`, id.Schema())
}

// install makes a platform on a cluster of the test's own. Its database belongs to owner,
// who has CREATEROLE and nothing more where he is not the superuser.
func install(t testing.TB, server *pgembed.Server, owner string) (conn *pgx.Conn, dsn string) {
	t.Helper()
	tenancytest.CreateDatabase(t, server, "house")
	if owner != pgembed.User {
		super := dial(t, server.DSN("house"))
		for _, sql := range []string{"CREATE ROLE " + owner + " LOGIN CREATEROLE", "ALTER DATABASE house OWNER TO " + owner} {
			if err := send(super, sql); err != nil {
				t.Fatal(err)
			}
		}
	}
	dsn = as(t, server.DSN("house"), owner)
	conn = dial(t, dsn)
	if _, err := tenancy.Install(t.Context(), conn, tenancy.InstallOptions{Lanes: tenancytest.Lanes}); err != nil {
		t.Fatal(err)
	}
	return conn, dsn
}

// nodesOf are the DSNs of the nodes that hold tenants.
func nodesOf(t testing.TB, owner *pgx.Conn) []string {
	t.Helper()
	sockets := scalar[[]string](t, owner, "SELECT array_agg(nodename ORDER BY nodeid) FROM pg_dist_node WHERE shouldhaveshards")
	all := make([]string, len(sockets))
	for i, socket := range sockets {
		all[i] = "postgres:///house?" + url.Values{"host": {socket}, "user": {pgembed.User}, "sslmode": {"disable"}}.Encode()
	}
	return all
}

// A tenant is built, claimed, regranted and dropped on whatever node it lies, and nothing
// of it is left on any; also by an owner who is no superuser.
func TestLivesOnNodes(t *testing.T) {
	tenancytest.NeedsCitus(t)
	for _, who := range []string{pgembed.User, "landlord"} {
		t.Run(who, func(t *testing.T) {
			server := tenancytest.StartServer(t, nil) // of its own: memberships are the cluster's
			owner, dsn := install(t, server, who)
			super := dial(t, server.DSN("house"))
			livesOnNodes(t, owner, super, dsn)
			if who != pgembed.User {
				mendsOnNodes(t, owner, super)
			}
		})
	}
}

func livesOnNodes(t *testing.T, owner, super *pgx.Conn, dsn string) {
	t.Helper()
	ctx := t.Context()
	pool, err := tenancy.Open(ctx, tenancy.Config{DSN: dsn, Lanes: tenancytest.Lanes, ConnsPerLane: 2, Cold: newBuilder(t, dsn)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	nodes := nodesOf(t, super)
	at := map[string]tenancy.Tenant{}
	for i := 0; len(at) < len(nodes) && i < 8; i++ {
		c, err := pool.Claim(ctx, claimOf(fmt.Sprintf("shop-%d", i)), signs(ctx))
		if err != nil {
			t.Fatal(err)
		}
		at[whereabouts(t, super, c.ID)] = c
	}
	if len(at) != len(nodes) {
		t.Fatalf("all tenants lie on %v", at)
	}
	if err := tenancy.ChangeLanes(ctx, owner, tenancytest.Lanes+3, tenancy.LaneChange{}); err != nil {
		t.Fatal(err)
	}
	if err := pool.Resize(ctx, tenancytest.Lanes+3); err != nil {
		t.Fatal(err)
	}
	if f, open := walls(t, owner)["memberships"]; open {
		t.Errorf("%+v", f)
	}
	for _, c := range at {
		if names := signatures(t, pool.Bind(c)); len(names) != 1 || names[0] != c.Slug {
			t.Errorf("%s reads %q", c.Slug, names)
		}
		for range 2 { // the second finds nothing to do
			if err := tenancy.Drop(ctx, owner, c.ID, tenancy.DropOptions{Now: time.Now(), Force: true}); err != nil {
				t.Fatal(err)
			}
		}
		dropped(t, owner, c.ID)
		for _, dsn := range nodes {
			left := scalar[int](t, dial(t, dsn), `SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = $1) + (SELECT count(*) FROM pg_roles WHERE rolname = $1)`, c.ID.Schema())
			if left != 0 {
				t.Errorf("%d of schema and role of %s are left on a node", left, c.ID.Schema())
			}
		}
	}
}

// mendsOnNodes looks that the walls which only a superuser can raise are the ones that are
// open, and that what is printed raises them.
func mendsOnNodes(t *testing.T, owner, super *pgx.Conn) {
	t.Helper()
	var open []string
	for name, f := range walls(t, owner) {
		if f.State == tenancy.WallOpen { // of others the owner may not know
			open = append(open, name)
			if err := send(super, f.Mend); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	slices.Sort(open)
	if want := []string{"advisory_locks", "citus_commands", "pg_notify", "pg_settings", "set_config"}; !slices.Equal(open, want) {
		t.Errorf("open are %q, want %q", open, want)
	}
	if gaps := walls(t, super); len(gaps) != 0 {
		t.Errorf("mended, and still %+v", gaps)
	}
}

// A tenant moves from node to node while it is written to: nothing is lost, nothing fails.
func TestMovesUnderTraffic(t *testing.T) {
	tenancytest.NeedsCitus(t)
	w := tenancytest.New(t)
	ctx := t.Context()
	var wrote atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for !stop.Load() {
				err := w.DB(w.A).Update(ctx, func(tx *tenancy.Tx) error {
					if _, err := tx.RecordUsage(ctx, tenancy.Usage{Key: fmt.Sprint("k", time.Now().UnixNano()), SKU: "x", Kind: "quantity", At: tx.Now()}); err != nil {
						return err
					}
					return sign(ctx, tx, "alpha")
				})
				if err != nil {
					t.Errorf("while it moves: %v", err)
					return
				}
				wrote.Add(1)
			}
		})
	}
	for range 2 {
		for _, mode := range []string{"force_logical", "block_writes"} {
			from := whereabouts(t, w.Owner, w.A.ID)
			_, err := w.Owner.Exec(ctx, `SELECT citus_schema_move($1::text::regnamespace, (SELECT nodeid FROM pg_dist_node WHERE nodename <> $2 AND shouldhaveshards LIMIT 1), $3::text::citus.shard_transfer_mode)`,
				w.A.ID.Schema(), from, mode)
			if err != nil {
				t.Fatal(err)
			}
			if to := whereabouts(t, w.Owner, w.A.ID); to == from {
				t.Errorf("it is still on %s", from)
			}
		}
	}
	stop.Store(true)
	wg.Wait()
	rows, usage := len(signatures(t, w.DB(w.A))), scalar[int](t, w.Owner, "SELECT count(*) FROM central.usage_events WHERE tenant_id = $1", w.A.ID)
	t.Logf("%d transactions while it moved four times", wrote.Load())
	if n := int(wrote.Load()); rows != n || usage != n || n == 0 {
		t.Errorf("%d transactions, %d rows, %d usage events", n, rows, usage)
	}
	if names := signatures(t, w.DB(w.B)); len(names) != 0 {
		t.Errorf("the neighbour reads %q", names)
	}
}

// The coordinator falls over at any moment: what a tenant wrote on its node and what its
// doors wrote on the coordinator are both there or both not.
func TestBothOrNeither(t *testing.T) {
	tenancytest.NeedsCitus(t)
	ctx := t.Context()
	server := tenancytest.StartServer(t, map[string]string{"synchronous_commit": "on"})
	install(t, server, pgembed.User)
	pool, err := tenancy.Open(ctx, tenancy.Config{DSN: server.DSN("house"), Lanes: tenancytest.Lanes, ConnsPerLane: 4, Cold: newBuilder(t, server.DSN("house"))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	who, err := pool.Claim(ctx, claimOf("shop"), nil)
	if err != nil {
		t.Fatal(err)
	}
	bin, err := pgembed.FindBinDir(os.Getenv("EZSCALE_PG_BIN"), tenancytest.Root())
	if err != nil {
		t.Fatal(err)
	}
	committed, torn := 0, 0
	for round := range 6 {
		var n atomic.Int64
		var wg sync.WaitGroup
		for worker := range 4 {
			wg.Go(func() {
				for i := 0; ; i++ {
					key := fmt.Sprintf("%d-%d-%d", round, worker, i)
					err := pool.Bind(who).Update(ctx, func(tx *tenancy.Tx) error {
						_, err := tx.RecordUsage(ctx, tenancy.Usage{Key: key, SKU: "x", Kind: "quantity", At: tx.Now()})
						return errors.Join(err, sign(ctx, tx, key))
					})
					if err != nil {
						return
					}
					n.Add(1)
				}
			})
		}
		for patience := time.Now().Add(2 * time.Minute); n.Load() < 200; time.Sleep(time.Millisecond) {
			if time.Now().After(patience) {
				t.Fatalf("%d transactions in two minutes", n.Load())
			}
		}
		if err := syscall.Kill(server.PID(), syscall.SIGQUIT); err != nil { // all backends end where they are
			t.Fatal(err)
		}
		wg.Wait()
		_ = server.StopAndKeep()
		server, err = pgembed.Start(ctx, pgembed.Options{BinDir: bin, Dir: server.Dir(), Temporary: true, Fast: true,
			Set: tenancytest.ServerSettings(map[string]string{"synchronous_commit": "on"})})
		if err != nil {
			t.Fatal(err)
		}
		again := server
		t.Cleanup(func() { _ = again.Stop() })
		owner := dial(t, server.DSN("house"))
		scalar[int](t, owner, "SELECT recover_prepared_transactions()")
		rows, err := owner.Query(ctx, "SELECT name FROM "+who.ID.Schema()+".accounts")
		if err != nil {
			t.Fatal(err)
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		committed = scalar[int](t, owner, "SELECT count(*) FROM central.usage_events")
		torn = scalar[int](t, owner, `SELECT count(*) FROM unnest($1::text[]) AS a (name) FULL JOIN central.usage_events u ON u.key = a.name WHERE u.key IS NULL OR a.name IS NULL`, names)
		if torn != 0 {
			t.Errorf("crash %d: %d of %d are on one side alone", round, torn, committed)
		}
	}
	t.Logf("%d transactions over six crashes, %d torn", committed, torn)
}

// What is taken is known by its constraint's name also where the constraint is a shard's,
// so that people are told what they can change.
func TestTakenOnANode(t *testing.T) {
	w := tenancytest.New(t)
	ctx := t.Context()
	for _, c := range []struct{ name, sql string }{
		{"values", "INSERT INTO coupons VALUES ('ABC', 'free', NULL, '[]', 0, false, '[]', '[]', false, NULL, NULL, 0, NULL, NULL, 'active', '', now(), now())"},
		{"copied", `INSERT INTO coupons SELECT code, 'free', NULL, '[]', 0, false, '[]', '[]', false, NULL, NULL, 0, NULL, NULL, 'active', '', now(), now()
			FROM jsonb_to_recordset('[{"code": "ABC"}]') AS r (code text)`},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, who := range []tenancy.Tenant{w.A, w.B} {
				insert := func() error {
					return w.DB(who).Update(ctx, func(tx *tenancy.Tx) error { _, err := tx.NewRaw(c.sql).Exec(ctx); return err })
				}
				if err := insert(); err != nil && c.name == "values" {
					t.Fatal(err)
				}
				if err := insert(); !tenancy.IsTaken(err, "coupons_pkey") || !tenancy.IsTaken(err, "") || tenancy.IsTaken(err, "coupons_code_check") {
					t.Errorf("%s: not known as taken: %v", who.Slug, err)
				}
			}
		})
	}
}
