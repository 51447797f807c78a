package reseller

import (
	"context"
	"fmt"
	"time"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// DropJob exports a reseller's data and removes it. The worker that has the owner's
// login at hand does it; see CarryOut.
type DropJob struct {
	Tenant tenancy.ID `json:"tenant"`
}

// Kind names the job.
func (DropJob) Kind() string { return "reseller.drop" }

// Dropper exports and removes a tenant. It may be asked again after an interruption.
type Dropper interface {
	Drop(ctx context.Context, id tenancy.ID, now time.Time) error
}

// Drop asks for the removal of an archived reseller's data after its hold period: it
// is exported first, by a job. Typed must be its slug. Asking twice asks once.
// Faults: tenant.unknown, tenant.not_confirmed, tenant.not_archived, tenant.on_hold,
// tenant.services_run, tenant.dropping, tenant.dropped.
func (d *Desk) Drop(ctx context.Context, id tenancy.ID, typed string, by audit.Origin) error {
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		r, err := byID(ctx, tx, id, "FOR UPDATE OF t")
		if err != nil {
			return err
		}
		switch {
		case r.Status == tenancy.Dropped:
			return fault.New(fault.Gone, "tenant.dropped", "This reseller was dropped. Nothing but its record is left.")
		case !r.DropRequestedAt.IsZero():
			return errDropping
		}
		if err := confirm(r, typed); err != nil {
			return err
		}
		if err := tenancy.MayDrop(r.Status, r.DropAfter, tx.Now()); err != nil {
			return err
		}
		if err := nothingRuns(ctx, tx, id); err != nil {
			return err
		}
		if _, err := tx.NewRaw("UPDATE tenants SET drop_requested_at = ?, changed_at = ? WHERE id = ?", tx.Now(), tx.Now(), id).Exec(ctx); err != nil {
			return fmt.Errorf("drop %s: %w", id, err)
		}
		if _, err := tx.Enqueue(ctx, DropJob{Tenant: id}, tenancy.JobOptions{Key: id.String()}); err != nil {
			return fmt.Errorf("drop %s: %w", id, err)
		}
		return by.Record(ctx, tx, "tenant.drop_requested", Target(id), detail("slug", r.Slug, "name", r.Name))
	})
}

// nothingRuns refuses while servers of the reseller's customers run: with the schema
// would go what is known of them, and they would run on for nobody.
func nothingRuns(ctx context.Context, tx *tenancy.CentralTx, id tenancy.ID) error {
	var n int
	err := tx.NewRaw("SELECT count(*) FROM services WHERE tenant_id = ? AND began_at IS NOT NULL AND ended_at IS NULL", id).Scan(ctx, &n)
	if err != nil {
		return fmt.Errorf("drop %s: look for services: %w", id, err)
	}
	if n > 0 {
		return fault.New(fault.Conflict, "tenant.services_run",
			fmt.Sprintf("Services of this reseller's customers still run: %d. Resume the reseller, have them ended, and archive it again.", n))
	}
	return nil
}

// CarryOut does what a DropJob asks for, and writes the trail once.
func (d *Desk) CarryOut(ctx context.Context, job DropJob, dropper Dropper) error {
	r, err := d.Get(ctx, job.Tenant)
	if err != nil {
		return err
	}
	if r.DropRequestedAt.IsZero() {
		return fault.New(fault.Conflict, "tenant.drop_not_requested", "Nobody asked for this reseller to be dropped.")
	}
	if err := dropper.Drop(ctx, job.Tenant, d.Central.Now().UTC()); err != nil {
		return fmt.Errorf("drop %s: %w", job.Tenant, err)
	}
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		if _, err := byID(ctx, tx, job.Tenant, "FOR UPDATE OF t"); err != nil {
			return err
		}
		var noted bool
		err := tx.NewRaw("SELECT EXISTS (SELECT FROM audit_entries WHERE target_kind = 'tenant' AND target_id = ? AND action = 'tenant.dropped')",
			job.Tenant.String()).Scan(ctx, &noted)
		if err != nil || noted {
			return err
		}
		by := audit.Origin{Actor: audit.System("reseller desk")}
		return by.Record(ctx, tx, "tenant.dropped", Target(job.Tenant), detail("slug", r.Slug, "name", r.Name))
	})
}
