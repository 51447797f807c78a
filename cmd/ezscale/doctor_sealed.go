package main

import (
	"context"
	"maps"
)

// sealed says whether a key that is not the first is still needed, and whether one is
// needed that is not there.
func (d *doctor) sealed(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx) // as long as it takes: a moment for each tenant
	ids, err := d.tools.tenants(ctx)
	if err != nil {
		return err
	}
	by, err := d.tools.sealedBy(ctx, ids)
	if err != nil {
		return err
	}
	ring := d.tools.ring
	first := by[ring.First()]
	delete(by, ring.First())
	lost := maps.Clone(by)
	maps.DeleteFunc(lost, func(id string, _ int) bool { return ring.Holds(id) })
	switch {
	case len(lost) > 0:
		d.note("sealed", wrong, "put the missing key behind the others in EZSCALE_MASTER_KEYS", "what keys seal that are not configured cannot be read: %s", keysAndCounts(lost))
	case len(by) > 0:
		d.note("sealed", warning, "ezscale secrets rotate", "the old keys are still needed: %s", keysAndCounts(by))
	default:
		d.note("sealed", well, "", "all %d values are sealed with the first key, %s", first, ring.First())
	}
	return nil
}
