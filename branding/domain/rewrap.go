package domain

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/secrets"
)

// RewrapAssets seals again, with the first master key, at most limit private keys and
// accounts that another key sealed, and reports how many. Called until it reports none,
// it has done them all. The time an asset was stored at stays.
func RewrapAssets(ctx context.Context, tx *tenancy.CentralTx, keys *secrets.Keyring, limit int) (int, error) {
	var rows []struct {
		Key   string
		Value []byte
	}
	err := tx.NewRaw(`SELECT key, value FROM tls_assets WHERE key LIKE '%.key' AND `+secrets.KeyIDSQL("value")+
		" <> ? ORDER BY key LIMIT ? FOR UPDATE", keys.First(), limit).Scan(ctx, &rows)
	if err != nil {
		return 0, fmt.Errorf("rewrap certificates' keys: %w", err)
	}
	for _, r := range rows {
		fresh, _, err := keys.Rewrap(storagePurpose, []byte(r.Key), r.Value)
		if err != nil {
			return 0, fmt.Errorf("rewrap %s: %w", r.Key, err)
		}
		if _, err := tx.NewRaw("UPDATE tls_assets SET value = ? WHERE key = ?", fresh, r.Key).Exec(ctx); err != nil {
			return 0, fmt.Errorf("rewrap %s: %w", r.Key, err)
		}
	}
	return len(rows), nil
}

// RewrapTickets is RewrapAssets for the keys of TLS session tickets, of which there are few.
func RewrapTickets(ctx context.Context, tx *tenancy.CentralTx, keys *secrets.Keyring) (int, error) {
	var rows []struct {
		ID        uuid.UUID
		SealedKey []byte
	}
	err := tx.NewRaw("SELECT id, sealed_key FROM tls_ticket_keys WHERE "+secrets.KeyIDSQL("sealed_key")+" <> ? ORDER BY id FOR UPDATE", keys.First()).Scan(ctx, &rows)
	if err != nil {
		return 0, fmt.Errorf("rewrap ticket keys: %w", err)
	}
	for _, r := range rows {
		fresh, _, err := keys.Rewrap(ticketPurpose, r.ID[:], r.SealedKey)
		if err != nil {
			return 0, fmt.Errorf("rewrap ticket key %s: %w", r.ID, err)
		}
		if _, err := tx.NewRaw("UPDATE tls_ticket_keys SET sealed_key = ? WHERE id = ?", fresh, r.ID).Exec(ctx); err != nil {
			return 0, fmt.Errorf("rewrap ticket key %s: %w", r.ID, err)
		}
	}
	return len(rows), nil
}
