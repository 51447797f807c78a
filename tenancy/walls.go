package tenancy

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// WallState says whether a wall stands.
type WallState string

// The states of a wall.
const (
	WallHolds   WallState = "holds"
	WallOpen    WallState = "open"
	WallUnknown WallState = "unknown" // the owner's login may not look
)

// Finding is one wall between tenants, or between them and the platform, and
// whether it stands in this database.
type Finding struct {
	Wall    string    `json:"wall"` // stable name
	State   WallState `json:"state"`
	Keeps   string    `json:"keeps"`             // what the wall is for
	Without string    `json:"without,omitempty"` // unless it holds: what is then possible, and what still is not
	Where   []string  `json:"where,omitempty"`   // what was found
	Mend    string    `json:"mend,omitempty"`    // SQL for a superuser or the owner, or what else to do
}

// maxWhere is how many places a finding names.
const maxWhere = 10

// wall is a check made of one query that answers with the gaps, or null when it may not look.
type wall struct {
	name, keeps, without, mend, sql string

	nodes bool // with Citus it must stand on every node
}

// CheckWalls reads from the catalog which walls stand. It changes nothing. owner is
// a connection of the database's owner; some walls only a superuser can see.
func CheckWalls(ctx context.Context, owner *pgx.Conn) ([]Finding, error) {
	owners, err := ownersOf(ctx, owner)
	if err != nil {
		return nil, fmt.Errorf("check the walls: %w", err)
	}
	cluster, err := OnCitus(ctx, owner)
	if err != nil {
		return nil, fmt.Errorf("check the walls: %w", err)
	}
	all := append(catalogWalls(owners), rightWalls(databaseName(owner))...)
	if cluster {
		all = append(all, citusWall(owners))
	}
	findings := make([]Finding, 0, len(all)+1)
	for _, w := range all {
		f, err := w.check(ctx, owner)
		if err == nil && cluster && w.nodes {
			err = w.checkNodes(ctx, owner, &f)
		}
		if err != nil {
			return nil, fmt.Errorf("check the wall %s: %w", w.name, err)
		}
		findings = append(findings, f)
	}
	f, err := checkMemberships(ctx, owner)
	if err != nil {
		return nil, fmt.Errorf("check the memberships: %w", err)
	}
	return append(findings, f), nil
}

// ownersOf is who installs here and who owns the doors, quoted: nearly always one.
func ownersOf(ctx context.Context, c *pgx.Conn) (owners string, err error) {
	err = c.QueryRow(ctx, `SELECT string_agg(DISTINCT quote_ident(r), ', ')
		FROM (SELECT current_user::text UNION ALL SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'door') x (r)`).Scan(&owners)
	return owners, err
}

func (w wall) check(ctx context.Context, c *pgx.Conn) (Finding, error) {
	f := Finding{Wall: w.name, Keeps: w.keeps, State: WallHolds}
	var gaps *[]string
	if err := c.QueryRow(ctx, w.sql, pgx.QueryExecModeExec).Scan(&gaps); err != nil {
		if !IsDenied(err) {
			return f, err
		}
		gaps = nil
	}
	switch {
	case gaps == nil:
		f.State, f.Without, f.Mend = WallUnknown, w.without, "Run the check once as a superuser."
	case len(*gaps) > 0:
		f.State, f.Without, f.Mend, f.Where = WallOpen, w.without, w.mend, shorten(*gaps)
	}
	return f, nil
}

func shorten(all []string) []string {
	if len(all) <= maxWhere {
		return all
	}
	return append(all[:maxWhere:maxWhere], fmt.Sprintf("and %d more", len(all)-maxWhere))
}

// untrusted matches, in a list of rights, everyone a statement of a tenant may run as.
const untrusted = `(a.grantee = 0 OR g.rolname ~ '^(lane|t)_[0-9]+$')`

// laneOnly is what an injection still cannot do when a wall of the catalog is missing.
const laneOnly = " It then reaches the tenants of its own lane and no further: other lanes, the platform's tables, the queue and the certificates stay shut, and so does everything for code without an injection."

func functionsSQL(signatures string) string {
	return `SELECT ARRAY(SELECT DISTINCT p.oid::regprocedure || ' for ' || coalesce(g.rolname, 'PUBLIC')
		FROM pg_proc p CROSS JOIN aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a LEFT JOIN pg_roles g ON g.oid = a.grantee
		WHERE p.oid = ANY (string_to_array('` + signatures + `', ';')::regprocedure[]) AND ` + untrusted + `)`
}

