package tenancy_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// readArchive unpacks an export.
func readArchive(t testing.TB, b []byte) map[string][]byte {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func TestExport(t *testing.T) {
	w := tenancytest.New(t)
	ctx := t.Context()
	for _, who := range []tenancy.Tenant{w.A, w.B} {
		err := w.DB(who).Update(ctx, func(tx *tenancy.Tx) error {
			for i := range 100 {
				if err := sign(ctx, tx, fmt.Sprintf("%s %d \"quoted\", with\nlines, \\N and ünïcode", who.Slug, i)); err != nil {
					return err
				}
			}
			if err := sign(ctx, tx, ""); err != nil { // is not null
				return err
			}
			_, err := tx.NewRaw(`INSERT INTO logins (id, world, person_id, email_key, outcome, ip, user_agent, at)
				VALUES (gen_random_uuid(), 'customer', NULL, ?, 'ok', '', '', ?)`, who.Slug, tx.Now()).Exec(ctx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var buffer bytes.Buffer
	logo := tenancy.ExportFile{Name: "logo.svg", Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader("<svg/>")), nil
	}}
	returned, err := w.DB(w.A).Export(ctx, &buffer, logo)
	if err != nil {
		t.Fatal(err)
	}
	files := readArchive(t, buffer.Bytes())
	var m tenancy.Manifest
	if err := json.Unmarshal(files["manifest.json"], &m); err != nil {
		t.Fatal(err)
	}
	if m.Tenant != w.A.ID.Number() || m.Slug != "alpha" || !m.ExportedAt.Equal(tenancytest.Start) || len(m.Tables) != len(returned.Tables) {
		t.Errorf("%+v", m)
	}
	sum := func(b []byte) string { s := sha256.Sum256(b); return hex.EncodeToString(s[:]) }
	if len(m.Files) != 1 || m.Files[0].SHA256 != sum(files["files/logo.svg"]) {
		t.Errorf("%+v", m.Files)
	}
	if n := scalar[int](t, w.Owner, "SELECT count(*) FROM pg_tables WHERE schemaname = $1", w.A.ID.Schema()); n != len(m.Tables) || len(files) != n+2 {
		t.Errorf("%d tables of %d, %d files", len(m.Tables), n, len(files))
	}
	for _, table := range m.Tables {
		data := files["data/"+table.Name+".csv"]
		if sum(data) != table.SHA256 || int64(len(data)) != table.Bytes {
			t.Errorf("%s: checksum or size differs", table.Name)
		}
		if n := scalar[int64](t, w.Owner, "SELECT count(*) FROM "+pgx.Identifier{w.A.ID.Schema(), table.Name}.Sanitize()); n != table.Rows {
			t.Errorf("%s: %d rows of %d", table.Name, table.Rows, n)
		}
	}
	for name, data := range files {
		if bytes.Contains(data, []byte("beta")) {
			t.Errorf("%s speaks of another tenant", name)
		}
	}
	restoredEquals(t, w, files, m)
}

// restoredEquals copies an archive of A into the empty C, table by table, and compares.
func restoredEquals(t *testing.T, w *tenancytest.World, files map[string][]byte, m tenancy.Manifest) {
	t.Helper()
	ctx := t.Context()
	for _, table := range m.Tables {
		name := pgx.Identifier{w.C.ID.Schema(), table.Name}.Sanitize()
		if _, err := w.Owner.Exec(ctx, "DELETE FROM "+name); err != nil {
			t.Fatal(err)
		}
		from := "COPY " + name + " (" + strings.Join(table.Columns, ", ") + ") FROM STDIN (FORMAT csv, HEADER)"
		if _, err := w.Owner.PgConn().CopyFrom(ctx, bytes.NewReader(files["data/"+table.Name+".csv"]), from); err != nil {
			t.Fatalf("%s: %v", table.Name, err)
		}
		original := pgx.Identifier{w.A.ID.Schema(), table.Name}.Sanitize()
		differ := fmt.Sprintf("SELECT count(*) FROM ((TABLE %[1]s EXCEPT ALL TABLE %[2]s) UNION ALL (TABLE %[2]s EXCEPT ALL TABLE %[1]s)) x", name, original)
		if n := scalar[int](t, w.Owner, differ); n != 0 {
			t.Errorf("%s: %d rows differ after the way out and in", table.Name, n)
		}
	}
}

func TestExportOfAStrangerIsRefused(t *testing.T) {
	w := tenancytest.New(t)
	if _, err := w.Pool.Bind(tenancy.Tenant{}).Export(t.Context(), io.Discard); !errors.Is(err, tenancy.ErrNoTenant) {
		t.Error(err)
	}
	broken := errors.New("disk full")
	if _, err := w.DB(w.A).Export(t.Context(), failing{broken}); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if names := signatures(t, w.DB(w.B)); len(names) != 0 { // the connection lives or was replaced
		t.Errorf("%q", names)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// dropped fails when anything of the tenant is left but its tombstone.
func dropped(t *testing.T, c *pgx.Conn, id tenancy.ID) {
	t.Helper()
	n := scalar[int](t, c, `SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = $1) + (SELECT count(*) FROM pg_roles WHERE rolname = $1)`, id.Schema())
	if n != 0 {
		t.Errorf("%d of schema and role of %s are left", n, id.Schema())
	}
	if s := scalar[string](t, c, "SELECT status || owner_email FROM central.tenants WHERE id = $1", id); s != "dropped" {
		t.Errorf("the tombstone says %q", s)
	}
}

func TestDropAsCreateroleOwner(t *testing.T) {
	eachPostgres(t, func(t *testing.T, bin string) {
		p := startPlatform(t, bin, 4)
		ctx := t.Context()
		b := newBuilder(t, p.dsn)
		pool := p.open(t, 4, b)
		claim := func(slug string) tenancy.Tenant {
			c, err := pool.Claim(ctx, claimOf(slug), signs(ctx))
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		now := time.Now()
		victim, other, half := claim("victim"), claim("other"), claim("half")
		export := func(ctx context.Context) error { _, err := pool.Bind(victim).Export(ctx, io.Discard); return err }
		for _, test := range []struct {
			name, set string
			o         tenancy.DropOptions
			code      string
		}{
			{"live", "status = 'active'", tenancy.DropOptions{Now: now, Export: export}, "tenant.not_archived"},
			{"on hold", "status = 'archived', drop_after = now() + interval '1 hour'", tenancy.DropOptions{Now: now, Export: export}, "tenant.on_hold"},
			{"without an export", "drop_after = now() - interval '1 hour'", tenancy.DropOptions{Now: now}, "tenant.export_first"},
		} {
			if _, err := p.owner.Exec(ctx, "UPDATE central.tenants SET "+test.set+" WHERE id = $1", victim.ID); err != nil {
				t.Fatal(err)
			}
			if err := tenancy.Drop(ctx, p.owner, victim.ID, test.o); !fault.Is(err, test.code) {
				t.Errorf("%s: %v, want %s", test.name, err, test.code)
			}
		}
		full := errors.New("disk full")
		err := tenancy.Drop(ctx, p.owner, victim.ID, tenancy.DropOptions{Now: now, Export: func(context.Context) error { return full }})
		if !errors.Is(err, full) {
			t.Error(err)
		}
		if names := signatures(t, pool.Bind(victim)); len(names) != 1 {
			t.Fatalf("an export that failed cost the data: %q", names)
		}
		for range 2 { // the second finds nothing to do
			if err := tenancy.Drop(ctx, p.owner, victim.ID, tenancy.DropOptions{Now: now, Export: export}); err != nil {
				t.Fatal(err)
			}
		}
		dropped(t, p.owner, victim.ID)
		if err := pool.Bind(victim).View(ctx, func(*tenancy.Tx) error { return nil }); err == nil {
			t.Error("a dropped tenant can be bound")
		}
		// A drop that stopped after the tombstone.
		if _, err := p.owner.Exec(ctx, "UPDATE central.tenants SET status = 'dropped', owner_email = '' WHERE id = $1", half.ID); err != nil {
			t.Fatal(err)
		}
		if healed, err := b.Heal(ctx); err != nil || len(healed.Dropped) != 1 || len(healed.Finished) != 0 {
			t.Errorf("%+v: %v", healed, err)
		}
		dropped(t, p.owner, half.ID)
		if names := signatures(t, pool.Bind(other)); len(names) != 1 || names[0] != "other" {
			t.Errorf("the neighbour reads %q", names)
		}
		if c := claim("victim"); c.ID != victim.ID || c.Status != tenancy.Dropped {
			t.Errorf("the key of a dropped tenant answers with %+v, want the tombstone", c)
		}
		stranger, _ := tenancy.NumberedID(4_000_000)
		if err := tenancy.Drop(ctx, p.owner, stranger, tenancy.DropOptions{Now: now}); !fault.Is(err, "tenant.unknown") {
			t.Error(err)
		}
		n := scalar[int](t, p.owner, "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member JOIN pg_roles t ON t.oid = m.roleid WHERE r.rolname = 'landlord' AND t.rolname ~ '^t_' AND NOT m.admin_option")
		if n != 0 {
			t.Errorf("the owner is still a member of %d tenants", n)
		}
	})
}

// The role of a dropped tenant stays while another database of the cluster uses it.
func TestDropToleratesTheRoleElsewhere(t *testing.T) {
	w, elsewhere := tenancytest.New(t), tenancytest.New(t)
	ctx := t.Context()
	if err := tenancy.Drop(ctx, w.Owner, w.C.ID, tenancy.DropOptions{Now: w.Clock.Now(), Force: true}); err != nil {
		t.Fatal(err)
	}
	if n := scalar[int](t, w.Owner, "SELECT count(*) FROM pg_namespace WHERE nspname = $1", w.C.ID.Schema()); n != 0 {
		t.Error("the schema is left")
	}
	if err := elsewhere.DB(elsewhere.C).View(ctx, func(*tenancy.Tx) error { return nil }); err != nil {
		t.Errorf("the other database lost its tenant: %v", err)
	}
}
