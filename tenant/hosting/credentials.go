package hosting

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/secrets"
)

// sealPurpose and sealedFor bind sealed credentials to their row.
const sealPurpose = "service credentials"

func sealedFor(id uuid.UUID) []byte { return []byte("services/" + id.String()) }

// open returns the credentials of a service.
func (d *Desk) open(s *Service) (c provisioners.Credentials, err error) {
	plain, err := d.Keys.Open(sealPurpose, sealedFor(s.ID), s.Sealed)
	if err != nil {
		return c, fmt.Errorf("credentials of service %s: %w", s.ID, err)
	}
	if err := json.Unmarshal(plain, &c); err != nil {
		return c, fmt.Errorf("credentials of service %s: %w", s.ID, err)
	}
	return c, nil
}

// SealedColumn is the SQL that lists the key of every sealed value this package keeps.
func SealedColumn() string {
	return "SELECT " + secrets.KeyIDSQL("sealed_credentials") + " AS key FROM services WHERE sealed_credentials IS NOT NULL"
}

// Rewrap seals again, with the first key, up to limit credentials that another key
// sealed, and returns how many. Call it until it returns 0.
func Rewrap(ctx context.Context, tx *tenancy.Tx, keys *secrets.Keyring, limit int) (int, error) {
	var rows []struct {
		ID     uuid.UUID
		Sealed []byte
	}
	err := tx.NewRaw("SELECT id, sealed_credentials AS sealed FROM services WHERE sealed_credentials IS NOT NULL AND "+secrets.KeyIDSQL("sealed_credentials")+
		" <> ? ORDER BY id LIMIT ? FOR UPDATE", keys.First(), limit).Scan(ctx, &rows)
	if err != nil {
		return 0, fmt.Errorf("find sealed credentials: %w", err)
	}
	for _, r := range rows {
		fresh, _, err := keys.Rewrap(sealPurpose, sealedFor(r.ID), r.Sealed)
		if err != nil {
			return 0, fmt.Errorf("credentials of service %s: %w", r.ID, err)
		}
		if _, err := tx.NewRaw("UPDATE services SET sealed_credentials = ? WHERE id = ?", fresh, r.ID).Exec(ctx); err != nil {
			return 0, fmt.Errorf("credentials of service %s: %w", r.ID, err)
		}
	}
	return len(rows), nil
}
