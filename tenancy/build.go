package tenancy

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// buildsPerConn is after how many builds the builder takes a new connection: a
// backend remembers every table it ever made.
const buildsPerConn = 200

// Builder makes spares: empty, migrated schemas that wait to become a tenant. It
// works as the owner of the database, who needs CREATEROLE and nothing more. It is
// safe for concurrent use and builds one at a time; several builders, also on
// other nodes, do not disturb each other.
//
// A build is three transactions, each of which may be repeated: role, schema,
// tables. On Citus the workers are reached as the tenant's role, over connections
// that do not see what is not yet committed. Elsewhere a second connection makes half of the
// tables in a transaction of its own beside the third. The row in central.spares is
// written last: what has no row does not count, and Heal finishes it.
type Builder struct {
	config *pgx.ConnConfig
	script script

	mu     sync.Mutex
	conn   *pgx.Conn
	second *pgx.Conn // makes tables beside conn; nil until then
	owner  ownership
	built  int
}

// ownership is what the owner of the database is and may.
type ownership struct {
	role  string // quoted
	super bool
	citus bool // the tenants are spread over nodes
	pg16  bool // memberships say whether they inherit and whether they may be set
}

// NewBuilder makes a builder that logs in with the owner's DSN. It connects to
// nothing yet.
func NewBuilder(dsn string) (*Builder, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("builder: %w", err)
	}
	script, err := tenantScript()
	if err != nil {
		return nil, fmt.Errorf("builder: %w", err)
	}
	return &Builder{config: config, script: script}, nil
}

// Close closes the builder's connections.
func (b *Builder) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hangUp()
}

func (b *Builder) hangUp() {
	for _, c := range []*pgx.Conn{b.conn, b.second} {
		if c != nil {
			_ = c.PgConn().Conn().Close() // nothing of ours is under way on it
		}
	}
	b.conn, b.second, b.built = nil, nil, 0
}

// Build makes one spare under the next number.
func (b *Builder) Build(ctx context.Context) (ID, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	conn, err := b.connection(ctx)
	if err != nil {
		return ID{}, err
	}
	var id ID
	if err := conn.QueryRow(ctx, "SELECT nextval('central.tenant_numbers')").Scan(&id); err != nil {
		return ID{}, fmt.Errorf("build: take a number: %w", err)
	}
	return id, b.finish(ctx, conn, id)
}

func (b *Builder) connection(ctx context.Context) (*pgx.Conn, error) {
	if b.conn != nil && (b.built >= buildsPerConn || !idle(b.conn) || b.second != nil && !idle(b.second)) {
		b.hangUp()
	}
	if b.conn == nil {
		conn, err := pgx.ConnectConfig(ctx, b.config.Copy())
		if err != nil {
			return nil, fmt.Errorf("build: %w", err)
		}
		b.conn = conn
		if b.owner, err = whoOwns(ctx, conn); err != nil {
			return nil, fmt.Errorf("build: %w", err)
		}
	}
	b.built++
	return b.conn, nil
}

func idle(c *pgx.Conn) bool { return !c.IsClosed() && c.PgConn().TxStatus() == 'I' }

func whoOwns(ctx context.Context, c *pgx.Conn) (o ownership, err error) {
	var name string
	err = c.QueryRow(ctx, `SELECT rolname, rolsuper, current_setting('server_version_num')::int >= 160000,
			EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')
		FROM pg_roles WHERE rolname = current_user`).Scan(&name, &o.super, &o.pg16, &o.citus)
	o.role = pgx.Identifier{name}.Sanitize()
	return o, err
}

// ErrOutdated is returned by a builder that is older than the fleet: during a rollout
// the new program builds.
var ErrOutdated = errors.New("older than the fleet")

// errLanesMoved says that the number of lanes changed under a build.
var errLanesMoved = errors.New("the number of lanes changed")

// finish brings the spare id from whatever there is of it to a row in central.spares.
func (b *Builder) finish(ctx context.Context, c *pgx.Conn, id ID) error {
	var newest int
	if err := c.QueryRow(ctx, "SELECT door.newest()").Scan(&newest); err != nil {
		return fmt.Errorf("build %s: %w", id.Schema(), err)
	}
	if b.script.version < newest { // nobody could claim it
		return fmt.Errorf("build %s at version %d, the fleet is at %d: %w", id.Schema(), b.script.version, newest, ErrOutdated)
	}
	for range 3 {
		lanes, err := LanesOf(ctx, c)
		if err != nil {
			return fmt.Errorf("build %s: %w", id.Schema(), err)
		}
		err = b.steps(ctx, c, id, lanes)
		if err == nil {
			return nil
		}
		if !errors.Is(err, errLanesMoved) {
			return fmt.Errorf("build %s: %w", id.Schema(), err)
		}
	}
	return fmt.Errorf("build %s: %w", id.Schema(), errLanesMoved)
}

