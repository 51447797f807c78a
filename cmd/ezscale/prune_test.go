package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/identity"
	"github.com/ezscale/ezscale/tenancy/secrets"
	"github.com/ezscale/ezscale/tenancy/tenancytest"
)

// TestLoginsAreForgotten: old attempts go from the platform and from two tenants, the
// others stay, and a tenant that cannot be reached stops no other.
func TestLoginsAreForgotten(t *testing.T) {
	w := tenancytest.New(t)
	key, err := secrets.NewKey("k")
	must(t, err)
	ring, err := secrets.Parse(key)
	must(t, err)
	write := func(tx tenancy.Statements, world identity.World) error {
		person, err := sealSome(t.Context(), tx, ring, world)
		if err != nil {
			return err
		}
		for _, age := range []time.Duration{loginsKept + time.Hour, loginsKept - time.Hour} {
			if _, err := tx.NewRaw("INSERT INTO logins (id, world, person_id, email_key, outcome, ip, user_agent, at) VALUES (?, ?, ?, 'ada@alpha.test', 'ok', '192.0.2.1', '', ?)",
				uuid.Must(uuid.NewV7()), world, person, tx.Now().Add(-age)).Exec(t.Context()); err != nil {
				return err
			}
		}
		return nil
	}
	must(t, w.Central.Update(t.Context(), func(tx *tenancy.CentralTx) error { return write(tx, identity.Staff) }))
	for _, tenant := range []tenancy.Tenant{w.A, w.B} {
		must(t, w.DB(tenant).Update(t.Context(), func(tx *tenancy.Tx) error { return write(tx, identity.Reseller) }))
	}
	if _, err := w.Owner.Exec(t.Context(), "ALTER TABLE "+w.A.ID.Schema()+".people RENAME TO elsewhere"); err != nil {
		t.Fatal(err)
	}
	n, err := pruneLogins(t.Context(), w.Central, w.Pool)
	if n != 2 || err == nil || !strings.Contains(err.Error(), w.A.ID.String()) {
		t.Errorf("%d forgotten, %v", n, err)
	}
	if _, err := w.Owner.Exec(t.Context(), "ALTER TABLE "+w.A.ID.Schema()+".elsewhere RENAME TO people"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int64{1, 0} {
		if n, err := pruneLogins(t.Context(), w.Central, w.Pool); err != nil || n != want {
			t.Errorf("%d forgotten, want %d: %v", n, want, err)
		}
	}
	for _, schema := range []string{"central", w.A.ID.Schema(), w.B.ID.Schema()} {
		var left int
		if err := w.Owner.QueryRow(t.Context(), "SELECT count(*) FROM "+schema+".logins").Scan(&left); err != nil || left != 1 {
			t.Errorf("%s: %d left, %v", schema, left, err)
		}
	}
}

func TestRedisWritesAtDebug(t *testing.T) {
	for level, want := range map[slog.Level]bool{slog.LevelInfo: false, slog.LevelDebug: true} {
		var out bytes.Buffer
		log := redisLog{slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))}
		log.Printf(context.Background(), "dial %d failed", 3)
		if got := strings.Contains(out.String(), "dial 3 failed"); got != want {
			t.Errorf("%s: written is %t, want %t", level, got, want)
		}
	}
}
