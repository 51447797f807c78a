package reseller_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/central/reseller"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func exec(t testing.TB, c *pgx.Conn, sql string, args ...any) {
	t.Helper()
	if _, err := c.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func addDomain(t testing.TB, w *tenancytest.World, who tenancy.Tenant, host string) {
	t.Helper()
	exec(t, w.Owner, `INSERT INTO central.domains (id, tenant_id, host, state, verify_token, edge_label, serving, created_by, pending_since, created_at, changed_at)
		VALUES (gen_random_uuid(), $1, $2, 'active', 'x', 'e', true, 'test', now(), now(), now())`, who.ID.Number(), host)
}

func TestDirectory(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	dir := reseller.NewDirectory(w.Central, "localhost")
	addDomain(t, w, w.A, "shop.alpha.test")
	addDomain(t, w, w.A, "www.alpha.test")
	addDomain(t, w, w.B, "not-yet.beta.test")
	exec(t, w.Owner, "UPDATE central.domains SET serving = false WHERE host = 'not-yet.beta.test'")
	exec(t, w.Owner, "UPDATE central.tenants SET primary_host = 'www.alpha.test', require_totp = true WHERE id = $1", w.A.ID.Number())
	exec(t, w.Owner, "UPDATE central.tenants SET status = 'suspended', status_note = 'unpaid' WHERE id = $1", w.C.ID.Number())

	r := tenancy.NewResolver(tenancy.ResolverConfig{Directory: dir})
	if err := r.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, host string
		want       string // slug, status, primary host; empty: unknown
	}{
		{"own host", "alpha.localhost", "alpha active www.alpha.test"},
		{"domain", "shop.alpha.test", "alpha active www.alpha.test"},
		{"primary domain", "www.alpha.test", "alpha active www.alpha.test"},
		{"the neighbour's own host", "beta.localhost", "beta active beta.localhost"},
		{"a domain that does not serve yet", "not-yet.beta.test", ""},
		{"a suspended tenant is known, to be told so", "gamma.localhost", "gamma suspended gamma.localhost"},
		{"nobody's", "delta.localhost", ""},
		{"the platform itself", "localhost", ""},
	} {
		got, ok := r.Lookup(test.host)
		if s := fmt.Sprint(got.Slug, " ", got.Status, " ", got.PrimaryHost); ok != (test.want != "") || ok && s != test.want {
			t.Errorf("%s: %s is %q, %v; want %q", test.name, test.host, s, ok, test.want)
		}
	}
	if got, _ := r.ByID(w.A.ID); !got.RequireTOTP || got.SchemaVersion == 0 || got.Currency != "EUR" {
		t.Errorf("alpha lost something on the way: %+v", got)
	}

	// Only the tenant whose migration failed shows maintenance, and only if it would serve.
	exec(t, w.Owner, "UPDATE central.tenants SET migration_error = 'boom' WHERE id IN ($1, $2)", w.B.ID.Number(), w.C.ID.Number())
	if err := r.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	a, _ := r.ByID(w.A.ID)
	b, _ := r.ByID(w.B.ID)
	c, _ := r.ByID(w.C.ID)
	if a.Status != tenancy.Active || b.Status != tenancy.Maintenance || c.Status != tenancy.Suspended {
		t.Errorf("statuses: alpha %s, beta %s, gamma %s", a.Status, b.Status, c.Status)
	}

	exec(t, w.Owner, "UPDATE central.tenants SET status = 'dropped' WHERE id = $1", w.B.ID.Number())
	if entries, err := dir.Tenant(ctx, w.B.ID); err != nil || len(entries) != 0 {
		t.Errorf("a dropped tenant has hosts: %v, %v", entries, err)
	}
}

// TestChangesMissNothing: a transaction that began before the mark and commits after
// it is named all the same, and one that was named is not named for ever.
func TestChangesMissNothing(t *testing.T) {
	w, ctx := tenancytest.New(t), t.Context()
	dir := reseller.NewDirectory(w.Central, "localhost")
	changes := func(mark string) (string, string) {
		t.Helper()
		ids, next, err := dir.Changes(ctx, mark)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(ids), next
	}
	snap, err := dir.Load(ctx)
	if err != nil {
		t.Fatal(err)
	}
	late, err := w.Owner.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer late.Rollback(ctx)
	if _, err := late.Exec(ctx, "UPDATE central.tenants SET name = 'late' WHERE id = $1", w.A.ID.Number()); err != nil {
		t.Fatal(err)
	}
	if err := w.DB(w.B).Update(ctx, func(tx *tenancy.Tx) error { return tx.TouchSite(ctx, "") }); err != nil {
		t.Fatal(err)
	}
	got, mark := changes(snap.Mark)
	if got != fmt.Sprint([]tenancy.ID{w.B.ID}) {
		t.Errorf("while the other is open: %s", got)
	}
	if got, mark = changes(mark); got != "[]" {
		t.Errorf("named twice, held up by the open transaction: %s", got)
	}
	if err := late.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if got, mark = changes(mark); got != fmt.Sprint([]tenancy.ID{w.A.ID}) {
		t.Errorf("after the late commit: %s", got)
	}
	exec(t, w.Owner, "UPDATE central.tenants SET schema_version = schema_version + 1")
	if got, mark = changes(mark); got != "[]" {
		t.Errorf("a migration woke the nodes for %s", got)
	}
	addDomain(t, w, w.C, "www.gamma.test")
	if got, mark = changes(mark); got != fmt.Sprint([]tenancy.ID{w.C.ID}) {
		t.Errorf("after a domain was added: %s", got)
	}
	exec(t, w.Owner, "UPDATE central.domains SET checked_at = now()")
	if got, mark = changes(mark); got != "[]" {
		t.Errorf("a domain check woke the nodes for %s", got)
	}
	exec(t, w.Owner, "UPDATE central.domains SET serving = false")
	if got, _ = changes(mark); got != fmt.Sprint([]tenancy.ID{w.C.ID}) {
		t.Errorf("after a domain stopped serving: %s", got)
	}
}

