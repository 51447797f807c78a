package twin

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
	"github.com/ezscale/ezscale/tenancy/audit"
	"github.com/ezscale/ezscale/tenancy/fault"
)

// change locks a twin and changes it; of must be its original's, or zero for staff.
func (d *Desk) change(ctx context.Context, of tenancy.ID, id uuid.UUID, fn func(*tenancy.CentralTx, Twin) error) error {
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		t, err := one(ctx, tx, "w.id = ? AND ? IN (0, w.of_id) FOR UPDATE OF w", id, of.Number())
		if err != nil {
			return err
		}
		return fn(tx, t)
	})
}

// GrainFor is within how long due moments are taken together on the way to a goal: the
// farther, the coarser. A day ahead is lived by the minute.
func GrainFor(ahead time.Duration) time.Duration {
	switch {
	case ahead <= 2*24*time.Hour:
		return time.Minute
	case ahead <= 40*24*time.Hour:
		return time.Hour
	default:
		return 24 * time.Hour
	}
}

// Advance has a twin's clock turned to a time, by a job. A time that is not after the clock
// has done what is due now. Faults: twin.unknown, twin.not_ready, twin.too_far.
func (d *Desk) Advance(ctx context.Context, of tenancy.ID, id uuid.UUID, to time.Time, by audit.Origin) error {
	return d.change(ctx, of, id, func(tx *tenancy.CentralTx, t Twin) error {
		if t.State != Ready {
			return fault.New(fault.Conflict, "twin.not_ready", "This twin is not ready.")
		}
		if to.Sub(t.BeganAt) > MaxAhead {
			return fault.New(fault.Invalid, "twin.too_far", "A twin looks at most five years ahead.")
		}
		if to.Before(t.NowAt) {
			to = t.NowAt
		}
		grain := GrainFor(to.Sub(t.NowAt))
		_, err := tx.NewRaw("UPDATE twins SET from_at = now_at, goal_at = ?, grain_seconds = ?, stop = false, problem = '', changed_at = ? WHERE id = ?",
			to.UTC().Truncate(time.Microsecond), int(grain/time.Second), tx.Now(), id).Exec(ctx)
		if err != nil {
			return fmt.Errorf("advance twin %s: %w", id, err)
		}
		if _, err := tx.Enqueue(ctx, WorkJob{Twin: id}, tenancy.JobOptions{}); err != nil {
			return err
		}
		return by.Record(ctx, tx, "twin.advanced", target(t.OfID), map[string]any{"twin": id.String(), "to": to.UTC().Format(time.RFC3339)})
	})
}

// Halt asks an advance to end where it is. Faults: twin.unknown, twin.stands.
func (d *Desk) Halt(ctx context.Context, of tenancy.ID, id uuid.UUID, by audit.Origin) error {
	return d.change(ctx, of, id, func(tx *tenancy.CentralTx, t Twin) error {
		if !t.Advancing() {
			return fault.New(fault.Conflict, "twin.stands", "Its clock stands still.")
		}
		if _, err := tx.NewRaw("UPDATE twins SET stop = true, changed_at = ? WHERE id = ?", tx.Now(), id).Exec(ctx); err != nil {
			return fmt.Errorf("stop twin %s: %w", id, err)
		}
		return by.Record(ctx, tx, "twin.stopped", target(t.OfID), map[string]any{"twin": id.String()})
	})
}

// Drop has a twin removed, by a job. Asking twice asks once. Fault: twin.unknown.
func (d *Desk) Drop(ctx context.Context, of tenancy.ID, id uuid.UUID, by audit.Origin) error {
	return d.change(ctx, of, id, func(tx *tenancy.CentralTx, t Twin) error {
		switch t.State {
		case Dropped:
			return errUnknown
		case Dropping:
			return nil
		}
		if _, err := tx.NewRaw("UPDATE twins SET state = 'dropping', goal_at = NULL, stop = true, changed_at = ? WHERE id = ?", tx.Now(), id).Exec(ctx); err != nil {
			return fmt.Errorf("drop twin %s: %w", id, err)
		}
		if _, err := tx.Enqueue(ctx, WorkJob{Twin: id}, tenancy.JobOptions{}); err != nil {
			return err
		}
		return by.Record(ctx, tx, "twin.dropped", target(t.OfID), map[string]any{"twin": id.String(), "name": t.Name})
	})
}

