package reseller

import (
	"context"
	"fmt"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// Rename changes the name of the business; slug and hosts stay. The same name again
// changes nothing.
func (d *Desk) Rename(ctx context.Context, id tenancy.ID, to string, by audit.Origin) error {
	wrong := map[string]string{}
	to = name(to, wrong)
	if err := fault.Fields("reseller.name_invalid", wrong); err != nil {
		return err
	}
	return d.settle(ctx, id, func(tx *tenancy.CentralTx, r Reseller) error {
		if r.Name == to {
			return nil
		}
		// Pages show the name: those kept in memory are of an older content now.
		_, err := tx.NewRaw("UPDATE tenants SET name = ?, content_version = content_version + 1, changed_at = ? WHERE id = ?", to, tx.Now(), id).Exec(ctx)
		if err != nil {
			return err
		}
		return by.Record(ctx, tx, "tenant.renamed", Target(id), detail("from", r.Name, "to", to))
	})
}

// Policy is what the platform demands of a reseller.
type Policy struct{ RequireTOTP bool }

// SetPolicy changes it. It counts from the team's next request.
func (d *Desk) SetPolicy(ctx context.Context, id tenancy.ID, p Policy, by audit.Origin) error {
	return d.settle(ctx, id, func(tx *tenancy.CentralTx, r Reseller) error {
		if r.RequireTOTP == p.RequireTOTP {
			return nil
		}
		_, err := tx.NewRaw("UPDATE tenants SET require_totp = ?, changed_at = ? WHERE id = ?", p.RequireTOTP, tx.Now(), id).Exec(ctx)
		if err != nil {
			return err
		}
		return by.Record(ctx, tx, "tenant.policy_changed", Target(id), map[string]any{"require_totp": p.RequireTOTP})
	})
}

func (d *Desk) settle(ctx context.Context, id tenancy.ID, change func(*tenancy.CentralTx, Reseller) error) error {
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		r, err := byID(ctx, tx, id, "FOR UPDATE OF t")
		switch {
		case err != nil:
			return err
		case r.Status == tenancy.Dropped:
			return fault.New(fault.Gone, "tenant.dropped", "This reseller was dropped. Nothing but its record is left.")
		}
		if err := change(tx, r); err != nil {
			return fmt.Errorf("change %s: %w", id, err)
		}
		return tx.NotifyDirectory(ctx, id)
	})
}
