package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/branding/domain"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestSecretsRotate: what an old key sealed, of the platform and of two tenants, opens
// with the new key alone afterwards.
func TestSecretsRotate(t *testing.T) {
	w := tenancytest.New(t)
	key := func(id string) string {
		k, err := secrets.NewKey(id)
		must(t, err)
		return k
	}
	old, fresh := key("old"), key("new")
	before, err := secrets.Parse(old)
	must(t, err)
	people := map[tenancy.ID]uuid.UUID{}
	for _, tenant := range []tenancy.Tenant{w.A, w.B} {
		must(t, w.DB(tenant).Update(t.Context(), func(tx *tenancy.Tx) (err error) {
			people[tenant.ID], err = sealSome(t.Context(), tx, before, identity.Reseller)
			return err
		}))
	}
	var staff uuid.UUID
	must(t, w.Central.Update(t.Context(), func(tx *tenancy.CentralTx) (err error) {
		staff, err = sealSome(t.Context(), tx, before, identity.Staff)
		return err
	}))
	storage := func(ring *secrets.Keyring) *domain.Storage {
		s, err := domain.OpenStorage(t.Context(), domain.StorageConfig{DSN: w.DSN, Sealer: ring, Timeout: 10 * time.Second})
		must(t, err)
		t.Cleanup(s.Close)
		return s
	}
	must(t, storage(before).StoreAll(t.Context(), []domain.Asset{{Key: "acme/ca/account.key", Value: []byte("account")}, {Key: "certificates/a/a.key", Value: []byte("private")}, {Key: "certificates/a/a.crt", Value: []byte("public")}}))
	must(t, (&domain.Tickets{Central: w.Central, Sealer: before}).Rotate(t.Context()))

	t.Setenv("EZSCALE_DATABASE_URL", w.DSN)
	t.Setenv("EZSCALE_PLATFORM_DOMAIN", "localhost")
	t.Setenv("EZSCALE_MASTER_KEYS", fresh)
	if _, complaint, code := command(t, "secrets", "rotate"); code != exitFailed || !strings.Contains(complaint, "not configured") {
		t.Fatalf("without the old key: %d %s", code, complaint)
	}
	t.Setenv("EZSCALE_MASTER_KEYS", fresh+","+old)
	if f := sealedFinding(t); f.State != warning || !strings.Contains(f.Means, "9 with old") {
		t.Fatalf("before: %+v", f)
	}
	for _, want := range []map[string]int{
		{sealedFactors: 3, sealedMails: 3, sealedTLS: 2, sealedTickets: 1},
		{sealedFactors: 0, sealedMails: 0, sealedTLS: 0, sealedTickets: 0},
	} {
		out, complaint, code := command(t, "secrets", "rotate", "--json")
		var r rotation
		if err := json.Unmarshal([]byte(out), &r); err != nil || code != exitDone {
			t.Fatalf("%d %v %s%s", code, err, out, complaint)
		}
		for kind, n := range want {
			if r.Sealed[kind] != n {
				t.Errorf("%s: %d sealed again, want %d", kind, r.Sealed[kind], n)
			}
		}
		if r.Tenants != 3 || len(r.Left) != 0 || r.Key != "new" {
			t.Errorf("%+v", r)
		}
	}
	if out, complaint, code := command(t, "secrets", "rotate"); code != exitDone || !strings.Contains(out, "can go") || !strings.Contains(complaint, "3 of 3") {
		t.Errorf("%d %s%s", code, out, complaint)
	}
	if f := sealedFinding(t); f.State != well {
		t.Errorf("after: %+v", f)
	}

	after, err := secrets.Parse(fresh)
	must(t, err)
	for _, tenant := range []tenancy.Tenant{w.A, w.B} {
		must(t, w.DB(tenant).View(t.Context(), func(tx *tenancy.Tx) error { return openAll(t.Context(), tx, after, people[tenant.ID]) }))
	}
	must(t, w.Central.View(t.Context(), func(tx *tenancy.CentralTx) error { return openAll(t.Context(), tx, after, staff) }))
	for name, want := range map[string]string{"acme/ca/account.key": "account", "certificates/a/a.key": "private", "certificates/a/a.crt": "public"} {
		if b, err := storage(after).Load(t.Context(), name); err != nil || string(b) != want {
			t.Errorf("%s: %q %v", name, b, err)
		}
	}
	if k, err := (&domain.Tickets{Central: w.Central, Sealer: after}).Keys(t.Context()); err != nil || len(k) != 1 {
		t.Errorf("%d ticket keys, %v", len(k), err)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sealedFinding is what doctor says of sealed values.
func sealedFinding(t *testing.T) finding {
	t.Helper()
	x, err := openTools(t.Context())
	must(t, err)
	defer x.close()
	d := &doctor{tools: x}
	must(t, d.sealed(t.Context()))
	return d.found[0]
}

// sealSome makes a person with a second factor, and a mail that waits.
func sealSome(ctx context.Context, tx tenancy.Statements, ring *secrets.Keyring, world identity.World) (uuid.UUID, error) {
	id := uuid.Must(uuid.NewV7())
	sealed, err := ring.Seal("totp", id[:], []byte("12345678901234567890"))
	if err != nil {
		return id, err
	}
	if _, err := tx.NewRaw(`INSERT INTO people (id, world, email, email_key, name, role, totp_secret, created_at, changed_at)
		VALUES (?, ?, 'ada@alpha.test', 'ada@alpha.test', 'Ada', 'owner', ?, ?, ?)`, id, world, sealed, tx.Now(), tx.Now()).Exec(ctx); err != nil {
		return id, err
	}
	mailID := uuid.Must(uuid.NewV7()).String()
	if sealed, err = ring.Seal("mail", []byte(mailID), []byte(`{"link":"x"}`)); err != nil {
		return id, err
	}
	_, err = tx.NewRaw(`INSERT INTO mails (id, key, template, to_address, subject, sealed_body, state, created_at)
		VALUES (?, 'k', 'welcome', 'ada@alpha.test', '', ?, 'queued', ?)`, mailID, sealed, tx.Now()).Exec(ctx)
	return id, err
}

func openAll(ctx context.Context, tx tenancy.Statements, ring *secrets.Keyring, person uuid.UUID) error {
	var factor []byte
	if err := tx.NewRaw("SELECT totp_secret FROM people WHERE id = ?", person).Scan(ctx, &factor); err != nil {
		return err
	}
	if _, err := ring.Open("totp", person[:], factor); err != nil {
		return err
	}
	var m struct {
		ID         string
		SealedBody []byte
	}
	if err := tx.NewRaw("SELECT id::text AS id, sealed_body FROM mails").Scan(ctx, &m); err != nil {
		return err
	}
	_, err := ring.Open("mail", []byte(m.ID), m.SealedBody)
	return err
}
