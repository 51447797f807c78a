package main

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestMigrateCommand: from an empty database to a platform with tenants, over a
// failure and its repair, as an operator sees it.
func TestMigrateCommand(t *testing.T) {
	server := tenancytest.StartServer(t, nil)
	dsn := server.DSN("postgres")
	t.Setenv("EZSCALE_DATABASE_URL", dsn)
	t.Setenv("EZSCALE_LANES", "2")
	t.Setenv("EZSCALE_MASTER_KEYS", "one:"+base64.StdEncoding.EncodeToString(make([]byte, 31)))
	if _, complaint, code := command(t, "migrate"); code != exitUsage || !strings.Contains(complaint, "EZSCALE_MASTER_KEYS") {
		t.Fatalf("a short key: %d %s", code, complaint)
	}
	t.Setenv("EZSCALE_MASTER_KEYS", "one:"+base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef")))
	status := func() (s fleetStatus) {
		t.Helper()
		out, complaint, code := command(t, "migrate", "--status", "--json")
		if err := json.Unmarshal([]byte(out), &s); err != nil || code != exitDone {
			t.Fatalf("%d %v %s%s", code, err, out, complaint)
		}
		return s
	}
	out, complaint, code := command(t, "migrate")
	if code != exitDone || !strings.Contains(out, "with 2 lanes") || !strings.Contains(complaint, "template") {
		t.Fatalf("%d %s%s", code, out, complaint)
	}
	if s := status(); !s.Current || s.Template != s.Target {
		t.Errorf("%+v", s)
	}
	if out, _, code := command(t, "migrate", "--dry-run"); code != exitDone || !strings.Contains(out, "nothing to do") {
		t.Errorf("%d %s", code, out)
	}

	// Two spares whose rows say that they have nothing yet: what runs on them must fail.
	b, err := tenancy.NewBuilder(dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for range 2 {
		if _, err := b.Build(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	owner, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close(t.Context())
	if _, err := owner.Exec(t.Context(), "UPDATE central.spares SET schema_version = 0"); err != nil {
		t.Fatal(err)
	}
	if s := status(); s.Current || s.Spares[0] != 2 {
		t.Errorf("%+v", s)
	}
	if out, _, code := command(t, "migrate", "--dry-run"); code != exitDone || !strings.Contains(out, "0001_ground") {
		t.Errorf("%d %s", code, out)
	}
	out, complaint, code = command(t, "migrate", "--json")
	var done migrated
	if err := json.Unmarshal([]byte(out), &done); err != nil || code != exitFailed || len(done.Failures) != 2 {
		t.Errorf("%d %v %s%s", code, err, out, complaint)
	}
}
