package tenancy

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ezscale/ezscale/tenancy/sqltext"
)

// With Citus a tenant's schema is a shard that lives on one of several nodes, and its
// role is known on all of them. The platform's own logins, tables and doors are made on
// the coordinator and nowhere else: a node holds the tenants' rows and no way from one
// tenant to another, for nobody who is a member of two exists there.

// OnCitus reports whether the database is a Citus coordinator's.
func OnCitus(ctx context.Context, c *pgx.Conn) (yes bool, err error) {
	err = c.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')").Scan(&yes)
	return yes, err
}

// citusHere are the settings that keep what a session makes on the coordinator.
var citusHere = []string{
	"citus.enable_schema_based_sharding", "citus.enable_ddl_propagation", "citus.enable_create_role_propagation",
	"citus.enable_alter_role_propagation", "citus.enable_alter_role_set_propagation",
}

// stayHere keeps what the session makes from now on where it is made, until release.
// Without Citus it does nothing.
func stayHere(ctx context.Context, c *pgx.Conn) (release func(), err error) {
	var roams bool // it may be within another that stays
	err = c.QueryRow(ctx, "SELECT coalesce(current_setting('citus.enable_ddl_propagation', true), 'off') = 'on'").Scan(&roams)
	if err != nil || !roams {
		return func() {}, err
	}
	set := func(ctx context.Context, how string) error {
		_, err := c.PgConn().Exec(ctx, citusSettings(how)).ReadAll()
		return err
	}
	if err := set(ctx, "SET %s = off"); err != nil {
		return nil, fmt.Errorf("stay on the coordinator: %w", err)
	}
	return func() { _ = set(context.WithoutCancel(ctx), "RESET %s") }, nil
}

func citusSettings(how string) string {
	all := make([]string, len(citusHere))
	for i, name := range citusHere {
		all[i] = fmt.Sprintf(how, name)
	}
	return strings.Join(all, "; ")
}

// everywhere makes a transaction's roles and schemas known to all nodes, and its new
// schema a shard.
func (o ownership) everywhere(ctx context.Context, tx pgx.Tx) error {
	if !o.citus {
		return nil
	}
	_, err := tx.Conn().PgConn().Exec(ctx, citusSettings("SET LOCAL %s = on")).ReadAll()
	return err
}

// SendScript sends a text of many statements: as one message, which is fastest, or apart
// from each other, still without waiting between them. Citus wants them apart: it hands
// its nodes the whole message for each change of a table in it. The results are those of
// the statements that went through.
func SendScript(ctx context.Context, c *pgx.Conn, script string, apart bool) ([]*pgconn.Result, error) {
	if !apart {
		return c.PgConn().Exec(ctx, script).ReadAll()
	}
	tokens, err := sqltext.Scan(script)
	if err != nil {
		return nil, fmt.Errorf("cut a script into statements: %w", err)
	}
	batch := &pgconn.Batch{}
	for _, one := range sqltext.Split(tokens) {
		batch.ExecParams(nameConstraints(script, one), nil, nil, nil, nil)
	}
	return c.PgConn().ExecBatch(ctx, batch).ReadAll()
}

// suffixes end the names PostgreSQL gives to constraints of one column.
var suffixes = map[string]string{"check": "check", "references": "fkey", "unique": "key"}

// nameConstraints names the constraints of columns that a statement adds as PostgreSQL
// itself would: Citus takes no check without a name, for its nodes must not think of
// different ones, and gives others names of its own.
func nameConstraints(script string, s sqltext.Statement) string {
	t := s.Tokens
	is := func(i int, words ...string) bool {
		for j, w := range words {
			if i+j < 0 || i+j >= len(t) || t[i+j].Kind != sqltext.Word || t[i+j].Text != w {
				return false
			}
		}
		return true
	}
	if len(t) < 4 || !is(0, "alter", "table") {
		return s.Cut(script)
	}
	table, column, depth, seen := t[2].Text, "", 0, map[string]int{}
	var named strings.Builder
	from := t[0].Start
	for i, x := range t {
		switch {
		case x.Text == "(" && x.Kind == sqltext.Sign:
			depth++
		case x.Text == ")" && x.Kind == sqltext.Sign:
			depth--
		case depth > 0:
		case is(i-2, "add", "column"):
			column, seen = x.Text, map[string]int{}
		case x.Text == "," && x.Kind == sqltext.Sign:
			column = ""
		case column != "" && x.Kind == sqltext.Word && suffixes[x.Text] != "" && !is(i-2, "constraint"):
			fmt.Fprintf(&named, "%sCONSTRAINT %s_%s_%s", script[from:x.Start], table, column, suffixes[x.Text])
			if n := seen[x.Text]; n > 0 {
				fmt.Fprint(&named, n)
			}
			seen[x.Text]++
			named.WriteByte(' ')
			from = x.Start
		}
	}
	named.WriteString(script[from:t[len(t)-1].End])
	return named.String()
}

