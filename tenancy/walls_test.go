package tenancy_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// walls is what does not hold, by name.
func walls(t *testing.T, c *pgx.Conn) map[string]tenancy.Finding {
	t.Helper()
	findings, err := tenancy.CheckWalls(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	gaps := map[string]tenancy.Finding{}
	for _, f := range findings {
		if f.State == tenancy.WallHolds {
			continue
		}
		gaps[f.Wall] = f
		if f.Keeps == "" || f.Without == "" || f.Mend == "" {
			t.Errorf("%s says too little: %+v", f.Wall, f)
		}
	}
	return gaps
}

func TestWallsHoldAfterInstall(t *testing.T) {
	w := tenancytest.New(t)
	for name, f := range walls(t, w.Owner) {
		t.Errorf("%s: %+v", name, f)
	}
}

// Each wall is broken once; the check must see it, and only it.
func TestWallsSeeEachGap(t *testing.T) {
	p := startPlatform(t, "", 4)
	ctx := t.Context()
	if _, err := tenancy.Install(ctx, p.super, tenancy.InstallOptions{}); err != nil { // as a superuser: all stands
		t.Fatal(err)
	}
	b := newBuilder(t, p.dsn)
	pool := p.open(t, 4, b)
	c, err := pool.Claim(ctx, claimOf("gap"), nil)
	if err != nil {
		t.Fatal(err)
	}
	n := c.ID.Schema()
	own, other := tenancy.LaneLogin(c.ID.Lane(4)), tenancy.LaneLogin((c.ID.Lane(4)+1)%4)
	if gaps := walls(t, p.super); len(gaps) != 0 {
		t.Fatalf("gaps before we made one: %+v", gaps)
	}
	for _, test := range []struct{ wall, wreck, mend string }{
		{"set_config", "GRANT EXECUTE ON FUNCTION set_config TO PUBLIC", "REVOKE EXECUTE ON FUNCTION set_config FROM PUBLIC"},
		{"set_config", "GRANT EXECUTE ON FUNCTION set_config TO " + n, "REVOKE EXECUTE ON FUNCTION set_config FROM " + n},
		{"pg_settings", "GRANT UPDATE ON pg_settings TO PUBLIC", "REVOKE UPDATE ON pg_settings FROM PUBLIC"},
		{"pg_notify", "GRANT EXECUTE ON FUNCTION pg_notify TO " + own, "REVOKE EXECUTE ON FUNCTION pg_notify FROM " + own},
		{"advisory_locks", "GRANT EXECUTE ON FUNCTION pg_try_advisory_lock_shared(int, int) TO PUBLIC", "REVOKE EXECUTE ON FUNCTION pg_try_advisory_lock_shared(int, int) FROM PUBLIC"},
		{"database", "GRANT TEMPORARY ON DATABASE house TO PUBLIC", "REVOKE TEMPORARY ON DATABASE house FROM PUBLIC"},
		{"database", "GRANT CREATE ON DATABASE house TO " + n, "REVOKE CREATE ON DATABASE house FROM " + n},
		{"platform_schemas", "GRANT CREATE ON SCHEMA public TO PUBLIC", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"},
		{"platform_schemas", "GRANT SELECT ON central.tenants TO " + own, "REVOKE SELECT ON central.tenants FROM " + own},
		{"doors", "GRANT EXECUTE ON FUNCTION door.claim TO PUBLIC", "REVOKE EXECUTE ON FUNCTION door.claim FROM PUBLIC"},
		{"doors", "ALTER FUNCTION door.touch_site RESET ALL", "ALTER FUNCTION door.touch_site SET search_path = pg_catalog, pg_temp"},
		{"definers", "CREATE SCHEMA shed; GRANT USAGE ON SCHEMA shed TO PUBLIC; CREATE FUNCTION shed.f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'", "DROP SCHEMA shed CASCADE"},
		{"roles", "ALTER ROLE " + n + " BYPASSRLS", "ALTER ROLE " + n + " NOBYPASSRLS"},
		{"roles", "ALTER ROLE " + own + " INHERIT", "ALTER ROLE " + own + " NOINHERIT"},
		{"passwords", "ALTER ROLE " + n + " PASSWORD 'x'", "ALTER ROLE " + n + " PASSWORD NULL"},
		{"tenant_schemas", "GRANT USAGE ON SCHEMA " + n + " TO " + other, "REVOKE USAGE ON SCHEMA " + n + " FROM " + other},
		{"tenant_schemas", "GRANT SELECT ON " + n + ".accounts TO PUBLIC", "REVOKE SELECT ON " + n + ".accounts FROM PUBLIC"},
		{"tenant_schemas", "ALTER TABLE " + n + ".accounts OWNER TO landlord", "ALTER TABLE " + n + ".accounts OWNER TO " + n},
		{"unbound_path", "ALTER ROLE " + own + " IN DATABASE house RESET search_path", "ALTER ROLE " + own + " IN DATABASE house SET search_path = tpl, pg_temp"},
		{"memberships", "GRANT " + n + " TO " + other, "REVOKE " + n + " FROM " + other},
		{"memberships", "SET ROLE landlord; REVOKE " + n + " FROM " + own + "; RESET ROLE", "SET ROLE landlord; GRANT " + n + " TO " + own + "; RESET ROLE"},
		{"memberships", "GRANT ez_central TO " + own, "REVOKE ez_central FROM " + own},
		{"memberships", "GRANT " + n + " TO ez_central", "REVOKE " + n + " FROM ez_central"},
	} {
		t.Run(test.wreck, func(t *testing.T) {
			if err := send(p.super, test.wreck); err != nil {
				t.Fatal(err)
			}
			gaps := walls(t, p.super)
			if f, seen := gaps[test.wall]; !seen || f.State != tenancy.WallOpen || len(f.Where) == 0 || len(gaps) != 1 {
				t.Errorf("want a gap in %s alone, got %+v", test.wall, gaps)
			}
			if err := send(p.super, test.mend); err != nil {
				t.Fatal(err)
			}
			if gaps := walls(t, p.super); len(gaps) != 0 {
				t.Errorf("mended, and still %+v", gaps)
			}
		})
	}
}

// On a managed Postgres nobody may revoke on pg_catalog. The platform installs and
// works, says what is open, and stands when somebody mends it.
func TestWallsWithoutASuperuser(t *testing.T) {
	eachPostgres(t, func(t *testing.T, bin string) {
		p := startPlatform(t, bin, 4)
		ctx := t.Context()
		catalog := []string{"set_config", "pg_settings", "pg_notify", "advisory_locks"}
		if len(p.refused) != len(catalog) {
			t.Errorf("%d refusals: %+v", len(p.refused), p.refused)
		}
		gaps := walls(t, p.owner)
		for _, name := range catalog {
			if gaps[name].State != tenancy.WallOpen {
				t.Errorf("%s: %+v, want it open", name, gaps[name])
			}
		}
		for name, f := range gaps {
			if f.State == tenancy.WallOpen && f.Wall != catalog[0] && f.Wall != catalog[1] && f.Wall != catalog[2] && f.Wall != catalog[3] {
				t.Errorf("%s is open: %+v", name, f)
			}
		}
		b := newBuilder(t, p.dsn)
		pool := p.open(t, 4, b)
		works := func(slug string) {
			c, err := pool.Claim(ctx, claimOf(slug), signs(ctx))
			if err != nil {
				t.Fatal(err)
			}
			err = pool.Bind(c).Update(ctx, func(tx *tenancy.Tx) error {
				if _, err := tx.Enqueue(ctx, late{}, tenancy.JobOptions{Key: "k"}); err != nil {
					return err
				}
				return tx.TouchSite(ctx, "")
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		works("before")
		for _, name := range catalog {
			if err := send(p.super, gaps[name].Mend); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		for name, f := range walls(t, p.owner) {
			if f.State == tenancy.WallOpen {
				t.Errorf("%s is open after it was mended: %+v", name, f)
			}
		}
		works("after")
		if refused, err := tenancy.Install(ctx, p.owner, tenancy.InstallOptions{}); err != nil || len(refused) != 0 {
			t.Errorf("installed again: %+v, %v", refused, err)
		}
		if err := tenancy.ChangeLanes(ctx, p.owner, 6, tenancy.LaneChange{}); err != nil {
			t.Error(err)
		}
		if gaps := walls(t, p.owner); gaps["memberships"].State == tenancy.WallOpen || gaps["unbound_path"].State == tenancy.WallOpen {
			t.Errorf("after a change of the lanes: %+v", gaps)
		}
	})
}