const advisoryLocks = `pg_advisory_lock(bigint);pg_advisory_lock(integer,integer);pg_try_advisory_lock(bigint);pg_try_advisory_lock(integer,integer);` +
	`pg_advisory_lock_shared(bigint);pg_advisory_lock_shared(integer,integer);pg_try_advisory_lock_shared(bigint);pg_try_advisory_lock_shared(integer,integer)`

// catalogWalls are those only a superuser can raise. A managed Postgres may forbid it.
func catalogWalls(owners string) []wall {
	trusted := CentralLogin + ", " + RiverLogin + ", " + owners
	mend := func(functions, to string) string {
		return "GRANT EXECUTE ON FUNCTION " + functions + " TO " + to + "; REVOKE EXECUTE ON FUNCTION " + functions + " FROM PUBLIC;"
	}
	locks := "pg_catalog." + strings.ReplaceAll(advisoryLocks, ";", ", pg_catalog.")
	return []wall{
		{
			name: "set_config", keeps: "A SELECT cannot change the role or the search path.",
			without: "An SQL injection in a tenant's statement can become another tenant." + laneOnly,
			mend:    mend("pg_catalog.set_config(text, text, boolean)", RiverLogin+", "+owners),
			sql:     functionsSQL("set_config(text,text,boolean)"),
		},
		{
			name: "pg_settings", keeps: "An UPDATE cannot change the role or the search path.",
			without: "An SQL injection in a tenant's statement can become another tenant." + laneOnly,
			mend:    "REVOKE UPDATE ON pg_catalog.pg_settings FROM PUBLIC;",
			sql: `SELECT ARRAY(SELECT 'UPDATE for ' || coalesce(g.rolname, 'PUBLIC') FROM pg_class c CROSS JOIN aclexplode(c.relacl) a
				LEFT JOIN pg_roles g ON g.oid = a.grantee
				WHERE c.oid = 'pg_catalog.pg_settings'::regclass AND a.privilege_type = 'UPDATE' AND ` + untrusted + `)`,
		},
		{
			name: "pg_notify", keeps: "A tenant cannot speak on the platform's channels.",
			without: "An SQL injection can pause the queue or make nodes reload the directory: a disturbance that heals, no data.",
			mend:    mend("pg_catalog.pg_notify(text, text)", trusted),
			sql:     functionsSQL("pg_notify(text,text)"),
		},
		{
			name: "advisory_locks", keeps: "A tenant cannot leave a lock behind on a connection.",
			without: "An SQL injection can hold a lock of the platform until the connection ends: a delay, no data.",
			mend:    mend(locks, trusted),
			sql:     functionsSQL(advisoryLocks),
		},
	}
}

