package tenancy_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestIsolation tries every table of another tenant by every route, straight to
// Postgres and through PgBouncer in transaction mode. What is attacked comes from the
// catalog: a new table, door or central table is covered by being there.
func TestIsolation(t *testing.T) {
	for name, through := range map[string]func(*testing.T, *tenancytest.World) string{
		"postgres": func(_ *testing.T, w *tenancytest.World) string { return w.DSN },
		"pgbouncer": func(t *testing.T, w *tenancytest.World) string {
			t.Helper()
			return tenancytest.StartPgBouncer(t, tenancytest.Server(t).Socket(), w.Owner.Config().Database, tenancytest.Lanes).DSN
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := tenancytest.New(t)
			s := &siege{World: w, dsn: through(t, w), t: t}
			pool, err := tenancy.Open(t.Context(), tenancy.Config{DSN: s.dsn, Lanes: tenancytest.Lanes, ConnsPerLane: 1, Clock: w.Clock.Now})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(pool.Close)
			s.pool = pool
			for _, who := range []tenancy.Tenant{w.A, w.B, w.C} {
				if err := s.bind(who).Update(t.Context(), func(tx *tenancy.Tx) error { return sign(t.Context(), tx, who.Slug) }); err != nil {
					t.Fatal(err)
				}
			}
			t.Run("foreign tables", s.foreignTables)
			t.Run("platform tables", s.platformTables)
			t.Run("unbound", s.unbound)
			t.Run("doors", s.doors)
			t.Run("escapes", s.escapes)
			t.Run("past the kernel", s.pastTheKernel)
			t.Run("escape hatches of bun", s.hatches)
			t.Run("catalog", s.catalog)
			t.Run("nothing stays behind", s.nothingStays)
			t.Run("forced sharing", s.forcedSharing)
		})
	}
}

// siege is one run of the attacks. A attacks B, of its own lane, and C, of another.
// Each lane has one connection: whatever stays behind on it, the next tenant meets.
type siege struct {
	*tenancytest.World
	t    *testing.T
	dsn  string
	pool *tenancy.Pool
}

func (s *siege) bind(who tenancy.Tenant) *tenancy.DB { return s.pool.Bind(who) }

// sane fails when a tenant does not read exactly its own row.
func (s *siege) sane(t *testing.T) {
	t.Helper()
	for _, who := range []tenancy.Tenant{s.A, s.B, s.C} {
		if names := signatures(t, s.bind(who)); len(names) != 1 || names[0] != who.Slug {
			t.Fatalf("%s reads %q", who.Slug, names)
		}
	}
}