func (b *Builder) steps(ctx context.Context, c *pgx.Conn, id ID, lanes int) error {
	for i, step := range []func(context.Context, pgx.Tx, ID, int) error{b.makeRole, b.makeSchema, b.makeTables} {
		err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			// One at a time for each number: a healer may be at the same one.
			if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", id.lockKey()); err != nil {
				return err
			}
			if err := b.owner.everywhere(ctx, tx); err != nil {
				return err
			}
			// The last step's commit waits for the disk, and for all that was before it. A
			// node's commit waits for nothing but this one.
			if i < 2 && !b.owner.citus {
				if _, err := tx.Exec(ctx, "SET LOCAL synchronous_commit TO off"); err != nil {
					return err
				}
			}
			return step(ctx, tx, id, lanes)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lockKey is the advisory lock under which the tenant's schema and role are made and removed.
func (id ID) lockKey() int64 { return 0x7465_6e<<32 | id.Number() }

func (b *Builder) makeRole(ctx context.Context, tx pgx.Tx, id ID, lanes int) error {
	var exists bool
	err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", id.Schema()).Scan(&exists)
	if err != nil {
		return err
	}
	if !exists {
		// LOGIN without a password: Citus reaches its workers as this role, a NOLOGIN one fails there.
		if _, err := tx.Exec(ctx, "CREATE ROLE "+id.Schema()+" LOGIN NOINHERIT"); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, "GRANT "+id.Schema()+" TO "+LaneLogin(id.Lane(lanes))+b.owner.settable())
	return err
}

// settable is what makes a membership one for SET ROLE only.
func (o ownership) settable() string {
	if o.pg16 {
		return " WITH INHERIT FALSE, SET TRUE"
	}
	return ""
}

// makeSchema makes the owner a member for a moment: a schema can be given only to a
// role one may become. makeTables ends that, so that the owner's list stays short.
func (b *Builder) makeSchema(ctx context.Context, tx pgx.Tx, id ID, _ int) error {
	if err := b.owner.join(ctx, tx, id); err != nil {
		return err
	}
	if err := b.clear(ctx, tx, id); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+id.Schema()+" AUTHORIZATION "+id.Schema())
	return err
}

// clear removes what the second connection made for a build that was interrupted then: maybe
// by another release of the program, with other tables. Nobody ever wrote there; where
// somebody did, or the number is a spare's or a tenant's, it removes nothing.
func (b *Builder) clear(ctx context.Context, tx pgx.Tx, id ID) error {
	if b.owner.citus { // one connection makes all; and what is elsewhere has no size here
		return nil
	}
	var tables, bytes int64
	err := tx.QueryRow(ctx, `SELECT count(*), coalesce(sum(pg_relation_size(c.oid)), 0)::bigint
		FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND relkind = 'r' -- pg_class has no index by schema
		WHERE classid = 'pg_class'::regclass AND refclassid = 'pg_namespace'::regclass AND refobjid = to_regnamespace($2)
		AND NOT EXISTS (SELECT FROM central.spares WHERE id = $1) AND NOT EXISTS (SELECT FROM central.tenants WHERE id = $1)`,
		id, id.Schema()).Scan(&tables, &bytes)
	switch {
	case err != nil || tables == 0:
		return err
	case bytes > 0:
		return fmt.Errorf("%d tables are nobody's and %d bytes in them: look at what it is and drop the schema by hand", tables, bytes)
	}
	_, err = tx.Conn().PgConn().Exec(ctx, "SET LOCAL ROLE "+id.Schema()+"; DROP SCHEMA "+id.Schema()+" CASCADE; SET LOCAL ROLE NONE").ReadAll()
	return err
}

func (o ownership) join(ctx context.Context, tx pgx.Tx, id ID) error {
	if o.super {
		return nil
	}
	_, err := tx.Exec(ctx, "GRANT "+id.Schema()+" TO "+o.role+o.settable())
	return err
}

func (o ownership) leave(id ID) string {
	if o.super {
		return ""
	}
	return ";\nREVOKE " + id.Schema() + " FROM " + o.role
}