// Moved keeps where a twin's clock stands now, before anything is done there, and what was
// done since it was moved last. It reports whether the clock is to stop. An error is
// returned when the clock stands elsewhere than was believed, or is nobody's to turn.
func (d *Desk) Moved(ctx context.Context, id uuid.UUID, was, now time.Time, jobs, failures int64, problem string, took time.Duration) (stop bool, err error) {
	var answer []bool
	err = d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		answer = nil
		return tx.NewRaw(`UPDATE twins SET now_at = ?, steps = steps + CASE WHEN now_at <> ? THEN 1 ELSE 0 END, jobs = jobs + ?, failures = failures + ?, worked_ms = worked_ms + ?,
				problem = CASE WHEN ? <> '' THEN ? ELSE problem END, changed_at = ?
			WHERE id = ? AND now_at = ? AND state = 'ready' RETURNING stop`,
			now, now, jobs, failures, took.Milliseconds(), problem, problem, tx.Now(), id, was).Scan(ctx, &answer)
	})
	if err != nil {
		return false, fmt.Errorf("move the clock of twin %s: %w", id, err)
	}
	if len(answer) == 0 {
		return true, fault.New(fault.Conflict, "twin.moved", "Somebody else has turned this twin's clock.")
	}
	return answer[0], nil
}

// Arrived ends an advance, also one that was stopped. A goal that was set since stays.
func (d *Desk) Arrived(ctx context.Context, id uuid.UUID, goal time.Time) error {
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := tx.NewRaw("UPDATE twins SET goal_at = NULL, stop = false, changed_at = ? WHERE id = ? AND goal_at = ?", tx.Now(), id, goal).Exec(ctx)
		if err != nil {
			return fmt.Errorf("twin %s has arrived: %w", id, err)
		}
		return nil
	})
}

// Made says that a twin's copy is complete.
func (d *Desk) Made(ctx context.Context, id uuid.UUID) error {
	return d.state(ctx, id, Making, Ready, "")
}

// Broke says that a twin could not be made.
func (d *Desk) Broke(ctx context.Context, id uuid.UUID, why error) error {
	return d.state(ctx, id, Making, Failed, fmt.Sprintf("%.300s", why.Error()))
}

// Gone says that a twin was removed.
func (d *Desk) Gone(ctx context.Context, id uuid.UUID) error {
	return d.state(ctx, id, Dropping, Dropped, "")
}

func (d *Desk) state(ctx context.Context, id uuid.UUID, from, to State, problem string) error {
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		_, err := tx.NewRaw("UPDATE twins SET state = ?, problem = ?, changed_at = ? WHERE id = ? AND state = ?", string(to), problem, tx.Now(), id, string(from)).Exec(ctx)
		if err != nil {
			return fmt.Errorf("twin %s is %s: %w", id, to, err)
		}
		return nil
	})
}

// Provide gives a twin what the platform knows of its original: the terms it is billed by,
// and what was used of services that run, so that its wholesale cost goes on from where the
// original's stands. It may be repeated.
func (d *Desk) Provide(ctx context.Context, t Twin) error {
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		for _, sql := range []string{
			`INSERT INTO tenant_terms (tenant_id, valid_from, tier, currency, set_by, created_at)
				SELECT ?0, valid_from, tier, currency, set_by, created_at FROM tenant_terms WHERE tenant_id = ?1 ON CONFLICT DO NOTHING`,
			`INSERT INTO usage_events (tenant_id, key, subject, sku, kind, quantity, at, detail, recorded_at)
				SELECT ?0, u.key, u.subject, u.sku, u.kind, u.quantity, u.at, '{}', u.recorded_at FROM usage_events u WHERE u.tenant_id = ?1 AND u.kind <> 'quantity'
				AND (u.subject LIKE '%/addon/%' -- which may come again
					OR NOT EXISTS (SELECT FROM usage_events s WHERE s.tenant_id = ?1 AND s.subject = u.subject AND s.kind = 'stop' AND s.at < date_trunc('month', ?2::timestamptz)))
				ON CONFLICT DO NOTHING`,
		} {
			if _, err := tx.NewRaw(sql, t.TenantID, t.OfID, t.BeganAt).Exec(ctx); err != nil {
				return fmt.Errorf("provide twin %s: %w", t.ID, err)
			}
		}
		return nil
	})
}

// Forget removes what Provide gave and what the twin told since. The tenant itself is
// dropped by who has the owner's login.
func (d *Desk) Forget(ctx context.Context, t Twin) error {
	if t.TenantID.IsZero() {
		return nil
	}
	return d.Central.Update(ctx, func(tx *tenancy.CentralTx) error {
		var sandbox bool
		if err := tx.NewRaw("SELECT sandbox FROM tenants WHERE id = ?", t.TenantID).Scan(ctx, &sandbox); err != nil || !sandbox {
			return fmt.Errorf("forget twin %s: tenant %s is no sandbox: %w", t.ID, t.TenantID, err)
		}
		for _, table := range []string{"usage_events", "revenue_events", "tenant_terms"} {
			if _, err := tx.NewRaw("DELETE FROM "+table+" WHERE tenant_id = ?", t.TenantID).Exec(ctx); err != nil {
				return fmt.Errorf("forget twin %s: %w", t.ID, err)
			}
		}
		return nil
	})
}
