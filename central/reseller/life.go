package reseller

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

const (
	maxReason = 1000
	maxNote   = 500
)

// Suspension is why a reseller stops serving.
type Suspension struct {
	Reason string // for staff, in the trail; required
	Note   string // what visitors and the reseller read; may be empty
}

// Suspend stops a reseller's sites. It returns the fault suspension.invalid about
// fields, tenant.unknown, or one of tenancy.Status.To.
func (d *Desk) Suspend(ctx context.Context, id tenancy.ID, s Suspension, by audit.Origin) error {
	wrong := map[string]string{}
	s.Reason, s.Note = note("reason", s.Reason, maxReason, wrong), note("note", s.Note, maxNote, wrong)
	if s.Reason == "" {
		wrong["reason"] = "Say why, for your colleagues. Visitors do not see this."
	}
	if err := fault.Fields("suspension.invalid", wrong); err != nil {
		return err
	}
	return d.move(ctx, id, by, "tenant.suspended", func(Reseller, time.Time) change {
		return change{to: tenancy.Suspended, reason: s.Reason, note: s.Note}
	})
}

// Resume lets a suspended, archived or trial-ended reseller serve again: in its
// trial when that still runs, otherwise as active.
func (d *Desk) Resume(ctx context.Context, id tenancy.ID, by audit.Origin) error {
	return d.move(ctx, id, by, "tenant.resumed", func(r Reseller, now time.Time) change {
		to := tenancy.Resumed(r.TrialEndsAt, now)
		if r.Status == tenancy.TrialEnded || to == r.Status {
			to = tenancy.Active
		}
		return change{to: to}
	})
}

// Activate ends the trial by making the reseller a regular one.
func (d *Desk) Activate(ctx context.Context, id tenancy.ID, by audit.Origin) error {
	return d.move(ctx, id, by, "tenant.activated", func(Reseller, time.Time) change { return change{to: tenancy.Active} })
}

// EndTrial ends a running trial now: the sites stop until somebody activates them.
func (d *Desk) EndTrial(ctx context.Context, id tenancy.ID, by audit.Origin) error {
	return d.move(ctx, id, by, "tenant.trial_ended", func(Reseller, time.Time) change { return change{to: tenancy.TrialEnded} })
}

// EndDueTrials ends every trial whose time is over and answers how many. The clock
// runs it; each tenant is a transaction of its own.
func (d *Desk) EndDueTrials(ctx context.Context) (ended int, err error) {
	var due []struct{ ID tenancy.ID }
	err = d.Central.View(ctx, func(tx *tenancy.CentralTx) error {
		return tx.NewRaw("SELECT id FROM tenants WHERE status = 'trial' AND trial_ends_at <= ? ORDER BY trial_ends_at", tx.Now()).Scan(ctx, &due)
	})
	if err != nil {
		return 0, fmt.Errorf("end trials: %w", err)
	}
	for _, t := range due {
		err := d.EndTrial(ctx, t.ID, audit.Origin{Actor: audit.System("scheduler")})
		switch f := fault.From(err); {
		case err == nil:
			ended++
		case f.Kind == fault.Conflict || f.Kind == fault.NotFound || f.Kind == fault.Gone: // somebody was faster
		default:
			return ended, err
		}
	}
	return ended, nil
}

// StartMaintenance shows the maintenance page until StopMaintenance. The note is
// what visitors read.
func (d *Desk) StartMaintenance(ctx context.Context, id tenancy.ID, s Suspension, by audit.Origin) error {
	wrong := map[string]string{}
	s.Reason, s.Note = note("reason", s.Reason, maxReason, wrong), note("note", s.Note, maxNote, wrong)
	if err := fault.Fields("maintenance.invalid", wrong); err != nil {
		return err
	}
	return d.move(ctx, id, by, "tenant.maintenance_started", func(r Reseller, _ time.Time) change {
		return change{to: tenancy.Maintenance, reason: s.Reason, note: s.Note, before: r.Status}
	})
}

