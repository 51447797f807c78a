package platform

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/provisioners"
	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// MaxHold is the longest time room is kept for an order that is not paid.
const MaxHold = 14 * 24 * time.Hour

// HoldRequest asks to keep room for one piece.
type HoldRequest struct {
	Key    string // the order line's: asked again, the same hold is returned
	SKU    string
	Region string
	Until  time.Time // then the room is free again, unless the hold was used
}

// Hold is room kept.
type Hold struct {
	Key        string
	SKU        string
	PlatformID uuid.UUID
	Region     string
	RegionName string
	Spec       provisioners.Spec
	Parameters map[string]any
	Images     map[string]string // image → the platform's id of it
	ExpiresAt  time.Time
	Used       bool
}

type holdRow struct {
	OfferID    uuid.UUID
	SKU        string `bun:"sku"`
	PlatformID uuid.UUID
	Region     string
	RegionName string
	Spec       provisioners.Spec
	Parameters json.RawMessage
	Images     []provisioners.Image
	ExpiresAt  time.Time
	UsedAt     *time.Time
	Free       *int
}

func (h holdRow) hold(key string) (Hold, error) {
	out := Hold{Key: key, SKU: h.SKU, PlatformID: h.PlatformID, Region: h.Region, RegionName: h.RegionName, Spec: h.Spec,
		ExpiresAt: h.ExpiresAt, Used: h.UsedAt != nil, Images: make(map[string]string, len(h.Images))}
	for _, im := range h.Images {
		out.Images[im.Code] = im.Parameter
	}
	return out, json.Unmarshal(h.Parameters, &out.Parameters)
}

// Hold keeps room for one piece until a time, once a key. Asked again with the same key
// it returns what is held and keeps it no shorter; a hold that had run out is taken anew,
// if there is still room. Faults: platform.unknown_region at the field region,
// platform.full, platform.held_otherwise when the key holds something else.
func (r *Registry) Hold(ctx context.Context, tenant tenancy.ID, q HoldRequest) (h Hold, err error) {
	q.SKU, q.Region = plain(q.SKU), plain(q.Region)
	err = r.Central.Update(ctx, func(tx *tenancy.CentralTx) (err error) {
		h, err = r.hold(ctx, tx, tenant, q)
		return err
	})
	if err != nil {
		return Hold{}, fmt.Errorf("hold %s in %s: %w", q.SKU, q.Region, err)
	}
	return h, nil
}

func (r *Registry) hold(ctx context.Context, tx *tenancy.CentralTx, tenant tenancy.ID, q HoldRequest) (Hold, error) {
	// The platforms' rows put everyone who wants the same room into one line.
	_, err := tx.NewRaw(`SELECT p.id FROM platforms p WHERE p.id IN (SELECT platform_id FROM offers WHERE sku = ? AND region = ?)
		ORDER BY p.id FOR NO KEY UPDATE`, q.SKU, q.Region).Exec(ctx)
	if err != nil {
		return Hold{}, err
	}
	had, err := heldBy(ctx, tx, tenant, q.Key)
	if err != nil {
		return Hold{}, err
	}
	until := q.Until
	if latest := tx.Now().Add(MaxHold); until.After(latest) {
		until = latest
	}
	if had != nil {
		if had.SKU != q.SKU || had.Region != q.Region {
			return Hold{}, fault.New(fault.Conflict, "platform.held_otherwise", "Room for something else is kept for this order.")
		}
		if had.UsedAt != nil {
			return had.hold(q.Key)
		}
		if had.ExpiresAt.After(tx.Now()) {
			if until.After(had.ExpiresAt) {
				had.ExpiresAt = until
			}
			_, err := tx.NewRaw("UPDATE holds SET expires_at = ? WHERE tenant_id = ? AND key = ?", had.ExpiresAt, tenant, q.Key).Exec(ctx)
			if err != nil {
				return Hold{}, err
			}
			return had.hold(q.Key)
		}
	}
	if r.Admit != nil { // before the room, whose fault says less
		if err := r.Admit(ctx, tx, tenant); err != nil {
			return Hold{}, err
		}
	}
	best, err := roomiest(ctx, tx, q)
	if err != nil {
		return Hold{}, err
	}
	best.ExpiresAt = until
	_, err = tx.NewRaw(`INSERT INTO holds (tenant_id, key, offer_id, created_at, expires_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (tenant_id, key) DO UPDATE SET offer_id = excluded.offer_id, created_at = excluded.created_at, expires_at = excluded.expires_at`,
		tenant, q.Key, best.OfferID, tx.Now(), until).Exec(ctx)
	if err != nil {
		return Hold{}, err
	}
	return best.hold(q.Key)
}

