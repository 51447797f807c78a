package domain

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
)

// Tickets are the keys that seal TLS session tickets. All nodes use the same ones, so
// that a visitor resumes on any of them. They are made daily and kept for three days.
type Tickets struct {
	Central *tenancy.Central
	Sealer  Sealer
}

const (
	ticketEvery  = 24 * time.Hour
	ticketsKept  = 3
	ticketSpread = 15 * time.Minute // until every node has read a new key, nobody seals with it
	ticketAgain  = 5 * time.Minute  // how often a node reads them; less than ticketSpread
)

const ticketPurpose = "tls_ticket_keys"

// Rotate makes today's key when there is none, and drops the oldest. Nodes may do it at once.
func (t *Tickets) Rotate(ctx context.Context) error {
	err := t.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		if _, err := tx.NewRaw("SELECT pg_advisory_xact_lock(hashtextextended('ezscale ticket keys', 0))").Exec(ctx); err != nil {
			return err
		}
		var fresh bool
		now := tx.Now()
		if err := tx.NewRaw("SELECT EXISTS (SELECT FROM tls_ticket_keys WHERE created_at > ?)", now.Add(-ticketEvery)).Scan(ctx, &fresh); err != nil || fresh {
			return err
		}
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		var key [32]byte
		_, _ = rand.Read(key[:]) // never fails
		sealed, err := t.Sealer.Seal(ticketPurpose, id[:], key[:])
		if err != nil {
			return err
		}
		if _, err := tx.NewRaw("INSERT INTO tls_ticket_keys (id, sealed_key, created_at) VALUES (?, ?, ?)", id, sealed, now).Exec(ctx); err != nil {
			return err
		}
		_, err = tx.NewRaw("DELETE FROM tls_ticket_keys WHERE id NOT IN (SELECT id FROM tls_ticket_keys ORDER BY created_at DESC, id DESC LIMIT ?)", ticketsKept).Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("rotate ticket keys: %w", err)
	}
	return nil
}

// Keys are the keys in the order crypto/tls wants them: the first seals, all open.
func (t *Tickets) Keys(ctx context.Context) ([][32]byte, error) {
	var rows []struct {
		ID        uuid.UUID
		SealedKey []byte
		CreatedAt time.Time
	}
	var now time.Time
	err := t.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		now = tx.Now()
		return tx.NewRaw("SELECT id, sealed_key, created_at FROM tls_ticket_keys ORDER BY created_at DESC, id DESC").Scan(ctx, &rows)
	})
	if err != nil {
		return nil, fmt.Errorf("read ticket keys: %w", err)
	}
	keys := make([][32]byte, 0, len(rows))
	for i, r := range rows {
		plain, err := t.Sealer.Open(ticketPurpose, r.ID[:], r.SealedKey)
		if err != nil {
			return nil, fmt.Errorf("open ticket key: %w", err)
		}
		keys = append(keys, [32]byte(plain))
		if i == 1 && now.Sub(rows[0].CreatedAt) < ticketSpread {
			keys[0], keys[1] = keys[1], keys[0]
		}
	}
	return keys, nil
}

// Keep gives config the shared keys and goes on renewing them until ctx ends. When the
// database is away the keys in use stay.
func (t *Tickets) Keep(ctx context.Context, config *tls.Config, failed func(error)) error {
	tick := time.NewTicker(ticketAgain)
	defer tick.Stop()
	for {
		if err := t.apply(ctx, config); err != nil && ctx.Err() == nil {
			failed(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (t *Tickets) apply(ctx context.Context, config *tls.Config) error {
	if err := t.Rotate(ctx); err != nil {
		return err
	}
	keys, err := t.Keys(ctx)
	if err == nil && len(keys) > 0 {
		config.SetSessionTicketKeys(keys)
	}
	return err
}