// rightWalls are those the owner of the database keeps himself.
func rightWalls(database string) []wall {
	return []wall{
		{
			name: "database", keeps: "Tenants make no temporary tables and no schemas.",
			without: "A temporary table could stay behind on a connection. Bound paths end in pg_temp, so that it stands in for no real one.",
			mend:    "REVOKE TEMPORARY, CREATE ON DATABASE " + database + " FROM PUBLIC;",
			sql: `SELECT ARRAY(SELECT a.privilege_type || ' for ' || coalesce(g.rolname, 'PUBLIC')
				FROM pg_database d CROSS JOIN aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a LEFT JOIN pg_roles g ON g.oid = a.grantee
				WHERE d.datname = current_database() AND a.privilege_type IN ('TEMPORARY', 'CREATE') AND ` + untrusted + `)`,
		},
		{
			name: "platform_schemas", keeps: "Tenants and bare lanes have no right in the platform's schemas.",
			without: "What is named can be read or written from a tenant's statement.",
			mend:    "REVOKE ALL ON SCHEMA public, central, river FROM PUBLIC; REVOKE CREATE ON SCHEMA tpl, door FROM PUBLIC;",
			sql: `SELECT ARRAY(SELECT a.privilege_type || ' on ' || n.nspname || ' for ' || coalesce(g.rolname, 'PUBLIC')
				FROM pg_namespace n CROSS JOIN aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a LEFT JOIN pg_roles g ON g.oid = a.grantee
				WHERE (n.nspname IN ('public', 'central', 'river') OR n.nspname IN ('tpl', 'door') AND a.privilege_type = 'CREATE') AND ` + untrusted + `)
				|| ARRAY(SELECT a.privilege_type || ' on ' || c.oid::regclass || ' for ' || coalesce(g.rolname, 'PUBLIC')
				FROM pg_class c CROSS JOIN aclexplode(c.relacl) a LEFT JOIN pg_roles g ON g.oid = a.grantee
				WHERE c.relnamespace IN ('central'::regnamespace, 'river'::regnamespace) AND ` + untrusted + `)`,
		},
		{
			name: "doors", keeps: "Inner doors are shut to tenants, and every door runs with a locked search path.",
			without: "A tenant could claim tenants, mark migrations or enqueue for the platform; without a locked path, run its own functions as the owner.",
			mend:    "Run `ezscale migrate`: it makes the doors anew.",
			sql: `SELECT ARRAY(SELECT p.oid::regprocedure || ' for ' || coalesce(g.rolname, 'PUBLIC')
				FROM pg_proc p CROSS JOIN aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a LEFT JOIN pg_roles g ON g.oid = a.grantee
				WHERE p.pronamespace = 'door'::regnamespace AND (p.proname IN ('tenant_row', 'newest', 'enqueue_central') AND ` + untrusted + `
				OR p.proname IN ('claim', 'may_claim', 'migrated') AND (a.grantee = 0 OR g.rolname ~ '^t_[0-9]+$')))
				|| ARRAY(SELECT p.oid::regprocedure || ' without a locked path' FROM pg_proc p
				WHERE p.pronamespace = 'door'::regnamespace AND NOT coalesce(p.proconfig, '{}') @> ARRAY['search_path=pg_catalog, pg_temp'])`,
		},
		{
			name: "definers", keeps: "Nothing but the doors runs with more rights than its caller has.",
			without: "Whoever may call what is named acts as its owner.",
			mend:    "REVOKE EXECUTE ON FUNCTION … FROM PUBLIC; or drop it.",
			sql: `SELECT ARRAY(SELECT DISTINCT p.oid::regprocedure::text
				FROM pg_proc p CROSS JOIN aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a LEFT JOIN pg_roles g ON g.oid = a.grantee
				WHERE p.prosecdef AND p.pronamespace NOT IN ('door'::regnamespace, 'pg_catalog'::regnamespace)
				AND has_schema_privilege('public', p.pronamespace, 'USAGE') AND ` + untrusted + `)`,
		},
		{
			name: "extensions", keeps: "No extension opens files, programs or other servers to statements.",
			without: "A tenant's statement may leave the database by it.",
			mend:    "DROP EXTENSION …; or take its functions and servers from PUBLIC.",
			sql: `SELECT ARRAY(SELECT e.extname::text FROM pg_extension e WHERE e.extname IN
				('dblink', 'file_fdw', 'adminpack', 'plpython3u', 'plperlu', 'pltclu', 'postgres_fdw', 'pg_cron', 'http'))`,
		},
		{
			name: "roles", nodes: true, keeps: "Lanes and tenants have no attribute that passes a wall, and inherit nothing.",
			without: "The role named is not held by any right.",
			mend:    "ALTER ROLE … NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS NOINHERIT;",
			sql: `SELECT ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname ~ '^(lane|t)_[0-9]+$'
				AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls OR rolinherit))`,
		},
		{
			name: "passwords", nodes: true, keeps: "Nobody logs in as a tenant: its role has no password.",
			without: "Who knows the password is that tenant, past the program. No other tenant.",
			mend:    "ALTER ROLE … PASSWORD NULL;",
			sql: `SELECT CASE WHEN has_table_privilege('pg_catalog.pg_authid', 'SELECT') THEN
				ARRAY(SELECT rolname::text FROM pg_authid WHERE rolname ~ '^t_[0-9]+$' AND rolpassword IS NOT NULL) END`,
		},
		{
			name: "access_rules", nodes: true, keeps: "Nobody comes in over the network without a secret or a certificate.",
			without: "Whoever reaches the port is any role, tenants' included, if the rule named matches him.",
			mend:    "Give the rule in pg_hba.conf the method scram-sha-256 or reject, or, between the nodes of a cluster, the option clientcert=verify-ca, and reload.",
			sql: `SELECT CASE WHEN has_function_privilege('pg_catalog.pg_hba_file_rules()', 'EXECUTE') THEN
				ARRAY(SELECT 'line ' || line_number || ': ' || type || ' ' || auth_method FROM pg_hba_file_rules
				WHERE type LIKE 'host%' AND auth_method = 'trust'
				AND NOT coalesce(options, '{}') && ARRAY['clientcert=verify-ca', 'clientcert=verify-full']) END`,
		},
		{
			name: "tenant_schemas", nodes: true, keeps: "Each tenant's schema and all in it belong to its role, and nobody else has a right there.",
			without: "Who is named may do to that tenant's data what is named.",
			mend:    "ALTER … OWNER TO t_<number>; REVOKE ALL ON … FROM …;",
			sql: `SELECT ARRAY(SELECT n.nspname || ' belongs to ' || pg_get_userbyid(n.nspowner) FROM pg_namespace n
				WHERE n.nspname ~ '^t_[0-9]+$' AND pg_get_userbyid(n.nspowner) <> n.nspname)
				|| ARRAY(SELECT a.privilege_type || ' on ' || n.nspname || ' for ' || coalesce(g.rolname, 'PUBLIC') FROM pg_namespace n
				CROSS JOIN aclexplode(n.nspacl) a LEFT JOIN pg_roles g ON g.oid = a.grantee WHERE n.nspname ~ '^t_[0-9]+$' AND a.grantee <> n.nspowner)
				|| ARRAY(SELECT c.oid::regclass || ' belongs to ' || pg_get_userbyid(c.relowner) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
				WHERE n.nspname ~ '^t_[0-9]+$' AND c.relowner <> n.nspowner)
				|| ARRAY(SELECT a.privilege_type || ' on ' || c.oid::regclass || ' for ' || coalesce(g.rolname, 'PUBLIC') FROM pg_class c
				JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN aclexplode(c.relacl) a LEFT JOIN pg_roles g ON g.oid = a.grantee
				WHERE n.nspname ~ '^t_[0-9]+$' AND a.grantee <> n.nspowner)`,
		},
		{
			name: "unbound_path", keeps: "A statement that forgot its binding finds the empty template.",
			without: "It finds what the path of the login says; it has no right there, and fails with another message.",
			mend:    "Run `ezscale migrate`: it sets the paths anew.",
			sql: `SELECT ARRAY(SELECT r.rolname::text FROM pg_roles r WHERE r.rolname ~ '^lane_[0-9]+$'
				AND substr(r.rolname, 6)::int < (SELECT value::int FROM central.settings WHERE name = 'lanes')
				AND NOT EXISTS (SELECT FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
				WHERE d.datname = current_database() AND s.setrole = r.oid AND s.setconfig @> ARRAY['search_path=tpl, pg_temp']))`,
		},
	}
}