func (s *siege) names(t *testing.T, sql string, args ...any) []string {
	t.Helper()
	rows, err := s.Owner.Query(context.Background(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatalf("nothing to attack: %s", sql)
	}
	return names
}

const relationsSQL = `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f') ORDER BY 1`

// login opens a connection as one of the platform's roles, by the same way as the pool.
func (s *siege) login(t *testing.T, role string) *pgx.Conn {
	t.Helper()
	u, err := url.Parse(s.dsn)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("user", role)
	q.Set("default_query_exec_mode", "exec")
	u.RawQuery = q.Encode()
	return dial(t, u.String())
}

func (s *siege) lane(t *testing.T, who tenancy.Tenant) *pgx.Conn {
	t.Helper()
	return s.login(t, tenancy.LaneLogin(who.ID.Lane(tenancytest.Lanes)))
}

// raw runs SQL the way somebody would who is past the kernel: on a connection of the
// lane, bound to who, many statements in one message.
func raw(c *pgx.Conn, who tenancy.Tenant, sql string) error {
	n := who.ID.Schema()
	ctx := context.Background()
	_, err := c.PgConn().Exec(ctx, "BEGIN; SET LOCAL ROLE "+n+"; SET LOCAL search_path TO "+n+", pg_temp; "+sql+"; COMMIT").ReadAll()
	if c.PgConn().TxStatus() != 'I' {
		_, _ = c.PgConn().Exec(ctx, "ROLLBACK").ReadAll()
	}
	return err
}

func state(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	return ""
}

// denied fails unless Postgres itself refused for want of a right.
func denied(t *testing.T, what string, err error) {
	t.Helper()
	if !tenancy.IsDenied(err) {
		t.Errorf("%s: got %v, want Postgres's 42501", what, err)
	}
}

// thefts are statements about table that name it, one a route.
func thefts(table string) []string {
	return []string{
		"SELECT * FROM " + table,
		"SELECT count(*) FROM ONLY " + table,
		"(SELECT 1 FROM " + table + " LIMIT 0)",
		"SELECT 1 FROM " + table + " FOR UPDATE",
		"SELECT EXISTS (SELECT FROM " + table + ")",
		"SELECT (SELECT to_jsonb(x)::text FROM " + table + " x LIMIT 1)",
		"WITH x AS (SELECT * FROM " + table + ") SELECT count(*) FROM x",
		"WITH x AS (DELETE FROM " + table + " RETURNING 1) SELECT count(*) FROM x",
		"VALUES ((SELECT count(*) FROM " + table + "))",
		"INSERT INTO " + table + " DEFAULT VALUES",
		"INSERT INTO accounts (name) SELECT x::text FROM " + table + " x",
		"DELETE FROM " + table,
		"DELETE FROM accounts USING " + table,
		"MERGE INTO accounts USING " + table + " x ON false WHEN MATCHED THEN DO NOTHING",
		"MERGE INTO " + table + " x USING accounts ON false WHEN MATCHED THEN DELETE",
		"SELECT query_to_xml('SELECT * FROM " + table + "', true, true, '')",
		"SELECT database_to_xml(true, true, '') FROM " + table,
		"SELECT table_to_xml('" + table + "', true, true, '')",
		"SELECT * FROM ts_stat('SELECT to_tsvector(x::text) FROM " + table + " x')",
		"SELECT ts_rewrite('a', 'SELECT ''a''::tsquery, ''a''::tsquery FROM " + table + "')",
		"SELECT pg_relation_size('" + table + "'::regclass)",
		"SELECT 'x' UNION ALL SELECT x::text FROM " + table + " x",
	}
}

func (s *siege) foreignTables(t *testing.T) {
	ctx := t.Context()
	count := 0
	for _, victim := range []tenancy.Tenant{s.B, s.C} {
		for _, table := range s.names(t, relationsSQL, victim.ID.Schema()) {
			column := scalar[string](t, s.Owner, "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum = 1", table)
			for _, sql := range append(thefts(table), "UPDATE "+table+" SET "+column+" = "+column) {
				denied(t, "exec: "+sql, s.bind(s.A).Update(ctx, func(tx *tenancy.Tx) error { _, err := tx.NewRaw(sql).Exec(ctx); return err }))
				denied(t, "scan: "+sql, s.bind(s.A).View(ctx, func(tx *tenancy.Tx) error { var v []string; return tx.NewRaw(sql).Scan(ctx, &v) }))
				count += 2
			}
			for name, build := range map[string]func(*tenancy.Tx) error{
				"select": func(tx *tenancy.Tx) error {
					var n int
					return tx.NewSelect().TableExpr(table).ColumnExpr("1").Limit(1).Scan(ctx, &n)
				},
				"count":  func(tx *tenancy.Tx) error { _, err := tx.NewSelect().TableExpr(table).Count(ctx); return err },
				"exists": func(tx *tenancy.Tx) error { _, err := tx.NewSelect().TableExpr(table).Exists(ctx); return err },
				"join": func(tx *tenancy.Tx) error {
					var n int
					return tx.NewSelect().TableExpr("accounts").Join("CROSS JOIN "+table+" AS x").ColumnExpr("1").Scan(ctx, &n)
				},
				"delete": func(tx *tenancy.Tx) error {
					_, err := tx.NewDelete().TableExpr(table).Where("true").Exec(ctx)
					return err
				},
				"update": func(tx *tenancy.Tx) error {
					_, err := tx.NewUpdate().TableExpr(table).Set(column + " = " + column).Where("true").Exec(ctx)
					return err
				},
				"cte": func(tx *tenancy.Tx) error {
					_, err := tx.NewSelect().With("x", tx.NewSelect().TableExpr(table)).TableExpr("x").Count(ctx)
					return err
				},
				"formatted": func(tx *tenancy.Tx) error { _, err := tx.NewRaw("SELECT ? FROM "+table, "?").Exec(ctx); return err },
			} {
				denied(t, "bun "+name+" of "+table, s.bind(s.A).Update(ctx, build))
				count++
			}
		}
	}
	t.Logf("%d attempts, each refused by Postgres", count)
	s.sane(t)
}

// Tables of the platform: no tenant and no bare lane reads or writes any.
func (s *siege) platformTables(t *testing.T) {
	ctx := t.Context()
	lane := s.lane(t, s.A)
	for _, schema := range []string{"central", "river"} {
		for _, table := range s.names(t, relationsSQL, schema) {
			for _, sql := range thefts(table) {
				denied(t, sql, s.bind(s.A).Update(ctx, func(tx *tenancy.Tx) error { _, err := tx.NewRaw(sql).Exec(ctx); return err }))
			}
			for _, sql := range []string{"TABLE " + table, "DELETE FROM " + table, "COPY " + table + " TO STDOUT", "TRUNCATE " + table} {
				denied(t, "bare lane: "+sql, send(lane, sql))
				denied(t, "past the kernel: "+sql, raw(lane, s.A, sql))
			}
		}
		for _, seq := range append(s.names(t, "SELECT format('%I.%I', schemaname, sequencename) FROM pg_sequences WHERE schemaname = $1", schema), "central.tenant_numbers") {
			for _, sql := range []string{"SELECT nextval('" + seq + "')", "SELECT setval('" + seq + "', 1)", "SELECT * FROM " + seq} {
				denied(t, sql, s.bind(s.A).Update(ctx, func(tx *tenancy.Tx) error { _, err := tx.NewRaw(sql).Exec(ctx); return err }))
			}
		}
	}
}

func send(c *pgx.Conn, sql string) error {
	_, err := c.PgConn().Exec(context.Background(), sql).ReadAll()
	return err
}

// Without a binding nothing is to be had: not by a lane, not by the other logins.
func (s *siege) unbound(t *testing.T) {
	if err := s.pool.Bind(tenancy.Tenant{}).View(t.Context(), func(*tenancy.Tx) error { return nil }); !errors.Is(err, tenancy.ErrNoTenant) {
		t.Errorf("a handle of nobody: %v", err)
	}
	logins := map[string]*pgx.Conn{"lane": s.lane(t, s.A), "other lane": s.lane(t, s.C),
		"central": s.login(t, tenancy.CentralLogin), "queue": s.login(t, tenancy.RiverLogin)}
	for _, victim := range []tenancy.Tenant{s.A, s.B, s.C} {
		for _, table := range s.names(t, relationsSQL, victim.ID.Schema()) {
			for who, c := range logins {
				for _, sql := range []string{"TABLE " + table, "DELETE FROM " + table, "COPY " + table + " TO STDOUT"} {
					denied(t, who+": "+sql, send(c, sql))
				}
			}
			bare := strings.TrimPrefix(table, victim.ID.Schema()+".")
			if err := send(logins["lane"], "TABLE "+bare); state(err) != "42P01" && state(err) != "42501" {
				t.Errorf("a lane reads %s without a binding: %v", bare, err)
			}
		}
	}
	for _, who := range []string{"central", "queue", "other lane"} {
		for _, role := range []string{s.A.ID.Schema(), tenancy.LaneLogin(s.A.ID.Lane(tenancytest.Lanes)), s.Owner.Config().User} {
			denied(t, who+" becomes "+role, send(logins[who], "SET ROLE "+role))
		}
	}
}

// catalog: every role may read it. What stands there must say nothing about anybody.
func (s *siege) catalog(t *testing.T) {
	ctx := t.Context()
	for _, sql := range []string{
		"SELECT nspname FROM pg_namespace", "SELECT rolname FROM pg_roles", "SELECT relname FROM pg_class", "SELECT proname FROM pg_proc WHERE oid >= 16384",
		"SELECT conname FROM pg_constraint", "SELECT description FROM pg_description WHERE objoid >= 16384", "SELECT description FROM pg_shdescription",
		"SELECT setting FROM pg_settings", "SELECT query FROM pg_stat_activity", "SELECT coalesce(application_name, '') FROM pg_stat_activity",
		"SELECT coalesce(most_common_vals::text, '') FROM pg_stats", "SELECT name FROM pg_cursors", "SELECT statement FROM pg_prepared_statements",
		"SELECT table_name FROM information_schema.tables", "SELECT coalesce(column_default, '') FROM information_schema.columns",
	} {
		var seen []string
		if err := s.bind(s.A).View(ctx, func(tx *tenancy.Tx) error { seen = nil; return tx.NewRaw(sql).Scan(ctx, &seen) }); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
		for _, text := range seen {
			for _, other := range []tenancy.Tenant{s.B, s.C} {
				words := strings.FieldsFunc(text, func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
				if slices.Contains(words, other.Slug) {
					t.Errorf("%s says %q of another tenant", sql, text)
				}
			}
		}
	}
	var schemas, stats int
	err := s.bind(s.A).View(ctx, func(tx *tenancy.Tx) error {
		return tx.NewRaw(`SELECT (SELECT count(*) FROM pg_namespace WHERE nspname ~ '^t_'),
			(SELECT count(*) FROM pg_stats WHERE schemaname <> ?0 AND schemaname ~ '^t_')`, s.A.ID.Schema()).Scan(ctx, &schemas, &stats)
	})
	if err != nil || stats != 0 {
		t.Errorf("%d statistics of others: %v", stats, err)
	}
	t.Logf("a tenant sees that there are %d tenants' schemas, by number, and no value of theirs", schemas)
	// The names of roles that can log in, so that somebody looks when one is added.
	for _, role := range s.names(t, "SELECT rolname FROM pg_roles WHERE rolname !~ '^(t_[0-9]+|lane_[0-9]+|pg_.*)$'") {
		if !slices.Contains([]string{tenancy.CentralLogin, tenancy.RiverLogin, s.Owner.Config().User}, role) {
			t.Errorf("an unknown role %s", role)
		}
	}
}