func (b *Builder) makeTables(ctx context.Context, tx pgx.Tx, id ID, lanes int) error {
	var now int
	var done bool
	err := tx.QueryRow(ctx, `SELECT value::int,
		EXISTS (SELECT FROM central.spares WHERE id = $1) OR EXISTS (SELECT FROM central.tenants WHERE id = $1)
		FROM central.settings WHERE name = 'lanes' FOR SHARE OF settings`, id).Scan(&now, &done)
	switch {
	case err != nil:
		return err
	case done: // by a healer in between; the owner joined again for nothing
		_, err := tx.Conn().PgConn().Exec(ctx, "SELECT"+b.owner.leave(id)).ReadAll()
		return err
	case now != lanes:
		return errLanesMoved
	}
	n := id.Schema()
	begin := "SET LOCAL ROLE " + n + "; SET LOCAL search_path TO " + n + ", pg_temp;\n"
	end := fmt.Sprintf(";\nSET LOCAL ROLE NONE; SET LOCAL search_path TO pg_catalog;\nINSERT INTO central.spares (id, lane, schema_version) VALUES (%d, %d, %d)",
		id.Number(), id.Lane(lanes), b.script.version) + b.owner.leave(id)
	if b.owner.citus {
		_, err = SendScript(ctx, tx.Conn(), begin+b.script.whole+end, true)
		return err
	}
	if err := b.makeHalves(ctx, tx, begin); err != nil {
		return err
	}
	_, err = tx.Conn().PgConn().Exec(ctx, b.script.rest+end).ReadAll()
	return err
}

// makeHalves makes the tables over two connections. Two cores work, and where PostgreSQL is 15
// or 16, which write each new index to disk before they go on, two wait for it together.
// What the second makes is there once it has committed, for tx as well: catalogs are read as
// they are, not as they were when it began.
func (b *Builder) makeHalves(ctx context.Context, tx pgx.Tx, begin string) (err error) {
	if b.second == nil {
		if b.second, err = pgx.ConnectConfig(ctx, b.config.Copy()); err != nil {
			return err
		}
	}
	var beside errgroup.Group
	beside.Go(func() error {
		return pgx.BeginFunc(ctx, b.second, func(tx pgx.Tx) error {
			_, err := tx.Conn().PgConn().Exec(ctx, "SET LOCAL synchronous_commit TO off; "+begin+b.script.halves[1]).ReadAll()
			return err
		})
	})
	_, err = tx.Conn().PgConn().Exec(ctx, begin+b.script.halves[0]).ReadAll()
	return errors.Join(err, beside.Wait())
}

// Healed is what Heal found and mended.
type Healed struct {
	Finished []ID // builds that had been interrupted, now spares
	Dropped  []ID // drops that had been interrupted, now complete
}

// Heal finishes what a killed process left half-done: schemas and roles that are
// neither a spare nor a tenant become spares, and what is left of dropped tenants
// goes. It may run beside builds, claims and drops.
func (b *Builder) Heal(ctx context.Context) (Healed, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var healed Healed
	conn, err := b.connection(ctx)
	if err != nil {
		return healed, err
	}
	orphans, err := queryIDs(ctx, conn, orphansSQL)
	if err != nil {
		return healed, fmt.Errorf("heal: %w", err)
	}
	for _, id := range orphans {
		if conn, err = b.connection(ctx); err != nil {
			return healed, err
		}
		if err := b.finish(ctx, conn, id); err != nil {
			return healed, fmt.Errorf("heal: %w", err)
		}
		healed.Finished = append(healed.Finished, id)
	}
	undead, err := queryIDs(ctx, conn, `SELECT t.id FROM central.tenants t WHERE t.status = 'dropped'
		AND (EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = 't_' || t.id)
			OR EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 't_' || t.id)) ORDER BY 1`)
	if err != nil {
		return healed, fmt.Errorf("heal: %w", err)
	}
	for _, id := range undead {
		if err := removeRemains(ctx, conn, id); err != nil {
			return healed, fmt.Errorf("heal: %w", err)
		}
		healed.Dropped = append(healed.Dropped, id)
	}
	return healed, nil
}

// orphansSQL finds numbers of ours that have a schema or a role and no row. A role
// beyond the last number belongs to another database of the cluster.
const orphansSQL = `
	SELECT id FROM (
		SELECT substr(nspname, 3)::bigint AS id FROM pg_namespace WHERE nspname ~ '^t_[1-9][0-9]{0,9}$'
		UNION
		SELECT substr(rolname, 3)::bigint FROM pg_roles WHERE rolname ~ '^t_[1-9][0-9]{0,9}$') x
	WHERE id <= (SELECT last_value FROM central.tenant_numbers)
	AND NOT EXISTS (SELECT FROM central.spares s WHERE s.id = x.id)
	AND NOT EXISTS (SELECT FROM central.tenants t WHERE t.id = x.id)
	ORDER BY id`

func queryIDs(ctx context.Context, c *pgx.Conn, sql string) ([]ID, error) {
	rows, err := c.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[ID])
}