// StopMaintenance returns to what the maintenance interrupted.
func (d *Desk) StopMaintenance(ctx context.Context, id tenancy.ID, by audit.Origin) error {
	return d.move(ctx, id, by, "tenant.maintenance_stopped", func(r Reseller, now time.Time) change {
		if r.Status != tenancy.Maintenance {
			return change{refuse: fault.New(fault.Conflict, "tenant.not_in_maintenance", "This reseller is not in maintenance.")}
		}
		to := r.StatusBefore
		if to == "" || to == tenancy.Trial { // the trial may have ended meanwhile
			to = tenancy.Resumed(r.TrialEndsAt, now)
		}
		return change{to: to, reason: r.StatusReason, note: keptNote(r, to)}
	})
}

// keptNote is what visitors of a site that was suspended before its maintenance go
// on reading.
func keptNote(r Reseller, to tenancy.Status) string {
	if to == tenancy.Suspended {
		return r.StatusNote
	}
	return ""
}

// Archive closes a reseller: nothing is served, and after the hold period its data
// may be dropped. Typed must be its slug.
func (d *Desk) Archive(ctx context.Context, id tenancy.ID, typed, reason string, by audit.Origin) error {
	wrong := map[string]string{}
	reason = note("reason", reason, maxReason, wrong)
	if err := fault.Fields("archiving.invalid", wrong); err != nil {
		return err
	}
	return d.move(ctx, id, by, "tenant.archived", func(r Reseller, _ time.Time) change {
		return change{to: tenancy.Archived, reason: reason, refuse: confirm(r, typed)}
	})
}

// confirm wants the slug typed as it stands.
func confirm(r Reseller, typed string) error {
	if strings.TrimSpace(typed) != r.Slug {
		return fault.Field("typed", "tenant.not_confirmed", "Type "+r.Slug+" to confirm.")
	}
	return nil
}

// change is what a move does to a row.
type change struct {
	to           tenancy.Status
	reason, note string
	before       tenancy.Status
	refuse       error
}

// move changes a reseller's status with its entry in the trail; the nodes hear of it
// with the commit.
func (d *Desk) move(ctx context.Context, id tenancy.ID, by audit.Origin, action string, decide func(Reseller, time.Time) change) error {
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		r, err := byID(ctx, tx, id, "FOR UPDATE OF t")
		if err != nil {
			return err
		}
		c := decide(r, tx.Now())
		if c.refuse != nil {
			return c.refuse
		}
		if err := r.Status.To(c.to); err != nil {
			return err
		}
		if r.Status == tenancy.Archived && !r.DropRequestedAt.IsZero() {
			return errDropping
		}
		if err := d.store(ctx, tx, r, c, by); err != nil {
			return fmt.Errorf("%s %s: %w", action, id, err)
		}
		return by.Record(ctx, tx, action, Target(id), detail("from", r.Status, "to", c.to, "reason", c.reason, "note", c.note))
	})
}

var errDropping = fault.New(fault.Conflict, "tenant.dropping", "This reseller's data is being exported and removed.")

func (d *Desk) store(ctx context.Context, tx *tenancy.CentralTx, r Reseller, c change, by audit.Origin) error {
	var archivedAt, dropAfter time.Time
	if c.to == tenancy.Archived {
		archivedAt, dropAfter = tx.Now(), tx.Now().Add(d.hold())
	}
	trialEnds := r.TrialEndsAt
	if c.to == tenancy.Active {
		trialEnds = time.Time{}
	}
	_, err := tx.NewRaw(`UPDATE tenants SET status = ?, status_note = ?, status_reason = ?, status_by = ?, status_since = ?, status_before = ?,
		trial_ends_at = ?, archived_at = ?, drop_after = ?, changed_at = ? WHERE id = ?`,
		c.to, c.note, c.reason, by.Actor.Name, tx.Now(), bun.NullZero(string(c.before)),
		bun.NullZero(trialEnds), bun.NullZero(archivedAt), bun.NullZero(dropAfter), tx.Now(), r.ID).Exec(ctx)
	if err != nil {
		return err
	}
	return tx.NotifyDirectory(ctx, r.ID)
}

func (d *Desk) hold() time.Duration {
	if d.Hold > 0 {
		return d.Hold
	}
	return tenancy.HoldPeriod
}

// detail makes the detail of an entry, empty texts left out.
func detail(pairs ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if fmt.Sprint(pairs[i+1]) != "" {
			m[pairs[i].(string)] = pairs[i+1]
		}
	}
	return m
}
