package main

import (
	"testing"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

func TestSessionsAreNamed(t *testing.T) {
	w := tenancytest.New(t)
	key, err := secrets.NewKey("k")
	must(t, err)
	t.Setenv("PGAPPNAME", "")
	t.Setenv("EZSCALE_DATABASE_URL", w.DSN)
	t.Setenv("EZSCALE_PLATFORM_DOMAIN", "localhost")
	t.Setenv("EZSCALE_MASTER_KEYS", key)
	must(t, nameSessions([]string{"work", "--x"}))
	x, err := openTools(t.Context())
	must(t, err)
	defer x.close()
	read := func(tx tenancy.Statements) error {
		var name string
		err := tx.NewRaw("SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()").Scan(t.Context(), &name)
		if name != "ezscale work" {
			t.Errorf("the session is named %q", name)
		}
		return err
	}
	must(t, x.central.View(t.Context(), func(tx *tenancy.CentralTx) error { return read(tx) }))
	for _, tenant := range []tenancy.Tenant{w.A, w.B} {
		must(t, x.pool.Bind(tenant).View(t.Context(), func(tx *tenancy.Tx) error { return read(tx) }))
	}
}
