package watch_test

import (
	"strings"
	"testing"

	"github.com/ezscale/ezscale/central/watch"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestMain(m *testing.M) { tenancytest.Main(m) }

func exec(t testing.TB, w *tenancytest.World, sql string, args ...any) {
	t.Helper()
	if _, err := w.Owner.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func look(t testing.TB, w *tenancytest.World) (*watch.Watch, string) {
	t.Helper()
	_, version, err := tenancy.TenantScript()
	if err != nil {
		t.Fatal(err)
	}
	k := &watch.Watch{Central: w.Central, SchemaVersion: version}
	o, err := k.Overview(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, b := range o.Troubles {
		said = append(said, b.Kind+" "+b.What+" "+b.State)
	}
	return k, strings.Join(said, ", ")
}

func TestOverview(t *testing.T) {
	w := tenancytest.New(t)
	if _, got := look(t, w); got != "" {
		t.Errorf("all is well, and yet: %s", got)
	}
	const domain = `INSERT INTO central.domains (id, tenant_id, host, state, verify_token, edge_label, serving, not_after, created_by, created_at, changed_at, pending_since)
		VALUES (gen_random_uuid(), $1, $2, $3, '', '', $4, $5, '', now(), now(), now())`
	now := w.Clock.Now()
	exec(t, w, domain, w.A.ID.Number(), "fine.alpha.test", "active", true, now.AddDate(0, 2, 0))
	exec(t, w, domain, w.A.ID.Number(), "old.alpha.test", "active", true, now.AddDate(0, 0, 3))
	exec(t, w, domain, w.B.ID.Number(), "lost.beta.test", "drifted", true, now.AddDate(0, 2, 0))
	exec(t, w, domain, w.B.ID.Number(), "gone.beta.test", "removed", false, nil)
	exec(t, w, "UPDATE central.tenants SET status = 'maintenance' WHERE id = $1", w.B.ID.Number())
	exec(t, w, "UPDATE central.tenants SET migration_error = 'lock timeout' WHERE id = $1", w.C.ID.Number())
	exec(t, w, "UPDATE central.tenants SET schema_version = 1 WHERE id = $1", w.A.ID.Number())
	k, got := look(t, w)
	if !strings.HasPrefix(got, "migration version ") || !strings.HasSuffix(got, " failed, domain lost.beta.test drifted, certificate old.alpha.test active, maintenance beta maintenance, behind version 1 behind") {
		t.Error(got)
	}
	o, err := k.Overview(t.Context())
	if err != nil || o.Domains != 3 || o.Certificates != 3 || o.Resellers() != 3 || o.ByStatus[tenancy.Active] != 2 || !o.SparesLow() || o.TroubleCount["domain"] != 1 {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestSystem(t *testing.T) {
	w := tenancytest.New(t)
	k, _ := look(t, w)
	exec(t, w, "UPDATE central.tenants SET schema_version = 1 WHERE id = $1", w.A.ID.Number())
	exec(t, w, "INSERT INTO central.spares (id, lane, schema_version) VALUES (99, 0, 1)")
	exec(t, w, "INSERT INTO central.fleet_runs (id, target_version, started_at, migrated) VALUES (gen_random_uuid(), 2, now(), 3)")
	s, err := k.System(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Lanes != tenancytest.Lanes || s.Spares != 1 || s.DatabaseBytes < 1<<20 || s.Central == 0 || len(s.Runs) != 1 || len(s.Sessions) == 0 {
		t.Errorf("%+v", s)
	}
	if len(s.Versions) != 2 || !s.Versions[0].Current || s.Versions[0].Tenants != 2 || s.Versions[1].Tenants != 1 || s.Versions[1].Spares != 1 {
		t.Errorf("versions: %+v", s.Versions)
	}
}
