package tenancy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/ezscale/ezscale/migrations"
)

// RiverLogin is the role the queue logs in as and whose schema it is.
const RiverLogin = "river"

// InstallOptions say how the platform is laid into a database.
type InstallOptions struct {
	Lanes    int                      // logins over which the tenants are spread; 0: keep what is there, else 32
	Password func(role string) string // of the platform's logins; nil: they get none
}

// DefaultLanes is how many lanes a new platform gets.
const DefaultLanes = 32

// A Refusal is something this database would not let us do; the walls then hold in
// part. `ezscale doctor` tells what follows.
type Refusal struct {
	Statement string
	Err       error
}

// Install makes or updates everything a database needs but the tenants: the
// platform's logins, the central schema, the queue's, the template schema and the
// doors. It may be repeated at any time, and by several at once. The owner needs
// CREATEROLE and the database; what only a superuser may revoke is returned as
// refusals when it is not one.
func Install(ctx context.Context, owner *pgx.Conn, o InstallOptions) ([]Refusal, error) {
	release, err := lockInstall(ctx, owner)
	if err != nil {
		return nil, err
	}
	defer release()
	abroad, err := stayHere(ctx, owner)
	if err != nil {
		return nil, fmt.Errorf("install: %w", err)
	}
	defer abroad()
	if err := makeLogins(ctx, owner, o.Password, CentralLogin, RiverLogin); err != nil {
		return nil, err
	}
	if err := makeSchemas(ctx, owner); err != nil {
		return nil, err
	}
	if err := migrateQueue(ctx, owner); err != nil {
		return nil, err
	}
	if err := migrateCentral(ctx, owner); err != nil {
		return nil, err
	}
	lanes, err := installedLanes(ctx, owner, o.Lanes)
	if err != nil {
		return nil, err
	}
	if err := makeLanes(ctx, owner, lanes, o.Password); err != nil {
		return nil, err
	}
	if err := openDoors(ctx, owner); err != nil {
		return nil, err
	}
	if err := makeCluster(ctx, owner); err != nil {
		return nil, err
	}
	return raiseWalls(ctx, owner)
}

