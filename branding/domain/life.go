package domain

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/ezscale/ezscale/tenancy"
)

// News is told of changes that somebody should hear of. It is called inside the
// transaction of the change, and may only write to it (a mail, a job).
type News interface {
	DomainChanged(ctx context.Context, tx *tenancy.CentralTx, d Domain, e Event) error
}

// change is a move from one state to another, or something worth an event.
type change struct {
	to     State
	actor  string
	code   string // "domain.verified"; literal
	detail string
}

var errMove = errors.New("domain: no such move")

// apply makes the change: the row, its event, and word to every node, in the
// caller's transaction. The caller holds the row's lock.
func apply(ctx context.Context, tx *tenancy.CentralTx, d *Domain, c change, news News) error {
	from := d.State
	if !from.May(c.to) {
		return fmt.Errorf("%w: %s from %s to %s", errMove, d.Host, from, c.to)
	}
	d.State = c.to
	served := d.Serving
	d.Serving = c.to.Owned()
	if !d.Serving && d.Primary {
		if err := clearPrimary(ctx, tx, d); err != nil {
			return err
		}
	}
	if err := save(ctx, tx, d); err != nil {
		return err
	}
	if served != d.Serving {
		if err := tx.NotifyDirectory(ctx, d.Tenant); err != nil {
			return fmt.Errorf("tell the nodes: %w", err)
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	e := Event{ID: id, At: tx.Now(), Actor: c.actor, From: from, To: c.to, Code: c.code, Detail: c.detail}
	if err := insertEvent(ctx, tx, d.ID, e); err != nil {
		return err
	}
	if news != nil {
		return news.DomainChanged(ctx, tx, *d, e)
	}
	return nil
}

// clearPrimary points links and mails back to the tenant's own host.
func clearPrimary(ctx context.Context, tx *tenancy.CentralTx, d *Domain) error {
	d.Primary = false
	_, err := tx.NewRaw("UPDATE tenants SET primary_host = NULL, changed_at = ? WHERE id = ? AND primary_host = ?", tx.Now(), d.Tenant, d.Host).Exec(ctx)
	if err != nil {
		return fmt.Errorf("clear the primary host: %w", err)
	}
	return nil
}

// lockHost locks every live row of a host, in one order, so that two claims on it
// cannot pass each other.
func lockHost(ctx context.Context, tx *tenancy.CentralTx, host string) ([]Domain, error) {
	return selectDomains(ctx, tx, "WHERE host = ? AND state <> 'removed' ORDER BY id FOR UPDATE", host)
}

// lockDomain locks one live row; nil when it is gone.
func lockDomain(ctx context.Context, tx *tenancy.CentralTx, id uuid.UUID) (*Domain, error) {
	found, err := selectDomains(ctx, tx, "WHERE id = ? AND state <> 'removed' FOR UPDATE", id)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// prove turns a claim into ownership. Whoever was served under the name until now
// loses it: the proof is newer than theirs.
func prove(ctx context.Context, tx *tenancy.CentralTx, id uuid.UUID, host string, o Observation, news News) (*Domain, error) {
	rows, err := lockHost(ctx, tx, host)
	if err != nil {
		return nil, err
	}
	var mine *Domain
	for i := range rows {
		if rows[i].ID == id {
			mine = &rows[i]
		}
	}
	if mine == nil || mine.State.Owned() {
		return nil, nil // removed or proven meanwhile
	}
	now := tx.Now()
	for i := range rows {
		if r := &rows[i]; r.ID != id && r.Serving {
			r.NextAt, r.RemovedAt = nil, &now
			err := apply(ctx, tx, r, change{Removed, worker, "domain.taken_over",
				"Another shop proved that " + host + " is theirs."}, news)
			if err != nil {
				return nil, err
			}
		}
	}
	mine.VerifiedAt, mine.OwnerCheckAt, mine.CheckedAt, mine.Observed = &now, &now, &now, o
	mine.NextAt, mine.Attempts, mine.ErrorCode, mine.Error = &now, 0, "", ""
	return mine, apply(ctx, tx, mine, change{Verified, worker, "domain.verified", "The TXT record was seen by every name server asked."}, news)
}

// worker is how the worker signs its events.
const worker = "system"