const holdColumns = `o.id AS offer_id, o.sku, o.platform_id, o.region, o.region_name, s.spec, o.parameters, o.images`

// heldBy is what a key holds; nil: nothing.
func heldBy(ctx context.Context, tx *tenancy.CentralTx, tenant tenancy.ID, key string) (*holdRow, error) {
	var rows []holdRow
	err := tx.NewRaw("SELECT "+holdColumns+`, h.expires_at, h.used_at FROM holds h JOIN offers o ON o.id = h.offer_id JOIN skus s ON s.sku = o.sku
		WHERE h.tenant_id = ? AND h.key = ? FOR UPDATE OF h`, tenant, plain(key)).Scan(ctx, &rows)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}

// roomiest chooses the platform: one that answers before one that does not, the one with
// the most room first. One that does not say how much it has is believed to have some.
func roomiest(ctx context.Context, tx *tenancy.CentralTx, q HoldRequest) (holdRow, error) {
	var rows []holdRow
	err := tx.NewRaw("SELECT "+holdColumns+", "+freePieces+` AS free FROM offers o JOIN platforms p ON p.id = o.platform_id JOIN skus s ON s.sku = o.sku
		WHERE o.sku = ? AND o.region = ? AND `+sellable+` ORDER BY p.health = 'down', free DESC NULLS LAST, o.id`, tx.Now(), q.SKU, q.Region).Scan(ctx, &rows)
	if err != nil {
		return holdRow{}, err
	}
	if len(rows) == 0 {
		return holdRow{}, fault.Field("region", "platform.unknown_region", "This cannot be delivered there. Choose another location.")
	}
	for _, row := range rows {
		if row.Free == nil || *row.Free > 0 {
			return row, nil
		}
	}
	return holdRow{}, fault.Wrap(provisioners.ErrNoRoom, fault.Conflict, "platform.full", "There is no room left in this location at the moment. Choose another one, or try later.")
}

// Use says that the service of a hold is being made: it counts itself from now on. It may
// be repeated, and comes in time even when the hold had run out. Fault: platform.no_hold.
func (r *Registry) Use(ctx context.Context, tenant tenancy.ID, key string) error {
	err := r.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		res, err := tx.NewRaw("UPDATE holds SET used_at = coalesce(used_at, ?) WHERE tenant_id = ? AND key = ?", tx.Now(), tenant, plain(key)).Exec(ctx)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 1 {
			return err
		}
		return fault.New(fault.NotFound, "platform.no_hold", "No room is kept for this order.")
	})
	if err != nil {
		return fmt.Errorf("use hold %s of %s: %w", key, tenant, err)
	}
	return nil
}

// Free gives the room of a hold back; one that was used, or is not there, is left alone.
func (r *Registry) Free(ctx context.Context, tenant tenancy.ID, key string) error {
	err := r.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := tx.NewRaw("DELETE FROM holds WHERE tenant_id = ? AND key = ? AND used_at IS NULL", tenant, plain(key)).Exec(ctx)
		return err
	})
	if err != nil {
		return fmt.Errorf("free hold %s of %s: %w", key, tenant, err)
	}
	return nil
}