// node is one resolver as a node runs it.
func node(t testing.TB, w *tenancytest.World, dsn string, listen bool) *tenancy.Resolver {
	t.Helper()
	cfg := tenancy.ResolverConfig{
		Directory: reseller.NewDirectory(w.Central, "localhost"),
		Resync:    time.Hour, // what the tests see must not come from it
	}
	if listen {
		cfg.Listen = func(ctx context.Context) (*pgx.Conn, error) {
			return tenancy.OpenSession(ctx, tenancy.Config{DSN: dsn}, tenancy.CentralLogin)
		}
	}
	r := tenancy.NewResolver(cfg)
	if err := r.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = r.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	return r
}

// awaitStatus waits until a node shows a status and logs how long that took.
func awaitStatus(t testing.TB, what string, r *tenancy.Resolver, id tenancy.ID, want tenancy.Status) {
	t.Helper()
	began := time.Now()
	for time.Since(began) < 20*time.Second {
		if got, _ := r.ByID(id); got.Status == want {
			t.Logf("%s: seen after %v", what, time.Since(began).Round(time.Millisecond))
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("%s: never seen", what)
}

const listeners = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN ezscale_directory'"

func awaitListeners(t testing.TB, w *tenancytest.World, want int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		var n int
		if err := w.Owner.QueryRow(t.Context(), listeners).Scan(&n); err != nil {
			t.Fatal(err)
		}
		if n == want {
			return
		}
	}
	t.Fatalf("there are never %d listeners", want)
}

func TestAChangeReachesTwoNodes(t *testing.T) {
	w := tenancytest.New(t)
	one, two := node(t, w, w.DSN, true), node(t, w, w.DSN, true)
	deaf := node(t, w, w.DSN, false) // as behind a transaction pooler
	awaitListeners(t, w, 2)
	set := func(s tenancy.Status) {
		exec(t, w.Owner, "UPDATE central.tenants SET status = $1 WHERE id = $2", string(s), w.A.ID.Number())
	}
	set(tenancy.Suspended)
	awaitStatus(t, "notified", one, w.A.ID, tenancy.Suspended)
	awaitStatus(t, "notified", two, w.A.ID, tenancy.Suspended)
	awaitStatus(t, "without notifications", deaf, w.A.ID, tenancy.Suspended)
	if b, _ := two.ByID(w.B.ID); b.Status != tenancy.Active {
		t.Error("the neighbour changed too")
	}

	exec(t, w.Owner, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN ezscale_directory'")
	set(tenancy.Active)
	awaitStatus(t, "listener killed, notification lost", one, w.A.ID, tenancy.Active)
	awaitStatus(t, "listener killed, notification lost", two, w.A.ID, tenancy.Active)
	awaitListeners(t, w, 2)
	set(tenancy.Suspended)
	awaitStatus(t, "listening again", two, w.A.ID, tenancy.Suspended)

	// What a slice calls inside its own transaction.
	if err := w.DB(w.B).Update(t.Context(), func(tx *tenancy.Tx) error { return tx.TouchSite(t.Context(), "forge") }); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*tenancy.Resolver{one, two, deaf} {
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			if b, _ := r.ByID(w.B.ID); b.Theme == "forge" && b.ContentVersion == 2 && b.BrandVersion == 1 {
				break
			}
			if time.Now().After(end) {
				t.Fatal("a published brand is never seen")
			}
		}
	}
}

func TestMemoryServesWhilePostgresIsAway(t *testing.T) {
	server := tenancytest.StartServer(t, nil)
	ctx := t.Context()
	install, err := pgx.Connect(ctx, server.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer install.Close(ctx)
	if _, err := tenancy.Install(ctx, install, tenancy.InstallOptions{Lanes: 1}); err != nil {
		t.Fatal(err)
	}
	exec(t, install, `INSERT INTO central.tenants (id, key, slug, name, status, owner_email, schema_version, created_at, changed_at)
		VALUES (1, 'a', 'alpha', 'Alpha', 'active', 'a@a.test', 1, now(), now()), (2, 'b', 'beta', 'Beta', 'active', 'b@b.test', 1, now(), now())`)
	central, err := tenancy.OpenCentral(ctx, tenancy.Config{DSN: server.DSN("postgres")}, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer central.Close()
	w := &tenancytest.World{Central: central, Owner: install}
	r := node(t, w, server.DSN("postgres"), true)
	if err := server.Restart(ctx); err != nil { // every connection breaks
		t.Fatal(err)
	}
	again, err := pgx.Connect(ctx, server.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close(ctx)
	if a, ok := r.Lookup("alpha.localhost"); !ok || a.Slug != "alpha" {
		t.Error("a restart of Postgres emptied the memory")
	}
	exec(t, again, "UPDATE central.tenants SET status = 'suspended' WHERE id = 1")
	a, _ := r.Lookup("alpha.localhost")
	awaitStatus(t, "after a restart of Postgres", r, a.ID, tenancy.Suspended)

	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(ctx); err == nil {
		t.Error("the directory answers without Postgres")
	}
	if b, ok := r.Lookup("beta.localhost"); !ok || b.Status != tenancy.Active || r.Known("nobody.localhost") {
		t.Error("without Postgres the last known state must serve, and nothing else")
	}
}