// makeCluster is what only a cluster needs. A tenant's rows are on a node and what its
// doors write is on the coordinator. Citus commits both in two phases when it knows that
// both were written, and it does not know of a table that is no table of its own: it
// would commit the node first and then, perhaps, fall over. So the doors' tables touch
// one that is its own, and always empty.
func makeCluster(ctx context.Context, c *pgx.Conn) error {
	if there, err := OnCitus(ctx, c); err != nil || !there {
		return err
	}
	var known bool
	if err := c.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = to_regclass('cluster.commits'))`).Scan(&known); err != nil {
		return fmt.Errorf("install: cluster: %w", err)
	}
	if !known {
		// Citus makes the schema on every node, with nothing in it that anybody may touch.
		if _, err := c.PgConn().Exec(ctx, "SET citus.enable_ddl_propagation = on").ReadAll(); err != nil {
			return fmt.Errorf("install: cluster: %w", err)
		}
		for _, sql := range []string{
			"CREATE SCHEMA IF NOT EXISTS cluster", "CREATE TABLE IF NOT EXISTS cluster.commits (nothing boolean)",
			"SELECT citus_add_local_table_to_metadata('cluster.commits')", "SET citus.enable_ddl_propagation = off",
		} {
			if _, err := c.Exec(ctx, sql); err != nil {
				return fmt.Errorf("install: cluster: %w", err)
			}
		}
	}
	for _, sql := range []string{touchOnWrite, unsettled,
		"REVOKE EXECUTE ON FUNCTION cluster.unsettled FROM PUBLIC", "GRANT EXECUTE ON FUNCTION cluster.unsettled TO " + RiverLogin,
		"GRANT USAGE ON SCHEMA cluster TO " + RiverLogin,
	} {
		if _, err := c.Exec(ctx, sql); err != nil {
			return fmt.Errorf("install: cluster: %w", err)
		}
	}
	return nil
}

// unsettled names a tenant's transactions that are prepared on a node: the coordinator
// may have committed its part, with jobs in it, and the node be about to.
const unsettled = `CREATE OR REPLACE FUNCTION cluster.unsettled(tenant bigint) RETURNS text[] LANGUAGE sql VOLATILE SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$
	SELECT array_agg(gid) FROM run_command_on_workers(format('SELECT string_agg(gid, '','') FROM pg_prepared_xacts
		WHERE database = current_database() AND owner = %L', 't_' || tenant)) r, regexp_split_to_table(r.result, ',') gid
	WHERE r.success AND gid <> '' $$`

// Settled waits until the node a tenant lies on has committed what the coordinator has
// committed already: a job is seen with its transaction, and so must its rows be. queue
// is a connection of the queue's login; it is for databases that are Spread.
func Settled(ctx context.Context, queue *pgxpool.Pool, id ID) error {
	open := func() (gids []string, err error) {
		err = queue.QueryRow(ctx, "SELECT coalesce(cluster.unsettled($1), '{}')", id.Number()).Scan(&gids)
		return gids, err
	}
	waiting, err := open()
	for pause := 2 * time.Millisecond; err == nil && len(waiting) > 0; pause = min(2*pause, time.Second) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for what is prepared on a node: %w", ctx.Err())
		case <-time.After(pause):
		}
		var now []string
		now, err = open()
		waiting = slices.DeleteFunc(waiting, func(gid string) bool { return !slices.Contains(now, gid) })
	}
	if err != nil {
		return fmt.Errorf("look for what is prepared on a node: %w", err)
	}
	return nil
}

// nodes is what a pool knows of whether tenants lie on nodes. It does not change while a
// program runs.
type nodes struct{ asked, spread atomic.Bool }

// Spread reports whether tenants lie on nodes of Citus, which refuses some statements. It
// asks once a pool.
func (tx *Tx) Spread(ctx context.Context) (bool, error) {
	if !tx.nodes.asked.Load() {
		var spread bool
		if err := tx.NewRaw("SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'cluster')").Scan(ctx, &spread); err != nil {
			return false, fmt.Errorf("ask for nodes: %w", err)
		}
		tx.nodes.spread.Store(spread)
		tx.nodes.asked.Store(true)
	}
	return tx.nodes.spread.Load(), nil
}

// Spread reports whether tenants lie on nodes, so that there is something to wait for.
func Spread(ctx context.Context, queue *pgxpool.Pool) (yes bool, err error) {
	err = queue.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'cluster')").Scan(&yes)
	return yes, err
}

// touchOnWrite makes what a lane's transaction writes to the platform's tables known to
// Citus. The central plane and the queue write nothing on a node.
const touchOnWrite = `DO $do$ DECLARE t regclass; BEGIN
	CREATE OR REPLACE FUNCTION cluster.touch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
	SET search_path = pg_catalog, pg_temp AS $$ BEGIN
		DELETE FROM cluster.commits;
		SET LOCAL synchronous_commit = on; -- a node commits for good when the coordinator has, and not before that is on disk
		RETURN NULL;
	END $$;
	REVOKE EXECUTE ON FUNCTION cluster.touch FROM PUBLIC;
	FOR t IN SELECT c.oid FROM pg_class c WHERE c.relkind = 'r' AND NOT c.relispartition
		AND (c.relnamespace = 'central'::regnamespace OR c.oid = 'river.river_job'::regclass)
		AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgname = 'touch_cluster')
	LOOP
		EXECUTE format('CREATE TRIGGER touch_cluster AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH STATEMENT
			WHEN (session_user LIKE ''lane\_%%'') EXECUTE FUNCTION cluster.touch()', t);
	END LOOP;
END $do$`

// citusKept are the functions of Citus that everyone keeps, for the plans of ordinary
// statements call them. Of the others many run a text they are given, in this session or
// on a node: SELECT citus_run_local_command('SET ROLE …').
const citusKept = `^(citus_extradata_container|read_intermediate_results?|worker_partial_agg.*|coord_combine_agg.*|citus_jsonb?_concatenate.*|` +
	`worker_hash|citus_table_is_visible|relation_is_a_known_shard|citus_version|cluster_clock_.*|pg_(cancel|terminate)_backend|` +
	// These an event trigger of Citus calls as whoever drops what is theirs; each looks whose it is.
	`master_unmark_object_distributed|master_remove_partition_metadata|master_remove_distributed_table_metadata_from_workers|citus_drop_all_shards|` +
	`unregister_tenant_schema_globally|notify_constraint_dropped)$`

// citusOpen are the functions of Citus that a tenant or a lane may call and need not.
const citusOpen = `SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
	CROSS JOIN aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a LEFT JOIN pg_roles g ON g.oid = a.grantee
	WHERE e.extname LIKE 'citus%' AND p.prokind IN ('f', 'p') AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
	AND p.proname !~ '` + citusKept + `' AND ` + untrusted

func citusWall(owners string) wall {
	return wall{
		name: "citus_commands", keeps: "A SELECT cannot have Citus run a command.",
		without: "An SQL injection in a tenant's statement can become another tenant." + laneOnly,
		mend: "DO $$ DECLARE f regprocedure;\nBEGIN FOR f IN " + citusOpen + " LOOP\n" +
			"EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO " + strings.ReplaceAll(owners, "'", "''") + "', f);\n" +
			"EXECUTE format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC', f);\nEND LOOP;\nEND $$;",
		sql: "SELECT ARRAY(SELECT DISTINCT x::text FROM (" + citusOpen + ") x (x))",
	}
}

// atNodes runs a wall's check on the nodes that hold tenants and answers with the gaps
// there. It is null when the nodes may not be asked.
const atNodes = `SELECT CASE WHEN bool_and(r.success) IS NOT FALSE THEN array(
	SELECT 'node ' || x.nodename || ':' || x.nodeport || ': ' || gap FROM run_command_on_workers($1) x,
	json_array_elements_text(CASE WHEN x.success AND x.result <> '' THEN x.result::json ELSE '[]' END) gap) END
	FROM run_command_on_workers($1) r`

// checkNodes adds what is open on the nodes to what was found on the coordinator.
func (w wall) checkNodes(ctx context.Context, c *pgx.Conn, f *Finding) error {
	var gaps *[]string
	// A wall's own answer is an array, or null; on a node it is the same.
	err := c.QueryRow(ctx, atNodes, pgx.QueryExecModeExec, "SELECT to_json(gaps) FROM ("+w.sql+") AS found (gaps)").Scan(&gaps)
	if err != nil && !IsDenied(err) {
		return fmt.Errorf("on the nodes: %w", err)
	}
	switch {
	case err != nil || gaps == nil:
		if f.State == WallHolds {
			f.State, f.Without, f.Mend = WallUnknown, w.without, "Run the check once as a superuser whom every node lets in."
		}
	case len(*gaps) > 0:
		f.State, f.Without, f.Mend, f.Where = WallOpen, w.without, w.mend, shorten(append(f.Where, *gaps...))
	}
	return nil
}

// violated is the state of a statement that failed, and the constraint it broke. From a
// node Citus hands on the message alone: there the constraint has the number of the shard
// at its end, and what is copied to a node (INSERT of a SELECT) fails without a state.
func violated(err error) (state, constraint string) {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return "", ""
	}
	state, constraint = pe.Code, pe.ConstraintName
	if m := duplicateOnNode.FindStringSubmatch(pe.Message); constraint == "" && m != nil {
		return "23505", m[1]
	}
	if state == "XX000" {
		switch {
		case pe.Message == "deadlock detected":
			state = "40P01"
		case strings.HasPrefix(pe.Message, "could not serialize access"):
			state = "40001"
		}
	}
	return state, constraint
}

var duplicateOnNode = regexp.MustCompile(`^duplicate key value violates unique constraint "(.+)_\d+"$`)
