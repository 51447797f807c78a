package audit

import (
	"context"
	"fmt"

	"github.com/ezscale/ezscale/tenancy"
)

// Anchors are the places where the platform remembers the tenant's chain to have been.
func Anchors(ctx context.Context, tx *tenancy.CentralTx, id tenancy.ID) ([]Anchor, error) {
	var anchors []Anchor
	err := tx.NewRaw("SELECT seq, hash FROM audit_anchors WHERE tenant_id = ? ORDER BY seq", id).Scan(ctx, &anchors)
	if err != nil {
		return nil, fmt.Errorf("read audit anchors: %w", err)
	}
	return anchors, nil
}

// InspectCentral verifies the platform's own trail.
func InspectCentral(ctx context.Context, central *tenancy.Central) (report Report, err error) {
	err = central.View(ctx, func(tx *tenancy.CentralTx) error {
		report, err = Verify(ctx, tx)
		return err
	})
	return report, err
}

// InspectTenant verifies one tenant's trail against the platform's anchors. It is
// the part of `ezscale doctor` for one tenant; the caller walks the fleet.
func InspectTenant(ctx context.Context, central *tenancy.Central, db *tenancy.DB) (report Report, err error) {
	var anchors []Anchor
	err = central.View(ctx, func(tx *tenancy.CentralTx) error {
		anchors, err = Anchors(ctx, tx, db.Tenant().ID)
		return err
	})
	if err != nil {
		return Report{}, err
	}
	err = db.View(ctx, func(tx *tenancy.Tx) error {
		report, err = Verify(ctx, tx, anchors...)
		return err
	})
	return report, err
}
