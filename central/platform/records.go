package platform

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
)

// State is what staff decided about a platform.
type State string

// The states of a platform.
const (
	On       State = "on"
	Draining State = "draining" // what runs is looked after; nothing new comes
	Off      State = "off"      // is not asked at all
)

// Health is what the last checks found.
type Health string

// The states of health.
const (
	Unknown Health = "unknown"
	Up      Health = "up"
	Down    Health = "down"
)

// Platform is one outside system.
type Platform struct {
	ID          uuid.UUID
	Name        string
	Driver      string
	BaseURL     string
	Settings    json.RawMessage
	State       State
	Health      Health
	HealthNote  string
	HealthSince time.Time // zero: never checked
	CheckedAt   time.Time
	CreatedAt   time.Time
	ChangedAt   time.Time
}

// record is the row with what nobody sees.
type record struct {
	Platform
	SealedSecret []byte
}

const platformColumns = `p.id, p.name, p.driver, p.base_url, p.settings, p.state, p.health, p.health_note,
	p.health_since, p.checked_at, p.created_at, p.changed_at`

// recordOf reads a platform, locked as told.
func recordOf(ctx context.Context, tx *tenancy.CentralTx, id uuid.UUID, lock string) (record, error) {
	var p record
	err := tx.NewRaw("SELECT "+platformColumns+", p.sealed_secret FROM platforms p WHERE p.id = ? "+lock, id).Scan(ctx, &p)
	if errors.Is(err, sql.ErrNoRows) {
		return record{}, errUnknown
	}
	if err != nil {
		return record{}, fmt.Errorf("read platform: %w", err)
	}
	return p, nil
}
