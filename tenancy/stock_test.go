package tenancy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// newBuilder is a builder on the world's database as its owner.
func newBuilder(t testing.TB, dsn string) *tenancy.Builder {
	t.Helper()
	b, err := tenancy.NewBuilder(dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func openPool(t testing.TB, w *tenancytest.World, cold *tenancy.Builder) *tenancy.Pool {
	t.Helper()
	p, err := tenancy.Open(context.Background(), tenancy.Config{DSN: w.DSN, Lanes: tenancytest.Lanes, ConnsPerLane: 2, Clock: w.Clock.Now, Cold: cold, Claims: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// scalar is one value, read as the owner.
func scalar[T any](t testing.TB, c *pgx.Conn, q string, args ...any) T {
	t.Helper()
	var v T
	if err := c.QueryRow(context.Background(), q, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return v
}

func claimOf(key string) tenancy.Claim {
	return tenancy.Claim{Key: "signup " + key, Slug: key, Name: "Shop " + key, OwnerEmail: key + "@example.test"}
}

// signs writes a row that only its tenant should ever see.
func signs(ctx context.Context) func(tenancy.Tenant, *tenancy.Tx) error {
	return func(t tenancy.Tenant, tx *tenancy.Tx) error { return sign(ctx, tx, t.Slug) }
}

func sign(ctx context.Context, tx *tenancy.Tx, name string) error {
	_, err := tx.NewRaw(`INSERT INTO accounts (id, name, currency, created_at, changed_at)
		VALUES (gen_random_uuid(), ?, 'EUR', ?, ?)`, name, tx.Now(), tx.Now()).Exec(ctx)
	return err
}

func signatures(t testing.TB, db *tenancy.DB) (names []string) {
	t.Helper()
	ctx := context.Background()
	err := db.View(ctx, func(tx *tenancy.Tx) error {
		names = nil
		return tx.NewRaw("SELECT name FROM accounts ORDER BY name").Scan(ctx, &names)
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestClaimFromStock(t *testing.T) {
	w := tenancytest.New(t)
	ctx := t.Context()
	stock := tenancy.Stock{Builder: newBuilder(t, w.DSN)}
	const want = 12
	if built, err := stock.Fill(ctx, want); err != nil || built != want {
		t.Fatalf("built %d: %v", built, err)
	}
	if built, err := stock.Fill(ctx, want); err != nil || built != 0 {
		t.Fatalf("a full stock built %d: %v", built, err)
	}
	if n := scalar[int](t, w.Owner, "SELECT count(DISTINCT lane) FROM central.spares"); n < 2 {
		t.Errorf("all spares lie in %d lane", n)
	}
	p := openPool(t, w, nil)
	var mu sync.Mutex
	got := map[tenancy.ID]tenancy.Tenant{}
	none := 0
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range want/4 + 1 {
				c, err := p.Claim(ctx, claimOf(fmt.Sprintf("shop-%d-%d", worker, i)), signs(ctx))
				mu.Lock()
				switch {
				case fault.Is(err, "tenant.none_spare"):
					none++
				case err != nil:
					t.Error(err)
				default:
					got[c.ID] = c
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(got) != want || none != 4 {
		t.Errorf("%d tenants, %d found none; want %d and 4", len(got), none, want)
	}
	for _, c := range got {
		if names := signatures(t, p.Bind(c)); len(names) != 1 || names[0] != c.Slug {
			t.Errorf("%s reads %q", c.Slug, names)
		}
	}
	if n := scalar[int](t, w.Owner, "SELECT count(*) FROM central.spares"); n != 0 {
		t.Errorf("%d spares left", n)
	}
}

// TestReadyToClaimTakesNothing: connections are made ready by a claim that is taken back,
// and there are connections where no claim is possible at all.
func TestReadyToClaimTakesNothing(t *testing.T) {
	w := tenancytest.New(t)
	if _, err := (tenancy.Stock{Builder: newBuilder(t, w.DSN)}).Fill(t.Context(), 8); err != nil {
		t.Fatal(err)
	}
	const state = `SELECT (SELECT string_agg(s::text, E'\n' ORDER BY id) FROM central.spares s) || (SELECT string_agg(t::text, E'\n' ORDER BY id) FROM central.tenants t)`
	before := scalar[string](t, w.Owner, state)
	const inserted = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relid = 'central.tenants'::regclass" // since the database was copied
	for _, may := range []string{"GRANT EXECUTE ON FUNCTION door.claim TO ", "REVOKE EXECUTE ON FUNCTION door.claim FROM "} {
		if _, err := w.Owner.Exec(t.Context(), may+tenancy.LaneLogin(w.A.ID.Lane(tenancytest.Lanes))); err != nil {
			t.Fatal(err)
		}
		signatures(t, openPool(t, w, nil).Bind(w.A))
	}
	if after := scalar[string](t, w.Owner, state); after != before {
		t.Errorf("opening connections changed\n%s\ninto\n%s", before, after)
	}
	deadline := time.Now().Add(10 * time.Second) // the figures come after the transaction
	for scalar[int64](t, w.Owner, inserted) == 0 {
		if time.Now().After(deadline) {
			t.Fatal("no connection claimed anything")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestClaimIsIdempotent(t *testing.T) {
	w := tenancytest.New(t)
	ctx := t.Context()
	b := newBuilder(t, w.DSN)
	// As many in each lane as there are claims: one that finds none has one built.
	const claims, spares = 8, 8 * tenancytest.Lanes
	if _, err := (tenancy.Stock{Builder: b}).Fill(ctx, spares); err != nil {
		t.Fatal(err)
	}
	p := openPool(t, w, b)
	var mu sync.Mutex
	var wg sync.WaitGroup
	ids := map[tenancy.ID]int{}
	for range claims { // the same form, sent eight times at once
		wg.Go(func() {
			c, err := p.Claim(ctx, claimOf("twice"), signs(ctx))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			ids[c.ID]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if len(ids) != 1 {
		t.Fatalf("%d tenants of one key", len(ids))
	}
	again, err := p.Claim(ctx, claimOf("twice"), func(tenancy.Tenant, *tenancy.Tx) error { return errors.New("seeded twice") })
	if err != nil || again.Slug != "twice" || again.Status != tenancy.Active || again.Currency != "EUR" || again.SchemaVersion == 0 {
		t.Errorf("%+v: %v", again, err)
	}
	if names := signatures(t, p.Bind(again)); len(names) != 1 {
		t.Errorf("seeded %d times", len(names))
	}
	if n := scalar[int](t, w.Owner, "SELECT count(*) FROM central.spares"); n != spares-1 {
		t.Errorf("%d spares, want %d", n, spares-1)
	}
}

// A spare whose migration failed waits for the next one; a program older than the
// fleet does not build what nobody could claim.
func TestSparesBehindAreNotHandedOut(t *testing.T) {
	w := tenancytest.New(t)
	ctx := t.Context()
	b := newBuilder(t, w.DSN)
	if _, err := (tenancy.Stock{Builder: b}).Fill(ctx, 3); err != nil {
		t.Fatal(err)
	}
	newest := scalar[int](t, w.Owner, "SELECT max(schema_version) FROM central.spares")
	template := func(v int) {
		t.Helper()
		if _, err := w.Owner.Exec(ctx, `INSERT INTO central.settings (name, value, changed_at) VALUES ('template_version', to_jsonb($1::int), now())
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`, v); err != nil {
			t.Fatal(err)
		}
	}
	template(newest)
	if _, err := w.Owner.Exec(ctx, "UPDATE central.spares SET schema_version = 1 WHERE id < (SELECT max(id) FROM central.spares)"); err != nil {
		t.Fatal(err)
	}
	p := openPool(t, w, nil)
	got, err := p.Claim(ctx, claimOf("fresh"), signs(ctx))
	if err != nil || got.SchemaVersion != newest {
		t.Fatalf("claimed %+v: %v", got, err)
	}
	if _, err := p.Claim(ctx, claimOf("stale"), signs(ctx)); !fault.Is(err, "tenant.none_spare") {
		t.Errorf("a spare behind: %v", err)
	}
	if built, err := (tenancy.Stock{Builder: b}).Fill(ctx, 1); err != nil || built != 1 {
		t.Errorf("with two spares behind, %d were built: %v", built, err)
	}
	template(newest + 1)
	if _, err := openPool(t, w, b).Claim(ctx, claimOf("ahead"), signs(ctx)); !fault.Is(err, "tenant.none_spare") {
		t.Errorf("by a program older than the fleet: %v", err)
	}
	if n := scalar[int](t, w.Owner, "SELECT count(*) FROM central.spares WHERE schema_version > 1"); n != 1 {
		t.Errorf("%d spares of the version before", n)
	}
	if n := scalar[int](t, w.Owner, "SELECT count(*) FROM central.tenants WHERE slug IN ('stale', 'ahead')"); n != 0 {
		t.Errorf("%d tenants of spares behind", n)
	}
}

func TestClaimRefuses(t *testing.T) {
	w := tenancytest.New(t)
	ctx := t.Context()
	b := newBuilder(t, w.DSN)
	if _, err := (tenancy.Stock{Builder: b}).Fill(ctx, 3); err != nil {
		t.Fatal(err)
	}
	p := openPool(t, w, b)
	for _, test := range []struct {
		name   string
		change func(*tenancy.Claim)
		code   string
	}{
		{"slug of another", func(c *tenancy.Claim) { c.Slug = w.A.Slug }, "tenant.slug_taken"},
		{"slug with SQL", func(c *tenancy.Claim) { c.Slug = "x'; --" }, "tenant.claim_invalid"},
		{"slug in capitals", func(c *tenancy.Claim) { c.Slug = "Shop" }, "tenant.claim_invalid"},
		{"empty slug", func(c *tenancy.Claim) { c.Slug = "" }, "tenant.claim_invalid"},
		{"no name", func(c *tenancy.Claim) { c.Name = " \t" }, "tenant.claim_invalid"},
		{"name with a zero byte", func(c *tenancy.Claim) { c.Name = "a\x00b" }, "tenant.claim_invalid"},
		{"no owner", func(c *tenancy.Claim) { c.OwnerEmail = "" }, "tenant.claim_invalid"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := claimOf("new")
			test.change(&c)
			if _, err := p.Claim(ctx, c, nil); !fault.Is(err, test.code) {
				t.Errorf("got %v, want %s", err, test.code)
			}
		})
	}
	t.Run("seed fails", func(t *testing.T) {
		broken := errors.New("no seed")
		_, err := p.Claim(ctx, claimOf("new"), func(_ tenancy.Tenant, tx *tenancy.Tx) error {
			return errors.Join(sign(ctx, tx, "lost"), broken)
		})
		if !errors.Is(err, broken) {
			t.Error(err)
		}
	})
	t.Run("two want one slug at once", func(t *testing.T) {
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i := range errs {
			wg.Go(func() {
				c := claimOf("contested")
				c.Key = fmt.Sprint("staff ", i)
				_, errs[i] = p.Claim(ctx, c, signs(ctx))
			})
		}
		wg.Wait()
		if (errs[0] == nil) == (errs[1] == nil) || !fault.Is(errors.Join(errs...), "tenant.slug_taken") {
			t.Errorf("%v", errs)
		}
	})
	if n := scalar[int](t, w.Owner, "SELECT count(*) FROM central.spares"); n != 2 {
		t.Errorf("%d spares left of 3 after one claim", n)
	}
}

func TestClaimWithoutStockBuilds(t *testing.T) {
	w := tenancytest.New(t)
	ctx := t.Context()
	p := openPool(t, w, newBuilder(t, w.DSN))
	for _, slug := range []string{"cold-one", "cold-two"} {
		c, err := p.Claim(ctx, claimOf(slug), signs(ctx))
		if err != nil {
			t.Fatal(err)
		}
		if names := signatures(t, p.Bind(c)); len(names) != 1 || names[0] != slug {
			t.Errorf("%s reads %q", slug, names)
		}
	}
	same := scalar[bool](t, w.Owner, `SELECT bool_and(x.tables = y.tables) FROM
		(SELECT count(*) AS tables FROM pg_tables WHERE schemaname = $1) x,
		(SELECT schemaname, count(*) AS tables FROM pg_tables WHERE schemaname ~ '^t_' GROUP BY 1) y`, w.A.ID.Schema())
	if !same {
		t.Error("the schemas do not have the same tables")
	}
}

// A build may stop after any of its steps; Heal finishes each.
func TestHealFinishesEveryHalf(t *testing.T) {
	w := tenancytest.New(t)
	ctx := t.Context()
	b := newBuilder(t, w.DSN)
	// The roles belong to the cluster: another test may have made one of a number before.
	const role = "DO $$ BEGIN CREATE ROLE %[1]s LOGIN NOINHERIT; EXCEPTION WHEN duplicate_object THEN REVOKE %[1]s FROM %[2]s; END $$"
	const member, schema = "GRANT %[1]s TO %[2]s", "CREATE SCHEMA %[1]s AUTHORIZATION %[1]s /* %[2]s */"
	// What a second connection makes, by a release that had other tables.
	const tables = "SET ROLE %[1]s; CREATE TABLE %[1]s.accounts (id uuid PRIMARY KEY, old text); CREATE TABLE %[1]s.gone (id uuid PRIMARY KEY); RESET ROLE /* %[2]s */"
	leave := func(statements ...string) tenancy.ID {
		id := scalar[tenancy.ID](t, w.Owner, "SELECT nextval('central.tenant_numbers')")
		for _, sql := range statements {
			if _, err := w.Owner.PgConn().Exec(ctx, fmt.Sprintf(sql, id.Schema(), tenancy.LaneLogin(id.Lane(tenancytest.Lanes)))).ReadAll(); err != nil {
				t.Fatal(err)
			}
		}
		return id
	}
	halves := map[tenancy.ID]string{
		leave(role):                 "role",
		leave(role, member):         "membership",
		leave(role, member, schema): "schema",
		leave(role, schema):         "schema, no membership",
	}
	if !tenancytest.OnCitus() { // there one connection makes all tables
		halves[leave(role, member, schema, tables)] = "half of the tables"
	}
	healed, err := b.Heal(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(healed.Finished) != len(halves) {
		t.Errorf("finished %v, want %d", healed.Finished, len(halves))
	}
	if n := scalar[int](t, w.Owner, "SELECT count(*) FROM pg_tables WHERE tablename = 'gone'"); n != 0 {
		t.Errorf("%d tables of an interrupted build are still there", n)
	}
	if again, err := b.Heal(ctx); err != nil || len(again.Finished) != 0 {
		t.Errorf("the second time: %+v, %v", again, err)
	}
	p := openPool(t, w, nil)
	for range halves {
		c, err := p.Claim(ctx, claimOf(fmt.Sprintf("healed-%d", len(halves))), signs(ctx))
		if err != nil {
			t.Fatal(err)
		}
		if _, ours := halves[c.ID]; !ours {
			t.Errorf("%s is none of the healed", c.ID)
		}
		delete(halves, c.ID)
	}
}

// What is nobody's but holds something is not cleared away to make room.
func TestHealLeavesWhatHoldsRows(t *testing.T) {
	tenancytest.SkipsOnCitus(t, "nothing is cleared there")
	w := tenancytest.New(t)
	ctx := t.Context()
	b := newBuilder(t, w.DSN)
	id, err := b.Build(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Owner.Exec(ctx, "DELETE FROM central.spares WHERE id = $1", id); err != nil {
		t.Fatal(err)
	}
	// A spare has a row of its own making: the head of its audit.
	_, err = b.Heal(ctx)
	if err == nil || !strings.Contains(err.Error(), "nobody's") {
		t.Fatalf("healed: %v", err)
	}
	if n := scalar[int](t, w.Owner, "SELECT count(*) FROM "+id.Schema()+".audit_head"); n != 1 {
		t.Errorf("%d rows left", n)
	}
}

// Builders and healers of several nodes at the same numbers: each spare is built once,
// and the owner, who joins the tenants' roles for a moment, stays in none.
func TestBuildersAndHealersTogether(t *testing.T) {
	p := startPlatform(t, "", 4)
	ctx := t.Context()
	var wg sync.WaitGroup
	for range 3 {
		b := newBuilder(t, p.dsn)
		wg.Go(func() {
			for range 8 {
				if _, err := b.Build(ctx); err != nil {
					t.Error(err)
				}
			}
		})
		healer := newBuilder(t, p.dsn)
		wg.Go(func() {
			for range 12 {
				if _, err := healer.Heal(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := scalar[int](t, p.owner, "SELECT count(*) FROM central.spares"); n != 24 {
		t.Errorf("%d spares, want 24", n)
	}
	for name, f := range walls(t, p.super) {
		if name == "memberships" || name == "tenant_schemas" {
			t.Errorf("%s: %+v", name, f)
		}
	}
}
