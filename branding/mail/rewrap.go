package mail

import (
	"context"
	"fmt"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/secrets"
)

// Rewrap seals again, with the first master key, at most limit bodies that another key
// sealed, and reports how many. Called until it reports none, it has done them all; it
// may be stopped and repeated, and mails may be sent meanwhile.
func Rewrap(ctx context.Context, tx tenancy.Statements, keys *secrets.Keyring, limit int) (int, error) {
	var rows []struct {
		ID         string
		SealedBody []byte
	}
	err := tx.NewRaw("SELECT id::text AS id, sealed_body FROM mails WHERE sealed_body IS NOT NULL AND "+secrets.KeyIDSQL("sealed_body")+
		" <> ? ORDER BY id LIMIT ? FOR UPDATE", keys.First(), limit).Scan(ctx, &rows)
	if err != nil {
		return 0, fmt.Errorf("rewrap mails: %w", err)
	}
	for _, r := range rows {
		fresh, _, err := keys.Rewrap(sealPurpose, []byte(r.ID), r.SealedBody)
		if err != nil {
			return 0, fmt.Errorf("rewrap mail %s: %w", r.ID, err)
		}
		if _, err := tx.NewRaw("UPDATE mails SET sealed_body = ? WHERE id = ?", fresh, r.ID).Exec(ctx); err != nil {
			return 0, fmt.Errorf("rewrap mail %s: %w", r.ID, err)
		}
	}
	return len(rows), nil
}