// checkMemberships compares who may become whom with the hash that spreads the
// tenants over the lanes.
func checkMemberships(ctx context.Context, owner *pgx.Conn) (Finding, error) {
	f := Finding{Wall: "memberships", State: WallHolds, Keeps: "Each tenant can be become by the login of its own lane alone."}
	lanes, err := LanesOf(ctx, owner)
	if err != nil {
		return f, err
	}
	gaps, err := foreignMemberships(ctx, owner)
	if err != nil {
		return f, err
	}
	err = pgx.BeginFunc(ctx, owner, func(tx pgx.Tx) error {
		all, err := placements(ctx, tx)
		if err != nil {
			return err
		}
		for _, p := range all {
			own, served := LaneLogin(p.id.Lane(lanes)), false
			for _, m := range p.members {
				if m == own {
					served = true
				} else {
					gaps = append(gaps, m+" may become "+p.id.Schema())
				}
			}
			if !served {
				gaps = append(gaps, own+" may not become "+p.id.Schema())
			}
		}
		return nil
	})
	if err != nil || len(gaps) == 0 {
		return f, err
	}
	f.State, f.Where = WallOpen, shorten(gaps)
	f.Without = "Who is named may become that tenant; a tenant its lane may not become is not served."
	f.Mend = "Change the number of lanes to what it is: that grants and revokes what is wrong. Others: REVOKE t_<number> FROM …;"
	return f, nil
}

// foreignMemberships are those of neither lanes nor, for administration alone, the owner.
func foreignMemberships(ctx context.Context, owner *pgx.Conn) ([]string, error) {
	rows, err := owner.Query(ctx, `
		SELECT format('%s may become %s', m.rolname, r.rolname)
		FROM pg_auth_members x JOIN pg_roles r ON r.oid = x.roleid JOIN pg_roles m ON m.oid = x.member
		WHERE r.rolname ~ '^t_[0-9]+$' AND m.rolname !~ '^lane_[0-9]+$'
			AND coalesce((to_jsonb(x)->>'set_option')::boolean OR (to_jsonb(x)->>'inherit_option')::boolean, true)
		UNION ALL
		SELECT format('%s may become %s', m.rolname, r.rolname)
		FROM pg_auth_members x JOIN pg_roles r ON r.oid = x.roleid JOIN pg_roles m ON m.oid = x.member
		WHERE m.rolname ~ '^t_[0-9]+$' OR m.rolname ~ '^lane_[0-9]+$' AND r.rolname !~ '^t_[0-9]+$'`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