// lockInstall keeps two installs of one database apart.
func lockInstall(ctx context.Context, owner *pgx.Conn) (func(), error) {
	const key = 0x657a7363616c65 // "ezscale"
	if _, err := owner.Exec(ctx, "SELECT pg_advisory_lock($1)", key); err != nil {
		return nil, fmt.Errorf("install: lock: %w", err)
	}
	return func() {
		_, _ = owner.Exec(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", key)
	}, nil
}

// execAgain runs a statement on shared catalogs, where a neighbour installing into
// another database of the cluster may be in the way for a moment.
func execAgain(ctx context.Context, c *pgx.Conn, sql string) error {
	var err error
	for range 20 {
		_, err = c.Exec(ctx, sql)
		var pe *pgconn.PgError
		inTheWay := errors.As(err, &pe) &&
			(pe.Code == "XX000" && strings.Contains(pe.Message, "concurrently") || pe.Code == "40001" || pe.Code == "23505")
		if !inTheWay {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("install: %.80s: %w", sql, err)
	}
	return nil
}

// makeRole creates a login that has no rights of its own and inherits none. A role
// that exists is left as it is: roles belong to the cluster.
func makeRole(ctx context.Context, c *pgx.Conn, name string) error {
	return execAgain(ctx, c, "DO $$ BEGIN CREATE ROLE "+name+" LOGIN NOINHERIT; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$")
}

func makeLogins(ctx context.Context, c *pgx.Conn, password func(string) string, names ...string) error {
	for _, n := range names {
		if err := makeRole(ctx, c, n); err != nil {
			return err
		}
		if password == nil {
			continue
		}
		if err := execAgain(ctx, c, "ALTER ROLE "+n+" PASSWORD "+quoteLiteral(password(n))); err != nil {
			return err
		}
	}
	return nil
}

func quoteLiteral(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

func makeSchemas(ctx context.Context, c *pgx.Conn) error {
	// Who is no superuser must be a member of a role to make a schema for it.
	for _, sql := range []string{
		"CREATE SCHEMA IF NOT EXISTS central",
		"CREATE SCHEMA IF NOT EXISTS tpl",
		"CREATE SCHEMA IF NOT EXISTS river",
		"REVOKE ALL ON SCHEMA central, tpl, river FROM PUBLIC",
		"GRANT USAGE, CREATE ON SCHEMA river TO " + RiverLogin,
	} {
		if err := execAgain(ctx, c, sql); err != nil {
			return err
		}
	}
	return nil
}

// migrateQueue runs River's own migrations as the owner; the login gets the rows.
func migrateQueue(ctx context.Context, owner *pgx.Conn) error {
	cfg, err := pgxpool.ParseConfig(owner.Config().ConnString())
	if err != nil {
		return err
	}
	cfg.ConnConfig.User, cfg.ConnConfig.Password, cfg.ConnConfig.Database = owner.Config().User, owner.Config().Password, owner.Config().Database
	cfg.MaxConns = 2
	cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error { _, err := stayHere(ctx, c); return err }
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close()
	m, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: "river"})
	if err != nil {
		return fmt.Errorf("install: queue: %w", err)
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("install: queue: %w", err)
	}
	for _, sql := range []string{
		"GRANT ALL ON ALL TABLES IN SCHEMA river TO " + RiverLogin,
		"GRANT ALL ON ALL SEQUENCES IN SCHEMA river TO " + RiverLogin,
		"GRANT USAGE ON SCHEMA river TO " + CentralLogin,
	} {
		if err := execAgain(ctx, owner, sql); err != nil {
			return err
		}
	}
	return nil
}

// installedLanes is the number of lanes: wanted when nothing is installed yet, else
// what is. Changing it is an operation of its own.
func installedLanes(ctx context.Context, c *pgx.Conn, wanted int) (int, error) {
	if wanted <= 0 {
		wanted = DefaultLanes
	}
	_, err := c.Exec(ctx, "INSERT INTO central.settings (name, value, changed_at) VALUES ('lanes', to_jsonb($1::int), now()) ON CONFLICT DO NOTHING", wanted)
	if err != nil {
		return 0, fmt.Errorf("install: lanes: %w", err)
	}
	return LanesOf(ctx, c)
}

// LanesOf is the number of lanes the database was installed with.
func LanesOf(ctx context.Context, c *pgx.Conn) (int, error) {
	var n int
	if err := c.QueryRow(ctx, "SELECT value::int FROM central.settings WHERE name = 'lanes'").Scan(&n); err != nil {
		return 0, fmt.Errorf("number of lanes: %w", err)
	}
	return n, nil
}

func makeLanes(ctx context.Context, c *pgx.Conn, lanes int, password func(string) string) error {
	for i := range lanes {
		n := LaneLogin(i)
		if err := makeLogins(ctx, c, password, n); err != nil {
			return err
		}
		if err := execAgain(ctx, c, "GRANT USAGE ON SCHEMA tpl TO "+n); err != nil {
			return err
		}
	}
	return nil
}

// SettleDatabase sets what Postgres keeps beside a database and not in it: its own
// rights and the search path of each login there. A copy or a restored database
// needs it again; Install does it itself.
func SettleDatabase(ctx context.Context, owner *pgx.Conn) error {
	release, err := stayHere(ctx, owner)
	if err != nil {
		return err
	}
	defer release()
	lanes, err := LanesOf(ctx, owner)
	if err != nil {
		return err
	}
	database := databaseName(owner)
	for _, sql := range []string{
		"REVOKE TEMPORARY, CREATE ON DATABASE " + database + " FROM PUBLIC",
		searchPath(CentralLogin, database, "central"), searchPath(RiverLogin, database, "river"),
	} {
		if err := execAgain(ctx, owner, sql); err != nil {
			return err
		}
	}
	return settleLanes(ctx, owner, lanes)
}

// settleLanes gives the lanes' logins what they may do unbound: see the empty
// template schema, and pass the doors that are theirs.
func settleLanes(ctx context.Context, owner *pgx.Conn, lanes int) error {
	logins := make([]string, lanes)
	for i := range logins {
		logins[i] = LaneLogin(i)
		if err := execAgain(ctx, owner, searchPath(logins[i], databaseName(owner), "tpl")); err != nil {
			return err
		}
	}
	return execAgain(ctx, owner, "GRANT EXECUTE ON FUNCTION door.may_claim, door.claim, door.migrated TO "+strings.Join(logins, ", "))
}

// searchPath is set on the role and not in the start-up packet, which a transaction
// pooler refuses.
func searchPath(role, database, schema string) string {
	return "ALTER ROLE " + role + " IN DATABASE " + database + " SET search_path = " + schema + ", pg_temp"
}

func databaseName(c *pgx.Conn) string { return pgx.Identifier{c.Config().Database}.Sanitize() }

// openDoors (re)makes the functions and the rights of the platform's logins.
func openDoors(ctx context.Context, c *pgx.Conn) error {
	if _, err := c.PgConn().Exec(ctx, migrations.Doors).ReadAll(); err != nil {
		return fmt.Errorf("install: doors: %w", err)
	}
	for _, sql := range []string{
		"GRANT EXECUTE ON FUNCTION door.enqueue_central TO " + CentralLogin,
		"GRANT USAGE ON SCHEMA central TO " + CentralLogin,
		"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA central TO " + CentralLogin,
		"REVOKE UPDATE, DELETE ON central.audit_entries FROM " + CentralLogin,
		"REVOKE INSERT, UPDATE, DELETE ON central.audit_anchors FROM " + CentralLogin,
		"GRANT USAGE ON ALL SEQUENCES IN SCHEMA central TO " + CentralLogin,
		"GRANT SELECT ON ALL TABLES IN SCHEMA river TO " + CentralLogin,
	} {
		if err := execAgain(ctx, c, sql); err != nil {
			return err
		}
	}
	return SettleDatabase(ctx, c)
}

// raiseWalls takes from everyone what a plain SELECT could otherwise use to leave
// its tenant, and gives it back to the platform's logins that need it. Only a
// superuser may; without one the rest still holds (see CheckWalls). To anyone else
// Postgres answers with an error or, for some, a mere warning: so we look.
func raiseWalls(ctx context.Context, c *pgx.Conn) ([]Refusal, error) {
	owners, err := ownersOf(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("install: walls: %w", err)
	}
	all := catalogWalls(owners)
	cluster, err := OnCitus(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("install: walls: %w", err)
	}
	if cluster {
		all = append(all, citusWall(owners))
	}
	var refused []Refusal
	for _, w := range all {
		// One statement at a time, grants first: a revoke must never stand without them.
		var denied error
		for _, sql := range strings.Split(strings.TrimSuffix(w.mend, ";"), "; ") {
			err := execAgain(ctx, c, sql)
			if err != nil && !IsDenied(err) {
				return nil, err
			}
			denied = errors.Join(denied, err)
		}
		f, err := w.check(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("install: wall %s: %w", w.name, err)
		}
		if f.State != WallHolds {
			refused = append(refused, Refusal{Statement: w.mend, Err: cmp.Or(denied, errNotRaised)})
		}
	}
	return refused, nil
}

var errNotRaised = errors.New("only a superuser may, and this owner is none")
